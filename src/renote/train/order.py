"""Randomness that is a function of (seed, step) alone, so that a resumed run draws what an uninterrupted one would."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def mixed_seed(*parts: int) -> int:
    """A 63-bit seed in which every part matters: close parts give unrelated seeds."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def step_generator(seed: int, step: int) -> torch.Generator:
    """The generator of everything that optimizer step `step` draws, on the CPU so that every device sees the same."""
    return torch.Generator().manual_seed(mixed_seed(seed, 1, step))


def seed_draws(seed: int, device: torch.device) -> None:
    """`torch.manual_seed` for what is drawn on the CPU and on this device."""
    if device.type == "cpu":
        # seeding devices that are not in use takes a tenth of a small network's step
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


class EpochOrder:
    """Which samples form the batch of a step: a fresh permutation each epoch, all batches equally large.

    A batch may straddle two epochs, so no sample is dropped.

    Args:
        count: samples in the data set.
        batch_size: samples in a batch, at most `count` is not required.
        seed: seed of the permutations.
    """

    def __init__(self, count: int, batch_size: int, seed: int) -> None:
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self._permutations: dict[int, Tensor] = {}

    def indices(self, step: int) -> Tensor:
        """Indices `(batch_size,)` of the samples of optimizer step `step`."""
        position = torch.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs = position // self.count
        first, last = int(epochs[0]), int(epochs[-1])
        self._permutations = {e: self._permutation(e) for e in range(first, last + 1)}
        return torch.cat([self._permutations[e][position[epochs == e] % self.count] for e in range(first, last + 1)])

    def _permutation(self, epoch: int) -> Tensor:
        if epoch in self._permutations:
            return self._permutations[epoch]
        generator = torch.Generator().manual_seed(mixed_seed(self.seed, 2, epoch))
        return torch.randperm(self.count, generator=generator)
