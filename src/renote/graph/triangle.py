"""Triangles: how many an edge is a side of."""

from __future__ import annotations

import torch

from renote.graph.adjacency import Adjacency
from renote.graph.heuristic import among, chunks
from renote.graph.pattern import repeated

_CHUNK_ENTRIES = 1 << 22


def triangles(adjacency: Adjacency) -> Adjacency:
    """The same edges, each weighted by the triangles that it is a side of: the i → j → k that close it, A ∘ A².

    A² is never made, which around a hub joins all its neighbours: for each edge i → k, those that i sends to or those that send to k, whichever are fewer, are
    looked up among the edges. Without direction that is at most of the order of edges^1.5; memory is that of the edges.

    Args:
        adjacency: weights are not read; duplicates count once, loops and edges of no triangle are left out.

    Source:
        Monti, Otness & Bronstein (2018), "MotifNet"; the operator of Rossi et al. (2020), section 3. The order: Chiba & Nishizeki (1985).
    """
    distinct, _ = adjacency.pattern.distinct
    keep = distinct.row != distinct.column
    nodes = adjacency.num_nodes
    target, source = distinct.row[keep].long(), distinct.column[keep].long()
    plain = Adjacency.from_edges(source, target, nodes)
    arriving, leaving = plain.pattern, plain.pattern.transposed
    key, closed = target * nodes + source, torch.zeros_like(target)
    fewer_arrive = arriving.count.index_select(0, target) <= leaving.count.index_select(0, source)
    for pattern, end, edge in (
        (arriving, target, fewer_arrive.nonzero().squeeze(1)),
        (leaving, source, (~fewer_arrive).nonzero().squeeze(1)),
    ):
        size = pattern.count.long().index_select(0, end[edge])
        for part in chunks(size, _CHUNK_ENTRIES):
            some = edge[part]
            middle = pattern.column.long().index_select(0, pattern.entries_of(end[some]))
            owner = repeated(some, size[part])
            sent = middle * nodes + source[owner] if pattern is arriving else target[owner] * nodes + middle
            closed.index_add_(0, owner, among(key, sent).long())
    sides = closed.nonzero().squeeze(1)
    return Adjacency.from_edges(source[sides], target[sides], nodes, closed[sides].to(torch.float32))
