"""Networks that give each user and each item a vector, from who took what.

Nodes are the users, then the items; edges go both ways between a user and each of its items.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.conv.collaborative import CollaborativeConvolution
from renote.graph.pattern import Pattern
from renote.graph.segment import row_sums


def bipartite(user: Tensor, item: Tensor, num_users: int, num_items: int) -> Adjacency:
    """Users 0, 1, …, then items, with an edge in each direction for each pair.

    Args:
        user: (pairs,) int64.
        item: (pairs,) int64.
        num_users: explicit, since some may have no item.
        num_items: likewise.
    """
    item = item + num_users
    return Adjacency.from_edges(torch.cat([user, item]), torch.cat([item, user]), num_users + num_items)


class LightGCN(nn.Module):
    """E = 1/(L + 1) Σ_l Ã^l E⁰, Ã = D^-1/2 A D^-1/2: no weights but the vectors E⁰ themselves.

    Made from the inside, E ← E⁰ + Ã E, so that L products are all that there is, forward and backward, and none of them keeps anything.
    Without layers it is matrix factorization, E = E⁰.

    Args:
        nodes: users and items.
        features: of each vector.
        layers: L.
        spread: deviation of the vectors that training begins with.

    Source:
        He et al. (2020), eq. 3 to 8, with equal weights of the layers; the deviation is that of the authors' code.
    """

    def __init__(self, nodes: int, features: int = 64, layers: int = 3, spread: float = 0.1) -> None:
        super().__init__()
        if features < 1 or layers < 0:
            raise UsageError(f"features is {features} and layers {layers}: at least 1, and 0 or more")
        self.layers = layers
        self.vector = nn.Parameter(torch.randn(nodes, features) * spread)

    def forward(self, adjacency: Adjacency) -> Tensor:
        """E (nodes, features)."""
        if not self.layers:
            return self.vector
        out: Tensor = _LayerMean.apply(self.vector, adjacency.symmetric(), self.layers)  # type: ignore[no-untyped-call]
        return out


class _LayerMean(torch.autograd.Function):
    """1/(L + 1) Σ_l A^l X; its gradient is the same with the transpose, so nothing but A is kept and sums are made in place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, adjacency: Adjacency, layers: int) -> Tensor:
        ctx.adjacency, ctx.layers = adjacency, layers
        return _layer_mean(adjacency.pattern, adjacency.values(x.dtype), x, layers)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        values = ctx.adjacency.transposed_values(grad.dtype)
        return _layer_mean(ctx.adjacency.pattern.transposed, values, grad, ctx.layers), None, None


def _layer_mean(pattern: Pattern, values: Tensor, x: Tensor, layers: int) -> Tensor:
    out = x
    for _ in range(layers):
        out = row_sums(pattern, values, out).add_(x)
    return out.div_(layers + 1)


class NGCF(nn.Module):
    """E = [E⁰ | n(E¹) | … | n(E^L)], E^l = dropout(LeakyReLU(C^l(E^(l-1)))), n divides each vector by its length.

    Args:
        nodes: users and items.
        features: of the vectors E⁰.
        widths: of the L convolutions.
        dropout: probability, on what each convolution gives.

    Source:
        Wang et al. (2019), eq. 7 to 10; lengths and the slope 0.2 are those of the authors' code.
    """

    def __init__(
        self, nodes: int, features: int = 64, widths: Sequence[int] = (64, 64, 64), dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.vector = nn.Parameter(torch.empty(nodes, features))
        nn.init.xavier_uniform_(self.vector)
        self.convolutions = nn.ModuleList(
            CollaborativeConvolution(i, o) for i, o in itertools.pairwise([features, *widths])
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, adjacency: Adjacency) -> Tensor:
        """E (nodes, features + sum of the widths)."""
        x: Tensor = self.vector
        parts = [x]
        for convolution in self.convolutions:
            x = self.drop(functional.leaky_relu(convolution(x, adjacency), 0.2))
            parts.append(functional.normalize(x, dim=1))
        return torch.cat(parts, 1)
