"""Residual cells of NVAE: normalization over the batch, swish, squeeze and excitation.

    up      x + 0.1 SE(conv₃(swish(BN(conv₃(swish(BN(x)))))))
    down    x + 0.1 SE(BN(conv₁(swish(BN(depthwise₅(swish(BN(conv₁(BN(x))))))))))

Vahdat & Kautz 2020, figure 3 and section 3.1; the factor 0.1 is their code's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.nets.unet import CONVOLUTIONS

NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
RESIDUAL_SCALE = 0.1


def convolution(dims: int, inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> nn.Module:
    """One that keeps the size, over the stride rounded up."""
    return CONVOLUTIONS[dims](inputs, outputs, size, stride, padding=size // 2, groups=groups)


def batch_norm(dims: int, channels: int) -> nn.Module:
    """With running statistics that follow within tens of steps.

    Source: Vahdat & Kautz 2020, section 3.1.
    """
    return NORMS[dims](channels, momentum=0.05)


class SqueezeExcitation(nn.Module):
    """x_c σ(W₂ relu(W₁ mean(x)))_c, the mean over space.

    Args:
        channels: of the input.

    Source: Hu, Shen & Sun 2018, section 3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(4, channels // 16)
        self.squeeze, self.excite = nn.Linear(channels, inner), nn.Linear(inner, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, *space) → the same shape."""
        gate = torch.sigmoid(self.excite(functional.relu(self.squeeze(x.flatten(2).mean(2)))))
        return x * gate[(..., *[None] * (x.ndim - 2))]


class UpCell(nn.Module):
    """Of the way up from the data: two full convolutions.

    Args:
        dims: dimensions of space.
        channels: in and out.
    """

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            batch_norm(dims, channels),
            nn.SiLU(),
            convolution(dims, channels, channels, 3),
            batch_norm(dims, channels),
            nn.SiLU(),
            convolution(dims, channels, channels, 3),
            SqueezeExcitation(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, *space) → the same shape."""
        out: Tensor = x + RESIDUAL_SCALE * self.inner(x)
        return out


class DownCell(nn.Module):
    """Of the way down to the data: wide depthwise convolutions see far at little cost.

    Args:
        dims: dimensions of space.
        channels: in and out.
        expansion: how many times as many channels there are inside.
    """

    def __init__(self, dims: int, channels: int, expansion: int = 6) -> None:
        super().__init__()
        inside = expansion * channels
        self.inner = nn.Sequential(
            batch_norm(dims, channels),
            convolution(dims, channels, inside, 1),
            batch_norm(dims, inside),
            nn.SiLU(),
            convolution(dims, inside, inside, 5, groups=inside),
            batch_norm(dims, inside),
            nn.SiLU(),
            convolution(dims, inside, channels, 1),
            batch_norm(dims, channels),
            SqueezeExcitation(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, *space) → the same shape."""
        out: Tensor = x + RESIDUAL_SCALE * self.inner(x)
        return out
