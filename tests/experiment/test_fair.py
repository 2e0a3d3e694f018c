"""The fair protocol: nothing that is tested on chooses, what is done is kept, and the command line puts systems through it."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from graph_files import told, write_graphs

from renote import systems
from renote.cli import run_command
from renote.commands.terminal import parse_grid
from renote.data import GraphData
from renote.errors import UsageError
from renote.experiment import Lab, Protocol, fair

FAIR = __import__("renote.experiment.protocol", fromlist=["fair"])


def lab(folder: Path) -> Lab:
    made = Lab(systems.get("errica"), "laptop", folder, progress=False)
    made._data["told []"] = told()
    return made


GRID = ({"learning_rate": 1e-9}, {"learning_rate": 0.1})
SMALL = Protocol(GRID, runs=2, epochs=8, patience=0, folds=4)


def test_the_better_point_is_chosen_on_validation_and_tested(tmp_path: Path) -> None:
    protocol = Protocol(({"learning_rate": 1e-9}, {"learning_rate": 0.02}), runs=2, epochs=15, patience=0, folds=4)
    found = fair(lab(tmp_path), systems.get("errica"), "told", protocol, hidden=32, batch_size=7, dropout=0.0)
    assert found["chosen"] == [1] * 4
    assert found["accuracies"] == [100.0] * 4
    assert (found["mean"], found["std"]) == (100.0, 0.0)


def test_tested_graphs_choose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that is told the fold's number by the test accuracy alone must not be chosen for it; folds, hold-outs and seeds are as said."""
    seen: list[tuple[int, int, float, GraphData]] = []

    class Found:
        trained = None

        def __init__(self, rate: float) -> None:
            self.rate = rate

        def evaluate(self) -> dict[str, float]:
            return {"validation_accuracy": 50 - self.rate, "test_accuracy": 100 * self.rate}

    def train(system: Any, data: GraphData, config: Any, progress: bool) -> Found:
        seen.append((config.seed, config.steps, config.learning_rate, data))
        assert (config.validate_every, config.patience) == (config.steps // 8, 0)
        return Found(config.learning_rate)

    monkeypatch.setattr(FAIR, "train", train)
    found = fair(lab(tmp_path), systems.get("errica"), "told", SMALL, batch_size=10)
    assert found["chosen"] == [0] * 4
    assert found["mean"] == pytest.approx(1e-7)
    assert [(seed, rate) for seed, _, rate, _ in seen[:4]] == [(0, 1e-9), (0, 0.1), (100, 1e-9), (101, 1e-9)]
    assert len(seen) == 16
    tested = [set(data.test.tolist()) for _, _, _, data in seen]
    assert tested[0] == tested[3] != tested[4]
    assert set().union(*tested) == set(range(40))
    assert len(seen[0][3].train) == 26  # of the 15 of each class in the other folds 1.5, rounded to 2, validate
    assert seen[0][1] == 8 * 3
    assert set(seen[0][3].validation.tolist()) == set(seen[1][3].validation.tolist())
    assert set(seen[2][3].validation.tolist()) != set(seen[3][3].validation.tolist())
    for _, _, _, data in seen:
        parts = [set(part.tolist()) for part in data.splits.values()]
        assert sum(map(len, parts)) == 40 == len(set().union(*parts))


def test_what_is_done_is_kept_and_other_settings_are_done_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = FAIR.train

    def stopping(*given: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return real(*given, **options)

    monkeypatch.setattr(FAIR, "train", stopping)
    with pytest.raises(KeyboardInterrupt):
        fair(lab(tmp_path), systems.get("errica"), "told", SMALL, hidden=8)
    found = fair(lab(tmp_path), systems.get("errica"), "told", SMALL, hidden=8)
    assert len(calls) == 16 + 1
    assert fair(lab(tmp_path), systems.get("errica"), "told", SMALL, hidden=8) == found
    assert len(calls) == 17
    fair(lab(tmp_path), systems.get("errica"), "told", dataclasses.replace(SMALL, epochs=2), hidden=8)
    assert len(calls) == 17 + 16


def test_what_cannot_be_put_through_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gcn does node classification: the fair protocol is for graph"):
        fair(lab(tmp_path), systems.get("gcn"), "told", SMALL)
    with pytest.raises(UsageError, match="digits is not graphs with a class each"):
        fair(lab(tmp_path), systems.get("errica"), "digits", SMALL)
    with pytest.raises(UsageError, match="option of errica.*'ratio'"):
        fair(lab(tmp_path), systems.get("errica"), "told", Protocol(({"ratio": 0.5},)))
    for wrong, message in (
        ({"grid": ()}, "grid is empty"),
        ({"runs": 0}, "runs = 0"),
        ({"validation_fraction": 1}, "validation_fr"),
    ):
        with pytest.raises(UsageError, match=message):
            Protocol(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="grid 'hidden'"):
        parse_grid(["hidden"])


def test_a_grid_is_every_combination() -> None:
    assert parse_grid(["hidden=8,16", "learning-rate=0.1"]) == (
        {"hidden": 8, "learning_rate": 0.1},
        {"hidden": 16, "learning_rate": 0.1},
    )
    assert parse_grid([]) == ({},)


def test_from_the_command_line(tmp_path: Path, mirror: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["fair", "gin", "--data", "mutag", "--grid", "hidden=8", "--grid", "layers=1", "--epochs", "2"]
    line += ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "fair.json")]
    run_command([*line, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in document["rows"]] == ["gin", "errica"]
    assert document["grid"] == [{"hidden": 8, "layers": 1}]
    kept = json.loads((tmp_path / "fair.json").read_text())
    assert kept["rows"] == document["rows"]
    assert {"command", "versions", "machine"} <= kept.keys()
    run_command(line)
    assert "test accuracy (%)" in capsys.readouterr().out
    with pytest.raises(UsageError, match="option of errica"):
        run_command([*line, "--grid", "learn_epsilon=true"])


def test_data_are_read_with_their_options(tmp_path: Path) -> None:
    """As `train` reads them; what is kept of other options is not theirs."""
    name = f"graphs:{write_graphs(tmp_path / 'graphs')}"
    line = ["fair", "gin", "--data", name, "--grid", "hidden=4", "--epochs", "1", "--no-baseline"]
    line += ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "fair.json")]
    for folds in (2, 3):
        run_command([*line, "--data-option", f"folds={folds}", "directed=true"])
        found = json.loads((tmp_path / "fair.json").read_text())
        assert len(found["rows"][0]["accuracies"]) == folds
        assert found["protocol"].endswith(f"data with folds = {folds}, directed = True.")
        assert "1 point of a grid" in found["protocol"]
    kept = cells(tmp_path / "work")
    assert len(kept) == 2 + 3
    assert all(", data with folds = " in key and "directed = True, gin" in key for key in kept)
    # in a process of its own, too
    protocol = Protocol(epochs=1, patience=20, data_options={"folds": 3, "directed": True})
    (value,) = [cell["value"] for key, cell in kept.items() if "fold 3 of 3" in key]
    again = FAIR._named(systems.get("gin"), name, protocol, 3, 100, {"hidden": 4})
    assert again == value
    for option, message in (
        ("fold=3", "data option fold = 3: here every fold is tested on in turn"),
        ("fodls=3", "option of the data set"),
        ("folds=1", "folds is 1: there must be at least two"),
    ):
        with pytest.raises(UsageError, match=message):
            run_command([*line, "--data-option", option])


def test_the_claim_is_judged_by_where_the_baseline_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from renote.systems import errica

    published = {data: dict(row) for data, row in errica.PUBLISHED.items()}

    def found(lab: Lab, system: Any, data: str, protocol: Protocol, **changes: Any) -> dict[str, Any]:
        assert changes == ({"embed": False} if system.name == "errica" and data in errica.FINGERPRINTS else {})
        assert protocol.runs == 1
        value = published[data].get(system.name, 60.0)
        return {"accuracies": [value - 1.0, value + 1.0]}

    monkeypatch.setattr(FAIR, "fair", found)
    monkeypatch.setattr("renote.experiment.fair", found)
    made = Lab(systems.get("errica"), "laptop", tmp_path, progress=False)
    outcome = systems.get("errica").claim("fair").experiment(made)
    assert outcome.holds
    assert outcome.measured["enzymes sagpool"]["mean"] == 60.0
    assert "nci1 sagpool" not in outcome.measured
    assert "2 points of a grid" in outcome.note
    published["enzymes"]["gin"] = 70.0
    assert not systems.get("errica").claim("fair").experiment(made).holds


def test_processes_find_what_one_does_and_nothing_is_done_twice(tmp_path: Path) -> None:
    folder = write_graphs(tmp_path / "graphs")
    line = ["fair", "gin", "--data", f"graphs:{folder}", "--grid", "hidden=4,8", "--epochs", "2", "--runs", "2"]
    found = []
    for name, more in (("two", ["--processes", "2"]), ("one", [])):
        run_command([*line, "--work", str(tmp_path / name), "--out", str(tmp_path / f"{name}.json"), *more])
        (kept,) = (tmp_path / name).glob("*/measurements.json")
        found.append((json.loads((tmp_path / f"{name}.json").read_text())["rows"], json.loads(kept.read_text())))
    (rows, cells), (rows_of_one, cells_of_one) = found
    assert rows == rows_of_one
    assert {key: cell["value"] for key, cell in cells.items()} == {
        key: cell["value"] for key, cell in cells_of_one.items()
    }
    assert len(cells) == 2 * 10 * (2 + 2)


def test_what_processes_did_is_kept_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_graphs(tmp_path / "graphs")
    protocol = Protocol(runs=1, epochs=1, patience=0, folds=3)
    made = Lab(systems.get("gin"), "laptop", tmp_path / "lab", progress=False, processes=2)
    real, kept = Lab.keep, []

    def stop(self: Lab, key: str, value: Any, seconds: float, told: str | None = None) -> None:
        real(self, key, value, seconds, told)
        kept.append(key)
        raise KeyboardInterrupt

    monkeypatch.setattr(Lab, "keep", stop)
    with pytest.raises(KeyboardInterrupt):
        fair(made, systems.get("gin"), f"graphs:{folder}", protocol, hidden=4)
    assert len(json.loads((tmp_path / "lab" / "measurements.json").read_text())) == 1

    def count(self: Lab, key: str, value: Any, seconds: float, told: str | None = None) -> None:
        real(self, key, value, seconds, told)
        kept.append(key)

    monkeypatch.setattr(Lab, "keep", count)
    again = Lab(systems.get("gin"), "laptop", tmp_path / "lab", progress=False)
    assert len(fair(again, systems.get("gin"), f"graphs:{folder}", protocol, hidden=4)["accuracies"]) == 3
    assert len(kept) == len(set(kept)) == 3


def test_two_commands_do_not_work_in_one_folder(tmp_path: Path) -> None:
    one, two = (Lab(systems.get("gin"), "laptop", tmp_path, progress=False) for _ in range(2))
    with one.alone():
        one.keep("a", 1.0, 0.0)
        with pytest.raises(UsageError, match="another process works in"), two.alone():
            pass
    with two.alone():
        assert two.has("a")
    with pytest.raises(UsageError, match="processes = 0"):
        Lab(systems.get("gin"), "laptop", tmp_path, processes=0)


def test_a_changed_preset_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    real = FAIR.train
    monkeypatch.setattr(FAIR, "train", lambda *given, **options: (calls.append(1), real(*given, **options))[1])
    protocol = Protocol(runs=1, epochs=1, patience=0, folds=2)
    fair(lab(tmp_path), systems.get("errica"), "told", protocol)
    other = dataclasses.replace(systems.get("errica"), presets={"laptop": {"hidden": 3}})
    fair(lab(tmp_path), other, "told", protocol)
    assert len(calls) == 4


@pytest.mark.parametrize("name", [name for name in systems.names() if systems.get(name).kind == "graphs"])
def test_a_system_can_be_sent_to_a_process(name: str) -> None:
    import pickle

    assert pickle.loads(pickle.dumps(systems.get(name))).name == name


def running() -> dict[int, int]:
    """Number of each process that runs, and that of its parent."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:  # it has just ended
            continue
        # what has ended and is not waited for is not running
        if state != "Z":
            found[int(path.parent.name)] = int(parent)
    return found


def cells(work: Path) -> dict[str, Any]:
    (kept,) = work.glob("*/measurements.json")
    found: dict[str, Any] = json.loads(kept.read_text())
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_killed_protocol_leaves_no_process_and_goes_on(tmp_path: Path) -> None:
    folder = write_graphs(tmp_path / "graphs")
    line = ["fair", "gin", "--data", f"graphs:{folder}", "--grid", "hidden=4", "--epochs", "3", "--no-baseline"]
    work = tmp_path / "killed"
    command = [sys.executable, "-m", "renote.cli", *line, "--work", str(work), "--processes", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(work.glob("*/measurements.json")):
        time.sleep(0.01)
    children = [number for number, parent in running().items() if parent == process.pid]
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert len(children) >= 2
    until = time.monotonic() + 20
    while left := set(children) & running().keys():
        assert time.monotonic() < until, f"{left} are still there"
        time.sleep(0.05)
    before = cells(work)
    for name in ("killed", "whole"):
        run_command([*line, "--work", str(tmp_path / name), "--out", str(tmp_path / f"{name}.json")])
    after, whole = cells(work), cells(tmp_path / "whole")
    # what was finished has the seconds that it had
    assert {key: after[key] for key in before} == before
    assert 0 < len(before) < len(after)
    assert {key: cell["value"] for key, cell in after.items()} == {key: cell["value"] for key, cell in whole.items()}
    rows = [json.loads((tmp_path / f"{name}.json").read_text())["rows"] for name in ("killed", "whole")]
    assert rows[0] == rows[1]
