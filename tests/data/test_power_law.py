"""Drawn graphs: degrees of a power law, classes in edges and features, parts of the split, options."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from renote import data
from renote.data import NodeData
from renote.errors import DataError, UsageError


def drawn(**options: Any) -> NodeData:
    loaded = data.load("power-law", **options)
    assert isinstance(loaded, NodeData)
    return loaded


def test_it_is_what_its_card_says() -> None:
    loaded = drawn()
    assert loaded.card == data.cards()["power-law"]
    assert (loaded.graph.num_nodes, loaded.graph.num_features, loaded.num_classes) == (10_000, 64, 8)
    other = drawn(nodes=500, classes=3, features=7)
    assert (other.card.size, other.card.shape, other.card.classes) == (500, (7,), ("class 0", "class 1", "class 2"))
    assert other.card.counts["edges"] == other.graph.num_edges // 2


def test_edges_are_both_ways_once_and_not_loops() -> None:
    adjacency = drawn(nodes=400, degree=30.0).graph.adjacency
    dense = adjacency.to_dense()
    assert torch.equal(dense, dense.T)
    assert float(dense.max()) == 1.0
    assert not bool(dense.diagonal().any())


@pytest.mark.parametrize("exponent", [2.2, 2.5, 3.5])
def test_degrees_follow_the_law(exponent: float) -> None:
    loaded = drawn(nodes=100_000, degree=15.0, exponent=exponent, features=1)
    degree = loaded.graph.adjacency.in_degree().double()
    assert float(degree.mean()) == pytest.approx(15.0, rel=0.06)
    low, high = 40, 120  # far from the least degree, and from the greatest
    above = [int((degree > bound).sum()) for bound in (low, high)]
    expected = (high / low) ** (1 - exponent)
    # the noise of a sum of few, and the little by which the noise of each degree flattens the law
    assert above[1] / above[0] == pytest.approx(expected, rel=0.1 + 3 / math.sqrt(above[1]))
    assert float(degree.max()) <= 1.2 * math.sqrt(100_000 * 15)


@pytest.mark.parametrize("homophily", [0.0, 0.3, 0.8, 1.0])
def test_classes_are_in_the_edges(homophily: float) -> None:
    loaded = drawn(nodes=20_000, homophily=homophily, classes=5, features=1, seed=1)
    source, target = loaded.graph.adjacency.edge_index()
    same = (loaded.labels[source] == loaded.labels[target]).double().mean()
    assert float(same) == pytest.approx(homophily, abs=0.015)


def test_classes_are_in_the_features() -> None:
    loaded = drawn(nodes=50_000, signal=2.0, classes=4, features=16)
    x = loaded.graph.x
    assert isinstance(x, torch.Tensor)
    for label in range(4):
        own = x[loaded.labels == label]
        assert float(own.mean(0).norm()) == pytest.approx(2.0, abs=0.05)
        assert float(own.std(0).mean()) == pytest.approx(1.0, abs=0.02)
    assert torch.bincount(loaded.labels).double().div(50_000).sub(0.25).abs().max() < 0.01


def test_the_split_is_of_all_nodes_and_the_seed_is_of_everything() -> None:
    one, again, other = drawn(nodes=1000), drawn(nodes=1000), drawn(nodes=1000, seed=1)
    parts = torch.cat([one.train, one.validation, one.test])
    assert parts.sort().values.tolist() == list(range(1000))
    assert (len(one.train), len(one.validation)) == (100, 100)
    assert torch.equal(one.graph.adjacency.edge_index(), again.graph.adjacency.edge_index())
    assert torch.equal(one.graph.x, again.graph.x)  # type: ignore[arg-type]
    assert torch.equal(one.train, again.train)
    assert one.graph.num_edges != other.graph.num_edges


def test_several_graphs_share_no_edge_and_are_split_whole() -> None:
    loaded = drawn(nodes=20_000, graphs=10, homophily=0.5, classes=4)
    graph = loaded.graph
    assert graph.graph_of_node is not None
    assert torch.bincount(graph.graph_of_node).tolist() == [2000] * 10
    source, target = graph.adjacency.edge_index()
    assert torch.equal(graph.graph_of_node[source], graph.graph_of_node[target])
    of_part = {name: set(graph.graph_of_node[nodes].tolist()) for name, nodes in loaded.splits.items()}
    assert of_part == {"train": set(range(6)), "validation": {6, 7}, "test": {8, 9}}
    same = (loaded.labels[source] == loaded.labels[target]).double().mean()
    assert 0.48 < float(same) < 0.52
    assert all(len(nodes) for nodes in drawn(nodes=3, degree=1.0, graphs=3).splits.values())


def test_small_and_lopsided_ones() -> None:
    one_class = drawn(nodes=50, classes=1, homophily=0.0)
    assert one_class.graph.num_edges > 0
    assert all(len(nodes) for nodes in drawn(nodes=3, degree=1.0).splits.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nodes": 2}, "nodes is 2"),
        ({"nodes": "many"}, "nodes = 'many' of the data set 'power-law': give a whole number"),
        ({"nodes": 100.5}, "whole number"),
        ({"degree": 0}, "degree is 0"),
        ({"nodes": 10, "degree": 10}, "degree is 10"),
        ({"exponent": 2.0}, "exponent is 2.0"),
        ({"classes": 0}, "classes is 0"),
        ({"features": 0}, "features is 0"),
        ({"homophily": 1.5}, "homophily is 1.5"),
        ({"signal": float("nan")}, "signal = nan .*: give a finite number"),
        ({"graphs": 2}, "graphs is 2"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        drawn(**options)
    with pytest.raises(UsageError, match="Did you mean nodes"):
        drawn(node=5)
