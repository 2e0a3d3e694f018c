"""Bits per dimension of any Gaussian model: by the bound of its discrete steps, by the bound in continuous time, or by the probability-flow ODE.

    bound, discrete      E [Σ_k L_k]                                                          Ho et al. 2020, (5)
    bound, continuous    KL(q(x_1 | x) || p) + E_t [-λ'(t) e^λ(t) |x - x̂|² / 2] - E [log p(x | x_0)]     Kingma et al. 2021 (VDM), (11) to (17)
    bound, T steps of a schedule that starts noisy: the same, with E_k [T (e^λ(k/T - 1/T) - e^λ(k/T)) |x - x̂|² / 2]                     ibid., (13)
    ode                  log p(x_0) = log p(x_1) + ∫ ∇·(dx/dt) dt                             Song et al. 2021c, (39)

Data of `levels` equally spaced values: the bounds have a decoder over these values; the ODE's density is that of the data with uniform noise of a value's width added
(Theis et al. 2016), which bounds the discrete bits from above.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from renote.diffusion.condition import Condition
from renote.diffusion.denoiser import Estimator
from renote.diffusion.guidance import Clip
from renote.diffusion.integrate import integrate
from renote.diffusion.likelihood import nearest_log_probability, prior_divergence, variational_bound
from renote.diffusion.noise import NormalSource
from renote.diffusion.process.gaussian import GaussianProcess
from renote.diffusion.sampler.adaptive import flow
from renote.diffusion.times import SHORTEST_TIME
from renote.errors import UsageError, unknown


def bits(
    denoiser: Estimator,
    process: GaussianProcess,
    clean: Tensor,
    noise: NormalSource,
    condition: Condition | None = None,
    *,
    method: str = "bound",
    num_train_steps: int | None = None,
    levels: int | None = None,
    data_range: tuple[float, float] | None = None,
    variance: str = "small",
    draws: int = 100,
    first: float = SHORTEST_TIME,
    exact: bool = False,
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> Tensor:
    """-log₂ p(x) / dimensions.

    Args:
        denoiser: gives estimates.
        process: whose steps are undone.
        clean: (n, …) data.
        noise: of the corrupted data, of the trace's estimate and of dequantization.
        condition: what is known of each sample.
        method: `"bound"` or `"ode"`.
        num_train_steps: T; None for continuous time.
        levels: how many equally spaced values in [-1, 1] the data has; None for densities.
        data_range: to which the bounds' estimates are clipped.
        variance: of the discrete bound's steps, small or large, where it is not learned.
        draws: times a sample of the continuous bound.
        first: time near 0 at which the continuous bound's decoder and the ODE begin.
        exact: the ODE's trace by as many derivatives as there are dimensions, not by one random one.
        rtol: relative tolerance of the ODE.
        atol: absolute tolerance of the ODE.

    Returns:
        (n,).

    Raises:
        UsageError: for an unknown method, or values out of range.
    """
    if method not in ("bound", "ode"):
        raise unknown("method", method, ["bound", "ode"])
    if method == "ode":
        return flow_bits(denoiser, process, clean, noise, condition, levels, first, exact, rtol, atol)
    limited: Estimator = denoiser if data_range is None else Clip(denoiser, *data_range)
    if num_train_steps is not None and not process.schedule.starts_noisy:
        terms = variational_bound(limited, process, clean, num_train_steps, noise, condition, variance, levels)  # type: ignore[arg-type]
        return terms.sum(1)
    return continuous_bound(limited, process, clean, noise, condition, levels, draws, first, num_train_steps)


@torch.no_grad()
def continuous_bound(
    denoiser: Estimator,
    process: GaussianProcess,
    clean: Tensor,
    noise: NormalSource,
    condition: Condition | None = None,
    levels: int | None = None,
    draws: int = 100,
    first: float = SHORTEST_TIME,
    steps: int | None = None,
) -> Tensor:
    """KL(q(x_1 | x) || p(x_1)) + ½ ∫ e^λ E|x - x̂|² dλ - E [log p(x | x_first)], the integral by `draws` evenly spread log-SNRs a sample.

    With `steps` = T it is the bound of T steps between x_first and x_1, each of which is drawn once: the integral's upper sum.

    Args:
        denoiser: gives estimates; called `draws` + 1 times.
        process: corrupts.
        clean: (n, …) data.
        noise: of the corrupted data and the times.
        condition: what is known of each sample.
        levels: values that a number of the data can have, for the decoder p(x | x_first) ∝ q(x_first | x); None for densities, where it is N(x̂, σ²/α²).
        draws: K.
        first: time of the decoder.
        steps: T, at times k/T; None for continuous time.

    Returns:
        (n,) bits per dimension.

    Raises:
        UsageError: for values out of range.

    Source: Kingma et al. 2021, equations 11, 13 and 17, appendix B and I.1.
    """
    if draws < 1 or not 0 < first < 1:
        raise UsageError(f"draws = {draws}, first = {first}: needs draws >= 1 and 0 < first < 1")
    schedule = process.schedule
    start = torch.special.ndtr(noise.normal((1,)).double()).flatten()
    total = torch.zeros(len(clean), dtype=torch.float64, device=clean.device)
    ends = torch.tensor([first, 1.0], dtype=torch.float64, device=clean.device)
    high, low = schedule.log_snr(ends)
    for k in range(steps or draws):
        if steps is None:
            # even in the log-SNR: the integral does not depend on the pace, and there the integrand is nearly constant
            log_snr = high + (low - high) * ((start + k / draws) % 1)
            t = schedule.time(log_snr)
            weight = (high - low) / draws * log_snr.exp() / 2
        else:
            s, at = max(first, k / steps), (k + 1) / steps
            t = torch.full_like(total, at)
            weight = -torch.diff(schedule.log_snr(torch.tensor([s, at]).to(total)).exp()) / 2
        noisy = process.corrupt(clean, t, noise.normal(clean.shape[1:]))
        estimate = denoiser(noisy, t.to(clean.dtype), condition)
        total += weight * (clean - estimate).double().square().flatten(1).mean(1)
    t = torch.full((len(clean),), first, dtype=torch.float64, device=clean.device)
    decoded = _decoder(denoiser, process, clean, noise.normal(clean.shape[1:]), t, levels, condition)
    return (prior_divergence(process, clean).double() + total - decoded) / math.log(2)


def _decoder(
    denoiser: Estimator,
    process: GaussianProcess,
    clean: Tensor,
    noise: Tensor,
    t: Tensor,
    levels: int | None,
    condition: Condition | None,
) -> Tensor:
    """(n,) log p(x | x_first), mean over a sample's numbers."""
    spread = float(process.schedule.sigma(t[:1]) / process.schedule.alpha(t[:1])) if len(t) else 1.0
    if levels is not None:
        parts = zip(torch.split(clean.double(), 500), torch.split(noise.double(), 500))
        found = [nearest_log_probability(*part, spread, levels).flatten(1).mean(1) for part in parts]
        return torch.cat(found)
    # of the decoders N(m, σ²/α²) the estimate's is the best that is a function of x_first
    estimate = denoiser(process.corrupt(clean, t, noise), t.to(clean.dtype), condition)
    away = (clean - estimate).double() / spread
    density = -(away**2) / 2 - math.log(spread) - math.log(2 * math.pi) / 2
    return density.flatten(1).mean(1)


def flow_bits(
    denoiser: Estimator,
    process: GaussianProcess,
    clean: Tensor,
    noise: NormalSource,
    condition: Condition | None = None,
    levels: int | None = None,
    first: float = SHORTEST_TIME,
    exact: bool = False,
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> Tensor:
    """-log₂ of the probability flow's density: log p(x) = log N(x_1; 0, σ_1²) + ∫_first^1 ∇·(dx/dt) dt.

    Args:
        denoiser: gives estimates; differentiable.
        process: whose flow it is.
        clean: (n, …) data.
        noise: of the trace's estimate and of dequantization.
        condition: what is known of each sample.
        levels: equally spaced values in [-1, 1] that the data has; uniform noise of a value's width is added, and the bits are those of discrete data.
        first: time at which the integration begins.
        exact: the trace by one derivative a dimension; else εᵀ J ε with one normal ε a sample (Hutchinson).
        rtol: relative tolerance.
        atol: absolute tolerance.

    Returns:
        (n,) bits per dimension.

    Source: Song et al. 2021c, section 4.3 and appendix D.2; Grathwohl et al. 2019.
    """
    dimensions = max(1, clean[0].numel()) if len(clean) else 1
    offset = 0.0
    if levels is not None:
        width = 2 / (levels - 1)
        unit = torch.special.ndtr(noise.normal(clean.shape[1:]).double()).to(clean.dtype)
        clean, offset = clean + (unit - 0.5) * width, -math.log2(width)
    probe = None if exact else noise.normal(clean.shape[1:])
    slope = flow(denoiser, process.schedule, condition)

    def augmented(t: Tensor, y: Tensor) -> Tensor:
        x = y[:, :-1].reshape(clean.shape)
        value, divergence = _divergence(lambda at: slope(t, at), x, probe)
        # a number of the same size as the others, so that one tolerance serves all
        return torch.cat([value.flatten(1), divergence[:, None] / dimensions], 1)

    y = torch.cat([clean.flatten(1), clean.new_zeros(len(clean), 1)], 1)
    for reached in integrate(augmented, y, first, 1.0, rtol, atol):
        y = reached.y
    std = process.schedule.prior_std()
    square = (y[:, :-1] / std).double().square().mean(1)
    log_prior = -square / 2 - math.log(std) - math.log(2 * math.pi) / 2
    return -(log_prior + y[:, -1].double()) / math.log(2) + offset


def _divergence(function: Callable[[Tensor], Tensor], x: Tensor, probe: Tensor | None) -> tuple[Tensor, Tensor]:
    """f(x) and Σ_i ∂f_i/∂x_i, or its estimate εᵀ (∂f/∂x) ε."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = function(x)
        if probe is not None:
            (product,) = torch.autograd.grad((value * probe).sum(), x)
            return value.detach(), (product * probe).flatten(1).sum(1)
        flat = value.flatten(1)
        total = torch.zeros(len(x), dtype=x.dtype, device=x.device)
        for i in range(flat.shape[1]):
            (row,) = torch.autograd.grad(flat[:, i].sum(), x, retain_graph=True)
            total = total + row.flatten(1)[:, i]
    return value.detach(), total
