"""RealNVP: an invertible network of affine couplings, whose log-determinant is a sum.

    y_b = x_b ⊙ exp(s(x_a)) + t(x_a),  y_a = x_a,  log |det| = Σ s(x_a)

Dinh, Sohl-Dickstein & Bengio, "Density estimation using Real NVP", ICLR 2017, arXiv:1605.08803, equations 7 and 8.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from renote.errors import UsageError


class AffineCoupling(nn.Module):
    """One coupling: the coordinates in `kept` move the others. It starts as the identity.

    Args:
        kept: (features,) bool, x_a.
        hidden: width of the network for s and t.
        layers: its hidden layers.
    """

    kept: Tensor

    def __init__(self, kept: Tensor, hidden: int, layers: int) -> None:
        super().__init__()
        self.register_buffer("kept", kept.clone())
        widths = [len(kept), *[hidden] * layers]
        inner: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            inner += [nn.Linear(before, after), nn.SiLU()]
        last = nn.Linear(widths[-1], 2 * len(kept))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(*inner, last)
        self.scale = nn.Parameter(torch.ones(len(kept)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, features) → y (n, features) and log |det| (n,)."""
        log_scale, shift = self._moves(x)
        return x * torch.exp(log_scale) + shift, log_scale.sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        """The x of a y, both (n, features)."""
        log_scale, shift = self._moves(y)
        return (y - shift) * torch.exp(-log_scale)

    def _moves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self.network(x * self.kept).chunk(2, 1)
        moved = ~self.kept
        # a bounded logarithm of the scale, with a learned bound: without it couplings run away (section 4.1)
        return torch.tanh(log_scale) * self.scale * moved, shift * moved


class RealNVP(nn.Module):
    """Couplings one after the other, each keeping what the one before moved, after a first affine map of each coordinate.

    Args:
        features: of a point.
        hidden: width inside each coupling.
        couplings: number of couplings.
        layers: hidden layers of each.

    Raises:
        UsageError: for numbers that make no network; with one feature nothing is left to move it by.

    Example:
        >>> import torch
        >>> network = RealNVP(2, hidden=16, couplings=4)
        >>> code, log_determinant = network(torch.randn(5, 2))
        >>> code.shape, log_determinant.shape
        (torch.Size([5, 2]), torch.Size([5]))
    """

    def __init__(self, features: int, hidden: int = 64, couplings: int = 8, layers: int = 2) -> None:
        super().__init__()
        for name, value, least in (
            ("features", features, 2),
            ("hidden", hidden, 1),
            ("couplings", couplings, 1),
            ("layers", layers, 1),
        ):
            if value < least:
                raise UsageError(f"{name} = {value}: must be at least {least}")
        self.features = features
        even = torch.arange(features) % 2 == 0
        self.couplings = nn.ModuleList(
            AffineCoupling(even if i % 2 == 0 else ~even, hidden, layers) for i in range(couplings)
        )
        self.log_scale, self.shift = nn.Parameter(torch.zeros(features)), nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Data (n, features) → code (n, features) and log |det ∂code/∂x| (n,)."""
        if x.ndim != 2 or x.shape[1] != self.features:
            raise UsageError(f"points of shape {tuple(x.shape)}: this network takes (n, {self.features})")
        code = (x + self.shift) * torch.exp(self.log_scale)
        total = self.log_scale.sum().expand(len(x))
        for coupling in self.couplings:
            code, change = coupling(code)
            total = total + change
        return code, total

    def inverse(self, code: Tensor) -> Tensor:
        """Code (n, features) → data."""
        for coupling in reversed(self.couplings):
            code = coupling.inverse(code)  # type: ignore[operator]
        return code * torch.exp(-self.log_scale) - self.shift
