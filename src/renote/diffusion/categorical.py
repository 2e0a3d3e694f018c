"""Diffusion of categories: text, labels, pictures of few grey levels.

    P(x_0 = c | x_t) ∝ exp(F_c(x_t, t)) q(x_t | x_0 = c)                       of each site; what x_t rules out has no chance
    L_vb = Σ_k E KL(q(x_{k-1} | x_k, x_0) || p(x_{k-1} | x_k)),  k = 1: -log p(x_0 | x_1)         Austin et al. 2021, (1)
    L = β L_vb + λ Σ_k E [-log P(x_0 | x_k)]                                    ibid., (5): β = 1; λ = 0 trains the bound alone, β = 0 the cross-entropy

The sum over c of q(x_s | x_t, x_0 = c) P(x_0 = c | x_t) is then ∝ Σ_c q(x_s, x_t | x_0 = c) exp(F_c), the p(x_s | x_t) of Austin et al. 2021, (4), and of Hoogeboom et al.
2021, (13): their networks give the weights F, and the estimate here is what these weights say of x_0. Nothing of the data is left at t = 1, so there is no term of the prior,
but for the size of samples of several sizes, where the process keeps it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.diffusion import grid as grids
from renote.diffusion.chain import TIME_SCALE, even_steps
from renote.diffusion.condition import Condition
from renote.diffusion.noise import NormalSource
from renote.diffusion.process.categorical import CategoricalProcess
from renote.diffusion.process.check import check_categories
from renote.diffusion.sampler import loop
from renote.diffusion.sampler.loop import State
from renote.diffusion.walker import Batch, Walker
from renote.errors import UsageError, unknown


class CategoricalDenoiser(nn.Module):
    """P(x_0 = c | x_t) ∝ exp(F_c(x_t, t)) q(x_t | x_0 = c).

    Args:
        network: F, called as `network(x_t, 1000 t, label)`, states (n, …) int64 → (n, …, K).
        process: what corrupts.
    """

    def __init__(self, network: nn.Module, process: CategoricalProcess) -> None:
        super().__init__()
        self.network, self.process = network, process

    def forward(self, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """Chances of each clean category.

        Args:
            noisy: (n, …) int64 states x_t.
            t: (n,) times in (0, 1], or (1,) for all.
            condition: what is known of each sample.

        Returns:
            (n, …, K).

        Raises:
            UsageError: if the network gives something of another shape.
        """
        return self._weights(noisy, t, condition).softmax(-1)

    def log_chances(self, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """The logarithm of the estimate; arguments as for the call."""
        return self._weights(noisy, t, condition).log_softmax(-1)

    def _weights(self, noisy: Tensor, t: Tensor, condition: Condition | None) -> Tensor:
        """F_c + log q(x_t | x_0 = c)."""
        label = None if condition is None else condition.label
        time = (TIME_SCALE * t).to(torch.promote_types(t.dtype, torch.float32))
        logits = cast(Tensor, self.network(noisy, time.expand(len(noisy)), label))
        if logits.shape != (*noisy.shape, self.process.categories):
            raise UsageError(
                f"the network gave shape {tuple(logits.shape)} for states of shape {tuple(noisy.shape)}: "
                f"one number for each of {self.process.categories} categories"
            )
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return logits + self.process.likelihood(noisy, t, logits.dtype).log_()


def categories_of(clean: Tensor, categories: int) -> Tensor:
    """Evenly spaced values in [-1, 1] → the numbers (n, …) int64 of the categories that they are.

    Raises:
        UsageError: for a value that is no category's.
    """
    place = (clean.double() + 1) * ((categories - 1) / 2)
    near = place.round()
    if bool(((place - near).abs() > 0.05).any()):
        bad = float(clean[(place - near).abs() > 0.05][0])
        raise UsageError(
            f"a value of {bad:.4g} in the data: {categories} categories are the evenly spaced values from -1 to 1"
        )
    check_categories(near.long(), categories)
    return near.long()


class CategoricalModel(Walker):
    """A denoiser of categories with its objective; data are K evenly spaced values in [-1, 1], of which value c is category c.

    Args:
        denoiser: gives chances of clean categories.
        shape: of one sample, of any rank.
        num_train_steps: T.
        hybrid: λ, weight of the cross-entropy.
        bound_weight: β, weight of the bound.

    Raises:
        UsageError: for fewer than 2 steps, a negative weight, or weights that are both 0.

    Example:
        >>> import torch
        >>> from renote import diffusion, nets
        >>> from renote.diffusion.process import Absorbing
        >>> process = diffusion.CategoricalProcess(Absorbing(5))
        >>> network = nets.SequenceTransformer(length=8, states=6, categories=5, width=16, layers=1, heads=2)
        >>> model = diffusion.CategoricalModel(diffusion.CategoricalDenoiser(network, process), (8,), num_train_steps=20)
        >>> model.categories_of(model.sample(3)).shape
        torch.Size([3, 8])
    """

    def __init__(
        self,
        denoiser: CategoricalDenoiser,
        shape: Sequence[int],
        num_train_steps: int,
        hybrid: float = 0.0,
        bound_weight: float = 1.0,
    ) -> None:
        super().__init__(shape)
        if num_train_steps < 2:
            raise UsageError(f"num_train_steps = {num_train_steps}: a chain has at least 2 steps")
        if not hybrid >= 0:
            raise UsageError(f"hybrid = {hybrid}: the weight of the cross-entropy is not negative")
        if not bound_weight >= 0 or hybrid + bound_weight == 0:
            raise UsageError(f"bound_weight = {bound_weight} beside hybrid = {hybrid}: none is negative, one positive")
        self.denoiser, self.process = denoiser, denoiser.process
        self.chances = self.process.categories
        self.num_train_steps, self.hybrid, self.bound_weight = num_train_steps, hybrid, bound_weight

    def categories_of(self, clean: Tensor) -> Tensor:
        """Values in [-1, 1] → the categories (n, …) int64 that they are.

        Raises:
            UsageError: for a value that is no category's.
        """
        found = categories_of(clean, self.process.categories)
        self.process.transition.check(found)
        return found

    def values_of(self, state: Tensor) -> Tensor:
        """States → values in [-1, 1]; the mask is NaN, as it has none."""
        value = state * (2 / (self.process.categories - 1)) - 1.0
        return (
            value
            if self.process.transition.mask is None
            else value.masked_fill(state == self.process.categories, torch.nan)
        )

    def draw(self, clean: Tensor, label: Tensor | None, generator: torch.Generator) -> Batch:
        """As for any model; what is no category is refused here."""
        batch = super().draw(clean, label, generator)
        return {**batch, "clean": self.categories_of(clean)}

    def randomness(self, n: int, generator: torch.Generator, dtype: torch.dtype) -> Batch:
        """Steps k (n,), spread evenly over the batch; normal ε (n, *shape)."""
        index = even_steps(n, self.num_train_steps, generator)
        return {"index": index, "noise": torch.randn(n, *self.shape, generator=generator, dtype=dtype)}

    def forward(self, batch: Batch) -> Tensor:
        """L in bits per dimension, each sample's sum over k as T times one term."""
        clean, index = batch["clean"], batch["index"]
        noisy = self.process.corrupt(clean, index.double() / self.num_train_steps, batch["noise"])
        if self.bound_weight == 0:
            total = self.num_train_steps * self.hybrid * self.surprise(clean, noisy, index)
        else:
            divergence, surprise = self.terms(clean, noisy, index)
            total = self.num_train_steps * (self.bound_weight * divergence + self.hybrid * surprise)
        return total.mean() / (self.dimensions * math.log(2))

    def terms(
        self, clean: Tensor, noisy: Tensor, index: Tensor, dtype: torch.dtype | None = None
    ) -> tuple[Tensor, Tensor]:
        """KL(q(x_{k-1} | x_k, x_0) || p(x_{k-1} | x_k)) and -log P(x_0 | x_k) in nats, (n,) each.

        Args:
            clean: (n, *shape) int64 categories x_0.
            noisy: (n, *shape) int64 states x_k.
            index: (n,) k.
            dtype: to compute in; that of the estimate by default.
        """
        t, s = (i.double() / self.num_train_steps for i in (index, index - 1))
        log_chances = self.denoiser.log_chances(noisy, t)
        log_chances = log_chances.to(dtype or log_chances.dtype)
        with torch.autocast(noisy.device.type, enabled=False):
            known = functional.one_hot(clean, self.process.categories).to(log_chances.dtype)
            exact = self.process.posterior(noisy, known, t, s)
            model = self.process.posterior(noisy, log_chances.exp(), t, s)
            # a chance below the smallest number counts as that number
            model = model.clamp(min=torch.finfo(model.dtype).tiny)
            divergence = torch.xlogy(exact, exact) - torch.xlogy(exact, model)
            surprise = -log_chances.gather(-1, clean[..., None])
            return divergence.flatten(1).sum(1), surprise.flatten(1).sum(1)

    def surprise(self, clean: Tensor, noisy: Tensor, index: Tensor) -> Tensor:
        """-log P(x_0 | x_k) in nats, (n,), without the bound's term; arguments as for `terms`."""
        log_chances = self.denoiser.log_chances(noisy, index.double() / self.num_train_steps)
        return -log_chances.gather(-1, clean[..., None]).flatten(1).sum(1)

    def bits(self, clean: Tensor, seed: int = 0, *, draws: int | None = None) -> Tensor:
        """As for any model; `draws` as for `bound`."""
        return self._bits(clean, seed, draws=draws)

    def bound(self, clean: Tensor, noise: NormalSource, draws: int | None = None) -> Tensor:
        """At least -log p(x_0) in nats, (n,) float64, each term by one draw of x_k.

        Args:
            clean: (n, *shape) data.
            noise: of the draws.
            draws: how many terms are measured, evenly spread over k from a random start, and stand for all; all T by default. The mean is right for any number.

        Raises:
            UsageError: for draws outside 1 … T, or what is no category.
        """
        categories, steps = self.categories_of(clean), self.num_train_steps
        count = steps if draws is None else draws
        if not 1 <= count <= steps:
            raise UsageError(f"draws = {draws}: the bound has 1 to {steps} terms")
        total = self.process.prior_surprise(categories)
        for j in range(count):
            index = torch.full((len(clean),), j + 1, device=clean.device)
            if count < steps:
                start = torch.special.ndtr(noise.normal((1,)).double()).flatten()
                index = ((j + start) * (steps / count)).long().clamp(max=steps - 1) + 1
            noisy = self.process.corrupt(categories, index.double() / steps, noise.normal(self.shape))
            total += self.terms(categories, noisy, index, torch.float64)[0] * (steps / count)
        return total

    def states(
        self,
        n: int,
        seed: int = 0,
        label: Any = None,
        *,
        steps: int | None = None,
        given: Tensor | None = None,
        **options: Any,
    ) -> Iterator[State]:
        """The states of the one reverse loop, in the data's values, without gradients and in evaluation mode.

        Args:
            n: number of samples.
            seed: sample i is a function of seed + i, not of n.
            label: None, as there are no classes.
            steps: of the T times, how many are walked; None or 0 for all.
            given: (*shape) values that all samples keep, NaN where they are free; for a process with a mask.
            options: none.

        Raises:
            UsageError: for arguments out of range; at once, not at the first state.
        """
        for option in options:
            raise unknown("sampling option", option, ["steps", "given"])
        self._check(n, label, {})
        grid = grids.subsequence(self.num_train_steps, steps or self.num_train_steps)
        return self._quietly(self.walk(self._source(seed, n), grid, self._given(given)))

    def walk(self, noise: NormalSource, grid: grids.Grid | None = None, given: Tensor | None = None) -> Iterator[State]:
        """States from x_1 to x_0 along (t, s) pairs, by default all of the chain; `given` (*shape) int64 states, the mask where they are free."""
        noisy = self.process.prior(self.shape, noise)
        if given is not None:
            noisy = torch.where(given.to(noisy.device) == self.process.categories, noisy, given.to(noisy.device))

        def step(noisy: Tensor, estimate: Tensor, t: float, s: float) -> Tensor:
            return self.process.reverse(noisy, estimate, t, s, noise.normal(self.shape))

        def estimate(noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
            chances: Tensor = self.denoiser(noisy, t[:1], condition)  # all samples of a walk are at one time
            return chances

        pairs = grid or grids.subsequence(self.num_train_steps, self.num_train_steps)
        for state in loop.walk(estimate, noisy, pairs, None, step):
            noisy, likely = self.values_of(state.noisy), self.values_of(state.estimate.argmax(-1))
            yield State(state.step, state.steps, state.t, state.s, noisy, likely)

    def _given(self, given: Tensor | None) -> Tensor | None:
        if given is None:
            return None
        mask = self.process.transition.mask
        if mask is None:
            raise UsageError(
                f"given: {self.process} forgets where it began; only a process with a mask keeps what is given (absorbing)"
            )
        if given.shape != self.shape:
            raise UsageError(f"given of shape {tuple(given.shape)}: samples have the shape {self.shape}")
        free = given.isnan()
        return self.categories_of(given.masked_fill(free, -1.0)).masked_fill(free, mask)
