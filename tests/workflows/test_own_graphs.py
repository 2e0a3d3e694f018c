"""Folders of graphs of the user's: names, columns and degrees mean what they meant in training, in other folders too."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import within

from renote import systems
from renote.errors import DataError

FEW = ("--steps", "5", "--hidden", "8", "--device", "cpu")


def stars(folder: Path, sizes: Sequence[int], columns: str = "") -> str:
    """A star of each size and a path of as many nodes; with columns, each a number that tells the nodes apart."""
    folder.mkdir()
    rows, nodes = ["graph,label"], [f"graph,id,{columns}"]
    for size in sizes:
        for kind, ends in (
            ("star", [(0, k) for k in range(1, size)]),
            ("path", [(k - 1, k) for k in range(1, size)]),
        ):
            name = f"{kind}{size}"
            (folder / f"{name}.csv").write_text("source,target\n" + "".join(f"n{a},n{b}\n" for a, b in ends))
            rows.append(f"{name},{kind}")
            value = {"a": 1.0, "b": -2.0, "c": 5.0}
            nodes += (
                [",".join([name, f"n{k}", *(str(value[c] + k) for c in columns.split(","))]) for k in range(size)]
                if columns
                else []
            )
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    if columns:
        (folder / "nodes.csv").write_text("\n".join(nodes) + "\n")
    return f"graphs:{folder}"


def trained(folder: Path, name: str, *more: str) -> str:
    run = str(folder / "run")
    within("train", "gin", "--data", name, "--out", run, *FEW, *more)
    return run


def predicted(folder: Path, run: str, *more: str) -> dict[str, list[str]]:
    within("predict", run, "--out", str(folder / "p.csv"), *more)
    with (folder / "p.csv").open(newline="") as file:
        _, *rows = csv.reader(file)
    return {row[0]: row[1:] for row in rows}


def test_larger_degrees_than_in_training_are_the_highest_of_it(tmp_path: Path) -> None:
    run = trained(tmp_path, stars(tmp_path / "own", range(4, 8)))
    own = predicted(tmp_path, run)
    assert set(own) == {f"{kind}{size}" for kind in ("star", "path") for size in range(4, 8)}
    read: Any = systems.load_run(run, stars(tmp_path / "other", [5, 12, 20])).data
    assert read.features[-1] == "degree 6 or more"
    assert int((read.graphs.x.argmax(1) == 6).sum()) == 2
    found = predicted(tmp_path, run, "--data", f"graphs:{tmp_path}/other")
    assert found["star5"] == own["star5"]
    assert len(found) == 6
    # smaller ones, too, have the columns of the training
    assert predicted(tmp_path, run, "--data", stars(tmp_path / "small", [4, 5]))["path4"] == own["path4"]
    with pytest.raises(
        DataError,
        match="whose nodes have 7 features, .* have 1: it lacks the columns 'degree 0', .* and has besides the column 'a'",
    ):
        systems.load_run(run, stars(tmp_path / "measured", [4, 5], "a"))


def test_columns_of_other_graphs_are_found_by_name(tmp_path: Path) -> None:
    run = trained(tmp_path, stars(tmp_path / "own", range(4, 8), "a,b"))
    own = predicted(tmp_path, run)
    assert predicted(tmp_path, run, "--data", stars(tmp_path / "other", [6], "b,a"))["star6"] == own["star6"]
    with pytest.raises(DataError, match="it lacks the column 'b' and has besides the column 'c'"):
        systems.load_run(run, stars(tmp_path / "third", [4, 5], "a,c"))
    with pytest.raises(DataError, match="lacks the columns 'a', 'b' and has besides"):
        systems.load_run(run, stars(tmp_path / "bare", [4, 5]))


def test_other_graphs_are_read_as_directed_as_those_of_the_training(tmp_path: Path) -> None:
    run = trained(tmp_path, stars(tmp_path / "own", range(4, 8)), "--data-option", "directed=true", "seed=3")
    read: Any = systems.load_run(run, stars(tmp_path / "other", [5])).data
    assert read.graphs.num_edges == 2 * 4
    # which graphs are in which part is the training's own where they are the run's
    again: Any = systems.load_run(run, f"graphs:{tmp_path}/own").data
    assert torch.equal(again.test, systems.load_run(run).data.test)  # type: ignore[attr-defined]
