"""Graph kernels and training steps beside PyTorch Geometric's defaults (edge_index and scatter)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.harness import copy_bandwidth, interleave, table_row
from benchmarks.peers import PeerGaAN
from renote.errors import DataError
from renote.graph import (
    GCN,
    Adjacency,
    ChebyshevConvolution,
    GaANConvolution,
    GATConvolution,
    Graph,
    InceptionConvolution,
    KipfConvolution,
    MixtureConvolution,
    SAGEConvolution,
    SparseFeatures,
    neighbor_max,
    neighbor_mean,
    spmm,
)


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Rows of the table: sum, mean, max, convolutions on a large graph; a training step on Cora."""
    return [*_large(quick), _cora(quick)]


def _row(name: str, ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int, note: str) -> dict[str, Any]:
    return table_row(name, interleave({"renote": ours, "peer": theirs}, repeats), note)


def _large(quick: bool) -> list[dict[str, Any]]:
    from torch_geometric.nn import ChebConv, GATConv, GCNConv, GMMConv, SAGEConv
    from torch_geometric.utils import scatter

    nodes, edges, width = (2_000, 30_000, 64) if quick else (100_000, 1_500_000, 64)
    repeats = 2 if quick else 9
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randint(nodes, (edges,), generator=generator) for _ in range(2))
    adjacency = Adjacency.from_edges(source, target, nodes)
    index = torch.stack([source, target])
    x = torch.randn(nodes, width, generator=generator, requires_grad=True)
    upstream = torch.randn(nodes, width, generator=generator)
    bandwidth = copy_bandwidth(16 if quick else 256)

    def back(function: Callable[[], Tensor]) -> Callable[[], None]:
        def step() -> None:
            x.grad = None
            torch.autograd.backward(function(), upstream)

        return step

    def peer(reduce: str) -> Callable[[], Tensor]:
        return lambda: scatter(x.index_select(0, index[0]), index[1], 0, nodes, reduce)

    def note(milliseconds: float, directions: int = 2) -> str:
        # what must move at least, if caches held nothing: a row of x and an index for each edge, and the output
        least = directions * (edges * (4 * width + 4) + nodes * 4 * width)
        rate = least / (milliseconds / 1000)
        return f"{least / edges:.0f} bytes per edge uncached, {rate / 1e9:.1f} GB/s = {100 * rate / bandwidth:.0f} % of copy bandwidth"

    rows = []
    ours = {
        "sum": lambda: spmm(adjacency, x),
        "mean": lambda: neighbor_mean(adjacency, x),
        "max": lambda: neighbor_max(adjacency, x),
    }
    for reduce, function in ours.items():
        row = _row(f"neighbour {reduce}, forward + backward", back(function), back(peer(reduce)), repeats, "")
        rows.append(row | {"note": note(row["renote_ms"])})
    mine, other, kept = KipfConvolution(width, width), GCNConv(width, width), GCNConv(width, width, cached=True)

    def layer(call: Callable[[], Tensor], module: nn.Module) -> Callable[[], None]:
        step = back(call)

        def whole() -> None:
            module.zero_grad()
            step()

        return whole

    # by default the peer normalizes anew in each call, told to it keeps the result, as an Adjacency always does
    ours_step = layer(lambda: mine(x, adjacency), mine)
    for module, how in ((other, "peer as it comes"), (kept, "peer with cached=True")):
        name = f"gcn layer, forward + backward, {how}"
        row = _row(name, ours_step, layer(lambda module=module: module(x, index), module), repeats, "")  # type: ignore[misc]
        rows.append(row | {"note": note(row["renote_ms"])})
    heads, each = 8, width // 8
    pairs: list[tuple[str, nn.Module, nn.Module, str]] = [
        (
            "gat layer, 8 heads of 8",
            GATConvolution(width, each, heads),
            GATConv(width, each, heads),
            "a number an edge and head",
        ),
        (
            "sage layer, mean",
            SAGEConvolution(width, width, "mean"),
            SAGEConv(width, width, "mean"),
            "no message is made",
        ),
        ("sage layer, max", SAGEConvolution(width, width, "max"), SAGEConv(width, width, "max"), "no message is made"),
    ]
    for name, module, rival, remark in pairs:
        here = layer(lambda module=module: module(x, adjacency), module)  # type: ignore[misc]
        there = layer(lambda rival=rival: rival(x, index), rival)  # type: ignore[misc]
        rows.append(_row(f"{name}, forward + backward", here, there, min(repeats, 5), remark))
    mixture, gaussians = MixtureConvolution(width, width), GMMConv(width, width, 2, 3)
    places = torch.rand(adjacency.num_edges, 2, generator=generator)
    gated, gates = GaANConvolution(width, width, heads, each, each), PeerGaAN(width, width, heads, each, each)
    further: list[tuple[str, nn.Module, Callable[[], Tensor], nn.Module, Callable[[], Tensor], str]] = []
    chebyshev, rival = ChebyshevConvolution(width, width, 2), ChebConv(width, width, 3)
    further += [
        (
            "cheb layer, 3 terms",
            chebyshev,
            lambda: chebyshev(x, adjacency),
            rival,
            lambda: rival(x, index),
            "no message is made",
        ),
        (
            "monet layer, 3 windows",
            mixture,
            lambda: mixture(x, adjacency, places),
            gaussians,
            lambda: gaussians(x, index, places),
            "a number an edge and window",
        ),
        (
            "gaan layer, 8 heads of 8",
            gated,
            lambda: gated(x, adjacency),
            gates,
            lambda: gates(x, index),
            "a number an edge and head; the peer has no such layer: one of its softmax, gather and scatter",
        ),
    ]
    for name, module, here_, rival_, there_, remark in further:
        rows.append(
            _row(
                f"{name}, forward + backward",
                layer(here_, module),
                layer(there_, rival_),
                min(repeats, 3),
                remark,
            )
        )
    rows.append(_sign(x.detach(), index, nodes, repeats))
    size = f"{nodes:,} nodes, {edges:,} edges, {width} features"
    return [row | {"name": f"{row['name']} ({size})"} for row in rows]


def _sign(x: Tensor, index: Tensor, nodes: int, repeats: int) -> dict[str, Any]:
    """All of SIGN that touches edges, once before training: from the list of edges to the signals of three hops."""
    from torch_geometric.data import Data
    from torch_geometric.transforms import SIGN

    convolution, peer = InceptionConvolution(x.shape[1], 1, hops=3), SIGN(3)

    def ours() -> None:
        convolution.signals(x, Adjacency.from_edges(index[0], index[1], nodes))

    def theirs() -> None:
        peer(Data(x=x, edge_index=index, num_nodes=nodes))

    return _row("sign, signals of 3 hops from the list of edges", ours, theirs, min(repeats, 5), "no gradient")


def _cora_data() -> tuple[Graph, Tensor, Tensor, str]:
    from renote import data
    from renote.data import NodeData

    try:
        cora = data.load("cora")
    except DataError:
        generator = torch.Generator().manual_seed(0)
        dense = (torch.rand(2708, 1433, generator=generator) < 0.0127).float()
        from scipy.sparse import csr_array

        ends = torch.randint(2708, (2, 10_556), generator=generator)
        graph = Graph(SparseFeatures.from_scipy(csr_array(dense.numpy())), Adjacency.from_edges(ends[0], ends[1], 2708))
        return graph, torch.randint(7, (2708,), generator=generator), torch.arange(140), "drawn graph of Cora's size"
    assert isinstance(cora, NodeData)
    return cora.graph, cora.labels, cora.train, "Cora"


class _PeerGCN(nn.Module):
    """PyTorch Geometric's own example of GCN (examples/gcn.py): dense features, dropout on them, nothing cached."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        from torch_geometric.nn import GCNConv

        self.first, self.second = GCNConv(features, 16), GCNConv(16, classes)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        x = functional.dropout(x, 0.5, self.training)
        x = functional.dropout(self.first(x, index).relu(), 0.5, self.training)
        out: Tensor = self.second(x, index)
        return out


def _cora(quick: bool) -> dict[str, Any]:
    graph, labels, train, name = _cora_data()
    assert isinstance(graph.x, SparseFeatures)
    dense, index = graph.x.to_dense(), graph.adjacency.edge_index()
    mine, other = GCN(graph.num_features, 16, 7), _PeerGCN(graph.num_features, 7)

    def step(module: nn.Module, call: Callable[[], Tensor]) -> Callable[[], None]:
        groups: list[dict[str, Any]] = [
            {"params": list(other.first.parameters()), "weight_decay": 5e-4},
            {"params": other.second.parameters()},
        ]
        groups = mine.parameter_groups(5e-4) if module is mine else groups
        optimizer = torch.optim.Adam(groups, lr=0.01, fused=module is mine)

        def whole() -> None:
            optimizer.zero_grad()
            torch.autograd.backward(
                functional.cross_entropy(call().index_select(0, train), labels.index_select(0, train))
            )
            optimizer.step()

        return whole

    ours, theirs = step(mine, lambda: mine(graph)), step(other, lambda: other(dense, index))
    return _row(
        f"gcn training step ({name})",
        ours,
        theirs,
        5 if quick else 60,
        "goal: at most 3 ms; Adam fused here, as it comes for the peer",
    )
