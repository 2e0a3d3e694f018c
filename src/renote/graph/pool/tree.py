"""Coarser and coarser graphs whose nodes lie in the order of a binary tree, so that pooling is that of a signal on a line.

Defferrard, Bresson & Vandergheynst (2016), "Convolutional neural networks on graphs with fast localized spectral filtering", arXiv 1606.09375.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.pool.matching import cut_matching, merge


@dataclass(frozen=True, eq=False)
class Level:
    """One graph of the tree. Its slots 2 s and 2 s + 1 are the children of slot s of the next coarser one; a slot is a node, or fake.

    Args:
        adjacency: of the nodes.
        place: (slots,) int64, which node; -1 where the slot is fake.
    """

    adjacency: Adjacency
    place: Tensor

    @property
    def real(self) -> Tensor:
        """(slots,) bool, which are nodes."""
        return self.place >= 0

    @cached_property
    def slot(self) -> Tensor:
        """(nodes,) int64, where each is."""
        slot = torch.empty(self.adjacency.num_nodes, dtype=torch.long, device=self.place.device)
        slots = torch.arange(len(self.place), device=self.place.device)
        return slot.index_copy_(0, self.place[self.real], slots[self.real])

    @cached_property
    def arranged(self) -> Adjacency:
        """The same edges between slots; no edge meets a fake one."""
        source, target = (self.slot[end.long()] for end in (self.adjacency.source, self.adjacency.target))
        return Adjacency.from_edges(source, target, len(self.place), self.adjacency.weight)

    def gather(self, x: Tensor) -> Tensor:
        """(nodes, …) → (slots, …), 0 in fake slots."""
        real = self.real.view(-1, *[1] * (x.dim() - 1))
        return torch.where(real, x.index_select(0, self.place.clamp(min=0)), torch.zeros((), dtype=x.dtype))


def coarsen(adjacency: Adjacency, levels: int, seed: int = 0) -> list[Level]:
    """The graph and `levels` coarser ones, each of the pairs that `cut_matching` finds in the one before.

    The finest graph's nodes are visited in a random order, those of the others by increasing degree. Volumes are those of the nodes that were merged, so that
    the cut is always that of the finest graph. A node alone in its pair gets a fake one beside it, and a fake node two.

    Args:
        adjacency: undirected, weights above 0.
        levels: how many times the graph is halved, more or less.
        seed: of the order.

    Returns:
        levels + 1 of them, from fine to coarse; each has twice as many slots as the next.

    Source:
        Defferrard et al. (2016), sections 2.2 and 2.3; the orders are Graclus's and their code's.
    """
    if levels < 0:
        raise UsageError(f"levels is {levels}: it must be 0 or more")
    graphs, pairs = [adjacency], []
    volume = adjacency.in_degree(weighted=True).double()
    order = torch.randperm(adjacency.num_nodes, generator=torch.Generator().manual_seed(seed)).to(adjacency.device)
    for _ in range(levels):
        pair = cut_matching(graphs[-1], order, volume)
        count = int(pair.max()) + 1 if len(pair) else 0
        pairs.append(pair)
        graphs.append(merge(graphs[-1], pair, count))
        volume = torch.zeros(count, dtype=torch.float64, device=adjacency.device).index_add_(0, pair, volume)
        order = torch.argsort(graphs[-1].in_degree(weighted=True), stable=True)
    place = torch.arange(graphs[-1].num_nodes, device=adjacency.device)
    found = [Level(graphs[-1], place)]
    for graph, pair in zip(reversed(graphs[:-1]), reversed(pairs)):
        place = torch.where(place[:, None] >= 0, _members(pair, found[-1].adjacency.num_nodes)[place], -1).view(-1)
        found.append(Level(graph, place))
    return found[::-1]


def tree_max(x: Tensor, factor: int) -> Tensor:
    """y_s = the maximum over slots s · factor … (s + 1) · factor - 1, per feature.

    Args:
        x: (slots, …); what is in a fake slot must not exceed what is in a real one, as 0 where x comes from a ReLU.
        factor: a power of 2; each doubling is one level of the tree.
    """
    if factor < 1 or factor & (factor - 1) or x.shape[0] % factor:
        raise UsageError(f"factor is {factor} for {x.shape[0]} slots: it must be a power of 2 that divides them")
    return x if factor == 1 else x.reshape(x.shape[0] // factor, factor, *x.shape[1:]).amax(1)


def _members(pair: Tensor, count: int) -> Tensor:
    """(count, 2) the nodes of each pair, the lower number first; -1 for none."""
    order = torch.argsort(pair, stable=True)
    second = torch.zeros_like(pair)
    second[1:] = (pair[order][1:] == pair[order][:-1]).long()
    members = pair.new_full((count, 2), -1)
    members[pair[order], second] = order
    return members
