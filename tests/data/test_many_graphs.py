"""Many graphs with several classes a node: the layout of the protein graphs, and drawn communities."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from renote import data
from renote.data import NodeData
from renote.errors import DataError, UsageError
from renote.graph import Adjacency, Graph

STEMS = ("train", "valid", "test")


def write(folder: Path, stem: str, numbers: list[int], links: list[tuple[int, int]], **changes: Any) -> None:
    """Row i has the features (i, 1), and is of class 0, and of class 1 if i is odd."""
    count = len(numbers)
    arrays = {
        "feats": np.stack([np.arange(count), np.ones(count)], 1),
        "labels": np.stack([np.ones(count), np.arange(count) % 2], 1).astype(np.int64),
        "graph_id": np.array(numbers),
    }
    for name, array in {**arrays, **changes}.items():
        np.save(folder / f"{stem}_{name}.npy", array)
    nodes = [{"id": row} for row in range(count)]
    content = {"directed": False, "nodes": nodes, "links": [{"source": a, "target": b} for a, b in links]}
    (folder / f"{stem}_graph.json").write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two graphs to train on, whose nodes are not in order, one to validate on, two to test on."""
    write(tmp_path, "train", [2, 1, 2, 1], [(0, 2), (2, 0), (1, 3), (1, 1)])
    write(tmp_path, "valid", [7, 7], [(0, 1)])
    write(tmp_path, "test", [8, 9, 9], [(1, 2)])
    return tmp_path


def loaded(folder: Path) -> NodeData:
    found = data.load("ppi", folder=str(folder))
    assert isinstance(found, NodeData)
    return found


def test_the_layout_is_read_with_nodes_in_the_order_of_graphs(folder: Path) -> None:
    found = loaded(folder)
    assert found.graph.graph_of_node is not None
    assert found.graph.graph_of_node.tolist() == [0, 0, 1, 1, 2, 2, 3, 4, 4]
    assert found.graph.num_graphs == 5
    assert isinstance(found.graph.x, torch.Tensor)
    assert found.graph.x[:, 0].tolist() == [1, 3, 0, 2, 0, 1, 0, 1, 2]  # training rows 1 and 3 are of the first graph
    edges = set(zip(found.graph.adjacency.source.tolist(), found.graph.adjacency.target.tolist(), strict=True))
    assert edges == {(0, 1), (1, 0), (2, 3), (3, 2), (4, 5), (5, 4), (7, 8), (8, 7)}
    assert found.labels.dtype == torch.bool
    assert found.labels[:, 1].tolist() == [row % 2 == 1 for row in (1, 3, 0, 2, 0, 1, 0, 1, 2)]
    assert [part.tolist() for part in found.splits.values()] == [[0, 1, 2, 3], [4, 5], [6, 7, 8]]
    assert (found.several, found.inductive, found.classes) == (True, True, ("class 0", "class 1"))
    assert found.card.counts == {"edges": 4, "graphs": 5, "train": 4, "validation": 2, "test": 3}


def test_an_archive_is_read_as_a_folder_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from renote.data import ppi

    archive = folder / "ppi.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in folder.glob("*_*"):
            packed.write(path, f"inner/{path.name}")
    monkeypatch.setattr(ppi.store, "read", lambda card, file: archive.read_bytes())
    found, again = data.load("ppi"), loaded(folder)
    assert isinstance(found, NodeData)
    assert torch.equal(found.labels, again.labels)
    assert torch.equal(found.graph.adjacency.source, again.graph.adjacency.source)
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("readme", "")
    with pytest.raises(DataError, match=r"has no train_feats\.npy"):
        data.load("ppi")


def test_a_file_that_is_not_the_official_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ppi").mkdir()
    (tmp_path / "ppi" / "ppi.zip").write_bytes(b"another")
    monkeypatch.setenv("RENOTE_MIRROR", str(tmp_path))
    with pytest.raises(DataError, match=r"not the official ppi\.zip"):
        data.load("ppi")


@pytest.mark.parametrize(
    ("stem", "changes", "message"),
    [
        ("valid", {"feats": np.ones((3, 2))}, "valid: 3 rows of features, 2 of labels"),
        ("valid", {"feats": np.ones((2, 5))}, "differ among the parts"),
        ("valid", {"labels": np.array([[0, 2], [1, 1]])}, r"labels\[4, 1\] is 2: write 1 where"),
        ("valid", {"graph_id": np.ones((2, 2))}, r"valid_graph_id.npy has shape \(2, 2\)"),
        ("valid", {"feats": np.array([["a"], ["b"]])}, "2 dimensions of numbers"),
        ("valid", {"feats": np.array([[np.nan, 1], [1, 1]])}, "not finite"),
    ],
)
def test_files_that_do_not_fit_are_refused(folder: Path, stem: str, changes: dict[str, Any], message: str) -> None:
    write(folder, stem, [7, 7], [(0, 1)], **changes)
    with pytest.raises(DataError, match=message):
        loaded(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a graph of nodes and links"),
        ('{"nodes": [{"id": 0}], "links": []}', "1 nodes for 2 rows"),
        ('{"nodes": [{"id": 0}, {"id": 1}], "links": [{"source": 0, "target": 2}]}', "a link with the node 2"),
        ('{"nodes": [{"id": 0}, {"id": 1}], "links": [{"source": 0}]}', "KeyError 'target'"),
    ],
)
def test_graphs_that_are_none_are_refused(folder: Path, text: str, message: str) -> None:
    (folder / "valid_graph.json").write_text(text)
    with pytest.raises(DataError, match=message):
        loaded(folder)


def test_other_faults_of_a_folder(folder: Path) -> None:
    (folder / "test_labels.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match=r"test_labels\.npy is not an array"):
        loaded(folder)
    (folder / "test_labels.npy").unlink()
    with pytest.raises(DataError, match=r"cannot read .*test_labels\.npy: No such file"):
        loaded(folder)
    write(folder, "test", [8, 9, 9], [(0, 1)])
    with pytest.raises(DataError, match="joins two graphs"):
        loaded(folder)


def communities(**options: Any) -> NodeData:
    found = data.load("communities-many", **options)
    assert isinstance(found, NodeData)
    return found


def test_communities_are_what_their_card_says_and_the_seed_is_all() -> None:
    found, again, other = communities(), communities(), communities(seed=1)
    assert found.card == data.cards()["communities-many"]
    assert torch.equal(found.labels, again.labels)
    assert torch.equal(found.graph.adjacency.source, again.graph.adjacency.source)
    assert not torch.equal(found.labels, other.labels)
    assert (found.several, found.inductive) == (True, True)
    of = found.graph.graph_of_node
    assert of is not None
    assert [sorted(set(of[part].tolist())) for part in found.splits.values()] == [
        [*range(12)],
        [*range(12, 16)],
        [*range(16, 20)],
    ]


def test_memberships_and_edges_have_the_stated_probabilities() -> None:
    found = communities(
        graphs=3, nodes=400, communities=4, membership=0.3, inside=0.2, outside=0.02, signal=3.0, features=8
    )
    assert float(found.labels.double().mean()) == pytest.approx(0.3, abs=0.03)
    member = found.labels[:400].double()
    shared = (member @ member.T).long()
    dense = found.graph.adjacency.to_dense()
    assert torch.equal(dense, dense.T)
    assert not bool(dense.diagonal().any())
    joined, upper = dense[:400, :400], torch.ones(400, 400).triu(1).bool()
    for count in range(3):
        pairs = (shared == count) & upper
        share, expected = float(joined[pairs].double().mean()), 1 - 0.98 * 0.8**count
        assert share == pytest.approx(expected, abs=4 * (expected / int(pairs.sum())) ** 0.5)
    # least squares of the features on the memberships has the length of the means, s / √(C m)
    assert isinstance(found.graph.x, torch.Tensor)
    means = torch.linalg.lstsq(found.labels.float(), found.graph.x).solution
    assert means.norm(dim=1).tolist() == pytest.approx([3.0 / 1.2**0.5] * 4, rel=0.12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"graphs": 2}, "graphs is 2: it must be a whole number, at least 3"),
        ({"nodes": 1.5}, "nodes = 1.5 .*: give a whole number"),
        ({"membership": 0}, "membership is 0: it is a share, from 0 to 1, above 0"),
        ({"inside": 1.1}, "inside is 1.1"),
        ({"signal": float("nan")}, "signal = nan .*: give a finite number"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        communities(**options)


def test_what_asks_for_one_class_a_node_says_so() -> None:
    found, unseen = communities(graphs=3, nodes=10), data.load("power-law", nodes=300, graphs=5)
    assert isinstance(unseen, NodeData)
    for split in (data.split_nodes, data.split_per_class):
        with pytest.raises(DataError, match="several classes each"):
            split(found, 0)
        # of one class, but some graphs are never seen in training
        with pytest.raises(DataError, match="are whole graphs, .*: keep its own split"):
            split(unseen, 0)
    with pytest.raises(UsageError, match="option"):
        communities(split="random")


def test_labels_of_a_matrix_are_checked() -> None:
    given = communities(graphs=3, nodes=4)
    graph = Graph(None, Adjacency.from_edges([], [], 2))
    parts = {"train": torch.tensor([0]), "validation": torch.tensor([1]), "test": torch.tensor([], dtype=torch.long)}
    made = NodeData("own", given.card, graph, torch.tensor([[0, 1], [1, 1]]), **parts, classes=("a", "b"))
    assert made.labels.tolist() == [[False, True], [True, True]]
    assert not made.inductive
    with pytest.raises(DataError, match=r"labels of shape \(2, 3\), but nodes and classes are \(2, 2\)"):
        NodeData("own", given.card, graph, torch.zeros(2, 3), **parts, classes=("a", "b"))
    with pytest.raises(DataError, match=r"labels\[1, 0\] is 0.5"):
        NodeData("own", given.card, graph, torch.tensor([[0, 1], [0.5, 1]]), **parts, classes=("a", "b"))
