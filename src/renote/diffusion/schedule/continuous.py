"""Schedules of continuous time: vp, sub-vp and ve of Song et al. 2021c, "Score-Based Generative Modeling through SDEs", and edm of Karras et al. 2022."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from renote.diffusion.schedule.base import PreservingSchedule, Schedule
from renote.errors import UsageError


class VPSchedule(PreservingSchedule):
    """log ᾱ(t) = -t β_min - t² (β_max - β_min) / 2: `linear` in the limit of many steps.

    Args:
        beta_min: β(0).
        beta_max: β(1).

    Raises:
        UsageError: if not 0 ≤ β_min ≤ β_max and β_max > 0.

    Source: Song et al. 2021c, equations 32 and 33.
    """

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0) -> None:
        self.beta_min, self.beta_max = _betas(beta_min, beta_max)

    def __repr__(self) -> str:
        return f"VPSchedule({self.beta_min:g}, {self.beta_max:g})"

    def log_alpha_bar(self, t: Tensor) -> Tensor:
        """-∫ β."""
        return -_integral(t, self.beta_min, self.beta_max)

    def log_alpha_bar_slope(self, t: Tensor) -> Tensor:
        """-β(t)."""
        return -torch.lerp(*_ends(t, self.beta_min, self.beta_max), t.double().clamp(0, 1))

    def time(self, log_snr: Tensor) -> Tensor:
        """∫ β = log(1 + e^-log_snr), solved for t."""
        return _solve(torch.nn.functional.softplus(-log_snr.double()), self.beta_min, self.beta_max).to(log_snr.dtype)


class SubVPSchedule(Schedule):
    """alpha = √ᾱ, sigma = 1 - ᾱ, with ᾱ as for vp: less noise than vp everywhere, and as little data left at the end.

    Args:
        beta_min: β(0).
        beta_max: β(1).

    Raises:
        UsageError: if not 0 ≤ β_min ≤ β_max and β_max > 0.

    Source: Song et al. 2021c, equations 12 and 29.
    """

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0) -> None:
        self.beta_min, self.beta_max = _betas(beta_min, beta_max)

    def __repr__(self) -> str:
        return f"SubVPSchedule({self.beta_min:g}, {self.beta_max:g})"

    def log_alpha(self, t: Tensor) -> Tensor:
        """-½ ∫ β."""
        return _integral(t, self.beta_min, self.beta_max) / -2

    def drift(self, t: Tensor) -> Tensor:
        """-β(t) / 2."""
        return (torch.lerp(*_ends(t, self.beta_min, self.beta_max), t.double().clamp(0, 1)) / -2).to(t.dtype)

    def sigma(self, t: Tensor) -> Tensor:
        """1 - exp(-∫ β)."""
        return -torch.expm1(-_integral(t, self.beta_min, self.beta_max)).to(t.dtype)

    def log_snr_rate(self, t: Tensor) -> Tensor:
        """β (1 + 2ᾱ / (1 - ᾱ)) = β (1 + ᾱ) / (1 - ᾱ)."""
        total = _integral(t, self.beta_min, self.beta_max)
        return (-2 * self.drift(t.double()) / torch.tanh(total / 2)).to(t.dtype)


class VESchedule(Schedule):
    """alpha = 1, sigma(t) = sigma_min (sigma_max / sigma_min)^t for t > 0.

    Args:
        sigma_min: of the least noise.
        sigma_max: of the most; about the largest distance between two samples (Song & Ermon 2020, technique 1).

    Raises:
        UsageError: if not 0 < sigma_min < sigma_max.

    Source: Song et al. 2021c, equations 30 and 31; geometric levels: Song & Ermon 2019, section 3.2.
    """

    def __init__(self, sigma_min: float = 0.01, sigma_max: float = 50.0) -> None:
        if not 0 < sigma_min < sigma_max < math.inf:
            raise UsageError(
                f"sigma_min = {sigma_min}, sigma_max = {sigma_max}: a geometric schedule needs 0 < sigma_min < sigma_max"
            )
        self.sigma_min, self.sigma_max = sigma_min, sigma_max
        self._rate = math.log(sigma_max / sigma_min)

    def __repr__(self) -> str:
        return f"VESchedule({self.sigma_min:g}, {self.sigma_max:g})"

    def log_alpha(self, t: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(t, dtype=torch.float64)

    def drift(self, t: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        """Geometric, zero at t = 0."""
        time = t.double().clamp(0, 1)
        return torch.where(time > 0, torch.exp(time * self._rate) * self.sigma_min, 0.0).to(t.dtype)

    def log_snr_rate(self, t: Tensor) -> Tensor:
        """2 log sigma_max / sigma_min at all times."""
        return torch.full_like(t, 2 * self._rate)

    def time(self, log_snr: Tensor) -> Tensor:
        """log(sigma / sigma_min) / log(sigma_max / sigma_min)."""
        logs = -log_snr.double() / 2 - math.log(self.sigma_min)
        return (logs / self._rate).clamp(torch.finfo(torch.float32).tiny, 1).to(log_snr.dtype)


class EDMSchedule(Schedule):
    """alpha = 1, sigma(t) = sigma_max t.

    Args:
        sigma_max: noise of the prior, in the data's units.

    Raises:
        UsageError: if it is not positive.

    Source: Karras et al. 2022, table 1, with their time, which is sigma, divided by sigma_max.
    """

    def __init__(self, sigma_max: float = 80.0) -> None:
        if not 0 < sigma_max < math.inf:
            raise UsageError(f"sigma_max = {sigma_max}: must be positive")
        self.sigma_max = sigma_max

    def __repr__(self) -> str:
        return f"EDMSchedule({self.sigma_max:g})"

    def log_alpha(self, t: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(t, dtype=torch.float64)

    def drift(self, t: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        """sigma_max t."""
        return (t.double().clamp(0, 1) * self.sigma_max).to(t.dtype)

    def log_snr_rate(self, t: Tensor) -> Tensor:
        """2 / t."""
        return 2 / t

    def time(self, log_snr: Tensor) -> Tensor:
        """sigma / sigma_max."""
        return (torch.exp(-log_snr.double() / 2) / self.sigma_max).clamp(max=1).to(log_snr.dtype)


def _betas(beta_min: float, beta_max: float) -> tuple[float, float]:
    if not 0 <= beta_min <= beta_max < math.inf or beta_max == 0:
        raise UsageError(f"beta_min = {beta_min}, beta_max = {beta_max}: needs 0 <= beta_min <= beta_max, not both 0")
    return beta_min, beta_max


def _ends(t: Tensor, beta_min: float, beta_max: float) -> tuple[Tensor, Tensor]:
    one = torch.ones_like(t, dtype=torch.float64)
    return one * beta_min, one * beta_max


def _integral(t: Tensor, beta_min: float, beta_max: float) -> Tensor:
    time = t.double().clamp(0, 1)
    return time * (beta_min + time * ((beta_max - beta_min) / 2))


def _solve(total: Tensor, beta_min: float, beta_max: float) -> Tensor:
    """t with t β_min + t² (β_max - β_min) / 2 = total, in the form that does not cancel for small totals."""
    root = torch.sqrt(beta_min**2 + 2 * (beta_max - beta_min) * total)
    return (2 * total / (beta_min + root)).clamp(0, 1)
