"""Denoiser: a network and a parameterization that turns its output into the estimate of the clean data.

    D(x, t) = c_skip(t) x + c_out(t) F(c_in(t) x, c_noise(t))                    Karras et al. 2022, (7)

    noise      F ≈ ε                     c_skip = 1/alpha    c_out = -sigma/alpha        Ho et al. 2020, (15)
    clean      F ≈ x_0                   c_skip = 0          c_out = 1
    velocity   F ≈ alpha ε - sigma x_0   c_skip = alpha      c_out = -sigma              Salimans & Ho 2022, appendix D

c_in = 1 and c_noise = 1000 t for all three: the network's input has unit variance already, and its time runs to 1000 as that of DDPM.
Samplers, guidance and losses see D alone.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from renote.diffusion.condition import Condition
from renote.diffusion.schedule import Schedule, broadcast
from renote.errors import UsageError, unknown

TIME_SCALE = 1000.0


class Estimator(Protocol):
    """What samplers and guidance ask of a denoiser; a guided denoiser is one too."""

    def __call__(self, noisy: Tensor, t: Tensor, condition: Condition | None = None, /) -> Tensor:
        """The estimate of the clean data, E[x_0 | x_t], shaped as `noisy` (n, …), at times t (n,)."""


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

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """What the network should give for x = alpha clean + sigma noise: the F for which D = clean."""


class Noise:
    """F ≈ ε (Ho et al. 2020)."""

    name = "noise"

    def coefficients(self, alpha: Tensor, sigma: Tensor, t: Tensor) -> Coefficients:
        """D = (x - sigma F) / alpha."""
        return Coefficients(1 / alpha, -sigma / alpha, None, TIME_SCALE * t)

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """ε."""
        return noise


class Clean:
    """F ≈ x_0."""

    name = "clean"

    def coefficients(self, alpha: Tensor, sigma: Tensor, t: Tensor) -> Coefficients:
        """D = F."""
        return Coefficients(torch.zeros_like(t), torch.ones_like(t), None, TIME_SCALE * t)

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """x_0."""
        return clean


class Velocity:
    """F ≈ alpha ε - sigma x_0 (Salimans & Ho 2022), for variance-preserving schedules."""

    name = "velocity"

    def coefficients(self, alpha: Tensor, sigma: Tensor, t: Tensor) -> Coefficients:
        """D = alpha x - sigma F, as alpha² + sigma² = 1."""
        return Coefficients(alpha, -sigma, None, TIME_SCALE * t)

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """alpha ε - sigma x_0."""
        return broadcast(alpha, clean) * noise - broadcast(sigma, clean) * clean


PARAMETERIZATIONS: dict[str, Parameterization] = {"noise": Noise(), "clean": Clean(), "velocity": Velocity()}


class Denoiser(nn.Module):
    """D(x, t) = c_skip x + c_out F(c_in x, c_noise).

    Args:
        network: F, called as `network(x, time (n,), label (n,) int64 or None)`; gives the shape of x.
        schedule: alpha and sigma as functions of time.
        parameterization: name or object.

    Raises:
        UsageError: for an unknown name.
    """

    def __init__(
        self, network: nn.Module, schedule: Schedule, parameterization: str | Parameterization = "noise"
    ) -> None:
        super().__init__()
        if isinstance(parameterization, str):
            if parameterization not in PARAMETERIZATIONS:
                raise unknown("parameterization", parameterization, PARAMETERIZATIONS)
            parameterization = PARAMETERIZATIONS[parameterization]
        self.network, self.schedule, self.parameterization = network, schedule, parameterization

    def extra_repr(self) -> str:
        """Schedule and parameterization."""
        return f"{self.schedule}, parameterization={self.parameterization.name!r}"

    def forward(self, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """The estimate of the clean data.

        Args:
            noisy: (n, …) x_t.
            t: (n,) times in (0, 1].
            condition: what is known of each sample.

        Returns:
            (n, …), in the dtype of `noisy`.
        """
        c = self.coefficients(t)
        output = self._output(noisy, c, condition)
        estimate = output * broadcast(c.out, noisy)
        return estimate.addcmul_(noisy, broadcast(c.skip, noisy))

    def output(self, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """The network's own output F(c_in x, c_noise), whatever it means; arguments as for the call."""
        return self._output(noisy, self.coefficients(t), condition)

    def _output(self, noisy: Tensor, c: Coefficients, condition: Condition | None) -> Tensor:
        label = None if condition is None else condition.label
        scaled = noisy if c.into is None else noisy * broadcast(c.into, noisy)
        output = cast(Tensor, self.network(scaled, c.noise.to(noisy.dtype), label))
        if output.shape != noisy.shape:
            raise UsageError(
                f"the network gave shape {tuple(output.shape)} for data of shape {tuple(noisy.shape)}: both must be equal"
            )
        return output

    def coefficients(self, t: Tensor) -> Coefficients:
        """The affine form's coefficients at times t (n,), in float64."""
        t = t.double()
        return self.parameterization.coefficients(self.schedule.alpha(t), self.schedule.sigma(t), t)

    def network_target(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the network should give for x_t = alpha clean + sigma noise.

        Args:
            clean: (n, …) x_0.
            noise: (n, …) ε.
            t: (n,) times.
        """
        t = t.double()
        return self.parameterization.target(clean, noise, self.schedule.alpha(t), self.schedule.sigma(t))

    def noise(self, noisy: Tensor, estimate: Tensor, t: Tensor) -> Tensor:
        """The noise that an estimate implies: ε̂ = (x_t - alpha x̂) / sigma, t > 0."""
        t = t.double()
        alpha, sigma = broadcast(self.schedule.alpha(t), noisy), broadcast(self.schedule.sigma(t), noisy)
        return (noisy - alpha * estimate) / sigma

    def velocity(self, noisy: Tensor, estimate: Tensor, t: Tensor) -> Tensor:
        """The velocity that an estimate implies: v̂ = alpha ε̂ - sigma x̂ = (alpha x_t - x̂) / sigma, t > 0."""
        t = t.double()
        alpha, sigma = broadcast(self.schedule.alpha(t), noisy), broadcast(self.schedule.sigma(t), noisy)
        return (alpha * noisy - estimate) / sigma
