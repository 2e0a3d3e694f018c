"""Pairs of neighbours that a coarser graph has as one node.

Dhillon, Guan & Kulis (2007), "Weighted graph cuts without eigenvectors: a multilevel approach" (Graclus).
"""

from __future__ import annotations

import torch
from torch import Tensor

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.sampling import uniform


def cut_matching(adjacency: Adjacency, order: Tensor | None = None, volume: Tensor | None = None) -> Tensor:
    """Greedy pairs: each node in turn, if it has none, takes of its neighbours without one the j with the largest w_ij (1/v_i + 1/v_j).

    That is the step that lowers the normalized cut most. Of equal ones the neighbour with the lowest number is taken.

    Args:
        adjacency: undirected, both directions of every edge, weights above 0; loops are not looked at.
        order: (nodes,) in which they are visited; by their numbers if None.
        volume: (nodes,) v, above 0 where there are edges; the weighted degree if None.

    Returns:
        (nodes,) int64, the pair that each is of, numbered from 0 in the order in which they were made; a node that found no partner is alone in its own.

    Source:
        Defferrard et al. (2016), section 2.2.
    """
    check_undirected(adjacency)
    degree = adjacency.in_degree(weighted=True) if volume is None else volume
    visited = range(adjacency.num_nodes) if order is None else order.tolist()
    if sorted(visited) != list(range(adjacency.num_nodes)):
        raise UsageError(f"order does not name each of the {adjacency.num_nodes} nodes once")
    # plain numbers: the loop is sequential, and lists are what Python reads fastest
    start, neighbors = adjacency.pattern.rowptr.tolist(), adjacency.source.tolist()
    weights, inverse = adjacency.values(torch.float64).tolist(), degree.double().reciprocal().tolist()
    pair, count = [-1] * adjacency.num_nodes, 0
    for node in visited:
        if pair[node] >= 0:
            continue
        pair[node], best, gain = count, -1, 0.0
        for edge in range(start[node], start[node + 1]):
            other = neighbors[edge]
            if pair[other] < 0:
                found = weights[edge] * (inverse[node] + inverse[other])
                if found > gain:
                    best, gain = other, found
        if best >= 0:
            pair[best] = count
        count += 1
    return torch.tensor(pair, dtype=torch.long, device=adjacency.device)


def dominant_matching(adjacency: Adjacency, seed: int = 0, number: Tensor | None = None) -> Tensor:
    """Greedy pairs all at once: an edge whose w_ij (1/d_i + 1/d_j) is above that of every edge that it meets joins its ends; again, until none is left.

    These are the pairs of a greedy pass over all edges from the best on, which lowers the normalized cut most at each step; of equal edges a drawn order decides, so that a few rounds
    are enough.

    Args:
        adjacency: undirected, both directions of every edge, weights above 0; loops are not looked at.
        seed: of the order of equal edges.
        number: (nodes,) int64 of each node, by which equal edges are drawn; of several graphs those within each, so that its pairs do not depend on the others. Their numbers here
            if None.

    Returns:
        (nodes,) int64, the pair that each is of, numbered by their lowest nodes; a node that found no partner is alone in its own.

    Source:
        Preis (1999), "Linear time 1/2-approximation algorithm for maximum weighted matching in general graphs"; the weights are Graclus's, as in `cut_matching`.
    """
    check_undirected(adjacency)
    inverse = adjacency.in_degree(weighted=True).double().reciprocal()
    one = adjacency.source < adjacency.target
    low, high = adjacency.source[one].long(), adjacency.target[one].long()
    gain = adjacency.values(torch.float64)[one] * (inverse[low] + inverse[high])
    order = uniform(seed, *(low, high) if number is None else (number[low], number[high])).argsort()
    order = order[gain[order].argsort(stable=True)]
    rank = torch.empty_like(order).index_copy_(0, order, torch.arange(len(order), device=order.device))
    leader = torch.arange(adjacency.num_nodes, device=adjacency.device)
    free = torch.ones_like(leader, dtype=torch.bool)
    left = torch.arange(len(order), device=order.device)
    while len(left):
        best = torch.full_like(leader, -1)
        for end in (low, high):
            best.scatter_reduce_(0, end[left], rank[left], "amax")
        chosen = left[(best[low[left]] == rank[left]) & (best[high[left]] == rank[left])]
        leader[high[chosen]] = low[chosen]
        free[low[chosen]] = free[high[chosen]] = False
        left = left[free[low[left]] & free[high[left]]]
    pair: Tensor = torch.unique(leader, return_inverse=True)[1]
    return pair


def merge(adjacency: Adjacency, cluster: Tensor, count: int) -> Adjacency:
    """The graph of clusters: weights between two are added, those within one are left out.

    Args:
        adjacency: the finer graph.
        cluster: (nodes,) int64 in [0, count).
        count: of clusters.
    """
    source, target = cluster[adjacency.source.long()], cluster[adjacency.target.long()]
    between = source != target
    key, place = torch.unique(target[between] * count + source[between], return_inverse=True)
    weight = torch.zeros(len(key), dtype=torch.float64, device=adjacency.device)
    weight.index_add_(0, place, adjacency.values(torch.float64)[between])
    return Adjacency.from_edges(key % count, key // count, count, weight)


def check_undirected(adjacency: Adjacency) -> None:
    """Refuse edges without their like in the other direction, and weights that are not above 0."""
    turned = adjacency.transpose()
    values, other = adjacency.values(torch.float64), turned.values(torch.float64)
    alike = torch.equal(adjacency.pattern.rowptr, turned.pattern.rowptr) and torch.equal(
        adjacency.source, turned.source
    )
    if not alike or not torch.allclose(values, other):
        raise UsageError("the graph is directed: give both directions of every edge, with the same weight")
    if adjacency.num_edges and float(values.min()) <= 0:
        edge = int(values.argmin())
        ends = f"{int(adjacency.source[edge])} -> {int(adjacency.target[edge])}"
        raise UsageError(f"the edge {ends} has the weight {float(values[edge]):g}: pairs are made along positive ones")
