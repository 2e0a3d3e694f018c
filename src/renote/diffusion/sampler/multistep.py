"""Multistep solvers in the log-SNR: several orders for one network evaluation a step.

    h = λ_s - λ_t, λ = log alpha / sigma:    x_s = sigma_s/sigma_t x_t + sigma_s ∫ e^λ x̂ dλ

DPM-Solver++(2M): Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models", arXiv:2211.01095, algorithm 2.
UniPC: Zhao et al. 2023, "UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion Models", arXiv:2302.04867, algorithms 5 to 8 (predicting
the data), B(h) = e^h - 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from renote.diffusion import grid as grids
from renote.diffusion.condition import Condition
from renote.diffusion.denoiser import Estimator
from renote.diffusion.noise import NormalSource
from renote.diffusion.process.gaussian import GaussianProcess
from renote.diffusion.sampler.loop import State, times, walk
from renote.diffusion.sampler.ode import levels
from renote.diffusion.schedule import Schedule
from renote.errors import UsageError


@dataclass(frozen=True)
class DPMSolver:
    """x_s = sigma_s/sigma_t x_t - alpha_s (e^-h - 1) D, D = (1 + 1/2r) x̂_t - 1/2r x̂_before, r = h_before / h.

    The first step, and the step to sigma = 0, whose h is infinite, are of order 1: there D = x̂_t and the step is DDIM's.

    Args:
        order: 2, or 1 for DDIM.

    Raises:
        UsageError: for another order.

    Source: Lu et al. 2022, DPM-Solver++(2M), algorithm 2.
    """

    order: int = 2

    def __post_init__(self) -> None:
        if self.order not in (1, 2):
            raise UsageError(f"order = {self.order}: DPM-Solver++ multistep is of order 1 or 2")

    def __call__(
        self,
        denoiser: Estimator,
        process: GaussianProcess,
        noisy: Tensor,
        grid: Sequence[tuple[float, float]],
        noise: NormalSource | None = None,
        condition: Condition | None = None,
    ) -> Iterator[State]:
        """States, one a step; arguments as for `Sampler`."""
        before: list[tuple[Tensor, float]] = []

        def step(x: Tensor, estimate: Tensor, t: float, s: float) -> Tensor:
            (_, alpha_s), (sigma_t, sigma_s) = levels(process.schedule, t, s)
            span = half_log_snr(process.schedule, s) - half_log_snr(process.schedule, t)
            direction = estimate
            if before and self.order == 2 and s > 0:
                earlier, span_before = before[0]
                ratio = span / (2 * span_before)
                direction = torch.lerp(earlier, estimate, 1 + ratio)
            before[:] = [(estimate, span)]
            return (x * (sigma_s / sigma_t)).add_(direction, alpha=-alpha_s * math.expm1(-span))

        return walk(denoiser, noisy, grid, condition, step)


@dataclass(frozen=True)
class UniPC:
    """A multistep predictor of order p, and a corrector of order p + 1 that uses the next evaluation: none is spent on it.

        x_s = sigma_s/sigma_t x_t - alpha_s (e^-h - 1) x̂_t - alpha_s (e^-h - 1) Σ_m ρ_m (x̂_m - x̂_t) / r_m

    over the estimates before, r_m = (λ_m - λ_t) / h, and for the corrector that at x_s itself, r = 1; the ρ solve Σ_m ρ_m r_m^(k-1) = b_k.

    Args:
        order: p, 1 to 3; the first steps, and those that end in sigma = 0, are of the order that they can have.
        correct: whether the corrector is used.

    Raises:
        UsageError: for another order.

    Source: Zhao et al. 2023, theorem 3.1 and algorithms 5 to 8.
    """

    order: int = 3
    correct: bool = True

    def __post_init__(self) -> None:
        if self.order not in (1, 2, 3):
            raise UsageError(f"order = {self.order}: UniPC is of order 1 to 3")

    def __call__(
        self,
        denoiser: Estimator,
        process: GaussianProcess,
        noisy: Tensor,
        grid: Sequence[tuple[float, float]],
        noise: NormalSource | None = None,
        condition: Condition | None = None,
    ) -> Iterator[State]:
        """States, one a step; arguments as for `Sampler`."""
        grids.check(grid)
        return self._walk(denoiser, process.schedule, noisy, grid, condition)

    @torch.no_grad()
    def _walk(
        self,
        denoiser: Estimator,
        schedule: Schedule,
        noisy: Tensor,
        grid: Sequence[tuple[float, float]],
        condition: Condition | None,
    ) -> Iterator[State]:
        # estimates and their λ, newest first; the noisy sample that the newest step began with
        known: list[tuple[Tensor, float]] = []
        start, order = noisy, 0
        for i, (t, s) in enumerate(grid):
            estimate = denoiser(noisy, times(noisy, t), condition)
            if self.correct and i:
                noisy = _unified(schedule, start, known, grid[i - 1], order, estimate)
            known = [(estimate, half_log_snr(schedule, t)), *known[: self.order - 1]]
            start = noisy
            # towards sigma = 0 the order falls to 1, which its own step has
            order = min(self.order, len(known), len(grid) - i if grid[-1][1] == 0 else self.order)
            noisy = _unified(schedule, noisy, known, (t, s), order if s > 0 else 1, None)
            yield State(i, len(grid), t, s, noisy, estimate)


def _unified(
    schedule: Schedule,
    x: Tensor,
    known: list[tuple[Tensor, float]],
    step: tuple[float, float],
    order: int,
    arrived: Tensor | None,
) -> Tensor:
    """The step of order `order` from x_t, with the estimate at arrival as one more point if there is one."""
    t, s = step
    (_, alpha_s), (sigma_t, sigma_s) = levels(schedule, t, s)
    newest, here = known[0]
    span = half_log_snr(schedule, s) - here
    shrink = math.expm1(-span)
    out = (x * (sigma_s / sigma_t)).add_(newest, alpha=-alpha_s * shrink)
    points = [((at - here) / span, estimate) for estimate, at in known[1:order]]
    if arrived is not None:
        points.append((1.0, arrived))
    if not points:
        return out
    # ∫ of the Taylor terms of e^λ, over the shrink
    wanted, term, factorial = [], shrink / -span - 1, 1.0
    for k in range(1, len(points) + 1):
        wanted.append(term * factorial / shrink)
        factorial *= k + 1
        term = term / -span - 1 / factorial
    ratios = torch.tensor([ratio for ratio, _ in points], dtype=torch.float64)
    powers = torch.stack([ratios**k for k in range(len(points))])
    weights = torch.linalg.solve(powers, torch.tensor(wanted, dtype=torch.float64)).tolist()
    if len(points) == 1:
        # one point: the simplification of section 3.2, which keeps the order
        weights = [0.5]
    for weight, (ratio, estimate) in zip(weights, points):
        out.add_(estimate - newest, alpha=-alpha_s * shrink * weight / ratio)
    return out


def half_log_snr(schedule: Schedule, t: float) -> float:
    """λ = log alpha / sigma at time t; infinite at t = 0."""
    return float(schedule.log_snr(torch.tensor(t, dtype=torch.float64))) / 2
