"""Several graphs of the user's in tables, whole graphs in each part: what the layout of the protein graphs gives, by two tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import within

from renote import data
from renote.data import NodeData
from renote.errors import DataError
from renote.graph import SparseFeatures

GRAPHS = {"a": "train", "b": "train", "c": "val", "d": "test"}
"""Each is a path of three nodes."""
TRAIN = ("--steps", "3", "--validate-every", "1", "--device", "cpu")


def rows(split: bool = True) -> list[dict[str, str]]:
    """The nodes, one of each graph after the other, so that those of a graph are apart."""
    found = []
    for place in range(3):
        for k, (graph, part) in enumerate(GRAPHS.items()):
            row = {"id": f"{graph}{place}", "graph": graph, "w": str(k + place / 4), "v": str(place)}
            found.append(row | {"labels": "x|y" if place else "x"} | ({"split": part} if split else {}))
    return found


def tables(folder: Path, nodes: list[dict[str, str]], more: str = "") -> str:
    folder.mkdir(exist_ok=True)
    lines = [",".join(nodes[0]), *(",".join(node.values()) for node in nodes)]
    (folder / "nodes.csv").write_text("\n".join(lines))
    edges = [f"{graph}{place},{graph}{place + 1}" for graph in GRAPHS for place in range(2)]
    (folder / "edges.csv").write_text("\n".join(["source,target", *edges, more]))
    return f"graph:{folder}/edges.csv,{folder}/nodes.csv"


def loaded(name: str, **options: object) -> NodeData:
    found = data.load(name, **options)
    assert isinstance(found, NodeData)
    return found


def layout(folder: Path) -> str:
    """The same graphs as files of the layout of the protein graphs."""
    folder.mkdir()
    for stem, names in {"train": "ab", "valid": "c", "test": "d"}.items():
        places = [(graph, place) for graph in names for place in range(3)]
        number = [list(GRAPHS).index(graph) for graph, _ in places]
        np.save(folder / f"{stem}_graph_id.npy", number)
        np.save(folder / f"{stem}_feats.npy", [[k + place / 4, place] for k, (_, place) in zip(number, places)])
        np.save(folder / f"{stem}_labels.npy", [[1, int(place > 0)] for _, place in places])
        links = [{"source": row, "target": row + 1} for row, (_, place) in enumerate(places) if place < 2]
        content = {"nodes": [{"id": row} for row in range(len(places))], "links": links}
        (folder / f"{stem}_graph.json").write_text(json.dumps(content))
    return str(folder)


@pytest.mark.parametrize("system", ["graphsage", "gat", "gaan", "jk-net"])
def test_tables_train_as_the_layout_of_the_protein_graphs_does(system: str, tmp_path: Path) -> None:
    name, folder = tables(tmp_path, rows()), layout(tmp_path / "layout")
    ours, theirs = loaded(name), loaded("ppi", folder=folder)
    assert (ours.inductive, ours.several, ours.classes) == (True, True, ("x", "y"))
    assert ours.card.counts == theirs.card.counts
    for part, nodes in theirs.splits.items():
        assert torch.equal(ours.splits[part], nodes)
    assert torch.equal(ours.labels, theirs.labels)
    one, other = ours.graph, theirs.graph
    assert one.num_graphs == other.num_graphs == 4
    for a, b in ((one.x, other.x), (one.graph_of_node, other.graph_of_node)):
        assert isinstance(a, torch.Tensor)
        assert isinstance(b, torch.Tensor)
        assert torch.equal(a, b)
    assert torch.equal(one.adjacency.edge_index(), other.adjacency.edge_index())
    told = []
    for out, given in (("tables", [name]), ("files", ["ppi", "--data-option", f"folder={folder}"])):
        within("train", system, "--data", *given, "--out", str(tmp_path / out), *TRAIN)
        within("predict", str(tmp_path / out), "--out", str(tmp_path / f"{out}.csv"))
        table = [line.split(",") for line in (tmp_path / f"{out}.csv").read_text().splitlines()]
        told.append([cells[1:] for cells in table[1:]])
        measured = json.loads(within("evaluate", str(tmp_path / out), "--json")[0])["measures"]
        assert {"train_micro_f1", "validation_micro_f1", "test_micro_f1"} <= set(measured)
    assert told[0] == told[1]
    # another set of graphs, of which nothing was known in training
    new = [{key: node[key] for key in ("id", "graph", "w", "v")} for node in rows()]
    within("predict", str(tmp_path / "tables"), "--data", tables(tmp_path / "new", new), "--out", str(tmp_path / "p"))
    again = [line.split(",") for line in (tmp_path / "p").read_text().splitlines()]
    assert [cells[0] for cells in again[1:]] == [f"{graph}{place}" for graph in GRAPHS for place in range(3)]
    assert [cells[1:] for cells in again[1:]] == told[0]


def test_a_node_that_is_known_to_be_of_no_class_is_trained_on(tmp_path: Path) -> None:
    nodes = [{**node, "labels": "|" if node["id"] == "a1" else node["labels"]} for node in rows()]
    found = loaded(tables(tmp_path, nodes))
    assert found.labels[:3].tolist() == [[True, False], [False, False], [True, True]]
    assert found.train.tolist() == [0, 1, 2, 3, 4, 5]
    nodes[0]["labels"] = ""  # which is unknown
    with pytest.raises(DataError, match="line 2: the node is in the split 'train' and has no label"):
        loaded(tables(tmp_path, nodes))
    with pytest.raises(DataError, match="no node has a label; fill the column 'labels'"):
        loaded(tables(tmp_path, [{**node, "labels": "|"} for node in nodes]))


def test_without_a_split_whole_graphs_are_drawn(tmp_path: Path) -> None:
    nodes = [{**node, "labels": "" if node["id"] == "a0" else node["labels"]} for node in rows(split=False)]
    name = tables(tmp_path, nodes)
    drawn = []
    for seed in range(8):
        found = loaded(name, validation_fraction=0.25, test_fraction=0.25, seed=seed)
        of = found.graph.graph_of_node
        assert of is not None
        graphs = [set(of[part].tolist()) for part in found.splits.values()]
        assert [len(part) for part in graphs] == [2, 1, 1]
        assert set.union(*graphs) == {0, 1, 2, 3}
        # all nodes but the one without a label
        assert sorted(torch.cat([*found.splits.values()]).tolist()) == [*range(1, 12)]
        assert found.inductive
        drawn.append(tuple(map(tuple, graphs)))
    assert len(set(drawn)) > 1


def test_graphs_without_columns_of_features_have_degrees(tmp_path: Path) -> None:
    keys = ("id", "graph", "labels", "split")
    found = loaded(tables(tmp_path, [{key: node[key] for key in keys} for node in rows()]))
    assert isinstance(found.graph.x, SparseFeatures)
    assert found.graph.x.to_dense()[:3].argmax(1).tolist() == [1, 2, 1]
    within("train", "gcn", "--data", found.name, "--out", str(tmp_path / "run"), *TRAIN)
    # of one more graph too, whose table need not say that it is one
    one = tables(tmp_path / "one", [{"id": node["id"]} for node in rows()])
    within("predict", str(tmp_path / "run"), "--data", one, "--out", str(tmp_path / "p.csv"))


@pytest.mark.parametrize(
    ("place", "changes", "edge", "message"),
    [
        (0, {}, "a0,c1", r"edges.csv, line 10: the edge from 'a0' of the graph 'a' to 'c1' of the graph 'c' joins two"),
        (5, {"graph": ""}, "", r"nodes.csv, line 7: the node has no graph: name it, or leave the column 'graph' out"),
        (5, {"split": "test"}, "", r"line 7: the graph 'b' has nodes in the splits 'train' and 'test': put all"),
        (5, {"split": "tset"}, "", r"line 7: unknown split 'tset'"),
        (5, {"id": "a0"}, "", r"the id 'a0' appears again: give each node its own, also if they are of several graphs"),
    ],
)
def test_graphs_that_are_not_apart_are_named_by_line(
    place: int, changes: dict[str, str], edge: str, message: str, tmp_path: Path
) -> None:
    nodes = rows()
    nodes[place] |= changes
    name = tables(tmp_path, nodes, edge)
    with pytest.raises(DataError, match=message):
        data.load(name)


def test_parquet_tables_say_which_graph_too(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    name = tables(tmp_path, rows())
    cells = {key: [node[key] for node in rows()] for key in rows()[0]}
    cells["w"] = [float(value) for value in cells["w"]]  # type: ignore[misc]
    parquet.write_table(arrow.table(cells), tmp_path / "nodes.parquet")
    found, expected = loaded(name.replace("nodes.csv", "nodes.parquet")), loaded(name)
    assert found.names == expected.names
    assert found.fingerprint == expected.fingerprint
    assert torch.equal(found.graph.x, expected.graph.x)  # type: ignore[arg-type]
