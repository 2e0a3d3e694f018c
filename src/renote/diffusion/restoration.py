"""A network that restores, and the way back that it is sampled by: for processes whose reverse step is not a matter of noise alone.

    L = E |R(x_t, t) - target(x_0, t)|                                                Bansal et al. 2022, section 3; squared in Rissanen et al. 2022, section 3

The target is the process's own: the clean data of a degradation, one level less of blur for heat. What is random in a degradation belongs to the sample, so
there the process's steps see the same numbers over the whole way.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.diffusion import grid as grids
from renote.diffusion.chain import TIME_SCALE
from renote.diffusion.condition import Condition
from renote.diffusion.noise import NormalSource
from renote.diffusion.sampler.loop import State, walk
from renote.diffusion.walker import Batch, Walker
from renote.errors import UsageError, unknown

Loss = Literal["l1", "l2"]


class Restorable(Protocol):
    """A process that a restoring network can undo: degradations, heat, and those of one's own."""

    keeps_noise: bool
    """Whether a sample's noise is one and the same at all steps."""
    adjacent_only: bool
    """Whether a network can only go one of the training steps at a time."""

    def corrupt(self, clean: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """A draw of q(x_t | x_0) by normal numbers, (n, …) all."""

    def prior(self, shape: Sequence[int], noise: NormalSource) -> Tensor:
        """A draw of q(x_1)."""

    def target(self, clean: Tensor, t: Tensor) -> Tensor:
        """What the network is to estimate at times t (n,)."""

    @property
    def reverse(self) -> Callable[..., Tensor]:
        """A draw of q(x_s | x_t, estimate): reverse(noisy, estimate, t, s, noise, **options of its own)."""


class RestorationModel(Walker):
    """x̂ = F(x_t, t), or x_t + F(x_t, t), trained towards the process's target; samples by the process's own reverse step.

    Args:
        network: F, called as `network(x, time (n,))`.
        process: the corruption; a module, if it keeps something of the data.
        shape: of one sample.
        num_train_steps: T; the loss is measured at t = k/T.
        loss: `"l1"` or `"l2"`, means over all numbers.
        residual: whether the network gives the estimate's difference from x_t.

    Raises:
        UsageError: for values out of range.

    Example:
        >>> import torch
        >>> from renote import diffusion
        >>> class Grey(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.level = torch.nn.Parameter(torch.zeros(()))
        ...     def forward(self, x, time):
        ...         return self.level.expand_as(x)
        >>> process = diffusion.DegradationProcess(diffusion.process.Pixelate(1)).fit(torch.rand(50, 1, 8, 8))
        >>> model = diffusion.RestorationModel(Grey(), process, (1, 8, 8), num_train_steps=10)
        >>> model.sample(4, steps=5, algorithm="naive").shape
        torch.Size([4, 1, 8, 8])
    """

    bits_methods = ()

    def __init__(
        self,
        network: nn.Module,
        process: Restorable,
        shape: Sequence[int],
        num_train_steps: int,
        loss: Loss = "l1",
        residual: bool = False,
    ) -> None:
        super().__init__(shape)
        if num_train_steps < 1:
            raise UsageError(f"num_train_steps = {num_train_steps}: a model is trained on at least one step")
        if loss not in get_args(Loss):
            raise unknown("loss", loss, get_args(Loss))
        self.network, self.process = network, process
        self.num_train_steps, self.loss, self.residual = num_train_steps, loss, residual

    def randomness(self, n: int, generator: torch.Generator, dtype: torch.dtype) -> Batch:
        """Times k/T (n,), k of 1 … T; normal ε (n, *shape)."""
        step = torch.randint(1, self.num_train_steps + 1, (n,), generator=generator)
        noise = torch.randn(n, *self.shape, generator=generator, dtype=dtype)
        return {"time": step.to(dtype) / self.num_train_steps, "noise": noise}

    def forward(self, batch: Batch) -> Tensor:
        """The mean loss over the samples of a batch, as `draw` makes it, or a part of it."""
        clean, time = batch["clean"], batch["time"]
        # what a blur leaves is the difference of many products, which half precision has no digits for
        with torch.no_grad(), torch.autocast(clean.device.type, enabled=False):
            noisy = self.process.corrupt(clean, time, batch["noise"])
            target = self.process.target(clean, time)
        measure = functional.l1_loss if self.loss == "l1" else functional.mse_loss
        return measure(self.estimate(noisy, time), target)

    def estimate(self, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """The estimate of the process's target.

        Args:
            noisy: (n, *shape) x_t.
            t: (n,) times in (0, 1].
            condition: not used.

        Returns:
            (n, *shape).
        """
        out: Tensor = self.network(noisy, (TIME_SCALE * t).to(noisy.dtype))
        return noisy + out if self.residual else out

    def states(
        self, n: int, seed: int = 0, label: Any = None, steps: int | None = None, **options: Any
    ) -> Iterator[State]:
        """The walk's states from the prior, without gradients and in evaluation mode.

        Args:
            n: number of samples.
            seed: sample i is a function of seed + i, not of n.
            label: None, as there are no classes.
            steps: how many of the T training steps to take; all by default.
            options: of the process's reverse step, such as `algorithm` or `delta`.

        Raises:
            UsageError: for arguments out of range; at once, not at the first state.
        """
        self._check(n, label, {})
        noise = self._noise(seed, n)
        return self._quietly(self._back(self.process.prior(self.shape, noise), noise, steps, options))

    def restorations(
        self, clean: Tensor, seed: int = 0, steps: int | None = None, strength: float = 1.0, **options: Any
    ) -> Iterator[State]:
        """The walk's states from data that is degraded.

        Args:
            clean: (n, *shape) data, of which the walk sees only q(x_t | x_0).
            seed: that of sample i is seed + i.
            steps: how many of the training steps up to that strength to take; all by default.
            strength: t, brought to the nearest training step.
            options: as for `states`.

        Raises:
            UsageError: as for `states`, for data of another shape, or a strength that is nearest to no step.
        """
        first, noise, start = self._start(clean, seed, strength)
        return self._quietly(self._back(start, noise, steps, options, first))

    def degraded(self, clean: Tensor, seed: int = 0, strength: float = 1.0) -> Tensor:
        """Where `restorations` begins, a draw of q(x_t | x_0); arguments as there."""
        return self._start(clean, seed, strength)[-1]

    def restored(self, clean: Tensor, seed: int = 0, *, batch_size: int = 500, **options: Any) -> Tensor:
        """The last of `restorations`, in batches; arguments as there."""
        parts = []
        for start in range(0, len(clean), batch_size):
            *_, last = self.restorations(clean[start : start + batch_size], seed + start, **options)
            parts.append(last.noisy)
        return torch.cat(parts)

    def walk(self, noise: NormalSource) -> Iterator[State]:
        """All training steps from the prior, as the process has them."""
        return self._back(self.process.prior(self.shape, noise), noise, None, {})

    def bound(self, clean: Tensor, noise: NormalSource) -> Tensor:
        """Refused: a deterministic way has no density.

        Raises:
            UsageError: always.
        """
        raise UsageError("a model that restores has no likelihood: leave bits out")

    def _start(self, clean: Tensor, seed: int, strength: float) -> tuple[int, NormalSource, Tensor]:
        """The number of the training step at a strength, the noise, and data that is degraded so far."""
        if clean.shape[1:] != self.shape or not len(clean):
            raise UsageError(
                f"data of shape {tuple(clean.shape)}: this model restores (n, {', '.join(map(str, self.shape))})"
            )
        first = round(strength * self.num_train_steps) if 0 < strength <= 1 else 0
        if not first:
            raise UsageError(
                f"strength = {strength}: it lies between 1/{self.num_train_steps}, the first training step, and 1"
            )
        noise = self._noise(seed, len(clean))
        with torch.no_grad():
            fresh = noise.normal(self.shape)
            time = fresh.new_full((len(clean),), first / self.num_train_steps)
            return first, noise, self.process.corrupt(clean.to(fresh), time, fresh)

    def _back(
        self,
        start: Tensor,
        noise: NormalSource,
        steps: int | None,
        options: dict[str, Any],
        first: int | None = None,
    ) -> Iterator[State]:
        known = list(inspect.signature(self.process.reverse).parameters)[5:]
        for option in options:
            if option not in known:
                raise UsageError(
                    f"{option} is no option of this model's reverse step, which has {', '.join(known) or 'none'}"
                )
        first = first or self.num_train_steps
        if self.process.adjacent_only and steps not in (None, first):
            raise UsageError(
                f"steps = {steps}: each step of this model goes one of its {first} levels; leave steps out"
            )
        whole = grids.subsequence(first, first if steps is None else steps)
        grid = [(t * first / self.num_train_steps, s * first / self.num_train_steps) for t, s in whole]

        def step(noisy: Tensor, estimate: Tensor, t: float, s: float) -> Tensor:
            return self.process.reverse(noisy, estimate, t, s, noise.normal(self.shape), **options)

        return walk(self.estimate, start, grid, None, step)

    def _noise(self, seed: int, n: int) -> NormalSource:
        noise = self._source(seed, n)
        return KeptNoise(noise.normal(self.shape)) if self.process.keeps_noise else noise


class KeptNoise:
    """The same numbers whenever numbers are asked for.

    Args:
        noise: (n, *shape) them.
    """

    def __init__(self, noise: Tensor) -> None:
        self.noise = noise

    def normal(self, shape: Sequence[int], out: Tensor | None = None) -> Tensor:
        """The numbers, written to `out` if given.

        Raises:
            UsageError: for another shape.
        """
        if tuple(shape) != tuple(self.noise.shape[1:]):
            raise UsageError(f"numbers of shape {tuple(shape)}: these are kept for {tuple(self.noise.shape[1:])}")
        return self.noise if out is None else out.copy_(self.noise)
