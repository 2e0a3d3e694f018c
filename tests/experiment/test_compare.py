"""Comparisons under a protocol: splits that are drawn for each seed, and the evaluation of Shchur et al."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from renote import data, experiment, systems
from renote.data import NodeData
from renote.errors import UsageError
from renote.experiment import Lab, shchur, unseen
from renote.experiment import compare as compare_systems

PRESETS = ("gcn", "mlp", "gat", "graphsage", "gaan", "jk-net", "cluster-gcn")


def graph() -> NodeData:
    loaded = data.load("digits-knn")
    assert isinstance(loaded, NodeData)
    return loaded


def test_each_seed_has_its_own_split_and_all_systems_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["renote.experiment.compare"]  # the package gives the function of that name
    given: list[NodeData] = []
    real = module.train

    def train(system: Any, loaded: Any, config: Any, **how: Any) -> Any:
        given.append(loaded)
        return real(system, loaded, config, **how)

    monkeypatch.setattr(module, "train", train)
    chosen = [systems.get("mlp"), systems.get("label-propagation")]
    found = compare_systems(chosen, graph(), 2, split="per-class")
    first, same, other, _ = given
    assert torch.equal(first.train, same.train)
    assert not torch.equal(first.train, other.train)
    assert torch.bincount(first.labels[first.train]).tolist() == [20] * 10
    assert torch.bincount(first.labels[first.validation]).tolist() == [30] * 10
    known = int((first.labels >= 0).sum())
    assert len(first.test) == known - 500
    assert "20 nodes of each class to train, 30 to validate" in found["protocol"]
    assert "Shchur" in found["protocol"]


def test_the_protocol_names_what_is_not_the_default() -> None:
    chosen = [systems.get("label-propagation")]
    found = compare_systems(chosen, "digits-knn", 1, data_options={"seed": 3}, split="random")
    assert "60 % of each class" in found["protocol"]
    assert "data with seed = 3" in found["protocol"]
    own = compare_systems(chosen, "digits-knn", 1)["protocol"]
    assert own.startswith("one split (")
    assert "preset" not in own
    assert "preset shchur" in compare_systems([systems.get("mlp")], graph(), 1, preset="shchur", steps=1)["protocol"]


def test_a_split_must_be_known_and_of_nodes() -> None:
    with pytest.raises(UsageError, match="per-class"):
        compare_systems([systems.get("mlp")], graph(), 1, split="perclass")
    with pytest.raises(UsageError, match="not a graph whose nodes"):
        compare_systems([systems.get("spectral-cnn")], "digits", 1, split="random")


@pytest.mark.parametrize("name", PRESETS)
def test_the_presets_ask_for_enough_steps(name: str) -> None:
    config = systems.get(name).configure("shchur")
    assert (config.steps, config.validate_every, config.patience) == (200 if name == "gaan" else 500, 10, 10)


def test_the_experiment_measures_a_system_beside_gcn_and_the_features_alone(tmp_path: Path) -> None:
    lab = Lab(systems.get("gcn"), "laptop", tmp_path, progress=False)
    outcome = shchur.photo_computers_cs(lab, systems.get, {"digits": "digits-knn"}, {"seed": 1}, steps=20)
    assert outcome.seeds == (0, 1, 2)
    assert set(outcome.measured) == {"digits gcn", "digits mlp", "average gcn", "average mlp"}
    assert outcome.measured["average gcn"] == pytest.approx(outcome.measured["digits gcn"]["mean"])
    assert outcome.holds == (outcome.measured["average gcn"] > outcome.measured["average mlp"])


def test_it_must_beat_the_features_everywhere_and_gcn_nearly() -> None:
    rows = {
        "photo": {"gat": [91.0], "gcn": [91.5], "mlp": [70.0]},
        "cs": {"gat": [90.5], "gcn": [91.5], "mlp": [88.0]},
    }
    assert shchur.beats_features(rows, "gat")
    assert not shchur.beats_features({**rows, "cs": {"gat": [89.0], "gcn": [91.5], "mlp": [88.0]}}, "gat")
    assert not shchur.beats_features({**rows, "cs": {"gat": [92.0], "gcn": [91.5], "mlp": [92.5]}}, "gat")
    claim = experiment.shchur_claim(systems.get, {"photo": 1.0})
    assert (claim.id, claim.published, claim.verified) == ("photo-computers-cs", {"photo": 1.0}, False)


def test_unseen_graphs_are_measured_beside_the_features_alone(tmp_path: Path) -> None:
    lab = Lab(systems.get("gcn"), "laptop", tmp_path, progress=False)
    outcome = unseen.unseen_graphs(lab, systems.get, 97.0, options={"graphs": 5, "nodes": 60}, steps=60)
    assert set(outcome.measured) == {"communities-many gcn", "communities-many mlp"}
    gained = outcome.measured["communities-many gcn"]["mean"] - outcome.measured["communities-many mlp"]["mean"]
    assert outcome.holds == (gained >= 10)
    assert unseen.uses_edges({"gat": [60.0], "mlp": [50.0]}, "gat")
    assert not unseen.uses_edges({"gat": [59.0], "mlp": [50.0]}, "gat")


def test_at_full_size_unseen_graphs_are_the_proteins(tmp_path: Path) -> None:
    folder = tmp_path / "proteins"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, graphs in (("train", 2), ("valid", 1), ("test", 1)):
        labels = rng.integers(0, 2, (10 * graphs, 3))
        np.save(folder / f"{part}_feats.npy", labels + rng.normal(0, 0.1, labels.shape))
        np.save(folder / f"{part}_labels.npy", labels)
        np.save(folder / f"{part}_graph_id.npy", np.arange(10 * graphs) // 10)
        links = [{"source": node, "target": node + 1} for node in range(10 * graphs) if node % 10 < 9]
        content = {"nodes": [{"id": node} for node in range(10 * graphs)], "links": links}
        (folder / f"{part}_graph.json").write_text(json.dumps(content))
    small = {"steps": 2, "hidden": 8, "clusters": 4, "validate_every": 1, "patience": 0}
    options = {"folder": str(folder)}
    lab = Lab(systems.get("gat"), "full", tmp_path / "lab", progress=False)
    outcome = unseen.unseen_graphs(lab, systems.get, 99.9, {"plain": {"residual": False}}, options, **small)
    assert set(outcome.measured) == {"ppi gat", "ppi plain gat", "ppi gcn", "ppi mlp"}
    least = min(outcome.measured[f"ppi {name}"]["mean"] for name in ("gat", "plain gat"))
    assert outcome.measured["ppi gat"] != outcome.measured["ppi plain gat"]
    assert outcome.holds == (least >= 99.9)
    assert unseen.unseen_graphs(lab, systems.get, least, {"plain": {"residual": False}}, options, **small).holds
    assert outcome.seeds == tuple(range(10))


def test_every_full_claim_of_unseen_graphs_has_its_preset() -> None:
    claims = {name: [c.id for c in systems.get(name).claims] for name in systems.names()}
    asked = [name for name, ids in claims.items() if "unseen-graphs" in ids]
    assert set(asked) == {"gat", "gaan", "jk-net", "cluster-gcn", "graphsage"}
    for name in [*asked, "gcn", "mlp"]:
        config: Any = systems.get(name).configure("ppi")
        assert config.batches == "clusters"


@pytest.mark.parametrize("name", PRESETS)
def test_the_inductive_presets_hide_little(name: str) -> None:
    config: Any = systems.get(name).configure("inductive")
    assert (config.dropout, config.weight_decay) == (0.1, 0.0)
