"""Exponential moving average of weights, with the warm-up that keeps the random start out of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WeightAverage:
    """average <- d average + (1 - d) weights, with d = min(decay, (1 + step) / (10 + step)).

    Args:
        module: whose parameters and floating buffers are averaged.
        decay: the decay d that is reached after the warm-up, in [0, 1).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors: dict[str, Tensor] = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in the weights after optimizer step `step`, counted from 0."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        moving, current = [], []
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                moving.append(self.tensors[name])
                current.append(value)
            else:
                self.tensors[name].copy_(value)
        torch._foreach_lerp_(moving, current, weight)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Put saved averages in the place of these."""
        for name, value in self.tensors.items():
            value.copy_(tensors[name])
