"""The benchmark of accuracy in small: the peers have the systems' sizes, both are trained, and it goes on from what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks import accuracy

from renote import data as data_sets
from renote import systems
from renote.data import NodeData


@pytest.fixture(scope="module")
def digits() -> NodeData:
    loaded = data_sets.load("digits-knn")
    assert isinstance(loaded, NodeData)
    return loaded


def few(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", accuracy.SYSTEMS)
def test_peers_have_the_size_of_the_systems(name: str, digits: NodeData) -> None:
    config = systems.get(name).configure("laptop")
    ours, theirs = systems.get(name).build(config, digits), accuracy.peer(name, config, digits)
    # biases in more places, a slope that is learned, or an origin of the coordinates
    assert few(theirs) == pytest.approx(few(ours), rel=0.03)
    logits = theirs.eval()(ours.graph)
    assert logits.shape == (digits.graph.num_nodes, digits.num_classes)
    decayed = [
        sum(p.numel() for group in of for p in group["params"] if group["weight_decay"])
        for of in (ours.parameter_groups(0.1), theirs.parameter_groups(0.1))  # type: ignore[operator]
    ]
    assert decayed[1] == pytest.approx(decayed[0], rel=0.03)


def test_it_goes_on_from_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: NodeData) -> None:
    system = systems.get("gcn")
    short: Any = lambda preset, **changes: system.configure(preset, steps=20, **changes)  # noqa: E731

    class Short:
        configure, build = staticmethod(short), system.build

    monkeypatch.setattr(accuracy.systems, "get", lambda name: Short)
    place = (tmp_path / "work", tmp_path / "out")
    first = accuracy.compare(["gcn"], ["digits-knn"], range(1), *place)
    both = accuracy.compare(["gcn"], ["digits-knn"], range(2), *place)
    (row,) = both["rows"]
    for library in ("renote", "pyg"):
        assert len(row[library]["values"]) == 2
        assert row[library]["values"][0] == first["rows"][0][library]["values"][0]
        assert row[library]["mean"] > 30  # of ten classes
        assert row[library]["steps"] == 20
    monkeypatch.setattr(accuracy, "trained", None)  # nothing is left to train
    assert accuracy.compare(["gcn"], ["digits-knn"], range(2), *place)["rows"] == both["rows"]
