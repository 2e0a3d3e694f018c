"""Every readout and every pool: the order of the nodes, graphs at the edge, batches. One row each in READOUTS and POOLS, and all of it is tested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from layer_harness import permuted, undirected
from torch import Tensor, nn

from renote.graph import (
    AGGREGATIONS,
    Adjacency,
    GaussianHistogram,
    Graph,
    MeanMax,
    Pattern,
    PermutationAggregation,
    Pooled,
    Set2SetAggregation,
    aggregation,
    batch,
    dense_diff_pool,
    make_pool,
    sort_pool,
    to_dense,
    unbatch,
)
from renote.graph import POOLS as NAMES

WIDTH = 4


@dataclass(frozen=True)
class Row:
    """A readout or a pool.

    Args:
        name: of the row.
        make: it, for nodes of `WIDTH` features.
        read: what it says of each graph of a batch, a tuple a graph.
        symmetric: whether it forgets the order of the nodes.
        alike: whether it draws the order of the nodes, so that it says one thing only of nodes that are all alike.
        invariant: the graphs of which it forgets the order, `invariant(nodes, seed)`.
    """

    name: str
    make: Callable[[], nn.Module]
    read: Callable[[nn.Module, Graph], list[tuple[Tensor, ...]]]
    symmetric: bool = True
    alike: bool = False
    invariant: Callable[[int, int], Adjacency] | None = None

    def graph(self, nodes: int, seed: int, invariant: bool = False) -> Graph:
        """With features of normal numbers."""
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(1 if self.alike else nodes, WIDTH, dtype=torch.float64, generator=generator)
        if nodes < 3:
            adjacency = Adjacency.from_edges([], [], nodes)
        elif invariant and self.invariant is not None:
            adjacency = self.invariant(nodes, seed)
        else:
            adjacency = undirected(nodes, 2 * nodes, seed)
        return Graph(x.expand(nodes, WIDTH), adjacency)

    def module(self) -> nn.Module:
        torch.manual_seed(0)
        return self.make().double().eval()


def hub_tree(nodes: int, seed: int) -> Adjacency:
    """A tree in which node 0 has the highest degree, so that one side of its cut has the largest entry alone."""
    generator = torch.Generator().manual_seed(seed)
    hub = nodes // 2 + 1
    chosen = [int(torch.randint(1, hub, (), generator=generator)) for _ in range(hub, nodes)]
    parent, child = torch.tensor([0] * (hub - 1) + chosen), torch.arange(1, nodes)
    return Adjacency.from_edges(torch.cat([parent, child]), torch.cat([child, parent]), nodes)


def weighted(nodes: int, seed: int) -> Adjacency:
    """With weights that are all different, the same in both directions."""
    adjacency = undirected(nodes, 2 * nodes, seed)
    low, high = torch.minimum(adjacency.source, adjacency.target), torch.maximum(adjacency.source, adjacency.target)
    return adjacency.with_weight(1.0 + 0.37 * low.double() + 0.011 * high.double() ** 2)


def of_readout(module: nn.Module, graph: Graph) -> list[tuple[Tensor, ...]]:
    return [(row,) for row in module(graph.x, graph.members)]


def of_pool(module: nn.Module, graph: Graph) -> list[tuple[Tensor, ...]]:
    """Features and matrix of each coarse graph, its nodes in the order of their first feature."""
    pooled = module(graph)
    assert isinstance(pooled, Pooled)
    torch.testing.assert_close(pooled.reduce(graph.x), pooled.graph.x)
    learned, coarse = pooled.edge_weight, pooled.graph
    if learned is not None:
        edges = coarse.adjacency.with_weight(learned.detach())
        coarse = coarse.with_adjacency(edges)
    return [_in_order(one.x, one.adjacency.to_dense()) for one in unbatch(coarse)]  # type: ignore[arg-type]


def of_dense(module: nn.Module, graph: Graph) -> list[tuple[Tensor, ...]]:
    assert isinstance(graph.x, Tensor)
    scores = to_dense(graph, module(graph.x)).x
    found = dense_diff_pool(to_dense(graph, graph.x), scores).graphs
    return [
        _in_order(x[:count], dense[:count, :count]) for x, dense, count in zip(found.x, found.adjacency, found.count)
    ]


def _in_order(x: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
    order = x[:, 0].argsort()
    return x[order], dense[order][:, order]


class Sorted(nn.Module):
    def forward(self, x: Tensor, members: Pattern) -> Tensor:
        return sort_pool(x, members, 3).flatten(1)


def aggregating(name: str) -> Row:
    return Row(name, lambda: aggregation(name, WIDTH, 3), of_readout, symmetric=name != "lstm")


def pooling(name: str, invariant: Callable[[int, int], Adjacency] | None = None) -> Row:
    return Row(f"pool {name}", lambda: make_pool(name, WIDTH, 0.5, 3), of_pool, invariant=invariant)


READOUTS = [
    *(aggregating(name) for name in AGGREGATIONS if name != "permutations"),  # whose draws are told below
    Row("attention, 2 heads", lambda: AGGREGATIONS["attention"](WIDTH, heads=2), of_readout),
    Row("janossy, 3", lambda: AGGREGATIONS["janossy"](WIDTH, k=3), of_readout),
    Row("permutations", lambda: PermutationAggregation(WIDTH, 3, 2), of_readout, alike=True),
    Row("set2set", lambda: Set2SetAggregation(WIDTH, 3), of_readout),
    Row("histogram", GaussianHistogram, of_readout),
    Row("mean and max", MeanMax, of_readout),
    Row("sort", Sorted, of_readout),
]
# pairs of equal edges are drawn, and the cut of some graphs is decided by numbers: those are told in `pool/fixed.py`
ONLY = {"graclus": weighted, "ndp": hub_tree}
POOLS = [
    *(pooling(name, ONLY.get(name)) for name in NAMES),
    Row("pool diffpool, dense", lambda: nn.Linear(WIDTH, 3), of_dense),
]
each = pytest.mark.parametrize("row", [*READOUTS, *POOLS], ids=lambda row: row.name)


@each
def test_the_order_of_nodes_is_forgotten(row: Row) -> None:
    if not row.symmetric:
        pytest.skip("reads in the order of the nodes")
    module = row.module()
    for seed, nodes in enumerate((1, 2, 5, 9, 14)):
        graph = row.graph(nodes, seed, invariant=True)
        order = torch.randperm(nodes, generator=torch.Generator().manual_seed(seed))
        turned = Graph(graph.x[order], permuted(graph.adjacency, order))  # type: ignore[index]
        torch.testing.assert_close(row.read(module, turned), row.read(module, graph))


@each
def test_graphs_without_nodes_and_of_one(row: Row) -> None:
    module, one, none = row.module(), row.graph(1, 3), row.graph(0, 0)
    (alone,), (empty,) = row.read(module, one), row.read(module, none)
    assert all(bool(part.isfinite().all()) for part in (*alone, *empty))
    # nothing is zeros, or a graph without nodes
    assert not any(bool(part.any()) for part in empty)
    torch.testing.assert_close(row.read(module, batch([none, one, none, one])), [empty, alone, empty, alone])
    assert not row.read(module, Graph(torch.zeros(0, WIDTH).double(), none.adjacency, num_graphs=0))
    x = one.x.clone().requires_grad_()  # type: ignore[union-attr]
    sum(part.sum() for part in row.read(module, batch([none, one]).with_x(x))[1]).backward()
    assert bool(x.grad.isfinite().all())


@each
def test_an_empty_last_graph_is_there(row: Row) -> None:
    module, graphs = row.module(), [row.graph(5, 1), row.graph(7, 2)]
    found = row.read(module, batch([*graphs, row.graph(0, 0)]))
    assert len(found) == 3
    torch.testing.assert_close(found[:2], row.read(module, batch(graphs)))
    torch.testing.assert_close(found[2:], row.read(module, row.graph(0, 0)))


@each
def test_a_batch_of_512_graphs_is_a_loop(row: Row) -> None:
    """Of 37 graphs, each of which is there 13 or 14 times."""
    module, graphs = row.module(), [row.graph(k % 8, k) for k in range(37)]
    with torch.no_grad():
        found = row.read(module, batch([graphs[k % 37] for k in range(512)]))
        alone = [row.read(module, graph)[0] for graph in graphs]
    expected = [alone[k % 37] for k in range(512)]
    assert [[part.shape for part in one] for one in found] == [[part.shape for part in one] for one in expected]
    for one, other in zip(zip(*found), zip(*expected), strict=True):
        torch.testing.assert_close(*(torch.cat([part.flatten() for part in parts]) for parts in (one, other)))
