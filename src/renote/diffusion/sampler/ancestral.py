"""Ancestral sampling: the reverse Markov chain, one draw of q(x_s | x_t, x_0 = estimate) a step.

Ho, Jain & Abbeel, "Denoising Diffusion Probabilistic Models", NeurIPS 2020, algorithm 2; on subsequences and with learned variance: Nichol & Dhariwal 2021.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from renote.diffusion import grid as grids
from renote.diffusion.condition import Condition
from renote.diffusion.denoiser import Estimator, moments
from renote.diffusion.noise import NormalSource
from renote.diffusion.process.gaussian import GaussianProcess
from renote.diffusion.sampler.loop import State, ancestral_step, times, walk
from renote.errors import UsageError, unknown

Choice = Literal["auto", "small", "large", "learned"]


@dataclass(frozen=True)
class Ancestral:
    """x_s = μ̃(x_t, x̂) + w ε.

    Args:
        variance: `"small"`: w² = β̃, right if the data is one point; `"large"`: w² = β, right if the data is N(0, I); `"learned"`:
            between the two, as the network says; `"auto"`: learned if there is such, else small.

    Raises:
        UsageError: for an unknown variance; when walking, for learned variance of a network that has none.

    Source: Ho et al. 2020, equations 7 and 11, section 3.2; Nichol & Dhariwal 2021, equation 15.
    """

    variance: Choice = "auto"

    def __post_init__(self) -> None:
        if self.variance not in get_args(Choice):
            raise unknown("variance", self.variance, get_args(Choice))

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
        if self.variance in ("small", "large"):
            return walk(denoiser, noisy, grid, condition, ancestral_step(process, noise, 1.0, self.variance))
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
        small = ancestral_step(process, noise, 1.0, "small")
        for i, (t, s) in enumerate(grid):
            estimate, fraction = moments(denoiser, noisy, times(noisy, t), condition)
            if fraction is None:
                if self.variance == "learned":
                    raise UsageError("variance = 'learned', but this model's network learned none: use small or large")
                noisy = small(noisy, estimate, t, s)
            else:
                noisy = learned_step(process, noisy, estimate, fraction, t, s, noise)
            yield State(i, len(grid), t, s, noisy, estimate)


def learned_step(
    process: GaussianProcess,
    noisy: Tensor,
    estimate: Tensor,
    fraction: Tensor,
    t: float,
    s: float,
    noise: NormalSource | None,
) -> Tensor:
    """x_s = a x_t + b x̂ + w ε, log w = f log w_large + (1 - f) log w_small; no noise where s = 0.

    Args:
        process: whose steps are undone.
        noisy: (n, …) x_t.
        estimate: (n, …) x̂.
        fraction: (n, …) f.
        t: time of `noisy`.
        s: time to go to.
        noise: gives ε.
    """
    times_ = torch.tensor([[t], [s]], dtype=torch.float64)
    from_noisy, from_estimate, small = (float(c) for c in process.reverse_coefficients(times_[0], times_[1]))
    out = (noisy * from_noisy).add_(estimate, alpha=from_estimate)
    if s == 0:
        return out
    if noise is None:
        raise UsageError("this reverse step adds noise, but none was given")
    large = float(process.added_variance(times_[0], times_[1]).sqrt())
    std = small * torch.exp(fraction * math.log(large / small))
    return out.addcmul_(noise.normal(noisy.shape[1:]), std)
