"""RealNVP: an invertible network of affine couplings, whose log-determinant is a sum; for points, and for sequences.

    y_b = x_b ⊙ exp(s(x_a)) + t(x_a),  y_a = x_a,  log |det| = Σ s(x_a)

Dinh, Sohl-Dickstein & Bengio, "Density estimation using Real NVP", ICLR 2017, arXiv:1605.08803, equations 7 and 8.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.nets.transformer import TransformerLayer


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


class SequenceCoupling(nn.Module):
    """A coupling of sequences: half of each place's channels, seen over all places by a transformer, move the other half. It starts as the identity.

        x ← W (x ⊙ e^a + b),  x_b ← x_b ⊙ exp(s(x_a)) + t(x_a),  log |det| = L (Σ a + log |det W|) + Σ s

    W mixes the channels of a place (Kingma & Dhariwal 2018, "Glow").

    Args:
        length: L.
        features: channels of a place, at least 2.
        width: of the transformer.
        layers: of the transformer.
        heads: of its attention.
        reach: places on either side that a first convolution sees.
    """

    def __init__(self, length: int, features: int, width: int, layers: int, heads: int, reach: int = 4) -> None:
        super().__init__()
        self.parted = features // 2
        self.log_scale, self.shift = nn.Parameter(torch.zeros(features)), nn.Parameter(torch.zeros(features))
        self.mix = nn.Parameter(torch.linalg.qr(torch.randn(features, features))[0])
        self.place = nn.Parameter(torch.randn(length, width) / width**0.5)
        self.around = nn.Conv1d(self.parted, width, 2 * reach + 1, padding=reach)
        self.layers = nn.ModuleList(TransformerLayer(width, heads, 4 * width, 0.0, 0.0, True) for _ in range(layers))
        self.last = nn.Linear(width, 2 * (features - self.parted))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.bound = nn.Parameter(torch.ones(features - self.parted))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, L, features) → y of that shape and log |det| (n,)."""
        x = (x * self.log_scale.exp() + self.shift) @ self.mix.mT
        kept, moved = x[..., : self.parted], x[..., self.parted :]
        log_scale, shift = self._moves(kept)
        whole = x.shape[1] * (self.log_scale.sum() + torch.linalg.slogdet(self.mix)[1])
        return torch.cat([kept, moved * log_scale.exp() + shift], -1), log_scale.sum((1, 2)) + whole

    def inverse(self, y: Tensor) -> Tensor:
        """The x of a y, both (n, L, features)."""
        kept, moved = y[..., : self.parted], y[..., self.parted :]
        log_scale, shift = self._moves(kept)
        x = torch.cat([kept, (moved - shift) * (-log_scale).exp()], -1)
        x = torch.linalg.solve(self.mix, x.mT).mT
        back: Tensor = (x - self.shift) * (-self.log_scale).exp()
        return back

    def _moves(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        h = self.around(kept.mT).mT + self.place
        for layer in self.layers:
            h = layer(h)
        log_scale, shift = self.last(h).chunk(2, -1)
        return torch.tanh(log_scale) * self.bound, shift


class SequenceFlow(nn.Module):
    """Couplings of sequences one after the other, whose mixing of channels lets each move all.

    Args:
        length: of the sequences.
        features: channels of a place.
        width: of the transformers.
        couplings: number of couplings.
        layers: of each transformer.
        heads: of its attention.

    Raises:
        UsageError: for numbers that make no network; one channel leaves nothing to move it by.
    """

    def __init__(
        self, length: int, features: int, width: int = 128, couplings: int = 4, layers: int = 1, heads: int = 4
    ) -> None:
        super().__init__()
        for name, value, least in (("length", length, 1), ("features", features, 2), ("couplings", couplings, 1)):
            if value < least:
                raise UsageError(f"{name} = {value}: must be at least {least}")
        self.length, self.features = length, features
        self.couplings = nn.ModuleList(
            SequenceCoupling(length, features, width, layers, heads) for _ in range(couplings)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Data (n, length, features) → code of that shape and log |det ∂code/∂x| (n,)."""
        if x.shape[1:] != (self.length, self.features):
            raise UsageError(
                f"sequences of shape {tuple(x.shape)}: this network takes (n, {self.length}, {self.features})"
            )
        total = x.new_zeros(len(x))
        for coupling in self.couplings:
            x, change = coupling(x)
            total = total + change
        return x, total

    def inverse(self, code: Tensor) -> Tensor:
        """Code (n, length, features) → data."""
        for coupling in reversed(self.couplings):
            code = coupling.inverse(code)  # type: ignore[operator]
        return code


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
