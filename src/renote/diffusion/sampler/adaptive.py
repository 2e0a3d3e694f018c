"""The probability-flow ODE by an adaptive solver: as many steps as the accuracy asked for needs.

dx/dt = f x - g²/2 ∇ log q_t                                                   Song et al. 2021c, (13)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from renote.diffusion import grid as grids
from renote.diffusion.condition import Condition
from renote.diffusion.denoiser import Estimator
from renote.diffusion.integrate import integrate
from renote.diffusion.noise import NormalSource
from renote.diffusion.process.gaussian import GaussianProcess
from renote.diffusion.sampler.loop import State, times
from renote.diffusion.schedule import Schedule, broadcast
from renote.errors import UsageError


@dataclass(frozen=True)
class AdaptiveODE:
    """Dormand-Prince from the grid's first time to its last but 0, then the estimate there, which takes away what noise is left.

    The grid's other times are not looked at. Each sample has its own steps.

    Args:
        rtol: relative tolerance of a step.
        atol: absolute tolerance of a step.
        last: time at which the integration ends, if the grid's last step begins later.

    Raises:
        UsageError: for numbers that are not positive.

    Source: Song et al. 2021c, section 4.3 and appendix D.4 (RK45, 1e-5).
    """

    rtol: float = 1e-5
    atol: float = 1e-5
    last: float = 1e-3

    def __post_init__(self) -> None:
        for name in ("rtol", "atol", "last"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} = {getattr(self, name)}: it is positive")

    def __call__(
        self,
        denoiser: Estimator,
        process: GaussianProcess,
        noisy: Tensor,
        grid: Sequence[tuple[float, float]],
        noise: NormalSource | None = None,
        condition: Condition | None = None,
    ) -> Iterator[State]:
        """States, one a round of steps; `steps` is a guess from how far the slowest sample came. Arguments as for `Sampler`."""
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
        start, end = grid[0][0], min(self.last, grid[-1][0])
        before, step = start, 0
        for reached in integrate(flow(denoiser, schedule, condition), noisy, start, end, self.rtol, self.atol):
            noisy, now = reached.y, float(reached.t.max())
            share = (start - now) / (start - end)
            guess = max(step + 2, round((step + 1) / max(share, 1e-3)) + 1)
            yield State(step, guess, before, now, noisy, noisy)
            before, step = now, step + 1
        estimate = denoiser(noisy, times(noisy, end), condition)
        yield State(step, step + 1, end, 0.0, estimate, estimate)


def flow(
    denoiser: Estimator, schedule: Schedule, condition: Condition | None = None
) -> Callable[[Tensor, Tensor], Tensor]:
    """(t (n,), x (n, …)) → dx/dt = f x - g²/2 (alpha x̂ - x) / sigma² = (f - λ'/2) x + alpha λ'/2 x̂, λ' = d log_snr / dt.

    Args:
        denoiser: gives estimates.
        schedule: alpha and sigma.
        condition: what is known of each sample.
    """

    def slope(t: Tensor, x: Tensor) -> Tensor:
        time = t.double()
        half = schedule.log_snr_rate(time) / 2
        from_noisy, from_estimate = schedule.drift(time) + half, -schedule.alpha(time) * half
        return broadcast(from_noisy, x) * x + broadcast(from_estimate, x) * denoiser(x, t, condition)

    return slope
