"""DDIM: the same marginals with less noise, or none.

Song, Meng & Ermon, "Denoising Diffusion Implicit Models", ICLR 2021, arXiv:2010.02502.

    x_s = alpha_s x̂ + √(sigma_s² - v²) ε̂ + v ε,    ε̂ = (x_t - alpha_t x̂) / sigma_t                   (12)
    v = eta · sigma_s / sigma_t · √(1 - ᾱ_t / ᾱ_s)                                                     (16)
    eta = 0:    x_s / alpha_s - x_t / alpha_t = (sigma_s / alpha_s - sigma_t / alpha_t) ε̂               (13), Euler for (14)

Without noise the walk is an ordinary differential equation, which also leads from data to its code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from renote.diffusion import grid as grids
from renote.diffusion.condition import Condition
from renote.diffusion.denoiser import Estimator
from renote.diffusion.noise import NormalSource
from renote.diffusion.process.gaussian import GaussianProcess
from renote.diffusion.sampler.loop import State, ancestral_step, times, walk
from renote.errors import UsageError


@dataclass(frozen=True)
class DDIM:
    """x_s = alpha_s x̂ + √(sigma_s² - v²) ε̂ + v ε.

    Args:
        eta: 0 adds no noise, 1 as much as ancestral sampling with the small variance.

    Raises:
        UsageError: for eta outside [0, 1].

    Source: Song et al. 2021, equations 12 and 16.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise UsageError(
                f"eta = {self.eta}: it lies between 0 (no noise added) and 1 (as much as ancestral sampling)"
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
        return walk(denoiser, noisy, grid, condition, ancestral_step(process, noise, self.eta, "small"))

    def invert(
        self,
        denoiser: Estimator,
        process: GaussianProcess,
        clean: Tensor,
        grid: Sequence[tuple[float, float]],
        condition: Condition | None = None,
    ) -> Iterator[State]:
        """The way back, from data to its code: x_t = alpha_t / alpha_s (x_s - sigma_s ε̂) + sigma_t ε̂ up the grid.

        The noise ε̂ of a step from s up to t is asked for at (x_s, t), the time of arrival: decoding will use (x_t, t), so this is the first
        iterate of its exact inverse. At the time of departure it could not be asked for, since s = 0 has no noise to read off an estimate and
        networks of discrete steps are not trained there. Either choice is of order 1.

        Args:
            denoiser: gives estimates of the clean data.
            process: whose noise is removed.
            clean: (n, …) data.
            grid: (t, s) pairs as for sampling; they are walked from the last to the first.
            condition: what is known of each sample.

        Returns:
            States whose `t` is where a step began and `s`, above it, where it ended; the last `noisy` is the code.

        Raises:
            UsageError: if eta is not 0: a draw cannot be taken back.
        """
        if self.eta != 0:
            raise UsageError(f"eta = {self.eta}: only the deterministic sampler has a way back; use DDIM(eta=0)")
        grids.check(grid)
        return _invert(denoiser, process, clean, grid, condition)


@torch.no_grad()
def _invert(
    denoiser: Estimator,
    process: GaussianProcess,
    clean: Tensor,
    grid: Sequence[tuple[float, float]],
    condition: Condition | None,
) -> Iterator[State]:
    noisy = clean
    for i, (t, s) in enumerate(reversed(grid)):
        estimate = denoiser(noisy, times(noisy, t), condition)
        both = torch.tensor([t, s], dtype=torch.float64)
        (alpha_t, alpha_s), (sigma_t, sigma_s) = (
            process.schedule.alpha(both).tolist(),
            process.schedule.sigma(both).tolist(),
        )
        # ε̂ = (x_s - alpha_t x̂) / sigma_t put into x_t, and both terms gathered
        gain = sigma_t - sigma_s * alpha_t / alpha_s
        noisy = noisy * (alpha_t / alpha_s + gain / sigma_t)
        noisy.add_(estimate, alpha=-gain * alpha_t / sigma_t)
        yield State(i, len(grid), s, t, noisy, estimate)
