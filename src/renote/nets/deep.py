"""Many levels of latent maps over several resolutions, in one, two or three dimensions of space.

    up      features of the data, from full resolution to the coarsest
    down    h ← a learned map; at each level  p(z | h) = N(μ, σ²),  q(z | h, x) = N(μ + Δμ, (σ Δσ)²),  h ← cells([h, z])

Vahdat & Kautz, "NVAE: A Deep Hierarchical Variational Autoencoder", NeurIPS 2020, arXiv:2007.03898, sections 3.1 and 3.2.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.errors import UsageError
from renote.nets.cells import NORMS, DownCell, UpCell, convolution
from renote.nets.latent import Hierarchy, Level, Normal, residual, wide
from renote.nets.spectral import SpectralNorms
from renote.nets.unet import CONVOLUTIONS
from renote.nets.upsample import grow

BOUND = 5.0


class DeepHierarchy(Hierarchy):
    """Groups of levels, one group a resolution.

    Args:
        shape: of one sample, (channels, *space) of any size, or (features,), which is seen as one place.
        outputs: numbers that the decoder gives for each place; for (features,) all of them.
        levels: how many levels each group has, from the coarsest.
        latents: channels of a level.
        channels: of features at full resolution.
        multipliers: channels at each halved resolution, as multiples of the first; the last groups' resolutions carry the latents.
        cells: residual cells a level each way, and a resolution without latents.
        expansion: of the cells on the way down.

    Raises:
        UsageError: for numbers that make no network.

    Example:
        >>> import torch
        >>> network = DeepHierarchy((1, 7, 9), 1, levels=(1, 2), latents=3, channels=8, multipliers=(1, 2))
        >>> network.shapes
        ((3, 4, 5), (3, 7, 9), (3, 7, 9))
        >>> network.generate([torch.zeros(2, 3, 4, 5)]).shape
        torch.Size([2, 1, 7, 9])
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        levels: Sequence[int] = (30,),
        latents: int = 20,
        channels: int = 128,
        multipliers: Sequence[int] = (1, 2),
        cells: int = 2,
        expansion: int = 6,
    ) -> None:
        counts = {"outputs": outputs, "latents": latents, "channels": channels, "cells": cells, "expansion": expansion}
        least = {"levels": min(levels, default=0), "multipliers": min(multipliers, default=0)}
        for name, value in {**counts, **least}.items():
            if value < 1:
                raise UsageError(f"{name} = {value}: must be at least 1")
        if len(multipliers) < len(levels):
            raise UsageError(
                f"levels = {tuple(levels)} needs {len(levels)} resolutions, and multipliers = {tuple(multipliers)} has {len(multipliers)}"
            )
        inputs, *space = (*shape, 1) if len(shape) == 1 else shape
        dims = len(space)
        if dims not in CONVOLUTIONS or min(shape) < 1:
            raise UsageError(
                f"samples of shape {tuple(shape)}: this network takes points, or 1 to 3 dimensions of space"
            )
        widths, places = [m * channels for m in multipliers], [tuple(space)]
        for _ in widths[1:]:
            places.append(tuple((length + 1) // 2 for length in places[-1]))
        # resolution of each level, from the top
        where = [len(widths) - 1 - group for group, count in enumerate(levels) for _ in range(count)]
        super().__init__([(latents, *places[r]) for r in where], levels)
        self.shape, self.inputs, self.where, self._places = tuple(shape), (inputs, *space), where, places
        finest = where[-1]

        def up(width: int) -> nn.Module:
            return nn.Sequential(*(UpCell(dims, width) for _ in range(cells)))

        def down(width: int) -> nn.Module:
            return nn.Sequential(*(DownCell(dims, width, expansion) for _ in range(cells)))

        self.first = convolution(dims, inputs, widths[0], 3)
        self.shrink = nn.ModuleList(convolution(dims, a, b, 3, stride=2) for a, b in itertools.pairwise(widths))
        self.grow = nn.ModuleList(convolution(dims, b, a, 3) for a, b in itertools.pairwise(widths))
        self.before = nn.ModuleList(up(width) for width in widths[:finest])
        self.after = nn.ModuleList(down(width) for width in widths[:finest])
        at = [widths[r] for r in where]
        self.seen = nn.ModuleList(up(width) for width in at)
        self.cells = nn.ModuleList(down(width) for width in at[1:])
        self.prior = nn.ModuleList(convolution(dims, width, 2 * latents, 1) for width in at[1:])
        self.context = nn.ModuleList(convolution(dims, width, width, 1) for width in at[1:])
        self.posterior = nn.ModuleList(convolution(dims, width, 2 * latents, 3) for width in at)
        self.take = nn.ModuleList(convolution(dims, width + latents, width, 1) for width in at)
        self.top = nn.Parameter(torch.rand(at[0], *places[where[0]]))
        self.last_cells = down(at[-1])
        self.last = convolution(dims, widths[0], outputs, 3)
        layers = [m for m in self.modules() if isinstance(m, tuple(CONVOLUTIONS.values()))]
        self._norms = tuple(m for m in self.modules() if isinstance(m, tuple(NORMS.values())))
        self.spectral = SpectralNorms(layers)
        if dims == 2:
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def infer(self, x: Tensor, noise: Sequence[Tensor]) -> tuple[Tensor, list[Level]]:
        """The decoder's numbers (n, outputs, *space), and the levels from the top.

        Raises:
            UsageError: for data of another shape.
        """
        if tuple(x.shape[1:]) != self.shape:
            raise UsageError(
                f"input of shape {tuple(x.shape)}: this network takes (n, {', '.join(map(str, self.shape))})"
            )
        levels: list[Level] = []
        features = self._features(x.reshape(len(x), *self.inputs))

        def choose(i: int, h: Tensor, prior: Normal) -> Tensor:
            if i:
                posterior = residual(prior, *_normal(self.posterior[i](features[i] + self.context[i - 1](h))))
            else:
                posterior = _normal(self.posterior[0](functional.elu(features[0])))
            levels.append(Level(prior, posterior, posterior.draw(noise[i])))
            return levels[-1].z

        return self._descend(noise[0], choose), levels

    def generate(self, noise: Sequence[Tensor]) -> Tensor:
        """The decoder's numbers (n, outputs, *space)."""
        return self._descend(noise[0], lambda i, _, prior: prior.draw(noise[i]) if i < len(noise) else prior.mean)

    def penalty(self, step: int | None = None) -> Tensor:
        """Largest singular values of all convolutions (equation 3), and the largest gain of each normalization (section 3.1)."""
        gains = [cast(Tensor, norm.weight).abs().amax() for norm in self._norms]
        singular: Tensor = self.spectral(step)
        return singular.sum() + torch.stack(gains).sum()

    def _features(self, x: Tensor) -> dict[int, Tensor]:
        """What is seen of the data at each level."""
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        x, found = self.first(x), {}
        for r in range(len(self._places)):
            if r < len(self.before):
                x = self.before[r](x)
            for i in reversed(range(len(self.where))):
                if self.where[i] == r:
                    x = found[i] = self.seen[i](x)
            if r < len(self.shrink):
                x = self.shrink[r](x)
        return found

    def _descend(self, first: Tensor, choose: Callable[[int, Tensor, Normal], Tensor]) -> Tensor:
        """From the top to the decoder's numbers, with z_l = choose(l, h, p(z_l | h))."""
        h, prior = self.top.expand(len(first), *self.top.shape), self.start(first)
        for i, r in enumerate(self.where):
            if i:
                h = self.cells[i - 1](h if r == self.where[i - 1] else self._grown(h, r))
                prior = _normal(self.prior[i - 1](functional.elu(h)))
            h = self.take[i](torch.cat([h, choose(i, h, prior).to(h.dtype)], 1))
        h = self.last_cells(h)
        for r in reversed(range(len(self.after))):
            h = self.after[r](self._grown(h, r))
        out: Tensor = self.last(functional.elu(h))
        return out

    def _grown(self, h: Tensor, r: int) -> Tensor:
        """From resolution r + 1 to r, cut to its size."""
        h = grow(h, self.grow[r])
        for axis, length in enumerate(self._places[r], 2):
            h = h.narrow(axis, 0, length)
        return h


def _normal(numbers: Tensor) -> Normal:
    """Mean and log standard deviation, softly within ±5."""
    mean, log_std = (BOUND * torch.tanh(wide(numbers) / BOUND)).chunk(2, 1)
    return Normal(mean, log_std)
