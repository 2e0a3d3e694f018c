"""What every graph layer must be: one row a layer here, and all of it is tested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from renote.graph import (
    Adjacency,
    ChebyshevConvolution,
    DiffusionConvolution,
    InceptionConvolution,
    KipfConvolution,
    SimplifiedConvolution,
)


@dataclass(frozen=True)
class Layer:
    """A layer and its paper's formula.

    Args:
        name: of the row.
        make: `make(in_features, out_features)`.
        oracle: `oracle(layer, dense A[receiver, source], x)`, plain and slow.
        one_loop: whether of several loops on a node the last counts alone, as where every node is given one.
    """

    name: str
    make: Callable[[int, int], nn.Module]
    oracle: Callable[[nn.Module, Tensor, Tensor], Tensor]
    one_loop: bool = True


def kipf_matrix(dense: Tensor) -> Tensor:
    """D^-1/2 (A + I) D^-1/2, where a node that has a loop keeps it."""
    looped = dense.clone()
    for node in range(len(dense)):
        if looped[node, node] == 0:
            looped[node, node] = 1.0
    scale = looped.abs().sum(1).pow(-0.5)
    return scale[:, None] * looped * scale[None, :]


def walk_matrix(dense: Tensor) -> Tensor:
    """D^-1 A, a row of zeros where no edge arrives."""
    degree = dense.abs().sum(1, keepdim=True)
    return torch.where(degree > 0, dense / degree, 0.0)


def kipf_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """Â X W + b."""
    out = kipf_matrix(dense) @ x @ layer.weight
    return out if layer.bias is None else out + layer.bias


def simplified_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """Âᴷ X W + b."""
    out = torch.linalg.matrix_power(kipf_matrix(dense), layer.hops) @ x @ layer.weight
    return out if layer.bias is None else out + layer.bias


def chebyshev_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """Σ T_k(-S) X Θ_k + b, the polynomials by their coefficients."""
    if layer.kind == "random-walk":
        operator = -walk_matrix(dense)
    else:
        scale = torch.where(dense.abs().sum(1) > 0, dense.abs().sum(1).pow(-0.5), 0.0)
        operator = -scale[:, None] * dense * scale[None, :]
    polynomials = [[1.0], [0.0, 1.0], [-1.0, 0.0, 2.0], [0.0, -3.0, 0.0, 4.0]][: layer.order + 1]
    out = torch.zeros(len(x), layer.out_features, dtype=x.dtype)
    for weight, polynomial in zip(layer.weight, polynomials, strict=True):
        for power, coefficient in enumerate(polynomial):
            out = out + coefficient * torch.linalg.matrix_power(operator, power) @ x @ weight
    return out if layer.bias is None else out + layer.bias


def inception_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """[A_0 X Θ_0 + b_0 | …]."""
    identity = torch.eye(len(dense), dtype=dense.dtype)
    hop = kipf_matrix(dense)
    rank = layer.restart * torch.linalg.inv(identity - (1 - layer.restart) * hop)
    plain = (dense != 0).to(dense) * (1 - identity)
    closed = walk_matrix(plain * (plain @ plain))
    operators = [torch.linalg.matrix_power(hop, k) for k in range(layer.hops + 1)]
    operators += [torch.linalg.matrix_power(rank, k + 1) for k in range(layer.pagerank_hops)]
    operators += [torch.linalg.matrix_power(closed, k + 1) for k in range(layer.triangle_hops)]
    parts = zip(operators, layer.weight, layer.bias, strict=True)
    return torch.cat([operator @ x @ weight + bias for operator, weight, bias in parts], 1)


def diffusion_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """[W_0 ⊙ X | W_1 ⊙ P X | …]."""
    walk = walk_matrix(dense)
    hops = enumerate(layer.weight)
    return torch.cat([weight * (torch.linalg.matrix_power(walk, hop) @ x) for hop, weight in hops], 1)


LAYERS = [
    Layer("kipf, narrower", lambda i, o: KipfConvolution(i, o), kipf_oracle),
    Layer("kipf, no bias", lambda i, o: KipfConvolution(i, o, bias=False), kipf_oracle),
    Layer("kipf, as wide", lambda i, o: KipfConvolution(i, i), kipf_oracle),
    Layer("kipf, wider", lambda i, o: KipfConvolution(i, 2 * i), kipf_oracle),
    Layer("chebyshev, narrower", lambda i, o: ChebyshevConvolution(i, o), chebyshev_oracle, one_loop=False),
    Layer("chebyshev, wider", lambda i, o: ChebyshevConvolution(i, 2 * i, 3), chebyshev_oracle, one_loop=False),
    Layer(
        "chebyshev, random walk",
        lambda i, o: ChebyshevConvolution(i, o, 3, False, "random-walk"),
        chebyshev_oracle,
        one_loop=False,
    ),
    Layer("simplified, narrower", lambda i, o: SimplifiedConvolution(i, o, 3), simplified_oracle),
    Layer("simplified, wider", lambda i, o: SimplifiedConvolution(i, 2 * i, bias=False), simplified_oracle),
    Layer("inception", lambda i, o: InceptionConvolution(i, o), inception_oracle),
    Layer("diffusion", lambda i, o: DiffusionConvolution(i), diffusion_oracle, one_loop=False),
]


def random_graph(nodes: int, edges: int, seed: int, loops: bool = False) -> Adjacency:
    """A directed graph, duplicates possible; the last node is isolated."""
    generator = torch.Generator().manual_seed(seed)
    if nodes < 3:
        return Adjacency.from_edges([], [], nodes)
    source = torch.randint(nodes - 1, (edges,), generator=generator)
    target = torch.randint(nodes - 1, (edges,), generator=generator)
    if not loops:
        source, target = source[source != target], target[source != target]
    return Adjacency.from_edges(source, target, nodes)


def undirected(nodes: int, edges: int, seed: int) -> Adjacency:
    """Both directions of each edge, no loops, no duplicates; the last node is isolated."""
    one = random_graph(nodes, edges, seed).edge_index()
    both = torch.unique(torch.cat([one, one.flip(0)], 1), dim=1)
    return Adjacency.from_edges(both[0], both[1], nodes)


def permuted(adjacency: Adjacency, order: Tensor) -> Adjacency:
    """The graph whose node k is node order[k] of this one."""
    place = torch.argsort(order)
    weight = adjacency.weight
    return Adjacency.from_edges(
        place[adjacency.source.long()], place[adjacency.target.long()], adjacency.num_nodes, weight
    )
