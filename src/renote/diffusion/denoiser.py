"""Denoiser: a network and a parameterization that turns its output into the estimate of the clean data.

    D(x, t) = c_skip(t) x + c_out(t) F(c_in(t) x, c_noise(t))                    Karras et al. 2022, (7)

Samplers, guidance and losses see D alone. A network may also learn the variance of ancestral steps (Nichol & Dhariwal 2021): then
it gives twice the channels, and `moments` gives the second half beside the estimate.
"""

from __future__ import annotations

from typing import Protocol, cast

from torch import Tensor, nn

from renote.diffusion.condition import Condition
from renote.diffusion.parameterization import PARAMETERIZATIONS, Coefficients, Parameterization
from renote.diffusion.schedule import Schedule, broadcast
from renote.errors import UsageError, unknown

Moments = tuple[Tensor, Tensor | None]
"""The estimate of the clean data, and where between the two fixed variances a learned one lies: 0 small, 1 large, (n, …)."""


class Estimator(Protocol):
    """What samplers and guidance ask of a denoiser; a guided denoiser is one too."""

    def __call__(self, noisy: Tensor, t: Tensor, condition: Condition | None = None, /) -> Tensor:
        """The estimate of the clean data, E[x_0 | x_t], shaped as `noisy` (n, …), at times t (n,)."""


def moments(estimator: Estimator, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Moments:
    """The estimate, and the learned variance if the estimator has one; arguments as for `Estimator`."""
    known = getattr(estimator, "moments", None)
    if known is None:
        return estimator(noisy, t, condition), None
    return cast(Moments, known(noisy, t, condition))


class Denoiser(nn.Module):
    """D(x, t) = c_skip x + c_out F(c_in x, c_noise).

    Args:
        network: F, called as `network(x, time (n,), label (n,) int64 or None)`; gives the shape of x, or twice its channels.
        schedule: alpha and sigma as functions of time.
        parameterization: name or object.
        learned_variance: whether the network gives twice the channels, the second half v in about [-1, 1] for the variance of ancestral steps,
            exp(f log β + (1 - f) log β̃) with f = (v + 1) / 2 (Nichol & Dhariwal 2021, equation 15).

    Raises:
        UsageError: for an unknown name, or velocity without a variance-preserving schedule.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule,
        parameterization: str | Parameterization = "noise",
        learned_variance: bool = False,
    ) -> None:
        super().__init__()
        if isinstance(parameterization, str):
            if parameterization not in PARAMETERIZATIONS:
                raise unknown("parameterization", parameterization, PARAMETERIZATIONS)
            parameterization = PARAMETERIZATIONS[parameterization]
        if parameterization.name == "velocity" and not schedule.variance_preserving:
            raise UsageError(
                f"parameterization = 'velocity' with {schedule}: it is defined where alpha² + sigma² = 1; use edm or noise"
            )
        self.network, self.schedule, self.parameterization = network, schedule, parameterization
        self.learned_variance = learned_variance

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
        return self.moments(noisy, t, condition)[0]

    def moments(self, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Moments:
        """The estimate and the learned variance's place f, None if it is not learned; arguments as for the call."""
        c = self.coefficients(t)
        output, fraction = self._output(noisy, c, condition)
        estimate = output * broadcast(c.out, noisy)
        return estimate.addcmul_(noisy, broadcast(c.skip, noisy)), fraction

    def output(self, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Moments:
        """The network's own output F(c_in x, c_noise), whatever it means, and f; arguments as for the call."""
        return self._output(noisy, self.coefficients(t), condition)

    def _output(self, noisy: Tensor, c: Coefficients, condition: Condition | None) -> Moments:
        label = None if condition is None else condition.label
        scaled = noisy if c.into is None else noisy * broadcast(c.into, noisy)
        output = cast(Tensor, self.network(scaled, c.noise.to(noisy.dtype), label))
        fraction = None
        if self.learned_variance:
            if output.shape[1] != 2 * noisy.shape[1]:
                raise UsageError(
                    f"the network gave {output.shape[1]} channels for data of {noisy.shape[1]}: with learned variance twice as many"
                )
            output, variance = output.chunk(2, 1)
            fraction = (variance + 1) / 2
        if output.shape != noisy.shape:
            raise UsageError(
                f"the network gave shape {tuple(output.shape)} for data of shape {tuple(noisy.shape)}: both must be equal"
            )
        return output, fraction

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
        return self.parameterization.target(clean, noise, self.schedule.alpha(t), self.schedule.sigma(t), t)

    def noise(self, noisy: Tensor, estimate: Tensor, t: Tensor) -> Tensor:
        """The noise that an estimate implies: ε̂ = (x_t - alpha x̂) / sigma, t > 0."""
        alpha, sigma = self._levels(noisy, t)
        return (noisy - alpha * estimate) / sigma

    def score(self, noisy: Tensor, estimate: Tensor, t: Tensor) -> Tensor:
        """The score that an estimate implies: ∇ log q(x_t) = (alpha x̂ - x_t) / sigma², t > 0."""
        alpha, sigma = self._levels(noisy, t)
        return (alpha * estimate - noisy) / sigma**2

    def velocity(self, noisy: Tensor, estimate: Tensor, t: Tensor) -> Tensor:
        """The velocity that an estimate implies: v̂ = alpha ε̂ - sigma x̂, t > 0."""
        alpha, sigma = self._levels(noisy, t)
        return alpha * (noisy - alpha * estimate) / sigma - sigma * estimate

    def _levels(self, noisy: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        t = t.double()
        return broadcast(self.schedule.alpha(t), noisy), broadcast(self.schedule.sigma(t), noisy)
