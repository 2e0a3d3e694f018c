"""Node systems trained by mini-batches: that they learn, in what order, and the same each time; their claims' experiments in small."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from renote import data, load_run, systems
from renote.data import NodeData
from renote.errors import UsageError
from renote.experiment import Lab, NodeLearner, NodeRun, train
from renote.graph import ClusterSampling, NeighborSampling
from renote.systems import cluster_gcn, graphsage

NEIGHBORS: dict[str, Any] = {"batches": "neighbors", "batch_size": 32, "fan_outs": (5, 5)}
CLUSTERS: dict[str, Any] = {"batches": "clusters", "clusters": 8, "clusters_per_batch": 3, "partition": "random"}
SHORT: dict[str, Any] = {"steps": 40, "learning_rate": 0.02, "validate_every": 20, "inference_megabytes": 0.5}


def digits() -> NodeData:
    loaded = data.load("digits-knn")
    assert isinstance(loaded, NodeData)
    return loaded


def trained(name: str, out: Path | None = None, resume: bool = False, **changes: Any) -> NodeRun:
    run = train(
        systems.get(name), digits(), systems.get(name).configure(**{**SHORT, **changes}), out, resume, progress=False
    )
    assert isinstance(run, NodeRun)
    return run


def weights(run: NodeRun) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in run.module.parameters()])


@pytest.mark.parametrize("name", ["graphsage", "gcn", "gat"])
def test_by_neighbours_it_learns_digits(name: str) -> None:
    assert trained(name, **NEIGHBORS).evaluate()["test_accuracy"] > 80


@pytest.mark.parametrize("name", ["cluster-gcn", "gcn", "chebnet", "mlp"])
def test_by_clusters_it_learns_digits(name: str) -> None:
    # drawn clusters keep 3/8 of the edges at most, of which those within a batch are seen
    assert trained(name, **{**CLUSTERS, "steps": 80, "hidden": 64}).evaluate()["test_accuracy"] > 75


def test_clusters_of_metis() -> None:
    pytest.importorskip("pymetis")
    run = trained("cluster-gcn", clusters=30, clusters_per_batch=10, steps=80)
    assert run.evaluate()["test_accuracy"] > 80


@pytest.mark.parametrize("batches", [NEIGHBORS, CLUSTERS])
def test_the_same_seed_gives_the_same_weights(batches: dict[str, Any]) -> None:
    one, again, other = (trained("gcn", steps=6, seed=seed, **batches) for seed in (0, 0, 1))
    assert torch.equal(weights(one), weights(again))
    assert not torch.equal(weights(one), weights(other))


@pytest.mark.parametrize("batches", [NEIGHBORS, CLUSTERS])
def test_a_run_that_goes_on_is_as_if_it_had_never_stopped(tmp_path: Path, batches: dict[str, Any]) -> None:
    trained("graphsage", tmp_path / "run", steps=7, **batches)
    resumed = trained("graphsage", tmp_path / "run", resume=True, steps=20, **batches)
    assert torch.equal(weights(resumed), weights(trained("graphsage", steps=20, **batches)))


def test_with_all_neighbours_of_all_nodes_it_is_the_full_batch() -> None:
    plain = {"steps": 5, "dropout": 0.0, "validate_every": 0, "optimizer": "sgd"}
    full = trained("gcn", **plain)
    sampled = trained("gcn", **plain, batches="neighbors", fan_outs=(-1, -1))
    torch.testing.assert_close(weights(sampled), weights(full), rtol=1e-5, atol=1e-6)


def test_parts_of_a_batch_are_the_batch() -> None:
    plain = {"steps": 5, "dropout": 0.0, "validate_every": 0, "optimizer": "sgd", **NEIGHBORS}
    torch.testing.assert_close(
        weights(trained("graphsage", **plain, accumulate=3)),
        weights(trained("graphsage", **plain)),
        rtol=1e-4,
        atol=1e-6,
    )


def test_an_epoch_has_every_node_or_cluster_once() -> None:
    task = systems.get("gcn").build(systems.get("gcn").configure(), digits())
    generator = torch.Generator()
    learner = NodeLearner(task, 20, 3, NeighborSampling((2, 2)))
    batches = [learner.batch(step, generator) for step in range(10)]
    for epoch in (batches[:5], batches[5:]):
        nodes = torch.cat([batch["node"] for batch in epoch if batch is not None])
        assert torch.equal(nodes.sort().values, task.splits["train"])
    seeds = {int(batch["seed"][0]) for batch in batches if batch is not None}
    assert len(seeds) == 10
    clustered = NodeLearner(task, 2, 3, ClusterSampling(torch.arange(1797) % 6))
    drawn = [clustered.batch(step, generator) for step in range(6)]
    for epoch in (drawn[:3], drawn[3:]):
        clusters = torch.cat([batch["cluster"] for batch in epoch if batch is not None])
        assert clusters.sort().values.tolist() == list(range(6))
    uneven = NodeLearner(task, 4, 3, ClusterSampling(torch.arange(1797) % 6))
    for step in range(20):
        batch = uneven.batch(step, generator)
        assert batch is not None
        assert len(batch["cluster"].unique()) == len(batch["cluster"])


def test_validation_and_predictions_are_of_the_whole_graph() -> None:
    run = trained("graphsage", **NEIGHBORS)
    found = run.predict()
    run.module.sampling = None
    assert torch.equal(found, run.predict())
    assert found.shape == (1797,)


def test_a_run_is_used_without_the_clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pymetis")
    run = trained("cluster-gcn", tmp_path / "run", clusters=8, clusters_per_batch=2, steps=3)
    monkeypatch.setitem(sys.modules, "pymetis", None)
    loaded = load_run(tmp_path / "run")
    assert isinstance(loaded, NodeRun)
    torch.testing.assert_close(loaded.probabilities(), run.probabilities())
    with pytest.raises(UsageError, match="pymetis"):
        trained("cluster-gcn", steps=3)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("gcn", {"batches": "neighbors", "fan_outs": (5,)}, "for 2 layers"),
        ("gcn", {"batches": "neighbors", "fan_outs": (5, 0)}, "at least 1"),
        ("gcn", {"clusters": 4, "clusters_per_batch": 5}, "clusters_per_batch = 5"),
        ("gcn", {"batches": "clusters", "accumulate": 3}, "accumulate = 3"),
        ("gcn", {"batches": "clusters", "clusters": 2000}, "clusters = 2000 of 1797 nodes"),
        ("gcn", {"inference_megabytes": 0.0}, "inference_megabytes"),
        ("sign", {"batches": "clusters"}, "reads its graph once"),
        ("monet", {"batches": "neighbors"}, "use batches = clusters"),
        ("mlp", {"batches": "neighbors"}, "use batches = clusters"),
    ],
)
def test_batches_that_cannot_be_are_refused(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        trained(name, **changes)


def test_the_enhanced_diagonal_is_an_option() -> None:
    config = systems.get("cluster-gcn").configure(enhancement=0.5, layers=3)
    task = systems.get("cluster-gcn").build(config, digits())
    assert [c.strength for c in task.network.convolutions] == [0.5] * 3
    paper = systems.get("cluster-gcn").configure("paper")
    assert (paper.batches, paper.clusters, paper.clusters_per_batch) == ("clusters", 50, 1)  # type: ignore[attr-defined]


def test_the_depth_experiment_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_gcn, "DEPTHS", (2, 3))
    lab = Lab(systems.get("cluster-gcn"), "laptop", tmp_path, progress=False)
    sets = {"few": ("power-law", {"nodes": 300, "graphs": 5, "features": 4}, False), "digits": ("digits-knn", {}, True)}
    small: dict[str, Any] = {"steps": 2, "hidden": 4, "clusters": 3, "clusters_per_batch": 1, "partition": "random"}
    outcome = cluster_gcn.depth(lab, sets, **small)
    ends = ("2 layers", "3 layers", "deepest")
    assert set(outcome.measured) == {f"{t} {v}, {end}" for t in sets for v in ("enhanced", "plain") for end in ends}
    assert outcome.seeds == (0, 1, 2)
    again = Lab(systems.get("cluster-gcn"), "laptop", tmp_path, progress=False)
    again.data = None  # type: ignore[assignment, method-assign]
    assert cluster_gcn.depth(again, sets, **small).measured == outcome.measured


@pytest.mark.parametrize(
    ("enhanced", "plain", "holds"),
    [
        ([80.0, 71.0], [80.5, 60.0], True),
        ([80.0, 71.0], [80.0, 75.0], False),
        ([78.0, 77.0], [80.0, 60.0], False),
    ],
)
def test_when_the_depth_claim_holds(enhanced: list[float], plain: list[float], holds: bool) -> None:
    curves = {
        name: dict(zip((2, 8), values, strict=True)) for name, values in (("enhanced", enhanced), ("plain", plain))
    }
    assert cluster_gcn._holds(curves) == holds


def test_the_sampling_experiment_in_small(tmp_path: Path) -> None:
    lab = Lab(systems.get("graphsage"), "laptop", tmp_path, progress=False)
    sets = {"small": ("power-law", {"nodes": 500, "features": 4})}
    outcome = graphsage.sampled(lab, sets, hidden=4, steps=2)
    assert {name.rpartition(", ")[2] for name in outcome.measured} == {"accuracy", "megabytes", "seconds"}
    again = Lab(systems.get("graphsage"), "laptop", tmp_path, progress=False)
    again.data = None  # type: ignore[assignment, method-assign]
    assert graphsage.sampled(again, sets, hidden=4, steps=2).measured == outcome.measured
