"""Every system that clusters: it finds planted groups, is kept, and serves the command line on the user's own graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from renote import systems
from renote.cli import run_command
from renote.data import Card, NodeData
from renote.errors import DataError, UsageError
from renote.experiment import ClusterRun, compare, train
from renote.graph import Adjacency, Graph, identity_features

NAMES = [name for name in systems.names() if systems.get(name).kind == "clusters"]
each = pytest.mark.parametrize("name", NAMES)
SMALL: dict[str, Any] = {"steps": 150, "hidden": 16, "clusters": 4, "learning_rate": 0.01}


def planted(groups: int = 4, size: int = 8) -> list[tuple[int, int]]:
    """Groups of which all know each other, in a circle."""
    inside = [(g * size + a, g * size + b) for g in range(groups) for a in range(size) for b in range(a)]
    return inside + [(g * size, (g + 1) % groups * size) for g in range(groups)]


def own(pairs: list[tuple[int, int]] | None = None, nodes: int = 32, **changes: Any) -> NodeData:
    ends = torch.tensor(planted() if pairs is None else pairs).reshape(-1, 2)
    adjacency = Adjacency.from_edges(torch.cat([ends[:, 0], ends[:, 1]]), torch.cat([ends[:, 1], ends[:, 0]]), nodes)
    none = torch.empty(0, dtype=torch.long)
    card = Card("own", "", "nodes", nodes, (nodes,), tuple("abcd"), "", "")
    graph = Graph(changes.pop("x", identity_features(nodes)), adjacency)
    return NodeData("own", card, graph, torch.arange(nodes) // 8 % 4, none, none, none, tuple("abcd"), **changes)


def trained(name: str, given: NodeData, out: Path | None = None, **changes: Any) -> ClusterRun:
    system = systems.get(name)
    run = train(system, given, system.configure(**{**SMALL, **changes}), out, progress=False)
    assert isinstance(run, ClusterRun)
    shares = run.probabilities()
    assert shares.shape[0] == given.graph.num_nodes
    torch.testing.assert_close(shares.sum(1), torch.ones(len(shares)))
    return run


@each
def test_it_finds_planted_groups(name: str) -> None:
    measures = trained(name, own()).evaluate()
    assert measures["nmi"] > 95
    assert measures["pairwise_f1"] > 95
    assert measures["matched_f1"] > 95
    assert measures["modularity"] > 70
    assert measures["conductance"] < 5


@each
def test_graphs_at_the_edge(name: str) -> None:
    for pairs, nodes in (([], 3), ([(0, 1)], 2), ([(0, 0), (0, 1), (0, 1)], 5)):
        measures = trained(name, own(pairs, nodes), steps=3, clusters=2).evaluate()
        assert all(torch.isfinite(torch.tensor(value)) for value in measures.values())
    with pytest.raises(UsageError, match="clusters = 16 of 3 nodes: there cannot be more"):
        trained(name, own([], 3), clusters=16)
    with pytest.raises(UsageError, match="the nodes of own have no features"):
        trained(name, own(x=None))
    with pytest.raises(UsageError, match="clusters = 1"):
        systems.get(name).configure(clusters=1)
    with pytest.raises(UsageError, match=f"{name} needs a graph, but digits is samples"):
        train(systems.get(name), "digits", systems.get(name).configure(), progress=False)


@each
def test_from_the_users_graph_without_labels(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edges, nodes, out = tmp_path / "edges.csv", tmp_path / "nodes.csv", str(tmp_path / "run")
    edges.write_text("source,target\n" + "".join(f"n{a},n{b}\n" for a, b in planted()))
    nodes.write_text("id\n" + "".join(f"n{k}\n" for k in range(32)))
    line = ["train", name, "--data", f"graph:{edges},{nodes}", "--out", out]
    for key, value in SMALL.items():
        line += [f"--{key.replace('_', '-')}", str(value)]
    run_command(line)
    run_command(["predict", out, "--out", str(tmp_path / "clusters.csv")])
    table = [row.split(",") for row in (tmp_path / "clusters.csv").read_text().splitlines()]
    assert table[0] == ["node", "cluster", "share"]
    assert [row[0] for row in table[1:]] == [f"n{k}" for k in range(32)]
    assert len({(int(row[0][1:]) // 8, row[1]) for row in table[1:]}) == 4
    run_command(["show", out, "--out", str(tmp_path / "clusters.png")])
    assert (tmp_path / "clusters.png").stat().st_size > 10_000
    capsys.readouterr()
    run_command(["evaluate", out, "--json"])
    assert '"modularity"' in capsys.readouterr().out
    with pytest.raises(UsageError, match="leave node out"):
        systems.load_run(out).picture(3)
    with pytest.raises(DataError, match="no node has a label"):
        train(systems.get("gcn"), f"graph:{edges},{nodes}", systems.get("gcn").configure(), progress=False)


def test_the_claim_of_dmon_on_small_graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole experiment, on planted groups in the place of the citation graphs."""
    from renote.experiment import Lab
    from renote.systems import dmon

    class Small(Lab):
        def train(self, data: str, key: str, *given: Any, **changes: Any) -> Any:
            assert changes["preset"] == "laptop"
            return trained("dmon", own(), seed=changes["seed"], collapse=changes["collapse"], steps=20)

    monkeypatch.setattr(dmon, "PUBLISHED", {"cora": {"conductance": 90.0, "modularity": 1.0, "nmi": 1.0, "f1": 1.0}})
    found = dmon.table(Small(systems.get("dmon"), "laptop", tmp_path, progress=False))
    assert found.holds
    assert set(found.measured) == {
        f"{m} on cora" for m in ("conductance", "modularity", "nmi", "f1", "f1 of all pairs")
    }
    assert "cora" in found.note
    kept = json.loads((tmp_path / "measurements.json").read_text())
    weights = [f"cora, λ {weight}" for weight in (0.1, 0.2, 0.3, 1.0)]
    assert list(kept)[:4] == weights
    assert [key.rsplit(", ", 1)[1] for key in list(kept)[4:]] == [f"seed {seed}" for seed in range(10)]
    # both counts of pairs, each under its name, and the claim's is the paper's
    value = kept[weights[0]]["value"]
    assert value["f1"] == value["matched_f1"]
    assert "pairwise_f1" in value


def test_they_are_compared() -> None:
    found = compare([systems.get("dmon")], own(), 2, preset="laptop", steps=5, clusters=4)
    assert found["rows"][0]["metric"] == "modularity (%)"
    assert "no label is looked at" in found["protocol"]
