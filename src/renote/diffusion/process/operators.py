"""Degradations of known strength: blur, mask, pixelate, snow, animorph, for signals, images and volumes of any size.

Bansal et al. 2022 ("Cold Diffusion"), section 4 and appendix A. D(x, t) has a strength t in [0, 1]: 0 leaves the picture, 1 leaves nothing of it but, for blur and
pixelate, its mean colour. What is random - where a mask lies, which flakes fall, which animal - is read off the sample's own normal numbers ε, which
stay the same over the whole way: D(x, t; ε) is deterministic.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from renote.diffusion.process.check import check_fitted, check_strength
from renote.diffusion.process.heat import along, dissipate
from renote.diffusion.schedule import broadcast
from renote.errors import UsageError


class Samples(Protocol):
    """A data set, as far as operators know."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, *space) of a sample."""

    @property
    def train(self) -> Tensor:
        """(samples, *shape) in the data's own units."""

    def clean(self, raw: Tensor) -> Tensor:
        """Samples in the data's own units → as they are degraded."""


class Operator(nn.Module):
    """D(x, t; ε). A corruption of one's own gives `degrade`, `end` if something of the data is left at strength 1, and `from_data` if it takes more than channels.

    Args:
        channels: of the data.

    Example:
        >>> import torch
        >>> from renote.diffusion.process import Pixelate
        >>> picture = torch.arange(16.0).reshape(1, 1, 4, 4)
        >>> Pixelate(1)(picture, 0.5, torch.zeros_like(picture))[0, 0, :, 0].tolist()
        [2.5, 2.5, 10.5, 10.5]
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    @classmethod
    def from_data(cls, data: Samples, config: Any) -> Self:
        """The operator for a data set, of its channels alone; one of one's own may take what it needs from either.

        Args:
            data: what is degraded: `shape` of a sample, and `train`, which is empty where a run is opened whose weights have what was taken.
            config: the options of the system that asks.
        """
        return cls(data.shape[0])

    def forward(self, clean: Tensor, strength: float | Tensor, noise: Tensor) -> Tensor:
        """D(x, t; ε), x itself where t = 0.

        Args:
            clean: (n, channels, *space) x.
            strength: t in [0, 1], one for all or (n,).
            noise: (n, channels, *space) standard normal ε.

        Raises:
            UsageError: for a strength outside [0, 1], data without space, or of other channels.
        """
        if clean.ndim < 3 or clean.shape[1] != self.channels:
            raise UsageError(
                f"data of shape {tuple(clean.shape)}: this degradation takes (n, {self.channels}, *space), with at least one axis of space"
            )
        t = torch.as_tensor(strength, dtype=torch.float64, device=clean.device).expand(len(clean))
        check_strength(t)
        return torch.where(broadcast(t, clean) == 0, clean, self.degrade(clean, t, noise))

    @abstractmethod
    def degrade(self, clean: Tensor, strength: Tensor, noise: Tensor) -> Tensor:
        """D(x, t; ε) for strengths (n,) float64 that were checked; what it gives at 0 is not used."""

    def end(self, noise: Tensor) -> Tensor:
        """D(x, 1; ε) without x, or a draw of its distribution: (n, channels, *space) as `noise`."""
        out: Tensor = self(torch.zeros_like(noise), 1.0, noise)
        return out

    def fit(self, clean: Tensor) -> None:
        """Learn from training data (pictures, channels, *space) what `end` has to know; nothing by default."""


class MeanColour(Operator):
    """A degradation that leaves a picture's mean colour: at the end, colours are drawn from a normal distribution fitted to training data.

    Args:
        channels: of the data.
        asymmetry: deviation of a little noise at the end, as pixels that are exactly alike can never become different (section 5).

    Raises:
        UsageError: where colours are asked for, and neither `fit` nor weights that are loaded have given any.
    """

    mean: Tensor
    factor: Tensor

    def __init__(self, channels: int, asymmetry: float = 0.002) -> None:
        super().__init__(channels)
        self.asymmetry = asymmetry
        # what is not fitted is not a number, so that weights say themselves whether they are
        self.register_buffer("mean", torch.full((channels,), torch.nan))
        self.register_buffer("factor", torch.full((channels, channels), torch.nan))
        self._fitted = False

    def fit(self, clean: Tensor) -> None:
        """Mean and covariance of the colours of pictures."""
        colours = clean.double().flatten(2).mean(2)
        mean = colours.mean(0)
        covariance = (colours - mean).T @ (colours - mean) / len(colours)
        values, vectors = torch.linalg.eigh(covariance)  # a root also of a covariance without full rank
        self.mean.copy_(mean)
        self.factor.copy_(vectors * values.clamp_min(0).sqrt())

    def end(self, noise: Tensor) -> Tensor:
        """m + L z in every pixel, and the little noise."""
        return self.colour(noise) + self.asymmetry * noise

    def colour(self, noise: Tensor) -> Tensor:
        """(n, channels, 1, …) draws of the colours' distribution."""
        if not self._fitted:  # looked into once, as a GPU has to be waited for
            check_fitted(self.mean, type(self).__name__)
            self._fitted = True
        z = _numbers(noise, range(-self.channels, 0))
        colour = self.mean.to(noise) + z @ self.factor.to(noise).T
        return colour.reshape(*colour.shape, *(1,) * (noise.ndim - 2))


class Blur(MeanColour):
    """Gaussian blur with mirrored edges, of deviation 3/2 N ((4 N)^t - 1) / (4 N - 1) pixels, N the longest side; at t = 1 the mean colour."""

    def degrade(self, clean: Tensor, strength: Tensor, noise: Tensor) -> Tensor:
        """The blur of that strength."""
        return dissipate(clean, self.deviation(strength, max(clean.shape[2:])))

    def deviation(self, strength: Tensor, size: int) -> Tensor:
        """Pixels of blur on a side of `size`; at strength 1 so many that no frequency is left."""
        pixels = 1.5 * size * ((4 * size) ** strength - 1) / (4 * size - 1)
        return torch.where(strength == 1, 1e4 * size, pixels)


class Mask(MeanColour):
    """x + m (c - x), m = exp(-r² (1 - t)² / (2 (t N / 2)²)): a colour c of the data spreads from a point, N the longest side.

    Point and colour are the sample's own.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, asymmetry=0.0)

    def degrade(self, clean: Tensor, strength: Tensor, noise: Tensor) -> Tensor:
        """The masked picture."""
        space = clean.shape[2:]
        centre = torch.special.ndtr(_numbers(noise, range(len(space))))
        squared = clean.new_zeros(len(clean), 1, *space)
        for axis, size in enumerate(space):
            places = (torch.arange(size, device=clean.device) + 0.5).reshape(-1, *(1,) * (len(space) - axis - 1))
            squared = squared + (places.to(clean) - broadcast(centre[:, axis] * size, clean)).square()
        ratio = (1 - strength) / (strength.clamp_min(1e-12) * max(space) / 2)
        return torch.lerp(clean, self.colour(noise), torch.exp(-squared * broadcast(ratio, clean).square() / 2))


class Pixelate(MeanColour):
    """Means over blocks of 2^j pixels a side, j = t log₂ N rounded up to whole halvings, N the longest side; between two j a mixture of both."""

    def degrade(self, clean: Tensor, strength: Tensor, noise: Tensor) -> Tensor:
        """The picture in blocks."""
        halvings = math.ceil(math.log2(max(clean.shape[2:])))
        level = strength * halvings
        part = broadcast(level - level.floor(), clean)
        fine, coarse = clean, clean
        for axis in range(2, clean.ndim):
            place = torch.arange(clean.shape[axis], device=clean.device)
            fine = along(fine, axis, _averaging(place, level.floor()).to(clean))
            coarse = along(coarse, axis, _averaging(place, level.ceil()).to(clean))
        return torch.lerp(fine, coarse, part)


class Snow(Operator):
    """x + o (w - x): flakes of `flake` pixels fall until a part t of the picture is covered; w is white, shaded by when it fell.

    The paper's is that of ImageNet-C, which leaves the picture visible; here strength 1 covers it.

    Args:
        channels: of the data.
        flake: width of the flakes, the deviation of the blur that makes them of noise.
        edge: how softly flakes begin, as a part of the whole fall.
        shade: how much darker than white (1) the last flakes are.
    """

    def __init__(self, channels: int, flake: float = 0.7, edge: float = 0.2, shade: float = 0.4) -> None:
        super().__init__(channels)
        self.flake, self.edge, self.shade = flake, edge, shade

    def degrade(self, clean: Tensor, strength: Tensor, noise: Tensor) -> Tensor:
        """The picture under snow."""
        field = dissipate(noise[:, :1], torch.full((len(noise),), self.flake, device=noise.device)).flatten(1)
        # by rank, so that a part t is covered whatever the size
        fallen = (field.argsort(1).argsort(1) + 0.5).to(clean) / field.shape[1]
        fallen = fallen.reshape(len(clean), 1, *clean.shape[2:])
        opacity = ((broadcast(strength, clean) * (1 + self.edge) - fallen) / self.edge).clamp(0, 1)
        return torch.lerp(clean, (1 - self.shade * fallen).expand_as(clean), opacity)


class Animorph(Operator):
    """cos(π t / 2) x + sin(π t / 2) z, z a picture of another set, which is the sample's own.

    Args:
        pictures: (count, channels, *space) z.

    Raises:
        UsageError: if there are none.
    """

    pictures: Tensor

    def __init__(self, pictures: Tensor) -> None:
        if pictures.ndim < 3 or not len(pictures):
            raise UsageError(
                f"pictures of shape {tuple(pictures.shape)}: animorph needs (count, channels, *space) to blend to"
            )
        super().__init__(pictures.shape[1])
        self.register_buffer("pictures", pictures.clone())

    @classmethod
    def from_data(cls, data: Samples, config: Any) -> Self:
        """Towards the pictures that the system's options name, `config.other_pictures(data)`."""
        return cls(config.other_pictures(data))

    def degrade(self, clean: Tensor, strength: Tensor, noise: Tensor) -> Tensor:
        """The picture on its way to the other."""
        if clean.shape[2:] != self.pictures.shape[2:]:
            raise UsageError(
                f"data of shape {tuple(clean.shape)}: the pictures that animorph blends to are {tuple(self.pictures.shape[1:])}"
            )
        count = len(self.pictures)
        chosen = (torch.special.ndtr(_numbers(noise, range(1))[:, 0].double()) * count).long().clamp(max=count - 1)
        angle = broadcast(strength * (math.pi / 2), clean)
        left = torch.where(broadcast(strength, clean) == 1, 0, torch.cos(angle))
        return left * clean + torch.sin(angle) * self.pictures[chosen].to(clean)


OPERATORS: dict[str, type[Operator]] = {
    "blur": Blur,
    "mask": Mask,
    "pixelate": Pixelate,
    "snow": Snow,
    "animorph": Animorph,
}
"""Degradations by name; add one's own, and `cold-diffusion` takes it by name, made by `from_data`."""


def _numbers(noise: Tensor, which: range) -> Tensor:
    """Some of each sample's normal numbers, (n, len(which)); a sample of fewer numbers has some twice."""
    flat = noise.flatten(1)
    return flat[:, torch.tensor(which, device=noise.device) % flat.shape[1]]


def _averaging(place: Tensor, level: Tensor) -> Tensor:
    """(n, N, N) means over blocks of 2^level places, the last of which may be short."""
    block = place // (2 ** level.long())[:, None]
    same = (block[:, :, None] == block[:, None]).double()
    return same / same.sum(2, keepdim=True)
