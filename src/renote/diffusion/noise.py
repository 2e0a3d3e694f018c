"""Where the randomness of samples comes from: one generator a sample.

Sample i is then the same whatever the batch it is drawn in, on every device: numbers are drawn on the CPU and moved.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from renote.errors import UsageError

MOST_DRAWS, MOST_NUMBERS = 64, 1024
"""How far small draws are made ahead: calling a generator costs as much as some hundred numbers."""


class NormalSource(Protocol):
    """Anything that gives standard normal numbers for a batch."""

    def normal(self, shape: Sequence[int], out: Tensor | None = None) -> Tensor:
        """(n, *shape) standard normal numbers, written to `out` if given."""


class NoiseSource:
    """ε_i ~ N(0, I) by a generator of sample i's own seed.

    Small draws are made ahead, so many at a time as the draw's size says. So the numbers of sample i depend on its seed and on the shapes asked for,
    in their order, and never on the other samples.

    Args:
        seeds: one a sample.
        device: where the numbers are wanted.
        dtype: of the numbers. Other dtypes are other numbers, not the same ones rounded.

    Raises:
        UsageError: for a seed that no generator takes.
    """

    def __init__(
        self, seeds: Sequence[int], device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        for seed in seeds:
            if not 0 <= seed < 2**63:
                raise UsageError(f"seed = {seed}: a seed is a whole number from 0 to 2**63 - 1")
        self.device, self.dtype = torch.device(device), dtype
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._staging: Tensor | None = None
        self._ahead, self._used = torch.empty(len(self._generators), 0, dtype=dtype), 0

    def normal(self, shape: Sequence[int], out: Tensor | None = None) -> Tensor:
        """The next standard normal numbers of every sample.

        Args:
            shape: of one sample.
            out: (n, *shape) to overwrite, for loops that need the numbers only for a moment.

        Returns:
            (n, *shape); `out` if that was given, else a new tensor.
        """
        whole, size = (len(self._generators), *shape), math.prod(shape)
        if out is None:
            out = torch.empty(whole, dtype=self.dtype, device=self.device)
        draws = min(MOST_DRAWS, MOST_NUMBERS // max(1, size))
        if draws > 1:
            return out.copy_(self._taken(size, draws).reshape(whole))
        if out.device.type == "cpu" and out.dtype == self.dtype and out.is_contiguous():
            return self._fill(out)
        if self._staging is None or self._staging.shape != whole:
            self._staging = torch.empty(whole, dtype=self.dtype)
        return out.copy_(self._fill(self._staging))

    def _taken(self, size: int, draws: int) -> Tensor:
        if self._ahead.shape[1] - self._used < size:
            # what is left is too little, and dropped
            if self._ahead.shape[1] != size * draws:
                self._ahead = torch.empty(len(self._generators), size * draws, dtype=self.dtype)
            self._fill(self._ahead)
            self._used = 0
        self._used += size
        return self._ahead[:, self._used - size : self._used]

    def _fill(self, numbers: Tensor) -> Tensor:
        for sample, generator in zip(numbers, self._generators, strict=True):
            sample.normal_(generator=generator)
        return numbers
