"""Runs on the user's own graphs and links, whose files have changed since."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import within

FEW = ("--steps", "5", "--hidden", "8", "--device", "cpu")


def graphs(folder: Path, count: int) -> str:
    """Rings and paths of four to six nodes."""
    folder.mkdir(exist_ok=True)
    labels = ["graph,label"]
    for number in range(count):
        nodes, ring = 4 + number % 3, number % 2
        edges = [(k, k + 1) for k in range(nodes - 1)] + ([(nodes - 1, 0)] if ring else [])
        (folder / f"g{number:02}.csv").write_text("source,target\n" + "".join(f"{a},{b}\n" for a, b in edges))
        labels.append(f"g{number:02},{'ring' if ring else 'path'}")
    (folder / "labels.csv").write_text("\n".join(labels) + "\n")
    return f"graphs:{folder}"


def links(folder: Path, count: int) -> str:
    """Each of so many nodes with the three after it, in a ring."""
    folder.mkdir(exist_ok=True)
    rows = [f"n{k},n{(k + step) % count}" for k in range(count) for step in (1, 2, 3)]
    (folder / "links.csv").write_text("source,target\n" + "\n".join(rows) + "\n")
    return f"links:{folder}/links.csv"


@pytest.mark.parametrize(("system", "write", "option"), [("gin", graphs, ()), ("seal", links, ("--epochs", "1"))])
def test_parts_of_other_files_are_not_those_of_the_training(
    tmp_path: Path, system: str, write: object, option: tuple[str, ...]
) -> None:
    assert callable(write)
    run, name = str(tmp_path / "run"), write(tmp_path / "own", 20)
    within("train", system, "--data", name, "--out", run, *FEW, *option)
    before = json.loads(within("evaluate", run, "--json")[0])["measures"]
    write(tmp_path / "own", 21)
    _, told = within("evaluate", run, status=1)
    assert "are not those that the run was trained on" in told
    assert f"give them as other data (--data {name})" in told
    assert (
        "as other data" in within("train", system, "--data", name, "--out", run, *FEW, *option, "--resume", status=1)[1]
    )
    within("predict", run, "--data", name, "--out", str(tmp_path / "table.csv"))
    write(tmp_path / "own", 20)
    for file in (tmp_path / "own").glob("g20.csv"):
        file.unlink()
    assert json.loads(within("evaluate", run, "--json")[0])["measures"] == before


def test_graphs_in_another_order_are_not_those_of_the_training(tmp_path: Path) -> None:
    """Their labels and parts are the same by number, but other graphs have these numbers."""
    run, name = str(tmp_path / "run"), graphs(tmp_path / "own", 20)
    within("train", "gin", "--data", name, "--out", run, *FEW)
    table = tmp_path / "own" / "labels.csv"
    table.write_text(table.read_text().replace("g00,", "?,").replace("g02,", "g00,").replace("?,", "g02,"))
    assert "are not those that the run was trained on" in within("evaluate", run, status=1)[1]


def test_runs_of_before_go_on(tmp_path: Path) -> None:
    run, name = tmp_path / "run", graphs(tmp_path / "own", 20)
    within("train", "gin", "--data", name, "--out", str(run), *FEW)
    saved = json.loads((run / "config.json").read_text())
    del saved["data"]["fingerprint"]
    (run / "config.json").write_text(json.dumps(saved))
    graphs(tmp_path / "own", 21)
    within("evaluate", str(run))


def test_the_fair_protocol_trains_anew_on_changed_graphs(tmp_path: Path) -> None:
    from renote import experiment, systems

    lab = experiment.Lab(systems.get("gin"), "laptop", tmp_path / "lab", progress=False)
    protocol = experiment.Protocol(runs=1, epochs=1, patience=0, folds=2)

    def kept() -> set[str]:
        experiment.fair(lab, systems.get("gin"), graphs(tmp_path / "own", 20), protocol, hidden=4)
        return set(json.loads((tmp_path / "lab" / "measurements.json").read_text()))

    first = kept()
    assert kept() == first
    table = tmp_path / "own" / "labels.csv"
    swapped = table.read_text().replace("ring", "?").replace("path", "ring").replace("?", "path")
    lab = experiment.Lab(systems.get("gin"), "laptop", tmp_path / "lab", progress=False)
    name = graphs(tmp_path / "own", 20)
    table.write_text(swapped)
    experiment.fair(lab, systems.get("gin"), name, protocol, hidden=4)
    assert len(json.loads((tmp_path / "lab" / "measurements.json").read_text())) == 2 * len(first)
