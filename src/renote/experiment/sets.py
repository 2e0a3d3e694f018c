"""Experiments that learn a number of each set, on sets that are drawn anew at each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from renote.graph import SetRegression
from renote.train import Trainer, TrainOptions
from renote.train.learner import Batch, PlainLearner
from renote.train.order import mixed_seed

if TYPE_CHECKING:
    pass

Draw = Callable[[int, torch.Generator], "tuple[Tensor, Tensor]"]
"""`draw(n, generator)`: n sets of one size, (n, m, …), and a number each, (n,)."""


class SetLearner(PlainLearner):
    """Sets that are drawn for each step; there is no validation, as there are no sets to overfit to.

    Args:
        module: what learns.
        draw: a batch.
        batch_size: sets of a step.
    """

    def __init__(self, module: SetRegression, draw: Draw, batch_size: int) -> None:
        self.module, self.draw, self.batch_size = module, draw, batch_size

    def batch(self, step: int, generator: torch.Generator) -> Batch | None:
        """The step's sets and their numbers."""
        sets, target = self.draw(self.batch_size, generator)
        return {"set": sets, "target": target}


def learn_sets(make: Callable[[], SetRegression], draw: Draw, options: TrainOptions) -> SetRegression:
    """A module that `make` makes, trained.

    Args:
        make: its weights are drawn with the options' seed.
        draw: of batches.
        options: of training.

    Raises:
        KeyboardInterrupt: the user stopped it.
    """
    with torch.random.fork_rng():
        torch.manual_seed(mixed_seed(options.seed, 0))
        module = make()
    trained = Trainer(SetLearner(module, draw, options.batch_size), options, progress=False).run()
    if trained.interrupted:
        raise KeyboardInterrupt
    return module
