"""Euler and Heun for the probability-flow ODE in the noise level, with EDM's stochastic churn.

Karras, Aittala, Aila & Laine, "Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS 2022, arXiv:2206.00364, algorithms 1 and 2.

    y = x / alpha, r = sigma / alpha:    dy / dr = (y - x̂) / r

In these coordinates every schedule's ODE is the same, and Euler is DDIM with eta 0. Heun takes the mean of the slopes at both ends of a step:
two network evaluations, error of order 2; the step to r = 0 has no slope at its end and stays Euler's.
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
from renote.diffusion.sampler.loop import State, times
from renote.diffusion.schedule import Schedule
from renote.errors import UsageError


@dataclass(frozen=True)
class Euler:
    """y_s = y_t + (r_s - r_t) (y_t - x̂) / r_t, after raising the noise level from r_t by a share γ if there is churn.

    γ = min(churn / steps, √2 - 1) where churn_min ≤ r_t ≤ churn_max; the noise added has standard deviation churn_noise √((1 + γ)² - 1) r_t.

    Args:
        churn: S_churn; 0 adds no noise.
        churn_min: S_tmin, a noise level sigma / alpha.
        churn_max: S_tmax.
        churn_noise: S_noise.

    Raises:
        UsageError: for negative values.

    Source: Karras et al. 2022, algorithm 2 without its correction.
    """

    churn: float = 0.0
    churn_min: float = 0.0
    churn_max: float = math.inf
    churn_noise: float = 1.0

    def __post_init__(self) -> None:
        for name in ("churn", "churn_min", "churn_max", "churn_noise"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} = {getattr(self, name)}: it is not negative")

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
        return self._walk(denoiser, process.schedule, noisy, grid, noise, condition)

    @torch.no_grad()
    def _walk(
        self,
        denoiser: Estimator,
        schedule: Schedule,
        noisy: Tensor,
        grid: Sequence[tuple[float, float]],
        noise: NormalSource | None,
        condition: Condition | None,
    ) -> Iterator[State]:
        for i, (t, s) in enumerate(grid):
            here, noisy = self._stir(schedule, noisy, t, len(grid), noise)
            (alpha_t, alpha_s), (sigma_t, sigma_s) = levels(schedule, here, s)
            ratio_t, ratio_s = sigma_t / alpha_t, sigma_s / alpha_s
            estimate = denoiser(noisy, times(noisy, here), condition)
            scaled = noisy / alpha_t
            slope = (scaled - estimate) / ratio_t
            following = scaled.add_(slope, alpha=ratio_s - ratio_t)
            if s > 0:
                following = self._correct(denoiser, following, slope, ratio_s - ratio_t, s, alpha_s, ratio_s, condition)
            noisy = following.mul_(alpha_s)
            yield State(i, len(grid), t, s, noisy, estimate)

    def _correct(
        self,
        denoiser: Estimator,
        scaled: Tensor,
        slope: Tensor,
        step: float,
        s: float,
        alpha: float,
        ratio: float,
        condition: Condition | None,
    ) -> Tensor:
        return scaled

    def _stir(
        self, schedule: Schedule, noisy: Tensor, t: float, steps: int, noise: NormalSource | None
    ) -> tuple[float, Tensor]:
        """Noise added up to a higher level, and its time."""
        (alpha,), (sigma,) = levels(schedule, t)
        ratio = sigma / alpha
        share = min(self.churn / steps, math.sqrt(2) - 1) if self.churn_min <= ratio <= self.churn_max else 0.0
        if share == 0 or t == 1:
            # above t = 1 there is no time, nor a network trained for it
            return t, noisy
        if noise is None:
            raise UsageError(f"churn = {self.churn} adds noise, but none was given")
        raised = min(ratio * (1 + share), _ratio(schedule, 1.0))
        higher = float(schedule.time(torch.tensor(-2 * math.log(raised), dtype=torch.float64)))
        std = self.churn_noise * math.sqrt(max(0.0, raised**2 - ratio**2))
        (alpha_higher,), _ = levels(schedule, higher)
        fresh = noise.normal(noisy.shape[1:])
        return higher, (noisy / alpha).add_(fresh, alpha=std).mul_(alpha_higher)


@dataclass(frozen=True)
class Heun(Euler):
    """Euler's step, then y_s = y_t + (r_s - r_t) (slope at t + slope at s) / 2.

    Args:
        churn: S_churn; 0 adds no noise.
        churn_min: S_tmin, a noise level sigma / alpha.
        churn_max: S_tmax.
        churn_noise: S_noise.

    Source: Karras et al. 2022, algorithm 2.
    """

    def _correct(
        self,
        denoiser: Estimator,
        scaled: Tensor,
        slope: Tensor,
        step: float,
        s: float,
        alpha: float,
        ratio: float,
        condition: Condition | None,
    ) -> Tensor:
        estimate = denoiser(scaled * alpha, times(scaled, s), condition)
        # the mean of both slopes in the place of the first: half their difference is added
        change = (scaled - estimate).div_(ratio).sub_(slope)
        return scaled.add_(change, alpha=step / 2)


def levels(schedule: Schedule, *at: float) -> tuple[list[float], list[float]]:
    """alpha and sigma at some times, as numbers in double precision."""
    t = torch.tensor(at, dtype=torch.float64)
    return schedule.alpha(t).tolist(), schedule.sigma(t).tolist()


def _ratio(schedule: Schedule, t: float) -> float:
    (alpha,), (sigma,) = levels(schedule, t)
    return sigma / alpha
