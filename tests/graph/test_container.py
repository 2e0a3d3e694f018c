"""The container: what is checked, and what batching does."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from layer_harness import random_graph

from renote.errors import DataError, RenoteError
from renote.graph import Adjacency, Field, Graph, batch, segment_sum, unbatch


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
    assert [part.num_nodes for part in unbatch(joined)] == [3, 0, 2, 0]


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
