"""Enclosing subgraphs and their labels against a search of each pair's own in networkx."""

from __future__ import annotations

import importlib
import sys
from types import FrameType

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renote.errors import DataError, UsageError
from renote.graph import Adjacency, enclosing_subgraphs, unbatch, with_label_features, with_node_rows

enclosing = importlib.import_module("renote.graph.enclosing")
graphs = st.tuples(st.integers(2, 14), st.integers(0, 26), st.integers(0, 10**6))


def drawn(nodes: int, edges: int, seed: int) -> tuple[Adjacency, nx.Graph, torch.Tensor]:
    """A graph with loops and duplicates given once, in one direction; pairs with and without a link."""
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randint(nodes, (2, edges), generator=generator)
    graph = nx.Graph([(a, b) for a, b in ends.T.tolist() if a != b])
    graph.add_nodes_from(range(nodes))
    pairs = torch.randint(nodes, (7, 2), generator=generator)
    return Adjacency.from_edges(ends[0], ends[1], nodes), graph, pairs[pairs[:, 0] != pairs[:, 1]]


def searched(graph: nx.Graph, x: int, y: int, hops: int) -> tuple[list[int], set[tuple[int, int]], list[int]]:
    """Nodes, directed edges, and labels, by breadth-first searches."""
    near = {**nx.single_source_shortest_path_length(graph, x, hops)}
    near |= nx.single_source_shortest_path_length(graph, y, hops)
    part = graph.subgraph(near).copy()
    if part.has_edge(x, y):
        part.remove_edge(x, y)
    from_x = nx.single_source_shortest_path_length(part.subgraph(set(part) - {y}), x)
    from_y = nx.single_source_shortest_path_length(part.subgraph(set(part) - {x}), y)
    labels = []
    for node in sorted(part):
        if node in (x, y):
            labels.append(1)
        elif node not in from_x or node not in from_y:
            labels.append(0)
        else:
            a, b = from_x[node], from_y[node]
            half, odd = divmod(a + b, 2)
            labels.append(1 + min(a, b) + half * (half + odd - 1))
    return sorted(part), {(a, b) for a, b in part.edges} | {(b, a) for a, b in part.edges}, labels


@given(drawing=graphs, hops=st.integers(1, 4), block=st.integers(1, 4))
@settings(max_examples=80)
def test_each_is_what_a_search_finds(drawing: tuple[int, int, int], hops: int, block: int) -> None:
    adjacency, graph, pairs = drawn(*drawing)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("renote.graph.enclosing._BLOCK_PAIRS", block)
        found = enclosing_subgraphs(adjacency, pairs, hops)
    assert found.num_graphs == len(pairs)
    for one, (x, y) in zip(unbatch(found), pairs.tolist(), strict=True):
        nodes, edges, labels = searched(graph, x, y, hops)
        assert one["node"].tolist() == nodes
        assert one["label"].tolist() == labels
        ends = one["node"][one.adjacency.edge_index()]
        assert sorted(map(tuple, ends.T.tolist())) == sorted(edges)


def test_labels_are_the_papers() -> None:
    """The first ones by distances: (1, 1) 2, (1, 2) 3, (1, 3) 4, (2, 2) 5, (1, 4) 6, (2, 3) 7."""
    line = torch.arange(5)
    path = Adjacency.from_edges(line[:-1], line[1:], 5)
    assert enclosing_subgraphs(path, torch.tensor([[0, 4]]), 2)["label"].tolist() == [1, 4, 5, 4, 1]
    assert enclosing_subgraphs(path, torch.tensor([[0, 3]]), 2)["label"].tolist() == [1, 3, 3, 1, 0]


@given(drawing=graphs, most=st.integers(1, 4))
@settings(max_examples=30)
def test_few_nodes_of_a_hop(drawing: tuple[int, int, int], most: int) -> None:
    adjacency, graph, pairs = drawn(*drawing)
    whole = unbatch(enclosing_subgraphs(adjacency, pairs, 2))
    part = enclosing_subgraphs(adjacency, pairs, 2, most, seed=3)
    for few, all_, (x, y) in zip(unbatch(part), whole, pairs.tolist(), strict=True):
        assert {x, y} <= set(few["node"].tolist()) <= set(all_["node"].tolist())
        assert few.num_nodes <= 2 + 2 * most
        first = set(graph[x]) | set(graph[y]) - {x, y}
        assert len(first & set(few["node"].tolist()) - {x, y}) >= min(most, len(first - {x, y}))
    # a pair's draw is the same in any block, and in either order
    for k, one in enumerate(unbatch(part)):
        alone = enclosing_subgraphs(adjacency, pairs[k : k + 1].flip(1), 2, most, seed=3)
        assert torch.equal(alone["node"], one["node"])
        assert torch.equal(alone["label"], one["label"])
    enough = enclosing_subgraphs(adjacency, pairs, 2, 99)
    assert torch.equal(enough["node"], enclosing_subgraphs(adjacency, pairs, 2)["node"])


def calls_of(adjacency: Adjacency, pairs: torch.Tensor) -> dict[str, int]:
    """How often each function of the module ran."""
    counted: dict[str, int] = {}

    def count(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename == enclosing.__file__:
            counted[frame.f_code.co_name] = counted.get(frame.f_code.co_name, 0) + 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        enclosing_subgraphs(adjacency, pairs, 2)
    finally:
        sys.setprofile(before)
    return counted


def test_many_pairs_take_as_many_steps_as_few() -> None:
    """Two thousand pairs are one block, and no function of Python's runs once a pair, a link or a node."""
    line = torch.arange(60)
    ring = Adjacency.from_edges(line, (line + 1) % 60, 60)
    pairs = torch.stack([torch.arange(2000) % 60, (torch.arange(2000) + 1 + torch.arange(2000) // 60) % 60], 1)
    few, many = calls_of(ring, pairs[::200]), calls_of(ring, pairs)
    assert many["_block"] == 1
    assert sum(many.values()) < 60
    # the farthest pair decides how many steps its search takes; all else is alike
    assert {name: count for name, count in many.items() if name not in ("_neighbors", "_first")} == {
        name: count for name, count in few.items() if name not in ("_neighbors", "_first")
    }
    again = calls_of(ring, torch.cat([pairs[::200]] * 200))
    assert again == few


def test_graphs_at_the_edge() -> None:
    none = enclosing_subgraphs(Adjacency.from_edges([], [], 0), torch.empty(0, 2, dtype=torch.long))
    assert none.num_graphs == none.num_nodes == 0
    alone = enclosing_subgraphs(Adjacency.from_edges([0], [1], 3), torch.tensor([[0, 1], [1, 2]]), 2)
    assert alone["label"].tolist() == [1, 1, 0, 1, 1]
    assert alone.num_edges == 2
    features = with_label_features(alone, 1).x
    assert features is not None
    assert features.to_dense().argmax(1).tolist() == [1, 1, 0, 1, 1]  # type: ignore[union-attr]


def test_rows_of_the_whole_stand_beside_the_labels() -> None:
    adjacency, _, pairs = drawn(9, 20, 1)
    rows = torch.randn(9, 3)
    found = with_label_features(enclosing_subgraphs(adjacency, pairs, 1), 4)
    joined = with_node_rows(found, rows).x
    assert isinstance(joined, torch.Tensor)
    assert torch.equal(joined[:, :5].argmax(1), found["label"].clamp(max=4))
    assert torch.equal(joined[:, 5:], rows[found["node"]])
    assert torch.equal(with_node_rows(found.with_x(None), rows).x, rows[found["node"]])  # type: ignore[arg-type]


def test_what_cannot_be_enclosed(monkeypatch: pytest.MonkeyPatch) -> None:
    adjacency, _, pairs = drawn(9, 20, 1)
    with pytest.raises(UsageError, match="hops is 0"):
        enclosing_subgraphs(adjacency, pairs, 0)
    with pytest.raises(UsageError, match="max_nodes_per_hop is -1"):
        enclosing_subgraphs(adjacency, pairs, 1, -1)
    with pytest.raises(UsageError, match="of one node twice"):
        enclosing_subgraphs(adjacency, torch.tensor([[1, 1]]))
    with pytest.raises(DataError, match="there is no node 9"):
        enclosing_subgraphs(adjacency, torch.tensor([[1, 9]]))
    monkeypatch.setattr("renote.graph.enclosing._MOST_EDGES", 3)
    with pytest.raises(UsageError, match=r"too many to keep: lower hops, or set max_nodes_per_hop"):
        enclosing_subgraphs(adjacency, pairs)
