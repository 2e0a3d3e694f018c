"""Attention over the entries of a pattern: a softmax a row, and weighted sums for all heads at once.

What lies on entries is one number a head, never a message: the weighted sum of head h is a sparse product, and those of all heads are one product with the
pattern repeated along a diagonal. Memory is O(entries × heads) + O(rows × features).

    gather      s_k = x_row(k), s_k = x_column(k)          gradient: a sum over the entries of each row or column
    softmax     a_k = e^s_k / Σ_l e^s_l over its row       gradient: a (g - Σ_l a_l g_l)
    sum         Y_ih = Σ_k a_kh X_column(k)h               gradients: the transposed and the sampled product
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from renote.errors import UsageError
from renote.graph.pattern import Pattern
from renote.graph.segment import product, row_maxima, row_sums, sampled_product


def on_rows(pattern: Pattern, x: Tensor) -> Tensor:
    """s_k = x_row(k): (rows, heads) → (entries, heads)."""
    out: Tensor = _Spread.apply(x, pattern.by_row, pattern.row)  # type: ignore[no-untyped-call]
    return out


def on_columns(pattern: Pattern, x: Tensor) -> Tensor:
    """s_k = x_column(k): (columns, heads) → (entries, heads)."""
    out: Tensor = _Spread.apply(x, pattern.by_column, pattern.column)  # type: ignore[no-untyped-call]
    return out


def entry_softmax(pattern: Pattern, scores: Tensor, weight: Tensor | None = None) -> Tensor:
    """a_k = w_k e^s_k / Σ_l |w_l| e^s_l, over the entries l of k's row, for each head.

    A weight of 2 is an entry that is there twice, a weight of 0 one that is not there; the shares of a row with
    positive weights sum to 1.

    Args:
        pattern: rows × columns.
        scores: (entries, heads).
        weight: (entries,) constant; None means ones.

    Returns:
        (entries, heads); a row whose weights are all 0 has zeros.
    """
    if scores.dim() != 2 or scores.shape[0] != pattern.num_entries:
        raise UsageError(f"scores of shape {tuple(scores.shape)} for {pattern.num_entries} entries: one row each")
    # sums of exponentials need more than half precision
    precise = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if weight is not None:
        precise = precise + weight.to(precise.dtype).abs().log()[:, None]
    out: Tensor = _Softmax.apply(precise, pattern)  # type: ignore[no-untyped-call]
    if weight is not None:
        out = out * weight.to(out.dtype).sign()[:, None]
    return out.to(scores.dtype)


def attend(pattern: Pattern, shares: Tensor, x: Tensor) -> Tensor:
    """Y_ih = Σ_k a_kh X_column(k)h, over the entries k of row i.

    Args:
        pattern: rows × columns.
        shares: (entries, heads).
        x: (columns, heads, features).

    Returns:
        (rows, heads, features); zero for a row without entries.
    """
    heads = x.shape[1]
    if shares.shape != (pattern.num_entries, heads):
        raise UsageError(
            f"shares of shape {tuple(shares.shape)} for {pattern.num_entries} entries and {heads} heads: they must agree"
        )
    out = product(pattern.blocks(heads), shares.t().reshape(-1), _heads_first(x))
    return out.view(heads, pattern.num_rows, x.shape[2]).transpose(0, 1)


def dot_scores(pattern: Pattern, query: Tensor, key: Tensor) -> Tensor:
    """s_kh = Q_row(k)h · K_column(k)h: (rows, heads, features) and (columns, heads, features) → (entries, heads)."""
    heads = query.shape[1]
    scores = sampled_product(pattern.blocks(heads), _heads_first(query), _heads_first(key))
    return scores.view(heads, pattern.num_entries).t().contiguous()


def by_head(x: Tensor, heads: int) -> Tensor:
    """(rows, heads · features) → (rows, heads, features)."""
    return x.reshape(x.shape[0], heads, x.shape[1] // heads)


def _heads_first(x: Tensor) -> Tensor:
    return x.transpose(0, 1).reshape(x.shape[0] * x.shape[1], x.shape[2])


class _Collect(torch.autograd.Function):
    """y_r = Σ_{k in r} s_k: `_Spread`'s gradient, and it is this one's."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, incidence: Pattern, index: Tensor) -> Tensor:
        ctx.incidence, ctx.index = incidence, index
        return row_sums(incidence, None, scores)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _Spread.apply(grad, ctx.incidence, ctx.index), None, None  # type: ignore[no-untyped-call]


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, incidence: Pattern, index: Tensor) -> Tensor:
        ctx.incidence, ctx.index = incidence, index
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _Collect.apply(grad, ctx.incidence, ctx.index), None, None  # type: ignore[no-untyped-call]


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, pattern: Pattern) -> Tensor:
        rows, row = pattern.by_row, pattern.row
        highest = row_maxima(rows, scores, with_entry=False)[0]
        # a row whose entries all have the weight 0 has no highest score
        highest = torch.where(highest.isfinite(), highest, 0.0)
        out = (scores - highest.index_select(0, row)).exp_()
        total = row_sums(rows, None, out)
        out.mul_(torch.where(total > 0, total.reciprocal(), 0.0).index_select(0, row))
        ctx.save_for_backward(out)
        ctx.pattern = pattern
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (out,) = ctx.saved_tensors
        pattern: Pattern = ctx.pattern
        weighed = out * grad
        mean = _Collect.apply(weighed, pattern.by_row, pattern.row)  # type: ignore[no-untyped-call]
        return weighed - out * on_rows(pattern, mean), None
