"""The benchmark of one large graph in small: a killed training goes on, what is there is kept, two processes get the same options."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import large


def test_two_processes_get_the_same_options() -> None:
    alone, both = (large.command("gcn by clusters", n, ["--data", "power-law"], 9000, 10, Path("out")) for n in (1, 2))
    assert alone[:2] == ["-m", "renote.cli"]
    assert both[:5] == ["-m", "torch.distributed.run", "--nproc-per-node", "2", "-m"]
    assert alone[1:] == both[5:]
    assert alone[alone.index("--clusters") + 1] == "9"


def test_a_killed_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "PROCESSES", {"sage by neighbours": (1,)})
    ways = (600, 10.0, 40, tmp_path / "work", tmp_path / "out")
    (row,) = large.large(*ways)["rows"]
    log = (tmp_path / "work" / "sage-by-neighbours-1" / "log.csv").read_text()
    assert row["seconds_before_the_kill"] > 0
    assert log.splitlines()[-1].startswith("40,")
    assert row["peak_megabytes"] > 100
    assert 0 <= row["measures"]["test_accuracy"] <= 100
    monkeypatch.setattr(large, "run", None)  # nothing is left to train
    assert large.large(*ways)["rows"] == [row]


def test_a_training_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="ended with"):
        large.run(["-c", "raise SystemExit(3)"], tmp_path, killed=False)
