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
from renote.diffusion.denoiser import Estimator, moments
from renote.diffusion.noise import NormalSource
from renote.diffusion.process.gaussian import GaussianProcess, Variance
from renote.diffusion.sampler.loop import times
from renote.diffusion.schedule import broadcast
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
    levels: int | None = 256,
) -> Tensor:
    """The terms L_0, L_1, …, L_T, one draw of x_k each, in bits per dimension; their sum bounds -log₂ p(x_0) / dimensions from above.

    Args:
        denoiser: gives estimates, clipped to the data's range if they should be; called T times.
        process: whose steps are undone.
        clean: (n, …) data with `levels` equally spaced values from -1 to 1, or of any values.
        num_train_steps: T, at least 2.
        noise: of the corrupted x_k.
        condition: what is known of each sample.
        variance: of the reverse steps.
        levels: values that a number of the data can have; None for densities.

    Returns:
        (n, T + 1) bits per dimension.

    Raises:
        UsageError: for fewer than 2 steps or levels, or data outside [-1, 1].

    Source: Ho et al. 2020, equations 5, 8 and 13.
    """
    if num_train_steps < 2 or (levels is not None and levels < 2):
        raise UsageError(f"num_train_steps = {num_train_steps}, levels = {levels}: the bound needs at least 2 of each")
    if levels is not None and clean.numel() and not float(clean.abs().amax()) <= 1:
        raise UsageError(f"data reaches {float(clean.abs().amax()):g}: the bound is defined for data in [-1, 1]")
    terms = []
    for k in range(1, num_train_steps + 1):
        t = times(clean, k / num_train_steps)
        noisy = process.corrupt(clean, t, noise.normal(clean.shape[1:]))
        estimate, fraction = moments(denoiser, noisy, t, condition)
        spread = variance if fraction is None else fraction
        terms.append(bound_term(process, clean, estimate, t, num_train_steps, spread, levels))
    terms.append(prior_divergence(process, clean))
    return torch.stack(terms, 1) / math.log(2)


def bound_term(
    process: GaussianProcess,
    clean: Tensor,
    estimate: Tensor,
    t: Tensor,
    num_train_steps: int,
    variance: Variance | Tensor = "small",
    levels: int | None = 256,
) -> Tensor:
    """L_{k-1} for t = k/T: the divergence KL(q(x_s | x_t, x_0) || N(μ̃(x_t, x̂), v)), or -log p(x_0 | x_1) for k = 1.

    Args:
        process: whose steps are undone.
        clean: (n, …) x_0.
        estimate: (n, …) x̂, given at x_t.
        t: (n,) times k/T.
        num_train_steps: T, at least 2.
        variance: of the reverse step: a name, or (n, …) where between the logarithms of the two it lies, 0 small, 1 large.
        levels: values that a number of the data can have; None for densities.

    Returns:
        (n,) nats a dimension.

    Source: Ho et al. 2020, equations 8 and 13; learned: Nichol & Dhariwal 2021, section 3.1.
    """
    step = (t.double() * num_train_steps).round()
    # x_1 → x_0 has no posterior variance, so the decoder takes that of the step before (Ho et al.'s released code)
    start = step.clamp(min=2) / num_train_steps
    end = start - 1 / num_train_steps
    _, from_estimate, small = process.reverse_coefficients(start, end)
    first = step == 1
    # the decoder of a fixed variance takes the small one; a learned one decodes with the step's own β as the large
    large = process.added_variance(
        torch.where(first, step / num_train_steps, start), torch.where(first, 0.0, end)
    ).sqrt()
    exact = broadcast(small.log(), clean)
    gain = broadcast(from_estimate, clean)
    if isinstance(variance, Tensor):
        log_std = torch.lerp(exact.expand_as(variance), broadcast(large.log(), clean).expand_as(variance), variance)
    else:
        chosen = small if variance == "small" else torch.where(first, small, large)
        log_std = broadcast(chosen.log(), clean)
    gap = (clean - estimate) * gain * torch.exp(-log_std)
    divergence = (gap**2 + torch.exp(2 * (exact - log_std)) - 1 - 2 * (exact - log_std)) / 2
    terms = divergence.expand_as(clean).flatten(1).mean(1)
    if bool(first.any()):
        std = log_std.exp().expand_as(clean)[first]
        decoded = -decoder_log_probability(clean[first], estimate[first], std, levels).flatten(1).mean(1)
        terms = terms.index_put((first.nonzero().squeeze(1),), decoded.to(terms.dtype))
    return terms


def prior_divergence(process: GaussianProcess, clean: Tensor) -> Tensor:
    """KL(q(x_1 | x_0) || N(0, σ_1²)), (n,) nats a dimension.

    Args:
        process: corrupts.
        clean: (n, …) x_0.
    """
    one = torch.ones((), dtype=torch.float64, device=clean.device)
    alpha, sigma = process.schedule.alpha(one), process.schedule.sigma(one)
    prior = process.schedule.prior_std()
    square = (clean.square().flatten(1).mean(1) * alpha**2 + sigma**2) / prior**2
    return (square - 1 - 2 * torch.log(sigma / prior)) / 2


def decoder_log_probability(clean: Tensor, mean: Tensor, std: float | Tensor, levels: int | None = 256) -> Tensor:
    """Log ∫ over x_0's bin of N(x; mean, std²) dx; the outermost bins reach to infinity. For densities log N(x_0; mean, std²).

    Args:
        clean: data with `levels` equally spaced values from -1 to 1.
        mean: of the Gaussian.
        std: of the Gaussian, one for all or one each.
        levels: number of values; None for densities.

    Returns:
        Log probabilities, at least log 1e-12, shaped as `clean`.

    Source: Ho et al. 2020, equation 13.
    """
    if levels is None:
        spread = torch.as_tensor(std, dtype=clean.dtype, device=clean.device)
        return -(((clean - mean) / spread) ** 2) / 2 - spread.log() - math.log(2 * math.pi) / 2
    half = 1 / (levels - 1)
    # the tails of a single-precision normal distribution are off by percents
    clean, mean, dtype = clean.double(), mean.double(), clean.dtype
    std = std.double() if isinstance(std, Tensor) else std
    centred = (clean - mean) / std
    inner = 1 - half / 2
    # by symmetry the bin right of the mean is moved to its left, where small tails keep their digits
    sign = torch.where(centred > 0, -1.0, 1.0)
    upper = torch.where(clean > inner, math.inf, centred + half / std)
    lower = torch.where(clean < -inner, -math.inf, centred - half / std)
    mass: Tensor = (torch.special.ndtr(sign * upper) - torch.special.ndtr(sign * lower)) * sign
    return mass.clamp_min(SMALLEST_PROBABILITY).log().to(dtype)


def nearest_log_probability(clean: Tensor, noise: Tensor, spread: float | Tensor, levels: int) -> Tensor:
    """Log p(x_0 | x_first) ∝ q(x_first | x_0) over the values that x_0 can have, for x_first = alpha (x_0 + spread · noise).

    Args:
        clean: data with `levels` equally spaced values from -1 to 1.
        noise: standard normal, shaped as `clean`.
        spread: sigma / alpha at that time, one number.
        levels: number of values, at least 2.

    Returns:
        Log probabilities, shaped as `clean`.

    Source: Kingma et al. 2021, appendix B; values whose share is below e^-50 are left out.
    """
    step = 2 / (levels - 1)
    ratio = torch.as_tensor(step / spread, dtype=clean.dtype, device=clean.device)
    # a normal number beyond 6 is seen once in a billion
    reach = min(levels - 1, math.ceil(16 / float(ratio.detach())))
    away = torch.arange(-reach, reach + 1, device=clean.device)
    there = ((clean[..., None] + away * step).abs() < 1 + step / 2).expand(*clean.shape, len(away))
    logits = -((noise[..., None] - away * ratio) ** 2) / 2
    return -(noise**2) / 2 - torch.logsumexp(logits.masked_fill(~there, -math.inf), -1)
