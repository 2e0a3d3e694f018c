"""Parameterizations: what a network's output F means, as the affine form that turns it into the estimate of the clean data.

    D(x, t) = c_skip(t) x + c_out(t) F(c_in(t) x, c_noise(t))                    Karras et al. 2022, (7)

    noise      F ≈ ε                     c_skip = 1/alpha    c_out = -sigma/alpha        Ho et al. 2020, (15)
    clean      F ≈ x_0                   c_skip = 0          c_out = 1
    velocity   F ≈ alpha ε - sigma x_0   c_skip = alpha      c_out = -sigma              Salimans & Ho 2022, appendix D
    score      F ≈ ∇ log q(x_t)          c_skip = 1/alpha    c_out = sigma²/alpha        Song & Ermon 2019, (2)
    rescaled   F ≈ -ε, not told of t     c_skip = 1/alpha    c_out = sigma/alpha         Song & Ermon 2020, technique 3
    mean       F ≈ μ̃ = a x_0 + b x_t     c_skip = -b/a       c_out = 1/a                 Ho et al. 2020, (7) and (8)
    edm        with r = sigma/alpha, d = sigma_data, alpha c_skip = d²/(r² + d²), c_out = r d/√(r² + d²), alpha c_in = 1/√(r² + d²),
               c_noise = log(r)/4                                                        Karras et al. 2022, table 1

c_in = 1 and c_noise = 1000 t where nothing else is said: the time runs to 1000 as that of DDPM. `ByLogSNR` puts the log-SNR in the place of the time: the
network then does not depend on the schedule's pace (Kingma et al. 2021, appendix C).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from renote.diffusion.process.gaussian import GaussianProcess
from renote.diffusion.schedule import broadcast
from renote.errors import UsageError

TIME_SCALE = 1000.0


class Coefficients(NamedTuple):
    """The four coefficients of the affine form, (n,) each; `into` is None where it is 1, which spares a pass over the data."""

    skip: Tensor
    out: Tensor
    into: Tensor | None
    noise: Tensor


class Parameterization(Protocol):
    """What the network's output means."""

    @property
    def name(self) -> str:
        """As a user names it."""

    def coefficients(self, alpha: Tensor, sigma: Tensor, t: Tensor) -> Coefficients:
        """The affine form's coefficients at times t, all arguments and results (n,)."""

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor, t: Tensor) -> Tensor:
        """What the network should give for x = alpha clean + sigma noise: the F for which D = clean."""


class Noise:
    """F ≈ ε (Ho et al. 2020)."""

    name = "noise"

    def coefficients(self, alpha: Tensor, sigma: Tensor, t: Tensor) -> Coefficients:
        """D = (x - sigma F) / alpha."""
        return Coefficients(1 / alpha, -sigma / alpha, None, TIME_SCALE * t)

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor, t: Tensor) -> Tensor:
        """ε."""
        return noise


class Clean:
    """F ≈ x_0."""

    name = "clean"

    def coefficients(self, alpha: Tensor, sigma: Tensor, t: Tensor) -> Coefficients:
        """D = F."""
        return Coefficients(torch.zeros_like(t), torch.ones_like(t), None, TIME_SCALE * t)

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor, t: Tensor) -> Tensor:
        """x_0."""
        return clean


class Velocity:
    """F ≈ alpha ε - sigma x_0 (Salimans & Ho 2022), for variance-preserving schedules."""

    name = "velocity"

    def coefficients(self, alpha: Tensor, sigma: Tensor, t: Tensor) -> Coefficients:
        """D = alpha x - sigma F, as alpha² + sigma² = 1."""
        return Coefficients(alpha, -sigma, None, TIME_SCALE * t)

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor, t: Tensor) -> Tensor:
        """alpha ε - sigma x_0."""
        return broadcast(alpha, clean) * noise - broadcast(sigma, clean) * clean


class Score:
    """F ≈ ∇ log q(x_t | x_0) = -ε / sigma (Song & Ermon 2019)."""

    name = "score"

    def coefficients(self, alpha: Tensor, sigma: Tensor, t: Tensor) -> Coefficients:
        """D = (x + sigma² F) / alpha, Tweedie's formula."""
        return Coefficients(1 / alpha, sigma**2 / alpha, None, TIME_SCALE * t)

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor, t: Tensor) -> Tensor:
        """-ε / sigma."""
        return noise / -broadcast(sigma, noise)


class Rescaled:
    """F / sigma ≈ ∇ log q(x_t | x_0), and F is not told of the time (Song & Ermon 2020, technique 3)."""

    name = "rescaled"

    def coefficients(self, alpha: Tensor, sigma: Tensor, t: Tensor) -> Coefficients:
        """D = (x + sigma F) / alpha."""
        return Coefficients(1 / alpha, sigma / alpha, None, torch.zeros_like(t))

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor, t: Tensor) -> Tensor:
        """-ε."""
        return -noise


@dataclass(frozen=True)
class PosteriorMean:
    """F ≈ μ̃, the mean of q(x_s | x_t, x_0) one of T steps before t (Ho et al. 2020, the baseline of table 2).

    Args:
        process: whose posterior; the coefficients b of x_t and a of x_0 are `reverse_coefficients(t, s)`.
        num_train_steps: T.

    Raises:
        UsageError: if T < 1.
    """

    process: GaussianProcess
    num_train_steps: int
    name = "mean"

    def __post_init__(self) -> None:
        if self.num_train_steps < 1:
            raise UsageError(
                f"num_train_steps = {self.num_train_steps}: the mean is that of a discrete step, so at least 1"
            )

    def coefficients(self, alpha: Tensor, sigma: Tensor, t: Tensor) -> Coefficients:
        """D = (F - b x) / a."""
        from_noisy, from_clean = self._posterior(t)
        return Coefficients(-from_noisy / from_clean, 1 / from_clean, None, TIME_SCALE * t)

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor, t: Tensor) -> Tensor:
        """a x_0 + b x_t."""
        from_noisy, from_clean = self._posterior(t)
        whole = from_clean + from_noisy * alpha
        return broadcast(whole, clean) * clean + broadcast(from_noisy * sigma, clean) * noise

    def _posterior(self, t: Tensor) -> tuple[Tensor, Tensor]:
        before = (t - 1 / self.num_train_steps).clamp(min=0)
        from_noisy, from_clean, _ = self.process.reverse_coefficients(t, before)
        return from_noisy, from_clean


@dataclass(frozen=True)
class EDM:
    """Input and target of unit variance at every noise level (Karras et al. 2022, table 1 and appendix B.6).

    Args:
        sigma_data: standard deviation of the data, the paper's 0.5 for images in [-1, 1].

    Raises:
        UsageError: if it is not positive.
    """

    sigma_data: float = 0.5
    name = "edm"

    def __post_init__(self) -> None:
        if not self.sigma_data > 0:
            raise UsageError(f"sigma_data = {self.sigma_data}: a standard deviation of data is positive")

    def coefficients(self, alpha: Tensor, sigma: Tensor, t: Tensor) -> Coefficients:
        """Table 1, for x / alpha and sigma / alpha in the place of x and sigma."""
        ratio = sigma / alpha
        total = (ratio**2 + self.sigma_data**2).sqrt()
        return Coefficients(
            (self.sigma_data / total) ** 2 / alpha,
            ratio * (self.sigma_data / total),
            1 / (total * alpha),
            ratio.log() / 4,
        )

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor, t: Tensor) -> Tensor:
        """(r/d x_0 - d ε) / √(r² + d²), which is (x_0 - c_skip x) / c_out without its cancellation."""
        ratio = sigma / alpha
        total = (ratio**2 + self.sigma_data**2).sqrt()
        from_clean, from_noise = ratio / (self.sigma_data * total), self.sigma_data / total
        return broadcast(from_clean, clean) * clean - broadcast(from_noise, clean) * noise


@dataclass(frozen=True)
class ByLogSNR:
    """Another parameterization whose network is told c_noise = 1000 (λ_0 - λ) / (λ_0 - λ_1) in the place of the time.

    Args:
        base: the other one.
        first: log-SNR λ_0 that is 0 of the network's scale.
        last: log-SNR λ_1 that is 1000.

    Raises:
        UsageError: if not λ_1 < λ_0.

    Source: Kingma et al. 2021, the noise estimate ε̂(z_t; γ_t).
    """

    base: Parameterization
    first: float = 13.3
    last: float = -5.0

    def __post_init__(self) -> None:
        if not self.last < self.first:
            raise UsageError(f"first = {self.first}, last = {self.last}: the log-SNR falls from the first to the last")

    @property
    def name(self) -> str:
        """The other one's."""
        return self.base.name

    def coefficients(self, alpha: Tensor, sigma: Tensor, t: Tensor) -> Coefficients:
        """The other one's, but for what the network is told."""
        share = (self.first - 2 * (alpha.log() - sigma.log())) / (self.first - self.last)
        return self.base.coefficients(alpha, sigma, t)._replace(noise=TIME_SCALE * share)

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor, t: Tensor) -> Tensor:
        """The other one's."""
        return self.base.target(clean, noise, alpha, sigma, t)


PARAMETERIZATIONS: dict[str, Parameterization] = {
    made.name: made for made in (Noise(), Clean(), Velocity(), Score(), Rescaled(), EDM())
}
"""Name → parameterization, edm with the paper's sigma_data."""
