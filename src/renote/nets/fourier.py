"""Fourier features of a network's input: the last digits of its values, where a network can see them.

Kingma et al. 2021, "Variational Diffusion Models", section 3.4 and appendix C.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from renote.errors import UsageError


def fourier_features(x: Tensor, exponents: Sequence[int]) -> Tensor:
    """x, then sin(2^n π x) and cos(2^n π x) for each n, one after the other along the channels.

    Values that lie 2^(1-m) apart turn the features of n = m - 1 by half a turn, and those of n = m not at all.

    Args:
        x: (n, channels, *space) or (n, features).
        exponents: n; the paper's 7 and 8 for 256 values in [-1, 1].

    Returns:
        (n, (1 + 2 · exponents) channels, *space), in the dtype of x.
    """
    # single precision keeps a value's last digits after multiplication by 2^8, half does not
    angles = [x.to(torch.promote_types(x.dtype, torch.float32)) * (2.0**n * math.pi) for n in exponents]
    return torch.cat([x, *(turn(angle).to(x.dtype) for angle in angles for turn in (torch.sin, torch.cos))], 1)


class FourierInput(nn.Module):
    """A network (x, time, label) → value that is given x with its Fourier features.

    Args:
        network: takes (1 + 2 · exponents) times the channels of x.
        exponents: n of `fourier_features`.

    Raises:
        UsageError: for no exponents.
    """

    def __init__(self, network: nn.Module, exponents: Sequence[int]) -> None:
        super().__init__()
        if not exponents:
            raise UsageError("exponents = (): Fourier features need at least one; leave them out")
        self.network, self.exponents = network, tuple(exponents)

    def extra_repr(self) -> str:
        """Exponents."""
        return f"exponents={self.exponents}"

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        """The network's value at x, its time and label."""
        out: Tensor = self.network(fourier_features(x, self.exponents), time, label)
        return out
