"""The objective: a weighted error of the estimate of the clean data.

    L = E_t [ w(t) |x_0 - D(x_t, t)|² ]

The weight is a function of the log-SNR λ (and of how fast it falls), on this one agreed space, whatever the network's output means:

    simple     w = e^λ                    the error of the noise, which Ho et al. 2020, (14) weight with 1
    clean      w = 1                      the error of the clean data
    velocity   w = 1 + e^λ                the error of the velocity, "SNR + 1" of Salimans & Ho 2022, section 4
    edm        w = 1/sigma_data² + e^λ    the error of EDM's network; Karras et al. 2022, table 1, for sigma_data = 0.5
    p2         w = e^λ / (1 + e^λ)        perception prioritized; Choi et al. 2022, (8), with k = γ = 1
    min-snr    w = min(e^λ, 5)            Hang et al. 2023, section 3.4
    bound      w = -λ'(t) e^λ / 2         the variational bound in continuous time, Kingma et al. 2021 (VDM), in nats a dimension;
                                          the likelihood weighting g² of the score's error, Song et al. 2021 ("Maximum likelihood training"), is twice this

A parameterization's own error e_F = F - F* has D - x_0 = c_out e_F, so L = E [w c_out² e_F²] is computed there: the weight and
c_out² are large and small where the other is not, and their product is exact in float64.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from renote.diffusion.condition import Condition
from renote.diffusion.denoiser import Denoiser
from renote.diffusion.likelihood import bound_term
from renote.diffusion.process.gaussian import GaussianProcess
from renote.diffusion.schedule import broadcast
from renote.errors import UsageError, unknown

Weighting = Callable[[Tensor, Tensor], Tensor]
"""(log_snr, -d log_snr / dt) → weight of the squared error of the clean data, (n,) each."""

HYBRID = 1e-3
"""Share of the bound beside the simple loss where the variance is learned (Nichol & Dhariwal 2021, equation 16)."""


def _simple(log_snr: Tensor, rate: Tensor) -> Tensor:
    return log_snr.exp()


def _clean(log_snr: Tensor, rate: Tensor) -> Tensor:
    return torch.ones_like(log_snr)


def _velocity(log_snr: Tensor, rate: Tensor) -> Tensor:
    return 1 + log_snr.exp()


def _bound(log_snr: Tensor, rate: Tensor) -> Tensor:
    return rate * log_snr.exp() / 2


def edm_weighting(sigma_data: float = 0.5) -> Weighting:
    """w = e^λ + 1 / sigma_data².

    Args:
        sigma_data: standard deviation of the data.

    Source: Karras et al. 2022, table 1: (sigma² + sigma_data²) / (sigma sigma_data)².
    """
    if not sigma_data > 0:
        raise UsageError(f"sigma_data = {sigma_data}: a standard deviation of data is positive")
    return lambda log_snr, rate: log_snr.exp() + 1 / sigma_data**2


def p2_weighting(gamma: float = 1.0, k: float = 1.0) -> Weighting:
    """w = e^λ / (k + e^λ)^γ: the error of the noise, the less weighted the less noise there is.

    Args:
        gamma: γ; 0 is the simple weighting.
        k: keeps the weight finite where there is no signal; at least positive.

    Source: Choi et al. 2022, equation 8.
    """
    if not (gamma >= 0 and k > 0):
        raise UsageError(f"gamma = {gamma}, k = {k}: P2 weighting needs gamma >= 0 and k > 0")
    return lambda log_snr, rate: torch.exp(log_snr - gamma * torch.log(k + log_snr.exp()))


def min_snr_weighting(gamma: float = 5.0) -> Weighting:
    """w = min(e^λ, γ).

    Args:
        gamma: γ, positive.

    Source: Hang et al. 2023, section 3.4.
    """
    if not gamma > 0:
        raise UsageError(f"gamma = {gamma}: min-SNR weighting needs gamma > 0")
    return lambda log_snr, rate: log_snr.exp().clamp(max=gamma)


WEIGHTINGS: dict[str, Weighting] = {
    "simple": _simple,
    "clean": _clean,
    "velocity": _velocity,
    "edm": edm_weighting(),
    "p2": p2_weighting(),
    "min-snr": min_snr_weighting(),
    "bound": _bound,
}


def weighting_named(weighting: str | Weighting) -> Weighting:
    """The weighting of that name, or the function itself.

    Args:
        weighting: one of `WEIGHTINGS`, or a function of log-SNR and its rate.

    Raises:
        UsageError: for an unknown name.
    """
    if not isinstance(weighting, str):
        return weighting
    if weighting not in WEIGHTINGS:
        raise unknown("weighting", weighting, WEIGHTINGS)
    return WEIGHTINGS[weighting]


def weighted_loss(
    denoiser: Denoiser,
    process: GaussianProcess,
    clean: Tensor,
    noise: Tensor,
    t: Tensor,
    condition: Condition | None = None,
    weighting: str | Weighting = "simple",
    num_train_steps: int | None = None,
) -> Tensor:
    """w(t) · mean over a sample's numbers of (x_0 - D(x_t, t))².

    Where the variance is learned, 0.001 T times the bound's term L_{k-1} is added, which teaches the variance only (L_hybrid, Nichol &
    Dhariwal 2021, equation 16).

    Args:
        denoiser: gives the estimate.
        process: corrupts the data.
        clean: (n, …) x_0.
        noise: (n, …) ε.
        t: (n,) times in (0, 1].
        condition: what is known of each sample.
        weighting: name or function.
        num_train_steps: T; must be given where the variance is learned.

    Returns:
        (n,) losses, one a sample.

    Raises:
        UsageError: for an unknown weighting, or learned variance without T.
    """
    weigh = weighting_named(weighting)
    noisy = process.corrupt(clean, t, noise)
    output, fraction = denoiser.output(noisy, t, condition)
    error = output - denoiser.network_target(clean, noise, t)
    time = t.double()
    schedule = process.schedule
    coefficients = denoiser.coefficients(t)
    weight = weigh(schedule.log_snr(time), schedule.log_snr_rate(time)) * coefficients.out**2
    losses = error.square().flatten(1).mean(1) * weight.to(error.dtype)
    if fraction is None:
        return losses
    if num_train_steps is None:
        raise UsageError(
            "learned variance without num_train_steps: the bound that teaches it is that of T discrete steps"
        )
    estimate = output.detach() * broadcast(coefficients.out, noisy) + noisy * broadcast(coefficients.skip, noisy)
    return losses + HYBRID * num_train_steps * bound_term(process, clean, estimate, t, num_train_steps, fraction)
