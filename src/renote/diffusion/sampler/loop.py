"""The one reverse loop: estimate what the process's step needs, which is the clean data but for heat, take that step, say where we are.

It is a generator: progress, pictures and early stops attach from outside, by walking it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from renote.diffusion import grid as grids
from renote.diffusion.condition import Condition
from renote.diffusion.denoiser import Estimator
from renote.diffusion.noise import NormalSource
from renote.diffusion.process.gaussian import GaussianProcess

Step = Callable[[Tensor, Tensor, float, float], Tensor]


@dataclass(frozen=True, slots=True)
class State:
    """Where a sampler is after one step.

    Args:
        step: number of this step, from 0.
        steps: number of all steps.
        t: time that the step began at.
        s: time that it ended at.
        noisy: (n, …) the samples at time s; clean after the last step.
        estimate: (n, …) the estimate that the step was made with: of the clean data; for heat of the mean one level before.
    """

    step: int
    steps: int
    t: float
    s: float
    noisy: Tensor
    estimate: Tensor


class Sampler(Protocol):
    """From noise to samples along a grid."""

    def __call__(
        self,
        denoiser: Estimator,
        process: GaussianProcess,
        noisy: Tensor,
        grid: Sequence[tuple[float, float]],
        noise: NormalSource | None = None,
        condition: Condition | None = None,
    ) -> Iterator[State]:
        """States, one a step.

        Args:
            denoiser: gives estimates of the clean data.
            process: whose steps are undone.
            noisy: (n, …) samples at the grid's first time; left as they are.
            grid: (t, s) pairs.
            noise: randomness of the steps; may be left out where they have none.
            condition: what is known of each sample.
        """


def walk(
    denoiser: Estimator, noisy: Tensor, grid: Sequence[tuple[float, float]], condition: Condition | None, step: Step
) -> Iterator[State]:
    """The states of `noisy` = step(noisy, estimate, t, s) along the grid.

    Args:
        denoiser: gives estimates of the clean data.
        noisy: (n, …) samples at the grid's first time.
        grid: (t, s) pairs.
        condition: what is known of each sample.
        step: the sampler's own part.

    Raises:
        UsageError: for a grid with gaps; at once, not at the first state.
    """
    grids.check(grid)
    return _walk(denoiser, noisy, grid, condition, step)


@torch.no_grad()
def _walk(
    denoiser: Estimator, noisy: Tensor, grid: Sequence[tuple[float, float]], condition: Condition | None, step: Step
) -> Iterator[State]:
    for i, (t, s) in enumerate(grid):
        estimate = denoiser(noisy, times(noisy, t), condition)
        noisy = step(noisy, estimate, t, s)
        yield State(i, len(grid), t, s, noisy, estimate)


def ancestral_step(process: GaussianProcess, noise: NormalSource | None, eta: float, variance: str) -> Step:
    """The process's reverse step with fresh noise, which is drawn only where the step adds any.

    Args:
        process: whose steps are undone.
        noise: randomness of the steps.
        eta: in [0, 1].
        variance: `"small"` or `"large"`.
    """
    scratch: list[Tensor] = []

    def step(noisy: Tensor, estimate: Tensor, t: float, s: float) -> Tensor:
        fresh = None
        if noise is not None and eta > 0 and s > 0:
            # the numbers are used up within the step, so one piece of memory serves all steps
            fresh = noise.normal(noisy.shape[1:], out=scratch[0] if scratch else None)
            scratch[:] = [fresh]
        return process.reverse(noisy, estimate, t, s, fresh, eta, variance)  # type: ignore[arg-type]

    return step


def times(noisy: Tensor, t: float) -> Tensor:
    """(n,) times t for a batch: at least single precision, as half has no k/1000."""
    dtype = torch.float64 if noisy.dtype == torch.float64 else torch.float32
    return torch.full((len(noisy),), t, dtype=dtype, device=noisy.device)
