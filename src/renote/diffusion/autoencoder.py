"""Hierarchical variational autoencoders: one walk down levels of latents, learned by the bound of its likelihood.

    -log p(x) ≤ E_q [ -log p(x | z) + Σ_l KL(q(z_l | z_<l, x) || p(z_l | z_<l)) ]
    -log p(x) ≤ E_q [ -log 1/K Σ_k p(x, z_k) / q(z_k | x) ]          Burda, Grosse & Salakhutdinov 2016, (8): nearer with every draw k

In training the divergences are weighed by a β that rises from 0 to 1 ("warm-up", Sønderby et al. 2016, section 2.3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from renote.diffusion.decoder import Decoder
from renote.diffusion.noise import NormalSource
from renote.diffusion.sampler.loop import State
from renote.diffusion.walker import Batch, Walker
from renote.errors import UsageError
from renote.nets.evaluation import evaluation
from renote.nets.latent import Hierarchy, Level, divergence, wide


class HierarchicalVAE(Walker):
    """p(x, z) = p(x | z) Π_l p(z_l | z_<l), with q(z | x) by a network.

    Args:
        network: levels, from `x` and back.
        decoder: what the network's last numbers say of a sample.
        warmup_steps: over which β rises from 0 to 1.
        balance: while β < 1, weigh each divergence by its mean over the batch per place of its group, so that none is given up early.
        smoothness: weight of the network's own penalty, in nats.

    Raises:
        UsageError: for values out of range.

    Source: Sønderby et al. 2016; Vahdat & Kautz 2020, sections 3.2 and A.
    """

    def __init__(
        self,
        network: Hierarchy,
        decoder: Decoder,
        warmup_steps: int = 0,
        balance: bool = False,
        smoothness: float = 0.0,
    ) -> None:
        super().__init__(decoder.shape)
        if warmup_steps < 0 or not smoothness >= 0:
            raise UsageError(f"warmup_steps = {warmup_steps}, smoothness = {smoothness}: neither is negative")
        self.network, self.decoder = network, decoder
        self.warmup_steps, self.balance, self.smoothness = warmup_steps, balance, smoothness
        self.sizes = [math.prod(shape) for shape in network.shapes]
        # places a level of its group has: the share of the divergences that it is to carry
        counts = [count for count in network.groups for _ in range(count)]
        self._area = [math.prod(shape) / count for shape, count in zip(network.shapes, counts)]

    def draw(self, clean: Tensor, label: Tensor | None, generator: torch.Generator) -> Batch:
        """As `Walker.draw`, of data that the decoder knows."""
        self.decoder.check(clean)
        return super().draw(clean, label, generator)

    def randomness(self, n: int, generator: torch.Generator, dtype: torch.dtype) -> Batch:
        """Normal numbers of all levels, and uniform ones where the data is drawn anew each time."""
        drawn = {"noise": torch.randn(n, sum(self.sizes), generator=generator, dtype=dtype)}
        if self.decoder.chance:
            drawn["place"] = torch.rand(n, *self.shape, generator=generator, dtype=dtype)
        return drawn

    def forward(self, batch: Batch) -> Tensor:
        """The bound in bits per dimension, warmed up where `step` (n,) tells the optimizer step, with the network's penalty."""
        step = batch.get("step")
        observed = self.decoder.observe(batch["clean"], batch.get("place"))
        log_probability, levels = self._infer(observed, batch["noise"])
        terms = torch.stack([self._term(level) for level in levels], 1)
        warmth = self.warmth(step).to(terms) if step is not None else terms.new_ones(1)
        if self.balance:
            each = terms.detach().mean(0).abs() + 0.01
            each = each / each.new_tensor(self._area)
            terms = terms * torch.where(warmth[:, None] < 1, each / each.mean(), 1.0)
        loss = (warmth * terms.sum(1) - log_probability).mean()
        if self.smoothness:
            loss = loss + self.smoothness * self.network.penalty(None if step is None else int(step[0]))
        return loss / (self.dimensions * math.log(2))

    def warmth(self, step: Tensor) -> Tensor:
        """β at optimizer steps counted from 0."""
        return ((step + 1) / max(1, self.warmup_steps)).clamp(max=1)

    def bound(self, clean: Tensor, noise: NormalSource) -> Tensor:
        """By one draw, with the divergences in closed form where there is one."""
        log_probability, levels = self._infer(*self._drawn(clean, noise))
        return sum((self._term(level) for level in levels), -log_probability)

    def bits(self, clean: Tensor, seed: int = 0, draws: int = 1) -> Tensor:
        """An upper bound of -log₂ p(x) in bits per dimension; of grey data that is seen as bits, of bits drawn once.

        Args:
            clean: (n, *shape) data.
            seed: that of sample i is seed + i.
            draws: K of the importance-weighted bound; 1 for the plain bound.

        Returns:
            (n,) float64.

        Raises:
            UsageError: for data that the decoder does not know, or fewer than 1 draw.
        """
        if draws < 1:
            raise UsageError(f"draws = {draws}: at least one")
        self.decoder.check(clean)
        if draws == 1:
            return super().bits(clean, seed)
        noise = self._source(seed, len(clean))
        with evaluation(self):
            observed, fresh = self._drawn(clean.to(noise.device, noise.dtype), noise)
            total = self.log_weight(observed, fresh)
            for _ in range(draws - 1):
                total = torch.logaddexp(total, self.log_weight(observed, noise.normal((sum(self.sizes),))))
        return (math.log(draws) - total) / (self.dimensions * math.log(2))

    def log_weight(self, observed: Tensor, noise: Tensor) -> Tensor:
        """Log p(x, z) / q(z | x) for the z of normal numbers (n, all latents), (n,) float64."""
        log_probability, levels = self._infer(observed, noise)
        return log_probability.double() - sum(_ratio(level).double().flatten(1).sum(1) for level in levels)

    def divergences(self, clean: Tensor, seed: int = 0) -> list[Tensor]:
        """What each latent costs in the bound of samples (n, *shape), by one draw: from the top, (n, *shape of the level) nats."""
        noise = self._source(seed, len(clean))
        with evaluation(self):
            _, levels = self._infer(*self._drawn(clean.to(noise.device, noise.dtype), noise))
        return [self._cost(level) for level in levels]

    def states(
        self, n: int, seed: int = 0, label: Any = None, temperature: float = 1.0, **options: Any
    ) -> Iterator[State]:
        """A state a group of levels: the mean picture with the levels below at their means, the last a draw.

        Args:
            n: number of samples.
            seed: sample i is a function of seed + i, not of n.
            label: None, as there are no classes.
            temperature: by which the standard deviations of the latents are multiplied.
            options: none.

        Raises:
            UsageError: for arguments out of range; at once, not at the first state.
        """
        if not temperature >= 0:
            raise UsageError(f"temperature = {temperature}: not negative; 1 is the model's own, 0 its most likely")
        self._check(n, label, options)
        return self._quietly(self.walk(self._source(seed, n), temperature))

    def walk(self, noise: NormalSource, temperature: float = 1.0) -> Iterator[State]:
        """From the top to the data."""
        pieces = self._pieces(temperature * noise.normal((sum(self.sizes),)))
        known, steps = 0, len(self.network.groups)
        for i, count in enumerate(self.network.groups):
            known += count
            numbers = self._numbers(self.network.generate(pieces[:known]))
            mean = self.decoder.mean(numbers)
            shown = self.decoder.draw(numbers, noise) if i == steps - 1 else mean
            yield State(i, steps, 1 - i / steps, 1 - (i + 1) / steps, shown, mean)

    def _drawn(self, clean: Tensor, noise: NormalSource) -> tuple[Tensor, Tensor]:
        place = torch.special.ndtr(noise.normal(self.shape)) if self.decoder.chance else None
        return self.decoder.observe(clean, place), noise.normal((sum(self.sizes),))

    def _infer(self, observed: Tensor, noise: Tensor) -> tuple[Tensor, list[Level]]:
        out, levels = self.network.infer(observed, self._pieces(noise))
        return self.decoder.log_probability(observed, self._numbers(out)), levels

    def _pieces(self, noise: Tensor) -> list[Tensor]:
        parts = torch.split(noise, self.sizes, 1)
        return [part.reshape(-1, *shape) for part, shape in zip(parts, self.network.shapes)]

    def _numbers(self, out: Tensor) -> Tensor:
        return wide(out).reshape(len(out), *self.decoder.form)

    def _term(self, level: Level) -> Tensor:
        """(n,) nats that the level costs."""
        return self._cost(level).flatten(1).sum(1)

    def _cost(self, level: Level) -> Tensor:
        """The same of each latent."""
        return divergence(level.posterior, level.prior) if self.network.top_down else _ratio(level)


def _ratio(level: Level) -> Tensor:
    """Log q(z) / p(z) of each latent at the level's draw; its mean is the divergence."""
    return level.posterior.log_density(level.z) - level.prior.log_density(level.z)
