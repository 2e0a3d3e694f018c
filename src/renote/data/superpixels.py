"""Images as graphs of superpixels: `superpixels:NAME`, of any set of images with classes. Needs scikit-image (the extra `superpixels`).

A node is a region of about equal size and colour, made by SLIC; regions that touch, corners too, are joined in both directions. x is the mean of each channel in [0, 1], the field
`position` the mean place (column, row) in [0, 1], and the features of an edge j → i the way from i to j, (column, row), in parts of the longest in the whole set.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from renote.data import store
from renote.data.card import Card
from renote.data.catalog import CARDS
from renote.data.split import stratified
from renote.data.types import GraphData, SampleData
from renote.errors import DataError, UsageError
from renote.graph import Adjacency, Field, Graph, batch

_log = logging.getLogger("renote")
_ARRAYS = ("nodes", "edges", "x", "position", "pairs")


def load(
    name: str,
    *,
    nodes: int = 75,
    compactness: float = 0.25,
    n: int = 0,
    n_test: int = 0,
    validation_fraction: float = 0.1,
    seed: int = 0,
) -> GraphData:
    """Superpixel graphs of the training images, part of them to validate on, and of the test images.

    Args:
        name: of a set of images with classes, as `renote.data.load` takes it.
        nodes: regions of an image, about.
        compactness: how much place counts beside colour; more makes regions square.
        n: training images, the first ones; 0 for all.
        n_test: test images, likewise.
        validation_fraction: share of each class of the training images.
        seed: of that part.

    Raises:
        UsageError: scikit-image is not installed.
        DataError: the data are no images with classes, or an option is out of range.
    """
    if nodes < 2 or not compactness > 0 or n < 0 or n_test < 0 or not 0 <= validation_fraction < 1:
        raise DataError(
            f"nodes = {nodes}, compactness = {compactness}, n = {n}, n_test = {n_test}, validation_fraction = {validation_fraction}: at least 2, above 0, at least 0, "
            "at least 0, and in [0, 1)"
        )
    from renote.data.registry import load as load_images

    images = load_images(name)
    if not isinstance(images, SampleData) or not images.is_image or images.train_labels is None:
        raise DataError(
            f"{name} is not images with classes, of which superpixels could be made: e.g. superpixels:mnist"
        )
    parts, labels = [], []
    for part, most in (("train", n), ("test", n_test)):
        pictures, given = getattr(images, part), getattr(images, f"{part}_labels")
        count = min(most or len(pictures), len(pictures))
        if not count:
            continue
        parts.append(_graphs(images, name, part, count, nodes, compactness))
        labels.append(given[:count])
    graphs = batch(parts) if len(parts) > 1 else parts[0]
    if graphs.num_edges:
        assert graphs.edge_features is not None
        graphs.edge_features.div_(graphs.edge_features.norm(dim=1).max())
    every = torch.cat(labels)
    first = len(labels[0])
    rest, validation = stratified(labels[0], validation_fraction, torch.Generator().manual_seed(seed))
    card = Card(
        name=f"superpixels:{name}",
        title=f"Superpixel graphs of {images.name}, about {nodes} regions an image",
        kind="graphs",
        size=len(every),
        shape=(graphs.num_features,),
        classes=images.classes,
        source=f"{images.card.source}; regions by SLIC, Achanta et al. (2012)",
        licence=images.card.licence,
        counts={
            "nodes": graphs.num_nodes,
            "edges": graphs.num_edges // 2,
            "train": len(rest),
            "validation": len(validation),
        },
    )
    return GraphData(card.name, card, graphs, every, rest, validation, torch.arange(first, len(every)), images.classes)


def superpixels(image: NDArray[np.float64], nodes: int = 75, compactness: float = 0.25) -> dict[str, NDArray[Any]]:
    """One image's regions.

    Args:
        image: (height, width, channels) in [0, 1].
        nodes: regions, about.
        compactness: how much place counts beside colour.

    Returns:
        `region` (height, width) numbers of regions; `x` (regions, channels); `position` (regions, 2) column and row in [0, 1]; `pairs` (edges, 2) of regions that touch,
        receiver and source, sorted, in both directions.
    """
    region = _slic()(
        image[..., 0] if image.shape[2] == 1 else image,
        n_segments=nodes,
        compactness=compactness,
        start_label=0,
        channel_axis=None if image.shape[2] == 1 else -1,
    )
    region = np.unique(region, return_inverse=True)[1].reshape(region.shape)  # without gaps
    flat = region.ravel()
    count = np.bincount(flat)
    height, width = image.shape[:2]
    row, column = np.divmod(np.arange(flat.size), width)
    means = [np.bincount(flat, values.ravel()) / count for values in (*np.moveaxis(image, 2, 0), column, row)]
    position = np.stack(means[-2:], 1) / max(height - 1, width - 1, 1)
    return {
        "region": region,
        "x": np.stack(means[:-2], 1),
        "position": position,
        "pairs": _touching(region, len(count)),
    }


def _touching(region: NDArray[np.int64], regions: int) -> NDArray[np.int64]:
    sides: tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...] = (
        (region[:, :-1], region[:, 1:]),
        (region[:-1], region[1:]),
        (region[:-1, :-1], region[1:, 1:]),
        (region[:-1, 1:], region[1:, :-1]),
    )
    one = np.concatenate([first.ravel() for first, _ in sides])
    other = np.concatenate([second.ravel() for _, second in sides])
    apart = one != other
    one, other = one[apart], other[apart]
    key = np.unique(np.concatenate([one * regions + other, other * regions + one]))
    return np.stack(np.divmod(key, regions), 1)


def _graphs(images: SampleData, name: str, part: str, count: int, nodes: int, compactness: float) -> Graph:
    arrays = _kept(images, name, part, count, nodes, compactness)
    first = np.cumsum(arrays["nodes"]) - arrays["nodes"]
    ends = torch.from_numpy(arrays["pairs"].astype(np.int64) + np.repeat(first, arrays["edges"])[:, None])
    position = torch.from_numpy(arrays["position"])
    adjacency = Adjacency.from_edges(ends[:, 1], ends[:, 0], len(position))
    return Graph(
        x=torch.from_numpy(arrays["x"]),
        adjacency=adjacency,
        edge_features=position[ends[:, 1]] - position[ends[:, 0]],
        graph_of_node=torch.from_numpy(np.repeat(np.arange(count), arrays["nodes"])),
        num_graphs=count,
        fields={"position": Field("node", position)},
    )


def _kept(
    images: SampleData, name: str, part: str, count: int, nodes: int, compactness: float
) -> dict[str, NDArray[Any]]:
    """The regions' numbers, from the cache if they are there: a named set needs minutes."""
    _slic()  # refused here, if it is not installed
    version = importlib.import_module("skimage").__version__
    file = f"{name}-{part}-{count}-{nodes}-{compactness:g}-{version}.npz".replace(os.sep, "_").replace(":", "_")
    path = store.cache_folder() / "superpixels" / file
    named = name in CARDS  # the user's own may change
    if named and path.is_file():
        try:
            with np.load(path, allow_pickle=False) as kept:
                return {key: kept[key] for key in _ARRAYS}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            path.unlink()
    _log.info("superpixels of %d images of %s", count, name)
    clean = (images.clean(getattr(images, part)[:count]) + 1) / 2
    found = [superpixels(image, nodes, compactness) for image in clean.permute(0, 2, 3, 1).double().numpy()]
    arrays: dict[str, NDArray[Any]] = {
        "nodes": np.array([len(one["x"]) for one in found], dtype=np.int64),
        "edges": np.array([len(one["pairs"]) for one in found], dtype=np.int64),
        "x": np.concatenate([one["x"] for one in found]).astype(np.float32),
        "position": np.concatenate([one["position"] for one in found]).astype(np.float32),
        "pairs": np.concatenate([one["pairs"] for one in found]).astype(np.int32),
    }
    if named:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = io.BytesIO()
        np.savez_compressed(stream, allow_pickle=False, **arrays)
        temporary = path.with_suffix(f".{os.getpid()}.part")
        temporary.write_bytes(stream.getvalue())
        os.replace(temporary, path)
    return arrays


def _slic() -> Callable[..., NDArray[np.int64]]:
    try:
        slic: Callable[..., NDArray[np.int64]] = importlib.import_module("skimage.segmentation").slic
    except ImportError as error:
        raise UsageError("superpixels need scikit-image: pip install 'renote[superpixels]'") from error
    return slic
