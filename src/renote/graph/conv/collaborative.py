"""NGCF's convolution, in which what two nodes have in common is part of the message.

Wang, He, Wang, Feng & Chua (2019), "Neural graph collaborative filtering", arXiv 1905.08108.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.segment import spmm


class CollaborativeConvolution(nn.Module):
    """x'_i = x_i W₁ + Σ_j L_ij (x_j W₁ + (x_j ⊙ x_i) W₂) + b, L = D^-1/2 A D^-1/2.

    The product with x_i leaves the sum, which is one sparse product: Y = L X, X' = (X + Y) W₁ + (Y ⊙ X) W₂ + b.

    Args:
        in_features: width of x.
        out_features: width of x'.
        bias: whether b is there.

    Shapes:
        x (nodes, in_features) → (nodes, out_features).

    Source:
        Wang et al. (2019), eq. 7; the authors' code gives each of the two maps a bias, of which only their sum matters.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(in_features, out_features))
        self.weight_common = nn.Parameter(torch.empty(in_features, out_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        for weight in (self.weight, self.weight_common):
            nn.init.xavier_uniform_(weight)

    def forward(self, x: Tensor, adjacency: Adjacency) -> Tensor:
        """New features of every node."""
        if x.shape[-1] != len(self.weight):
            raise UsageError(f"x has {x.shape[-1]} features a node and the convolution takes {len(self.weight)}")
        near = spmm(adjacency.symmetric(), x)
        out = (x + near) @ self.weight + (near * x) @ self.weight_common
        return out if self.bias is None else out + self.bias
