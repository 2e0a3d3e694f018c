"""A graph of the user's in tables: ids, classes and columns mean what they meant in training, in the same graph and in others."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import within

from renote import data, systems
from renote.data import NodeData
from renote.errors import CheckpointError, DataError, UsageError
from renote.experiment.node_form import KEPT_SINCE
from renote.graph import SparseFeatures

EDGES = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3), (2, 3)]
CLASSES = ("red, dark", 'gr"een')
TRAIN = ("--steps", "40", "--hidden", "8", "--dropout", "0", "--learning-rate", "0.1", "--device", "cpu")


def tables(
    folder: Path,
    columns: dict[str, Sequence[Any]],
    order: Sequence[int] = range(6),
    edges: Sequence[tuple[int, int]] = EDGES,
) -> str:
    """Two triangles with an edge between them, nodes n0 … n5 in an order; each column has a cell for each of those."""
    folder.mkdir(exist_ok=True)
    with (folder / "edges.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("source", "target"), *((f"n{a}", f"n{b}") for a, b in edges)])
    with (folder / "nodes.csv").open("w", newline="") as file:
        rows = [[f"n{k}", *(cells[k] for cells in columns.values())] for k in order]
        csv.writer(file).writerows([("id", *columns), *rows])
    return f"graph:{folder}/edges.csv,{folder}/nodes.csv"


A, B = (1.0, 1.2, 0.9, -1.0, -1.1, -0.8), (3.0, 0.5, 2.0, 5.0, 1.0, 4.0)
LABEL = [CLASSES[k // 3] for k in range(6)]
SPLIT = ("train", "train", "test", "train", "train", "test")
OWN: dict[str, Sequence[Any]] = {"a": A, "b": B, "label": LABEL, "split": SPLIT}


def trained(folder: Path, columns: dict[str, Sequence[Any]] = OWN, *more: str, system: str = "gcn") -> str:
    run = str(folder / "run")
    within("train", system, "--data", tables(folder, columns), "--out", run, *TRAIN, *more)
    return run


def predicted(folder: Path, run: str, *more: str) -> dict[str, list[str]]:
    """By node the cells of the table of predictions."""
    within("predict", run, "--out", str(folder / "p.csv"), *more)
    with (folder / "p.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert all(len(row) == len(header) for row in rows)
    return {"": header} | {row[0]: row[1:] for row in rows}


def evaluated(run: str, *more: str) -> dict[str, float]:
    return dict(json.loads(within("evaluate", run, "--json", *more)[0])["measures"])


def test_predictions_have_ids_and_any_class(tmp_path: Path) -> None:
    run = trained(tmp_path)
    found = predicted(tmp_path, run)
    assert found.pop("") == ["node", "class", "probability"]
    assert {node: row[0] for node, row in found.items()} == {f"n{k}": LABEL[k] for k in range(6)}
    several = {**OWN, "labels": [f"{CLASSES[0]}|x", CLASSES[0], "x", CLASSES[1], "x", CLASSES[1]]}
    del several["label"]
    found = predicted(tmp_path / "s", trained(tmp_path / "s", several))
    assert found.pop("") == ["node", CLASSES[1], CLASSES[0], "x"]
    assert list(found) == [f"n{k}" for k in range(6)]


def test_a_node_is_drawn_by_its_id(tmp_path: Path) -> None:
    run = trained(tmp_path, OWN, system="gat")
    loaded = systems.load_run(run)
    assert loaded.node_number("n4") == 4
    assert loaded.picture(4).axes[-1].get_title().startswith("node n4, 2 neighbours")
    within("show", run, "--node", "n4", "--out", str(tmp_path / "n4.png"))
    assert (tmp_path / "n4.png").stat().st_size > 1000
    _, err = within("show", run, "--node", "4", "--out", str(tmp_path / "n4.png"), status=2)
    assert "node = '4': no node of graph:" in err
    assert "such as 'n0'" in err
    _, err = within("show", trained(tmp_path / "chebnet", OWN, system="chebnet"), "--node", "n4", status=2)
    assert "node = n4: filters are the same at all nodes" in err


def test_without_names_a_node_has_a_number(tmp_path: Path) -> None:
    run = systems.load_run(trained(tmp_path))
    run.data = dataclasses.replace(run.data, names=())
    assert run.node_number("5") == 5
    with pytest.raises(UsageError, match="node = 'n5': give a number"):
        run.node_number("n5")
    assert run.write_predictions(tmp_path / "p.csv") == 6
    assert [row[0] for row in csv.reader((tmp_path / "p.csv").open())] == ["node", *"012345"]


def test_another_graph_is_read_by_names(tmp_path: Path) -> None:
    run = trained(tmp_path)
    own = predicted(tmp_path, run)
    # the same nodes, in another order, with columns in another, and with labels of one class, which alone would be number 0
    other: dict[str, Sequence[Any]] = {"b": B, "label": [*LABEL[:3], "", "", ""], "a": A}
    new = tables(tmp_path / "other", other, order=[4, 0, 5, 2, 1, 3])
    assert predicted(tmp_path, run, "--data", new) == own
    read: NodeData = systems.load_run(run, new).data
    assert read.classes == tuple(sorted(CLASSES))
    assert read.labels.tolist() == [-1, 1, -1, 1, 1, -1]
    assert read.features == ("a", "b")
    assert all(value == 100 for name, value in evaluated(run, "--data", new).items() if name.endswith("accuracy"))
    # unknown classes and columns are named
    unknown = tables(tmp_path / "unknown", {**OWN, "label": ["blue", *LABEL[1:]]})
    with pytest.raises(DataError, match="has the class 'blue', but the run was trained on"):
        systems.load_run(run, unknown)
    with pytest.raises(DataError, match="it lacks the column 'b' and has besides the column 'c'"):
        systems.load_run(run, tables(tmp_path / "unknown", {"a": A, "c": B, "label": LABEL}))
    with pytest.raises(DataError, match="whose nodes have 2 features, those of .* have 1: it lacks the column 'b'"):
        systems.load_run(run, tables(tmp_path / "unknown", {"a": A}))
    with pytest.raises(DataError, match="may be of several classes, but the run was .* of one: .* 'label'"):
        systems.load_run(run, tables(tmp_path / "unknown", {"a": A, "b": B, "labels": LABEL}))
    with pytest.raises(UsageError, match="gcn needs a graph with node classes, but digits is samples"):
        systems.load_run(run, "digits")


def test_columns_of_the_identity_are_nodes(tmp_path: Path) -> None:
    columns = {key: OWN[key] for key in ("label", "split")}
    run = trained(tmp_path, columns)
    own = predicted(tmp_path, run)
    turned = tables(tmp_path / "other", columns, order=[4, 0, 5, 2, 1, 3])
    assert predicted(tmp_path, run, "--data", turned) == own
    x = systems.load_run(run, turned).data.graph.x
    assert isinstance(x, SparseFeatures)
    assert torch.equal(x.to_dense(), torch.eye(6)[[4, 0, 5, 2, 1, 3]])
    fewer = tables(tmp_path / "other", columns, order=range(5), edges=EDGES[:3])
    with pytest.raises(DataError, match="have 6 features, those of .* have 5: it lacks the column 'n5'"):
        systems.load_run(run, fewer)
    with pytest.raises(DataError, match="lacks the columns 'n0', 'n1', 'n2', 'n3', 'n4' and 1 more"):
        systems.load_run(run, tables(tmp_path / "other", dict.fromkeys("uvwxyz", A)))


def test_several_classes_of_another_graph(tmp_path: Path) -> None:
    several = {"a": A, "b": B, "labels": ["x|z", "x", "x", "y", "y|z", "y"], "split": SPLIT}
    run = trained(tmp_path, several)
    own = predicted(tmp_path, run)
    new = tables(tmp_path / "other", {"a": A, "b": B, "labels": ["z", "z|y", "", "", "", "y"]})
    assert predicted(tmp_path, run, "--data", new) == own
    read: NodeData = systems.load_run(run, new).data
    assert read.labels.int().tolist() == [[0, 0, 1], [0, 1, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 1, 0]]
    bare = tables(tmp_path / "other", {"a": A, "b": B})
    assert predicted(tmp_path, run, "--data", bare) == own
    _, err = within("evaluate", run, "--data", bare, status=2)
    assert "add the column 'labels'" in err
    with pytest.raises(DataError, match="a node of .* may be of one class, but the run was trained on .* of several"):
        systems.load_run(run, tables(tmp_path / "other", {"a": A, "b": B, "label": ["x"] * 6}))


@pytest.mark.parametrize("system", ["rgcn", "column-network"])
def test_relations_of_another_graph_are_found_by_name(system: str, tmp_path: Path) -> None:
    def typed(folder: Path, relations: Sequence[str]) -> str:
        name = tables(folder, OWN)
        rows = [f"n{a},n{b},{relation}" for (a, b), relation in zip(EDGES, relations)]
        (folder / "edges.csv").write_text("\n".join(["source,target,relation", *rows]))
        return name

    run = str(tmp_path / "run")
    train = ("train", system, "--data", typed(tmp_path, ["knows", "owes"] * 3 + ["sees"]), "--out", run)
    within(*train, *TRAIN[:6])
    loaded: Any = systems.load_run(run, typed(tmp_path / "other", ["owes"] * 7))
    assert loaded.data.relations == ("knows", "owes", "sees")
    assert loaded.data.graph.relation.tolist() == [1] * 14
    # the network that was trained, on these edges: without another graph's names
    own: Any = systems.load_run(run)
    with torch.no_grad():
        expected = own.module.network.eval()(loaded.data.graph).softmax(1)
    torch.testing.assert_close(loaded.probabilities(), expected)
    # those that it has no weights for are named
    hated = typed(tmp_path / "other", ["hates", *["owes"] * 6])
    told = (
        "has the relation 'hates', but the run was trained on .* which has the relations 'knows', 'owes', 'sees': take"
    )
    with pytest.raises(DataError, match=told):
        systems.load_run(run, hated)
    assert "has the relation 'hates'" in within("evaluate", run, "--data", hated, status=2)[1]
    with pytest.raises(DataError, match="the edges of .* have no relation, but .* the relations 'knows', 'owes', 'se"):
        systems.load_run(run, tables(tmp_path / "other", OWN))
    untyped = trained(tmp_path / "untyped", system=system)
    hated = typed(tmp_path / "other", ["hates"] * 7)
    with pytest.raises(DataError, match="which has no relations: leave the column 'relation' out"):
        systems.load_run(untyped, hated)
    # and nobody asks for them who does not look at them
    assert len(predicted(tmp_path, trained(tmp_path / "blind", OWN), "--data", hated)) == 7


def test_a_graph_without_labels_is_predicted(tmp_path: Path) -> None:
    run = trained(tmp_path)
    new = tables(tmp_path / "other", {"a": A, "b": B, "split": SPLIT})
    assert predicted(tmp_path, run, "--data", new) == predicted(tmp_path, run)
    _, err = within("evaluate", run, "--data", new, status=2)
    assert "no node has a label to measure with; add the column 'label'" in err
    # what learns nothing has only the labels to go by
    lazy = str(tmp_path / "lazy")
    within("train", "label-propagation", "--data", tables(tmp_path, OWN), "--out", lazy)
    _, err = within("predict", lazy, "--data", new, status=2)
    assert "no node has a label; add a column 'label'" in err
    # and looks at no columns
    labelled = tables(tmp_path / "other", {"label": LABEL})
    assert len(predicted(tmp_path, lazy, "--data", labelled)) == 7


def test_another_graph_is_read_with_the_options_of_the_training(tmp_path: Path) -> None:
    options = ("--data-option", "features=degree", "directed=true", "test_fraction=0.5", "seed=3")
    columns = {"a": A, "label": LABEL}
    run = trained(tmp_path, columns, *options)
    new = tables(tmp_path / "other", columns, order=range(3), edges=EDGES[:3])
    read: NodeData = systems.load_run(run, new).data
    assert read.graph.num_features == 256
    assert read.graph.num_edges == 3
    assert read.features == ()
    assert len(predicted(tmp_path, run, "--data", new)) == 4
    # which nodes are in which part is the training's own: with a table that is the run's, all is as it was
    again: NodeData = systems.load_run(run, tables(tmp_path, columns)).data
    assert torch.equal(again.test, systems.load_run(run).data.test)


@pytest.mark.parametrize(
    ("system", "more"),
    [
        ("cluster-gcn", ("--batches", "clusters", "--clusters", "5", "--partition", "random")),
        ("dmon", ("--clusters", "5")),
    ],
)
def test_fewer_nodes_than_clusters_are_predicted(system: str, more: tuple[str, ...], tmp_path: Path) -> None:
    run = trained(tmp_path, OWN, *more, system=system)
    new = tables(
        tmp_path / "other",
        {"a": A, "b": B, "label": ["other"] * 6} if system == "dmon" else OWN,
        order=range(3),
        edges=EDGES[:3],
    )
    assert len(predicted(tmp_path, run, "--data", new)) == 4
    line = ["train", system, "--data", new, "--out", str(tmp_path / "few"), *TRAIN, *more]
    _, err = within(*line, status=2)
    assert "clusters = 5 of 3 nodes: there cannot be more" in err
    assert not (tmp_path / "few").exists()


def test_a_table_that_changed_is_refused(tmp_path: Path) -> None:
    run = trained(tmp_path)
    line = ["train", "gcn", "--data", tables(tmp_path, OWN), "--out", run, *TRAIN, "--resume"]
    within(*line)
    turned = tables(tmp_path, OWN, order=[1, 0, 2, 3, 4, 5])
    for command in (["evaluate", run], ["predict", run, "--out", str(tmp_path / "p.csv")], line):
        _, err = within(*command, status=1)
        assert "are not those that the run was trained on" in err
        assert "restore them, give them as other data (--data graph:" in err
    assert evaluated(run, "--data", turned)["test_accuracy"] == 100
    for other in ({**OWN, "label": [*LABEL[:5], LABEL[0]]}, {**OWN, "split": [*SPLIT[:5], "validation"]}):
        tables(tmp_path, other)
        with pytest.raises(CheckpointError, match="the nodes of .* are not those"):
            systems.load_run(run)


def test_runs_of_before_go_on(tmp_path: Path) -> None:
    run = trained(tmp_path)
    path = Path(run) / "config.json"
    own, saved = predicted(tmp_path, run), json.loads(path.read_text())
    assert {key: saved["data"].pop(key) for key in KEPT_SINCE}["features"] == ["a", "b"]
    path.write_text(json.dumps(saved))
    assert predicted(tmp_path, run) == own
    new = tables(tmp_path / "other", {"a": A, "b": B})
    assert predicted(tmp_path, run, "--data", new) == own
    within("train", "gcn", "--data", tables(tmp_path, OWN), "--out", run, *TRAIN, "--resume")
    assert json.loads(path.read_text())["data"].keys() >= {*KEPT_SINCE}


def test_training_needs_training_nodes(tmp_path: Path) -> None:
    known = data.load(tables(tmp_path, OWN))
    none = torch.empty(0, dtype=torch.long)
    with pytest.raises(DataError, match="the split 'train' is empty: there are no nodes of graph:"):
        systems.get("mlp").train(dataclasses.replace(known, train=none), tmp_path / "run", steps=1, progress=False)
    assert not (tmp_path / "run").exists()
