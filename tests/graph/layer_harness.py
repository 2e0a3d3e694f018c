"""What every graph layer must be: one row a layer here, and all of it is tested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from renote.graph import Adjacency, KipfConvolution


@dataclass(frozen=True)
class Layer:
    """A layer and its paper's formula.

    Args:
        name: of the row.
        make: `make(in_features, out_features)`.
        oracle: `oracle(layer, dense A[receiver, source], x)`, plain and slow.
    """

    name: str
    make: Callable[[int, int], nn.Module]
    oracle: Callable[[nn.Module, Tensor, Tensor], Tensor]


def kipf_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """D^-1/2 (A + I) D^-1/2 X W + b, where a node that has a loop keeps it."""
    looped = dense.clone()
    for node in range(len(dense)):
        if looped[node, node] == 0:
            looped[node, node] = 1.0
    scale = looped.abs().sum(1).pow(-0.5)
    out = scale[:, None] * looped * scale[None, :] @ x @ layer.weight
    return out if layer.bias is None else out + layer.bias


LAYERS = [
    Layer("kipf, narrower", lambda i, o: KipfConvolution(i, o), kipf_oracle),
    Layer("kipf, no bias", lambda i, o: KipfConvolution(i, o, bias=False), kipf_oracle),
    Layer("kipf, as wide", lambda i, o: KipfConvolution(i, i), kipf_oracle),
    Layer("kipf, wider", lambda i, o: KipfConvolution(i, 2 * i), kipf_oracle),
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


def permuted(adjacency: Adjacency, order: Tensor) -> Adjacency:
    """The graph whose node k is node order[k] of this one."""
    place = torch.argsort(order)
    weight = adjacency.weight
    return Adjacency.from_edges(
        place[adjacency.source.long()], place[adjacency.target.long()], adjacency.num_nodes, weight
    )
