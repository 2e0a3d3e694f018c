"""What the trainer needs to know of a task, and nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from PIL.Image import Image

Batch = dict[str, Tensor]


class Learner(Protocol):
    """A module with a loss, and where its batches come from.

    All randomness of a step is in its batch (but dropout inside networks), which is made once for all processes and then
    cut along the first axis: splitting a batch over processes or accumulated parts changes nothing.
    """

    @property
    def module(self) -> nn.Module:
        """`module(batch)` is the mean loss over the batch. Its state is what a checkpoint keeps."""

    @property
    def metric(self) -> str | None:
        """Which number of `validate` is to become small; None if there is no validation set."""

    def batch(self, step: int, generator: torch.Generator) -> Batch | None:
        """The whole batch of a step, on the CPU; None if the module holds its data itself (full batch)."""

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Parameters for the optimizer, each group with its own settings."""

    def validate(self) -> Mapping[str, float]:
        """Numbers on the validation set; empty if there is none."""

    def preview(self) -> Image | None:
        """A picture of what the weights can do now, or None."""


class PlainLearner:
    """What a learner need not say anew: no validation, all parameters alike, nothing to see."""

    module: Any
    metric: str | None = None

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """All parameters alike."""
        return [{"params": list(self.module.parameters()), "weight_decay": weight_decay}]

    def validate(self) -> Mapping[str, float]:
        """Empty."""
        return {}

    def preview(self) -> Image | None:
        """None: there is nothing to see."""
        return None


def slice_batch(batch: Batch | None, part: int, parts: int) -> tuple[Batch | None, float]:
    """Part `part` of `parts` of a batch and its share of the samples."""
    if batch is None or parts == 1:
        return batch, 1.0
    size = len(next(iter(batch.values())))
    start, end = part * size // parts, (part + 1) * size // parts
    return {k: v[start:end] for k, v in batch.items()}, (end - start) / size
