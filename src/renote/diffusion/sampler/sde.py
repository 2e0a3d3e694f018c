"""Samplers of the reverse-time SDE, with Langevin steps to correct them.

Song, Sohl-Dickstein, Kingma, Kumar, Ermon & Poole, "Score-Based Generative Modeling through Stochastic Differential Equations", ICLR 2021, arXiv:2011.13456.

    dx = (f x - g² ∇ log q_t) dt + g dw̄                                              (6)
    Euler-Maruyama:       x_s = x_t - (f x_t - g² score) (t - s) + g √(t - s) ε
    reverse diffusion:    x_s = (2 - a) x_t + v score + √v ε                          (46), with x_t = a x_s + √v ε the forward step
    corrector:            x ← x + δ score + √(2δ) ε, δ = 2 a² (snr sigma)²            algorithms 4 and 5

The last step, to t = 0, adds no noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from renote.diffusion import grid as grids
from renote.diffusion.condition import Condition
from renote.diffusion.denoiser import Estimator
from renote.diffusion.noise import NormalSource
from renote.diffusion.process.gaussian import GaussianProcess
from renote.diffusion.sampler.loop import State, times
from renote.diffusion.sampler.ode import levels
from renote.diffusion.schedule import Schedule
from renote.errors import UsageError, unknown

Predictor = Literal["euler-maruyama", "reverse-diffusion", "ancestral", "none"]


@dataclass(frozen=True)
class PredictorCorrector:
    """A predictor's step from t to s, then Langevin steps at s; between the two, nothing at s = 0.

    Args:
        predictor: `"euler-maruyama"`, `"reverse-diffusion"`, `"ancestral"`, or `"none"`, which rescales only, x_s = alpha_s/alpha_t x_t, and leaves the work to the
            corrector.
        corrector_steps: Langevin steps a level, M; 0 for none.
        snr: r, how far a Langevin step goes.

    Raises:
        UsageError: for an unknown predictor, or numbers out of range.

    Source: Song et al. 2021, section 4.2, algorithms 2 to 5. Theirs has δ = 2 a² (snr |ε| / |score|)² with norms that are means over the batch; here the norms are
    those expected of noise, |ε|² = d and |score|² = d / sigma², so that no sample depends on its neighbours, nor a step on where it starts.
    """

    predictor: Predictor = "reverse-diffusion"
    corrector_steps: int = 1
    snr: float = 0.16

    def __post_init__(self) -> None:
        if self.predictor not in get_args(Predictor):
            raise unknown("predictor", self.predictor, get_args(Predictor))
        if self.corrector_steps < 0 or not self.snr > 0:
            raise UsageError(
                f"corrector_steps = {self.corrector_steps}, snr = {self.snr}: needs corrector_steps >= 0 and snr > 0"
            )

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
        return self._walk(denoiser, process, noisy, grid, noise, condition)

    @torch.no_grad()
    def _walk(
        self,
        denoiser: Estimator,
        process: GaussianProcess,
        noisy: Tensor,
        grid: Sequence[tuple[float, float]],
        noise: NormalSource | None,
        condition: Condition | None,
    ) -> Iterator[State]:
        schedule = process.schedule
        for i, (t, s) in enumerate(grid):
            last = s == 0
            fresh = None if last else _draw(noise, noisy)
            (alpha_t, alpha_s), _ = levels(schedule, t, s)
            if self.predictor == "none" and not last:
                estimate, noisy = noisy, noisy * (alpha_s / alpha_t)
            else:
                estimate = denoiser(noisy, times(noisy, t), condition)
                noisy = self._predict(process, noisy, estimate, t, s, fresh)
            for _ in range(0 if last else self.corrector_steps):
                estimate = denoiser(noisy, times(noisy, s), condition)
                noisy = langevin(
                    schedule, noisy, estimate, s, _draw(noise, noisy), self.snr, min(1.0, alpha_t / alpha_s)
                )
            yield State(i, len(grid), t, s, noisy, estimate)

    def _predict(
        self, process: GaussianProcess, noisy: Tensor, estimate: Tensor, t: float, s: float, fresh: Tensor | None
    ) -> Tensor:
        schedule = process.schedule
        if self.predictor == "ancestral" or self.predictor == "none":
            return process.reverse(noisy, estimate, t, s, fresh)
        score = score_of(schedule, noisy, estimate, t)
        if self.predictor == "euler-maruyama":
            at = torch.tensor(t, dtype=torch.float64)
            drift, diffusion = float(schedule.drift(at)), float(schedule.diffusion(at))
            gain, variance = 1 - drift * (t - s), diffusion**2 * (t - s)
        else:
            (alpha_t, alpha_s), _ = levels(schedule, t, s)
            pair = torch.tensor([t, s], dtype=torch.float64)
            gain, variance = 2 - alpha_t / alpha_s, float(process.added_variance(pair[0], pair[1]))
        out = (noisy * gain).add_(score, alpha=variance)
        return out if fresh is None else out.add_(fresh, alpha=variance**0.5)


@dataclass(frozen=True)
class EulerMaruyama(PredictorCorrector):
    """x_s = x_t - (f x_t - g² score) (t - s) + g √(t - s) ε: `PredictorCorrector` with other defaults."""

    predictor: Predictor = "euler-maruyama"
    corrector_steps: int = 0


@dataclass(frozen=True)
class AnnealedLangevin:
    """At each level σ of the grid, x ← x + δ score + √(2δ) ε some times, δ = step_size σ² / σ_last²; then down a level.

    Args:
        step_size: ε, at the last level; the paper's α_i = ε σ_i²/σ_L² is 2δ in Song & Ermon 2019, algorithm 1, and δ in 2020, algorithm 3.
        repeats: T, Langevin steps a level.
        denoise: whether the last step returns the estimate, which takes away what noise is left (Jolicoeur-Martineau et al. 2021; 2020, algorithm 3).

    Raises:
        UsageError: for numbers out of range.

    Source: Song & Ermon 2019, algorithm 1; Song & Ermon 2020, algorithm 3.
    """

    step_size: float = 1e-5
    repeats: int = 10
    denoise: bool = True

    def __post_init__(self) -> None:
        if not self.step_size > 0 or self.repeats < 1:
            raise UsageError(
                f"step_size = {self.step_size}, repeats = {self.repeats}: needs step_size > 0 and repeats >= 1"
            )

    def __call__(
        self,
        denoiser: Estimator,
        process: GaussianProcess,
        noisy: Tensor,
        grid: Sequence[tuple[float, float]],
        noise: NormalSource | None = None,
        condition: Condition | None = None,
    ) -> Iterator[State]:
        """States, one a level; arguments as for `Sampler`."""
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
        _, (last,) = levels(schedule, grid[-1][0])
        for i, (t, s) in enumerate(grid):
            (alpha_t, alpha_s), (sigma, _) = levels(schedule, t, s)
            step = self.step_size * (sigma / last) ** 2
            for _ in range(self.repeats):
                estimate = denoiser(noisy, times(noisy, t), condition)
                noisy = noisy + step * score_of(schedule, noisy, estimate, t)
                noisy.add_(_draw(noise, noisy), alpha=(2 * step) ** 0.5)
            if s == 0 and self.denoise:
                estimate = noisy = denoiser(noisy, times(noisy, t), condition)
            else:
                noisy = noisy * (alpha_s / alpha_t)
            yield State(i, len(grid), t, s, noisy, estimate)


def langevin(
    schedule: Schedule, noisy: Tensor, estimate: Tensor, t: float, fresh: Tensor, snr: float, shrink: float = 1.0
) -> Tensor:
    """x + δ score + √(2δ) ε, δ = 2 a² (snr sigma)².

    Args:
        schedule: of the noisy data.
        noisy: (n, …) x_t.
        estimate: (n, …) x̂ at x_t.
        t: the time.
        fresh: (n, …) ε.
        snr: r.
        shrink: a = alpha of the last step; 1 where variance explodes.

    Source: Song et al. 2021, algorithms 4 and 5.
    """
    _, (sigma,) = levels(schedule, t)
    step = 2 * (shrink * snr * sigma) ** 2
    return noisy.add(score_of(schedule, noisy, estimate, t), alpha=step).add_(fresh, alpha=(2 * step) ** 0.5)


def fitted_step(ratio: float, repeats: int) -> float:
    """η = δ / σ² of annealed Langevin dynamics, for which noise comes from one level as near to the next one's variance as it can.

    v(η) = (1 - η)^2T (γ² - 2/(2 - η)) + 2/(2 - η), in units of σ²: what T steps make of noise of variance γ² σ²; it should be 1. For `AnnealedLangevin`,
    step_size = η σ_last².

    Args:
        ratio: γ > 1, of a level's noise to the next one's.
        repeats: T, Langevin steps a level.

    Raises:
        UsageError: for numbers out of range.

    Source: Song & Ermon 2020, "Improved Techniques for Training Score-Based Generative Models", technique 4.
    """
    if not ratio > 1 or repeats < 1:
        raise UsageError(f"ratio = {ratio}, repeats = {repeats}: needs ratio > 1 and repeats >= 1")
    eta = torch.logspace(-6, 0, 6001, dtype=torch.float64)
    reached = 2 / (2 - eta)
    variance = (1 - eta) ** (2 * repeats) * (ratio**2 - reached) + reached
    return float(eta[(variance - 1).abs().argmin()])


def score_of(schedule: Schedule, noisy: Tensor, estimate: Tensor, t: float) -> Tensor:
    """(alpha x̂ - x_t) / sigma²: Tweedie's formula read backwards.

    Args:
        schedule: of the noisy data.
        noisy: (n, …) x_t.
        estimate: (n, …) x̂.
        t: the time.
    """
    (alpha,), (sigma,) = levels(schedule, t)
    return (estimate * alpha).sub_(noisy).div_(sigma**2)


def _draw(noise: NormalSource | None, noisy: Tensor) -> Tensor:
    if noise is None:
        raise UsageError("this sampler adds noise, but none was given")
    return noise.normal(noisy.shape[1:])
