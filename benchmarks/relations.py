"""Convolutions of edges with types or features beside PyTorch Geometric's: forward and backward in turns, and the memory of a step of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.harness import row_with_memory
from renote.graph import Adjacency, EdgeNetworkConvolution, Graph, RelationalConvolution


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Rows of the table: relational convolutions on a graph of FB15k-237's size, an edge network on one of molecules."""
    sizes = (200, 800, 16, 6, 16, 2) if quick else (5_000, 60_000, 32, 12, 16, 7)
    return [*_relational(quick), edge_network(*sizes, "no matrix an edge")]


def _step(call: Callable[[], Tensor], module: nn.Module, x: Tensor, upstream: Tensor) -> Callable[[], None]:
    def step() -> None:
        module.zero_grad(set_to_none=True)
        x.grad = None
        torch.autograd.backward(call(), upstream)

    return step


def _relational(quick: bool) -> list[dict[str, Any]]:
    from torch_geometric.nn import FastRGCNConv, RGCNConv

    nodes, edges, relations, width = (500, 4_000, 20, 32) if quick else (14_541, 544_230, 474, 64)
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randint(nodes, (edges,), generator=generator) for _ in range(2))
    # few relations have most of the edges
    kind = (relations * torch.rand(edges, generator=generator) ** 3).long()
    adjacency = Adjacency.from_edges(source, target, nodes)
    x = torch.randn(nodes, width, generator=generator, requires_grad=True)
    graph = Graph(x.detach(), adjacency, relation=kind if adjacency.order is None else kind[adjacency.order])
    typed, index = graph.typed, torch.stack([source, target])
    upstream = torch.randn(nodes, width, generator=generator)
    rows = []
    for name, mine, theirs in (
        ("matrices", {}, {}),
        ("30 bases", {"bases": 30}, {"num_bases": 30}),
        ("blocks of 8", {"blocks": width // 8}, {"num_blocks": width // 8}),
    ):
        ours = RelationalConvolution(width, width, relations, **mine)
        # PyTorch Geometric's fast variant makes a matrix for each edge: 8 GB here
        peer = (FastRGCNConv if quick else RGCNConv)(width, width, relations, **theirs)
        rows.append(
            row_with_memory(
                f"relational convolution, {name}, {relations} relations, forward + backward",
                _step(lambda ours=ours: ours(x, typed), ours, x, upstream),  # type: ignore[misc]
                _step(lambda peer=peer: peer(x, index, kind), peer, x, upstream),  # type: ignore[misc]
                2 if quick else 5,
                f"{len(typed.sender) / edges:.2f} messages an edge",
            )
        )
    return rows


def edge_network(
    nodes: int, edges: int, width: int, features: int, hidden: int, repeats: int, note: str
) -> dict[str, Any]:
    """MPNN's layer, forward and backward, on the default device.

    Args:
        nodes: of the graph.
        edges: of the graph, drawn.
        width: features of a node.
        features: of an edge.
        hidden: width of the network of the edges.
        repeats: timed rounds.
        note: told after the memory.
    """
    from torch_geometric.nn import NNConv

    generator = torch.Generator(torch.get_default_device()).manual_seed(0)
    source, target = (torch.randint(nodes, (edges,), generator=generator) for _ in range(2))
    adjacency = Adjacency.from_edges(source, target, nodes)
    given = torch.randn(edges, features, generator=generator)
    x = torch.randn(nodes, width, generator=generator, requires_grad=True)
    upstream = torch.randn(nodes, width, generator=generator)
    ours = EdgeNetworkConvolution(width, width, features, hidden)
    own = given if adjacency.order is None else given[adjacency.order]
    network = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, width * width))
    peer = NNConv(width, width, network, root_weight=False)
    index = torch.stack([source, target])
    return row_with_memory(
        f"edge network, {edges:,} edges, {width} features, forward + backward",
        _step(lambda: ours(x, adjacency, own), ours, x, upstream),
        _step(lambda: peer(x, index, given), peer, x, upstream),
        repeats,
        note,
    )
