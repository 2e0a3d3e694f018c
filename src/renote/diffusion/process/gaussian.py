"""The Gaussian process: noise is added little by little.

    q(x_t | x_0) = N(alpha_t x_0, sigma_t² I)                                         Ho et al. 2020, (4)
    q(x_s | x_t, x_0) = N(alpha_s x_0 + √(sigma_s² - v²) (x_t - alpha_t x_0) / sigma_t, v² I)         Song et al. 2021 (DDIM), (7)

The second is a family: any v between 0 and sigma_s has the marginals of the first line. v² = sigma_s² / sigma_t² · (sigma_t² - alpha_t² / alpha_s² sigma_s²)
is the posterior of the Markov chain (β̃ of DDPM between neighbours), v = 0 is deterministic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from renote.diffusion.noise import NormalSource
from renote.diffusion.process.check import check_step, check_strength
from renote.diffusion.schedule import Schedule, broadcast
from renote.errors import UsageError, unknown

Variance = Literal["small", "large"]


class GaussianProcess:
    """Corruption by Gaussian noise, and its undoing when the clean data is known.

    Args:
        schedule: alpha and sigma as functions of time.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def __repr__(self) -> str:
        return f"GaussianProcess({self.schedule})"

    def corrupt(self, clean: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t = alpha_t x_0 + sigma_t ε.

        Args:
            clean: (n, …) x_0.
            t: (n,) times.
            noise: (n, …) standard normal ε.

        Raises:
            UsageError: for a time outside [0, 1] (looked at on processors only).
        """
        check_strength(t)
        t = t.double()
        noisy = clean * broadcast(self.schedule.alpha(t), clean)
        return noisy.addcmul_(noise, broadcast(self.schedule.sigma(t), clean))

    def prior(self, shape: Sequence[int], noise: NormalSource) -> Tensor:
        """A draw of N(0, σ_1² I), σ_1 = 1 where variance is preserved, which q(x_1) all but equals.

        Args:
            shape: of one sample.
            noise: gives one draw a sample.

        Returns:
            (n, *shape).
        """
        draw = noise.normal(shape)
        return draw.mul_(self.schedule.prior_std())

    def added_variance(self, t: Tensor, s: Tensor) -> Tensor:
        """Variance of the noise added from s to t: sigma_t² - (alpha_t / alpha_s)² sigma_s², for float64 times s < t."""
        # by logarithms, as the difference cancels for neighbours
        change = self.schedule.log_snr(t) - self.schedule.log_snr(s)
        return -torch.expm1(change) * self.schedule.sigma(t) ** 2

    def reverse(
        self,
        noisy: Tensor,
        estimate: Tensor,
        t: float | Tensor,
        s: float | Tensor,
        noise: Tensor | None = None,
        eta: float = 1.0,
        variance: Variance = "small",
    ) -> Tensor:
        """x_s = alpha_s x̂ + √(sigma_s² - v²) (x_t - alpha_t x̂) / sigma_t + w ε, s < t.

        v = eta · sigma_s / sigma_t · √β, with β = sigma_t² - (alpha_t / alpha_s)² sigma_s² the variance added from s to t, 1 - ᾱ_t / ᾱ_s where
        variance is preserved (DDIM, equation 16). The noise added here has standard deviation

            small    w = v: eta = 1 is DDPM with σ² = β̃, eta = 0 is DDIM
            large    w = √β, v as for eta = 1: DDPM with σ² = β, the σ̂ of DDIM, section 5 and appendix D.3

        and none is added where s = 0 (DDPM, algorithm 2, line 3).

        Args:
            noisy: (n, …) x_t.
            estimate: (n, …) x̂, of the clean data.
            t: time of `noisy`, one for all or (n,).
            s: time to go to, one for all or (n,).
            noise: (n, …) standard normal ε; may be left out where w = 0, else UsageError.
            eta: in [0, 1].
            variance: `"small"` or `"large"`.

        Returns:
            (n, …) x_s, a new tensor.

        Raises:
            UsageError: for eta outside [0, 1] or other than 1 with the large variance, an unknown variance, numbers s ≥ t, or a time outside [0, 1]
                (of tensors only this is looked into, and on processors only: a GPU would have to be waited for).
        """
        if variance not in get_args(Variance):
            raise unknown("variance", variance, get_args(Variance))
        if not 0 <= eta <= 1:
            raise UsageError(f"eta = {eta}: it lies between 0 (no noise added) and 1 (as much as ancestral sampling)")
        if variance == "large" and eta != 1:
            raise UsageError(
                f"eta = {eta} with the large variance: that one is defined for eta = 1; use the small variance"
            )
        if isinstance(t, float | int) and isinstance(s, float | int):
            return self._reverse_together(noisy, estimate, float(t), float(s), noise, eta, variance)
        t, s = (torch.as_tensor(time, dtype=torch.float64, device=noisy.device).expand(len(noisy)) for time in (t, s))
        check_strength(t)
        check_strength(s)
        from_noisy, from_estimate, from_noise = self.reverse_coefficients(t, s, eta, variance)
        out = noisy * broadcast(from_noisy, noisy)
        out.addcmul_(estimate, broadcast(from_estimate, noisy))
        if noise is not None:
            out.addcmul_(noise, broadcast(from_noise, noisy))
        elif eta > 0 and bool((from_noise > 0).any()):
            raise UsageError("this reverse step adds noise, but none was given")
        return out

    def _reverse_together(
        self, noisy: Tensor, estimate: Tensor, t: float, s: float, noise: Tensor | None, eta: float, variance: Variance
    ) -> Tensor:
        check_step(t, s)
        times = torch.tensor([[t], [s]], dtype=torch.float64)
        from_noisy, from_estimate, from_noise = (
            float(c) for c in self.reverse_coefficients(times[0], times[1], eta, variance)
        )
        out = noisy * from_noisy
        out.add_(estimate, alpha=from_estimate)
        if from_noise > 0:
            if noise is None:
                raise UsageError("this reverse step adds noise, but none was given")
            out.add_(noise, alpha=from_noise)
        return out

    def reverse_coefficients(
        self, t: Tensor, s: Tensor, eta: float = 1.0, variance: Variance = "small"
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The step of `reverse` as x_s = a x_t + b x̂ + w ε.

        Args:
            t: times that steps start at, float64.
            s: times that they end at, float64.
            eta: in [0, 1].
            variance: `"small"` or `"large"`.

        Returns:
            a, b and w, shaped as the times.
        """
        both = torch.stack([t, s])  # one call of the schedule for both: a step has no more arithmetic than this
        (alpha_t, alpha_s), (sigma_t, sigma_s) = self.schedule.alpha(both), self.schedule.sigma(both)
        snr_t, snr_s = self.schedule.log_snr(both)
        added = -torch.expm1(snr_t - snr_s) * sigma_t**2
        spread = eta * sigma_s / sigma_t * added.sqrt()
        direction = (sigma_s**2 - spread**2).clamp_min(0).sqrt() / sigma_t
        std = spread if variance == "small" else torch.where(sigma_s > 0, added.sqrt(), 0.0)
        return direction, alpha_s - direction * alpha_t, std
