"""Networks for nodes: parity with PyTorch Geometric, label propagation's closed form, the task, published figures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from layer_harness import undirected

from renote import data
from renote.errors import RenoteError
from renote.experiment import compare
from renote.graph import (
    GCN,
    MLP,
    Adjacency,
    Graph,
    NodeClassification,
    class_mass_normalization,
    label_propagation,
    label_spreading,
)
from renote.systems import get


def test_gcn_is_pygs_with_gradients() -> None:
    geometric = pytest.importorskip("torch_geometric.nn")
    adjacency, x = undirected(40, 150, 1), torch.randn(40, 6)
    ours = GCN(6, 8, 3).eval()
    theirs = [geometric.GCNConv(6, 8), geometric.GCNConv(8, 3)]
    with torch.no_grad():
        for mine, other in zip(ours.convolutions, theirs, strict=True):
            other.lin.weight.copy_(mine.weight.T)
            other.bias.copy_(mine.bias.normal_())
    index = adjacency.edge_index()
    expected = theirs[1](theirs[0](x, index).relu(), index)
    out = ours(Graph(x, adjacency))
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    out.square().sum().backward()
    expected.square().sum().backward()
    for mine, other in zip(ours.convolutions, theirs, strict=True):
        torch.testing.assert_close(mine.weight.grad, other.lin.weight.grad.T, rtol=1e-4, atol=1e-4)


def test_sparse_features_give_what_dense_ones_do() -> None:
    from scipy.sparse import csr_array

    from renote.graph import SparseFeatures

    dense = torch.rand(20, 9) * (torch.rand(20, 9) < 0.3)
    adjacency = undirected(20, 50, 2)
    for network in (GCN(9, 4, 3).eval(), MLP(9, 4, 3).eval()):
        sparse = Graph(SparseFeatures.from_scipy(csr_array(dense.numpy())), adjacency)
        torch.testing.assert_close(network(sparse), network(Graph(dense, adjacency)))


def test_class_masses_are_those_of_the_known_labels() -> None:
    scores = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.9, 0.1], [0.6, 0.4], [0.7, 0.3]], dtype=torch.float64)
    labels, known = torch.tensor([0, 1, 1, -1, -1, -1]), torch.tensor([0, 1, 2])
    balanced = class_mass_normalization(scores, labels, known)
    expected = torch.tensor([1 / 3, 2 / 3], dtype=torch.float64)
    torch.testing.assert_close(balanced[3:].sum(0), expected)
    torch.testing.assert_close(balanced[:3], scores[:3])
    assert balanced[3:].argmax(1).tolist() == [0, 1, 1]
    torch.testing.assert_close(class_mass_normalization(scores, labels, labels >= 0), balanced)


def test_label_propagation_is_its_closed_form() -> None:
    adjacency = undirected(12, 40, 3)
    labels = torch.arange(12) % 3
    known, unknown = torch.tensor([0, 1, 2, 5]), torch.tensor([3, 4, 6, 7, 8, 9, 10])
    walk = adjacency.random_walk().to_dense()
    given = torch.nn.functional.one_hot(labels[known], 3).double()
    system = torch.eye(len(unknown)) - walk[unknown][:, unknown]
    expected = torch.linalg.solve(system.double(), walk[unknown][:, known] @ given)
    scores = label_propagation(adjacency, labels, known, 3, tolerance=1e-9)
    torch.testing.assert_close(scores[unknown].double(), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(scores[known].double(), given)
    assert bool((scores[11] == 0).all())  # isolated


def test_label_spreading_is_its_closed_form() -> None:
    adjacency = undirected(12, 40, 3)
    labels, known = torch.arange(12) % 3, torch.tensor([0, 1, 2, 5])
    given = torch.zeros(12, 3, dtype=torch.float64)
    given[known, labels[known]] = 1
    operator = adjacency.symmetric().to_dense()
    expected = 0.1 * torch.linalg.solve(torch.eye(12).double() - 0.9 * operator, given)
    scores = label_spreading(adjacency, labels, known, 3, alpha=0.9, tolerance=1e-9)
    torch.testing.assert_close(scores.double(), expected, rtol=1e-4, atol=1e-5)


def test_the_loss_is_on_training_nodes_alone() -> None:
    adjacency, x = undirected(10, 20, 4), torch.randn(10, 3)
    labels = torch.arange(10) % 2
    train = torch.tensor([1, 4])
    task = NodeClassification(
        MLP(3, 4, 2, dropout=0.0), Graph(x, adjacency), labels, {"train": train, "test": torch.arange(10)}
    )
    logits = task.logits()
    expected = -logits.log_softmax(1)[train, labels[train]].mean()
    torch.testing.assert_close(task({}), expected)
    right = (logits.argmax(1) == labels).double().mean()
    assert task.accuracy("test") == pytest.approx(float(right))
    assert not [name for name in task.state_dict() if "graph" in name]


def test_a_split_without_labels_is_refused() -> None:
    graph = Graph(torch.zeros(3, 1), Adjacency.from_edges([], [], 3))
    with pytest.raises(RenoteError, match="node 1"):
        NodeClassification(MLP(1, 2, 2), graph, torch.tensor([0, -1, 1]), {"train": torch.tensor([0, 1])})
    with pytest.raises(RenoteError, match="train"):
        NodeClassification(MLP(1, 2, 2), graph, torch.tensor([0, 1, 1]), {"test": torch.tensor([0, 1])})
    for split, message in (
        (torch.tensor([3]), "outside"),
        (torch.tensor([0.5]), "float32"),
        (torch.tensor([True, False]), "mask"),
    ):
        with pytest.raises(RenoteError, match=message):
            NodeClassification(MLP(1, 2, 2), graph, torch.tensor([0, 1, 1]), {"train": split})
    # a graph to predict on has none
    task = NodeClassification(MLP(1, 2, 2), graph, torch.tensor([-1, -1, -1]), {"train": torch.empty(0).long()})
    assert task.logits().shape == (3, 2)
    with pytest.raises(RenoteError, match="the split 'train' is empty"):
        task({})


def test_a_mask_is_its_node_numbers_and_all_follows_the_precision() -> None:
    adjacency, labels = undirected(10, 20, 4), torch.arange(10) % 2
    mask = torch.arange(10) % 3 == 0
    task = NodeClassification(GCN(3, 4, 2, dropout=0.0), Graph(torch.randn(10, 3), adjacency), labels, {"train": mask})
    single = task({})
    assert task.splits["train"].tolist() == [0, 3, 6, 9]
    double = task.double()({})
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single)


@pytest.mark.parametrize("network", [GCN(3, 4, 2), MLP(3, 4, 2), GCN(3, 4, 2, layers=3)])
def test_weight_decay_is_on_the_first_layer_alone(network: GCN | MLP) -> None:
    decayed, others = network.parameter_groups(5e-4)
    assert (decayed["weight_decay"], others["weight_decay"]) == (5e-4, 0.0)
    assert {tuple(parameter.shape) for parameter in decayed["params"]} == {(3, 4), (4,)}
    assert len(decayed["params"]) + len(others["params"]) == len(list(network.parameters()))


def test_labels_are_only_read_where_they_are_known() -> None:
    adjacency = undirected(6, 20, 1)
    labels = torch.tensor([0, 1, -1, -1, -1, -1])
    scores = label_propagation(adjacency, labels, torch.tensor([0, 1]), 2)
    assert torch.equal(scores, label_propagation(adjacency, labels, labels >= 0, 2))
    with pytest.raises(RenoteError, match="node 6"):
        label_propagation(adjacency, labels, torch.tensor([6]), 2)
    with pytest.raises(RenoteError, match="node 2 has the label -1"):
        label_propagation(adjacency, labels, torch.tensor([2]), 2)
    with pytest.raises(RenoteError, match="negative weight"):
        label_propagation(adjacency.with_weight(-torch.ones(adjacency.num_edges)), labels, torch.tensor([0]), 2)


def test_edges_help_on_digits() -> None:
    found = compare([get("gcn"), get("mlp"), get("label-propagation")], "digits-knn", seeds=2)
    mean = {row["name"]: row["mean"] for row in found["rows"]}
    assert mean["gcn"] > mean["mlp"] + 3
    assert mean["label-propagation"] > 80


@pytest.mark.parametrize("name", ["cora", "citeseer"])
def test_published_accuracy(mirror: Path, name: str) -> None:
    """Of four seeds, within a point of what the claim names."""
    assert (mirror / "planetoid").is_dir()
    published = get("gcn").claim("accuracy").published[name]
    found = compare([get("gcn")], data.load(name), seeds=4)  # type: ignore[arg-type]
    assert found["rows"][0]["mean"] > published - 1.0
