"""The objective: a weighted error of the estimate of the clean data.

    L = E_t [ w(t) |x_0 - D(x_t, t)|² ]

The weight is a function of the log-SNR λ (and of how fast it falls), on this one agreed space, whatever the network's output means:

    simple     w = e^λ              the error of the noise, which Ho et al. 2020, (14) weight with 1
    clean      w = 1                the error of the clean data
    velocity   w = 1 + e^λ          the error of the velocity, "SNR + 1" of Salimans & Ho 2022, section 4
    bound      w = -λ'(t) e^λ / 2   the variational bound in continuous time, Kingma et al. 2021 (VDM), in nats a dimension

A parameterization's own error e_F = F - F* has D - x_0 = c_out e_F, so L = E [w c_out² e_F²] is computed there: the weight and
c_out² are large and small where the other is not, and their product is exact in float64.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from renote.diffusion.condition import Condition
from renote.diffusion.denoiser import Denoiser
from renote.diffusion.process.gaussian import GaussianProcess
from renote.errors import UsageError, unknown

Weighting = Callable[[Tensor, Tensor], Tensor]
"""(log_snr, -d log_snr / dt) → weight of the squared error of the clean data, (n,) each."""

SHORTEST_TIME = 1e-5
"""Continuous times are not below this one: at 0 there is no noise to estimate (the value of Song et al. 2021)."""


def _simple(log_snr: Tensor, rate: Tensor) -> Tensor:
    return log_snr.exp()


def _clean(log_snr: Tensor, rate: Tensor) -> Tensor:
    return torch.ones_like(log_snr)


def _velocity(log_snr: Tensor, rate: Tensor) -> Tensor:
    return 1 + log_snr.exp()


def _bound(log_snr: Tensor, rate: Tensor) -> Tensor:
    return rate * log_snr.exp() / 2


WEIGHTINGS: dict[str, Weighting] = {"simple": _simple, "clean": _clean, "velocity": _velocity, "bound": _bound}


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
) -> Tensor:
    """w(t) · mean over a sample's numbers of (x_0 - D(x_t, t))².

    Args:
        denoiser: gives the estimate.
        process: corrupts the data.
        clean: (n, …) x_0.
        noise: (n, …) ε.
        t: (n,) times in (0, 1].
        condition: what is known of each sample.
        weighting: name or function.

    Returns:
        (n,) losses, one a sample.

    Raises:
        UsageError: for an unknown weighting.
    """
    weigh = weighting_named(weighting)
    output = denoiser.output(process.corrupt(clean, t, noise), t, condition)
    error = output - denoiser.network_target(clean, noise, t)
    time = t.double()
    schedule = process.schedule
    weight = weigh(schedule.log_snr(time), schedule.log_snr_rate(time)) * denoiser.coefficients(t).out ** 2
    return error.square().flatten(1).mean(1) * weight.to(error.dtype)


def discrete_times(n: int, num_train_steps: int, generator: torch.Generator) -> Tensor:
    """(n,) times k/T, k uniform on 1 … T.

    Args:
        n: how many.
        num_train_steps: T.
        generator: source of randomness.
    """
    if num_train_steps < 1:
        raise UsageError(f"num_train_steps = {num_train_steps}: a model is trained on at least one step")
    steps = torch.randint(1, num_train_steps + 1, (n,), generator=generator)
    return (steps.double() / num_train_steps).float()


def continuous_times(n: int, generator: torch.Generator) -> Tensor:
    """(n,) times, uniform on [1e-5, 1].

    Args:
        n: how many.
        generator: source of randomness.
    """
    draws = torch.rand(n, generator=generator, dtype=torch.float64)
    return (1 - draws * (1 - SHORTEST_TIME)).float()
