"""What a schedule is: log alpha, sigma and their slopes as functions of time; the rest follows."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Schedule(ABC):
    """alpha and sigma as functions of time; all methods take t of any shape and return its shape and dtype.

    A new schedule says what `log_alpha`, `sigma`, and their slopes are; the rest follows.
    """

    variance_preserving: bool = False
    """Whether alpha² + sigma² = 1."""

    starts_noisy: bool = False
    """Whether the data is noisy just above t = 0, so that a bound of T steps has a decoder there, not a last step to the data."""

    @abstractmethod
    def log_alpha(self, t: Tensor) -> Tensor:
        """Log alpha(t), in float64; zero at t = 0, never rising, finite at t = 1."""

    @abstractmethod
    def drift(self, t: Tensor) -> Tensor:
        """f(t) = d log alpha / dt; where it jumps, the one from below."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise, zero at t = 0."""

    @abstractmethod
    def log_snr_rate(self, t: Tensor) -> Tensor:
        """How fast the log-SNR falls: -d log_snr / dt, for t > 0."""

    def alpha(self, t: Tensor) -> Tensor:
        """What is left of the data."""
        return torch.exp(self.log_alpha(t)).to(t.dtype)

    def log_snr(self, t: Tensor) -> Tensor:
        """Log alpha² / sigma²: infinite at t = 0, where nothing is corrupted."""
        return (2 * (self.log_alpha(t) - torch.log(self.sigma(t.double())))).to(t.dtype)

    def diffusion(self, t: Tensor) -> Tensor:
        """g(t) = sigma √(-log_snr'), for t > 0."""
        time = t.double()
        return (self.sigma(time) * self.log_snr_rate(time).sqrt()).to(t.dtype)

    def prior_std(self) -> float:
        """Standard deviation of q(x_1), data left aside: 1 where variance is preserved, else sigma(1)."""
        return 1.0 if self.variance_preserving else float(self.sigma(torch.ones((), dtype=torch.float64)))

    def time(self, log_snr: Tensor) -> Tensor:
        """The time at which the log-SNR is this one; the nearest end where there is none.

        Bisection, to the last bit of float64: schedules with a closed form override it.
        """
        wanted = log_snr.double()
        low, high = torch.zeros_like(wanted), torch.ones_like(wanted)
        for _ in range(60):
            middle = (low + high) / 2
            noisier = self.log_snr(middle) < wanted
            low, high = torch.where(noisier, low, middle), torch.where(noisier, middle, high)
        return high.to(log_snr.dtype)


class PreservingSchedule(Schedule):
    """alpha² + sigma² = 1, given by log ᾱ = 2 log alpha and its slope."""

    variance_preserving = True

    @abstractmethod
    def log_alpha_bar(self, t: Tensor) -> Tensor:
        """Log ᾱ(t) in float64; zero at t = 0, never rising, finite at t = 1."""

    @abstractmethod
    def log_alpha_bar_slope(self, t: Tensor) -> Tensor:
        """Derivative of log ᾱ by t, in float64; where it jumps, the one from below."""

    def log_alpha(self, t: Tensor) -> Tensor:
        """Half of log ᾱ."""
        return self.log_alpha_bar(t) / 2

    def drift(self, t: Tensor) -> Tensor:
        """Half the slope of log ᾱ: -β/2."""
        return (self.log_alpha_bar_slope(t) / 2).to(t.dtype)

    def sigma(self, t: Tensor) -> Tensor:
        """√(1 - ᾱ)."""
        return torch.sqrt(-torch.expm1(self.log_alpha_bar(t))).to(t.dtype)

    def log_snr(self, t: Tensor) -> Tensor:
        """Log ᾱ / (1 - ᾱ)."""
        log_alpha_bar = self.log_alpha_bar(t)
        return (log_alpha_bar - torch.log(-torch.expm1(log_alpha_bar))).to(t.dtype)

    def log_snr_rate(self, t: Tensor) -> Tensor:
        """-(log ᾱ)' / (1 - ᾱ)."""
        return (self.log_alpha_bar_slope(t) / torch.expm1(self.log_alpha_bar(t))).to(t.dtype)


def broadcast(value: Tensor, like: Tensor) -> Tensor:
    """One value a sample, shaped to multiply data: (n,) → (n, 1, …, 1) in the dtype of `like` (n, …)."""
    return value.to(like.dtype).reshape(-1, *(1,) * (like.ndim - 1))
