"""Self-attention over all places of a feature map."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.nets.norm import GroupNorm


class SelfAttention(nn.Module):
    """x + W_o softmax(Q Kᵀ / √d) V, with Q, K, V = W (norm x), over all places.

    Args:
        channels: of the input.
        head_channels: channels d of a head; the largest divisor of `channels` not above it is taken.

    Source:
        Vaswani et al. (2017), eq. 1; in a U-Net: Ho et al. (2020), appendix B.
    """

    def __init__(self, channels: int, head_channels: int = 64) -> None:
        super().__init__()
        width = next(d for d in range(min(head_channels, channels), 0, -1) if channels % d == 0)
        self.heads = channels // width
        self.norm = GroupNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, *space) → the same shape."""
        places = self.norm(x).flatten(2).transpose(1, 2)
        query, key, value = self.qkv(places).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if x.device.type == "cpu" and query.dtype == torch.bfloat16:
            # the backward of bf16 attention on processors costs several times that of fp32
            with torch.autocast("cpu", enabled=False):
                mixed = functional.scaled_dot_product_attention(query.float(), key.float(), value.float())
        else:
            mixed = functional.scaled_dot_product_attention(query, key, value)
        out = self.out(mixed.transpose(1, 2).flatten(2))
        attended: Tensor = x + out.transpose(1, 2).reshape(x.shape)
        return attended
