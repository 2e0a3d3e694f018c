"""Networks and losses of whole graphs: closed forms, order of nodes, empty graphs, parity with PyTorch Geometric."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from layer_harness import permuted, random_graph
from torch import Tensor, nn

from renote.errors import DataError, UsageError
from renote.graph import (
    Adjacency,
    Graph,
    GraphClassification,
    GraphNetwork,
    IsomorphismConvolution,
    MaxAggregation,
    MeanAggregation,
    NodeNorm,
    Perceptron,
    SumAggregation,
    batch,
)


def drawn(nodes: int, seed: int) -> Graph:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(nodes, 4, dtype=torch.float64, generator=generator)
    return Graph(x, random_graph(nodes, 2 * nodes, seed))


def network(**options: Any) -> GraphNetwork:
    torch.manual_seed(0)
    convolutions = [IsomorphismConvolution(4, 5, norm=True), IsomorphismConvolution(5, 5, norm=True)]
    readouts = [SumAggregation(), MeanAggregation(), MaxAggregation()]
    width = 3 * (14 if options.get("every") else 5)
    return GraphNetwork(convolutions, readouts, Perceptron([width, 6, 3], 0.5), (5, 5), **options).double()


GRAPHS = [drawn(nodes, seed) for seed, nodes in enumerate((5, 0, 1, 7, 3, 0))]


@pytest.mark.parametrize("every", [False, True])
def test_a_batch_is_a_loop_and_the_order_of_nodes_is_forgotten(every: bool) -> None:
    module = network(every=every).eval()
    out = module(batch(GRAPHS))
    assert out.shape == (6, 3)
    torch.testing.assert_close(out, torch.cat([module(graph) for graph in GRAPHS]))
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    x = GRAPHS[3].x
    assert isinstance(x, Tensor)
    turned = Graph(x[order], permuted(GRAPHS[3].adjacency, order))
    torch.testing.assert_close(module(turned), module(GRAPHS[3]))


def test_without_convolutions_the_edges_are_not_seen() -> None:
    module = GraphNetwork([], [SumAggregation()], Perceptron([4, 2])).double()
    x = GRAPHS[0].x
    assert isinstance(x, Tensor)
    expected = x.sum(0) @ module.head.maps[0].weight.T + module.head.maps[0].bias  # type: ignore[union-attr,index]
    torch.testing.assert_close(module(GRAPHS[0])[0], expected)


def task(module: nn.Module, labels: tuple[int, ...] = (0, 1, 2, 0, 1, -1), **splits: Tensor) -> GraphClassification:
    parts = {"train": torch.tensor([0, 2, 3]), "validation": torch.tensor([1, 4]), **splits}
    return GraphClassification(module, batch(GRAPHS), torch.tensor(labels), parts)


def test_the_loss_is_the_mean_over_graphs_and_what_the_network_adds() -> None:
    module = network().eval()
    given = task(module)
    logits = module(batch(GRAPHS)).detach()
    shares = logits.log_softmax(1)
    expected = -(shares[0, 0] + shares[2, 2] + shares[3, 0]) / 3
    torch.testing.assert_close(given(), expected)
    torch.testing.assert_close(given({"graph": torch.tensor([4])}), -shares[4, 1])
    torch.testing.assert_close(given.logits(), logits)
    found = given.validate()
    assert found["loss"] == pytest.approx(float(-(shares[1, 1] + shares[4, 1]) / 2))
    assert found["accuracy"] == float((logits[[1, 4]].argmax(1) == 1).double().mean())

    class Penalized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, graph: Graph) -> tuple[Tensor, Tensor]:
            return self.inner(graph), torch.tensor(0.25)

    other = task(Penalized())
    torch.testing.assert_close(other(), expected + 0.25)
    torch.testing.assert_close(other.logits(), logits)
    assert other.validate() == pytest.approx(found)


def test_logits_are_the_same_however_many_nodes_go_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given = task(network())
    whole = given.logits()
    monkeypatch.setattr("renote.graph.task.graph._CHUNK_NODES", 4)
    torch.testing.assert_close(given.logits(), whole)
    assert given.logits(torch.empty(0, dtype=torch.long)).shape[0] == 0


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="for 6 graphs: one integer each"):
        task(network(), labels=(0, 1))
    with pytest.raises(DataError, match="graph 5 of the split 'test' has no label"):
        task(network(), test=torch.tensor([5]))
    with pytest.raises(UsageError, match="no node features.*degree_features"):
        GraphClassification(
            network(), batch([g.with_x(None) for g in GRAPHS]), torch.zeros(6).long(), {"train": torch.tensor([0])}
        )
    with pytest.raises(UsageError, match="give one each"):
        GraphNetwork([IsomorphismConvolution(4, 5)], [SumAggregation()], Perceptron([5, 2]), (5, 5))
    with pytest.raises(UsageError, match="2 readouts for 1 layers"):
        GraphNetwork([], [[SumAggregation(), SumAggregation()]], nn.Linear(2, 2), every=True)
    with pytest.raises(UsageError, match="no readout"):
        GraphNetwork([], [], Perceptron([5, 2]))
    with pytest.raises(UsageError, match="widths"):
        Perceptron([5])


def test_one_node_in_training_is_normalized_by_what_was_seen() -> None:
    norm = NodeNorm(2)
    many = torch.randn(50, 2)
    norm(many)
    one = torch.tensor([[0.5, -1.0]])
    torch.testing.assert_close(norm(one), norm.eval()(one))
    assert norm.train()(one[:0]).shape == (0, 2)


@pytest.mark.parametrize("norm", [False, True])
def test_isomorphism_is_pygs(norm: bool) -> None:
    geometric = pytest.importorskip("torch_geometric.nn")
    ours = IsomorphismConvolution(5, 3, 7, norm=norm)
    nn.init.constant_(ours.epsilon, -0.4)
    theirs = geometric.GINConv(nn.Sequential(ours.first, ours.norm, nn.ReLU(), ours.second), eps=-0.4)
    adjacency, x = random_graph(30, 120, 0), torch.randn(30, 5)
    torch.testing.assert_close(ours(x, adjacency), theirs(x, adjacency.edge_index()), rtol=1e-5, atol=1e-5)


def test_sums_tell_multisets_apart_that_means_and_maxima_do_not() -> None:
    """Two nodes with two equal neighbours each against three with the same: figure 3 of Xu et al. (2019)."""
    x = torch.ones(4, 1)
    two = Graph(x[:3], Adjacency.from_edges([1, 2], [0, 0], 3))
    three = Graph(x, Adjacency.from_edges([1, 2, 3], [0, 0, 0], 4))
    for aggregate, same in ((SumAggregation(), False), (MeanAggregation(), True), (MaxAggregation(), True)):
        one, other = (aggregate(graph.x, graph.adjacency)[0] for graph in (two, three))
        assert torch.equal(one, other) == same
