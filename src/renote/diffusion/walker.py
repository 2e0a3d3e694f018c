"""What generative models without classes share: batches, bits, and walks that leave no trace in the module."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from renote.diffusion.noise import NoiseSource, NormalSource
from renote.diffusion.sampler.loop import State
from renote.errors import UsageError
from renote.nets.evaluation import evaluation

Batch = dict[str, Tensor]


class Walker(nn.Module):
    """A model whose samples come from a walk with its own fixed steps.

    Args:
        shape: of one sample.
    """

    num_classes = 0
    chances = 1
    """Numbers that the model holds for each of a sample; more than one where it tells chances of categories."""
    bits_methods: ClassVar[tuple[str, ...]] = ("bound",)
    """Ways in which `bits` measures."""
    preview_options: ClassVar[Mapping[str, Any]] = {}
    """Options of `states` for a quick look at samples while training."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    @property
    def dimensions(self) -> int:
        """Numbers in a sample."""
        return math.prod(self.shape)

    def draw(self, clean: Tensor, label: Tensor | None, generator: torch.Generator) -> Batch:
        """All randomness of a training step.

        Args:
            clean: (n, *shape) data, on the CPU.
            label: ignored.
            generator: a CPU generator.

        Raises:
            UsageError: for data that does not fit the model.
        """
        if clean.shape[1:] != self.shape or not clean.is_floating_point():
            raise UsageError(
                f"data of shape {tuple(clean.shape)}, {clean.dtype}: this model takes (n, {', '.join(map(str, self.shape))}), floating"
            )
        return {"clean": clean, **self.randomness(len(clean), generator, clean.dtype)}

    def states(self, n: int, seed: int = 0, label: Any = None, **options: Any) -> Iterator[State]:
        """The walk's states, without gradients and in evaluation mode.

        Args:
            n: number of samples.
            seed: sample i is a function of seed + i, not of n.
            label: None, as there are no classes.
            options: none; the model's steps are as it was trained.

        Raises:
            UsageError: for arguments out of range; at once, not at the first state.
        """
        self._check(n, label, options)
        return self._quietly(self.walk(self._source(seed, n)))

    def sample(self, n: int, seed: int = 0, *, batch_size: int = 1000, **options: Any) -> Tensor:
        """Samples (n, *shape), drawn in batches; sample i is a function of seed + i alone.

        Args:
            n: how many.
            seed: of the first.
            batch_size: most samples at a time.
            options: of `states`.

        Raises:
            UsageError: for arguments out of range.
        """
        if batch_size < 1 or n < 1:
            raise UsageError(f"n = {n}, batch_size = {batch_size}: at least one sample, and one at a time")
        parts = []
        for start in range(0, n, batch_size):
            *_, last = self.states(min(batch_size, n - start), seed + start, **options)
            parts.append(last.noisy)
        return torch.cat(parts)

    def bits(self, clean: Tensor, seed: int = 0) -> Tensor:
        """An upper bound of -log₂ p(x) in bits per dimension, by one draw of the walk a sample.

        Args:
            clean: (n, *shape) data.
            seed: of the draws: that of sample i is a function of seed + i.

        Returns:
            (n,) float64.
        """
        return self._bits(clean, seed)

    @abstractmethod
    def randomness(self, n: int, generator: torch.Generator, dtype: torch.dtype) -> Batch:
        """What `forward` draws for n samples, batch first."""

    @abstractmethod
    def bound(self, clean: Tensor, noise: NormalSource) -> Tensor:
        """At least -log p(x) in nats, (n,)."""

    @abstractmethod
    def walk(self, noise: NormalSource) -> Iterator[State]:
        """States, the last of which is clean."""

    def _bits(self, clean: Tensor, seed: int, **options: Any) -> Tensor:
        """`bits` by a bound that has options."""
        noise = self._source(seed, len(clean))
        with evaluation(self):
            bound = self.bound(clean.to(noise.device, noise.dtype), noise, **options)
        return bound.double() / (self.dimensions * math.log(2))

    def _check(self, n: int, label: Any, options: Mapping[str, Any]) -> None:
        if n < 1:
            raise UsageError(f"n = {n}: at least one sample")
        if label is not None:
            raise UsageError("this model was made without classes: leave label out")
        for option in options:
            raise UsageError(f"{option}: this model samples by the steps that it was trained with; leave it out")

    def _source(self, seed: int, n: int) -> NoiseSource:
        weight = next(self.parameters())
        dtype = torch.float64 if weight.dtype == torch.float64 else torch.float32
        return NoiseSource(range(seed, seed + n), weight.device, dtype)

    def _quietly(self, states: Iterator[State]) -> Iterator[State]:
        while True:
            with evaluation(self):
                state = next(states, None)
            if state is None:
                return
            yield state
