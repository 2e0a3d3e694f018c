"""Every pool in one form: what it selects, how it reduces, what it connects.

    select     S (nodes × coarse nodes), how much of each node is in which coarse node
    reduce     X' = Sᵀ X
    connect    A', the edges between coarse nodes
    lift       X̂ = S (Sᵀ S)⁻¹ X', the signal on the nodes that is nearest to what was pooled

Grattarola, Zambon, Bianchi & Alippi (2022), "Understanding pooling in graph neural networks", arXiv 2110.05292.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from renote.errors import UsageError, unknown
from renote.graph.adjacency import Adjacency
from renote.graph.conv.spatial import KipfConvolution
from renote.graph.graph import Graph
from renote.graph.network import features_of
from renote.graph.pattern import Pattern
from renote.graph.pool.cluster import diff_pool, pad, unpad
from renote.graph.pool.fixed import Coarse, FixedPool, decimate, pairs
from renote.graph.pool.keep import KeepPool, SAGPool, TopKPool
from renote.graph.pool.modularity import dmon_pool
from renote.graph.segment import product

_RIDGE = 1e-4
"""What is added to the diagonal of Sᵀ S where nodes are shared, whose clusters may be alike."""


@dataclass(frozen=True, eq=False)
class Pooled:
    """What a pool leaves.

    Args:
        graph: of coarse nodes, with their features.
        edge_weight: (coarse edges,) where it is learned; None for those of the graph.
        select: coarse nodes × nodes, the places of Sᵀ.
        share: (entries,) its values; None for ones.
        penalty: what the pool adds to the loss.
        assignment: (nodes, clusters) S within each graph, where a node is in several coarse nodes.
    """

    graph: Graph
    edge_weight: Tensor | None
    select: Pattern
    share: Tensor | None
    penalty: Tensor
    assignment: Tensor | None = None

    def reduce(self, x: Tensor) -> Tensor:
        """Sᵀ X: (nodes, …) → (coarse nodes, …)."""
        return product(self.select, self.share, x)

    def lift(self, x: Tensor, fine: Graph) -> Tensor:
        """S (Sᵀ S)⁻¹ X': (coarse nodes, features) → (nodes, features); 0 where a node is in no coarse node, or with a share of 0.

        Args:
            x: X'.
            fine: what was pooled.
        """
        if self.assignment is not None:
            s = pad(self.assignment, fine)
            square = s.transpose(1, 2) @ s + _RIDGE * torch.eye(s.shape[2], dtype=s.dtype, device=s.device)
            return unpad(s @ torch.linalg.solve(square, pad(x, self.graph)), fine)
        # each node is in one coarse node at most, so Sᵀ S is diagonal
        turned = self.select.transposed
        if self.share is None:
            return product(turned, None, x / self.select.count.to(x.dtype)[:, None])
        size = product(self.select.by_row, None, self.share.square()[:, None])
        size = torch.where(size > 0, size, 1.0)
        return product(turned, self.share.index_select(0, self.select.to_transposed), x / size)


class Keeping(nn.Module):
    """A pool that keeps the nodes with the highest scores: S is 0 but for the gates of those.

    Args:
        pool: of them.
    """

    def __init__(self, pool: KeepPool) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, graph: Graph) -> Pooled:
        """The kept nodes."""
        kept = self.pool(graph)
        index = graph.adjacency.pattern.rowptr.dtype
        rows = torch.arange(len(kept.node) + 1, dtype=index, device=kept.node.device)
        select = Pattern(rows, kept.node.to(index), graph.num_nodes)
        return Pooled(kept.graph, None, select, kept.gate, kept.gate.new_zeros(()))


class Shared(nn.Module):
    """Nodes shared among clusters: S = softmax(conv(X, A)), A' = Sᵀ A S, a complete graph of clusters; DiffPool and DMoN differ in what they ask of S.

    Args:
        features: a node comes with.
        clusters: of each graph.
        modular: whether S is to have many edges within clusters, as DMoN's, without its SeLU on X', so that lifting is what it is; else to be like A, as DiffPool's.

    Source:
        Ying et al. (2018); Tsitsulin et al. (2020).
    """

    def __init__(self, features: int, clusters: int, modular: bool = False) -> None:
        super().__init__()
        if clusters < 1:
            raise UsageError(f"clusters = {clusters}: at least one")
        self.assign, self.clusters, self.modular = KipfConvolution(features, clusters), clusters, modular

    def forward(self, graph: Graph) -> Pooled:
        """The clusters of each graph that has nodes."""
        x = features_of(graph)
        assert isinstance(x, Tensor)
        scores = self.assign(x, graph.adjacency)
        if self.modular:
            communities = dmon_pool(graph, x, scores)
            graphs, penalty = communities.graphs, communities.spectral + communities.collapse
        else:
            clustered = diff_pool(graph, x, scores)
            graphs, penalty = clustered.graphs, clustered.link + clustered.entropy
        members, k = graph.members, self.clusters
        there = (members.count > 0).nonzero().squeeze(1)
        places = torch.arange(k, device=there.device)
        first = k * torch.arange(len(there), device=there.device)
        column = (first[:, None, None] + places[None, None, :]).expand(-1, k, -1).reshape(-1)
        rows = torch.arange(0, len(column) + 1, k, device=there.device)
        pattern = Pattern(rows.to(torch.int32), column.to(torch.int32), k * len(there))
        adjacency, owner = Adjacency(pattern), there.repeat_interleave(k)
        # row (g, c) of Sᵀ holds all nodes of g
        shares = scores.softmax(1)
        begin = torch.zeros_like(members.count, dtype=torch.long).index_copy_(0, there, first)
        row = (begin.index_select(0, members.row.long())[:, None] + places).flatten()
        column = torch.arange(graph.num_nodes, device=row.device).repeat_interleave(k)
        select, order = Pattern.from_pairs(row, column, k * len(there), graph.num_nodes)
        share = shares.flatten() if order is None else shares.flatten().index_select(0, order)
        reduced = product(select, share, x) if self.modular else graphs.x[there].flatten(0, 1)
        coarse = Graph(reduced, adjacency, graph_of_node=owner, num_graphs=graph.num_graphs)
        return Pooled(coarse, graphs.adjacency[there].flatten(), select, share, penalty, shares)


class Fixed(nn.Module):
    """A pool that only looks at the edges, and learns nothing.

    Args:
        pool: `pool(graph)` gives the coarse graphs; one that knew a data set's graphs beforehand looks them up.
    """

    def __init__(self, pool: Callable[[Graph], Coarse]) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, graph: Graph) -> Pooled:
        """The coarse graph."""
        x, coarse = features_of(graph), self.pool(graph)
        assert isinstance(x, Tensor)
        reduced = product(coarse.select, None, x)
        return Pooled(coarse.graph.with_x(reduced), None, coarse.select, None, x.new_zeros(()))


POOLS: dict[str, Callable[[int, float, int], nn.Module]] = {
    "top-k": lambda features, ratio, clusters: Keeping(TopKPool(features, ratio)),
    "sagpool": lambda features, ratio, clusters: Keeping(SAGPool(features, ratio)),
    "diffpool": lambda features, ratio, clusters: Shared(features, clusters),
    "dmon": lambda features, ratio, clusters: Shared(features, clusters, modular=True),
    "graclus": lambda features, ratio, clusters: Fixed(FixedPool(pairs)),
    "ndp": lambda features, ratio, clusters: Fixed(FixedPool(decimate)),
}
"""Name → pool, of (features a node comes with, share of the nodes that is kept, clusters of a graph). Those that learn nothing halve a graph whatever is asked."""


def make_pool(name: str, features: int, ratio: float = 0.5, clusters: int = 1) -> nn.Module:
    """A pool by name; called with a graph of dense features it gives a `Pooled`.

    Args:
        name: one of `POOLS`.
        features: a node comes with.
        ratio: share of a graph's nodes that is kept, of those that keep nodes.
        clusters: of a graph, of those that share nodes.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in POOLS:
        raise unknown("pool", name, POOLS)
    return POOLS[name](features, ratio, clusters)
