"""Networks with one pool in the middle, by which pools are compared.

Grattarola et al. (2022), section 5 and the authors' code.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from renote.graph.adjacency import Adjacency
from renote.graph.aggregate import SumAggregation
from renote.graph.conv.isomorphism import NodeNorm
from renote.graph.graph import Graph
from renote.graph.network import features_of
from renote.graph.segment import spmm


class GeneralConvolution(nn.Module):
    """Y = A ReLU(norm(X W + b)): neighbours' values, mapped first, are added up with the edges' weights.

    Args:
        in_features: a node comes with.
        out_features: it leaves with.
        norm: whether values are normalized over the nodes.

    Source:
        You, Ying & Leskovec (2020), "Design space for graph neural networks", arXiv 2011.08843, eq. 1, with sums.
    """

    def __init__(self, in_features: int, out_features: int, norm: bool = False) -> None:
        super().__init__()
        self.map = nn.Linear(in_features, out_features)
        self.norm = NodeNorm(out_features) if norm else nn.Identity()

    def forward(self, x: Tensor, adjacency: Adjacency, edge_weight: Tensor | None = None) -> Tensor:
        """(nodes, features in) → (nodes, features out)."""
        return spmm(adjacency, self.norm(self.map(x)).relu(), edge_weight)


class _Block(nn.Module):
    """[conv(X) | X]."""

    def __init__(self, in_features: int, hidden: int, norm: bool) -> None:
        super().__init__()
        self.convolution = GeneralConvolution(in_features, hidden, norm)

    def forward(self, x: Tensor, adjacency: Adjacency, edge_weight: Tensor | None = None) -> Tensor:
        return torch.cat([self.convolution(x, adjacency, edge_weight), x], 1)


class PoolAutoencoder(nn.Module):
    """X̂ = MLP(block(lift(pool(block(MLP(X)))))): how much of the features goes through a pool?

    Args:
        features: a node comes with.
        hidden: width of all layers.
        pool: on 2 · hidden features, gives a `Pooled`.
    """

    def __init__(self, features: int, hidden: int, pool: nn.Module) -> None:
        super().__init__()
        self.first = _dense([features, hidden, hidden], False)
        self.fine, self.pool, self.lifted = _Block(hidden, hidden, False), pool, _Block(2 * hidden, hidden, False)
        self.last = nn.Sequential(nn.Linear(3 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, features))

    def forward(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """X̂ (nodes, features), and the pool's penalty."""
        x = self.fine(self.first(features_of(graph)), graph.adjacency)
        pooled = self.pool(graph.with_x(x))
        lifted = pooled.lift(features_of(pooled.graph), graph)
        out: Tensor = self.last(self.lifted(lifted, graph.adjacency))
        return out, pooled.penalty


class PoolClassifier(nn.Module):
    """Z = head(Σ block(pool(block(MLP(X))))): what is a pool worth to a task?

    Args:
        features: a node comes with.
        hidden: width of all layers.
        pool: on 2 · hidden features; None for none.
        head: from 3 · hidden to the logits.
    """

    def __init__(self, features: int, hidden: int, pool: nn.Module | None, head: nn.Module) -> None:
        super().__init__()
        self.first = _dense([features, hidden, hidden], True)
        self.fine, self.pool, self.coarse = _Block(hidden, hidden, True), pool, _Block(2 * hidden, hidden, True)
        self.readout, self.head = SumAggregation(), head

    def forward(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Logits (graphs, classes), and the pool's penalty."""
        x = self.fine(self.first(features_of(graph)), graph.adjacency)
        graph, weight, penalty = graph.with_x(x), None, x.new_zeros(())
        if self.pool is not None:
            pooled = self.pool(graph)
            graph, weight, penalty = pooled.graph, pooled.edge_weight, pooled.penalty
        out = self.coarse(features_of(graph), graph.adjacency, weight)
        logits: Tensor = self.head(self.readout(out, graph.members))
        return logits, penalty


def _dense(widths: list[int], norm: bool) -> nn.Sequential:
    parts: list[nn.Module] = []
    for i, o in itertools.pairwise(widths):
        parts += [nn.Linear(i, o), *([NodeNorm(o)] if norm else []), nn.ReLU()]
    return nn.Sequential(*parts)
