"""Grids: the (t, s) pairs that a sampler walks, made once. Each step ends where the next begins; the last ends at 0.

A model trained on T discrete steps knows the times k/T, k = 1 … T. A subsequence of `steps` of them is chosen in one of four ways
(names and comparison: Lin et al. 2024, "Common Diffusion Noise Schedules and Sample Steps are Flawed", table 2):

    trailing     k_i = round(i T / steps), i = 1 … steps         begins at t = 1, where the prior is
    leading      k_i = 1 + (i - 1) ⌊T / steps⌋                   DDPM's and DDIM's released code; begins below 1
    uniform      k_i = 1 + round((i - 1) (T - 1) / (steps - 1))  both ends, 1/T and 1
    quadratic    k_i = ⌊T i² / steps²⌋, raised where needed to keep them apart: DDIM, appendix D.2

and by the noise level, for any schedule, from t = 1 to a last time before 0:

    log-snr      equal steps of log alpha/sigma                                Lu et al. 2022 (DPM-Solver), section 3.4
    rho          equal steps of (sigma/alpha)^(1/ρ), ρ = 7                     Karras et al. 2022, (5)
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from renote.diffusion.schedule import Schedule
from renote.errors import UsageError, unknown

Grid = list[tuple[float, float]]
Spacing = Literal["trailing", "leading", "uniform", "quadratic"]


def uniform(steps: int) -> Grid:
    """(t, s) pairs of equal length from 1 to 0, for a model of continuous time.

    Args:
        steps: number of pairs.

    Raises:
        UsageError: if there is not at least one step.
    """
    if steps < 1:
        raise UsageError(f"steps = {steps}: sampling takes at least one step")
    return _pairs(list(range(1, steps + 1)), steps)


def subsequence(num_train_steps: int, steps: int, spacing: Spacing | str = "trailing") -> Grid:
    """(t, s) pairs through `steps` of the times k/T that a model was trained on.

    Args:
        num_train_steps: T.
        steps: number of pairs, 1 to T.
        spacing: which of the times; see the top of this file.

    Raises:
        UsageError: for steps outside 1 … T or an unknown spacing.
    """
    if num_train_steps < 1:
        raise UsageError(f"num_train_steps = {num_train_steps}: a model is trained on at least one step")
    if not 1 <= steps <= num_train_steps:
        raise UsageError(
            f"steps = {steps}: a model trained on {num_train_steps} steps is sampled in 1 to {num_train_steps}"
        )
    if spacing == "trailing":
        chosen = [round(i * num_train_steps / steps) for i in range(1, steps + 1)]
    elif spacing == "leading":
        chosen = [1 + i * (num_train_steps // steps) for i in range(steps)]
    elif spacing == "uniform":
        chosen = (
            [1 + round(i * (num_train_steps - 1) / (steps - 1)) for i in range(steps)]
            if steps > 1
            else [num_train_steps]
        )
    elif spacing == "quadratic":
        chosen = []
        for i in range(1, steps + 1):
            chosen.append(max(num_train_steps * i**2 // steps**2, chosen[-1] + 1 if chosen else 1))
    else:
        raise unknown("spacing", spacing, get_args(Spacing))
    return _pairs(chosen, num_train_steps)


def log_snr(schedule: Schedule, steps: int, last: float = 1e-3, first: float = 1.0) -> Grid:
    """(t, s) pairs with equal steps of the log-SNR between `first` and `last`, then to 0.

    Args:
        schedule: gives the log-SNR.
        steps: number of pairs.
        last: last time before 0.
        first: time at which it begins.

    Raises:
        UsageError: for fewer than one step, or times that are not 0 < last < first ≤ 1.
    """
    ends = _levels(schedule, steps, last, first)
    return _between(schedule, torch.linspace(float(ends[0]), float(ends[1]), steps, dtype=torch.float64), last, first)


def rho(schedule: Schedule, steps: int, last: float = 1e-3, first: float = 1.0, power: float = 7.0) -> Grid:
    """(t, s) pairs with equal steps of (sigma/alpha)^(1/ρ) between `first` and `last`, then to 0.

    Args:
        schedule: gives the noise level.
        steps: number of pairs.
        last: last time before 0.
        first: time at which it begins.
        power: ρ.

    Raises:
        UsageError: as for `log_snr`, or if the power is not positive.
    """
    if not power > 0:
        raise UsageError(f"rho = {power}: must be positive, e.g. 7")
    ends = torch.exp(-_levels(schedule, steps, last, first) / 2) ** (1 / power)
    roots = torch.linspace(float(ends[0]), float(ends[1]), steps, dtype=torch.float64)
    return _between(schedule, -2 * power * roots.log(), last, first)


def check(grid: Sequence[tuple[float, float]]) -> None:
    """Refuse a grid with a gap, a step that does not go down, or no steps.

    Args:
        grid: (t, s) pairs.

    Raises:
        UsageError: naming the first bad step.
    """
    if not grid:
        raise UsageError("the grid is empty: sampling takes at least one step")
    for i, (t, s) in enumerate(grid):
        if not 0 <= s < t <= 1:
            raise UsageError(f"step {i} of the grid goes from {t} to {s}: times must be 0 <= s < t <= 1")
        if i and grid[i - 1][1] != t:
            raise UsageError(f"step {i} of the grid begins at {t}, but the one before ends at {grid[i - 1][1]}")


def _pairs(rising: list[int], of: int) -> Grid:
    times = [k / of for k in reversed(rising)] + [0.0]
    return list(itertools.pairwise(times))


def _levels(schedule: Schedule, steps: int, last: float, first: float) -> Tensor:
    if steps < 1:
        raise UsageError(f"steps = {steps}: sampling takes at least one step")
    if not 0 < last < first <= 1:
        raise UsageError(f"a grid from {first} to {last}: times must be 0 < last < first <= 1")
    return schedule.log_snr(torch.tensor([first, last], dtype=torch.float64)).detach()


def _between(schedule: Schedule, log_snrs: Tensor, last: float, first: float) -> Grid:
    inner = schedule.time(log_snrs[1:-1]).tolist()
    # the ends are given exactly, and an inverse may not be
    times = [*[first, *inner, last][: len(log_snrs)], 0.0]
    return list(itertools.pairwise(times))
