"""Numbers and classes as vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from renote.errors import UsageError


def sinusoidal(value: Tensor, width: int, longest: float = 10_000.0) -> Tensor:
    """e_i = cos(v ω_i), e_{i + width/2} = sin(v ω_i), ω_i = longest^(-2i/width)

    Args:
        value: (n,) e.g. times from 0 to 1000.
        width: of the embedding; even.
        longest: longest wavelength, over 2π.

    Returns:
        (n, width).

    Source:
        Vaswani et al. (2017), section 3.5; order of halves as in Ho et al. (2020).
    """
    half = width // 2
    frequency = torch.exp(torch.arange(half, device=value.device, dtype=torch.float32) * (-math.log(longest) / half))
    angle = value.float()[:, None] * frequency
    return torch.cat([angle.cos(), angle.sin()], 1)


class LabelEmbedding(nn.Module):
    """A vector a class; zero for -1, which asks for nothing.

    Args:
        num_classes: number of classes.
        width: of a vector.
    """

    def __init__(self, num_classes: int, width: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.table = nn.Embedding(num_classes, width)

    def forward(self, label: Tensor) -> Tensor:
        """Labels (n,) int64 in [-1, num_classes) → (n, width).

        Raises:
            UsageError: for a label outside its range.
        """
        if (
            label.device.type == "cpu"
            and label.numel()
            and not -1 <= int(label.min()) <= int(label.max()) < self.num_classes
        ):
            bad = int(label.max()) if int(label.max()) >= self.num_classes else int(label.min())
            raise UsageError(f"label = {bad}: classes are numbered 0 to {self.num_classes - 1}, and -1 is none")
        known = (label >= 0)[:, None]
        out: Tensor = torch.where(known, self.table(label.clamp(min=0)), 0.0)
        return out
