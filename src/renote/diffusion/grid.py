"""Grids: the (t, s) pairs that a sampler walks, made once. Each step ends where the next begins; the last ends at 0.

A model trained on T discrete steps knows the times k/T, k = 1 … T. A subsequence of `steps` of them is chosen in one of four ways
(names and comparison: Lin et al. 2024, "Common Diffusion Noise Schedules and Sample Steps are Flawed", table 2):

    trailing     k_i = round(i T / steps), i = 1 … steps         begins at t = 1, where the prior is
    leading      k_i = 1 + (i - 1) ⌊T / steps⌋                   DDPM's and DDIM's released code; begins below 1
    uniform      k_i = 1 + round((i - 1) (T - 1) / (steps - 1))  both ends, 1/T and 1
    quadratic    k_i = ⌊T i² / steps²⌋, raised where needed to keep them apart: DDIM, appendix D.2
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal, get_args

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
