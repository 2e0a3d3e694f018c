"""Convolutions over patches of surfaces: `convolution(x, patches)`.

Masci, Boscaini, Bronstein & Vandergheynst (2015), "Geodesic convolutional neural networks on Riemannian manifolds", arXiv 1501.06297.
Boscaini, Masci, Rodolà & Bronstein (2016), "Learning shape correspondence with anisotropic convolutional neural networks", arXiv 1605.06437.
Monti, Boscaini, Masci, Rodolà, Svoboda & Bronstein (2017), "Geometric deep learning on graphs and manifolds using mixture model CNNs", arXiv 1611.08402.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.aggregate import check_width
from renote.graph.conv.message import MixtureConvolution
from renote.graph.geometry.patch import Patches
from renote.graph.segment import product


class GeodesicConvolution(nn.Module):
    """y_x = max_s Σ_rt (D x)(r, t + s) W_rt + b: a patch of rings and directions, under the best of all turns s of the filter.

    The directions go round, so for all turns at once it is a product of Fourier coefficients over t.

    Args:
        in_features: features a vertex comes with.
        out_features: features it leaves with.
        rings: distances r of a patch.
        angles: directions t.

    Shapes:
        x: (vertices, in_features). patches: of rings × angles places, as `geodesic_patches`. Output: (vertices, out_features).

    Source:
        Masci et al. (2015), eqs. 7 and 8.
    """

    def __init__(self, in_features: int, out_features: int, rings: int = 5, angles: int = 16) -> None:
        super().__init__()
        self.in_features, self.out_features, self.rings, self.angles = in_features, out_features, rings, angles
        self.weight = nn.Parameter(
            _filters(rings * angles, in_features, out_features).view(rings, angles, in_features, -1)
        )
        self.bias = nn.Parameter(torch.zeros(out_features))

    def turns(self, x: Tensor, patches: Patches) -> Tensor:
        """(vertices, angles, out_features) for each turn of the filter."""
        seen = _seen(x, patches, self.in_features, self.rings * self.angles)
        if not len(x):
            return x.new_zeros(0, self.angles, self.out_features)
        # Fourier transforms take neither nothing nor half precision
        wide = torch.promote_types(seen.dtype, torch.float32)
        seen = torch.fft.rfft(seen.to(wide).view(len(x), self.rings, self.angles, self.in_features), dim=2)
        weight = torch.fft.rfft(self.weight.to(wide), dim=1).conj()
        seen, weight = seen.permute(2, 0, 1, 3).flatten(2), weight.transpose(0, 1).flatten(1, 2)
        turned: Tensor = torch.fft.irfft(torch.bmm(seen, weight), n=self.angles, dim=0)
        return turned.transpose(0, 1).to(x.dtype)

    def forward(self, x: Tensor, patches: Patches) -> Tensor:
        """Arguments as the class says."""
        return self.turns(x, patches).amax(1) + self.bias


class AnisotropicConvolution(nn.Module):
    """y_x = Σ_b (D x)(b) W_b + b: a patch whose places b are directions and times of heat.

    Args:
        in_features: features a vertex comes with.
        out_features: features it leaves with.
        bins: places of a patch.

    Shapes:
        x: (vertices, in_features). patches: of `bins` places, as `anisotropic_patches`. Output: (vertices, out_features).

    Source:
        Boscaini et al. (2016), section 4.
    """

    def __init__(self, in_features: int, out_features: int, bins: int) -> None:
        super().__init__()
        self.in_features, self.out_features, self.bins = in_features, out_features, bins
        self.weight = nn.Parameter(_filters(bins, in_features, out_features).flatten(0, 1))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: Tensor, patches: Patches) -> Tensor:
        """Arguments as the class says."""
        return _seen(x, patches, self.in_features, self.bins) @ self.weight + self.bias


class WindowConvolution(nn.Module):
    """y_x = Σ_k Σ_y w(x, y) g_k(ρ, θ) x_y Θ_k + b: a patch of K Gaussian windows over the polar coordinates, all learned; angles go round.

    Windows start where a patch of rings and directions has its places, as wide as those.

    Args:
        in_features: features a vertex comes with.
        out_features: features it leaves with.
        rings: distances at which windows start.
        angles: directions at which they do; K = rings × angles.

    Shapes:
        x: (vertices, in_features). patches: with coordinates, as `polar_patches`. Output: (vertices, out_features).

    Source:
        Monti et al. (2017), eqs. 9 to 11.
    """

    def __init__(self, in_features: int, out_features: int, rings: int = 3, angles: int = 8) -> None:
        super().__init__()
        kernels = rings * angles
        self.mixture = MixtureConvolution(in_features, out_features, kernels, period=(0.0, 2.0))
        with torch.no_grad():
            distance = (torch.arange(rings) + 1) / rings
            angle = 2 * torch.arange(angles) / angles
            self.mixture.center.copy_(torch.cartesian_prod(distance, (angle + 1) % 2 - 1))
            self.mixture.inverse_deviation.copy_(torch.tensor([2.0 * rings, float(angles)]).expand(kernels, 2))
            # a window has the share of the patch that lies in it, not a mean of its own
            filters = kernels * _filters(kernels, in_features, out_features)
            self.mixture.weight.copy_(filters.transpose(0, 1).flatten(1))

    def forward(self, x: Tensor, patches: Patches) -> Tensor:
        """Arguments as the class says."""
        if patches.coordinates is None:
            raise UsageError("these patches have no coordinates: make them by polar_patches")
        out: Tensor = self.mixture(x, patches.adjacency, patches.coordinates)
        return out


def _filters(bins: int, in_features: int, out_features: int) -> Tensor:
    """(bins, in, out) as He et al. (2015): of `bins` in_features numbers that are summed, each as large as x."""
    return torch.randn(bins, in_features, out_features) * math.sqrt(2 / (bins * in_features))


def _seen(x: Tensor, patches: Patches, in_features: int, bins: int) -> Tensor:
    """(vertices, bins in_features)."""
    check_width(x, in_features, "convolution")
    if patches.bins != bins:
        raise UsageError(f"patches of {patches.bins} places for filters of {bins}: make both alike")
    seen: Tensor = product(patches.pattern, patches.values, x)
    return seen.view(len(x), bins * in_features)
