"""The network that a data set's form asks for, and its options. Light: building is what imports the networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from renote.train.options import TrainOptions

if TYPE_CHECKING:
    from torch import nn

    from renote.data import SampleData


@dataclass(frozen=True, kw_only=True)
class BackboneOptions(TrainOptions):
    """The size of the network: a U-Net for images, volumes and signals, residual layers for points."""

    from_one: ClassVar[tuple[str, ...]] = ("channels", "multipliers", "blocks", "attention", "head_channels")
    rates: ClassVar[tuple[str, ...]] = ("dropout",)

    channels: int = 128
    """Channels at full resolution, or width of a network for points."""
    multipliers: tuple[int, ...] = (1, 2, 2, 2)
    """Channels at each halved resolution, as multiples of the first."""
    blocks: int = 2
    """Residual blocks at each resolution."""
    attention: tuple[int, ...] = (2,)
    """Factors by which the resolution is reduced where attention is used."""
    head_channels: int = 64
    """Channels of an attention head."""
    dropout: float = 0.1
    """Probability of dropout inside residual blocks."""
    resample_blocks: bool = False
    """Whether resolutions change within residual blocks, or by a convolution alone."""


def backbone(
    config: BackboneOptions, data: SampleData, num_classes: int = 0, values: int = 1, inputs: int = 1
) -> nn.Module:
    """A network (noisy, time, label) → value of a sample's shape.

    Args:
        config: its size.
        data: its samples' shape.
        num_classes: classes that it is told of; 0 for none.
        values: how many values it gives for each number, one after the other along the channels.
        inputs: how many values it is given for each number, likewise.
    """
    from renote import nets

    if len(data.shape) == 1:
        return nets.PointNetwork(data.shape[0], config.channels, config.blocks + 1, num_classes, values, inputs)
    return nets.UNet(
        data.shape[0] * inputs,
        data.shape[0] * values,
        dims=len(data.shape) - 1,
        channels=config.channels,
        multipliers=config.multipliers,
        blocks=config.blocks,
        attention=config.attention,
        head_channels=config.head_channels,
        num_classes=num_classes,
        dropout=config.dropout,
        resample_blocks=config.resample_blocks,
    )
