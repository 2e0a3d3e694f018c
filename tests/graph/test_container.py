"""The container: what is checked, and what batching does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from layer_harness import random_graph

from renote.errors import DataError, RenoteError
from renote.graph import (
    Adjacency,
    Field,
    Graph,
    SparseFeatures,
    batch,
    induced,
    pick,
    segment_max,
    segment_mean,
    segment_sum,
    spmm,
    unbatch,
)
from renote.graph.pattern import Pattern
from renote.graph.pool.networks import two_hops


def graph(nodes: int, edges: int, seed: int = 0) -> Graph:
    adjacency = random_graph(nodes, edges, seed)
    generator = torch.Generator().manual_seed(seed)
    return Graph(
        torch.randn(nodes, 2, generator=generator),
        adjacency,
        edge_features=torch.randn(adjacency.num_edges, 3, generator=generator),
        relation=torch.randint(4, (adjacency.num_edges,), generator=generator),
        fields={
            "patient_index": Field("node", torch.arange(nodes) + 100),
            "height": Field("index", torch.arange(nodes)[:1]),
            "label": Field("graph", torch.tensor([seed])),
            "length": Field("edge", torch.rand(adjacency.num_edges, generator=generator)),
        },
    )


@given(parts=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 12)), min_size=1, max_size=6))
def test_taking_a_batch_apart_gives_its_graphs(parts: list[tuple[int, int]]) -> None:
    graphs = [graph(nodes, edges, seed) for seed, (nodes, edges) in enumerate(parts)]
    again = unbatch(batch(graphs))
    assert len(again) == len(graphs)
    for one, other in zip(graphs, again, strict=True):
        assert one.num_nodes == other.num_nodes
        assert torch.equal(one.adjacency.edge_index(), other.adjacency.edge_index())
        assert torch.equal(one.x, other.x)  # type: ignore[arg-type]
        assert torch.equal(one.edge_features, other.edge_features)  # type: ignore[arg-type]
        assert torch.equal(one.relation, other.relation)  # type: ignore[arg-type]
        for name in one.fields:
            assert torch.equal(one[name], other[name]), name


def test_fields_are_shifted_by_their_kind_and_never_by_their_name() -> None:
    joined = batch([graph(3, 2), graph(4, 5)])
    assert joined["patient_index"].tolist() == [100, 101, 102, 100, 101, 102, 103]
    assert joined["height"].tolist() == [0, 3]


def test_an_empty_last_graph_stays() -> None:
    joined = batch([graph(3, 2), graph(0, 0), graph(2, 1), graph(0, 0)])
    assert joined.num_graphs == 4
    assert segment_sum(torch.ones(5, 1), joined.members).flatten().tolist() == [3.0, 0.0, 2.0, 0.0]
    assert segment_mean(torch.ones(5, 1), joined.members).flatten().tolist() == [1.0, 0.0, 1.0, 0.0]
    assert segment_max(-torch.ones(5, 1), joined.members).flatten().tolist() == [-1.0, 0.0, -1.0, 0.0]
    assert [part.num_nodes for part in unbatch(joined)] == [3, 0, 2, 0]
    twice = batch([joined, joined])
    assert twice.num_graphs == 8
    assert [part.num_nodes for part in unbatch(twice)] == [3, 0, 2, 0] * 2


def test_an_edge_past_the_nodes_is_named() -> None:
    with pytest.raises(DataError, match=r"edge 1 \(2 -> 3\) points outside the 3 nodes"):
        Adjacency.from_edges([0, 2], [1, 3], 3)
    with pytest.raises(DataError, match=r"edge 0 \(-1 -> 0\)"):
        Adjacency.from_edges([-1], [0], 3)


def test_a_transposed_edge_list_is_not_guessed() -> None:
    with pytest.raises(DataError, match="two ways"):
        Adjacency.from_edge_list([[0, 1], [1, 2]], 3)
    pairs = Adjacency.from_edge_list([[0, 1], [1, 2]], 3, layout="pairs")
    rows = Adjacency.from_edge_list([[0, 1], [1, 2]], 3, layout="rows")
    assert pairs.edge_index().T.tolist() == [[0, 1], [1, 2]]
    assert rows.edge_index().tolist() == [[0, 1], [1, 2]]
    with pytest.raises(DataError, match="transpose"):
        Adjacency.from_edge_list(torch.zeros(3, 2, dtype=torch.long), 3, layout="rows")


def test_wrong_numbers_are_named() -> None:
    adjacency = Adjacency.from_edges([0], [1], 2)
    x = torch.zeros(2, 3)
    with pytest.raises(DataError, match="node 1 are not finite"):
        Graph(torch.tensor([[0.0], [float("nan")]]), adjacency)
    with pytest.raises(DataError, match="one row each"):
        Graph(torch.zeros(3, 2), adjacency)
    with pytest.raises(DataError, match="integers"):
        Adjacency.from_edges([0.5], [1.0], 2)  # type: ignore[list-item]
    with pytest.raises(DataError, match="edge 0 has the weight nan"):
        Adjacency.from_edges([0], [1], 2, torch.tensor([float("nan")]))
    with pytest.raises(DataError, match="joins two graphs"):
        Graph(x, adjacency, graph_of_node=torch.tensor([0, 1]), num_graphs=2)
    with pytest.raises(DataError, match="never decrease"):
        Graph(x, Adjacency.from_edges([], [], 2), graph_of_node=torch.tensor([1, 0]), num_graphs=2)
    with pytest.raises(RenoteError, match="kind of field"):
        Field("nod", x)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="names the node 5"):
        Graph(x, adjacency, fields={"a": Field("index", torch.tensor([5]))})
    with pytest.raises(DataError, match="graph 1 cannot be batched"):
        batch([Graph(x, adjacency), Graph(torch.zeros(2, 4), adjacency)])


@given(nodes=st.integers(0, 8), edges=st.integers(0, 25), seed=st.integers(0, 10**6))
def test_loops_are_put_where_sorting_would_put_them(nodes: int, edges: int, seed: int) -> None:
    adjacency = random_graph(nodes, edges, seed, loops=True)
    pattern, place = adjacency.looped
    last = {int(i): k for k, (i, j) in enumerate(zip(adjacency.target, adjacency.source)) if i == j}
    loops = [(i, i, last.get(i, adjacency.num_edges)) for i in range(nodes)]
    plain = [(int(i), int(j), k) for k, (i, j) in enumerate(zip(adjacency.target, adjacency.source)) if i != j]
    expected = sorted(plain + loops)
    assert list(zip(pattern.row.tolist(), pattern.column.tolist(), place.tolist())) == expected
    assert pattern.rowptr.dtype == pattern.column.dtype == torch.int32


def test_normalizations_are_made_once_for_all_layers() -> None:
    adjacency = random_graph(5, 9, 0)
    assert adjacency.kipf() is adjacency.kipf()
    assert adjacency.transpose() is adjacency.transpose()


@given(nodes=st.integers(0, 8), edges=st.integers(0, 20), seed=st.integers(0, 1000))
def test_normalizations_are_their_formulas(nodes: int, edges: int, seed: int) -> None:
    adjacency = random_graph(nodes, edges, seed, loops=True)
    dense = adjacency.to_dense()
    degree = dense.sum(1)
    inverse = torch.where(degree > 0, 1 / degree, 0.0)
    torch.testing.assert_close(adjacency.random_walk().to_dense(), inverse[:, None] * dense, rtol=1e-6, atol=1e-6)
    root = inverse.sqrt()
    torch.testing.assert_close(adjacency.symmetric().to_dense(), root[:, None] * dense * root, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(adjacency.in_degree().double(), degree)
    torch.testing.assert_close(adjacency.out_degree().double(), dense.sum(0))


def test_sparse_features_and_weights_are_batched_and_taken_apart() -> None:
    graphs = []
    for seed, nodes in enumerate((3, 0, 5)):
        plain = random_graph(nodes, 8, seed)
        words = SparseFeatures.from_dense((torch.arange(nodes * 4).view(nodes, 4) % 3).float())
        graphs.append(Graph(words, plain.with_weight(torch.rand(plain.num_edges) - 0.5)))
    joined = batch(graphs)
    assert isinstance(joined.x, SparseFeatures)
    assert torch.equal(joined.x.to_dense(), torch.cat([graph.x.to_dense() for graph in graphs]))  # type: ignore[union-attr]
    assert torch.equal(joined.adjacency.to_dense(), torch.block_diag(*[g.adjacency.to_dense() for g in graphs]))
    for one, other in zip(graphs, unbatch(joined), strict=True):
        assert torch.equal(one.adjacency.to_dense(), other.adjacency.to_dense())
        assert torch.equal(one.x.to_dense(), other.x.to_dense())  # type: ignore[union-attr]


def test_node_numbers_of_two_graphs_in_a_row_cannot_be_taken_apart() -> None:
    one = Graph(None, Adjacency.from_edges([], [], 2))
    joined = batch([one, one])
    mixed = Graph(
        None,
        joined.adjacency,
        graph_of_node=joined.graph_of_node,
        num_graphs=2,
        fields={"pair": Field("index", torch.tensor([[1, 2]]))},
    )
    with pytest.raises(DataError, match="pair"):
        unbatch(mixed)
    with pytest.raises(DataError, match="view"):
        Field("index", torch.tensor(1))


def test_graphs_are_themselves_and_keep_what_was_made_of_them() -> None:
    one = Graph(torch.zeros(2, 1), Adjacency.from_edges([0], [1], 2))
    assert one in {one}
    assert one != Graph(one.x, one.adjacency)
    normalized = one.adjacency.kipf()
    assert one.to("cpu").adjacency.kipf() is normalized


@given(nodes=st.integers(1, 7), edges=st.integers(0, 15), seed=st.integers(0, 1000))
def test_negative_weights_keep_the_spectrum_within_one(nodes: int, edges: int, seed: int) -> None:
    one = random_graph(nodes, edges, seed)
    weight = torch.randn(one.num_edges, generator=torch.Generator().manual_seed(seed)).double()
    index = torch.cat([one.edge_index(), one.edge_index().flip(0)], 1)
    adjacency = Adjacency.from_edges(index[0], index[1], nodes, weight.repeat(2))
    for normalized in (adjacency.kipf(), adjacency.symmetric(), adjacency.random_walk()):
        dense = normalized.to_dense()
        assert bool(dense.isfinite().all())
        assert float(torch.linalg.eigvals(dense).abs().max()) <= 1 + 1e-9


@given(
    sizes=st.lists(st.integers(0, 5), min_size=1, max_size=5),
    chosen=st.lists(st.integers(0, 4), max_size=6),
    seed=st.integers(0, 999),
)
def test_picked_graphs_are_a_batch_of_them(sizes: list[int], chosen: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    graphs = []
    for nodes in sizes:
        edges = torch.randint(nodes, (2, 2 * nodes)) if nodes else torch.zeros(2, 0, dtype=torch.long)
        adjacency = Adjacency.from_edges(edges[0], edges[1], nodes, torch.rand(edges.shape[1]))
        fields = {
            "place": Field("node", torch.rand(nodes, 2)),
            "age": Field("graph", torch.rand(1)),
            "length": Field("edge", torch.rand(edges.shape[1])),
            "pair": Field("index", edges.T),
        }
        graphs.append(Graph(torch.rand(nodes, 3), adjacency, torch.rand(edges.shape[1], 1), fields=fields))
    numbers = [number for number in chosen if number < len(graphs)]
    found = pick(batch(graphs), torch.tensor(numbers, dtype=torch.long))
    assert found.num_graphs == len(numbers)
    if not numbers:
        assert found.num_nodes == 0
        return
    expected = batch([graphs[number] for number in numbers])
    assert torch.equal(found.x, expected.x)  # type: ignore[arg-type]
    assert torch.equal(found.adjacency.edge_index(), expected.adjacency.edge_index())
    assert torch.equal(found.adjacency.weight, expected.adjacency.weight)  # type: ignore[arg-type]
    assert torch.equal(found.graph_of_node, expected.graph_of_node)  # type: ignore[arg-type]
    assert torch.equal(found.edge_features, expected.edge_features)  # type: ignore[arg-type]
    for name in graphs[0].fields:
        assert torch.equal(found[name], expected[name])


def test_a_graph_that_is_not_there_cannot_be_picked() -> None:
    with pytest.raises(DataError, match=r"graphs \[2\] of a batch of 2"):
        pick(batch([Graph(torch.ones(1, 1), Adjacency.from_edges([], [], 1))] * 2), torch.tensor([2]))


@given(sizes=st.lists(st.integers(0, 4), min_size=1, max_size=4), undirected=st.booleans(), seed=st.integers(0, 999))
def test_picked_graphs_have_the_transpose_that_counting_would_give(
    sizes: list[int], undirected: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    graphs = []
    for nodes in sizes:
        edges = torch.randint(nodes, (2, 2 * nodes)) if nodes else torch.zeros(2, 0, dtype=torch.long)
        if undirected:
            edges = torch.cat([edges, edges.flip(0)], 1)
        adjacency = Adjacency.from_edges(edges[0], edges[1], nodes, torch.rand(edges.shape[1]).double())
        graphs.append(Graph(torch.rand(nodes, 3), adjacency))
    found = pick(batch(graphs), torch.arange(len(graphs)).flip(0))
    pattern = found.adjacency.pattern
    assert not undirected or pattern.transposed is pattern
    kept = torch.rand(found.num_nodes) < 0.7
    for adjacency in (
        found.adjacency,
        found.adjacency.with_self_loops(),
        found.adjacency.kipf(),
        found.adjacency.symmetric(),
        found.adjacency.with_weight(None).kipf(),
        found.adjacency.with_weight(None).symmetric(),
        found.adjacency.with_weight(None).random_walk(),
        two_hops(found.adjacency),
        induced(found, kept).graph.adjacency,
    ):
        pattern = adjacency.pattern
        assert not undirected or pattern.transposed is pattern
        counted = Pattern(pattern.rowptr, pattern.column, pattern.num_columns)
        assert torch.equal(pattern.transposed.rowptr, counted.transposed.rowptr)
        assert torch.equal(pattern.transposed.column, counted.transposed.column)
        back = pattern.transposed.to_transposed.long()
        assert torch.equal(pattern.to_transposed.long()[back], torch.arange(pattern.num_entries))
        assert torch.equal(pattern.to_transposed, counted.to_transposed)
        x = torch.rand(pattern.num_rows, 2, dtype=torch.float64, requires_grad=True)
        target = torch.rand_like(x)
        (gradient,) = torch.autograd.grad((spmm(adjacency, x) * target).sum(), x)
        assert torch.allclose(gradient, adjacency.to_dense().T @ target)


@given(segments=st.lists(st.integers(0, 3), max_size=6))
def test_members_have_the_transpose_that_counting_would_give(segments: list[int]) -> None:
    members = Pattern.from_segments(torch.tensor(sorted(segments), dtype=torch.long), 4)
    counted = Pattern(members.rowptr, members.column, members.num_columns)
    for name in ("rowptr", "column"):
        assert torch.equal(getattr(members.transposed, name), getattr(counted.transposed, name))
    assert torch.equal(members.to_transposed, counted.to_transposed)
    assert members.transposed.transposed is members


ONE = Adjacency.from_edges([0], [1], 2)
GIVEN: Any = np.ones((2, 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Graph(GIVEN, ONE), r"x is of the type ndarray: it must be a tensor, e.g. torch.as_tensor\(x\)"),
        (lambda: Graph(GIVEN.tolist(), ONE), "x is of the type list"),
        (lambda: Graph(None, ONE).with_x(GIVEN), "x is of the type ndarray"),
        (lambda: Graph(None, ONE, edge_features=GIVEN), "edge_features is of the type ndarray"),
        (lambda: Graph(None, GIVEN), "adjacency is of the type ndarray: make one by Adjacency.from_edges"),
        (lambda: Field("node", GIVEN), "value is of the type ndarray"),
        (lambda: Adjacency.from_edges(["0"], ["1"], 2), "source is no list, array or tensor of numbers"),  # type: ignore[list-item]
        (lambda: Adjacency.from_edge_list([["0", "1"]], 2), "edges is no list, array or tensor of numbers"),  # type: ignore[list-item]
        (lambda: Adjacency.from_edges([0], [1], 2, ["a"]), "weight is no list, array or tensor of numbers"),  # type: ignore[list-item]
    ],
)
def test_what_is_no_tensor_is_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()
