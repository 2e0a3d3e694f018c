"""Whole graphs with classes: the TU sets as published, folds, the user's own folder, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from renote import data
from renote.data import Card, GraphData
from renote.data.split import split_fold, stratified_folds
from renote.data.tu import read_graphs
from renote.errors import DataError, UsageError
from renote.graph import Adjacency, Graph, batch, unbatch

PUBLISHED = {
    "mutag": ((125, 63), 17.93, 19.79, 7),
    "ptc": ((152, 192), 14.29, 14.69, 18),
    "proteins": ((663, 450), 39.06, 72.82, 3),
    "enzymes": ((100,) * 6, 32.63, 62.14, 21),
    "nci1": ((2053, 2057), 29.87, 32.30, 37),
    "imdb-binary": ((500, 500), 19.77, 96.53, 136),
    "dd": ((691, 487), 284.32, 715.66, 82),
}


def graphs(name: str, **options: Any) -> GraphData:
    loaded = data.load(name, **options)
    assert isinstance(loaded, GraphData)
    return loaded


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_sets_are_the_published_ones(name: str, mirror: Path) -> None:
    classes, nodes, edges, features = PUBLISHED[name]
    found = graphs(name)
    assert sorted(torch.bincount(found.labels).tolist()) == sorted(classes)
    assert found.graphs.num_nodes / found.num_graphs == pytest.approx(nodes, abs=0.006)
    assert found.graphs.num_edges / 2 / found.num_graphs == pytest.approx(edges, abs=0.006)
    assert found.graphs.num_features == features == data.cards()[name].shape[0]
    assert found.num_graphs == data.cards()[name].size
    one = found.graphs.adjacency
    turned = one.transpose()
    assert torch.equal(one.source, turned.source)
    assert torch.equal(one.target, turned.target)
    # the ten test parts are apart, and what is not tested on is trained or validated on
    everything = torch.cat(found.folds)
    assert len(found.folds) == 10
    assert len(everything.unique()) == len(everything)
    assert sum(map(len, found.splits.values())) == found.num_graphs


def test_features_are_tags_degrees_or_both(mirror: Path) -> None:
    tags, degrees, both = (graphs("mutag", features=f).graphs.x for f in ("tags", "degree", "tags+degree"))
    assert isinstance(tags, torch.Tensor)
    assert isinstance(degrees, torch.Tensor)
    torch.testing.assert_close(both, torch.cat([tags, degrees], 1))
    assert bool((tags.sum(1) == 1).all())
    found = graphs("mutag", features="degree").graphs
    assert torch.equal(degrees.argmax(1), found.adjacency.pattern.count.long())
    with pytest.raises(UsageError, match="kind of features"):
        graphs("mutag", features="tag")


def test_attributes_of_enzymes_belong_to_their_nodes(mirror: Path) -> None:
    """Of the tags and the attributes, which come from two files, the first attribute is told by an independent reading to differ by tag."""
    x = graphs("enzymes").graphs.x
    plain = graphs("enzymes", attributes=False).graphs.x
    assert isinstance(x, torch.Tensor)
    assert torch.equal(x[:, :3], plain)
    torch.testing.assert_close(x[:, 3:].mean(0), torch.zeros(18), atol=1e-5, rtol=0)
    torch.testing.assert_close(x[:, 3:].std(0, correction=0), torch.ones(18), atol=1e-4, rtol=0)
    # a mismatch of the rows of the two files would leave the attributes of helices, sheets and turns alike
    means = torch.stack([x[x[:, tag] == 1][:, 3:].mean(0) for tag in range(3)])
    assert float((means.amax(0) - means.amin(0)).max()) > 1.0


def test_a_fold_is_tested_on_and_the_rest_is_split(mirror: Path) -> None:
    first, third = graphs("mutag"), graphs("mutag", fold=3, seed=5)
    assert torch.equal(first.test, first.folds[0])
    assert torch.equal(third.test, first.folds[2])
    assert torch.equal(split_fold(first, 3, 5).train, third.train)
    assert len(third.validation) == pytest.approx(17, abs=1)
    for wrong in (0, 11):
        with pytest.raises(DataError, match=f"fold is {wrong}: mutag has 10"):
            graphs("mutag", fold=wrong)


TEXT = "2\n3 7\n4 2 1 2\n4 1 0\n5 1 0\n2 0\n9 0\n9 0\n"


def test_a_file_of_graphs_is_read() -> None:
    found = read_graphs(TEXT, "x.txt")
    assert found.labels.tolist() == [7, 0]
    assert found.tags.tolist() == [4, 4, 5, 9, 9]
    assert found.graph_of_node.tolist() == [0, 0, 0, 1, 1]
    assert found.adjacency.to_dense().tolist() == [
        [0, 1, 1, 0, 0],
        [1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert read_graphs("1\n0 3\n", "x.txt").labels.tolist() == [3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2 1\n", "line 1: it must be the number of graphs"),
        ("1\n3\n4 0\n4 0\n4 0\n", r"line 2: graph 0 begins with its number of nodes and its label, here \[3\]"),
        ("1\n2 0\n1 0\n", "ends within graph 0"),
        ("2\n1 0\n1 0\n", "ends before graph 1 of 2"),
        ("1\n1 0\n1 0\n7 0\n", "line 4: there are more lines"),
        ("1\n1 0\n1 2 0\n", "line 3: a node has a tag, a degree"),
        ("1\n1 0\n1 1 1\n", "line 3: a neighbour is outside the graph's 1 nodes"),
        ("1\n1 0\nx 0\n", "line 3: 'x 0' is not whole numbers"),
    ],
)
def test_a_damaged_file_of_graphs_is_told(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_graphs(text, "x.txt")


@given(sizes=st.lists(st.integers(2, 30), min_size=1, max_size=4), number=st.integers(2, 4), seed=st.integers(0, 99))
def test_stratified_folds_share_each_class(sizes: list[int], number: int, seed: int) -> None:
    labels = torch.cat([torch.full((size,), label) for label, size in enumerate(sizes)] + [torch.tensor([-1, -1])])
    if min(sizes) < number:
        with pytest.raises(DataError, match=f"members for {number} folds"):
            stratified_folds(labels, number, seed)
        return
    folds = stratified_folds(labels, number, seed)
    assert sorted(torch.cat(folds).tolist()) == list(range(len(labels) - 2))
    for label, size in enumerate(sizes):
        counts = [int((labels[fold] == label).sum()) for fold in folds]
        assert min(counts) >= size // number
        assert max(counts) - min(counts) <= 1


def test_a_class_with_too_few_members_is_named() -> None:
    with pytest.raises(DataError, match="class 'y' has 1 member for 2 folds"):
        stratified_folds(torch.tensor([0, 0, 1]), 2, 0, ("x", "y"))


def own(**changes: Any) -> GraphData:
    union = batch([Graph(torch.ones(n, 2), Adjacency.from_edges([], [], n)) for n in (1, 2, 0, 3, 1, 1)])
    nothing = torch.empty(0, dtype=torch.long)
    fields: dict[str, Any] = {"train": nothing, "validation": nothing, "test": nothing, "classes": ("a", "b")}
    fields |= {"labels": torch.tensor([0, 1, 0, 1, 0, -1])}
    return GraphData("own", Card("own", "", "graphs", 6, (2,), ("a", "b"), "", ""), union, **{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": torch.zeros(5, dtype=torch.long)}, r"labels of shape \(5,\).*for 6 graphs"),
        ({"labels": torch.tensor([0, 1, 2, 0, 0, 0])}, "graph 2 has the label 2 and there are 2 names"),
        ({"names": ("one",)}, "1 names for 6 graphs: give each one"),
        ({"features": ("w", "w")}, "1 names of features for 2 columns: give each its own"),
        ({"train": torch.tensor([0, 5])}, "graph 5 of the split 'train' has no label"),
        ({"train": torch.tensor([0]), "test": torch.tensor([0])}, "graph 0 is 2 times in the split"),
        ({"test": torch.tensor([6])}, "'test' names graphs outside 0 … 5"),
        (
            {"folds": (torch.tensor([0, 1]), torch.tensor([1, 2]))},
            r"graph 1 is 2 times in the split \(fold 1 and fold 2\)",
        ),
        ({"folds": (torch.tensor([0, 1]), torch.tensor([2, 4]))}, "fold 2 of own has no graph of the class 'b'"),
    ],
)
def test_what_is_wrong_with_graphs_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        own(**changes)


def folder(tmp_path: Path, labels: str = "graph,label\none,x\ntwo,y\nthree,x\n", **files: str) -> str:
    given = {
        "labels": labels,
        "one": "source,target\na,b\nb,c\n",
        "two": "source,target\n",
        "three": "source,target\nq,r\n",
    }
    for name, text in {**given, **files}.items():
        (tmp_path / f"{name}.csv").write_text(text)
    return f"graphs:{tmp_path}"


def test_a_folder_of_edge_lists(tmp_path: Path) -> None:
    found = graphs(folder(tmp_path), validation_fraction=0.0, test_fraction=0.0)
    assert found.classes == ("x", "y")
    assert found.names == ("one", "two", "three")
    assert found.labels.tolist() == [0, 1, 0]
    one, two, three = unbatch(found.graphs)
    assert one.adjacency.to_dense().tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert [g.num_nodes for g in (one, two, three)] == [3, 0, 2]
    assert isinstance(one.x, torch.Tensor)
    assert one.x.argmax(1).tolist() == [1, 2, 1]
    assert (found.card.counts["nodes"], found.card.counts["edges"]) == (5, 3)


def test_a_folder_with_nodes_splits_and_folds(tmp_path: Path) -> None:
    nodes = "graph,id,w,h\none,a,1,2\none,b,3,4\none,c,5,6\ntwo,z,7,8\nthree,r,9,1\nthree,q,2,3\n"
    labels = "graph,label,split\none,x,train\ntwo,y,test\nthree,,\n"
    found = graphs(folder(tmp_path, labels, nodes=nodes))
    one, two, three = unbatch(found.graphs)
    assert isinstance(one.x, torch.Tensor)
    assert one.x.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert two.num_nodes == 1
    assert isinstance(three.x, torch.Tensor)
    assert three.x.tolist() == [[9, 1], [2, 3]]
    assert found.features == ("w", "h")
    assert (found.train.tolist(), found.test.tolist(), found.labels.tolist()) == ([0], [1], [0, 1, -1])
    many = {f"g{k}": "source,target\na,b\n" for k in range(8)}
    rows = "".join(f"g{k},{'xy'[k % 2]},{k // 4}\n" for k in range(8))
    inside = tmp_path / "folds"
    inside.mkdir()
    for name, text in {**many, "labels": "graph,label,fold\n" + rows}.items():
        (inside / f"{name}.csv").write_text(text)
    assert [fold.tolist() for fold in graphs(f"graphs:{inside}").folds] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    (inside / "labels.csv").write_text("graph,label,fold\n" + rows.replace(",0\n", ",\n"))
    with pytest.raises(DataError, match="names 1 fold: there must"):
        graphs(f"graphs:{inside}")
    (inside / "labels.csv").write_text("graph,label\n" + rows.replace(",0\n", "\n").replace(",1\n", "\n"))
    assert len(graphs(f"graphs:{inside}", folds=4, fold=2).folds) == 4
    with pytest.raises(DataError, match="fold = 99, but the graphs have no folds: give folds=10 or so, or a column"):
        graphs(f"graphs:{inside}", fold=99)
    with pytest.raises(DataError, match="fold is 99: graphs:.* has 4 folds, numbered from 1"):
        graphs(f"graphs:{inside}", folds=4, fold=99)
    with pytest.raises(DataError, match="class 'x' has 4 members for 5 folds"):
        graphs(f"graphs:{inside}", folds=5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"labels": "graph,label\none,x\ntwo,y\n"},
            "three.csv has no row in .*labels.csv: give the graph 'three' a label",
        ),
        ({"labels": "graph,label\none,x\ntwo,y\nthree,x\nfour,x\n"}, "line 5: there is no table of edges four.csv"),
        ({"labels": "graph,label\none,x\none,x\ntwo,y\nthree,x\n"}, "line 3: the graph 'one' appears before"),
        ({"labels": "graph,class\none,x\n"}, "the column 'label' is missing"),
        (
            {"labels": "graph,label,fold\none,x,1\ntwo,y,2\nthree,x,2\n"},
            "fold 1 of graphs:.* has no graph of the class 'y'",
        ),
        (
            {"labels": "graph,label,fold\none,x,1\ntwo,y,one\nthree,x,2\n"},
            "line 3: the fold 'one' is not a whole number",
        ),
        (
            {"labels": "graph,label,split\none,x,train\ntwo,,test\nthree,x,\n"},
            "the graph is in the split 'test' and has no label",
        ),
        (
            {"labels": "graph,label,split,fold\none,x,train,1\ntwo,y,,\nthree,x,,\n"},
            "the columns 'split' and 'fold': keep",
        ),
        (
            {"one": "source,target,weight\na,b,2\n"},
            "the edges of one.csv have the column 'weight', those of two.csv have none",
        ),
        (
            {"nodes": "graph,id,w,label\none,a,1,2\n"},
            "nodes.csv has the column 'label', which is not read here: graphs have",
        ),
        ({"one": "source,target,relation\na,b,likes\n"}, "one.csv has the column 'relation': edges of several types"),
        ({"one": "source,target,length\na,b,2\n"}, r"one.csv has the columns \['length'\], which are not read"),
        ({"nodes": "graph,id,w\none,a,1\n"}, "the source 'b' is not an id in .*nodes.csv"),
        ({"nodes": "graph,id,w\nsix,a,1\n"}, "line 2: the graph 'six' has no row in the table of labels"),
        ({"nodes": "graph,id\none,a\n"}, "no column of features"),
        ({"nodes": "graph,id,w\none,a,1\none,a,2\n"}, "line 3: the node 'a' of the graph 'one' appears before"),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        graphs(folder(tmp_path, **changes))


def test_degrees_from_some_on_share_a_column(tmp_path: Path) -> None:
    star = "source,target\n" + "".join(f"hub,n{k}\n" for k in range(300))
    found = graphs(folder(tmp_path, one=star))
    x = found.graphs.x
    assert isinstance(x, torch.Tensor)
    assert x.shape[1] == 256
    assert x[:301].argmax(1).unique(return_counts=True)[1].tolist() == [300, 1]
    assert int(x[:301].argmax(1).max()) == 255
    assert (found.features[0], found.features[-2:]) == ("degree 0", ("degree 254", "degree 255 or more"))
    few = graphs(f"graphs:{tmp_path}", degrees=2)
    assert few.features == ("degree 0", "degree 1", "degree 2 or more")
    assert isinstance(few.graphs.x, torch.Tensor)
    assert torch.equal(few.graphs.x.argmax(1), x.argmax(1).clamp(max=2))
    with pytest.raises(UsageError, match="highest is -1"):
        graphs(f"graphs:{tmp_path}", degrees=-1)


def test_two_tables_of_one_name_are_refused(tmp_path: Path) -> None:
    name = folder(tmp_path)
    (tmp_path / "two.tsv").write_text("source\ttarget\na\tb\n")
    with pytest.raises(DataError, match=r"has two.csv and two.tsv: both would be 'two'; keep one"):
        graphs(name)
    (tmp_path / "two.csv").unlink()
    assert graphs(name).graphs.num_edges == 2 * 4
    (tmp_path / "labels.parquet").write_text("")
    with pytest.raises(DataError, match=r"has labels.csv and labels.parquet"):
        graphs(name)


def test_parts_are_told_once(tmp_path: Path) -> None:
    name = folder(tmp_path, "graph,label,split\none,x,train\ntwo,y,train\nthree,x,test\n")
    with pytest.raises(DataError, match="folds = 3, but .*labels.csv has a column 'split'"):
        graphs(name, folds=3)
    with pytest.raises(DataError, match="fold = 1, but the graphs have no folds"):
        graphs(name, fold=1)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        data.load(f"graphs:{tmp_path}/nowhere")
    with pytest.raises(DataError, match=r"no labels\.csv"):
        data.load(f"graphs:{tmp_path}")
    with pytest.raises(DataError, match="names no path: write graphs:PATH"):
        data.load("graphs:")


def test_a_download_is_told_by_the_file_that_is_read(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies of the attributes may be packed with other files; other attributes are refused."""
    import zipfile

    source = zipfile.ZipFile(mirror / "tu" / "ENZYMES_TU.zip")
    name = "ENZYMES/ENZYMES_node_attributes.txt"
    (tmp_path / "tu").mkdir()
    (tmp_path / "tu" / "ENZYMES.zip").write_bytes((mirror / "tu" / "ENZYMES.zip").read_bytes())
    monkeypatch.setenv("RENOTE_MIRROR", str(tmp_path))
    target = tmp_path / "tu" / "ENZYMES_TU.zip"
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(name, source.read(name))
        archive.writestr("readme", "other")
    assert graphs("enzymes").graphs.num_features == 21
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(name, np.char.replace(source.read(name).decode(), "11.0", "12.0").item())
    with pytest.raises(DataError, match=r"not the official ENZYMES_TU\.zip"):
        graphs("enzymes")
