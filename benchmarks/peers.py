"""The peers, imported and built: diffusers, and denoising-diffusion-pytorch without torchvision.

denoising-diffusion-pytorch imports torchvision for its own reader of image folders and pictures of samples, neither of which is used here; for
processors alone torchvision has no build that pip would choose beside PyTorch's. So an empty module stands in for it, for as long as the import takes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class _Absent(ModuleType):
    """A module that has no names to give."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotImplementedError(f"{self.__name__}.{name} is not there: benchmarks use no part of torchvision")


def denoising_diffusion() -> ModuleType:
    """The module `denoising_diffusion_pytorch`."""
    parts = {name: _Absent(f"torchvision.{name}") for name in ("transforms", "utils")}
    whole = ModuleType("torchvision")
    vars(whole).update(parts, __path__=[])
    added = {"torchvision": whole, **{part.__name__: part for part in parts.values()}}
    sys.modules.update(added)
    try:
        return importlib.import_module("denoising_diffusion_pytorch")
    finally:
        # others ask whether torchvision is installed: they must not find this one
        for name in added:
            del sys.modules[name]


def denoising_diffusion_unet(
    shape: Sequence[int], channels: int, multipliers: Sequence[int], heads: int = 4, head_channels: int = 32
) -> nn.Module:
    """Its U-Net, called as `network(x, time)`.

    Args:
        shape: of a sample.
        channels: `dim`.
        multipliers: `dim_mults`.
        heads: of attention.
        head_channels: channels of a head.
    """
    network: nn.Module = denoising_diffusion().Unet(
        channels,
        channels=shape[0],
        dim_mults=tuple(multipliers),
        attn_heads=heads,
        attn_dim_head=head_channels,
    )
    return network


def diffusers_unet(
    shape: Sequence[int],
    channels: int,
    multipliers: Sequence[int],
    blocks: int,
    attention: Sequence[int],
    head_channels: int = 8,
    modulation: str = "scale_shift",
) -> Any:
    """diffusers' UNet2DModel, called as `network(x, time).sample`.

    Args:
        shape: of a sample.
        channels: at full resolution.
        multipliers: of channels at each resolution.
        blocks: at each resolution.
        attention: factors by which space is reduced where attention is.
        head_channels: channels of an attention head, by default the library's.
        modulation: how the time enters a block; the library's default is `"default"`, an addition.
    """
    from diffusers import UNet2DModel

    attends = ["Attn" if 2**level in attention else "" for level in range(len(multipliers))]
    return UNet2DModel(
        sample_size=shape[-1],
        in_channels=shape[0],
        out_channels=shape[0],
        layers_per_block=blocks,
        block_out_channels=tuple(channels * multiplier for multiplier in multipliers),
        down_block_types=tuple(f"{kind}DownBlock2D" for kind in attends),
        up_block_types=tuple(f"{kind}UpBlock2D" for kind in reversed(attends)),
        attention_head_dim=head_channels,
        resnet_time_scale_shift=modulation,
    )


class DiffusersNetwork(nn.Module):
    """diffusers' U-Net with a call that gives a tensor.

    Args:
        inner: the U-Net.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        out: Tensor = self.inner(x, time).sample
        return out


class PeerGaAN(nn.Module):
    """GaAN's layer of PyTorch Geometric's parts: ends gathered to edges, its softmax and scatter. Zhang et al. (2018), eqs. 1 to 3."""

    def __init__(self, in_features: int, out_features: int, heads: int, key: int, value: int, pool: int = 64) -> None:
        super().__init__()
        self.heads, self.key, self.value = heads, key, value
        self.query_key_value = nn.Linear(in_features, heads * (2 * key + value))
        self.pool, self.gate = nn.Linear(in_features, pool), nn.Linear(2 * in_features + pool, heads)
        self.combine = nn.Linear(in_features + heads * value, out_features)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        from torch_geometric.utils import scatter, softmax

        source, target = index
        widths = [self.heads * width for width in (self.key, self.key, self.value)]
        query, key, value = (part.unflatten(1, (self.heads, -1)) for part in self.query_key_value(x).split(widths, 1))
        scores = (query[target] * key[source]).sum(-1)
        shares = softmax(scores, target, num_nodes=len(x))
        message = shares[..., None] * functional.leaky_relu(value, 0.1)[source]
        out = scatter(message, target, 0, len(x), "sum")
        highest = scatter(self.pool(x)[source], target, 0, len(x), "max")
        mean = scatter(x[source], target, 0, len(x), "mean")
        gate = self.gate(torch.cat([x, highest, mean], 1)).sigmoid()
        return self.combine(torch.cat([x, (out * gate[..., None]).flatten(1)], 1))
