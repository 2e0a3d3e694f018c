"""Convolutions that are polynomials of the Laplacian.

Defferrard, Bresson & Vandergheynst (2016), "Convolutional neural networks on graphs with fast localized spectral filtering", arXiv 1606.09375.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from renote.errors import UsageError, unknown
from renote.graph.adjacency import Adjacency
from renote.graph.operator import chebyshev, clenshaw, scaled_laplacian
from renote.graph.sparse import SparseFeatures


class ChebyshevConvolution(nn.Module):
    """Y = Σ_k T_k(L̃) X Θ_k + b for k = 0 … order, with L̃ = L - I, L the symmetric or random-walk Laplacian.

    Signals as wide as the narrower side pass along the edges: T_k(L̃) X by the recursion where the input is not wider than the output, else X Θ_k
    summed by Clenshaw's. Both take `order` sparse products.

    Args:
        in_features: features a node comes with.
        out_features: features it leaves with.
        order: of the polynomial, the number of hops; the paper's K - 1.
        bias: whether b is there; it starts at zero, each Θ_k as in Glorot & Bengio (2010), uniform.
        kind: of Laplacian. For both, 2 bounds the eigenvalues whatever the graph, so that a graph is the same in any batch.

    Shapes:
        x: (nodes, in_features), dense or `SparseFeatures`, or (nodes, …, in_features), many signals on one graph. Output: (nodes, …, out_features).

    Source:
        Defferrard et al. (2016), eq. 4, with λ_max at its bound as in Kipf & Welling (2017), section 2.2.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        order: int = 2,
        bias: bool = True,
        kind: Literal["symmetric", "random-walk"] = "symmetric",
    ) -> None:
        super().__init__()
        if order < 0:
            raise UsageError(f"order is {order}: it must be 0 or more")
        if kind not in ("symmetric", "random-walk"):
            raise unknown("kind of Laplacian", kind, ["symmetric", "random-walk"])
        self.in_features, self.out_features, self.order, self.kind = in_features, out_features, order, kind
        self.weight = nn.Parameter(torch.empty(order + 1, in_features, out_features))
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot uniform weights, zero bias."""
        for weight in self.weight:
            nn.init.xavier_uniform_(weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor | SparseFeatures, adjacency: Adjacency) -> Tensor:
        """`order` hops; arguments as the class says."""
        if x.shape[-1] != self.in_features:
            raise UsageError(f"x has {x.shape[-1]} features a node and the convolution takes {self.in_features}")
        operator = scaled_laplacian(adjacency, self.kind)
        if isinstance(x, Tensor) and self.in_features <= self.out_features:
            signals = torch.cat(list(chebyshev(operator, x, self.order)), -1)
            out = signals @ self.weight.reshape(-1, self.out_features)
        else:
            projected = x @ self.weight.transpose(0, 1).reshape(self.in_features, -1)
            out = clenshaw(operator, projected.view(*x.shape[:-1], self.order + 1, self.out_features).movedim(-2, 0))
        return out if self.bias is None else out + self.bias

    def responses(self, values: Tensor) -> Tensor:
        """f(λ) = Σ_k T_k(λ - 1) Θ_k, (values, in_features, out_features), at eigenvalues λ of the Laplacian, (values,)."""
        angle = (values - 1).clamp(-1.0, 1.0).to(self.weight.dtype).arccos()
        degree = torch.arange(self.order + 1, device=angle.device, dtype=angle.dtype)
        # T_k(cos a) = cos k a
        found: Tensor = torch.tensordot((angle[:, None] * degree).cos(), self.weight, 1)
        return found

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.in_features}, {self.out_features}, order={self.order}, bias={self.bias is not None}"
