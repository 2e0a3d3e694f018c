"""Sums of neighbours that tell apart what the Weisfeiler-Lehman test tells apart.

Xu, Hu, Leskovec & Jegelka (2019), "How powerful are graph neural networks?", arXiv 1810.00826.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from renote.graph.adjacency import Adjacency
from renote.graph.aggregate import check_width
from renote.graph.segment import spmm
from renote.graph.sparse import SparseFeatures


class IsomorphismConvolution(nn.Module):
    """y_i = W₂ ReLU(norm(W₁ ((1 + ε) x_i + Σ_j w_ij x_j) + b₁)) + b₂.

    W₁ is applied before the sum where it makes the features fewer.

    Args:
        in_features: features a node comes with.
        out_features: features it leaves with.
        hidden: width between the two maps; that of the output by default.
        learn_epsilon: whether ε is learned; it begins at 0, and stays there if not.
        norm: whether there is batch normalization between the maps.

    Shapes:
        x: (nodes, in_features), dense or `SparseFeatures`. Output: (nodes, out_features).

    Source:
        Xu et al. (2019), eq. 4.1.
    """

    one_hop = True
    """Whether a row of the output reads the node, what arrives at it, and no normalization but Kipf's or its own."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: int | None = None,
        learn_epsilon: bool = True,
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        hidden = hidden or out_features
        self.first, self.second = nn.Linear(in_features, hidden), nn.Linear(hidden, out_features)
        self.norm = NodeNorm(hidden) if norm else nn.Identity()
        epsilon = torch.zeros(())
        self.epsilon: Tensor
        if learn_epsilon:
            self.epsilon = nn.Parameter(epsilon)
        else:
            self.register_buffer("epsilon", epsilon)

    def forward(self, x: Tensor | SparseFeatures, adjacency: Adjacency) -> Tensor:
        """One hop; arguments as the class says."""
        check_width(x, self.in_features, "convolution")
        before = not isinstance(x, Tensor) or self.in_features > self.first.out_features
        # the width of the sum is what the hop costs
        own = x @ self.first.weight.T if before else x
        assert isinstance(own, Tensor)
        mixed = (1 + self.epsilon) * own + spmm(adjacency.expected, own)
        inner = mixed + self.first.bias if before else self.first(mixed)
        out: Tensor = self.second(self.norm(inner).relu())
        return out

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.in_features}, {self.out_features}"


class NodeNorm(nn.BatchNorm1d):
    """Batch normalization over nodes; a batch of fewer than two nodes, which has no deviation, is normalized by what was seen before."""

    def forward(self, input: Tensor) -> Tensor:
        """(nodes, features) → the same shape."""
        if self.training and len(input) < 2:
            return nn.functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(input)
