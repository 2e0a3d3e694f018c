"""Guidance: a denoiser made of a denoiser. Wrappers compose with each other and with every sampler.

classifier         x̃ = x̂ + scale sigma²/alpha ∇ log p(c | x_t)            Dhariwal & Nichol 2021, algorithm 2
classifier-free    x̃ = x̂(x) + scale (x̂(x, c) - x̂(x))                      Ho & Salimans 2022, (6)
interval           guided only between two log-SNRs                        Kynkäänniemi et al. 2024, (5)
rescaling          φ x̃ std(x̂(x, c)) / std(x̃) + (1 - φ) x̃                  Lin et al. 2024, (14)-(16)
clipping           x̂ limited to the data's range, fixed                    Ho et al. 2020, released code
thresholding       or by the estimate's own percentile                     Saharia et al. 2022 (Imagen), section 2.3
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from renote.diffusion.condition import Condition
from renote.diffusion.denoiser import Estimator, Moments, moments
from renote.diffusion.schedule import Schedule, broadcast
from renote.errors import UsageError


class Guidance:
    """A denoiser made of a denoiser: says what becomes of the estimate, and passes a learned variance on."""

    def __call__(self, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """The guided estimate of the clean data; arguments as for `Estimator`."""
        return self.moments(noisy, t, condition)[0]

    def moments(self, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Moments:
        """The guided estimate, and the learned variance, None if it is not learned."""
        raise NotImplementedError


@dataclass(frozen=True)
class ClassifierFreeGuidance(Guidance):
    """ε̃ = ε(x) + scale (ε(x, c) - ε(x)).

    Noise is an affine function of the estimate, so the same holds for estimates, whatever the parameterization:
    x̃ = x̂(x) + scale (x̂(x, c) - x̂(x)).

    Args:
        denoiser: told of the condition, or not.
        scale: 0 unconditional, 1 conditional, above 1 extrapolated; the paper's w is scale - 1. At 0 and 1 it is one call with the batch as it is,
            else one call with the batch doubled.
        rescale: φ in [0, 1]: share of the estimate that gets the standard deviation of the conditional one back (Lin et al. 2024).

    Raises:
        UsageError: for a scale that is negative or not finite, or rescale outside [0, 1].

    Source: Ho & Salimans 2022, equation 6; rescaling: Lin et al. 2024, equations 14 to 16.
    """

    denoiser: Estimator
    scale: float
    rescale: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.scale < math.inf:
            raise UsageError(
                f"guidance_scale = {self.scale}: 0 is unconditional, 1 conditional, above 1 extrapolated; it is not negative"
            )
        if not 0 <= self.rescale <= 1:
            raise UsageError(f"guidance_rescale = {self.rescale}: a share lies between 0 and 1")

    def moments(self, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Moments:
        """The guided estimate; the learned variance is that of the conditional one."""
        if condition is None or condition.label is None:
            raise UsageError("guidance needs a condition to guide to: give labels, or leave guidance out")
        if self.scale == 0:
            return moments(self.denoiser, noisy, t, condition.null())
        if self.scale == 1:
            return moments(self.denoiser, noisy, t, condition)
        both, fraction = moments(
            self.denoiser, torch.cat([noisy, noisy]), torch.cat([t, t]), condition.joined(condition.null())
        )
        conditional, unconditional = both.chunk(2)
        guided = torch.lerp(unconditional, conditional, self.scale)
        if self.rescale:
            ratio = conditional.flatten(1).std(1) / guided.flatten(1).std(1).clamp_min(1e-12)
            guided = guided * broadcast(1 + self.rescale * (ratio - 1), guided)
        return guided, None if fraction is None else fraction.chunk(2)[0]


@dataclass(frozen=True)
class ClassifierGuidance(Guidance):
    """x̃ = x̂ + scale sigma² / alpha ∇ log p(c | x_t): the score is p(x_t | c)'s for scale 1.

    Args:
        denoiser: unconditional, or conditional as well.
        classifier: `classifier(noisy, t (n,))` → logits (n, classes), trained on noisy data.
        schedule: alpha and sigma of the noisy data.
        scale: 0 or more; above 1 the classifier's opinion counts for more than it is worth.

    Raises:
        UsageError: for a negative scale; when called, without labels.

    Source: Dhariwal & Nichol 2021, algorithms 1 and 2, by Tweedie's formula.
    """

    denoiser: Estimator
    classifier: Callable[[Tensor, Tensor], Tensor]
    schedule: Schedule
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.scale < math.inf:
            raise UsageError(f"classifier_scale = {self.scale}: it is not negative")

    def moments(self, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Moments:
        """The guided estimate; the learned variance as it is."""
        if condition is None or condition.label is None or bool((condition.label < 0).any()):
            raise UsageError("classifier guidance needs a class for each sample: give labels, or leave it out")
        estimate, fraction = moments(self.denoiser, noisy, t, condition)
        if self.scale == 0:
            return estimate, fraction
        with torch.enable_grad():
            x = noisy.detach().requires_grad_()
            chosen = self.classifier(x, t).log_softmax(1).gather(1, condition.label[:, None]).sum()
            (slope,) = torch.autograd.grad(chosen, x)
        time = t.double()
        gain = self.scale * self.schedule.sigma(time) ** 2 / self.schedule.alpha(time)
        return estimate + broadcast(gain, noisy) * slope, fraction


@dataclass(frozen=True)
class GuidanceInterval(Guidance):
    """Guided where low ≤ log-SNR ≤ high, plain elsewhere.

    Args:
        guided: used inside the interval.
        plain: used outside, at less cost.
        schedule: gives log-SNR at a time.
        low: least log-SNR, on the side of noise.
        high: greatest log-SNR, on the side of data.

    Raises:
        UsageError: if low is above high.

    Source: Kynkäänniemi et al. 2024, "Applying Guidance in a Limited Interval Improves Sample and Distribution Quality", equation 5.
    """

    guided: Estimator
    plain: Estimator
    schedule: Schedule
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise UsageError(
                f"an interval of log-SNR from {self.low} to {self.high} is empty: low must not be above high"
            )

    def moments(self, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Moments:
        """Whichever the first sample's time asks for: samplers walk all samples at one time."""
        log_snr = float(self.schedule.log_snr(t[:1].double()))
        inside = self.low <= log_snr <= self.high
        return moments(self.guided if inside else self.plain, noisy, t, condition)


@dataclass(frozen=True)
class Clip(Guidance):
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

    def moments(self, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Moments:
        """The clipped estimate; the learned variance as it is."""
        estimate, fraction = moments(self.denoiser, noisy, t, condition)
        return estimate.clamp(self.low, self.high), fraction


@dataclass(frozen=True)
class DynamicThresholding(Guidance):
    """x̂ ← clip(x̂, -s, s) / s, s the percentile of |x̂| within the sample, at least 1; for data in [-1, 1].

    Args:
        denoiser: whose estimate is limited.
        percentile: in (0, 1].

    Raises:
        UsageError: for a percentile outside (0, 1].

    Source: Saharia et al. 2022 (Imagen), section 2.3.
    """

    denoiser: Estimator
    percentile: float = 0.995

    def __post_init__(self) -> None:
        if not 0 < self.percentile <= 1:
            raise UsageError(f"percentile = {self.percentile}: lies in (0, 1], e.g. 0.995")

    def moments(self, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Moments:
        """The limited estimate; the learned variance as it is."""
        estimate, fraction = moments(self.denoiser, noisy, t, condition)
        bound = broadcast(estimate.flatten(1).abs().float().quantile(self.percentile, 1).clamp_min(1), estimate)
        return torch.clamp(estimate, -bound, bound) / bound, fraction
