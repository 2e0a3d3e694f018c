"""Argmax flows: categories as the signs of continuous numbers, whose density is a flow's.

Hoogeboom, Nielsen, Jaini, Forré & Welling, "Argmax Flows and Multinomial Diffusion: Learning Categorical Distributions", NeurIPS 2021, arXiv:2102.05379, section 3.

    x = argmax v                                                   of each site, in base two: digit d of x is set where v_d > 0      (4), and section 3.2
    log p(x) ≥ E_{v ~ q(v | x)} [log p(v) - log q(v | x)]          q only on what has x as its argmax                                (5)
    v_d = ± softplus(u_d),  u ~ N(μ(x), σ²(x))                     so log q(v | x) = log N(u) - Σ log sigmoid(u_d)                   section 3.1, thresholding

p(v) is a flow. A code that is no category, as 65 categories take 7 digits, counts as the last one when sampled; what p has there is lost to the bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.diffusion.categorical import categories_of
from renote.diffusion.noise import NormalSource
from renote.diffusion.sampler.loop import State
from renote.diffusion.walker import Batch, Walker
from renote.errors import UsageError
from renote.nets.flow import SequenceFlow


class ArgmaxFlow(Walker):
    """A flow of digits, and q(v | x) with μ and σ from each category and those around it; data are K evenly spaced values in [-1, 1].

    Args:
        network: p(v), of sequences with `digits_of(categories)` channels.
        categories: K.
        width: of the network of q.
        reach: places on either side that q looks at.

    Raises:
        UsageError: for fewer than 3 categories, whose digits would be one, or a network of other channels.

    Example:
        >>> from renote import diffusion, nets
        >>> model = diffusion.ArgmaxFlow(nets.SequenceFlow(length=8, features=3, width=16, couplings=2), categories=5)
        >>> model.sample(3).shape
        torch.Size([3, 8])
    """

    powers: Tensor

    def __init__(self, network: SequenceFlow, categories: int, width: int = 64, reach: int = 2) -> None:
        super().__init__((network.length,))
        if categories < 3 or network.features != digits_of(categories):
            raise UsageError(
                f"categories = {categories} on {network.features} channels: give at least 3 categories, and a channel for each of their "
                f"{digits_of(max(categories, 2))} digits"
            )
        self.network, self.categories = network, categories
        self.symbol = nn.Embedding(categories, width)
        self.inner = nn.Sequential(
            nn.Conv1d(width, width, 2 * reach + 1, padding=reach), nn.SiLU(), nn.Conv1d(width, 2 * network.features, 1)
        )
        self.register_buffer("powers", 2 ** torch.arange(network.features), persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """The bound in bits per site, by one draw of v."""
        bound = self.negative_bound(categories_of(batch["clean"], self.categories), batch["noise"])
        return bound.mean() / (self.dimensions * math.log(2))

    def randomness(self, n: int, generator: torch.Generator, dtype: torch.dtype) -> Batch:
        """ε of q, a number a digit."""
        return {"noise": torch.randn(n, *self.shape, self.network.features, generator=generator, dtype=dtype)}

    def negative_bound(self, x: Tensor, noise: Tensor) -> Tensor:
        """log q(v | x) - log p(v) in nats, (n,).

        Args:
            x: (n, length) int64 categories.
            noise: (n, length, digits) ε.
        """
        mean, log_std = self.inner(self.symbol(x).mT).mT.chunk(2, -1)
        u = mean + log_std.exp() * noise
        v = (2.0 * self.digits(x) - 1) * functional.softplus(u)
        log_q = -(noise**2 + math.log(2 * math.pi)) / 2 - log_std - functional.logsigmoid(u)
        code, log_determinant = self.network(v)
        log_p = -(code**2 + math.log(2 * math.pi)) / 2
        bound: Tensor = (log_q - log_p).sum((1, 2)) - log_determinant
        return bound

    def digits(self, x: Tensor) -> Tensor:
        """(…) categories → (…, digits) of 0 and 1, the ones first."""
        digits: Tensor = (x[..., None] // self.powers) % 2
        return digits

    def states(self, n: int, seed: int = 0, label: Any = None, steps: int = 0, **options: Any) -> Iterator[State]:
        """The one state of a sample; arguments as for any model.

        Raises:
            UsageError: for more steps than 1, and as for any model.
        """
        if steps not in (0, 1):
            raise UsageError(f"steps = {steps}: a flow is sampled in one step; leave steps out")
        return super().states(n, seed, label, **options)

    def bound(self, clean: Tensor, noise: NormalSource) -> Tensor:
        """By one draw of v."""
        drawn = noise.normal((*self.shape, self.network.features))
        return self.negative_bound(categories_of(clean, self.categories), drawn)

    def walk(self, noise: NormalSource) -> Iterator[State]:
        """One step: the flow's inverse, and the argmax."""
        v = self.network.inverse(noise.normal((*self.shape, self.network.features)))
        x = ((v > 0) * self.powers).sum(-1).clamp(max=self.categories - 1)
        sample = x * (2 / (self.categories - 1)) - 1.0
        yield State(0, 1, 1.0, 0.0, sample, sample)


def digits_of(categories: int) -> int:
    """⌈log₂ K⌉."""
    return max(1, (categories - 1).bit_length())
