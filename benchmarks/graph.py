"""Graph kernels, training steps and epochs beside PyTorch Geometric's defaults (edge_index and scatter), on the accelerator where there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.harness import copy_bandwidth, row_with_memory
from benchmarks.peers import PeerGaAN
from benchmarks.relations import edge_network
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
    """Rows of the table: sum, mean, max, convolutions on a large graph; training steps and epochs on citation graphs."""
    with torch.device("cuda" if torch.cuda.is_available() else "cpu") as device:
        return [*_large(quick, device), *_citations("cora", quick, device), *_citations("pubmed", quick, device)]


def _large(quick: bool, device: torch.device) -> list[dict[str, Any]]:
    from torch_geometric.nn import ChebConv, GATConv, GCNConv, GMMConv, SAGEConv
    from torch_geometric.utils import scatter

    nodes, edges, width = (2_000, 30_000, 64) if quick else (100_000, 1_500_000, 64)
    repeats = 2 if quick else 9
    generator = torch.Generator(device).manual_seed(0)
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

    def told(row: dict[str, Any], products: int = 2, remark: str = "") -> dict[str, Any]:
        # what must move at least, if caches held nothing: a row of x and an index for each edge, and the output
        least = products * (edges * (4 * width + 4) + nodes * 4 * width)
        rate = least / (row["renote_ms"] / 1000)
        share = f"{least / edges:.0f} bytes per edge uncached, {rate / 1e9:.1f} GB/s = {100 * rate / bandwidth:.0f} % of copy bandwidth"
        return row | {"note": "; ".join(part for part in (row["note"], share, remark) if part)}

    rows = []
    ours = {
        "sum": lambda: spmm(adjacency, x),
        "mean": lambda: neighbor_mean(adjacency, x),
        "max": lambda: neighbor_max(adjacency, x),
    }
    for reduce, function in ours.items():
        name = f"neighbour {reduce}, forward + backward"
        rows.append(told(row_with_memory(name, back(function), back(peer(reduce)), repeats, "")))
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
        theirs_step = layer(lambda module=module: module(x, index), module)  # type: ignore[misc]
        rows.append(told(row_with_memory(name, ours_step, theirs_step, repeats, "")))
    heads, each = 8, width // 8
    pairs: list[tuple[str, nn.Module, nn.Module, int, str]] = [
        (
            "gat layer, 8 heads of 8",
            GATConvolution(width, each, heads),
            GATConv(width, each, heads),
            3,
            "a number an edge and head",
        ),
        ("sage layer, mean", SAGEConvolution(width, width, "mean"), SAGEConv(width, width, "mean"), 2, ""),
        ("sage layer, max", SAGEConvolution(width, width, "max"), SAGEConv(width, width, "max"), 2, ""),
        ("cheb layer, 3 terms", ChebyshevConvolution(width, width, 2), ChebConv(width, width, 3), 4, ""),
    ]
    for name, module, rival, products, remark in pairs:
        here = layer(lambda module=module: module(x, adjacency), module)  # type: ignore[misc]
        there = layer(lambda rival=rival: rival(x, index), rival)  # type: ignore[misc]
        row = row_with_memory(f"{name}, forward + backward", here, there, min(repeats, 5), "")
        rows.append(told(row, products, remark))
    mixture = MixtureConvolution(width, width)
    gaussians = GMMConv(width, width, 2, 3, aggr="add", root_weight=False)
    gaussians.root = None  # which the layer asks for all the same
    places = torch.rand(adjacency.num_edges, 2, generator=generator)
    of_edges = places if adjacency.order is None else places[adjacency.order]
    gated, gates = GaANConvolution(width, width, heads, each, each), PeerGaAN(width, width, heads, each, each)
    further: list[tuple[str, nn.Module, Callable[[], Tensor], nn.Module, Callable[[], Tensor], str]] = []
    further += [
        (
            "monet layer, 3 windows",
            mixture,
            lambda: mixture(x, adjacency, of_edges),
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
            row_with_memory(
                f"{name}, forward + backward", layer(here_, module), layer(there_, rival_), min(repeats, 3), remark
            )
        )
    rows.append(told(_sign(x.detach(), index, nodes, repeats), 3, "sorting the list of edges not counted"))
    size = f"{nodes:,} nodes, {edges:,} edges, {width} features"
    rows = [row | {"name": f"{row['name']} ({size})"} for row in rows]
    # MPNN's layer on as many edges, at a width at which the peer's matrices of all edges fit into memory
    note = f"no matrix an edge, which at {width} features would be {4e-9 * edges * width**2:.0f} GB for the peer"
    return [*rows, edge_network(nodes, edges, 8 if quick else 16, 4, 16, min(repeats, 3), note)]


def _sign(x: Tensor, index: Tensor, nodes: int, repeats: int) -> dict[str, Any]:
    """All of SIGN that touches edges, once before training: from the list of edges to the signals of three hops."""
    from torch_geometric.data import Data
    from torch_geometric.transforms import SIGN

    convolution, peer = InceptionConvolution(x.shape[1], 1, hops=3), SIGN(3)

    def ours() -> None:
        convolution.signals(x, Adjacency.from_edges(index[0], index[1], nodes))

    def theirs() -> None:
        peer(Data(x=x, edge_index=index, num_nodes=nodes))

    name = "sign, signals of 3 hops from the list of edges"
    return row_with_memory(name, ours, theirs, min(repeats, 5), "no gradient")


def _citation_data(name: str) -> tuple[Graph, Tensor, Tensor, Tensor, str]:
    """Graph, classes, training and validation nodes, and what it is called; a drawn one of its size where it is not at hand."""
    from renote import data
    from renote.data import NodeData

    try:
        found = data.load(name)
    except DataError:
        nodes, features, edges, classes = (2708, 1433, 10_556, 7) if name == "cora" else (19_717, 500, 88_648, 3)
        from scipy.sparse import random_array

        drawn = random_array((nodes, features), density=0.0127, format="csr", rng=0)
        ends = torch.randint(nodes, (2, edges))
        graph = Graph(SparseFeatures.from_scipy(drawn), Adjacency.from_edges(ends[0], ends[1], nodes))
        labels = torch.randint(classes, (nodes,))
        return graph, labels, torch.arange(140), torch.arange(140, 640), f"drawn graph of {name}'s size"
    assert isinstance(found, NodeData)
    return found.graph, found.labels, found.train, found.validation, name.capitalize()


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


def _citations(name: str, quick: bool, device: torch.device) -> list[dict[str, Any]]:
    """A training step of GCN, and an epoch as both examples have it: a step, then the validation accuracy."""
    with torch.device("cpu"):
        graph, labels, train, validation, title = _citation_data(name)
    graph, (labels, train, validation) = graph.to(device), (part.to(device) for part in (labels, train, validation))
    assert isinstance(graph.x, SparseFeatures)
    classes, dense, index = int(labels.max()) + 1, graph.x.to_dense(), graph.adjacency.edge_index()
    mine, other = GCN(graph.num_features, 16, classes), _PeerGCN(graph.num_features, classes)

    def step(module: nn.Module, call: Callable[[], Tensor], epoch: bool) -> Callable[[], None]:
        groups: list[dict[str, Any]] = [
            {"params": list(other.first.parameters()), "weight_decay": 5e-4},
            {"params": other.second.parameters()},
        ]
        groups = mine.parameter_groups(5e-4) if module is mine else groups
        optimizer = torch.optim.Adam(groups, lr=0.01, fused=module is mine)

        def whole() -> None:
            module.train()
            optimizer.zero_grad()
            torch.autograd.backward(
                functional.cross_entropy(call().index_select(0, train), labels.index_select(0, train))
            )
            optimizer.step()
            if epoch:
                module.eval()
                with torch.no_grad():
                    right = call().index_select(0, validation).argmax(1) == labels.index_select(0, validation)
                float(right.float().mean())

        return whole

    rows = []
    for epoch in (False, True):
        ours, theirs = step(mine, lambda: mine(graph), epoch), step(other, lambda: other(dense, index), epoch)
        remark = "a step and the validation accuracy" if epoch else "Adam fused here, as it comes for the peer"
        if name == "cora" and not epoch:
            remark = f"goal: at most 3 ms; {remark}"
        what = "epoch" if epoch else "step"
        rows.append(row_with_memory(f"gcn training {what} ({title})", ours, theirs, 5 if quick else 60, remark))
    return rows
