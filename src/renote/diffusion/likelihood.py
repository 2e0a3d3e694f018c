"""Bits per dimension by the discrete variational bound.

    -log p(x_0) ≤ E_q [ KL(q(x_T | x_0) || p(x_T)) + Σ_{k > 1} KL(q(x_{k-1} | x_k, x_0) || p(x_{k-1} | x_k)) - log p(x_0 | x_1) ]
                        L_T                          L_{k-1}                                                  L_0

Ho, Jain & Abbeel 2020, equations 5 and 13; the last term is a Gaussian integrated over the bin of each 8-bit value.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from renote.diffusion.condition import Condition
from renote.diffusion.denoiser import Estimator
from renote.diffusion.noise import NormalSource
from renote.diffusion.process.gaussian import GaussianProcess, Variance
from renote.diffusion.sampler.loop import times
from renote.errors import UsageError

SMALLEST_PROBABILITY = 1e-12


@torch.no_grad()
def variational_bound(
    denoiser: Estimator,
    process: GaussianProcess,
    clean: Tensor,
    num_train_steps: int,
    noise: NormalSource,
    condition: Condition | None = None,
    variance: Variance = "small",
    levels: int = 256,
) -> Tensor:
    """The terms L_0, L_1, …, L_T, one draw of x_k each, in bits per dimension; their sum bounds -log₂ p(x_0) / dimensions from above.

    Args:
        denoiser: gives estimates, clipped to the data's range if they should be; called T times.
        process: whose steps are undone.
        clean: (n, …) data with `levels` equally spaced values from -1 to 1.
        num_train_steps: T, at least 2.
        noise: of the corrupted x_k.
        condition: what is known of each sample.
        variance: of the reverse steps.
        levels: values that a number of the data can have.

    Returns:
        (n, T + 1) bits per dimension.

    Raises:
        UsageError: for fewer than 2 steps or levels, or data outside [-1, 1].

    Source: Ho et al. 2020, equations 5, 8 and 13.
    """
    if num_train_steps < 2 or levels < 2:
        raise UsageError(f"num_train_steps = {num_train_steps}, levels = {levels}: the bound needs at least 2 of each")
    if clean.numel() and not float(clean.abs().amax()) <= 1:
        raise UsageError(f"data reaches {float(clean.abs().amax()):g}: the bound is defined for data in [-1, 1]")
    terms = [
        _step(denoiser, process, clean, k, num_train_steps, noise, condition, variance, levels)
        for k in range(1, num_train_steps + 1)
    ]
    terms.append(_prior(process, clean))
    return torch.stack(terms, 1) / math.log(2)


def _step(
    denoiser: Estimator,
    process: GaussianProcess,
    clean: Tensor,
    k: int,
    num_train_steps: int,
    noise: NormalSource,
    condition: Condition | None,
    variance: Variance,
    levels: int,
) -> Tensor:
    t = times(clean, k / num_train_steps)
    estimate = denoiser(process.corrupt(clean, t, noise.normal(clean.shape[1:])), t, condition)
    # x_1 → x_0 has no posterior variance, so the decoder takes that of the step before (Ho et al.'s released code)
    index = max(k, 2)
    start = torch.tensor(index / num_train_steps, dtype=torch.float64)
    end = torch.tensor((index - 1) / num_train_steps, dtype=torch.float64)
    _, from_estimate, exact = (float(c) for c in process.reverse_coefficients(start, end))
    if k == 1:
        return -decoder_log_probability(clean, estimate, exact, levels).flatten(1).mean(1)
    std = float(process.reverse_coefficients(start, end, 1.0, variance)[2])
    ratio = (exact / std) ** 2
    gap = (clean - estimate).square().flatten(1).mean(1) * (from_estimate / std) ** 2
    return (gap + ratio - 1 - math.log(ratio)) / 2


def _prior(process: GaussianProcess, clean: Tensor) -> Tensor:
    one = torch.ones((), dtype=torch.float64)
    alpha, sigma = float(process.schedule.alpha(one)), float(process.schedule.sigma(one))
    return (clean.square().flatten(1).mean(1) * alpha**2 + sigma**2 - 1 - 2 * math.log(sigma)) / 2


def decoder_log_probability(clean: Tensor, mean: Tensor, std: float, levels: int = 256) -> Tensor:
    """Log ∫ over x_0's bin of N(x; mean, std²) dx; the outermost bins reach to infinity.

    Args:
        clean: data with `levels` equally spaced values from -1 to 1.
        mean: of the Gaussian.
        std: of the Gaussian.
        levels: number of values.

    Returns:
        Log probabilities, at least log 1e-12, shaped as `clean`.

    Source: Ho et al. 2020, equation 13.
    """
    half = 1 / (levels - 1)
    # the tails of a single-precision normal distribution are off by percents
    clean, mean, dtype = clean.double(), mean.double(), clean.dtype
    centred = (clean - mean) / std
    inner = 1 - half / 2
    # by symmetry the bin right of the mean is moved to its left, where small tails keep their digits
    sign = torch.where(centred > 0, -1.0, 1.0)
    upper = torch.where(clean > inner, math.inf, centred + half / std)
    lower = torch.where(clean < -inner, -math.inf, centred - half / std)
    mass: Tensor = (torch.special.ndtr(sign * upper) - torch.special.ndtr(sign * lower)) * sign
    return mass.clamp_min(SMALLEST_PROBABILITY).log().to(dtype)
