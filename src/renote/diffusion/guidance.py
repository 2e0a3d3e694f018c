"""Guidance: a denoiser made of a denoiser. Wrappers compose with each other and with every sampler.

Classifier-free guidance: Ho & Salimans, "Classifier-Free Diffusion Guidance", 2022, arXiv:2207.12598. Clipping the estimate: Ho et al. 2020,
released code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from renote.diffusion.condition import Condition
from renote.diffusion.denoiser import Estimator
from renote.errors import UsageError


@dataclass(frozen=True)
class ClassifierFreeGuidance:
    """ε̃ = ε(x) + scale (ε(x, c) - ε(x)).

    Noise is an affine function of the estimate, so the same holds for estimates, whatever the parameterization:
    x̃ = x̂(x) + scale (x̂(x, c) - x̂(x)).

    Args:
        denoiser: told of the condition, or not.
        scale: 0 unconditional, 1 conditional, above 1 extrapolated; the paper's w is scale - 1. At 0 and 1 it is one call with the batch as it is,
            else one call with the batch doubled.

    Raises:
        UsageError: for a scale that is negative or not finite.

    Source: Ho & Salimans 2022, equation 6.
    """

    denoiser: Estimator
    scale: float

    def __post_init__(self) -> None:
        if not 0 <= self.scale < math.inf:
            raise UsageError(
                f"guidance_scale = {self.scale}: 0 is unconditional, 1 conditional, above 1 extrapolated; it is not negative"
            )

    def __call__(self, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """The guided estimate of the clean data; arguments as for `Estimator`."""
        if condition is None or condition.label is None:
            raise UsageError("guidance needs a condition to guide to: give labels, or leave guidance out")
        if self.scale == 0:
            return self.denoiser(noisy, t, condition.null())
        if self.scale == 1:
            return self.denoiser(noisy, t, condition)
        both = self.denoiser(torch.cat([noisy, noisy]), torch.cat([t, t]), condition.joined(condition.null()))
        conditional, unconditional = both.chunk(2)
        return torch.lerp(unconditional, conditional, self.scale)


@dataclass(frozen=True)
class Clip:
    """x̂ limited to the range that data has.

    Args:
        denoiser: whose estimate is clipped.
        low: smallest value of data.
        high: largest value of data.

    Raises:
        UsageError: if low is not below high.
    """

    denoiser: Estimator
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise UsageError(f"a range from {self.low} to {self.high} is empty: low must be below high")

    def __call__(self, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """The clipped estimate; arguments as for `Estimator`."""
        return self.denoiser(noisy, t, condition).clamp(self.low, self.high)
