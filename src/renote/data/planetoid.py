"""Cora, Citeseer and Pubmed with the public split of Planetoid (Yang, Cohen, Salakhutdinov 2016).

The official files are pickles of Python 2. A pickle may name any function to be called, so they are read by an
unpickler that knows the few names which these files hold, and refuses all others.
"""

from __future__ import annotations

import io
import pickle
from collections import defaultdict
from itertools import chain
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from renote.data import store
from renote.data.card import Card
from renote.data.edges import undirected
from renote.data.split import partition
from renote.data.types import NodeData
from renote.errors import DataError, unknown
from renote.graph import Adjacency, Graph, SparseFeatures

_PARTS = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")
_VALIDATION_NODES = 500


class _SparseRows:
    """Receives the state of a pickled `csr_matrix`, whose private layout changes with SciPy's versions."""


_reconstruct = np.empty(0).__reduce__()[0]  # NumPy's own, wherever this version keeps it.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("scipy.sparse.csr", "csr_matrix"): _SparseRows,
    ("scipy.sparse._csr", "csr_matrix"): _SparseRows,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("collections", "defaultdict"): defaultdict,
    ("__builtin__", "list"): list,
    ("builtins", "list"): list,
}


class _PlanetoidUnpickler(pickle.Unpickler):
    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(io.BytesIO(content), encoding="latin1")
        self._name = name

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise DataError(
                f"{self._name} was refused: its pickle asks for {module}.{name}, which no Planetoid file needs and "
                "which could run code. Delete it and fetch the official file"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        raise DataError(f"{self._name} was refused: its pickle refers to something outside itself")


def read_pickle(content: bytes, name: str) -> Any:
    """A Planetoid pickle: a sparse matrix, an array, or neighbours by node.

    Args:
        content: the file.
        name: for messages.

    Returns:
        `csr_array`, `ndarray` or `defaultdict`.

    Raises:
        DataError: it names anything else, or is damaged.
    """
    try:
        value = _PlanetoidUnpickler(content, name).load()
        if isinstance(value, _SparseRows):
            state = vars(value)
            value = csr_array((state["data"], state["indices"], state["indptr"]), shape=state["_shape"])
    except DataError:
        raise
    except Exception as error:  # Damaged pickles raise nearly anything.
        raise DataError(f"{name} is damaged ({type(error).__name__}: {error}). Delete it and fetch it again") from error
    return value


def load(
    card: Card,
    *,
    normalize: bool = True,
    split: Literal["public", "random"] = "public",
    validation_fraction: float = 1 / 3,
    test_fraction: float = 1 / 3,
    seed: int = 0,
) -> NodeData:
    """A citation graph, undirected, without duplicates and loops.

    Args:
        card: with the eight files.
        normalize: each row of the features divided by its sum, as Kipf & Welling (2017) do.
        split: `"public"`, 20 nodes a class to train, or `"random"`, all labelled nodes by the shares below.
        validation_fraction: share of each class, if the split is random.
        test_fraction: share of each class, likewise.
        seed: of a random split.
    """
    if split not in ("public", "random"):
        raise unknown("split", split, ["public", "random"])
    content = {file.name: store.read(card, file) for file in card.files}
    prefix = f"ind.{card.name}."
    x, tx, allx, y, ty, ally, neighbors = (read_pickle(content[prefix + part], prefix + part) for part in _PARTS[:-1])
    test = np.array(content[prefix + "test.index"].split(), dtype=np.int64)
    num_nodes = int(test.max()) + 1

    labels = np.full(num_nodes, -1, dtype=np.int64)
    labels[: ally.shape[0]] = _classes(ally)
    labels[test] = _classes(ty)
    source, target = undirected(*_edges(neighbors), num_nodes)
    features = SparseFeatures.from_scipy(_features(allx, tx, test, num_nodes))
    adjacency = Adjacency.from_edges(torch.from_numpy(source), torch.from_numpy(target), num_nodes)
    known = torch.from_numpy(labels)
    parts = (
        (
            torch.arange(x.shape[0]),
            torch.arange(y.shape[0], y.shape[0] + _VALIDATION_NODES),
            torch.from_numpy(np.sort(test)),
        )
        if split == "public"
        else partition(known, validation_fraction, test_fraction, seed)
    )
    return NodeData(
        name=card.name,
        card=card,
        graph=Graph(x=features.normalize_rows() if normalize else features, adjacency=adjacency),
        labels=known,
        train=parts[0],
        validation=parts[1],
        test=parts[2],
        classes=card.classes,
    )


def _edges(neighbors: dict[int, list[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    degree = np.fromiter(map(len, neighbors.values()), np.int64, len(neighbors))
    source = np.repeat(np.fromiter(neighbors.keys(), np.int64, len(neighbors)), degree)
    return source, np.fromiter(chain.from_iterable(neighbors.values()), np.int64, int(degree.sum()))


def _features(
    known: csr_array[Any], tested: csr_array[Any], test: NDArray[np.int64], num_nodes: int
) -> csr_array[np.float32]:
    """Rows of `tested` go to the ids in `test`, in file order; ids that no row names stay zero (15 of Citeseer)."""
    first, second = known.tocoo(), tested.tocoo()
    row = np.concatenate([first.row, test[second.row]])
    column = np.concatenate([first.col, second.col])
    value = np.concatenate([first.data, second.data]).astype(np.float32)
    return coo_array((value, (row, column)), shape=(num_nodes, known.shape[1])).tocsr()


def _classes(one_hot: NDArray[Any]) -> NDArray[np.int64]:
    """The column of the one; -1 for an empty row."""
    return np.where(one_hot.any(axis=1), one_hot.argmax(axis=1), -1).astype(np.int64)
