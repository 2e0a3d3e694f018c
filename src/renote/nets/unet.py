"""The U-Net of diffusion models, in one, two or three dimensions of space.

Ronneberger et al., 2015, with the residual blocks, time embedding and attention of Ho et al., 2020, appendix B, and the
scale-and-shift and, where asked, the residual changes of resolution of Dhariwal & Nichol, 2021, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.errors import UsageError
from renote.nets.attention import SelfAttention
from renote.nets.embedding import LabelEmbedding, check_each, sinusoidal
from renote.nets.norm import GroupNorm
from renote.nets.upsample import grow

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
POOLS = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


def _convolution(dims: int, inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Module:
    return CONVOLUTIONS[dims](inputs, outputs, size, stride, padding=size // 2)


def _zero(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


class ResidualBlock(nn.Module):
    """skip(x) + conv(dropout(silu((1 + scale) norm(conv(silu(norm(x)))) + shift)))), (scale, shift) = W silu(c)

    A block that changes the resolution does so before its first convolution and in its skip: means over 2 places along each axis down, copies up.

    Args:
        dims: dimensions of space.
        inputs: channels in.
        outputs: channels out.
        condition: width of the embedding c of time and class.
        dropout: probability.
        resolution: whether space stays the `"same"`, or is halved (`"down"`) or doubled (`"up"`).
    """

    def __init__(
        self,
        dims: int,
        inputs: int,
        outputs: int,
        condition: int,
        dropout: float = 0.0,
        resolution: Literal["same", "down", "up"] = "same",
    ) -> None:
        super().__init__()
        self.resolution = resolution
        self.norm1 = GroupNorm(inputs)
        self.conv1 = _convolution(dims, inputs, outputs)
        self.modulation = nn.Linear(condition, 2 * outputs)
        self.norm2 = GroupNorm(outputs)
        self.dropout = dropout
        self.conv2 = _zero(_convolution(dims, outputs, outputs))
        self.skip = _convolution(dims, inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Features (n, inputs, *space), silu(c) (n, condition) → (n, outputs, *space), space as the resolution says."""
        h = self.norm1.silu(x)
        if self.resolution == "up":
            h, x = grow(h, self.conv1), functional.interpolate(x, scale_factor=2.0, mode="nearest")
        else:
            if self.resolution == "down":
                pool = POOLS[x.ndim - 2]
                h, x = pool(h, 2), pool(x, 2)
            h = self.conv1(h)
        h = self.norm2.silu(h, *self.modulation(condition).chunk(2, 1))
        h = self.conv2(functional.dropout(h, self.dropout, self.training))
        out: Tensor = self.skip(x) + h
        return out


class _Stage(nn.Module):
    """A residual block, with attention after it where asked."""

    def __init__(self, block: ResidualBlock, attention: SelfAttention | None) -> None:
        super().__init__()
        self.block, self.attention = block, attention

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        x = self.block(x, condition)
        return x if self.attention is None else self.attention(x)


class UNet(nn.Module):
    """Network F(x, time, label) → value of x's shape: down through halved resolutions, up again, with skips between.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        dims: dimensions of space, 1 to 3.
        channels: at full resolution.
        multipliers: channels at each resolution, as multiples of `channels`.
        blocks: residual blocks at each resolution on the way down, one more on the way up.
        attention: factors by which space is reduced where attention follows each block, e.g. (4,); unless empty, there
            is attention at the lowest resolution's middle as well.
        head_channels: channels of an attention head.
        num_classes: classes that it may be told; 0 for none.
        dropout: probability within residual blocks.
        resample_blocks: whether resolutions change within residual blocks, or by a convolution alone.

    Raises:
        UsageError: for numbers that make no network.

    Example:
        >>> import torch
        >>> from renote.nets import UNet
        >>> UNet(1, 1, channels=16, multipliers=(1, 2))(torch.zeros(2, 1, 7, 9), torch.tensor([0.0, 999.0])).shape
        torch.Size([2, 1, 7, 9])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dims: int = 2,
        channels: int = 64,
        multipliers: Sequence[int] = (1, 2, 2),
        blocks: int = 2,
        attention: Sequence[int] = (4,),
        head_channels: int = 64,
        num_classes: int = 0,
        dropout: float = 0.0,
        resample_blocks: bool = False,
    ) -> None:
        super().__init__()
        if dims not in CONVOLUTIONS:
            raise UsageError(f"dims = {dims}: a U-Net has 1, 2 or 3 dimensions of space; use a PointNetwork for points")
        sizes = {"in_channels": in_channels, "out_channels": out_channels, "channels": channels, "blocks": blocks}
        for name, value in {
            **sizes,
            "head_channels": head_channels,
            "multipliers": min(multipliers, default=0),
        }.items():
            if value < 1:
                raise UsageError(f"{name} = {value}: must be at least 1")
        if not 0 <= dropout < 1:
            raise UsageError(f"dropout = {dropout}: a probability from 0 to below 1")
        self.in_channels, self.dims, self.channels = in_channels, dims, channels
        self.factor = 2 ** (len(multipliers) - 1)
        width = 4 * channels
        self.embed = nn.Sequential(nn.Linear(2 * ((channels + 1) // 2), width), nn.SiLU(), nn.Linear(width, width))
        self.label = LabelEmbedding(num_classes, width) if num_classes else None

        def stage(inputs: int, outputs: int, attend: bool) -> _Stage:
            block = ResidualBlock(dims, inputs, outputs, width, dropout)
            return _Stage(block, SelfAttention(outputs, head_channels) if attend else None)

        def resample(features: int, resolution: Literal["down", "up"]) -> nn.Module:
            if resample_blocks:
                return ResidualBlock(dims, features, features, width, dropout, resolution)
            return _convolution(dims, features, features, stride=2 if resolution == "down" else 1)

        self.first = _convolution(dims, in_channels, channels)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        skips, here = [channels], channels
        for level, multiplier in enumerate(multipliers):
            row = nn.ModuleList()
            for _ in range(blocks):
                row.append(stage(here, multiplier * channels, 2**level in attention))
                here = multiplier * channels
                skips.append(here)
            self.down.append(row)
            if level < len(multipliers) - 1:
                self.shrink.append(resample(here, "down"))
                skips.append(here)
        self.middle = nn.ModuleList([stage(here, here, bool(attention)), stage(here, here, False)])
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for level, multiplier in reversed(list(enumerate(multipliers))):
            row = nn.ModuleList()
            for _ in range(blocks + 1):
                row.append(stage(here + skips.pop(), multiplier * channels, 2**level in attention))
                here = multiplier * channels
            self.up.append(row)
            if level:
                self.grow.append(resample(here, "up"))
        self.norm = GroupNorm(here)
        self.last = _zero(_convolution(dims, here, out_channels))
        if dims == 2:
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        """The network's value.

        Args:
            x: (n, in_channels, *space), any size.
            time: (n,), about 0 to 1000.
            label: (n,) int64 class numbers, -1 for none; None for none at all. Without `num_classes`, not looked at.

        Returns:
            (n, out_channels, *space).

        Raises:
            UsageError: for another number of dimensions, channels or times, or a class that does not exist.
        """
        if x.ndim != self.dims + 2 or x.shape[1] != self.in_channels or 0 in x.shape[2:]:
            space = ("length", "height, width", "depth, height, width")[self.dims - 1]
            raise UsageError(f"input of shape {tuple(x.shape)}: this U-Net takes (n, {self.in_channels}, {space})")
        check_each(len(x), time, None if self.label is None else label)
        condition = self.embed(sinusoidal(time, 2 * ((self.channels + 1) // 2)).to(x.dtype))
        if self.label is not None and label is not None:
            condition = condition + self.label(label)
        condition = functional.silu(condition)
        size = x.shape[2:]
        x = self._pad(x)
        if self.dims == 2:
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.first(x)
        skips = [x]
        for level, row in enumerate(self.down):
            for stage in cast(nn.ModuleList, row):
                x = stage(x, condition)
                skips.append(x)
            if level < len(self.shrink):
                change = self.shrink[level]
                x = change(x, condition) if isinstance(change, ResidualBlock) else change(x)
                skips.append(x)
        for stage in self.middle:
            x = stage(x, condition)
        for level, row in enumerate(self.up):
            for stage in cast(nn.ModuleList, row):
                x = stage(torch.cat([x, skips.pop()], 1), condition)
            if level < len(self.grow):
                change = self.grow[level]
                x = change(x, condition) if isinstance(change, ResidualBlock) else grow(x, change)
        x = self.last(self.norm.silu(x))
        for axis, length in enumerate(size, 2):
            x = x.narrow(axis, 0, length)
        return x

    def _pad(self, x: Tensor) -> Tensor:
        """Zeros after the end, so that every resolution halves evenly."""
        missing = [-length % self.factor for length in x.shape[2:]]
        if not any(missing):
            return x
        return functional.pad(x, [amount for length in reversed(missing) for amount in (0, length)])
