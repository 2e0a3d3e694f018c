"""Group normalization whose statistics are in float32 whatever the activations are, alone or with what follows it in a residual block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

FEWEST = 2**18
"""Numbers in a tensor from which passes over memory cost more than the calls that split them up."""

PART = 2**17
"""Numbers that are worked on at a time: what the operations hand to one another stays within a processor's own cache."""


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

    def silu(self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """silu((1 + scale) norm(x) + shift).

        Args:
            x: (n, channels, *space).
            scale: (n, channels); None for 0.
            shift: (n, channels), given with `scale`; None for 0.

        Returns:
            (n, channels, *space) in the dtype of x.
        """
        if not self._in_parts(x):
            return _silu(self(x), scale, shift)
        places = x.permute(0, 2, 3, 1).flatten(1, 2)
        if scale is None or shift is None:
            scale = shift = self.weight.new_zeros(len(x), len(self.weight))
        with torch.autocast("cpu", enabled=False):
            wide = (value.to(self.weight.dtype) for value in (places, scale, shift))
            y: Tensor = _NormSilu.apply(*wide, self.weight, self.bias, self.groups, self.eps)  # type: ignore[no-untyped-call]
        return y.to(x.dtype).transpose(1, 2).view(x.shape)

    def _in_parts(self, x: Tensor) -> bool:
        """Whether x is large, on a processor, its channels side by side: there PyTorch's own norm takes several times what its memory would."""
        last = x.ndim == 4 and x.shape[1] > 1 and x.is_contiguous(memory_format=torch.channels_last)
        return last and x.device.type == "cpu" and x.numel() >= FEWEST


def _silu(y: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
    if scale is not None and shift is not None:
        space = (..., *[None] * (y.ndim - 2))
        y = torch.addcmul(shift[space], y, 1 + scale[space])
    return functional.silu(y)


class _NormSilu(torch.autograd.Function):
    """silu(y), y = a x + o, for x (n, places, channels): a = r gain (1 + scale), o = (bias - m r gain)(1 + scale) + shift, m and r = 1/√(var + eps) of the group.

    Only x is kept. Backward, with dy the gradient of y, S = Σ dy and T = r Σ dy (x - m) over the places of a channel, and A and B the sums of gain (1 + scale) S and
    of gain (1 + scale) T over a group of N numbers:

        dx = a dy - r A/N - r² B/N (x - m)      d scale = gain T + bias S      d shift = S      d gain = Σ_n (1 + scale) T      d bias = Σ_n (1 + scale) S
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, gain: Tensor, bias: Tensor, groups: int, eps: float
    ) -> Tensor:
        total, squares = x.new_empty(2, *scale.shape)
        for part, s, q in _parts(x, total, squares):
            torch.sum(part, 1, out=s)
            torch.sum(part.square(), 1, out=q)
        mean, square = _group_mean(total, x, groups), _group_mean(squares, x, groups)
        rate = (square - mean.square()).clamp_min_(0).add_(eps).rsqrt_()
        factor = rate * gain
        offset = (bias - mean * factor).mul_(1 + scale).add_(shift)
        factor.mul_(1 + scale)
        out = torch.empty_like(x)
        for part, a, o, y in _parts(x, factor[:, None], offset[:, None], out):
            functional.silu(torch.addcmul(o, part, a, out=y), inplace=True)
        ctx.save_for_backward(x, scale, shift, gain, bias, mean, rate, factor, offset)
        ctx.groups, ctx.eps = groups, eps
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, shift, gain, bias, mean, rate, factor, offset = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _differentiable(ctx, grad, (x, scale, shift, gain, bias))
        out, total, along = torch.empty_like(x), torch.empty_like(factor), torch.empty_like(factor)
        for part, a, o, g, dy, s, t in _parts(
            x, factor[:, None], offset[:, None], grad.contiguous(), out, total, along
        ):
            torch.ops.aten.silu_backward.grad_input(g, torch.addcmul(o, part, a), grad_input=dy)
            torch.sum(dy, 1, out=s)
            torch.sum(dy * part, 1, out=t)
        along.addcmul_(mean, total, value=-1).mul_(rate)
        by_total, by_along = (1 + scale) * total, (1 + scale) * along
        slope = rate.square() * _group_mean(gain * by_along, x, ctx.groups)
        level = slope * mean - rate * _group_mean(gain * by_total, x, ctx.groups)
        for part, a, p, q, dy in _parts(x, factor[:, None], -slope[:, None], level[:, None], out):
            torch.addcmul(torch.addcmul(q, part, p), dy, a, out=dy)
        return out, gain * along + bias * total, total, by_along.sum(0), by_total.sum(0), None, None


def _parts(x: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Some samples at a time, of all tensors alike."""
    size = max(1, PART // x[0].numel())
    return zip(*(torch.split(tensor, size) for tensor in (x, *others)))


def _group_mean(sums: Tensor, x: Tensor, groups: int) -> Tensor:
    """Sums (n, channels) over places to means over the groups' numbers, the same for every channel of a group."""
    by_group = sums.view(len(sums), groups, -1)
    return (by_group.sum(2, keepdim=True) / (x[0].numel() // groups)).expand_as(by_group).flatten(1)


def _differentiable(ctx: Any, grad: Tensor, inputs: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
    """The same gradients by PyTorch's own operations, for derivatives of higher order."""
    # one's own names for the inputs, as one may depend on another
    x, scale, shift, gain, bias = named = [value.view_as(value) for value in inputs]
    normed = functional.group_norm(x.transpose(1, 2), ctx.groups, gain, bias, ctx.eps)
    y = _silu(normed, scale, shift).transpose(1, 2)
    wanted = [value for value, needed in zip(named, ctx.needs_input_grad) if needed]
    found = iter(torch.autograd.grad(y, wanted, grad, create_graph=True))
    return *(next(found) if needed else None for needed in ctx.needs_input_grad[:5]), None, None
