"""Networks that read the graph once, the task that keeps their signals, residual and inner dropout of convolution networks."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from layer_harness import undirected, walk_matrix
from torch import Tensor

from renote import data
from renote.errors import UsageError
from renote.experiment import NodeLearner, train
from renote.graph import (
    DCNN,
    GCN,
    SGC,
    SIGN,
    Adjacency,
    ChebyshevConvolution,
    ConvolutionNetwork,
    Graph,
    GraphDCNN,
    InceptionConvolution,
    KipfConvolution,
    NodeClassification,
    PrecomputedNetwork,
    PrecomputedNodeClassification,
    batch,
    exact_pagerank,
    hinge,
    kipf,
)
from renote.systems import get

NETWORKS = {
    "sgc": lambda: SGC(5, 3, dropout=0.5),
    "sign": lambda: SIGN(5, 8, 3, 3, input_dropout=0.5, pagerank_hops=1, triangle_hops=1),
    "dcnn": lambda: DCNN(5, 3),
}
each_network = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)


def graph() -> Graph:
    return Graph(torch.randn(20, 5, generator=torch.Generator().manual_seed(0)), undirected(20, 60, 1))


def task(network: torch.nn.Module, kind: type[NodeClassification] = NodeClassification) -> NodeClassification:
    splits = {"train": torch.tensor([0, 3, 7, 11]), "validation": torch.tensor([1, 2]), "test": torch.arange(12, 20)}
    return kind(network, graph(), torch.arange(20) % 3, splits)


@each_network
def test_what_is_precomputed_changes_nothing(make: partial[PrecomputedNetwork]) -> None:
    torch.manual_seed(1)
    network = make().eval()
    plain, kept = task(network), task(network, PrecomputedNodeClassification)
    for module in (plain, kept):
        module.eval()
    torch.testing.assert_close(kept.logits(), plain.logits())
    torch.testing.assert_close(kept.logits(torch.tensor([4, 4, 0])), plain.logits()[[4, 4, 0]])
    assert kept.validate() == pytest.approx(plain.validate())
    assert kept.accuracy("test") == plain.accuracy("test") == plain.accuracy("test", plain.logits())
    found, expected = kept(), plain()
    torch.testing.assert_close(found, expected)
    for mine, other in zip(*(torch.autograd.grad(loss, list(network.parameters())) for loss in (found, expected))):
        torch.testing.assert_close(mine, other)
    assert not [name for name in kept.state_dict() if "signals" in name]


@each_network
def test_signals_follow_the_precision(make: partial[PrecomputedNetwork]) -> None:
    module = task(make(), PrecomputedNodeClassification).eval()
    single = module()
    double = module.double()()
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single)


@each_network
def test_weight_decay_is_on_the_convolution_alone(make: partial[PrecomputedNetwork]) -> None:
    network = make()
    groups = network.parameter_groups(0.1)
    assert groups[0]["weight_decay"] == 0.1
    assert {id(p) for p in groups[0]["params"]} == {id(p) for p in network.convolution.parameters()}
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))


def test_a_step_on_some_nodes_has_their_loss() -> None:
    for kind in (NodeClassification, PrecomputedNodeClassification):
        module = task(SGC(5, 3), kind).eval()
        nodes = torch.tensor([7, 0])
        expected = torch.nn.functional.cross_entropy(module.logits()[nodes], module.labels[nodes])
        torch.testing.assert_close(module({"node": nodes}).detach(), expected)


def test_batches_go_through_all_training_nodes() -> None:
    learner = NodeLearner(task(SGC(5, 3)), batch_size=2, seed=4)
    drawn = [learner.batch(step, torch.Generator()) for step in range(4)]
    for epoch in (drawn[:2], drawn[2:]):
        nodes = torch.cat([batch["node"] for batch in epoch if batch])
        assert sorted(nodes.tolist()) == [0, 3, 7, 11]
    assert NodeLearner(task(SGC(5, 3))).batch(0, torch.Generator()) is None


def test_hinge_is_its_formula() -> None:
    logits, labels = torch.randn(30, 4, dtype=torch.float64), torch.arange(30) % 4
    losses = []
    for scores, label in zip(logits.softmax(1), labels):
        others = max(float(p) for number, p in enumerate(scores) if number != int(label))
        losses.append(max(0.0, 1.0 - float(scores[label]) + others))
    assert float(hinge(logits, labels)) == pytest.approx(sum(losses) / 30)
    sure = torch.tensor([[50.0, 0.0], [0.0, 50.0]])
    assert float(hinge(sure, torch.tensor([0, 1]))) == pytest.approx(0.0, abs=1e-6)
    assert float(hinge(sure, torch.tensor([1, 0]))) == pytest.approx(2.0)
    assert torch.autograd.gradcheck(partial(hinge, labels=labels), (logits.requires_grad_(),))


def test_residual_layers_add_their_input() -> None:
    torch.manual_seed(0)
    network = GCN(5, 8, 3, 4, connection="residual").eval()
    given = graph()
    first, second, third, last = network.convolutions
    assert isinstance(given.x, Tensor)
    one = first(given.x, given.adjacency).relu()
    two = second(one, given.adjacency).relu() + one
    three = third(two, given.adjacency).relu() + two
    torch.testing.assert_close(network(given), last(three, given.adjacency))
    plain = GCN(5, 8, 3, 4).eval()
    plain.load_state_dict(network.state_dict())
    assert not torch.allclose(plain(given), network(given))


def test_dropout_between_the_first_and_the_last_layer_can_be_left_out() -> None:
    given, seen = graph(), []

    class Spy(KipfConvolution):
        def forward(self, x: Tensor, adjacency: object) -> Tensor:  # type: ignore[override]
            seen.append(float((x == 0).double().mean()))
            return torch.ones(20, self.out_features)

    for inner in (True, False):
        ConvolutionNetwork(Spy, 5, 200, 200, 4, 0.5, inner_dropout=inner).train()(given)
    half = pytest.approx(0.5, abs=0.05)
    assert seen[1:4] == [half, half, half]
    assert seen[5:] == [0.0, 0.0, half]


def test_any_convolution_makes_a_network() -> None:
    network = ConvolutionNetwork(partial(ChebyshevConvolution, order=3), 5, 8, 3)
    assert [tuple(layer.weight.shape) for layer in network.convolutions] == [(4, 5, 8), (4, 8, 3)]
    assert network(graph()).shape == (20, 3)


@pytest.mark.parametrize("restart", [0.02, 0.1, 1.0])
def test_an_inceptions_pagerank_meets_its_dense_solution(restart: float) -> None:
    given = graph()
    assert isinstance(given.x, Tensor)
    x = given.x.double()
    found = InceptionConvolution(5, 2, hops=0, pagerank_hops=2, restart=restart).signals(x, given.adjacency)
    exact = exact_pagerank(kipf(given.adjacency), restart)
    torch.testing.assert_close(found[:, 1], exact @ x, rtol=0, atol=1e-6)
    torch.testing.assert_close(found[:, 2], exact @ exact @ x, rtol=0, atol=1e-6)
    single = InceptionConvolution(5, 2, hops=0, pagerank_hops=1, restart=restart).signals(given.x, given.adjacency)
    torch.testing.assert_close(single[:, 1].double(), exact @ x, rtol=0, atol=1e-4)


def test_the_restart_is_an_option_of_sign() -> None:
    small = data.load("power-law", nodes=30, features=2)
    for changes, restart in (({}, 0.1), ({"restart": 0.02, "pagerank_hops": 1}, 0.02)):
        network = get("sign").build(get("sign").configure(**changes), small).network
        assert network.convolution.restart == restart
    with pytest.raises(UsageError, match="restart is 0.0"):
        get("sign").build(get("sign").configure(restart=0.0), small)


def test_sign_needs_two_layers() -> None:
    with pytest.raises(UsageError, match="layers is 1"):
        SIGN(5, layers=1)


@pytest.mark.parametrize(("name", "least"), [("chebnet", 85), ("sign", 85), ("dcnn", 70), ("residual-gcn", 80)])
def test_systems_learn_digits_from_their_neighbours(name: str, least: float) -> None:
    changes = {"steps": 60, "patience": 0}
    if name == "residual-gcn":
        changes["layers"] = 3
    run = train(get(name), data.load("digits-knn"), get(name).configure(**changes), progress=False)  # type: ignore[arg-type]
    assert run.evaluate()["test_accuracy"] > least


def test_graphs_are_read_by_the_mean_of_what_is_diffused() -> None:
    """The paper's formula for each graph alone, with dense powers of the walk; a graph without nodes leaves the bias."""
    given = [undirected(7, 20, 1), undirected(5, 9, 2), Adjacency.from_edges([], [], 0)]
    generator = torch.Generator().manual_seed(0)
    graphs = [Graph(torch.randn(a.num_nodes, 4, dtype=torch.float64, generator=generator), a) for a in given]
    network = GraphDCNN(4, 3, hops=3).double()
    network.convolution.weight.data.normal_()  # type: ignore[union-attr, operator]
    network.dense.bias.data.normal_()
    rows = []
    for one in graphs[:2]:
        walk = walk_matrix(one.adjacency.to_dense())
        diffused = torch.stack([(torch.linalg.matrix_power(walk, hop) @ one.x).mean(0) for hop in range(4)])  # type: ignore[operator]
        rows.append(network.dense((network.convolution.weight * diffused).tanh().flatten()))  # type: ignore[operator]
    torch.testing.assert_close(network(batch(graphs)), torch.stack([*rows, network.dense.bias]))
