"""Systems that read a graph's edges as nodes: their claims, end to end and in miniature."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from renote import cli, data, systems
from renote.errors import UsageError
from renote.experiment import Lab, train
from renote.graph import Adjacency, Graph, LineGraphNetwork
from renote.systems.line_graph import confused, families


def test_whitneys_claim_through_the_command_line(tmp_path: Path) -> None:
    # it would exit with the status 3 if the claim did not hold
    cli.main(["reproduce", "line-graph", "--out", str(tmp_path / "out"), "--work", str(tmp_path / "work"), "--json"])
    (written,) = (tmp_path / "out").rglob("families-laptop.json")
    found = json.loads(written.read_text())
    assert found["holds"]
    # of 2 to 6 nodes there are 1, 2, 6, 21 and 112 connected graphs
    assert found["measured"]["connected graphs of 2 to 6 nodes"] == 142


def test_a_wrong_line_graph_fails_the_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import renote.systems.line_graph as module

    true = module.line_of
    # one edge forgotten
    monkeypatch.setattr(module, "line_of", lambda g, seed: true(g, seed).subgraph([n for n in true(g, seed) if n]))
    assert not families(Lab(systems.get("line-graph"), "laptop", tmp_path, progress=False), size=5).holds


def test_claw_and_triangle_are_the_only_pair() -> None:
    assert [sorted(pair) for pair in confused(5, 0)["pairs"]] == [[[1, 1, 1, 3], [2, 2, 2]]]


def test_without_networkx_the_claim_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(UsageError, match="pip install networkx"):
        families(Lab(systems.get("line-graph"), "laptop", tmp_path, progress=False))


def test_line_graph_learns_digits_from_few_labels() -> None:
    system = systems.get("line-graph")
    config = system.configure(steps=60, learning_rate=0.02, validate_every=10)
    assert train(system, data.load("digits-knn"), config, progress=False).evaluate()["test_accuracy"] > 75


@pytest.mark.parametrize("directed", [False, True])
def test_the_network_does_not_look_at_the_order_of_nodes(directed: bool) -> None:
    source, target = torch.tensor([0, 1, 2, 3, 1]), torch.tensor([1, 2, 0, 1, 4])
    if not directed:
        source, target = torch.cat([source, target]), torch.cat([target, source])
    x, order = torch.randn(6, 3), torch.tensor([3, 1, 5, 0, 2, 4])
    place = torch.argsort(order)
    network = LineGraphNetwork(3, 4, 2, layers=2).eval()
    plain = network(Graph(x, Adjacency.from_edges(source, target, 6)))
    moved = network(Graph(x[order], Adjacency.from_edges(place[source], place[target], 6)))
    torch.testing.assert_close(moved, plain[order])


def test_no_layer_is_refused() -> None:
    with pytest.raises(UsageError, match="layers is 0"):
        LineGraphNetwork(3, layers=0)
