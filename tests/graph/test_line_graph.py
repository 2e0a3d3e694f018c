"""Line graphs against networkx, closed forms and their algebra."""

from __future__ import annotations

from collections.abc import Iterable

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_harness import random_graph, undirected

from renote.errors import DataError, UsageError
from renote.graph import (
    Adjacency,
    DualPrimalConvolution,
    GATConvolution,
    LineGraph,
    edges_at_ends,
    is_symmetric,
    line_graph,
)

sizes = {"nodes": st.integers(0, 9), "edges": st.integers(0, 25), "seed": st.integers(0, 10**6)}


def both(edges: Iterable[tuple[int, int]], nodes: int) -> Adjacency:
    one = torch.tensor(list(edges)).reshape(-1, 2).T
    loop = one[0] == one[1]
    ends = torch.cat([one, one[:, ~loop].flip(0)], 1)
    return Adjacency.from_edges(ends[0], ends[1], nodes)


def peer(line: LineGraph, kind: type) -> nx.Graph:
    """As a graph of networkx whose nodes are the pairs of ends."""
    ends = list(zip(line.source.tolist(), line.target.tolist(), strict=True))
    graph = kind()
    graph.add_nodes_from(ends)
    graph.add_edges_from((ends[i], ends[j]) for i, j in line.adjacency.edge_index().T.tolist())
    return graph


def normal(graph: nx.Graph) -> tuple[set, set]:  # type: ignore[type-arg]
    """Nodes and edges, those of no direction told the same way."""
    nodes = {tuple(sorted(node)) for node in graph}
    return nodes, {frozenset((tuple(sorted(a)), tuple(sorted(b)))) for a, b in graph.edges}


@given(**sizes, loops=st.booleans())
@settings(max_examples=150)
def test_undirected_is_that_of_networkx(nodes: int, edges: int, seed: int, loops: bool) -> None:
    adjacency = undirected(nodes, edges, seed)
    if loops and nodes > 1:
        adjacency = both([*adjacency.edge_index().T[adjacency.source < adjacency.target].tolist(), (0, 0)], nodes)
    whole = nx.Graph(adjacency.edge_index().T.tolist())
    line = line_graph(adjacency)
    assert is_symmetric(line.adjacency)
    assert normal(peer(line, nx.Graph)) == normal(nx.line_graph(whole))
    assert line.adjacency.to_dense().max().item() <= 1 if line.adjacency.num_edges else True


@given(**sizes)
@settings(max_examples=150)
def test_directed_is_that_of_networkx(nodes: int, edges: int, seed: int) -> None:
    known = torch.unique(random_graph(nodes, edges, seed, loops=True).edge_index(), dim=1)
    adjacency = Adjacency.from_edges(known[0], known[1], nodes)
    whole = nx.DiGraph(known.T.tolist())
    expected, found = nx.line_graph(whole), peer(line_graph(adjacency, directed=True), nx.DiGraph)
    assert set(found.nodes) == set(whole.edges)
    assert set(found.edges) == set(expected.edges)


@given(**sizes)
@settings(max_examples=100)
def test_products_of_incidence(nodes: int, edges: int, seed: int) -> None:
    """Bᵀ B = A_L + 2 I and B Bᵀ = D + A; Sᵀ T = A_L and T Sᵀ = A, parallel edges counted."""
    one = random_graph(nodes, edges, seed)
    adjacency = both(one.edge_index().T.tolist(), nodes)
    line = line_graph(adjacency)
    eye, of_edges = torch.eye(nodes), torch.eye(line.num_edges)
    dense = adjacency.to_dense().float()
    assert torch.equal(line.to_nodes(line.to_edges(eye, "sum"), "sum"), dense + torch.diag(adjacency.in_degree()))
    assert torch.equal(
        line.to_edges(line.to_nodes(of_edges, "sum"), "sum"), line.adjacency.to_dense().float() + 2 * of_edges
    )
    line = line_graph(one, directed=True)
    assert torch.equal(line.to_nodes(line.to_edges(eye, "sum"), "sum"), one.to_dense().float())
    seen = line.to_edges(line.to_nodes(torch.eye(line.num_edges), "sum"), "sum")
    assert torch.equal(seen, line.adjacency.to_dense().float())


def pairs(graph: nx.Graph) -> Adjacency:
    return both(list(nx.convert_node_labels_to_integers(graph).edges), len(graph))


CLOSED = [
    *((f"path {n}", nx.path_graph(n), nx.path_graph(n - 1)) for n in (2, 3, 9)),
    *((f"cycle {n}", nx.cycle_graph(n), nx.cycle_graph(n)) for n in (3, 4, 9)),
    *((f"star {n}", nx.star_graph(n), nx.complete_graph(n)) for n in (1, 3, 8)),
    ("complete 4", nx.complete_graph(4), nx.octahedral_graph()),
    ("Petersen's complement", nx.complete_graph(5), nx.complement(nx.petersen_graph())),
    ("rook", nx.complete_bipartite_graph(3, 4), nx.cartesian_product(nx.complete_graph(3), nx.complete_graph(4))),
]


@pytest.mark.parametrize(("graph", "expected"), [case[1:] for case in CLOSED], ids=[case[0] for case in CLOSED])
def test_closed_forms(graph: nx.Graph, expected: nx.Graph) -> None:
    line = line_graph(pairs(graph))
    assert nx.is_isomorphic(peer(line, nx.Graph), expected)


def test_claw_and_triangle_are_told_apart_no_more() -> None:
    claw, triangle = line_graph(pairs(nx.star_graph(3))), line_graph(pairs(nx.complete_graph(3)))
    assert torch.equal(claw.adjacency.to_dense(), triangle.adjacency.to_dense())


@given(**sizes)
@settings(max_examples=50)
def test_maps_are_means_of_ends_and_edges(nodes: int, edges: int, seed: int) -> None:
    adjacency = undirected(nodes, edges, seed)
    line = line_graph(adjacency)
    x = torch.randn(nodes, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    on_edges = line.to_edges(x)
    torch.testing.assert_close(on_edges, (x[line.source] + x[line.target]) / 2)
    mine = [[e for e in range(line.num_edges) if i in (line.source[e], line.target[e])] for i in range(nodes)]
    expected = [on_edges[some].mean(0) if some else x.new_zeros(3) for some in mine]
    torch.testing.assert_close(line.to_nodes(on_edges), torch.stack(expected) if nodes else x)


def test_gradients_flow_through_the_maps() -> None:
    line = line_graph(undirected(6, 14, 3))
    x = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: line.to_nodes(line.to_edges(x)), (x,))


def test_one_direction_alone_is_refused() -> None:
    with pytest.raises(DataError, match="1 -> 2 and its reverse are not there equally often.*directed=True"):
        line_graph(Adjacency.from_edges([0, 1, 1], [1, 0, 2], 3))
    with pytest.raises(DataError, match="0 -> 1|1 -> 0"):
        line_graph(Adjacency.from_edges([0, 1, 1], [1, 0, 0], 2))
    with pytest.raises(UsageError, match="'sum' or 'mean'"):
        line_graph(both([(0, 1)], 2)).to_nodes(torch.ones(1, 1), "max")  # type: ignore[arg-type]


@given(**sizes)
@settings(max_examples=100)
def test_edges_at_both_ends_are_the_line_graph_with_directions(nodes: int, edges: int, seed: int) -> None:
    adjacency = undirected(nodes, edges, seed)
    dual, ends = edges_at_ends(adjacency), adjacency.edge_index().T.tolist()
    found = sorted(zip(dual.row.tolist(), dual.column.tolist(), strict=True))
    assert found == [(e, f) for e, of in enumerate(ends) for f, (_, target) in enumerate(ends) if target in of]
    # without directions: the line graph, the edge itself, and its reverse, which is the same
    line, pairs = line_graph(adjacency), {frozenset(pair) for pair in ends}
    joined = {frozenset((frozenset(ends[e]), frozenset(ends[f]))) for e, f in found}
    assert len(joined) == len(pairs) + line.adjacency.num_edges // 2


def test_with_equal_scores_dual_primal_and_graph_attention_are_the_same_mean() -> None:
    dual, plain = DualPrimalConvolution(3, 5, 2, edge_features=4).double(), GATConvolution(3, 5, 2).double()
    x = torch.rand(4, 3, dtype=torch.float64)
    with torch.no_grad():
        plain.weight.copy_(dual.weight)
        plain.attention_source.zero_()
        dual.attention_edge.zero_()
        torch.testing.assert_close(dual(x, undirected(4, 9, 0)), plain(x, undirected(4, 9, 0)))


def test_a_hub_beyond_memory_is_named() -> None:
    leaves = torch.arange(1, 50_001)
    hub = torch.zeros_like(leaves)
    star = Adjacency.from_edges(torch.cat([leaves, hub]), torch.cat([hub, leaves]), 50_001)
    for make in (line_graph, edges_at_ends, lambda of: line_graph(of, directed=True)):
        with pytest.raises(DataError, match="node 0 alone has 50,000 edges"):
            make(star)


def test_wrong_widths_are_refused() -> None:
    with pytest.raises(UsageError, match="edge_features = 0"):
        DualPrimalConvolution(3, 2, edge_features=0)
