"""Nodes of several classes, and graphs that are never seen in training: every system for nodes."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.metrics import f1_score, log_loss

from renote import data, systems
from renote.data import NodeData
from renote.errors import DataError, UsageError
from renote.experiment import NodeRun, train
from renote.experiment import compare as compare_systems
from renote.graph import MLP, Adjacency, Graph, NodeClassification, binary_cross_entropy, hinge

SYSTEMS = [
    name
    for name in systems.names()
    if systems.get(name).kind == "nodes" and systems.get(name).inductive  # type: ignore[attr-defined]
]
SMALL = {"clusters": 3, "clusters_per_batch": 2}


def communities(**options: Any) -> NodeData:
    loaded = data.load("communities-many", **{"graphs": 5, "nodes": 40, **options})
    assert isinstance(loaded, NodeData)
    return loaded


def run_of(name: str, loaded: NodeData, **changes: Any) -> NodeRun:
    system = systems.get(name)
    small = SMALL if name == "cluster-gcn" else {}
    run = train(system, loaded, system.configure(**{**small, "validate_every": 1, **changes}), progress=False)
    assert isinstance(run, NodeRun)
    return run


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_tells_several_classes_on_graphs_it_has_not_seen(name: str) -> None:
    loaded = communities()
    run = run_of(name, loaded, steps=3)
    predicted, shares = run.predict(), run.probabilities()
    assert predicted.shape == shares.shape == (200, 8)
    assert torch.equal(predicted, shares > 0.5)
    measures = run.evaluate()
    truth = loaded.labels[loaded.test]
    wanted = 100 * f1_score(truth, predicted[loaded.test], average="micro", zero_division=0.0)
    assert measures["test_micro_f1"] == pytest.approx(wanted)
    assert "test_accuracy" not in measures


@pytest.mark.parametrize("name", ["gcn", "graphsage", "sign"])
def test_edges_tell_more_than_the_features_alone(name: str) -> None:
    loaded = communities(graphs=10, nodes=100)
    how = {"steps": 120, "hidden": 64, "validate_every": 20, "patience": 0}
    own, features = (run_of(of, loaded, **how).evaluate()["test_micro_f1"] for of in (name, "mlp"))
    assert own > features + 5


def test_graphs_of_the_test_change_nothing_in_training() -> None:
    loaded = communities()
    drop = int(loaded.test[0])
    x = loaded.graph.x
    assert isinstance(x, torch.Tensor)
    x = x.clone()
    x[drop:] = 7.0
    source, target = loaded.graph.adjacency.source, loaded.graph.adjacency.target
    kept = target < drop
    other = loaded.graph.with_x(x).with_adjacency(Adjacency.from_edges(source[kept], target[kept], 200))
    changed = NodeData("own", loaded.card, other, loaded.labels, **loaded.splits, classes=loaded.classes)
    for name, still in (("gcn", {}), ("gat", {"attention_dropout": 0.0}), ("column-network", {})):
        one, two = (run_of(name, of, steps=3, dropout=0.0, **still).module for of in (loaded, changed))
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(one.parameters(), two.parameters(), strict=True))


@pytest.mark.parametrize("batches", ["neighbors", "clusters"])
def test_parts_of_the_graphs_make_batches(batches: str) -> None:
    run = run_of("graphsage", communities(), steps=4, batches=batches, batch_size=16, **SMALL)
    assert 0 <= run.evaluate()["test_micro_f1"] <= 100


def test_known_labels_do_not_flow_to_graphs_without_any() -> None:
    with pytest.raises(UsageError, match="label-propagation passes known labels.*several classes"):
        systems.get("label-propagation").train(communities(), progress=False)
    unseen = data.load("power-law", nodes=300, graphs=5)
    with pytest.raises(UsageError, match="no node of some test graphs is trained on"):
        systems.get("label-propagation").train(unseen, progress=False)
    with pytest.raises(UsageError, match="spectral-cnn needs labelled samples on a grid"):
        systems.get("spectral-cnn").train(communities(), progress=False)


def test_comparisons_name_the_measure_and_that_graphs_are_unseen() -> None:
    found = compare_systems([systems.get("mlp")], communities(), 1, steps=2)
    assert found["rows"][0]["metric"] == "test micro-F1 (%)"
    assert "test micro-F1 in percent, of graphs that are never seen in training" in found["protocol"]
    with pytest.raises(DataError, match="several classes each"):
        compare_systems([systems.get("mlp")], communities(), 1, split="per-class")


def test_predictions_are_a_share_a_class(tmp_path: Path) -> None:
    loaded = communities()
    run = run_of("gat", loaded, steps=2)
    assert run.write_predictions(tmp_path / "found.csv") == 200
    rows = list(csv.reader((tmp_path / "found.csv").open()))
    assert rows[0] == ["node", *loaded.classes]
    assert [float(cell) for cell in rows[6][1:]] == pytest.approx(run.probabilities()[5].tolist(), abs=1e-4)
    assert run.draw_attention(3).axes
    with pytest.raises(UsageError, match="no one colour for each"):
        run.draw()


def task(labels: torch.Tensor, **how: Any) -> NodeClassification:
    nodes = len(labels)
    graph = Graph(torch.randn(nodes, 3), Adjacency.from_edges([], [], nodes))
    return NodeClassification(MLP(3, 4, 2), graph, labels, {"train": torch.arange(nodes)}, **how)


def test_the_loss_and_the_measure_are_the_closed_forms() -> None:
    labels = torch.tensor([[1, 0], [1, 1], [0, 0]]).bool()
    made = task(labels)
    logits = made.logits()
    shares = logits.sigmoid().double().numpy()
    wanted = sum(log_loss(labels[:, c].int(), shares[:, c], labels=[0, 1]) for c in (0, 1)) / 2
    assert made.eval()().item() == pytest.approx(wanted, rel=1e-5)
    assert made.micro_f1("train", torch.tensor([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0]])) == pytest.approx(2 / 3)
    assert made.micro_f1("train", torch.full((3, 2), -1.0)) == 0.0
    assert set(made.validate("train")) == {"loss", "micro_f1"}
    nothing = task(torch.zeros(2, 2).bool())
    assert nothing.micro_f1("train", torch.full((2, 2), -1.0)) == 0.0
    assert binary_cross_entropy(torch.zeros(2, 3), torch.ones(2, 3).bool()).item() == pytest.approx(math.log(2))


def test_the_hinge_of_a_class_by_itself_is_that_of_two() -> None:
    logits, labels = torch.randn(5, 1), torch.tensor([1, 0, 1, 1, 0])
    two = torch.cat([torch.zeros(5, 1), logits], 1)  # softmax of (0, z) is (σ(-z), σ(z))
    torch.testing.assert_close(hinge(logits, labels.bool()[:, None]), hinge(two, labels))


def test_measures_of_the_other_kind_are_refused() -> None:
    with pytest.raises(UsageError, match="ask for micro_f1"):
        task(torch.ones(2, 2).bool()).accuracy("train")
    with pytest.raises(UsageError, match="micro-F1 is the accuracy"):
        task(torch.tensor([0, 1])).micro_f1("train")
    with pytest.raises(DataError, match=r"labels of shape \(2, 2\) and torch.int64 for 2 nodes"):
        task(torch.ones(2, 2).long())
