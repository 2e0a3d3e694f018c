"""The line graph: a graph's edges as nodes, joined where they share an end.

Whitney (1932), "Congruent graphs and the connectivity of graphs", American Journal of Mathematics 54.

Both kinds are products of incidence matrices, nodes × edges, which are also the maps between what lies on nodes and what lies on edges:

    undirected    B_ie = 1 where i is an end of e           A_L = Bᵀ B - 2 I        B Bᵀ = D + A
    directed      S, T: where an edge leaves and arrives    A_L = Sᵀ T              T Sᵀ = A
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from renote.errors import DataError, UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.pattern import INT32_MAX, Pattern
from renote.graph.segment import segment_mean, segment_sum

Reduce = Literal["sum", "mean"]


@dataclass(frozen=True, eq=False)
class LineGraph:
    """The edges of a graph, which ones touch, and maps between its nodes and them.

    Args:
        adjacency: of the line graph, whose nodes are the edges.
        source: (edges,) int64, where each edge leaves; the smaller end if it has no direction.
        target: (edges,) int64, where it arrives; the larger end if it has no direction.
        leaving: nodes × edges, the edges that read a node: Sᵀ's transpose, or B.
        arriving: nodes × edges, the edges that a node reads: T, or B.
    """

    adjacency: Adjacency
    source: Tensor
    target: Tensor
    leaving: Pattern
    arriving: Pattern

    @property
    def num_edges(self) -> int:
        """Edges of the graph, which are the nodes of the line graph."""
        return self.adjacency.num_nodes

    def to_edges(self, x: Tensor, reduce: Reduce = "mean") -> Tensor:
        """y_e = Σ x_i over the ends i of e, or of a directed edge that which it leaves.

        Args:
            x: (nodes, …).
            reduce: `"sum"`, or `"mean"` over the ends.

        Returns:
            (edges, …).
        """
        return _reduced(self.leaving.transposed, x, reduce)

    def to_nodes(self, y: Tensor, reduce: Reduce = "mean") -> Tensor:
        """x_i = Σ y_e over the edges e of i, or of directed ones those that arrive.

        Args:
            y: (edges, …).
            reduce: `"sum"`, or `"mean"` over the edges.

        Returns:
            (nodes, …); zero for a node without such edges.
        """
        return _reduced(self.arriving, y, reduce)


def line_graph(adjacency: Adjacency, directed: bool = False) -> LineGraph:
    """The line graph: edges are joined that share an end, or of which one leaves where the other arrives.

    Edges are numbered by (source, target). Parallel edges are edges each; two without direction share both ends, and are joined twice. A loop without
    direction has one end; a directed one follows itself. Weights are not looked at. Memory and time are Σ_i d_i², or Σ_i d_i^in d_i^out.

    Args:
        adjacency: the edges; without direction each stands there in both.
        directed: whether i → j, followed by j → k, is joined i → j ⟶ j → k; else edges have no direction.

    Raises:
        DataError: not directed, and an edge stands in one direction alone; or more than 2³¹ pairs of edges share an end.

    Source:
        Whitney (1932); of directed graphs Harary & Norman (1960).

    Example:
        >>> from renote.graph import Adjacency, line_graph
        >>> star = Adjacency.from_edges([0, 0, 0, 1, 2, 3], [1, 2, 3, 0, 0, 0], num_nodes=4)
        >>> line_graph(star).adjacency.to_dense().tolist()
        [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """
    # of the transpose, rows are sources
    turned = adjacency.pattern.transposed
    source, target = turned.row.long(), turned.column.long()
    nodes = adjacency.num_nodes
    if directed:
        leaving, arriving = Pattern.from_segments(source, nodes), Pattern.from_segments(target, nodes)
        follower, followed = _product(leaving, arriving)
        return LineGraph(Adjacency.from_edges(followed, follower, len(source)), source, target, leaving, arriving)
    if not is_symmetric(adjacency):
        forth, back = (_keys(*ends, nodes) for ends in ((source, target), (target, source)))
        # an edge that is there more often than its reverse, where none is missing
        alone = ~torch.isin(forth, back)
        edge = int((alone if bool(alone.any()) else forth != back.sort()[0]).nonzero()[0])
        raise DataError(
            f"the edge {int(source[edge])} -> {int(target[edge])} and its reverse are not there equally often: give both directions of each, "
            "or ask for the line graph of directed edges (directed=True)"
        )
    once = source <= target
    source, target = source[once], target[once]
    number, proper = torch.arange(len(source), device=source.device), source != target
    end = torch.cat([source, target[proper]])
    incidence, _ = Pattern.from_pairs(end, torch.cat([number, number[proper]]), nodes, len(source))
    one, other = _product(incidence, incidence)
    joined = one != other
    return LineGraph(
        Adjacency.from_edges(other[joined], one[joined], len(source)), source, target, incidence, incidence
    )


def is_symmetric(adjacency: Adjacency) -> bool:
    """Whether each edge is there as often as its reverse, whatever their weights."""
    pattern, turned = adjacency.pattern, adjacency.pattern.transposed
    return torch.equal(pattern.rowptr, turned.rowptr) and torch.equal(pattern.column, turned.column)


def edges_at_ends(adjacency: Adjacency) -> Pattern:
    """Edges × edges: for each edge those that arrive at its target, itself among them, and those that arrive at its source; of a loop, once.

    Where each edge is there in both directions, those are all edges that share an end with it, seen from the end that they share. Edges are numbered as
    the adjacency does.

    Raises:
        DataError: there are more than 2³¹ such pairs.
    """
    arriving = adjacency.pattern.by_row
    source, target = adjacency.source.long(), adjacency.target.long()
    proper = (source != target).nonzero().squeeze(1)
    here, there = _select(arriving, target), _select(arriving, source[proper])
    row = torch.cat([here.row.long(), proper.index_select(0, there.row.long())])
    return Pattern.from_pairs(row, torch.cat([here.column, there.column]), len(source), len(source))[0]


def _keys(source: Tensor, target: Tensor, nodes: int) -> Tensor:
    return source * max(nodes, 1) + target


def _product(left: Pattern, right: Pattern) -> tuple[Tensor, Tensor]:
    """Rows and columns of the entries of Lᵀ R, L and R being nodes × edges, an entry of 2 twice."""
    turned = left.transposed
    entries = _select(right, turned.column.long())
    return turned.row.index_select(0, entries.row.long()).long(), entries.column.long()


def _select(edges: Pattern, nodes: Tensor) -> Pattern:
    """The edges of each of some nodes, if memory can hold them."""
    total = int(edges.count.long().index_select(0, nodes).sum())
    if total >= INT32_MAX:
        hub = int(edges.count.argmax())
        raise DataError(
            f"{total:,} pairs of edges share an end, above {INT32_MAX:,}: node {hub} alone has {int(edges.count[hub]):,} edges, each of which meets all the others; "
            "take a part of the graph, or leave out edges of such nodes"
        )
    return edges.select(nodes)[0]


def _reduced(pattern: Pattern, x: Tensor, reduce: str) -> Tensor:
    if reduce not in ("sum", "mean"):
        raise UsageError(f"reduce = {reduce!r}: it is 'sum' or 'mean'")
    return segment_sum(x, pattern) if reduce == "sum" else segment_mean(x, pattern)
