"""Schedules of T discrete steps, as functions of t in [0, 1] that pass through the papers' values at t = k/T."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from renote.diffusion.schedule.base import PreservingSchedule
from renote.errors import UsageError


class LinearSchedule(PreservingSchedule):
    """ᾱ(k/T) = Π_{i ≤ k} (1 - β_i), β_i from β_1 to β_T in equal steps; log ᾱ is linear between the k/T.

    Args:
        num_steps: T.
        beta_start: β_1; by default 0.1 / T, which is the paper's 1e-4 for its 1000 steps and corrupts as much for any T.
        beta_end: β_T; by default 20 / T (the paper's 0.02), at most 0.999.

    Raises:
        UsageError: if T < 1 or not 0 < β_1 ≤ β_T < 1.

    Source: Ho, Jain & Abbeel 2020, section 4; rescaling to other T: Nichol & Dhariwal 2021, section 3.
    """

    def __init__(self, num_steps: int = 1000, beta_start: float | None = None, beta_end: float | None = None) -> None:
        self.num_steps = _steps(num_steps)
        self.beta_start = min(0.1 / num_steps, 0.999) if beta_start is None else beta_start
        self.beta_end = min(20 / num_steps, 0.999) if beta_end is None else beta_end
        if not 0 < self.beta_start <= self.beta_end < 1:
            raise UsageError(
                f"beta_start = {self.beta_start}, beta_end = {self.beta_end}: a linear schedule needs 0 < beta_start <= beta_end < 1"
            )
        betas = torch.linspace(self.beta_start, self.beta_end, num_steps, dtype=torch.float64)
        logs = torch.cat([betas.new_zeros(1), torch.log1p(-betas).cumsum(0)])
        self._tables = {torch.device("cpu"): logs}

    def __repr__(self) -> str:
        return f"LinearSchedule({self.num_steps}, {self.beta_start:g}, {self.beta_end:g})"

    def log_alpha_bar(self, t: Tensor) -> Tensor:
        """Σ_{i ≤ k} log(1 - β_i) at t = k/T."""
        table, below, position = self._piece(t)
        return torch.lerp(table[below], table[below + 1], position - below)

    def log_alpha_bar_slope(self, t: Tensor) -> Tensor:
        """T log(1 - β_k) on ((k-1)/T, k/T]."""
        table, below, _ = self._piece(t)
        return (table[below + 1] - table[below]) * self.num_steps

    def _piece(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if t.device not in self._tables:
            self._tables[t.device] = self._tables[torch.device("cpu")].to(t.device)
        position = t.double().clamp(0, 1) * self.num_steps
        # k/T in single precision may lie a little above k: the piece below is the one that is meant
        below = (position - 1e-3).ceil().long().sub(1).clamp(0, self.num_steps - 1)
        return self._tables[t.device], below, position


class CosineSchedule(PreservingSchedule):
    """ᾱ(t) = f(t) / f(0), f(t) = cos²(π/2 · (t + s) / (1 + s)).

    f(1) = 0 would leave no data at all and a division by zero in every formula that reads the data off the noise. The paper therefore keeps β ≤ 0.999,
    which matters at the last of T steps alone: ᾱ(1) = 0.001 ᾱ(1 - 1/T). Here ᾱ(t) never falls below that value, so the schedule equals the
    paper's at every k/T and is finite everywhere.

    Args:
        num_steps: T, which only sets the smallest ᾱ.
        offset: s; keeps the noise of the first steps from being imperceptible.

    Raises:
        UsageError: if T < 1 or s is negative.

    Source: Nichol & Dhariwal 2021, equation 17.
    """

    def __init__(self, num_steps: int = 1000, offset: float = 0.008) -> None:
        self.num_steps = _steps(num_steps)
        if not 0 <= offset < math.inf:
            raise UsageError(f"offset = {offset}: the cosine schedule's offset is not negative")
        self.offset = offset
        self._floor = -math.inf
        last_but_one = torch.tensor(1 - 1 / num_steps, dtype=torch.float64)
        self._floor = float(self.log_alpha_bar(last_but_one)) + math.log(1 - 0.999)

    def __repr__(self) -> str:
        return f"CosineSchedule({self.num_steps}, {self.offset:g})"

    def log_alpha_bar(self, t: Tensor) -> Tensor:
        """2 log cos(angle(t)) - 2 log cos(angle(0)), at least the floor."""
        zero = math.log(math.cos(self.offset / (1 + self.offset) * math.pi / 2))
        # at t = 0 both logarithms may differ in the last bit, and ᾱ > 1 has no sigma
        return (2 * (torch.log(torch.cos(self._angle(t))) - zero)).clamp(self._floor, 0.0)

    def log_alpha_bar_slope(self, t: Tensor) -> Tensor:
        """-π / (1 + s) · tan(angle(t)); zero on the floor."""
        slope = torch.tan(self._angle(t)) * (-math.pi / (1 + self.offset))
        return torch.where(self.log_alpha_bar(t) > self._floor, slope, 0.0)

    def _angle(self, t: Tensor) -> Tensor:
        return (t.double().clamp(0, 1) + self.offset) * (math.pi / 2 / (1 + self.offset))


def _steps(num_steps: int) -> int:
    if num_steps < 1:
        raise UsageError(f"num_steps = {num_steps}: a schedule has at least one step")
    return num_steps
