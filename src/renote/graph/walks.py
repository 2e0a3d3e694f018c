"""Neighbours by importance: those that short random walks visit most, and how often.

Ying, He, Chen, Eksombatchai, Hamilton & Leskovec (2018), "Graph convolutional neural networks for web-scale recommender systems" (PinSage), arXiv 1806.01973.
"""

from __future__ import annotations

import torch
from torch import Tensor

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.pattern import starts
from renote.graph.sampling import uniform

_VISITS = 10_000_000
"""Visits that are in memory at once."""


def important_neighbors(
    adjacency: Adjacency, top: int = 50, walks: int = 100, length: int = 3, seed: int = 0, nodes: Tensor | None = None
) -> Adjacency:
    """An edge from each of the `top` nodes that walks from i visit most, of weight visits / visits of those: A' i = 1 where anything is reached.

    A walk goes from a node to one of those whose edges arrive at it, all alike, whatever their weights; visits of the start are not counted. Of equally visited nodes those
    with lower numbers are taken. A draw is a function of (seed, start, walk, step), so that a node's neighbours are the same in any set of nodes.

    Args:
        adjacency: of the whole graph.
        top: neighbours of a node, at most.
        walks: from each node.
        length: steps of a walk.
        seed: of the draws.
        nodes: (n,) that get neighbours; all by default.

    Returns:
        The adjacency of all nodes, with edges at those that were asked for.

    Raises:
        UsageError: a number below 1.

    Source:
        Ying et al. (2018), section 3.1, importance-based neighbourhoods and importance pooling.
    """
    for name, value in {"top": top, "walks": walks, "length": length}.items():
        if value < 1:
            raise UsageError(f"{name} = {value}: at least 1")
    count = adjacency.num_nodes
    if nodes is None:
        nodes = torch.arange(count, device=adjacency.device)
    sources, targets, weights = [], [], []
    for part in torch.split(nodes, max(1, _VISITS // (walks * length))):
        start, visited = _visits(adjacency, part, walks, length, seed)
        key, visits = torch.unique(start * max(count, 1) + visited, return_counts=True)
        start, visited = key // max(count, 1), key % max(count, 1)
        order = (-visits).argsort(stable=True)
        order = order[start[order].argsort(stable=True)]
        first = starts(torch.bincount(start, minlength=count))
        rank = torch.arange(len(order), device=order.device) - first.index_select(0, start[order])
        kept = order[rank < top]
        total = torch.zeros(count, dtype=torch.double, device=key.device).index_add_(
            0, start[kept], visits[kept].double()
        )
        sources.append(visited[kept])
        targets.append(start[kept])
        weights.append((visits[kept] / total[start[kept]]).float())
    nothing = nodes.new_zeros(0)
    return Adjacency.from_edges(
        torch.cat([nothing, *sources]), torch.cat([nothing, *targets]), count, torch.cat([nothing.float(), *weights])
    )


def _visits(adjacency: Adjacency, nodes: Tensor, walks: int, length: int, seed: int) -> tuple[Tensor, Tensor]:
    """Start and place of each visit; a walk that meets a node at which no edge arrives ends there."""
    first, degree = adjacency.pattern.rowptr.long(), adjacency.pattern.count.long()
    start = nodes.repeat_interleave(walks)
    walk = torch.arange(walks, device=nodes.device).repeat(len(nodes))
    place, starts_, places = start, [], []
    for step in range(length):
        going = degree.index_select(0, place) > 0
        start, walk, place = start[going], walk[going], place[going]
        size = degree.index_select(0, place)
        drawn = (uniform(seed, start, walk * length + step) * size).long()
        place = adjacency.source.long().index_select(0, first.index_select(0, place) + torch.minimum(drawn, size - 1))
        away = place != start
        starts_.append(start[away])
        places.append(place[away])
    return torch.cat(starts_), torch.cat(places)
