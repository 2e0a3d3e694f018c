"""Group normalization whose statistics are in float32 whatever the activations are."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class GroupNorm(nn.Module):
    """y = gain (x - mean_g) / √(var_g + eps) + bias, mean and variance over the channels of group g and all of space.

    Args:
        channels: of the input; groups of at least 4 channels, at most 32 of them.
        eps: added to the variance.

    Source:
        Wu & He (2018), eq. 1 and 3.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.groups = next(g for g in range(min(32, max(1, channels // 4)), 0, -1) if channels % g == 0)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, *space) → the same shape and dtype."""
        if x.dtype == self.weight.dtype:
            return functional.group_norm(x, self.groups, self.weight, self.bias, self.eps)
        with torch.autocast(x.device.type, enabled=False):
            wide = functional.group_norm(x.to(self.weight.dtype), self.groups, self.weight, self.bias, self.eps)
        return wide.to(x.dtype)
