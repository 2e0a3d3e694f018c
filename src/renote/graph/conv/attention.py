"""Convolutions that weigh each neighbour by how it fits: attention over edges.

Veličković, Cucurull, Casanova, Romero, Liò & Bengio (2018), "Graph attention networks", arXiv 1710.10903.
Zhang, Shi, Xie, Ma, King & Yeung (2018), "GaAN: gated attention networks for learning on large and spatiotemporal graphs", arXiv 1803.07294.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.aggregate import MeanAggregation, check_width
from renote.graph.attend import additive_attention, additive_shares, attend, by_head, dot_scores, entry_softmax
from renote.graph.dropout import dropout
from renote.graph.segment import neighbor_max
from renote.graph.sparse import SparseFeatures


class GATConvolution(nn.Module):
    """Y_i = ‖_h Σ_j α_ijh W_h x_j + b, over i's neighbours and i itself.

        e_ijh = LeakyReLU(a_h · W_h x_i + a'_h · W_h x_j)        α_ijh = w_ij exp e_ijh / Σ_l |w_il| exp e_ilh

    All edges have the weight w = 1 unless the adjacency says more; loops as in `Adjacency.with_self_loops`.

    Args:
        in_features: features a node comes with.
        out_features: features a head.
        heads: attention heads.
        concat: whether the heads' outputs stand side by side; else their mean is taken.
        attention_dropout: probability with which each α is dropped in training.
        negative_slope: of the leaky rectifier.
        bias: whether b is there; it starts at zero, W and a as in Glorot & Bengio (2010), uniform, head by head.

    Shapes:
        x: (nodes, in_features), dense or `SparseFeatures`. Output: (nodes, heads · out_features), or (nodes, out_features).

    Source:
        Veličković et al. (2018), eqs. 3 to 6.
    """

    one_hop = True
    """Whether a row of the output reads the node, what arrives at it, and no normalization but Kipf's or its own."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        heads: int = 1,
        concat: bool = True,
        attention_dropout: float = 0.0,
        negative_slope: float = 0.2,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features, self.heads, self.concat = (
            in_features,
            out_features,
            _positive(heads),
            concat,
        )
        self.attention_dropout, self.negative_slope = attention_dropout, negative_slope
        self.weight = nn.Parameter(torch.empty(in_features, heads * out_features))
        self.attention_target = nn.Parameter(torch.empty(heads, out_features))
        self.attention_source = nn.Parameter(torch.empty(heads, out_features))
        self.bias = nn.Parameter(torch.zeros(heads * out_features if concat else out_features)) if bias else None
        nn.init.uniform_(self.weight, *_glorot(in_features, out_features))
        nn.init.uniform_(self.attention_target, *_glorot(out_features, 1))
        nn.init.uniform_(self.attention_source, *_glorot(out_features, 1))

    def forward(self, x: Tensor | SparseFeatures, adjacency: Adjacency) -> Tensor:
        """One hop; arguments as the class says."""
        check_width(x, self.in_features, "convolution")
        looped = adjacency.with_self_loops()
        values, target, source = self._mapped(x)
        pattern, kept = looped.pattern, None
        if self.training and self.attention_dropout:
            kept = dropout(target.new_ones(self.heads, pattern.num_entries), self.attention_dropout)
        out = additive_attention(pattern, target, source, values, self.negative_slope, looped.weight, kept)
        out = out.flatten(1) if self.concat else out.mean(1)
        return out if self.bias is None else out + self.bias

    @torch.no_grad()
    def attention(self, x: Tensor | SparseFeatures, adjacency: Adjacency) -> tuple[Adjacency, Tensor]:
        """The edges that are attended over, loops among them, and α (edges, heads) in their order, none dropped."""
        looped = adjacency.with_self_loops()
        _, target, source = self._mapped(x)
        return looped, additive_shares(looped.pattern, target, source, self.negative_slope, looped.weight)

    def _mapped(self, x: Tensor | SparseFeatures) -> tuple[Tensor, Tensor, Tensor]:
        """W x (nodes, heads, out_features), a · W x and a' · W x (nodes, heads): one product, as a · W x = (W a) · x."""
        weight = by_head(self.weight, self.heads)
        ends = [(weight * vector).sum(-1) for vector in (self.attention_target, self.attention_source)]
        width = self.heads * self.out_features
        values, target, source = torch.split(x @ torch.cat([self.weight, *ends], 1), [width, self.heads, self.heads], 1)
        return by_head(values, self.heads), target, source

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.in_features}, {self.out_features}, heads={self.heads}, concat={self.concat}"


class GaANConvolution(nn.Module):
    """Y_i = (x_i ‖ ‖_h g_ih Σ_j α_ijh v_jh) O + o, over i's neighbours j: each head has a gate at each node.

        α_ijh = w_ij exp(q_ih · k_jh) / Σ_l |w_il| exp(q_ih · k_lh)        q, k = X Q, X K        v = LeakyReLU_0.1(X V)
        g_i = σ((x_i ‖ max_j(x_j M) ‖ mean_j x_j) G), a number a head

    Args:
        in_features: features a node comes with.
        out_features: features it leaves with.
        heads: attention heads.
        key_features: features a head of q and k.
        value_features: features a head of v.
        pool_features: width of x M.
        gates: whether they are there; if not, all heads count alike (g = 1).
        attention_dropout: probability with which each α is dropped in training.

    Shapes:
        x: (nodes, in_features), dense or `SparseFeatures`. Output: (nodes, out_features).

    Source:
        Zhang et al. (2018), eqs. 1 to 3. All maps have biases there and here.
    """

    one_hop = True
    """Whether a row of the output reads the node, what arrives at it, and no normalization but Kipf's or its own."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        heads: int = 8,
        key_features: int = 24,
        value_features: int = 32,
        pool_features: int = 64,
        gates: bool = True,
        attention_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features, self.heads, self.gates = in_features, out_features, _positive(heads), gates
        self.attention_dropout = attention_dropout
        # what is taken of x by one product: query, key, value, x O, and for the gates x M and G's parts for x_i and mean_j x_j
        self.parts = [heads * key_features, heads * key_features, heads * value_features, out_features]
        self.parts += [pool_features, heads, heads] if gates else []
        self.weight = nn.Parameter(torch.cat([_glorot_matrix(in_features, part) for part in self.parts], 1))
        self.bias = nn.Parameter(torch.zeros(sum(self.parts)))
        self.combine = nn.Parameter(_glorot_matrix(heads * value_features, out_features))
        self.gate_pooled = nn.Parameter(_glorot_matrix(pool_features, heads)) if gates else None
        self.mean = MeanAggregation()

    def forward(self, x: Tensor | SparseFeatures, adjacency: Adjacency) -> Tensor:
        """One hop; arguments as the class says."""
        check_width(x, self.in_features, "convolution")
        mapped: Sequence[Tensor] = torch.split(x @ self.weight + self.bias, self.parts, 1)
        query, key, value, own, *rest = mapped
        pattern, value = adjacency.pattern, by_head(value, self.heads)
        shares = self.shares(query, key, adjacency)
        shares = dropout(shares, self.attention_dropout, self.training)
        out = attend(pattern, shares, functional.leaky_relu(value, 0.1))
        if self.gate_pooled is not None:
            pooled, mine, theirs = rest
            gate = mine + neighbor_max(adjacency, pooled) @ self.gate_pooled + self.mean(theirs, adjacency)
            out = out * gate.sigmoid()[:, :, None]
        return own + out.flatten(1) @ self.combine

    @torch.no_grad()
    def attention(self, x: Tensor | SparseFeatures, adjacency: Adjacency) -> tuple[Adjacency, Tensor]:
        """The edges, and α (edges, heads) in their order, none dropped."""
        mapped: Sequence[Tensor] = torch.split(x @ self.weight + self.bias, self.parts, 1)
        return adjacency, self.shares(mapped[0], mapped[1], adjacency)

    def shares(self, query: Tensor, key: Tensor, adjacency: Adjacency) -> Tensor:
        """α, (edges, heads), of q and k (nodes, heads · key_features)."""
        pattern = adjacency.pattern
        scores = dot_scores(pattern, by_head(query, self.heads), by_head(key, self.heads))
        return entry_softmax(pattern, scores, adjacency.weight)

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.in_features}, {self.out_features}, heads={self.heads}, gates={self.gates}"


def _glorot(inputs: int, outputs: int) -> tuple[float, float]:
    bound = math.sqrt(6.0 / (inputs + outputs))
    return -bound, bound


def _glorot_matrix(inputs: int, outputs: int) -> Tensor:
    return nn.init.uniform_(torch.empty(inputs, outputs), *_glorot(inputs, outputs))


def _positive(heads: int) -> int:
    if heads < 1:
        raise UsageError(f"heads is {heads}: attention has at least one")
    return heads
