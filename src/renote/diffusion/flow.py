"""Flows: from data to normal numbers along a path that is learned, by a diffusion in both directions or by an invertible map.

    x_{i+1} = x_i + f(x_i, t_i) Δt + g_i √Δt δᶠ_i                                                     Zhang & Chen 2021, (15)
    x_i = x_{i+1} - [f(x_{i+1}, t_{i+1}) - g_i² s(x_{i+1}, t_{i+1})] Δt + g_i √Δt δᵇ_i                                      (16)
    -log p(x_0) ≤ E [ -log p(x_N) + Σ_i (|δᵇ_i|² - |δᶠ_i|²) / 2 ]                                                     (17), (18)

δᵇ_i is what the second line says it was on the path that the first line drew. g is constant between t_i and t_{i+1}, one number for both
directions: were it taken at the ends of the step, the noises would differ, and so would the densities.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from renote.diffusion.noise import NormalSource
from renote.diffusion.sampler.loop import State
from renote.diffusion.schedule import broadcast
from renote.diffusion.walker import Batch, Walker
from renote.errors import UsageError
from renote.nets.flow import RealNVP

TIME_SCALE = 1000.0


class DiffusionFlow(Walker):
    """f(x, t) = F(x, t) - g²(t) x / 2 and s(x, t) = (1 / σ(t) + 1 / g²(t)) S(x, t) - x, with F, S and g learned.

    With F = S = 0 both directions keep N(0, I) as it is. σ is the noise's standard deviation on the path with F = 0: a score is as large as
    1 / σ where noise leads, and as F / g² where drift does and s makes good what the step backwards misses.

    Args:
        drift: the network F, called as `network(x, time (n,))`; None for a fixed drift, a plain diffusion model.
        score: the network S.
        shape: of one sample.
        num_steps: N.
        first: noise variance of the first step.
        last: noise-to-signal variance at x_N before training; much more than 1 where the drift is fixed, as nothing else leads to N(0, I).
        learned_noise: whether g is learned.
        memory_light: keep the path alone in training, and run the networks once more backward.
        levels: values that a number of the data can have, equally spaced from -1 to 1, each spread evenly over its bin before the path begins;
            None if it has a density.

    Raises:
        UsageError: for values out of range.

    Source: Zhang & Chen, "Diffusion Normalizing Flow", NeurIPS 2021, arXiv:2110.07579.
    """

    def __init__(
        self,
        drift: nn.Module | None,
        score: nn.Module,
        shape: Sequence[int],
        num_steps: int,
        first: float = 1e-3,
        last: float = 100.0,
        learned_noise: bool = True,
        memory_light: bool = False,
        levels: int | None = None,
    ) -> None:
        super().__init__(shape)
        if num_steps < 1:
            raise UsageError(f"num_steps = {num_steps}: a path has at least one step")
        if not 0 < first < last:
            raise UsageError(f"noise from {first} to {last}: give 0 < first < last")
        self.drift, self.score, self.num_steps, self.memory_light = drift, score, num_steps, memory_light
        self.bin = None if levels is None else 2 / (levels - 1)
        # a variance-preserving path of evenly falling log-SNR
        ratio = torch.logspace(math.log10(first), math.log10(last), num_steps, dtype=torch.float64)
        kept = 1 / (1 + ratio)
        added = torch.cat([1 - kept[:1], 1 - kept[1:] / kept[:-1]])
        self.log_noise = nn.Parameter((added * num_steps).log().float() / 2, requires_grad=learned_noise)

    def forward(self, batch: Batch) -> Tensor:
        """The bound in bits per dimension along the path that `noise` (n, N, *shape) draws."""
        bound = self._binned_bound(batch["clean"], batch["noise"], batch.get("place"))
        return bound.mean() / (self.dimensions * math.log(2))

    def path_bound(self, clean: Tensor, noise: Tensor) -> Tensor:
        """The bound in nats, (n,), along the path from `clean` (n, *shape) by δᶠ = `noise` (n, N, *shape)."""
        n, steps = len(clean), self.num_steps
        g, sigma = self.coefficients()
        path, drifts = [clean], [self._learned_drift(clean, 0)]
        for i in range(steps):
            drift = drifts[-1] - g[i] ** 2 / 2 * path[-1]
            path.append(path[-1] + drift / steps + g[i] / math.sqrt(steps) * noise[:, i])
            drifts.append(self._learned_drift(path[-1], i + 1))
        before, after, drift = torch.cat(path[:-1]), torch.cat(path[1:]), torch.cat(drifts[1:])
        index = torch.arange(1, steps + 1, device=clean.device).repeat_interleave(n)
        g_between = broadcast(g[index - 1], after)
        # in one piece, or step by step where memory is short
        pieces = zip(*(torch.split(v, n if self.memory_light else n * steps) for v in (after, index)))
        score = torch.cat([self._score(x, i, sigma) for x, i in pieces])
        step = drift - g_between**2 * (after / 2 + score)
        backward = (before - after + step / steps) / g_between * math.sqrt(steps)
        squares = backward.square().flatten(1).sum(1).view(steps, n).sum(0) - noise.square().flatten(1).sum(1)
        end = path[-1].square().flatten(1).sum(1) + self.dimensions * math.log(2 * math.pi)
        return (end + squares) / 2

    def randomness(self, n: int, generator: torch.Generator, dtype: torch.dtype) -> Batch:
        """δᶠ of every step, and where in its bin each number is taken to lie."""
        drawn = {"noise": torch.randn(n, self.num_steps, *self.shape, generator=generator, dtype=dtype)}
        if self.bin is not None:
            drawn["place"] = torch.rand(n, *self.shape, generator=generator, dtype=dtype)
        return drawn

    def bound(self, clean: Tensor, noise: NormalSource) -> Tensor:
        """Along one path a sample."""
        drawn = noise.normal((self.num_steps, *self.shape))
        place = None if self.bin is None else torch.special.ndtr(noise.normal(self.shape))
        return self._binned_bound(clean, drawn, place)

    def walk(self, noise: NormalSource) -> Iterator[State]:
        """The backward equation from N(0, I); the estimate is where its step ends on average."""
        x, steps = noise.normal(self.shape), self.num_steps
        g, sigma = self.coefficients()
        for i in range(steps, 0, -1):
            index = torch.full((len(x),), i, device=x.device)
            step = self._learned_drift(x, i) - g[i - 1] ** 2 * (x / 2 + self._score(x, index, sigma))
            mean = x - step / steps
            x = mean + g[i - 1] / math.sqrt(steps) * noise.normal(self.shape)
            yield State(steps - i, steps, i / steps, (i - 1) / steps, x, mean)

    def coefficients(self) -> tuple[Tensor, Tensor]:
        """g_i for i = 0 … N - 1, and σ(t_i) for i = 0 … N."""
        g = self.log_noise.exp()
        with torch.no_grad():
            variances = [torch.zeros_like(g[0])]
            for step in g.square() / self.num_steps:
                variances.append(variances[-1] * (1 - step / 2) ** 2 + step)
        return g, torch.stack(variances).sqrt()

    def _binned_bound(self, clean: Tensor, noise: Tensor, place: Tensor | None) -> Tensor:
        if self.bin is None or place is None:
            return self.path_bound(clean, noise)
        # -log of the mean density over a bin, times its size, is at most the mean of -log
        return self.path_bound(clean + (place - 0.5) * self.bin, noise) - self.dimensions * math.log(self.bin)

    def _learned_drift(self, x: Tensor, index: int) -> Tensor:
        if self.drift is None:
            return torch.zeros_like(x)
        return self._call(self.drift, x, x.new_full((len(x),), index / self.num_steps))

    def _score(self, x: Tensor, index: Tensor, sigma: Tensor) -> Tensor:
        scale = 1 / sigma[index] + torch.exp(-2 * self.log_noise.detach()[index - 1])
        return self._call(self.score, x, index.to(x.dtype) / self.num_steps) * broadcast(scale, x) - x

    def _call(self, network: nn.Module, x: Tensor, time: Tensor) -> Tensor:
        if self.memory_light and torch.is_grad_enabled():
            return cast(Tensor, checkpoint(network, x, TIME_SCALE * time, use_reentrant=False))
        return cast(Tensor, network(x, TIME_SCALE * time))


class InvertibleFlow(Walker):
    """-log p(x) = -log N(z; 0, I) - log |det ∂z/∂x|, z = network(x): exact.

    Args:
        network: an invertible network for points.
    """

    def __init__(self, network: RealNVP) -> None:
        super().__init__((network.features,))
        self.network = network

    def forward(self, batch: Batch) -> Tensor:
        """Mean -log₂ p in bits per dimension."""
        return self.negative_log_density(batch["clean"]).mean() / (self.dimensions * math.log(2))

    def negative_log_density(self, x: Tensor) -> Tensor:
        """-log p(x) in nats, (n,)."""
        code, log_determinant = self.network(x)
        squares = code.square().sum(1) + self.dimensions * math.log(2 * math.pi)
        return cast(Tensor, squares / 2 - log_determinant)

    def randomness(self, n: int, generator: torch.Generator, dtype: torch.dtype) -> Batch:
        """Nothing is drawn."""
        return {}

    def bound(self, clean: Tensor, noise: NormalSource) -> Tensor:
        """No bound, but the value itself."""
        return self.negative_log_density(clean)

    def walk(self, noise: NormalSource) -> Iterator[State]:
        """One step, the inverse."""
        sample = self.network.inverse(noise.normal(self.shape))
        yield State(0, 1, 1.0, 0.0, sample, sample)
