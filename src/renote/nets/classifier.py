"""A classifier of noisy data: the way down of a U-Net, told of the time.

Dhariwal & Nichol 2021, section 4 and appendix I, with a mean over space in the place of attention pooling.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from renote.errors import UsageError
from renote.nets.embedding import check_each, sinusoidal
from renote.nets.norm import GroupNorm
from renote.nets.unet import CONVOLUTIONS, ResidualBlock


class TimeClassifier(nn.Module):
    """Logits of p(class | x_t): residual blocks with time, space halved between them, a mean over space, a linear layer.

    Args:
        shape: of a sample: channels, then space in one to three dimensions; or (features,) for points.
        num_classes: number of classes.
        channels: at full resolution, or width for points.
        multipliers: channels at each resolution, as multiples of `channels`.

    Raises:
        UsageError: for fewer than two classes or no channels.
    """

    def __init__(
        self, shape: Sequence[int], num_classes: int, channels: int = 64, multipliers: Sequence[int] = (1, 2, 2)
    ) -> None:
        super().__init__()
        if num_classes < 2 or channels < 1 or min(multipliers, default=0) < 1:
            raise UsageError(
                f"num_classes = {num_classes}, channels = {channels}, multipliers = {tuple(multipliers)}: "
                "a classifier has at least 2 classes and 1 channel"
            )
        self.dims, self.channels = max(1, len(shape) - 1), channels
        self.points = len(shape) == 1
        width = 4 * channels
        self.embed = nn.Sequential(nn.Linear(2 * ((channels + 1) // 2), width), nn.SiLU(), nn.Linear(width, width))
        convolution = CONVOLUTIONS[self.dims]
        size = 1 if self.points else 3
        self.first = convolution(shape[0], channels, size, padding=size // 2)
        sizes = [channels, *(m * channels for m in multipliers)]
        self.blocks = nn.ModuleList(ResidualBlock(self.dims, i, o, width) for i, o in itertools.pairwise(sizes))
        self.norm = GroupNorm(sizes[-1])
        self.head = nn.Linear(sizes[-1], num_classes)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Samples (n, *shape) at times (n,), about 0 to 1000 → logits (n, num_classes)."""
        check_each(len(x), time, None)
        if self.points:
            x = x[..., None]
        condition = self.embed(sinusoidal(time, 2 * ((self.channels + 1) // 2)).to(x.dtype))
        condition = functional.silu(condition)
        x = self.first(x)
        for i, block in enumerate(self.blocks):
            if i and min(x.shape[2:]) > 3:
                x = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)[self.dims - 1](x, 2)
            x = block(x, condition)
        pooled = self.norm.silu(x).flatten(2).mean(2)
        out: Tensor = self.head(pooled)
        return out
