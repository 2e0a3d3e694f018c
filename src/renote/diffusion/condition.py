"""What a sample is to be like: passed through samplers and guidance as one object."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NO_CLASS = -1
"""The label that says nothing."""


@dataclass(frozen=True)
class Condition:
    """What is known of each sample.

    Args:
        label: (n,) int64 class numbers, -1 where nothing is known; None for a network without classes.
    """

    label: Tensor | None = None

    def null(self) -> Condition:
        """The condition that says nothing, for as many samples."""
        return self if self.label is None else Condition(torch.full_like(self.label, NO_CLASS))

    def drop(self, mask: Tensor) -> Condition:
        """The condition with samples where `mask` (n,) is true told nothing."""
        return self if self.label is None else Condition(self.label.masked_fill(mask, NO_CLASS))

    def slice(self, start: int, stop: int) -> Condition:
        """Samples from `start` up to `stop`."""
        return self if self.label is None else Condition(self.label[start:stop])

    def joined(self, other: Condition) -> Condition:
        """These samples, then the other's."""
        if self.label is None or other.label is None:
            return Condition(None)
        return Condition(torch.cat([self.label, other.label]))

    def to(self, device: torch.device | str) -> Condition:
        """The same on a device."""
        return self if self.label is None else Condition(self.label.to(device))
