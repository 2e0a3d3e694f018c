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
from torch.nn import functional

from renote.errors import UsageError
from renote.graph.pattern import Pattern
from renote.graph.segment import entry_products, product, row_maxima, row_sums, sampled_product

MANY = 2**23
"""Numbers on entries, from which attention goes head by head: beyond 32 MiB each tensor is fresh pages of the system's, which cost more than what is computed
in them. Measured on one thread, forward and backward, 8 heads of 8: 0.99 s in steps and 0.45 s head by head for 1.5M entries, 0.050 s and 0.059 s for 300,000."""


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


def additive_attention(
    pattern: Pattern,
    target: Tensor,
    source: Tensor,
    x: Tensor,
    negative_slope: float = 0.2,
    weight: Tensor | None = None,
    kept: Tensor | None = None,
) -> Tensor:
    """Y_ih = Σ_k m_kh a_kh X_column(k)h, with a the softmax over row i of LeakyReLU(t_row(k)h + s_column(k)h).

    The same as `attend` with the shares of `entry_softmax`. Where entries are many it goes head by head, in memory that is used again.

    Args:
        pattern: rows × columns.
        target: (rows, heads) t.
        source: (columns, heads) s.
        x: (columns, heads, features).
        negative_slope: of the leaky rectifier.
        weight: (entries,) constant, as `entry_softmax` takes it; None means ones.
        kept: (heads, entries) constant factors m of the shares, for dropout; None means ones.

    Returns:
        (rows, heads, features); zero for a row without entries.
    """
    if weight is not None or pattern.num_entries * x.shape[1] < MANY:
        return _in_steps(pattern, target, source, x, negative_slope, weight, kept)
    out: Tensor = _AdditiveAttention.apply(target, source, x, pattern, negative_slope, kept)  # type: ignore[no-untyped-call]
    return out


def additive_shares(
    pattern: Pattern, target: Tensor, source: Tensor, negative_slope: float, weight: Tensor | None
) -> Tensor:
    """The shares a of `additive_attention`, (entries, heads)."""
    scores = on_rows(pattern, target) + on_columns(pattern, source)
    return entry_softmax(pattern, functional.leaky_relu(scores, negative_slope), weight)


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


def _in_steps(
    pattern: Pattern,
    target: Tensor,
    source: Tensor,
    x: Tensor,
    negative_slope: float,
    weight: Tensor | None,
    kept: Tensor | None,
) -> Tensor:
    shares = additive_shares(pattern, target, source, negative_slope, weight)
    return attend(pattern, shares if kept is None else shares * kept.t(), x)


class _AdditiveAttention(torch.autograd.Function):
    """Head by head; its gradient needs no sum over a row of entries, as Σ_l a_l g_l = G_i · Y_i."""

    @staticmethod
    def forward(
        ctx: Any, target: Tensor, source: Tensor, x: Tensor, pattern: Pattern, slope: float, kept: Tensor | None
    ) -> Tensor:
        # sums of exponentials need more than half precision
        precise = torch.promote_types(target.dtype, torch.float32)
        ends = target.to(precise).t().contiguous(), source.to(precise).t().contiguous()
        # the rectifier is monotonic, so the highest score of a row is that of its highest source
        highest = row_maxima(pattern, source.to(precise), with_entry=False)[0].t()
        highest = functional.leaky_relu(ends[0] + highest, slope)
        shares = ends[0].new_empty(x.shape[1], pattern.num_entries)
        values = x.transpose(0, 1).contiguous()
        out = x.new_empty(len(values), pattern.num_rows, x.shape[2])
        for head, share in enumerate(shares):
            _scores(pattern, ends, head, share)
            functional.leaky_relu_(share, slope)
            share.sub_(highest[head].index_select(0, pattern.row)).exp_()
            total = row_sums(pattern.by_row, None, share[:, None])[:, 0]
            share.mul_(torch.where(total > 0, total.reciprocal(), 0.0).index_select(0, pattern.row))
            out[head] = row_sums(pattern, _kept(share, kept, head).to(x.dtype), values[head])
        out = out.transpose(0, 1)
        ctx.save_for_backward(target, source, x, kept, shares, out)
        ctx.pattern, ctx.slope = pattern, slope
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None, None]:
        target, source, x, kept, shares, out = ctx.saved_tensors
        pattern: Pattern = ctx.pattern
        if torch.is_grad_enabled():
            # a gradient of this gradient is wanted, which the steps have
            again = _in_steps(pattern, target, source, x, ctx.slope, None, kept)
            first, second, third = torch.autograd.grad(again, (target, source, x), grad, create_graph=True)
            return first, second, third, None, None, None
        ends = target.to(shares.dtype).t().contiguous(), source.to(shares.dtype).t().contiguous()
        grad, values = grad.transpose(0, 1).contiguous(), x.transpose(0, 1).contiguous()
        mean = (grad * out.transpose(0, 1)).sum(-1, dtype=shares.dtype)
        grad_ends = torch.empty_like(ends[0]), torch.empty_like(ends[1])
        grad_x = torch.empty_like(values)
        scores = shares.new_empty(pattern.num_entries)
        for head, share in enumerate(shares):
            slopes = _kept(entry_products(pattern, grad[head], values[head]).to(shares.dtype), kept, head)
            slopes = slopes.sub_(mean[head].index_select(0, pattern.row)).mul_(share)
            _scores(pattern, ends, head, scores)
            torch.ops.aten.leaky_relu_backward.grad_input(slopes, scores, ctx.slope, False, grad_input=slopes)
            for incidence, sums in zip((pattern.by_row, pattern.by_column), grad_ends, strict=True):
                sums[head] = row_sums(incidence, None, slopes[:, None])[:, 0]
            turned = _kept(share, kept, head).index_select(0, pattern.to_transposed)
            grad_x[head] = row_sums(pattern.transposed, turned.to(x.dtype), grad[head])
        return (
            grad_ends[0].t().to(target.dtype),
            grad_ends[1].t().to(source.dtype),
            grad_x.transpose(0, 1),
            None,
            None,
            None,
        )


def _scores(pattern: Pattern, ends: tuple[Tensor, Tensor], head: int, out: Tensor) -> None:
    """t_row(k) + s_column(k) of one head, into `out`."""
    torch.index_select(ends[1][head], 0, pattern.column, out=out)
    out.add_(ends[0][head].index_select(0, pattern.row))


def _kept(share: Tensor, kept: Tensor | None, head: int) -> Tensor:
    return share if kept is None else share * kept[head]


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
