"""Markov chains whose reverse steps are learned whole, by the exact variational bound.

    -log p(x_0) ≤ E_q [ KL(q(x_T | x_0) || p(x_T)) + Σ_{k > 1} KL(q(x_{k-1} | x_k, x_0) || p(x_{k-1} | x_k)) - log p(x_0 | x_1) ]

    Gaussian    p(x_{k-1} | x_k) = N(μ(x_k, k), diag v(x_k, k)), the steps β_k learned as well
    binomial    p(x_{k-1} | x_k) = B(Σ_b q(x_{k-1} | x_k, x_0 = b) P(x_0 = b | x_k)), of each bit on its own

Sohl-Dickstein, Weiss, Maheswaranathan & Ganguli 2015, sections 2.3 and 2.4, table App.1; the last step is a decoder here, not held at q's.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.diffusion import grid as grids
from renote.diffusion.condition import Condition
from renote.diffusion.likelihood import decoder_log_probability
from renote.diffusion.noise import NormalSource
from renote.diffusion.process.binomial import BinomialProcess
from renote.diffusion.sampler import loop
from renote.diffusion.sampler.loop import State
from renote.diffusion.schedule import broadcast
from renote.diffusion.walker import Batch, Walker
from renote.errors import UsageError

TIME_SCALE = 1000.0


class Chain(Walker):
    """T steps, of which each has its own term of the bound.

    Args:
        shape: of one sample.
        num_train_steps: T.

    Raises:
        UsageError: for fewer than 2 steps.
    """

    def __init__(self, shape: Sequence[int], num_train_steps: int) -> None:
        super().__init__(shape)
        if num_train_steps < 2:
            raise UsageError(f"num_train_steps = {num_train_steps}: a chain has at least 2 steps")
        self.num_train_steps = num_train_steps

    def randomness(self, n: int, generator: torch.Generator, dtype: torch.dtype) -> Batch:
        """Steps k (n,), each of 1 … T as often as any other, spread evenly over the batch; normal ε (n, *shape)."""
        index = even_steps(n, self.num_train_steps, generator)
        return {"index": index, "noise": torch.randn(n, *self.shape, generator=generator, dtype=dtype)}

    def forward(self, batch: Batch) -> Tensor:
        """The bound in bits per dimension, each sample's sum over k as T times one term."""
        terms = self.term(batch["clean"], batch["index"], batch["noise"])
        bound = self.num_train_steps * terms + self.prior_term(batch["clean"])
        return bound.mean() / (self.dimensions * math.log(2))

    def bound(self, clean: Tensor, noise: NormalSource) -> Tensor:
        """Every term with one draw of x_k: an upper bound of -log p(x_0) in nats, (n,) float64."""
        total = self.prior_term(clean).double()
        for k in range(1, self.num_train_steps + 1):
            total = total + self.term(
                clean, torch.full((len(clean),), k, device=clean.device), noise.normal(self.shape)
            )
        return total

    def walk(self, noise: NormalSource) -> Iterator[State]:
        """States from x_T to x_0 by the one reverse loop."""
        grid = grids.subsequence(self.num_train_steps, self.num_train_steps)
        for state in loop.walk(self.estimate, self.start(noise), grid, None, partial(self.step, noise=noise)):
            estimate = state.estimate.to(state.noisy.dtype)
            yield replace(state, noisy=self.shown(state.noisy), estimate=self.shown(estimate))

    def shown(self, value: Tensor) -> Tensor:
        """What the chain walks on, in the data's values."""
        return value

    @abstractmethod
    def term(self, clean: Tensor, index: Tensor, noise: Tensor) -> Tensor:
        """The bound's term k = `index` (n,) at the x_k that ε = `noise` gives, in nats, (n,)."""

    @abstractmethod
    def prior_term(self, clean: Tensor) -> Tensor:
        """KL(q(x_T | x_0) || p(x_T)) in nats, (n,)."""

    @abstractmethod
    def start(self, noise: NormalSource) -> Tensor:
        """A draw of p(x_T)."""

    @abstractmethod
    def estimate(self, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """What is estimated of the clean data behind x_t at times t = k / T (n,); without conditions."""

    @abstractmethod
    def step(self, noisy: Tensor, estimate: Tensor, t: float, s: float, noise: NormalSource) -> Tensor:
        """A draw of p(x_s | x_t), made with the estimate."""


def even_steps(n: int, steps: int, generator: torch.Generator) -> Tensor:
    """Numbers (n,) int64 of steps 1 … T, each as often as any other, spread evenly over the batch."""
    start = torch.rand((), generator=generator, dtype=torch.float64)
    even = (torch.arange(n, dtype=torch.float64) / max(n, 1) + start) % 1
    return (even[torch.randperm(n, generator=generator)] * steps).long() + 1


class LearnedSteps(nn.Module):
    """Log-SNR of x_1 … x_T, falling from a fixed first to a fixed last value by learned shares.

    Args:
        num_steps: T.
        first: log-SNR of x_1.
        last: log-SNR of x_T.
    """

    def __init__(self, num_steps: int, first: float, last: float) -> None:
        super().__init__()
        self.first, self.last = first, last
        self.share = nn.Parameter(torch.zeros(num_steps - 1))

    def log_alpha_bar(self) -> Tensor:
        """Log ᾱ_k for k = 0 … T, float64, with ᾱ_0 = 1."""
        fallen = functional.pad(self.share.double().softmax(0).cumsum(0), (1, 0))
        return functional.pad(functional.logsigmoid(self.first + (self.last - self.first) * fallen), (1, 0))


class GaussianChain(Chain):
    """p(x_{k-1} | x_k) = N(a x_k + b x̂, diag v), x̂ = alpha_k x_k - sigma_k F(x_k, k), log v = log(1 - ᾱ_k / ᾱ_{k-1}) + G(x_k, k).

    a and b are those of q(x_{k-1} | x_k, x_0).

    Args:
        mean: the network F, called as `network(x, time (n,))`.
        spread: the network G.
        shape: of one sample.
        num_train_steps: T.
        first: log-SNR of x_1.
        last: log-SNR of x_T.
        levels: values that a number of the data can have, equally spaced from -1 to 1; None if it has a density.
    """

    def __init__(
        self,
        mean: nn.Module,
        spread: nn.Module,
        shape: Sequence[int],
        num_train_steps: int,
        first: float = 10.0,
        last: float = -9.0,
        levels: int | None = None,
    ) -> None:
        super().__init__(shape, num_train_steps)
        self.mean, self.spread, self.levels = mean, spread, levels
        self.steps = LearnedSteps(num_train_steps, first, last)

    def term(self, clean: Tensor, index: Tensor, noise: Tensor) -> Tensor:
        """KL of two Gaussians, or the decoder's -log p(x_0 | x_1)."""
        a, b, posterior, kept, added = self._coefficients(index, clean)
        noisy = kept.sqrt() * clean + (1 - kept).sqrt() * noise
        estimate, log_variance = self._clean(noisy, index, kept), self._log_variance(noisy, index, added)
        mean = a * noisy + b * estimate
        first = broadcast(index == 1, clean).bool()
        target = torch.where(first, clean, a * noisy + b * clean)
        # a point has no entropy: its -log N is the KL with log v_q = -1 - log 2π and v_q = 0
        entropy = torch.where(first, -1 - math.log(2 * math.pi), torch.where(first, 1.0, posterior).log())
        spread = torch.where(first, 0.0, posterior)
        term = ((target - mean).square() + spread) * torch.exp(-log_variance) + log_variance - entropy - 1
        term = term.flatten(1).sum(1) / 2
        if self.levels is not None:
            std = torch.exp(log_variance / 2)
            binned = -decoder_log_probability(clean, estimate, std, self.levels).flatten(1).sum(1)
            term = torch.where(index == 1, binned, term)
        return term

    def prior_term(self, clean: Tensor) -> Tensor:
        """KL(N(alpha_T x_0, sigma_T²) || N(0, I))."""
        last = self.steps.log_alpha_bar()[-1]
        variance = -torch.expm1(last)
        moments = clean.square() * last.exp().to(clean.dtype)
        return (moments + (variance - 1 - variance.log()).to(clean.dtype)).flatten(1).sum(1) / 2

    def start(self, noise: NormalSource) -> Tensor:
        """N(0, I)."""
        return noise.normal(self.shape)

    def estimate(self, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """x̂."""
        index = self._index(t)
        return self._clean(noisy, index, self._coefficients(index, noisy)[3])

    def step(self, noisy: Tensor, estimate: Tensor, t: float, s: float, noise: NormalSource) -> Tensor:
        """The mean and learned noise; the mean alone where the values are discrete and s = 0."""
        index = self._index(loop.times(noisy, t))
        a, b, _, _, added = self._coefficients(index, noisy)
        out = a * noisy + b * estimate
        if s > 0 or self.levels is None:
            out = out + torch.exp(self._log_variance(noisy, index, added) / 2) * noise.normal(self.shape)
        return out

    def _index(self, t: Tensor) -> Tensor:
        """k of times k / T."""
        return (t.double() * self.num_train_steps).round().long()

    def _coefficients(self, index: Tensor, like: Tensor) -> tuple[Tensor, ...]:
        """a, b and variance of q(x_{k-1} | x_k, x_0), ᾱ_k, and 1 - ᾱ_k / ᾱ_{k-1}."""
        log_kept = self.steps.log_alpha_bar()
        t, s = log_kept[index], log_kept[index - 1]
        added, var_t, var_s = -torch.expm1(t - s), -torch.expm1(t), -torch.expm1(s)
        a = torch.exp((t - s) / 2) * var_s / var_t
        b = torch.exp(s / 2) * added / var_t
        a, b, posterior, kept, added = (broadcast(c, like) for c in (a, b, added * var_s / var_t, torch.exp(t), added))
        return a, b, posterior, kept, added

    def _clean(self, noisy: Tensor, index: Tensor, kept: Tensor) -> Tensor:
        """x̂."""
        noise: Tensor = self.mean(noisy, self._time(noisy, index))
        return kept.sqrt() * noisy - (1 - kept).sqrt() * noise

    def _log_variance(self, noisy: Tensor, index: Tensor, added: Tensor) -> Tensor:
        """log v."""
        change: Tensor = self.spread(noisy, self._time(noisy, index))
        return added.log() + change

    def _time(self, noisy: Tensor, index: Tensor) -> Tensor:
        return index.to(noisy.dtype) * (TIME_SCALE / self.num_train_steps)


class BinomialChain(Chain):
    """P(x_0 = 1 | x_k) = 1 / (1 + exp(-F(2 x_k - 1, k))), and the binomial process's own steps.

    Args:
        network: F, called as `network(x, time (n,))`.
        shape: of one sample.
        num_train_steps: T.
        values: the data's value of bit 0 and of bit 1.
    """

    values: Tensor

    def __init__(
        self, network: nn.Module, shape: Sequence[int], num_train_steps: int, values: tuple[float, float] = (-1.0, 1.0)
    ) -> None:
        super().__init__(shape, num_train_steps)
        self.network, self.process = network, BinomialProcess()
        self.register_buffer("values", torch.tensor(values))

    def term(self, clean: Tensor, index: Tensor, noise: Tensor) -> Tensor:
        """KL of independent bits; float64, as the terms are small differences of many."""
        bits = (clean > self.values.mean()).double()
        t, s = (i.double() / self.num_train_steps for i in (index, index - 1))
        noisy = self.process.corrupt(bits, t, noise)
        logit = self._logit(noisy, t, clean.dtype)
        model = self.process.mixture(noisy, logit.sigmoid(), (-logit).sigmoid(), t, s)
        exact = self.process.posterior(noisy, bits, t, s)
        return sum(torch.xlogy(q, q) - torch.xlogy(q, p) for q, p in zip(exact, model)).flatten(1).sum(1)  # type: ignore[union-attr]

    def prior_term(self, clean: Tensor) -> Tensor:
        """Zero: nothing is left of the data."""
        return clean.new_zeros(len(clean))

    def start(self, noise: NormalSource) -> Tensor:
        """Fair coins."""
        return self.process.prior(self.shape, noise)

    def estimate(self, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """P(x_0 = 1 | x_t) in float64, as it may be all but 0 or 1."""
        return self._logit(noisy, t, noisy.dtype).sigmoid()

    def step(self, noisy: Tensor, estimate: Tensor, t: float, s: float, noise: NormalSource) -> Tensor:
        """The process's own reverse step."""
        return self.process.reverse(noisy, estimate, t, s, noise.normal(self.shape))

    def shown(self, value: Tensor) -> Tensor:
        """Bits, or their chances, in the data's values."""
        return self.values[0] + (self.values[1] - self.values[0]) * value

    def _logit(self, noisy: Tensor, t: Tensor, dtype: torch.dtype) -> Tensor:
        out: Tensor = self.network((2 * noisy - 1).to(dtype), (TIME_SCALE * t).to(dtype))
        return out.double()
