"""The benchmark of scale in small: it measures, keeps, goes on, and fits the growth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from benchmarks import scale
from benchmarks.harness import Ledger


class Here:
    """A worker without a process of its own."""

    def __init__(self, build: Callable[..., Any], *args: Any) -> None:
        self.pieces = build(*args)

    def __call__(self, name: str) -> Any:
        return self.pieces[name]()

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def test_growth_is_the_exponent() -> None:
    rows = [{"directed_edges": edges, "seconds": 3.0 * edges**0.7, "none": 0.0} for edges in (10, 100, 5000)]
    assert scale.growth(rows, "seconds") == pytest.approx(0.7)
    assert scale.growth(rows[:1], "seconds") is None
    assert scale.growth(rows, "none") is None


def test_it_goes_on_from_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "Worker", Here)
    ways, place = ["sage by neighbours"], (tmp_path / "work", tmp_path / "out")
    first = scale.scale([5000], ways, 1, "random", *place)
    assert [row["nodes"] for row in first["rows"]] == [500]
    both = scale.scale([10_000, 5000], ways, 1, "random", *place)
    assert both["rows"][0] == first["rows"][0]
    assert both["rows"][1]["nodes"] == 1000
    assert all(row["peak_megabytes"] >= row["data_megabytes"] for row in both["rows"])
    assert (tmp_path / "out" / "scale.png").stat().st_size > 0
    monkeypatch.setattr(scale, "Worker", None)  # nothing is left to measure
    assert scale.scale([5000, 10_000], ways, 1, "random", *place)["rows"] == both["rows"]


def test_every_way_is_measured() -> None:
    loaded = scale._drawn(600)
    for way in scale.WAYS:
        row = scale._work(way, loaded, "random")
        assert row["steps"] >= 1
        assert 0 <= row["validation_accuracy"] <= 100


def test_a_ledger_keeps_rows_as_they_come(tmp_path: Path) -> None:
    path, key = tmp_path / "new" / "rows.json", {"way": "sign", "edges": 5}
    assert Ledger(path).find(key) is None
    Ledger(path).add({**key, "seconds": 2.0, "measures": {"accuracy": 50.0}})
    again = Ledger(path)
    again.add({**key, "edges": 6})
    assert Ledger(path).rows == again.rows
    assert len(again.rows) == 2
    assert again.find(key) == again.rows[0]
    assert again.find({**key, "threads": 1}) is None
