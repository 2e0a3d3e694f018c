"""Attention whose scores are features of edges, which attend over the edges that share an end with them.

Monti, Shchur, Bojchevski, Litany, Günnemann & Bronstein (2018), "Dual-primal graph convolutional networks", arXiv 1806.00770.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.aggregate import check_width
from renote.graph.attend import additive_attention, attend, by_head, entry_softmax, on_columns, on_rows
from renote.graph.dropout import dropout
from renote.graph.line import edges_at_ends
from renote.graph.pattern import Pattern
from renote.graph.sparse import SparseFeatures


class DualPrimalConvolution(nn.Module):
    """Y_i = ‖_h Σ_j α_ijh W_h x_j + b, over i's neighbours and i itself, with α from the features F of edges.

        dual      G_ijh = U_h x_i + V_h x_j
                  F_ijh = ELU(Σ_r β_{ij,ir} G_irh + Σ_t β_{ij,jt} G_jth)        β = softmax LeakyReLU(c_h · G_ijh + c'_h · G_klh)
        primal    α_ijh = w_ij exp e_ijh / Σ_l |w_il| exp e_ilh                 e_ijh = LeakyReLU(a_h · F_ijh)

    r are the neighbours of i and t those of j, each node its own among them: the dual's vertices are edges, joined to those that arrive at either end; β is
    one softmax over both sums, weighted by w as α is. An edge that attends to itself alone has the scores of graph attention. All edges have the weight w = 1 unless
    the adjacency says more; loops as in `Adjacency.with_self_loops`. Memory and time are Σ_i d_i².

    Args:
        in_features: features a node comes with.
        out_features: features a head.
        heads: attention heads, as many of the dual as of the primal.
        concat: whether the heads' outputs stand side by side; else their mean is taken.
        edge_features: features of F a head.
        attention_dropout: probability with which each α and each β is dropped in training.
        negative_slope: of the leaky rectifiers.
        bias: whether b is there; it starts at zero, all else as in Glorot & Bengio (2010), uniform, head by head.

    Shapes:
        x: (nodes, in_features), dense or `SparseFeatures`. Output: (nodes, heads · out_features), or (nodes, out_features).

    Source:
        Monti et al. (2018), section 3, after others' account of it: the copy at hand had no formulas.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        heads: int = 1,
        concat: bool = True,
        edge_features: int = 8,
        attention_dropout: float = 0.0,
        negative_slope: float = 0.2,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if heads < 1 or edge_features < 1:
            raise UsageError(f"heads = {heads} and edge_features = {edge_features}: each is at least 1")
        self.in_features, self.out_features, self.heads, self.concat = in_features, out_features, heads, concat
        self.edge_features, self.attention_dropout, self.negative_slope = (
            edge_features,
            attention_dropout,
            negative_slope,
        )
        self.weight = _glorot(in_features, out_features, heads)
        self.weight_target = _glorot(in_features, edge_features, heads)
        self.weight_source = _glorot(in_features, edge_features, heads)
        self.dual_target, self.dual_source, self.attention_edge = (
            nn.Parameter(_glorot(1, edge_features, heads).detach().view(heads, edge_features)) for _ in range(3)
        )
        self.bias = nn.Parameter(torch.zeros(heads * out_features if concat else out_features)) if bias else None

    def forward(self, x: Tensor | SparseFeatures, adjacency: Adjacency) -> Tensor:
        """One primal hop, of which the scores read two; arguments as the class says."""
        check_width(x, self.in_features, "convolution")
        looped = adjacency.with_self_loops()
        values, target, source = self._mapped(x)
        shares = self._shares(target, source, looped)
        if self.training and self.attention_dropout:
            shares = dropout(shares, self.attention_dropout)
        out = attend(looped.pattern, shares, by_head(values, self.heads))
        out = out.flatten(1) if self.concat else out.mean(1)
        return out if self.bias is None else out + self.bias

    @torch.no_grad()
    def attention(self, x: Tensor | SparseFeatures, adjacency: Adjacency) -> tuple[Adjacency, Tensor]:
        """The edges that are attended over, loops among them, and α (edges, heads) in their order, none dropped."""
        looped = adjacency.with_self_loops()
        _, target, source = self._mapped(x)
        return looped, self._shares(target, source, looped)

    def _mapped(self, x: Tensor | SparseFeatures) -> tuple[Tensor, Tensor, Tensor]:
        """W x (nodes, heads · out_features), U x and V x (nodes, heads · edge_features), by one product."""
        weights: list[Tensor] = [self.weight, self.weight_target, self.weight_source]
        values, target, source = torch.split(x @ torch.cat(weights, 1), [w.shape[1] for w in weights], 1)
        return values, target, source

    def _shares(self, target: Tensor, source: Tensor, looped: Adjacency) -> Tensor:
        """α (edges, heads) by way of the features of edges."""
        pattern = looped.pattern
        dual: Pattern = looped.keep("edges at ends", lambda: edges_at_ends(looped))
        ends = by_head(on_rows(pattern, target) + on_columns(pattern, source), self.heads)
        weight = None if looped.weight is None else looped.weight.index_select(0, dual.column)
        kept = None
        if self.training and self.attention_dropout:
            kept = dropout(ends.new_ones(self.heads, dual.num_entries), self.attention_dropout)
        scores = [(ends * vector).sum(-1) for vector in (self.dual_target, self.dual_source)]
        edges = functional.elu(additive_attention(dual, scores[0], scores[1], ends, self.negative_slope, weight, kept))
        score = functional.leaky_relu((edges * self.attention_edge).sum(-1), self.negative_slope)
        return entry_softmax(pattern, score, looped.weight)

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.in_features}, {self.out_features}, heads={self.heads}, concat={self.concat}, edge_features={self.edge_features}"


def _glorot(inputs: int, outputs: int, heads: int) -> nn.Parameter:
    bound = math.sqrt(6.0 / (inputs + outputs))
    return nn.Parameter(nn.init.uniform_(torch.empty(inputs, heads * outputs), -bound, bound))
