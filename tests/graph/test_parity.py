"""What PyTorch Geometric has too, on copied weights: outputs and gradients, with weights of edges where it takes them. One row each.

Layers with a test of their own kind elsewhere (mixtures, LSTMs, relations, molecules, pools, LightGCN) are not repeated here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from layer_harness import random_graph, undirected
from torch import Tensor, nn

from renote.graph import (
    Adjacency,
    AttentionAggregation,
    ChebyshevConvolution,
    DeepSetsAggregation,
    EnhancedConvolution,
    GATConvolution,
    IsomorphismConvolution,
    KipfConvolution,
    LoopyConvolution,
    MaxAggregation,
    MeanAggregation,
    MinAggregation,
    PersonalizedPageRank,
    SAGEConvolution,
    SimplifiedConvolution,
    StdAggregation,
    SumAggregation,
    kipf,
    label_spreading,
)

peers: Any = pytest.importorskip("torch_geometric.nn", reason="PyTorch Geometric is not installed")
Pairs = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Row:
    """A layer and its peer.

    Args:
        name: of the row.
        ours: the layer.
        theirs: the peer's.
        same: (a parameter of ours, the peer's of the same shape), where need be as views.
        weighted: whether both look at weights of edges.
        undirected: whether the peer's formula needs both directions.
    """

    name: str
    ours: nn.Module
    theirs: nn.Module
    same: Pairs
    weighted: bool = False
    undirected: bool = False


def conv(name: str, ours: Any, theirs: Any, same: Pairs, weighted: bool = True, undirected: bool = False) -> Row:
    return Row(name, ours, theirs, same, weighted, undirected)


def kipf_row(i: int, o: int) -> Row:
    ours, theirs = KipfConvolution(i, o), peers.GCNConv(i, o)
    return conv(f"kipf {i} to {o}", ours, theirs, [(ours.weight, theirs.lin.weight.T), (ours.bias, theirs.bias)])


def chebyshev_row(i: int, o: int, order: int) -> Row:
    ours, theirs = ChebyshevConvolution(i, o, order), peers.ChebConv(i, o, K=order + 1)
    same = [(ours.weight[k], theirs.lins[k].weight.T) for k in range(order + 1)]
    name = f"chebyshev {i} to {o}, order {order}"
    return conv(name, ours, theirs, [*same, (ours.bias, theirs.bias)], undirected=True)


def simplified_row(i: int, o: int, hops: int) -> Row:
    ours, theirs = SimplifiedConvolution(i, o, hops), peers.SGConv(i, o, K=hops)
    same = [(ours.weight, theirs.lin.weight.T), (ours.bias, theirs.lin.bias)]
    return conv(f"simplified {i} to {o}, {hops} hops", ours, theirs, same)


def loopy_row(i: int, o: int) -> Row:
    ours, theirs = LoopyConvolution(i, o), peers.GraphConv(i, o)
    nn.init.zeros_(theirs.lin_root.weight)
    same = [(ours.weight, theirs.lin_rel.weight.T), (ours.bias, theirs.lin_rel.bias)]
    return conv(f"loopy {i} to {o}", ours, theirs, same)


def enhanced_row(strength: float) -> Row:
    ours, theirs = EnhancedConvolution(5, 3, strength), peers.ClusterGCNConv(5, 3, diag_lambda=strength)
    nn.init.zeros_(theirs.lin_root.weight)
    same = [(ours.weight, theirs.lin_out.weight.T), (ours.bias, theirs.lin_out.bias)]
    return conv(f"enhanced by {strength}", ours, theirs, same, weighted=False)


def gat_row(concat: bool) -> Row:
    ours, theirs = GATConvolution(5, 4, heads=3, concat=concat), peers.GATConv(5, 4, heads=3, concat=concat)
    same = [
        (ours.weight, theirs.lin.weight.T),
        (ours.attention_source, theirs.att_src[0]),
        (ours.attention_target, theirs.att_dst[0]),
        (ours.bias, theirs.bias),
    ]
    return conv(f"gat, {'concatenated' if concat else 'mean'}", ours, theirs, same, weighted=False)


def sage_row(name: str, **options: Any) -> Row:
    ours = SAGEConvolution(5, 4, name, normalize=True)
    theirs = peers.SAGEConv(5, 4, aggr="max" if name == "pool" else name, normalize=True, **options)
    same = [
        (ours.weight_neighbors, theirs.lin_l.weight.T),
        (ours.weight_self, theirs.lin_r.weight.T),
        (ours.bias, theirs.lin_l.bias),
    ]
    if name == "pool":
        same += [(ours.aggregate.weight, theirs.lin.weight.T), (ours.aggregate.bias, theirs.lin.bias)]  # type: ignore[list-item]
    return conv(f"sage, {name}", ours, theirs, same, weighted=False)


def isomorphism_row() -> Row:
    ours = IsomorphismConvolution(5, 3, 7)
    inner = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))
    theirs = peers.GINConv(inner, eps=0.0, train_eps=True)
    same = [(getattr(ours, k).weight, inner[n].weight) for k, n in (("first", 0), ("second", 2))]
    same += [(getattr(ours, k).bias, inner[n].bias) for k, n in (("first", 0), ("second", 2))]
    return conv("isomorphism", ours, theirs, [*same, (ours.epsilon, theirs.eps[0])], weighted=False)


class PageRank(nn.Module):
    def forward(self, x: Tensor, adjacency: Adjacency) -> Tensor:
        out: Tensor = PersonalizedPageRank(kipf(adjacency), 0.2, 6) @ x
        return out


class Gathering(nn.Module):
    """An aggregation of the peer, over the neighbours of each node."""

    def __init__(self, aggregate: nn.Module) -> None:
        super().__init__()
        self.aggregate = aggregate

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        order = edges[1].argsort(stable=True)
        out: Tensor = self.aggregate(x[edges[0, order]], edges[1, order], dim_size=len(x))
        return out


def gathering(name: str, ours: nn.Module, theirs: nn.Module, same: Pairs) -> Row:
    return Row(f"aggregation, {name}", ours, Gathering(theirs), same)


def attentional_row() -> Row:
    gate, ours = nn.Linear(5, 1, bias=False), AttentionAggregation(5)
    return gathering("attentional", ours, peers.aggr.AttentionalAggregation(gate), [(ours.query, gate.weight.T)])


def softmax_row() -> Row:
    """A head a feature, whose query is the peer's temperature on that feature."""
    ours, theirs = AttentionAggregation(5, heads=5), peers.aggr.SoftmaxAggregation(learn=True, channels=5)
    nn.init.zeros_(ours.query)
    return gathering("softmax", ours, theirs, [(ours.query.diagonal(), theirs.t.view(-1))])


def deep_sets_row() -> Row:
    ours = DeepSetsAggregation(5, 3, 4)
    local = nn.Sequential(nn.Linear(5, 4), nn.ReLU())
    whole = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))
    same = [(ours.weight, local[0].weight.T), (ours.bias, local[0].bias)]
    for mine, other in ((ours.inner, whole[0]), (ours.out, whole[2])):
        same += [(mine.weight, other.weight), (mine.bias, other.bias)]  # type: ignore[list-item]
    return gathering("deep sets", ours, peers.aggr.DeepSetsAggregation(local, whole), same)


ROWS: list[Callable[[], Row]] = [
    lambda: kipf_row(5, 3),
    lambda: kipf_row(3, 5),
    *(lambda i=i, o=o, k=k: chebyshev_row(i, o, k) for i, o in ((5, 3), (3, 5)) for k in (0, 1, 2, 4)),  # type: ignore[misc]
    lambda: simplified_row(5, 3, 1),
    lambda: simplified_row(3, 5, 3),
    lambda: loopy_row(5, 3),
    lambda: loopy_row(3, 5),
    lambda: enhanced_row(0.0),
    lambda: enhanced_row(1.0),
    lambda: gat_row(True),
    lambda: gat_row(False),
    *(lambda name=name: sage_row(name) for name in ("mean", "max", "min", "sum")),  # type: ignore[misc]
    lambda: sage_row("pool", project=True),
    isomorphism_row,
    lambda: Row("pagerank", PageRank(), peers.APPNP(K=6, alpha=0.2), [], weighted=True),
    lambda: gathering("sum", SumAggregation(), peers.aggr.SumAggregation(), []),
    lambda: gathering("mean", MeanAggregation(), peers.aggr.MeanAggregation(), []),
    lambda: gathering("max", MaxAggregation(), peers.aggr.MaxAggregation(), []),
    lambda: gathering("min", MinAggregation(), peers.aggr.MinAggregation(), []),
    lambda: gathering("std", StdAggregation(), peers.aggr.StdAggregation(), []),
    attentional_row,
    softmax_row,
    deep_sets_row,
]
NAMES = [row().name for row in ROWS]


def graph(row: Row) -> Adjacency:
    """Each node hears of some other; no loops and no duplicates, which the peers treat in their own ways."""
    plain = undirected(20, 60, 0) if row.undirected else random_graph(20, 60, 0)
    ends = plain.edge_index()
    if not row.undirected:
        ring = torch.stack([torch.arange(20), torch.arange(1, 21) % 20])
        ends = torch.unique(torch.cat([ends, ring, ring[:, :1].flip(0)], 1), dim=1)
    weight = None
    if row.weighted:
        total = ends.amin(0) * 0.37 + ends.amax(0) * 0.11
        weight = 0.5 + total.double().frac() + (0 if row.undirected else ends[0].double() / 20)
    return Adjacency.from_edges(ends[0], ends[1], 20, weight)


@pytest.mark.parametrize("make", ROWS, ids=NAMES)
def test_outputs_and_gradients_are_pygs(make: Callable[[], Row]) -> None:
    torch.set_default_dtype(torch.float64)
    try:
        row = make()
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.no_grad():
        for mine, other in row.same:
            other.copy_(mine.normal_(0.0, 0.5))
    ours, theirs = row.ours, row.theirs
    adjacency = graph(row)
    edges = adjacency.edge_index()
    width = getattr(ours, "in_features", None) or getattr(ours, "features", None) or 5
    x = torch.randn(20, width, dtype=torch.float64)
    mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    given = (adjacency.values(torch.float64),) if row.weighted else ()
    out, expected = ours(mine, adjacency), theirs(other, edges, *given)
    torch.testing.assert_close(out, expected, rtol=1e-6, atol=1e-7)
    upstream = torch.randn_like(expected)
    out.backward(upstream)
    expected.backward(upstream)
    for one, two in [(mine, other), *row.same]:
        torch.testing.assert_close(slope(one), slope(two), rtol=1e-6, atol=1e-7)


def slope(view: Tensor) -> Tensor:
    """The gradient by a parameter or a view of one."""
    base = view if view._base is None else view._base
    assert base.grad is not None
    return base.grad.contiguous().as_strided(view.shape, view.stride(), view.storage_offset())


def test_label_spreading_is_pygs() -> None:
    adjacency, labels = undirected(20, 60, 1), torch.arange(20) % 3
    known = torch.arange(20) < 9
    expected = peers.LabelPropagation(300, 0.9)(labels, adjacency.edge_index(), known)
    found = label_spreading(adjacency, labels, known, 3, alpha=0.9, tolerance=1e-9)
    torch.testing.assert_close(found.float(), expected.float(), rtol=1e-4, atol=1e-5)
