"""The small search: what is drawn, what chooses, what is kept."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from renote import systems
from renote.errors import UsageError
from renote.experiment import Lab, tune
from renote.experiment.tune import SEARCH_SEED, SPACE, _candidates

SMALL: dict[str, Any] = {"steps": 4, "validate_every": 2, "progress": False}


def test_the_preset_is_the_first_candidate_and_the_others_are_alike_for_all() -> None:
    gcn, gat = (systems.get(name).configure() for name in ("gcn", "gat"))
    ours, theirs = _candidates(gcn, 12), _candidates(gat, 12)  # type: ignore[arg-type]
    assert ours[0] == gcn
    for one, other in zip(ours[1:], theirs[1:], strict=True):
        assert one.hidden / 16 == other.hidden / 8
        assert (one.learning_rate, one.dropout, one.weight_decay) == (
            other.learning_rate,
            other.dropout,
            other.weight_decay,
        )
        assert one.learning_rate in SPACE["learning_rate"]
        assert one.hidden // 16 in SPACE["hidden"]
    assert len({str(candidate) for candidate in ours}) > 8
    assert ours[:5] == _candidates(gcn, 5)  # type: ignore[arg-type]


def test_validation_chooses_and_the_test_nodes_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made up: the test would choose another candidate than validation does."""
    best = _candidates(systems.get("mlp").configure("laptop", steps=4), 6)[3]  # type: ignore[arg-type]
    asked: list[int] = []

    def figures(lab: Lab, data: str, options: Any, split: str, config: Any) -> dict[str, float]:
        asked.append(config.seed)
        mine = (config.hidden, config.dropout, config.weight_decay, config.learning_rate)
        chosen = mine == (best.hidden, best.dropout, best.weight_decay, best.learning_rate)
        return {"validation": 80.0 if chosen else 70.0, "test": config.seed + (10.0 if chosen else 20.0)}

    monkeypatch.setattr(sys.modules["renote.experiment.tune"], "_train", figures)
    found = tune([systems.get("mlp")], "digits-knn", 2, 6, work=tmp_path, steps=4, progress=False)
    (row,) = found["rows"]
    assert row["chosen"] == {name: getattr(best, name) for name in SPACE}
    assert (row["validation"], row["validation_of_preset"]) == (80.0, 70.0)
    assert (row["tuned"]["mean"], row["preset"]["mean"]) == (10.5, 20.5)
    assert asked == [SEARCH_SEED] * 6 + [0, 1, 0, 1]


def test_a_search_goes_on_and_takes_nothing_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["renote.experiment.tune"]
    real, trained = module._train, []

    def count(*given: Any) -> Any:
        trained.append(given)
        return real(*given)

    monkeypatch.setattr(module, "_train", count)
    search = {"work": tmp_path, "split": "per-class", **SMALL}
    first = tune([systems.get("mlp")], "digits-knn", 2, 2, **search)
    before = len(trained)
    assert before in (4, 6)  # the preset's tests are the choice's, if it is chosen
    assert tune([systems.get("mlp")], "digits-knn", 2, 2, **search) == first
    assert len(trained) == before
    tune([systems.get("mlp")], "digits-knn", 2, 2, **{**search, "split": "own"})
    assert len(trained) > before
    now = len(trained)
    tune([systems.get("mlp")], "digits-knn", 2, 2, fresh=True, **search)
    assert len(trained) == now + before
    assert "20 nodes of each class" in first["protocol"]
    assert first["rows"][0]["metric"] == "test accuracy (%)"


def test_nodes_of_several_classes_are_tuned_by_micro_f1(tmp_path: Path) -> None:
    options = {"graphs": 3, "nodes": 20}
    found = tune([systems.get("gcn")], "communities-many", 2, 1, data_options=options, work=tmp_path, **SMALL)
    assert found["rows"][0]["metric"] == "test micro-F1 (%)"
    assert found["rows"][0]["preset"] == found["rows"][0]["tuned"]


@pytest.mark.parametrize(
    ("names", "changes", "message"),
    [
        (["gcn"], {"seeds": 1}, "seeds = 1 and draws = 12"),
        (["gcn"], {"draws": 0}, "draws = 0"),
        (["gcn", "gcn"], {}, "named twice"),
        (["gcn"], {"split": "perclass"}, "per-class"),
        (["gcn"], {"hidden": 3}, "hidden is searched"),
        (["label-propagation"], {}, "label-propagation learns no weights: there is nothing to tune"),
        (["ddpm"], {}, "ddpm does generation and needs samples to generate: tune is for"),
        (["gcn"], {"data": "digits"}, "digits is not a graph whose nodes"),
    ],
)
def test_what_cannot_be_tuned_is_refused(
    names: list[str], changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    given = {"data": "digits-knn", "work": tmp_path, **changes}
    with pytest.raises(UsageError, match=message):
        tune([systems.get(name) for name in names], **given)
