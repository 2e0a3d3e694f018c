"""More rows of the harness: layers that read features of edges or relations, every aggregation, what jumps over layers.

What lies on an edge here is a fixed function of the features at its ends: so it goes with the nodes into any order, batch and part, and gradients by x pass through it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from layer_harness import Layer, inception_oracle, kipf_matrix, shares, walk_matrix
from torch import Tensor, nn

from renote.graph import (
    Adjacency,
    ColumnConvolution,
    DegreeConvolution,
    EdgeNetworkConvolution,
    FourierConvolution,
    Graph,
    GraphBERT,
    InceptionConvolution,
    JumpingKnowledge,
    KipfConvolution,
    MixtureConvolution,
    RelationalConvolution,
    SAGEConvolution,
    eigenbasis,
    intimate_contexts,
    laplacian,
)
from renote.graph.typed import TypedEdges

EDGE = 3
"""Features of an edge."""
RELATIONS = 4


class OnEdges(nn.Module):
    """A convolution that is told e_ij = sin(x_i P + x_j Q)."""

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution
        ends = torch.randn(2, 4, EDGE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        self.register_buffer("ends", ends)

    def told(self, target: Tensor, source: Tensor) -> Tensor:
        if target.shape[-1] != len(self.ends[0]):  # the convolution says what is wrong
            return target.new_zeros(len(target), EDGE)
        return (target @ self.ends[0] + source @ self.ends[1]).sin()

    def forward(self, x: Tensor, adjacency: Adjacency) -> Tensor:
        ends = self.told(x.index_select(0, adjacency.target), x.index_select(0, adjacency.source))
        out: Tensor = self.convolution(x, adjacency, ends)
        return out


def edge_network_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """Σ_j w_ij A(e_ij) x_j + b, a matrix for each edge."""
    own = layer.convolution
    rows = []
    for i in range(len(x)):
        row = own.bias
        for j in dense[i].nonzero().squeeze(1).tolist():
            hidden = own.edge(layer.told(x[i : i + 1], x[j : j + 1])).relu()[0]
            matrix = own.matrices[0] + torch.tensordot(hidden, own.matrices[1:], 1)
            row = row + dense[i, j] * (x[j] @ matrix)
        rows.append(row)
    return torch.stack(rows) if rows else x.new_zeros(0, own.out_features)


def degree_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """x_i W_d + Σ_j [x_j ‖ e_ij] V_d + b_d."""
    own, rows = layer.convolution, []
    for i in range(len(x)):
        degree = min(int(dense[i].sum()), own.max_degree)
        seen = torch.cat([x, layer.told(x[i].expand_as(x), x)], 1)
        rows.append(torch.cat([x[i], dense[i] @ seen]) @ own.weight[degree] + own.bias[degree])
    return torch.stack(rows) if rows else x.new_zeros(0, own.out_features)


def mixture_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """Σ_k Σ_j w_ij exp(-½ |S_k (e_ij - μ_k)|²) x_j Θ_k + b."""
    own = layer.convolution
    out = x.new_zeros(len(x), own.out_features)
    for k, weight in enumerate(own.weight.split(own.out_features, 1)):
        for i in range(len(x)):
            away = (layer.told(x[i].expand_as(x), x) - own.center[k]) * own.inverse_deviation[k]
            out[i] = out[i] + (dense[i] * (-0.5 * away.square().sum(1)).exp()) @ x @ weight
    return out + own.bias


class OnRelations(nn.Module):
    """A convolution that is told of relations: 2 if a receiver's first feature is above 0, and 1 if a sender's second is; the sign of a number survives any precision."""

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor, adjacency: Adjacency) -> Tensor:
        target, source, weight = adjacency.target.long(), adjacency.source.long(), adjacency.weight
        relation = (2 * (x[:, 0] > 0).long()[target] + (x[:, 1] > 0).long()[source]).detach()
        edges: Any = TypedEdges.from_adjacency(adjacency, relation, RELATIONS)
        if isinstance(self.convolution, ColumnConvolution):
            number = [(relation == r).nonzero().squeeze(1) for r in range(RELATIONS)]
            edges = [
                Adjacency.from_edges(source[k], target[k], len(x), None if weight is None else weight[k])
                for k in number
            ]
        out: Tensor = self.convolution(x, edges)
        return out


def by_relation(dense: Tensor, x: Tensor) -> list[Tensor]:
    """The matrix of each relation."""
    relation = 2 * (x[:, 0] > 0).long()[:, None] + (x[:, 1] > 0).long()[None, :]
    return [dense * (relation == r) for r in range(RELATIONS)]


def relational_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """W_0 x_i + Σ_r Σ_j w_ij W_r x_j / Σ_j w_ij + b."""
    own = layer.convolution
    out = x @ own.own + own.bias
    for matrix, weight in zip(by_relation(dense, x), own.matrices(), strict=True):
        whole = torch.block_diag(*weight) if own.blocks else weight
        total = matrix.sum(1, keepdim=True)
        out = out + torch.where(total == 0, 0.0, matrix / total) @ x @ whole
    return out


def column_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    own, width = layer.convolution, x.shape[1]
    contexts = [walk_matrix(matrix) @ x / RELATIONS for matrix in by_relation(dense, x)]
    score = sum((c @ weight for c, weight in zip([x, *contexts], own.weight, strict=True)), own.bias)
    gate = 1 / (1 + (-score[:, width:]).exp())
    return gate * score[:, :width].clamp(min=0) + (1 - gate) * x


def aggregated(name: str, module: Any, weight: Tensor, members: Tensor) -> Tensor:
    """One set with its weights, none of which is 0."""
    again = members.repeat_interleave(weight.abs().round().long().clamp(min=1), 0)
    match name:
        case "sum":
            return weight @ members
        case "min":
            return members.amin(0)
        case "std":
            return again.std(0, correction=0)
        case "attention":
            return shares((members @ module.query).squeeze(1), weight) @ members
        case "gated":
            gate, value = (members @ module.weight + module.bias).chunk(2, 1)
            return weight @ (gate.sigmoid() * value.tanh())
        case "deepsets":
            total = weight @ (members @ module.weight + module.bias).relu()
            return module.out(module.inner(total).relu())  # type: ignore[no-any-return]
    maps = (again @ module.weight).chunk(2, 1)
    if len(again) == 1:
        return module.out((maps[0][0] + module.bias).relu())  # type: ignore[no-any-return]
    told = module.out((maps[0][:, None] + maps[1][None] + module.bias).relu())
    apart = 1 - torch.eye(len(again), dtype=told.dtype)
    return (told * apart[:, :, None]).sum((0, 1)) / apart.sum()


def sage(name: str, weighted: bool = True, rtol: float = 1e-12) -> Layer:
    def oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
        width, rows = layer.weight_neighbors.shape[0], []
        for i in range(len(x)):
            near = dense[i].nonzero().squeeze(1)
            rows.append(aggregated(name, layer.aggregate, dense[i, near], x[near]) if len(near) else x.new_zeros(width))
        seen = torch.stack(rows) if rows else x.new_zeros(0, width)
        return seen @ layer.weight_neighbors + x @ layer.weight_self + layer.bias

    make = lambda i, o: SAGEConvolution(i, o, name, aggregated=7)  # noqa: E731
    return Layer(f"sage, {name}", make, oracle, one_loop=False, weighted=weighted, rtol=rtol)


class Jumping(nn.Module):
    """What a node takes of two layers of Kipf's."""

    def __init__(self, features: int, mode: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList([KipfConvolution(features, 3), KipfConvolution(3, 3)])
        self.jump = JumpingKnowledge(mode, 3, 2)

    def forward(self, x: Tensor, adjacency: Adjacency) -> Tensor:
        first = self.layers[0](x, adjacency)
        out: Tensor = self.jump([first, self.layers[1](first, adjacency)])
        return out


def jumping_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    hidden = []
    for one in layer.layers:
        x = kipf_matrix(dense) @ x @ one.weight + one.bias
        hidden.append(x)
    jump = layer.jump
    if jump.mode == "concat":
        return torch.cat(hidden, 1)
    if jump.mode == "max":
        return torch.maximum(*hidden)
    rows = []
    for node in range(len(x)):
        sequence = torch.stack([h[node] for h in hidden])
        states = [read(jump.lstm, sequence, ""), read(jump.lstm, sequence.flip(0), "_reverse").flip(0)]
        share = (torch.cat(states, 1) @ jump.score.weight[0] + jump.score.bias).softmax(0)
        rows.append(share @ sequence)
    return torch.stack(rows) if rows else x.new_zeros(0, 3)


def read(module: Any, sequence: Tensor, direction: str) -> Tensor:
    """The states of an LSTM, one after the other."""
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    enter, keep, first, second = (getattr(module, name + direction) for name in names)
    hidden = cell = sequence.new_zeros(keep.shape[1])
    states = []
    for x in sequence:
        taken, kept, new, out = (enter @ x + keep @ hidden + first + second).chunk(4)
        cell = kept.sigmoid() * cell + taken.sigmoid() * new.tanh()
        hidden = out.sigmoid() * cell.tanh()
        states.append(hidden)
    return torch.stack(states)


def relational(o: int = 3, **how: int) -> Callable[[int, int], nn.Module]:
    return lambda i, _: OnRelations(RelationalConvolution(i, o, RELATIONS, **how))


def jumping(mode: str) -> Layer:
    return Layer(f"jumping knowledge, {mode}", lambda i, o: Jumping(i, mode), jumping_oracle)


MORE = [
    Layer(
        "edge network on edges",
        lambda i, o: OnEdges(EdgeNetworkConvolution(i, o, EDGE, 5)),
        edge_network_oracle,
        one_loop=False,
    ),
    Layer(
        "degree on edges",
        lambda i, o: OnEdges(DegreeConvolution(i, o, EDGE, max_degree=3)),
        degree_oracle,
        one_loop=False,
        weighted=False,
    ),
    Layer(
        "mixture on edges",
        lambda i, o: OnEdges(MixtureConvolution(i, o, coordinates=EDGE)),
        mixture_oracle,
        one_loop=False,
    ),
    Layer("relational, several", relational(), relational_oracle, one_loop=False),
    Layer("relational, bases", relational(bases=2), relational_oracle, one_loop=False),
    Layer("relational, blocks", relational(6, blocks=2), relational_oracle, one_loop=False),
    Layer(
        "column, several relations",
        lambda i, o: OnRelations(ColumnConvolution(i, RELATIONS)),
        column_oracle,
        one_loop=False,
    ),
    # the series of PageRank ends at single precision
    Layer(
        "inception, all operators",
        lambda i, o: InceptionConvolution(i, o, 2, 2, 2, restart=0.4),
        inception_oracle,
        rtol=1e-6,
    ),
    sage("sum"),
    sage("min"),
    # both moments are about the mean of all
    sage("std", weighted=False, rtol=1e-6),
    sage("attention"),
    sage("gated"),
    sage("deepsets"),
    sage("janossy", weighted=False),
    *map(jumping, ("concat", "max", "lstm")),
]


class Fourier(nn.Module):
    """A convolution in the eigenbasis of an undirected graph."""

    def __init__(self, features: int, knots: int | None, adjacency: Adjacency) -> None:
        super().__init__()
        basis = eigenbasis(laplacian(adjacency))
        self.convolution = FourierConvolution(features, 3, basis, knots)

    def forward(self, x: Tensor, adjacency: Adjacency) -> Tensor:
        self.convolution.basis = eigenbasis(laplacian(adjacency))
        out: Tensor = self.convolution(x)
        return out


class Bert(nn.Module):
    """Graph-BERT of contexts of five."""

    def __init__(self, features: int, residual: Any) -> None:
        super().__init__()
        self.network = GraphBERT(features, 3, 6, residual=residual).eval()

    def forward(self, x: Tensor, adjacency: Adjacency) -> Tensor:
        out: Tensor = self.network(Graph(x, adjacency), intimate_contexts(adjacency, 5))
        return out


OF_ONE_GRAPH: dict[str, Callable[[int, Adjacency], nn.Module]] = {
    "fourier": lambda i, adjacency: Fourier(i, None, adjacency),
    "fourier, smooth": lambda i, adjacency: Fourier(i, 5, adjacency),
    **{
        f"graph-bert, {residual}": lambda i, adjacency, residual=residual: Bert(i, residual)  # type: ignore[misc]
        for residual in ("none", "raw", "graph-raw")
    },
}
"""Layers that are made for one graph, and say nothing of a batch."""
