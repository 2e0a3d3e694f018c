"""What a decoder's numbers say of a sample: bits, equally spaced values, or densities.

    bits        P(x = 1) = 1 / (1 + exp(-a))
    values      P(x) = Σ_k π_k Π_c [F((x_c + δ - m_kc) / s_kc) - F((x_c - δ - m_kc) / s_kc)],  F the logistic function, the outermost bins open
                m_kc = μ_kc + Σ_{d < c} w_kcd x_d: each channel knows the ones before it
    densities   N(x; m, s²)

Values: Salimans, Karpathy, Chen & Kingma, "PixelCNN++", ICLR 2017, arXiv:1701.05517, equations 1 to 3.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.diffusion.noise import NormalSource
from renote.errors import UsageError
from renote.nets.latent import Normal

LEAST_LOG_SCALE = -7.0


class Decoder(nn.Module):
    """p(x | its numbers).

    Args:
        shape: of one sample, (channels, *space) or (features,).
        values: numbers that it takes for each place of space; for (features,) each feature is a place.

    Attributes:
        form: shape of its numbers for one sample.
        chance: whether what is seen of a sample is drawn anew each time.
    """

    chance = False

    def __init__(self, shape: Sequence[int], values: int) -> None:
        super().__init__()
        self.shape = tuple(shape)
        # the features of a point are places: nothing is known of their order
        self.channels, self.space = (1, self.shape) if len(self.shape) == 1 else (self.shape[0], self.shape[1:])
        self.form = (values, *self.space)

    def check(self, clean: Tensor) -> None:
        """Refuse data that it gives no probability to.

        Raises:
            UsageError: naming what was found.
        """

    def observe(self, clean: Tensor, place: Tensor | None) -> Tensor:
        """What is modelled of `clean` (n, *shape), with uniform numbers of its shape where there is chance in it."""
        return clean

    @abstractmethod
    def log_probability(self, observed: Tensor, numbers: Tensor) -> Tensor:
        """Log p(x | numbers (n, *form)) of what `observe` gave, in nats, (n,)."""

    @abstractmethod
    def mean(self, numbers: Tensor) -> Tensor:
        """E[x | numbers], (n, *shape)."""

    @abstractmethod
    def draw(self, numbers: Tensor, noise: NormalSource) -> Tensor:
        """A draw of p(x | numbers), (n, *shape)."""


class BitDecoder(Decoder):
    """Bits, -1 and 1. Grey values between are the chances of bits that are drawn anew each time ("dynamic binarization").

    Args:
        shape: of one sample.
        grey: whether the data has values between; a sample is then the chances themselves, which are such values.
    """

    def __init__(self, shape: Sequence[int], grey: bool = False) -> None:
        super().__init__(shape, 1 if len(shape) == 1 else shape[0])
        self.chance = grey

    def check(self, clean: Tensor) -> None:
        """Only -1 to 1."""
        if clean.numel() and not float(clean.abs().amax()) <= 1:
            raise UsageError(f"data reaches {float(clean.abs().amax()):g}: bits, or their chances, lie in [-1, 1]")

    def observe(self, clean: Tensor, place: Tensor | None) -> Tensor:
        """-1 or 1."""
        above = clean > 0 if place is None else place < (clean + 1) / 2
        return above.to(clean.dtype) * 2 - 1

    def log_probability(self, observed: Tensor, numbers: Tensor) -> Tensor:
        """log σ(±a)."""
        return functional.logsigmoid(observed * numbers.reshape(observed.shape)).flatten(1).sum(1)

    def mean(self, numbers: Tensor) -> Tensor:
        """2 P - 1."""
        return torch.tanh(numbers.reshape(-1, *self.shape) / 2)

    def draw(self, numbers: Tensor, noise: NormalSource) -> Tensor:
        """Bits by their chances; the chances where the data is grey."""
        mean = self.mean(numbers)
        if self.chance:
            return mean
        return torch.where(torch.special.ndtr(noise.normal(self.shape)) < (mean + 1) / 2, 1.0, -1.0).to(mean.dtype)


class Mixture(NamedTuple):
    """Components k of a place: log weights (n, K, *space); means and log scales (n, K, C, *space); coupling (n, K, C (C - 1) / 2, *space)."""

    log_weight: Tensor
    mean: Tensor
    log_scale: Tensor
    coupling: Tensor


class ValueDecoder(Decoder):
    """Values equally spaced from -1 to 1, by a discretized mixture of logistics.

    Args:
        shape: of one sample.
        components: K.
        levels: number of values; kept with the weights, as a loaded model has no data to tell it.

    Raises:
        UsageError: for fewer than 1 component or 2 levels.
    """

    levels: Tensor

    def __init__(self, shape: Sequence[int], components: int = 1, levels: int = 256) -> None:
        if components < 1 or levels < 2:
            raise UsageError(f"components = {components}, levels = {levels}: needs at least 1 component and 2 levels")
        channels = 1 if len(shape) == 1 else shape[0]
        self.sizes = [1, channels, channels, channels * (channels - 1) // 2]
        super().__init__(shape, components * sum(self.sizes))
        self.components = components
        self.register_buffer("levels", torch.tensor(levels))

    def check(self, clean: Tensor) -> None:
        """Each value within a quarter of a bin of one of the levels: rounding to 8 bits may move it a little."""
        levels = int(self.levels)  # data comes on the CPU, wherever the weights are
        if clean.numel() and not float((clean - _nearest(clean, levels - 1)).abs().amax()) <= 0.5 / (levels - 1):
            raise UsageError(
                f"the data has other values than the {levels} equally spaced ones that this model was made for: "
                "train on data of the same values"
            )

    def log_probability(self, observed: Tensor, numbers: Tensor) -> Tensor:
        """Of the nearest value's bin."""
        found = _nearest(observed, self._last(observed)).reshape(len(observed), 1, self.channels, *self.space)
        mixture = self._mixture(numbers)
        mean = torch.stack([self._mean(mixture, c, found) for c in range(self.channels)], 2)
        half = 1 / self._last(found)
        scale = torch.exp(-mixture.log_scale)
        upper, lower = (found - mean + half) * scale, (found - mean - half) * scale
        # F(b) - F(a) = F(b) F(-a) (1 - e^(a - b)): no difference of near numbers; an open end leaves one factor
        above, below = functional.logsigmoid(upper), functional.logsigmoid(-lower)
        inner = above + below + torch.log(-torch.expm1(-2 * half * scale))
        edge = 1 - half
        log = torch.where(found < -edge, above, torch.where(found > edge, below, inner))
        places = torch.logsumexp(mixture.log_weight + log.sum(2), 1)
        return places.flatten(1).sum(1)

    def mean(self, numbers: Tensor) -> Tensor:
        """Of the mixture, within [-1, 1]."""
        mixture = self._mixture(numbers)
        means = torch.empty_like(mixture.mean)
        for c in range(self.channels):
            means[:, :, c] = self._mean(mixture, c, means)
        mean = (mixture.log_weight.exp()[:, :, None] * means).sum(1)
        return mean.clamp(-1, 1).reshape(-1, *self.shape)

    def draw(self, numbers: Tensor, noise: NormalSource) -> Tensor:
        """A component a place, then channel by channel; to the nearest value."""
        mixture = self._mixture(numbers)
        uniform = _uniform(noise.normal((self.components, *self.space)))
        # the largest of log weight plus Gumbel noise is a draw by weight
        chosen = (mixture.log_weight - torch.log(-torch.log(uniform))).argmax(1)
        mixture = Mixture(*(_component(value, chosen) for value in mixture))
        shift = torch.logit(_uniform(noise.normal((self.channels, *self.space))))[:, None]
        drawn = torch.zeros_like(mixture.mean)
        for c in range(self.channels):
            free = self._mean(mixture, c, drawn) + mixture.log_scale[:, :, c].exp() * shift[:, :, c]
            drawn[:, :, c] = _nearest(free, self._last(free))
        return drawn.reshape(-1, *self.shape)

    def _last(self, like: Tensor) -> Tensor:
        return (self.levels - 1).to(like.dtype)

    def _mixture(self, numbers: Tensor) -> Mixture:
        numbers = numbers.reshape(len(numbers), self.components, sum(self.sizes), *self.space)
        weight, mean, log_scale, coupling = torch.split(numbers, self.sizes, 2)
        return Mixture(weight[:, :, 0].log_softmax(1), mean, log_scale.clamp_min(LEAST_LOG_SCALE), coupling.tanh())

    def _mean(self, mixture: Mixture, c: int, found: Tensor) -> Tensor:
        """(n, K, *space) means of channel c where the channels before it have the values (n, 1 or K, C, *space)."""
        first = c * (c - 1) // 2
        return mixture.mean[:, :, c] + (mixture.coupling[:, :, first : first + c] * found[:, :, :c]).sum(2)


class DensityDecoder(Decoder):
    """N(m, s²) of each number.

    Args:
        shape: of one sample.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__(shape, 2 if len(shape) == 1 else 2 * shape[0])

    def log_probability(self, observed: Tensor, numbers: Tensor) -> Tensor:
        """Of the density."""
        return self._normal(numbers).log_density(observed).flatten(1).sum(1)

    def mean(self, numbers: Tensor) -> Tensor:
        """The mean m."""
        return self._normal(numbers).mean

    def draw(self, numbers: Tensor, noise: NormalSource) -> Tensor:
        """m + s ε."""
        return self._normal(numbers).draw(noise.normal(self.shape))

    def _normal(self, numbers: Tensor) -> Normal:
        mean, log_std = numbers.chunk(2, 1)
        return Normal(mean.reshape(-1, *self.shape), log_std.clamp_min(LEAST_LOG_SCALE).reshape(-1, *self.shape))


def _nearest(clean: Tensor, last: Tensor | int) -> Tensor:
    """The nearest of the values 0 … last, from -1 to 1."""
    return torch.round((clean.clamp(-1, 1) + 1) / 2 * last) * 2 / last - 1


def _uniform(normal: Tensor) -> Tensor:
    """Uniform numbers, never 0 or 1."""
    tiny = torch.finfo(normal.dtype).eps
    uniform: Tensor = torch.special.ndtr(normal).clamp(tiny, 1 - tiny)
    return uniform


def _component(value: Tensor, chosen: Tensor) -> Tensor:
    """(n, K, …, *space) at component (n, *space) → (n, 1, …, *space)."""
    between = value.ndim - chosen.ndim - 1
    index = chosen.reshape(len(chosen), 1, *(1,) * between, *chosen.shape[1:])
    return value.gather(1, index.expand(-1, 1, *value.shape[2 : 2 + between], *chosen.shape[1:]))
