"""Parts of a graph that are graphs themselves: among some nodes, or around them.

A part's nodes keep their order, so every sum over neighbours adds in the order of the whole, and edges need not be sorted anew. The work is in
proportion to the part, but for one byte and one number a node of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from renote.errors import DataError, UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.graph import Field, Graph
from renote.graph.pattern import Pattern, repeated, starts
from renote.graph.sampling import ALL, sample_by_weight, sample_neighbors
from renote.graph.sparse import SparseFeatures
from renote.graph.whole import Whole


@dataclass(frozen=True, eq=False)
class Subgraph:
    """A part of a graph.

    Args:
        graph: of the part's nodes, numbered anew. Fields that name nodes by number are left behind.
        node: (nodes,) their numbers in the whole, increasing.
        asked: (n,) the places in `node` of the nodes that were asked for, in the order in which they were.
    """

    graph: Graph
    node: Tensor
    asked: Tensor


def induced(graph: Graph, nodes: Tensor) -> Subgraph:
    """Some nodes with every edge between two of them.

    It stands for itself: normalizations are made of its own degrees.

    Args:
        graph: the whole.
        nodes: (n,) numbers; one that is named twice is there once. Or (nodes,) bool, which are taken.

    Raises:
        DataError: a node that does not exist.

    Example:
        >>> import torch
        >>> from renote.graph import Adjacency, Graph, induced
        >>> path = Graph(torch.eye(4), Adjacency.from_edges([0, 1, 2], [1, 2, 3], num_nodes=4))
        >>> induced(path, torch.tensor([3, 2, 0])).graph.adjacency.edge_index().tolist()
        [[1], [2]]
    """
    whole = graph.adjacency
    if nodes.dtype == torch.bool and nodes.shape == (graph.num_nodes,):
        there = nodes
        nodes = node = _numbers(there)
    else:
        there = torch.zeros(graph.num_nodes, dtype=torch.bool, device=whole.device)
        there[_checked(nodes, graph.num_nodes)] = True
        node = there.nonzero().squeeze(1)
    if 8 * len(node) > graph.num_nodes:
        # looking at every edge is cheaper than listing those of most nodes
        edge, rowptr = _inside(whole.pattern, there, node)
    else:
        pattern, edge = whole.pattern.select(node)
        inside = there.index_select(0, pattern.column)
        edge, rowptr = edge[inside], starts(torch.bincount(pattern.row[inside], minlength=len(node)))
    part = _part(graph, node, edge, rowptr, nodes)
    part.graph.adjacency.pattern.symmetric_as(whole.pattern)
    return part


def neighborhood(
    graph: Graph,
    nodes: Tensor,
    fan_outs: Sequence[int],
    seed: int = 0,
    *,
    replace: bool = False,
    weighted: bool = False,
) -> Subgraph:
    """Some nodes, edges that arrive at them, the nodes these come from, edges that arrive there, and so on, drawn hop by hop.

    As many convolutions as there are hops give the nodes that were asked for what they are in the whole, if all edges are taken; else an estimate. The edges
    of a node are drawn once, when it is reached first. Of a row of Kipf's normalization, and of a sum over `adjacency.expected`, that of the part is an
    unbiased estimate; loops that a layer adds are the whole's; all other normalizations are the part's own.

    Args:
        graph: the whole.
        nodes: (n,) numbers; one that is named twice is there once.
        fan_outs: edges a node, from the asked nodes outwards, one number a hop; -1 for all.
        seed: of the draws.
        replace: as `sample_neighbors`.
        weighted: as `sample_neighbors`; the edges that are drawn then have the weights of `sample_by_weight`.

    Raises:
        DataError: a node that does not exist.
        UsageError: as `sample_neighbors`.

    Source:
        Hamilton, Ying & Leskovec (2017), "Inductive representation learning on large graphs", algorithm 2.

    Example:
        >>> import torch
        >>> from renote.graph import Adjacency, Graph, neighborhood
        >>> path = Graph(torch.eye(4), Adjacency.from_edges([0, 1, 2], [1, 2, 3], num_nodes=4))
        >>> neighborhood(path, torch.tensor([3]), [-1, -1]).node.tolist()
        [1, 2, 3]
    """
    whole = graph.adjacency
    hop = torch.full((graph.num_nodes,), -1, dtype=torch.int16, device=whole.device)
    hop[_checked(nodes, graph.num_nodes)] = 0
    reached, edges, counts, weights = [], [], [], []
    for number, fan_out in enumerate(fan_outs):
        frontier = (hop == number).nonzero().squeeze(1)
        if weighted:
            edge, count, stands_for = sample_by_weight(whole, frontier, fan_out, seed, replace)
            weights.append(stands_for)
        else:
            edge, count = sample_neighbors(whole, frontier, fan_out, seed, replace=replace)
        source = whole.source.index_select(0, edge)
        hop[source[hop.index_select(0, source) < 0].long()] = number + 1
        reached.append(frontier)
        edges.append(edge)
        counts.append(count)
    node = (hop >= 0).nonzero().squeeze(1)
    if not reached:
        return _part(graph, node, node[:0], starts(torch.zeros_like(node)), nodes)
    place = torch.searchsorted(node, torch.cat(reached))
    count = torch.zeros_like(node).index_copy(0, place, torch.cat(counts))
    edge, order = edges[0], None
    if len(edges) > 1:
        edge, order = torch.cat(edges).sort()
    share = None if whole.whole is None else _rows(whole.whole.share, edge)
    weight = None
    if weighted:
        weight = weights[0] if order is None else torch.cat(weights).index_select(0, order)
    elif any(fan_out != ALL for fan_out in fan_outs):
        degree = whole.pattern.count.index_select(0, node)
        drawn = repeated((count / degree.clamp(min=1)).double(), count)
        share = drawn if share is None else share * drawn
    kept = Whole(whole.looped_degree.index_select(0, node), share, _rows(whole.loop, node))
    return _part(graph, node, edge, starts(count), nodes, kept, weight)


def rows_of(x: Tensor | SparseFeatures, node: Tensor) -> Tensor | SparseFeatures:
    """The rows of some nodes."""
    return x.select(node) if isinstance(x, SparseFeatures) else x.index_select(0, node)


def _inside(pattern: Pattern, there: Tensor, node: Tensor) -> tuple[Tensor, Tensor]:
    """The edges between nodes that are there, which are `node`, and where those that arrive at each of these begin, with the end of the last."""
    if there.device.type == "cpu":
        # NumPy repeats, counts and finds in a third of the time
        rowptr, mask = pattern.rowptr.numpy(), there.numpy()
        both = mask.take(pattern.column.numpy())
        both &= np.repeat(mask, np.diff(rowptr))
        seen = np.zeros(len(both) + 1, rowptr.dtype)
        both.cumsum(out=seen[1:])
        begins = np.zeros(len(node) + 1, rowptr.dtype)
        seen.take(rowptr[1:].take(node.numpy()), out=begins[1:])
        return torch.from_numpy(np.flatnonzero(both)), torch.from_numpy(begins)
    inside = there.index_select(0, pattern.column) & there.index_select(0, pattern.row)
    before = starts(inside).index_select(0, pattern.rowptr)
    return _numbers(inside), torch.cat([before[:1], before.index_select(0, node + 1)])


def _numbers(there: Tensor) -> Tensor:
    """The numbers of those that are there."""
    if there.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(there.numpy()))
    return there.nonzero().squeeze(1)


def _part(
    graph: Graph,
    node: Tensor,
    edge: Tensor,
    rowptr: Tensor,
    nodes: Tensor,
    whole: Whole | None = None,
    weight: Tensor | None = None,
) -> Subgraph:
    """The part of the edges `edge`, increasing, those that arrive at `node[k]` from `rowptr[k]` to `rowptr[k + 1]`; `weight` is in the place of their own."""
    adjacency = graph.adjacency
    index = adjacency.pattern.rowptr.dtype
    place = torch.empty(graph.num_nodes, dtype=index, device=node.device)
    if place.device.type == "cpu":
        place.numpy()[node.numpy()] = np.arange(len(node), dtype=place.numpy().dtype)
    else:
        place[node] = torch.arange(len(node), dtype=index, device=node.device)
    column = place.index_select(0, adjacency.source.index_select(0, edge))
    if adjacency.weight is not None:
        weight = adjacency.weight.index_select(0, edge) if weight is None else weight.to(adjacency.weight.dtype)
    kinds = {"node": node, "edge": edge}
    fields = {
        name: Field(item.kind, item.value.index_select(0, kinds[item.kind]) if item.kind in kinds else item.value)
        for name, item in graph.fields.items()
        if item.kind != "index"
    }
    part = Graph.part(
        None if graph.x is None else rows_of(graph.x, node),
        Adjacency(Pattern(rowptr.to(index), column, len(node)), weight, whole=whole),
        _rows(graph.edge_features, edge),
        _rows(graph.relation, edge),
        _rows(graph.graph_of_node, node),
        graph.num_graphs,
        fields,
    )
    asked = torch.arange(len(node), device=node.device) if nodes is node else place.index_select(0, nodes.long()).long()
    return Subgraph(part, node, asked)


def _rows(value: Tensor | None, number: Tensor) -> Tensor | None:
    return None if value is None else value.index_select(0, number)


def _checked(nodes: Tensor, num_nodes: int) -> Tensor:
    if nodes.dim() != 1 or nodes.is_floating_point() or nodes.dtype == torch.bool:
        raise UsageError(f"nodes of shape {tuple(nodes.shape)} and {nodes.dtype}: give a list of node numbers")
    if nodes.numel() and not 0 <= int(nodes.min()) <= int(nodes.max()) < num_nodes:
        wrong = int(nodes.min()) if int(nodes.min()) < 0 else int(nodes.max())
        raise DataError(f"there is no node {wrong}: the graph has {num_nodes}, from 0 to {num_nodes - 1}")
    return nodes.long()
