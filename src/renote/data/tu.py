"""Whole graphs of the TU collection with the folds that papers share (Morris et al. 2020, "TUDataset", arXiv 2007.08663).

Each graph is lists of neighbours, a tag a node, and a class. Tags become unit vectors; where all nodes have the same one, degrees do. The enzymes also
have measured attributes.
"""

from __future__ import annotations

import dataclasses
import io
import zipfile
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from renote.data import store
from renote.data.card import Card
from renote.data.split import split_fold
from renote.data.types import GraphData
from renote.errors import DataError, unknown
from renote.graph import Adjacency, Graph, degree_features

FOLDS = 10


def load(
    card: Card,
    *,
    features: Literal["tags", "degree", "tags+degree"] | None = None,
    attributes: bool = True,
    fold: int = 1,
    validation_fraction: float = 0.1,
    seed: int = 0,
) -> GraphData:
    """All graphs, one fold to test on.

    Args:
        card: with the file of graphs, and that of attributes if there are any.
        features: `"tags"`, a column for each; `"degree"`, a column for each degree; both; None takes tags where they differ, else degrees.
        attributes: whether measured attributes, where there are any, are columns too; each has mean 0 and deviation 1 over all nodes.
        fold: which of the ten is tested on, from 1; the others are split into those to train and to validate on.
        validation_fraction: share of each class of those.
        seed: of that split.

    Raises:
        DataError: the files are not the official ones, or there is no such fold.
    """
    file, *more = card.files
    name = file.name.removesuffix(".zip")
    with zipfile.ZipFile(io.BytesIO(store.read(card, file))) as archive:
        found = read_graphs(archive.read(f"{name}/{name}.txt").decode(), file.name)
        parts = [archive.read(f"{name}/10fold_idx/test_idx-{k}.txt").decode() for k in range(1, FOLDS + 1)]
    folds = tuple(torch.tensor(sorted(map(int, part.split()))) for part in parts)
    if len(found.labels) != card.size:
        raise DataError(f"{file.name} has {len(found.labels)} graphs: {card.size} were expected")
    labels = torch.unique(found.labels, return_inverse=True)[1]
    columns = [_features(found, features)]
    if attributes and more:
        with zipfile.ZipFile(io.BytesIO(store.read(card, more[0]))) as archive:
            table = np.loadtxt(io.StringIO(archive.read(more[0].members[0]).decode()), delimiter=",", ndmin=2)
        if len(table) != len(found.tags):
            raise DataError(f"{more[0].name} has attributes of {len(table)} nodes: there are {len(found.tags)}")
        spread = table.std(0)
        columns.append(torch.from_numpy((table - table.mean(0)) / np.where(spread > 0, spread, 1.0)).float())
    graphs = Graph(
        torch.cat(columns, 1), found.adjacency, graph_of_node=found.graph_of_node, num_graphs=len(found.labels)
    )
    counts = {"nodes": graphs.num_nodes, "edges": graphs.num_edges // 2, "folds": FOLDS}
    own = dataclasses.replace(card, shape=(graphs.num_features,), counts=counts)
    nothing = torch.empty(0, dtype=torch.long)
    data = GraphData(card.name, own, graphs, labels, nothing, nothing, nothing, card.classes, folds)
    return split_fold(data, fold, seed, validation_fraction)


@dataclass(frozen=True)
class Lists:
    """What a file of graphs says.

    Args:
        adjacency: of all graphs.
        graph_of_node: (nodes,) int64.
        tags: (nodes,) int64, as they are.
        labels: (graphs,) int64, as they are.
    """

    adjacency: Adjacency
    graph_of_node: Tensor
    tags: Tensor
    labels: Tensor


def read_graphs(text: str, name: str) -> Lists:
    """The graphs of a file: their number; then for each a line "n label", and n lines "tag degree neighbour …", neighbours from 0 within it.

    Args:
        text: the file's.
        name: of the file, for messages.

    Raises:
        DataError: a graph without label, a neighbour that is not there, lines that are missing or left over; the message names the line.
    """
    lines = text.rstrip().split("\n")
    head = _numbers(lines[0], name, 1)
    if len(head) != 1:
        raise DataError(f"{name}, line 1: it must be the number of graphs alone")
    tags: list[int] = []
    labels: list[int] = []
    sizes: list[int] = []
    sources: list[int] = []
    degrees: list[int] = []
    place = 1
    for graph in range(head[0]):
        if place >= len(lines):
            raise DataError(f"{name} ends before graph {graph} of {head[0]}")
        row = _numbers(lines[place], name, place + 1)
        if len(row) != 2:
            raise DataError(
                f"{name}, line {place + 1}: graph {graph} begins with its number of nodes and its label, here {row}"
            )
        size, first = row[0], len(tags)
        if place + size >= len(lines):
            raise DataError(f"{name} ends within graph {graph}, which has {size} nodes")
        for number in range(place + 1, place + 1 + size):
            node = _numbers(lines[number], name, number + 1)
            near = node[2:]
            if len(node) < 2 or len(near) != node[1]:
                raise DataError(f"{name}, line {number + 1}: a node has a tag, a degree, and as many neighbours")
            if near and not 0 <= min(near) <= max(near) < size:
                raise DataError(f"{name}, line {number + 1}: a neighbour is outside the graph's {size} nodes")
            tags.append(node[0])
            degrees.append(len(near))
            sources.extend([first + other for other in near])
        labels.append(row[1])
        sizes.append(size)
        place += 1 + size
    if place < len(lines):
        raise DataError(f"{name}, line {place + 1}: there are more lines than {head[0]} graphs have")
    targets = torch.arange(len(tags)).repeat_interleave(torch.tensor(degrees).long())
    adjacency = Adjacency.from_edges(torch.tensor(sources).long(), targets, len(tags))
    graph_of_node = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes).long())
    return Lists(adjacency, graph_of_node, torch.tensor(tags).long(), torch.tensor(labels).long())


def one_hot(values: Tensor) -> Tensor:
    """(n, distinct) float32: a column for each value that is there, in their order."""
    distinct, number = torch.unique(values, return_inverse=True)
    return torch.nn.functional.one_hot(number, len(distinct)).float()


def all_degrees(adjacency: Adjacency) -> Tensor:
    """(nodes, highest degree + 1) float32: a column for each degree."""
    highest = int(adjacency.pattern.count.max()) if adjacency.num_nodes else 0
    return degree_features(adjacency, highest).to_dense()


def _features(found: Lists, kind: str | None) -> Tensor:
    if kind is None:
        kind = "tags" if len(torch.unique(found.tags)) > 1 else "degree"
    made = {"tags": lambda: [one_hot(found.tags)], "degree": lambda: [all_degrees(found.adjacency)]}
    if kind == "tags+degree":
        return torch.cat([*made["tags"](), *made["degree"]()], 1)
    if kind not in made:
        raise unknown("kind of features", kind, ["tags", "degree", "tags+degree"])
    return made[kind]()[0]


def _numbers(line: str, name: str, number: int) -> list[int]:
    try:
        return [int(word) for word in line.split()]
    except ValueError:
        raise DataError(f"{name}, line {number}: {line[:40]!r} is not whole numbers") from None
