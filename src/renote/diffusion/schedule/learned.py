"""A schedule that is trained with the model: Kingma, Salimans, Poole & Ho 2021, "Variational Diffusion Models" (VDM), sections 3.2 and 5.3, appendix H.

    log_snr(t) = λ_0 - (λ_0 - λ_1) n(t),    n(t) = (m(t) - m(0)) / (m(1) - m(0))
    m(t) = t + 1/H Σ_j c_j tanh((w_j (2t - 1) + b_j) / 2),    c_j, w_j > 0

The ends λ_0, λ_1 and the interior n, which never falls and runs from 0 to 1, are parameters of their own: the bound depends on the former alone, the variance of
its estimate on both.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.diffusion.schedule.base import PreservingSchedule
from renote.errors import UsageError

GAIN = 10.0
"""Weights per parameter: steps of an optimizer that suit a denoiser's weights, of about 0.1, are too short for those of a network of one number."""

NEWTON_STEPS = 60
TABLE = 257


class LearnedSchedule(PreservingSchedule, nn.Module):
    """log_snr(t) = λ_0 - (λ_0 - λ_1) n(t), n a monotone network; a part of the model, so that the optimizer trains it and checkpoints keep it.

    At t = 0 the data is clean, as for all schedules; just above, its log-SNR is λ_0.

    Args:
        first: λ_0 before training.
        last: λ_1 before training.
        units: H, of the network; 0 keeps n(t) = t.
        learned_ends: whether λ_0 and λ_1 are trained.

    Raises:
        UsageError: if not λ_1 < λ_0, or H < 0.

    Example:
        >>> import torch
        >>> from renote.diffusion import LearnedSchedule
        >>> schedule = LearnedSchedule(first=13.3, last=-5.0)
        >>> schedule.log_snr(torch.tensor([1e-12, 1.0]))
        tensor([13.3000, -5.0000], grad_fn=<ToCopyBackward0>)

    Source: Kingma et al. 2021, appendix H. Theirs has a weight of t in m too, which n does not depend on but for the scale of the others.
    """

    starts_noisy = True
    first: Tensor
    span: Tensor

    def __init__(self, first: float = 13.3, last: float = -5.0, units: int = 1024, learned_ends: bool = True) -> None:
        super().__init__()
        if not -math.inf < last < first < math.inf or units < 0:
            raise UsageError(
                f"first = {first}, last = {last}, units = {units}: the log-SNR falls from the first to the last, and units are not negative"
            )
        ends = {"first": torch.tensor(float(first)), "span": torch.tensor(_inverse_softplus(first - last))}
        for name, value in ends.items():
            if learned_ends:
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)
        self.units = units
        if units:
            self.weight = nn.Parameter(torch.randn(units) / GAIN)
            self.bias = nn.Parameter(torch.zeros(units))
            self.height = nn.Parameter(torch.randn(units) / GAIN)

    def __repr__(self) -> str:
        first, last = (float(end.detach()) for end in self.ends())
        return f"LearnedSchedule({first:g}, {last:g}, {self.units})"

    def ends(self) -> tuple[Tensor, Tensor]:
        """λ_0 and λ_1."""
        first = self.first.double()
        return first, first - functional.softplus(self.span.double())

    def interior(self, t: Tensor) -> Tensor:
        """n(t) and its slope n'(t), stacked (2, *t's shape), in float64 on the device of the weights."""
        time = t.to(self.first.device, torch.float64).clamp(0, 1)
        if not self.units:
            return torch.stack([time, torch.ones_like(time)])
        weight, bias, height = (GAIN * parameter.double() for parameter in (self.weight, self.bias, self.height))
        weight, height = functional.softplus(weight), functional.softplus(height)
        at = torch.cat([time.flatten(), time.new_tensor([0.0, 1.0])])
        steps = torch.tanh((torch.outer(2 * at - 1, weight) + bias) / 2)
        risen = at + steps @ height / self.units
        slope = 1 + (1 - steps[:-2].square()) @ (weight * height) / self.units
        start, rise = risen[-2], risen[-1] - risen[-2]
        # rounding may leave the last bit outside
        share = ((risen[:-2] - start) / rise).clamp(0, 1)
        return torch.stack([share, slope / rise]).reshape(2, *time.shape)

    def held(self, t: Tensor, num_steps: int | None = None) -> tuple[HeldSchedule, Tensor]:
        """The schedule at times t (n,) alone, evaluated once.

        Args:
            t: times above 0.
            num_steps: T, if the rate is to be that of the bound of T steps, T (exp(λ(t - 1/T) - λ(t)) - 1) (Kingma et al. 2021, equation 14).

        Returns:
            The schedule that gives these values whatever time it is asked for, and the interior that it was made from, (2, n), or (3, n) for T steps:
            a gradient that flows through it reaches the interior's weights only there, which is where it can be changed.
        """
        first, last = self.ends()
        path = self.interior(t)
        if num_steps is None:
            return HeldSchedule(first - (first - last) * path[0], (first - last) * path[1]), path
        path = torch.cat([path, self.interior(t.double() - 1 / num_steps)[:1]])
        rate = num_steps * torch.expm1((first - last) * (path[0] - path[2]))
        return HeldSchedule(first - (first - last) * path[0], rate), path

    def log_snr(self, t: Tensor) -> Tensor:
        """λ_0 - (λ_0 - λ_1) n(t); infinite at t = 0."""
        return torch.where(t > 0, self._log_snr(t), math.inf).to(t.dtype)

    def log_snr_rate(self, t: Tensor) -> Tensor:
        """(λ_0 - λ_1) n'(t)."""
        first, last = self.ends()
        return ((first - last) * self.interior(t)[1]).to(t.device, t.dtype)

    def log_alpha_bar(self, t: Tensor) -> Tensor:
        """Log ᾱ = -log(1 + e^-λ)."""
        return torch.where(t > 0, functional.logsigmoid(self._log_snr(t)), 0.0)

    def log_alpha_bar_slope(self, t: Tensor) -> Tensor:
        """λ' / (1 + e^λ)."""
        return -self.log_snr_rate(t.double()) * torch.sigmoid(-self._log_snr(t))

    @torch.no_grad()
    def time(self, log_snr: Tensor) -> Tensor:
        """n⁻¹((λ_0 - λ) / (λ_0 - λ_1)): Newton's method within brackets from a table, halving where it would leave them."""
        first, last = self.ends()
        wanted = ((first - log_snr.to(first.device, torch.float64)) / (first - last)).clamp(0, 1)
        table = torch.linspace(0, 1, TABLE, dtype=torch.float64, device=first.device)
        share = self.interior(table)[0]
        above = torch.searchsorted(share, wanted).clamp(1, TABLE - 1)
        low, high, before, after = table[above - 1], table[above], share[above - 1], share[above]
        t = low + (high - low) * ((wanted - before) / (after - before)).clamp(0, 1)
        for _ in range(NEWTON_STEPS):
            value, slope = self.interior(t)
            low, high = torch.where(value < wanted, t, low), torch.where(value < wanted, high, t)
            newton = t - (value - wanted) / slope
            last, t = t, torch.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
            # the error after a step is about the step's square
            if bool((t - last).abs().le(1e-9).all()):
                break
        return t.clamp(min=torch.finfo(torch.float32).tiny).to(log_snr.device, log_snr.dtype)

    def _log_snr(self, t: Tensor) -> Tensor:
        first, last = self.ends()
        return (first - (first - last) * self.interior(t)[0]).to(t.device)


class HeldSchedule(PreservingSchedule):
    """A schedule at a batch's own times: what it is asked for them is known already.

    Args:
        log_snr: λ at the times, float64.
        rate: how fast it falls there.
    """

    def __init__(self, log_snr: Tensor, rate: Tensor) -> None:
        self._log_snr, self._rate = log_snr, rate

    def log_snr(self, t: Tensor) -> Tensor:
        """λ, as given."""
        return self._log_snr.to(t.dtype)

    def log_snr_rate(self, t: Tensor) -> Tensor:
        """The rate, as given."""
        return self._rate.to(t.dtype)

    def log_alpha_bar(self, t: Tensor) -> Tensor:
        """Log ᾱ = -log(1 + e^-λ)."""
        return functional.logsigmoid(self._log_snr)

    def log_alpha_bar_slope(self, t: Tensor) -> Tensor:
        """λ' / (1 + e^λ)."""
        return -self._rate * torch.sigmoid(-self._log_snr)


def _inverse_softplus(value: float) -> float:
    return value + math.log(-math.expm1(-value))
