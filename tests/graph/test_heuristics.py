"""Scores of pairs against networkx and brute force, and measures of ranked pairs against scikit-learn."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from renote.errors import DataError, UsageError
from renote.graph import (
    HEURISTICS,
    Adjacency,
    Graph,
    LinkHeuristic,
    LinkPrediction,
    adamic_adar,
    area_under_curve,
    average_precision,
    common_neighbors,
    has_link,
    hits_at,
    jaccard,
    katz,
    preferential_attachment,
    resource_allocation,
    rooted_pagerank,
    simrank,
)

graphs = st.tuples(st.integers(2, 9), st.integers(0, 24), st.integers(0, 10**6))
each = pytest.mark.parametrize("name", HEURISTICS)


def drawn(nodes: int, edges: int, seed: int) -> tuple[Adjacency, nx.Graph, Tensor]:
    """Loops and duplicates among the edges; all pairs of two nodes, in both orders."""
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randint(nodes, (2, edges), generator=generator)
    graph = nx.Graph([(a, b) for a, b in ends.T.tolist() if a != b])
    graph.add_nodes_from(range(nodes))
    pairs = torch.tensor([[a, b] for a in range(nodes) for b in range(nodes) if a != b])
    return Adjacency.from_edges(torch.cat([ends[0], ends[1]]), torch.cat([ends[1], ends[0]]), nodes), graph, pairs


def close(found: Tensor, expected: list[float], **options: Any) -> None:
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), **options)


@given(drawing=graphs)
@settings(max_examples=40)
def test_scores_of_shared_neighbors(drawing: tuple[int, int, int]) -> None:
    adjacency, graph, pairs = drawn(*drawing)
    asked = [tuple(pair) for pair in pairs.tolist()]
    near = {node: set(graph[node]) for node in graph}
    close(common_neighbors(adjacency, pairs), [len(near[a] & near[b]) for a, b in asked])
    close(jaccard(adjacency, pairs), [p for *_, p in nx.jaccard_coefficient(graph, asked)])
    close(preferential_attachment(adjacency, pairs), [p for *_, p in nx.preferential_attachment(graph, asked)])
    close(resource_allocation(adjacency, pairs), [p for *_, p in nx.resource_allocation_index(graph, asked)])
    close(adamic_adar(adjacency, pairs), [p for *_, p in nx.adamic_adar_index(graph, asked)])
    assert has_link(adjacency, pairs).tolist() == [graph.has_edge(a, b) for a, b in asked]


@given(drawing=graphs)
@settings(max_examples=25)
def test_scores_of_walks(drawing: tuple[int, int, int]) -> None:
    adjacency, graph, pairs = drawn(*drawing)
    nodes = graph.number_of_nodes()
    a = nx.to_numpy_array(graph, range(nodes))
    walks = np.linalg.inv(np.eye(nodes) - 0.05 * a) - np.eye(nodes)
    close(katz(adjacency, pairs, 0.05), [walks[u, v] for u, v in pairs.tolist()], rtol=1e-8, atol=1e-15)
    degree = np.maximum(a.sum(0), 1)
    visits = 0.15 * np.linalg.inv(np.eye(nodes) - 0.85 * a / degree)  # column u: where the walk from u is
    close(
        rooted_pagerank(adjacency, pairs),
        [visits[v, u] + visits[u, v] for u, v in pairs.tolist()],
        rtol=1e-8,
        atol=1e-9,
    )
    same = nx.simrank_similarity(graph, importance_factor=0.8, max_iterations=300, tolerance=1e-9)
    close(simrank(adjacency, pairs, rounds=300), [same[u][v] for u, v in pairs.tolist()], rtol=1e-2, atol=1e-5)


def test_pagerank_of_networkx() -> None:
    adjacency, graph, _ = drawn(9, 24, 3)
    largest = sorted(max(nx.connected_components(graph), key=len))
    u, v = largest[0], largest[-1]
    there = nx.pagerank(graph, 0.85, {u: 1.0}, tol=1e-12, max_iter=1000)[v]
    back = nx.pagerank(graph, 0.85, {v: 1.0}, tol=1e-12, max_iter=1000)[u]
    assert float(rooted_pagerank(adjacency, torch.tensor([[u, v]]))) == pytest.approx(there + back, abs=1e-9)


@each
@given(drawing=graphs)
@settings(max_examples=15)
def test_order_of_ends_and_of_nodes_says_nothing(name: str, drawing: tuple[int, int, int]) -> None:
    adjacency, _, pairs = drawn(*drawing)
    found = HEURISTICS[name](adjacency, pairs)
    torch.testing.assert_close(HEURISTICS[name](adjacency, pairs.flip(1)), found, rtol=1e-5, atol=1e-8)
    order = torch.randperm(adjacency.num_nodes, generator=torch.Generator().manual_seed(1))
    turned = Adjacency.from_edges(order[adjacency.source.long()], order[adjacency.target.long()], adjacency.num_nodes)
    torch.testing.assert_close(HEURISTICS[name](turned, order[pairs]), found, rtol=1e-5, atol=1e-8)


@each
def test_graphs_at_the_edge(name: str) -> None:
    none = torch.empty(0, 2, dtype=torch.long)
    assert HEURISTICS[name](Adjacency.from_edges([], [], 0), none).shape == (0,)
    alone = HEURISTICS[name](Adjacency.from_edges([0], [0], 3), torch.tensor([[0, 2], [1, 2]]))
    assert alone.tolist() == [0.0, 0.0]


def test_many_pairs_are_scored_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    adjacency, _, pairs = drawn(9, 24, 5)
    expected = {name: score(adjacency, pairs) for name, score in HEURISTICS.items()}
    monkeypatch.setattr("renote.graph.heuristic._CHUNK_ENTRIES", 20)
    for name, score in HEURISTICS.items():
        torch.testing.assert_close(score(adjacency, pairs), expected[name])


def test_nodes_far_apart_are_told_from_each_other() -> None:
    line = torch.arange(40)
    path = Adjacency.from_edges(torch.cat([line[:-1], line[1:]]), torch.cat([line[1:], line[:-1]]), 40)
    scores = katz(path, torch.stack([torch.zeros(39, dtype=torch.long), line[1:]], 1))
    assert bool((scores[1:] < scores[:-1]).all())
    assert 0 < float(scores[-1]) < 1e-110


def test_what_has_no_score_is_refused() -> None:
    adjacency, _, pairs = drawn(9, 24, 3)
    with pytest.raises(UsageError, match=r"beta is 2: the sum over all walks has no end"):
        katz(adjacency, pairs, 2)
    with pytest.raises(UsageError, match="beta is 0"):
        katz(adjacency, pairs, 0)
    with pytest.raises(UsageError, match="damping is 1"):
        rooted_pagerank(adjacency, pairs, 1)
    with pytest.raises(UsageError, match="decay is 1"):
        simrank(adjacency, pairs, 1)
    with pytest.raises(UsageError, match="SimRank keeps 30000 × 30000"):
        simrank(Adjacency.from_edges([], [], 30_000), pairs)
    with pytest.raises(DataError, match="there is no node 9: the graph has 9"):
        common_neighbors(adjacency, torch.tensor([[0, 9]]))
    with pytest.raises(UsageError, match="give two node numbers a row"):
        jaccard(adjacency, torch.tensor([0, 1]))
    with pytest.raises(UsageError, match="Did you mean katz"):
        LinkHeuristic("kats")


@given(
    scores=st.lists(st.integers(0, 5), min_size=2, max_size=30),
    seed=st.integers(0, 10**6),
)
def test_measures_of_ranks(scores: list[int], seed: int) -> None:
    """Few different scores, so that there are ties."""
    labels = torch.rand(len(scores), generator=torch.Generator().manual_seed(seed)) < 0.5
    labels[0], labels[1] = True, False
    given_scores = torch.tensor(scores).double()
    assert area_under_curve(given_scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    assert average_precision(given_scores, labels) == pytest.approx(average_precision_score(labels, scores))
    none = sorted((s for s, linked in zip(scores, labels.tolist()) if not linked), reverse=True)
    with_link = [s for s, linked in zip(scores, labels.tolist()) if linked]
    for k in range(1, len(none) + 1):
        expected = sum(s > none[k - 1] for s in with_link) / len(with_link)
        assert hits_at(given_scores, labels, k) == pytest.approx(expected)


def test_ranks_that_mean_nothing_are_refused() -> None:
    labels = torch.tensor([True, False, False])
    with pytest.raises(UsageError, match="k is 3: hits are counted above the k-th of 2 pairs"):
        hits_at(torch.arange(3.0), labels, 3)
    with pytest.raises(UsageError, match="nothing to tell apart"):
        area_under_curve(torch.arange(3.0), torch.ones(3, dtype=torch.bool))
    with pytest.raises(UsageError, match="not a finite number"):
        average_precision(torch.tensor([0.0, float("nan"), 1.0]), labels)
    with pytest.raises(UsageError, match="give one of each a pair"):
        area_under_curve(torch.arange(2.0), labels)


def test_the_task_asks_for_what_fits() -> None:
    adjacency, _, pairs = drawn(5, 8, 1)
    network, graph = LinkHeuristic("jaccard"), Graph(None, adjacency)
    labels = has_link(adjacency, pairs).long()
    task = LinkPrediction(network, graph, pairs, labels, {"train": torch.arange(4), "test": labels >= 0})
    torch.testing.assert_close(task.scores(), jaccard(adjacency, pairs))
    assert task.measures("test")["auc"] == pytest.approx(roc_auc_score(labels, jaccard(adjacency, pairs)))
    assert task.validate() == {}
    with pytest.raises(UsageError, match="unknown split"):
        task.measures("tests")
    with pytest.raises(DataError, match="no split named 'train'"):
        LinkPrediction(network, graph, pairs, labels, {})
    with pytest.raises(DataError, match="labels of shape"):
        LinkPrediction(network, graph, pairs, labels[1:], {"train": torch.arange(4)})
    with pytest.raises(DataError, match="pairs of shape"):
        LinkPrediction(network, graph, pairs[:, 0], labels, {"train": torch.arange(4)})
