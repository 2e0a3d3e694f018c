"""DMoN's losses and pool against their formulas with the modularity matrix made, PyTorch Geometric's, networkx and scikit-learn."""

from __future__ import annotations

import math

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_harness import undirected
from sklearn.metrics import normalized_mutual_info_score
from sklearn.metrics.cluster import pair_confusion_matrix
from torch import Tensor
from torch.nn import functional

from renote.errors import UsageError
from renote.graph import (
    Adjacency,
    Communities,
    Graph,
    NodeClustering,
    batch,
    community_losses,
    conductance,
    dmon_pool,
    matched_f1,
    modularity,
    mutual_information,
    pairwise_f1,
    to_dense,
)

parts = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 20)), min_size=1, max_size=5)


def drawn(nodes: int, edges: int, seed: int) -> Graph:
    generator = torch.Generator().manual_seed(seed)
    return Graph(torch.randn(nodes, 4, dtype=torch.float64, generator=generator), undirected(nodes, edges, seed))


def losses(dense: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """With B made."""
    nodes, clusters = shares.shape
    if not nodes:
        return torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    degree, twice = dense.sum(1), dense.sum()
    collapse = math.sqrt(clusters) / nodes * shares.sum(0).norm() - 1
    if not float(twice):
        return torch.zeros((), dtype=torch.float64), collapse
    b = dense - torch.outer(degree, degree) / twice
    return -torch.trace(shares.T @ b @ shares) / twice, collapse


@given(parts=parts, clusters=st.integers(1, 4), seed=st.integers(0, 10**6))
@settings(max_examples=50)
def test_a_pool_of_a_batch_is_the_formula_of_each(parts: list[tuple[int, int]], clusters: int, seed: int) -> None:
    graphs = [drawn(n, e, seed + i) for i, (n, e) in enumerate(parts)]
    joined = batch(graphs)
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(joined.num_nodes, clusters, dtype=torch.float64, generator=generator)
    found, of = dmon_pool(joined, joined.x, scores), joined.members.row.long()  # type: ignore[arg-type]
    told = []
    for g, graph in enumerate(graphs):
        a, shares = graph.adjacency.to_dense(), scores[of == g].softmax(1)
        told.append(losses(a, shares))
        torch.testing.assert_close(found.graphs.x[g], functional.selu(shares.T @ graph.x))
        torch.testing.assert_close(found.graphs.adjacency[g], shares.T @ a @ shares)
        assert int(found.graphs.count[g]) == clusters * (graph.num_nodes > 0)
    spectral, collapse = (torch.stack(part).mean() for part in zip(*told))
    torch.testing.assert_close(found.spectral, spectral)
    torch.testing.assert_close(found.collapse, collapse)


def test_gradients() -> None:
    joined = batch([drawn(4, 9, 1), drawn(0, 0, 0), drawn(3, 0, 2), drawn(5, 8, 3)])
    x, scores = joined.x.clone().requires_grad_(), torch.randn(12, 3, dtype=torch.float64, requires_grad=True)  # type: ignore[union-attr]

    def told(found: Communities) -> tuple[Tensor, ...]:
        return found.graphs.x, found.graphs.adjacency, found.spectral, found.collapse

    assert torch.autograd.gradcheck(lambda x, s: told(dmon_pool(joined, x, s)), (x, scores))


def test_the_order_of_nodes_is_forgotten() -> None:
    graph, scores = drawn(8, 14, 4), torch.randn(8, 3, dtype=torch.float64)
    order = torch.randperm(8)
    place = torch.argsort(order)
    ends = graph.adjacency.edge_index()
    turned = Graph(graph.x[order], Adjacency.from_edges(place[ends[0]], place[ends[1]], 8))  # type: ignore[index]
    found, expected = dmon_pool(turned, turned.x, scores[order]), dmon_pool(graph, graph.x, scores)  # type: ignore[arg-type]
    torch.testing.assert_close(found.graphs.x, expected.graphs.x)
    torch.testing.assert_close(found.graphs.adjacency, expected.graphs.adjacency)
    torch.testing.assert_close((found.spectral, found.collapse), (expected.spectral, expected.collapse))


def test_parity_with_pytorch_geometric() -> None:
    """Its layer has a loss more, divides by the mean degree's half the same way, and scales A' anew, which is undone here by scaling ours."""
    from torch_geometric.nn import DMoNPooling

    graphs = [drawn(6, 14, 1), drawn(9, 20, 2)]
    joined = batch(graphs)
    layer = DMoNPooling(4, 3).double().eval()
    dense = to_dense(joined, joined.x)  # type: ignore[arg-type]
    mask = dense.mask[:, :, 0].bool()
    _, out, pooled, spectral, _, collapse = layer(dense.x, dense.adjacency, mask)
    found = dmon_pool(joined, joined.x, layer.mlp(joined.x))  # type: ignore[arg-type]
    torch.testing.assert_close(found.graphs.x, out)
    ours = found.graphs.adjacency * (1 - torch.eye(3))
    root = ours.sum(2).sqrt() + 1e-15
    torch.testing.assert_close(ours / root[:, :, None] / root[:, None, :], pooled)
    torch.testing.assert_close(found.spectral, spectral)
    # its norm is of all rows with padding, and its n that of the padded graph: of graphs as large as the padding it is the same
    alone = dmon_pool(graphs[1], graphs[1].x, layer.mlp(graphs[1].x))  # type: ignore[arg-type]
    *_, own = layer(graphs[1].x[None], graphs[1].adjacency.to_dense()[None])  # type: ignore[index]
    torch.testing.assert_close(alone.collapse, own)
    assert torch.isfinite(collapse)


def test_scores_that_fit_no_node() -> None:
    graph = drawn(4, 5, 1)
    for shape in ((3, 2), (4,), (4, 0)):
        with pytest.raises(UsageError, match="scores of shape"):
            dmon_pool(graph, graph.x, torch.zeros(shape))  # type: ignore[arg-type]


@given(nodes=st.integers(2, 12), edges=st.integers(1, 30), clusters=st.integers(1, 4), seed=st.integers(0, 10**6))
@settings(max_examples=40)
def test_measures_of_edges(nodes: int, edges: int, clusters: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randint(nodes, (2, edges), generator=generator)
    graph = nx.Graph([(a, b) for a, b in ends.T.tolist() if a != b])
    graph.add_nodes_from(range(nodes))
    chosen = torch.randint(clusters, (nodes,), generator=generator)
    pairs = torch.tensor(list(graph.edges)).reshape(-1, 2)
    adjacency = Adjacency.from_edges(
        torch.cat([pairs[:, 0], pairs[:, 1]]), torch.cat([pairs[:, 1], pairs[:, 0]]), nodes
    )
    if not graph.number_of_edges():
        assert modularity(adjacency, chosen) == conductance(adjacency, chosen) == 0
        return
    groups = [{i for i in range(nodes) if chosen[i] == k} for k in set(chosen.tolist())]
    assert modularity(adjacency, chosen) == pytest.approx(nx.community.modularity(graph, groups))
    cut = sum(int(chosen[a] != chosen[b]) for a, b in graph.edges)
    assert conductance(adjacency, chosen) == pytest.approx(cut / graph.number_of_edges())
    hard = functional.one_hot(chosen).double()
    whole = Graph(None, adjacency).members
    spectral, _ = community_losses(adjacency, whole, hard)
    assert -float(spectral) == pytest.approx(modularity(adjacency, chosen))


@given(
    labels=st.lists(st.integers(0, 3), min_size=2, max_size=25),
    seed=st.integers(0, 10**6),
)
def test_measures_of_labels(labels: list[int], seed: int) -> None:
    truth = torch.tensor(labels)
    found = torch.randint(4, (len(labels),), generator=torch.Generator().manual_seed(seed))
    assert mutual_information(truth, found) == pytest.approx(normalized_mutual_info_score(truth, found), abs=1e-9)
    (_, wrong), (missed, right) = pair_confusion_matrix(truth, found).tolist()
    if right + wrong + missed:
        assert pairwise_f1(truth, found) == pytest.approx(2 * right / (2 * right + wrong + missed))
    assert pairwise_f1(truth, truth) == matched_f1(truth, truth) == 1


def test_the_f1_of_the_papers_code() -> None:
    """Table (3 1; 0 2): TP 3·2 + 2·1, FP 2·3·1, FN 2·2·1."""
    truth, found = torch.tensor([0, 0, 0, 0, 1, 1]), torch.tensor([0, 0, 0, 1, 1, 1])
    precision, recall = 8 / (8 + 6), 8 / (8 + 4)
    assert matched_f1(truth, found) == pytest.approx(2 * precision * recall / (precision + recall))


def test_measures_of_what_does_not_fit() -> None:
    with pytest.raises(UsageError, match="one number each"):
        modularity(drawn(4, 5, 1).adjacency, torch.zeros(3, dtype=torch.long))
    with pytest.raises(UsageError, match="give one of each a node"):
        pairwise_f1(torch.zeros(3), torch.zeros(2))


def test_the_task_takes_many_graphs_as_one() -> None:
    graphs = [drawn(5, 8, 1), drawn(6, 9, 2)]
    joined = batch(graphs)
    network = torch.nn.Linear(4, 3).double()

    class Scores(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = network

        def forward(self, graph: Graph) -> Tensor:
            return self.map(graph.x)  # type: ignore[no-any-return]

    task = NodeClustering(Scores(), joined, 0.5)
    spectral, collapse = losses(joined.adjacency.to_dense(), task.shares())
    torch.testing.assert_close(task(), spectral + 0.5 * collapse)
