"""Degrees, and the weights that are divided by them."""

from __future__ import annotations

import torch
from torch import Tensor

from renote.graph.pattern import Pattern
from renote.graph.segment import product


def normalized(
    pattern: Pattern, weight: Tensor | None, left: float, right: float, degree: Tensor | None = None
) -> Tensor:
    """(entries,) weights of D^left A D^right, D_ii = Σ_j |A_ij|, with gradients to `weight`.

    In double precision: signals of any dtype then find theirs exact. An empty row stays zero.

    Args:
        pattern: square.
        weight: (entries,) or None for ones.
        left: power on the receiver's side.
        right: power on the source's side.
        degree: (rows,) D in the place of these entries' own.
    """
    precise = precise_dtype(pattern.column.device)
    weight = None if weight is None else weight.to(precise)
    degree = degree_of(pattern, None if weight is None else weight.abs(), precise) if degree is None else degree
    empty = degree == 0
    out = pattern.ones(precise) if weight is None else weight
    for power, node in ((left, pattern.row), (right, pattern.column)):
        if power:
            # the inner one keeps an infinite slope out of the gradient
            scale = degree.masked_fill(empty, 1.0).pow(power).masked_fill(empty, 0.0)
            out = out * scale.index_select(0, node)
    return out


def precise_dtype(device: torch.device) -> torch.dtype:
    """Double precision where there is one."""
    # Apple's devices have no double precision
    return torch.float32 if device.type == "mps" else torch.float64


def degree_of(pattern: Pattern, values: Tensor | None, dtype: torch.dtype) -> Tensor:
    """(rows,) the sum of each row's values, or their number without values, in `dtype`."""
    if values is None:
        return pattern.count.to(dtype)
    return product(pattern, values, values.new_ones(pattern.num_columns, 1)).squeeze(1)
