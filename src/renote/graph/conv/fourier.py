"""Convolutions that multiply the graph Fourier transform, frequency by frequency.

Bruna, Zaremba, Szlam & LeCun (2014), "Spectral networks and locally connected networks on graphs", arXiv 1312.6203.
Henaff, Bruna & LeCun (2015), "Deep convolutional networks on graph-structured data", arXiv 1506.05163.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.aggregate import check_width
from renote.graph.spectrum import Eigenbasis


class FourierConvolution(nn.Module):
    """Y_o = U Σ_i f_io ∘ (Uᵀ x_i) + b_o, with U the eigenvectors of one graph's Laplacian.

        free    f_io has a number of its own for each frequency
        smooth  f_io = B α_io, with B the cubic splines of `spline_basis` at the eigenvalues: few numbers, and a filter that is local in space, the
                more so the smoother it is in frequency

    Args:
        in_features: features a node comes with.
        out_features: features it leaves with.
        basis: U, or the part of it with the lowest frequencies: then the others are cut off.
        knots: numbers of a smooth filter; None for free ones.
        bias: whether b is there; it starts at zero, the numbers of a frequency or a knot as in Glorot & Bengio (2010), uniform.

    Shapes:
        x: (nodes, …, in_features), of the basis's graph. Output: (nodes, …, out_features).

    Source:
        Bruna et al. (2014), eq. 3.2; with knots their section 5 on smoothness and Henaff et al. (2015), the section on spectral networks.
    """

    def __init__(
        self, in_features: int, out_features: int, basis: Eigenbasis, knots: int | None = None, bias: bool = True
    ) -> None:
        super().__init__()
        frequencies = len(basis.values)
        self.in_features, self.out_features, self.knots = in_features, out_features, knots
        # as it is, in double precision: a cast of the module does not take it along
        self.basis = basis
        self.spline = None if knots is None else spline_basis(basis.values, knots)
        self.weight = nn.Parameter(torch.empty(knots or frequencies, in_features, out_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        for weight in self.weight:
            nn.init.xavier_uniform_(weight)

    def responses(self) -> Tensor:
        """f, (frequencies, in_features, out_features)."""
        if self.spline is None:
            return self.weight
        out: Tensor = torch.tensordot(self.spline.to(self.weight.dtype), self.weight, 1)
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Arguments as the class says."""
        check_width(x, self.in_features, "convolution")
        if x.shape[0] != self.basis.vectors.shape[0]:
            raise UsageError(f"x has {x.shape[0]} nodes and the basis {self.basis.vectors.shape[0]}")
        vectors = self.basis.vectors.to(x.dtype)
        spectrum = (vectors.T @ x.flatten(1)).view(len(self.basis.values), -1, self.in_features)
        changed = torch.bmm(spectrum, self.responses())
        out = (vectors @ changed.flatten(1)).view(*x.shape[:-1], self.out_features)
        return out if self.bias is None else out + self.bias

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FourierConvolution:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        device = self.weight.device
        self.basis = Eigenbasis(self.basis.values.to(device), self.basis.vectors.to(device))
        self.spline = None if self.spline is None else self.spline.to(device)
        return self

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.in_features}, {self.out_features}, frequencies={len(self.basis.values)}, knots={self.knots}"


def spline_basis(values: Tensor, knots: int) -> Tensor:
    """Cubic B-splines over the range of `values`, evenly spaced and with ends that are met, at `values`.

    They are not negative and sum to 1 everywhere, and any cubic polynomial is a sum of them.

    Args:
        values: (n,) in increasing order, e.g. eigenvalues.
        knots: number of splines, at least 4.

    Returns:
        (n, knots) in double precision.
    """
    from scipy.interpolate import BSpline

    if knots < 4:
        raise UsageError(f"knots is {knots}: a cubic spline has at least 4")
    if not len(values):
        raise UsageError("values is empty: splines lie over a range of values")
    points = values.detach().cpu().double().numpy()
    low, high = float(points[0]), float(points[-1])
    if not high > low:
        high = low + 1.0
    inner = np.linspace(low, high, knots - 2)
    places = np.concatenate([[low] * 3, inner, [high] * 3])
    matrix = BSpline.design_matrix(points.clip(low, high), places, 3).toarray()
    return torch.from_numpy(np.ascontiguousarray(matrix)).to(values.device)
