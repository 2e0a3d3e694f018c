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
    value = value.to(torch.promote_types(value.dtype, torch.float32))
    frequency = torch.exp(torch.arange(half, device=value.device, dtype=value.dtype) * (-math.log(longest) / half))
    angle = value[:, None] * frequency
    return torch.cat([angle.cos(), angle.sin()], 1)


def check_each(count: int, time: Tensor, label: Tensor | None) -> None:
    """One time a sample, and one label where there are labels, or an error.

    Raises:
        UsageError: for another shape than (count,).
    """
    if label is not None and label.shape != (count,):
        raise UsageError(f"label of shape {tuple(label.shape)}: give one class number a sample, shape ({count},)")
    if time.shape != (count,):
        raise UsageError(f"time of shape {tuple(time.shape)}: give one time a sample, shape ({count},)")


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
            UsageError: for labels of another type, or outside their range (the range is looked
                at on processors only: elsewhere every step would have to wait for the answer).
        """
        if label.dtype not in (torch.int64, torch.int32):
            raise UsageError(f"label of {label.dtype}: class numbers are torch.int64")
        if label.device.type == "cpu" and len(label):
            low, high = (int(bound) for bound in label.aminmax())
            if low < -1 or high >= self.num_classes:
                bad = low if low < -1 else high
                raise UsageError(f"label = {bad}: classes are numbered 0 to {self.num_classes - 1}, and -1 is none")
        known = (label >= 0)[:, None]
        out: Tensor = torch.where(known, self.table(label.clamp(min=0)), 0.0)
        return out
