"""Ancestral sampling: the reverse Markov chain, one draw of q(x_s | x_t, x_0 = estimate) a step.

Ho, Jain & Abbeel, "Denoising Diffusion Probabilistic Models", NeurIPS 2020, algorithm 2; on subsequences: Nichol & Dhariwal 2021.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from torch import Tensor

from renote.diffusion.condition import Condition
from renote.diffusion.denoiser import Estimator
from renote.diffusion.noise import NormalSource
from renote.diffusion.process.gaussian import GaussianProcess, Variance
from renote.diffusion.sampler.loop import State, ancestral_step, walk
from renote.errors import unknown


@dataclass(frozen=True)
class Ancestral:
    """x_s = μ̃(x_t, x̂) + w ε.

    Args:
        variance: `"small"`: w² = β̃, right if the data is one point; `"large"`: w² = β, right if the data is N(0, I).

    Raises:
        UsageError: for an unknown variance.

    Source: Ho et al. 2020, equations 7 and 11, section 3.2.
    """

    variance: Variance = "small"

    def __post_init__(self) -> None:
        if self.variance not in get_args(Variance):
            raise unknown("variance", self.variance, get_args(Variance))

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
        return walk(denoiser, noisy, grid, condition, ancestral_step(process, noise, 1.0, self.variance))
