"""Commands on small graphs of one's own: what cannot be done is said before anything is trained or written."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from command_line import within

CLASSES = "ab"


def table(folder: Path, rows: list[dict[str, Any]], name: str) -> Path:
    path = folder / name
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def graph(folder: Path, nodes: int = 12, splits: str = "train,validation,test", **columns: Any) -> str:
    """A ring whose nodes are of two classes by turns; a column's values are repeated as often as it takes."""
    parts = splits.split(",")
    columns = {"x": [0.5, 1.5], "split": parts, **columns}
    rows = [
        {"id": k, "label": CLASSES[k % 2], **{name: values[k % len(values)] for name, values in columns.items()}}
        for k in range(nodes)
    ]
    ring = [{"source": k, "target": (k + 1) % nodes} for k in range(nodes if nodes > 1 else 0)]
    edges = table(folder, ring, "edges.csv") if ring else folder / "edges.csv"
    if not ring:
        edges.write_text("source,target\n")
    return f"graph:{edges},{table(folder, rows, 'nodes.csv')}"


@pytest.mark.parametrize(
    ("nodes", "splits", "message"),
    [
        (12, "train,validation", "has no nodes to test on: compare needs some. Raise test_fraction"),
        (1, "train", "has no nodes to test on"),
    ],
)
def test_without_test_nodes_nothing_is_compared(nodes: int, splits: str, message: str, tmp_path: Path) -> None:
    _, error = within("compare", "gcn", "--data", graph(tmp_path, nodes, splits), "--seeds", "1", status=2)
    assert message in error
    assert "comparing" not in error


def test_without_validation_nodes_the_last_weights_are_told(tmp_path: Path) -> None:
    line = ["compare", "gcn", "label-propagation", "--seeds", "1", "--steps", "2", "--data"]
    _, told = within(*line, graph(tmp_path, splits="train,test"))
    assert "0 validation, 6 test nodes), the last weights, test accuracy" in told
    assert "selected" not in told
    assert "weights selected by validation loss" in within(*line, graph(tmp_path))[1]


def test_scarce_classes_are_named_with_a_way_out(tmp_path: Path) -> None:
    _, error = within("compare", "mlp", "--data", graph(tmp_path), "--split", "per-class", status=2)
    assert "class 'a' has 6 labelled nodes" in error
    assert "--split random" in error


def test_a_search_is_refused_as_a_whole_and_tells_of_changes_alone(tmp_path: Path) -> None:
    data, work = graph(tmp_path), str(tmp_path / "work")
    for other, message in (
        ("label-propagation", "label-propagation learns no weights"),
        ("spectral-cnn", "spectral-cnn does signal classification and needs labelled samples on a grid"),
    ):
        _, error = within("tune", "gcn", other, "--data", data, "--work", work, status=2)
        assert message in error
        assert not Path(work).exists()
    _, error = within("tune", "gcn", "--data", graph(tmp_path, splits="train"), "--work", work, status=2)
    assert "has no nodes to validate or to test on: tune needs both" in error
    line = ["tune", "dcnn", "--data", graph(tmp_path), "--work", work, "--seeds", "2", "--draws", "2", "--steps", "2"]
    out, told = within(*line)
    assert "dcnn, as the preset, seed 0: validation" in told
    assert "dcnn, learning_rate" in told
    assert "seed 1000" in told
    assert '"hidden"' not in told
    assert "hidden" not in out
    # kept under all that a figure depends on, as before
    (kept,) = Path(work).glob("dcnn/*/measurements.json")
    assert 'hidden\\": 16' in kept.read_text()
    assert within(*line)[0] == out


def test_what_a_system_needs_is_told(tmp_path: Path) -> None:
    _, error = within("train", "spectral-cnn", "--data", graph(tmp_path), "--out", str(tmp_path / "run"), status=2)
    assert "spectral-cnn needs labelled samples on a grid, but" in error


def test_wrong_options_leave_no_folder(tmp_path: Path) -> None:
    line = ["train", "gcn", "--data", graph(tmp_path), "--out", str(tmp_path / "run")]
    assert "dropout = 1.5" in within(*line, "--dropout", "1.5", status=2)[1]
    assert not (tmp_path / "run").exists()


def test_labels_do_not_flow_along_negative_weights(tmp_path: Path) -> None:
    data = graph(tmp_path)
    rows = [{"source": k, "target": k + 1, "weight": -1.0 if k == 3 else 1.0} for k in range(11)]
    table(tmp_path, rows, "edges.csv")
    run = tmp_path / "run"
    _, error = within("train", "label-propagation", "--data", data, "--out", str(run), status=2)
    assert "has a negative weight" in error
    assert not run.exists()


def test_presets_are_shown_by_what_they_change() -> None:
    out = " ".join(within("show", "gat")[0].split())
    assert "preset pubmed: output_heads 8, learning_rate 0.01, weight_decay 0.001" in out
    assert "preset ppi: as paper" in within("show", "cluster-gcn")[0]
    assert json.loads(within("show", "gat", "--json")[0])["presets"]["pubmed"]["output_heads"] == 8


def test_pictures_take_the_options_they_are_given(tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    for option in (["--out", "x.png"], ["--node", "3"]):
        assert "gat is a system, of which nothing is drawn" in within("show", "gat", *option, status=2)[1]
    within("train", "gcn", "--data", graph(tmp_path), "--out", run, "--steps", "1")
    assert "is a run, of which a picture is drawn" in within("show", run, "--json", status=2)[1]
    _, error = within("predict", run, "--out", str(tmp_path), status=2)
    assert "which is a folder: give the name of a file" in error


def test_tables_that_do_not_mean_what_they_say(tmp_path: Path) -> None:
    _, error = within("data", "describe", graph(tmp_path, x=[0.5, 1e300]), status=2)
    assert "nodes.csv, line 3: '1e+300' in the column 'x' is too large for single precision" in error
    _, error = within("data", "describe", graph(tmp_path, train_mask=[0, 1]), status=2)
    assert "the column 'train_mask' of 0 and 1, which would be a feature" in error
    assert "'split'" in error
    within("data", "describe", graph(tmp_path, train=[0.5, 3]))
    data = graph(tmp_path)
    assert "repeated" not in within("data", "describe", data)[0]
    (tmp_path / "edges.csv").write_text("source,target\n0,1\n1,0\n0,1\n2,3\n")
    assert "repeated rows 2" in within("data", "describe", data)[0]


def test_large_identities_are_not_made_dense(tmp_path: Path) -> None:
    nodes = 60_000
    (tmp_path / "edges.csv").write_text("source,target\n0,1\n")
    rows = "\n".join(f"{k},{CLASSES[k % 2]}" for k in range(nodes))
    (tmp_path / "nodes.csv").write_text(f"id,label\n{rows}\n")
    data = f"graph:{tmp_path}/edges.csv,{tmp_path}/nodes.csv"
    for name, terms in (("sign", 5), ("dcnn", 3)):
        _, error = within("train", name, "--data", data, "--out", str(tmp_path / "run"), status=2)
        assert f"60000 features of 60000 nodes in {terms} terms" in error
        assert "features=degree" in error
