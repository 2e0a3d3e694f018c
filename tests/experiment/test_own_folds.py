"""Papers' own protocols: folds are apart, nothing tested on selects, processes do what one does, and the claims judge as they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from graph_files import told, write_graphs

from renote import systems
from renote.experiment import Lab, own_folds
from renote.experiment.own_folds import split_of


@pytest.mark.parametrize("validates", [True, False])
def test_folds_are_apart_and_complete(validates: bool) -> None:
    data = told(60)
    for repetition in (0, 1):
        splits = [split_of(data, repetition, fold, validates) for fold in range(1, 11)]
        tested = torch.cat([split.test for split in splits])
        assert sorted(tested.tolist()) == list(range(60))
        for split in splits:
            parts = [set(part.tolist()) for part in split.splits.values()]
            assert sum(map(len, parts)) == 60 == len(set().union(*parts))
            assert len(split.validation) == (6 if validates else 0)
    assert split_of(data, 0, 1, True).test.tolist() != split_of(data, 1, 1, True).test.tolist()


def test_processes_find_what_one_does(tmp_path: Path) -> None:
    name = f"graphs:{write_graphs(tmp_path / 'graphs')}"
    found = []
    for processes in (2, 1):
        lab = Lab(systems.get("gin"), "laptop", tmp_path / str(processes), progress=False, processes=processes)
        found.append(own_folds.folds_accuracy(lab, lab.system, name, 1, 2, hidden=4, layers=1))
        kept = json.loads((tmp_path / str(processes) / "measurements.json").read_text())
        assert len(kept) == 10
    assert found[0] == found[1]


@pytest.mark.parametrize(("name", "low"), [("sortpool", "nci1"), ("sagpool", "dd")])
@pytest.mark.parametrize("size", ["laptop", "full"])
def test_the_claims_hold_within_a_published_deviation(
    name: str, low: str, size: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = systems.get(name)
    module = __import__(f"renote.systems.{name}", fromlist=["PUBLISHED"])
    below = {"at": 0.9}

    def folds(
        lab: Lab, system: Any, data: str, repetitions: int, epochs: int, patience: int = 0, **changes: Any
    ) -> list[float]:
        published = module.PUBLISHED[data]
        if name == "sagpool":
            published = published["hierarchical" if changes["hierarchical"] else "global"]
        return [published[0] - (below["at"] if data == low else 0) * published[1]] * repetitions

    monkeypatch.setattr("renote.experiment.folds_accuracy", folds)
    outcome = system.claim("own-folds").experiment(Lab(system, size, tmp_path, progress=False))
    assert outcome.holds
    assert set(outcome.measured) <= set(system.claim("own-folds").published)
    below["at"] = 1.1
    assert not system.claim("own-folds").experiment(Lab(system, size, tmp_path, progress=False)).holds
