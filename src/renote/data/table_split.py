"""Which part each row of a table is in: by its column `split`, drawn by class, or whole graphs where a column `graph` names that of each node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from renote.data.split import partition
from renote.errors import DataError

if TYPE_CHECKING:
    from renote.data.table import Table

Parts = tuple[Tensor, Tensor, Tensor]


def given_split(nodes: Table, labels: Tensor, what: str = "node") -> Parts:
    """The parts that the column `split` names; `what` a row is, for messages."""
    cells = nodes.splits(empty=True)
    for row, cell in enumerate(cells):
        if cell and labels[row] < 0:
            raise DataError(f"{nodes.at(row)}: the {what} is in the split {cell!r} and has no label")
    parts = np.array(cells)
    train, validation, test = (
        torch.from_numpy(np.flatnonzero(parts == part)) for part in ("train", "validation", "test")
    )
    if not len(train):
        raise DataError(f"{nodes.path}: no {what} has the split 'train'")
    return train, validation, test


def by_graph(nodes: Table) -> tuple[Table, Tensor | None, tuple[str, ...]]:
    """The nodes with those of each graph together, in the order in which the column `graph` first names them.

    Returns:
        The table; the number (nodes,) of each node's graph, and the graphs' names by number: None and none without that column.

    Raises:
        DataError: a node has no graph; the message names the line.
    """
    if "graph" not in nodes.columns:
        return nodes, None, ()
    cells = nodes.text("graph")
    if "" in cells:
        raise DataError(f"{nodes.at(cells.index(''))}: the node has no graph: name it, or leave the column 'graph' out")
    names = tuple(dict.fromkeys(cells))
    number = dict(zip(names, range(len(names))))
    graph_of_node = np.array([number[cell] for cell in cells], dtype=np.int64)
    order = np.argsort(graph_of_node, kind="stable")
    return nodes.take(order), torch.from_numpy(graph_of_node[order]), names


def refuse_crossing(edges: Table, number: dict[str, int], graph_of_node: Tensor, graphs: tuple[str, ...]) -> None:
    """No edge is between two graphs.

    Args:
        edges: between ids that are there.
        number: of each node by id.
        graph_of_node: (nodes,) number of each node's graph.
        graphs: their names.

    Raises:
        DataError: one is; the message names the line.
    """
    ends = {column: edges.text(column) for column in ("source", "target")}
    source, target = (
        graph_of_node[torch.tensor([number[name] for name in names], dtype=torch.long)] for names in ends.values()
    )
    for row in (source != target).nonzero()[:1, 0].tolist():
        (a, b), (of_a, of_b) = (names[row] for names in ends.values()), (graphs[source[row]], graphs[target[row]])
        raise DataError(
            f"{edges.at(row)}: the edge from {a!r} of the graph {of_a!r} to {b!r} of the graph {of_b!r} joins two graphs: "
            "take it out, or give both nodes one graph"
        )


def parts_of(
    nodes: Table,
    known: Tensor,
    graph_of_node: Tensor | None,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
) -> Parts:
    """Training, validation and test nodes: as the column `split` says, else drawn; none where no node has a label.

    Args:
        nodes: those of a graph together.
        known: (nodes,) below 0 where the label is unknown, else what each is drawn by its share of.
        graph_of_node: number of each node's graph; then whole graphs are in a part, and drawn. None for one graph.
        validation_fraction: share that is validated on, if parts are drawn.
        test_fraction: share that is tested on, likewise.
        seed: of what is drawn.

    Raises:
        DataError: as `given_split` and `partition`; or a graph is in two parts, and the message names the line.
    """
    if not bool((known >= 0).any()):
        nothing = torch.empty(0, dtype=torch.long)
        return nothing, nothing, nothing
    if "split" in nodes.columns:
        parts = given_split(nodes, known)
        if graph_of_node is not None:
            _refuse_divided(nodes, parts, graph_of_node)
        return parts
    if graph_of_node is None:
        return partition(known, validation_fraction, test_fraction, seed)
    labelled = torch.unique(graph_of_node[known >= 0])
    of_graph = torch.full((int(graph_of_node[-1]) + 1,), -1).index_fill(0, labelled, 0)
    train, validation, test = (
        (torch.isin(graph_of_node, graphs) & (known >= 0)).nonzero()[:, 0]
        for graphs in partition(of_graph, validation_fraction, test_fraction, seed)
    )
    return train, validation, test


def _refuse_divided(nodes: Table, parts: Parts, graph_of_node: Tensor) -> None:
    part = torch.full(graph_of_node.shape, -1)
    for number, rows in enumerate(parts):
        part[rows] = number
    given = (part >= 0).nonzero()[:, 0]
    first = torch.full((int(graph_of_node[-1]) + 1,), len(parts)).scatter_reduce(
        0, graph_of_node[given], part[given], "amin"
    )
    for row in given[part[given] != first[graph_of_node[given]]][:1].tolist():
        one, other = (("train", "validation", "test")[number] for number in (first[graph_of_node[row]], part[row]))
        raise DataError(
            f"{nodes.at(row)}: the graph {nodes.text('graph')[row]!r} has nodes in the splits {one!r} and {other!r}: put all of them "
            "in one, or leave the column 'graph' out to split nodes"
        )
