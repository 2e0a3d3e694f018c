"""From names and paths to data: what is built in, what is the user's own, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from renote import data, experiment, systems
from renote.data import Card, File, NodeData, SampleData, idx, planetoid, store
from renote.data.split import folds, per_class
from renote.errors import DataError, RenoteError


def samples(name: str, **options: object) -> SampleData:
    loaded = data.load(name, **options)
    assert isinstance(loaded, SampleData)
    return loaded


def nodes(name: str, **options: object) -> NodeData:
    loaded = data.load(name, **options)
    assert isinstance(loaded, NodeData)
    return loaded


def test_looking_at_the_registry_imports_no_tensor_library() -> None:
    code = "import sys, renote; renote.data.names(); renote.data.describe('cora'); assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_digits() -> None:
    digits = samples("digits")
    assert digits.train.shape == (1500, 1, 8, 8)
    assert digits.train.dtype == torch.uint8
    assert torch.equal(digits.train, samples("digits").train)
    clean = digits.clean(digits.train)
    assert (float(clean.min()), float(clean.max())) == (-1.0, 1.0)
    assert torch.equal(digits.raw(clean), digits.train)
    assert samples("digits", size=5).shape == (1, 5, 5)


def test_levels_are_those_of_whole_numbers_in_a_range(tmp_path: Path) -> None:
    assert samples("digits").levels == 17
    assert samples("heartbeat").levels == 2
    assert samples("toy-swiss-roll").levels is None
    np.savez(tmp_path / "floats.npz", images=np.random.default_rng(0).random((9, 4, 4), np.float32))
    floats = samples(str(tmp_path / "floats.npz"))
    assert (floats.range, floats.levels) == ((0.0, 1.0), None)


def test_digits_as_a_graph() -> None:
    graph = nodes("digits-knn")
    parts = torch.cat([graph.train, graph.validation, graph.test])
    assert torch.equal(parts.sort().values, torch.arange(1797))
    assert torch.bincount(graph.labels[graph.train]).tolist() == [10] * 10
    assert graph.positions is not None
    assert graph.positions.shape == (1797, 2)
    dense = graph.graph.adjacency.to_dense()
    assert torch.equal(dense, dense.T)
    assert not torch.equal(graph.train, nodes("digits-knn", seed=1).train)


def test_points_are_reproducible_and_held_out_ones_do_not_depend_on_n() -> None:
    for name in [name for name in data.names() if name.startswith("toy-")]:
        few, many = samples(name, n=100), samples(name, n=1000)
        assert torch.equal(few.test, many.test)
        assert many.train.shape == (1000, 2)
        assert 0.5 < float(many.train.std(0).mean()) < 1.5


FACTS = {
    "cora": (2708, 5278, 1433, 49_216, 7, 140),
    "citeseer": (3327, 4552, 3703, 105_165, 6, 120),
    "pubmed": (19_717, 44_324, 500, 988_031, 3, 60),
}


@pytest.mark.parametrize("name", FACTS)
def test_citation_graphs_are_as_published(mirror: Path, name: str) -> None:
    size, edges, features, entries, classes, train = FACTS[name]
    graph = nodes(name)
    assert (graph.graph.num_nodes, graph.graph.num_edges // 2, graph.graph.num_features) == (size, edges, features)
    assert graph.graph.x.values.numel() == entries  # type: ignore[union-attr]
    assert (graph.num_classes, len(graph.train), len(graph.validation), len(graph.test)) == (classes, train, 500, 1000)
    assert not set(graph.train.tolist()) & set(graph.test.tolist())
    sums = (graph.graph.x @ torch.ones(features, 1)).flatten()  # type: ignore[operator]
    empty = sums == 0
    torch.testing.assert_close(sums[~empty], torch.ones(int((~empty).sum())))
    if name == "citeseer":
        isolated = graph.graph.adjacency.in_degree() == 0
        assert int(isolated.sum()) == 48
        assert int(empty.sum()) == 15


def test_citation_graphs_can_be_split_anew(mirror: Path) -> None:
    public, thirds = nodes("citeseer"), nodes("citeseer", split="random", seed=3)
    parts = [thirds.train, thirds.validation, thirds.test]
    known = (public.labels >= 0).nonzero().squeeze(1)
    assert torch.equal(torch.cat(parts).sort().values, known)
    for label in range(6):
        counts = [int((thirds.labels[part] == label).sum()) for part in parts]
        assert max(counts) - min(counts) <= 1
    assert not torch.equal(thirds.train, nodes("citeseer", split="random", seed=4).train)
    with pytest.raises(RenoteError, match="split 'thirds'"):
        nodes("citeseer", split="thirds")
    with pytest.raises(RenoteError, match="together they must stay below 1"):
        nodes("citeseer", split="random", test_fraction=0.7)


BENCHMARK = {
    "amazon-photo": (7650, 119_081, 745, 8, 7487, 119_043),
    "amazon-computers": (13_752, 245_861, 767, 10, 13_381, 245_778),
    "coauthor-cs": (18_333, 81_894, 6805, 15, 18_333, 81_894),
}


@pytest.mark.parametrize("name", BENCHMARK)
def test_graphs_of_products_and_authors_are_as_published(mirror: Path, name: str) -> None:
    size, edges, features, classes, largest, its_edges = BENCHMARK[name]
    whole = nodes(name)
    graph = whole.graph
    assert (graph.num_nodes, graph.num_edges // 2, graph.num_features, whole.num_classes) == (
        size,
        edges,
        features,
        classes,
    )
    assert whole.card == data.cards()[name]
    assert not bool((graph.adjacency.source == graph.adjacency.target).any())
    for part, each in ((whole.train, 20), (whole.validation, 30)):
        assert torch.bincount(whole.labels[part]).tolist() == [each] * classes
    everything = torch.cat([whole.train, whole.validation, whole.test])
    assert torch.equal(everything.sort().values, torch.arange(size))
    sums = (graph.x @ torch.ones(features, 1)).flatten()  # type: ignore[operator]
    torch.testing.assert_close(sums[sums > 0], torch.ones(int((sums > 0).sum())))
    assert not torch.equal(whole.train, nodes(name, seed=1).train)
    # Table 1 of Shchur et al. (2018)
    part = nodes(name, largest_component=True, normalize=False)
    assert (part.graph.num_nodes, part.graph.num_edges // 2, part.card.size) == (largest, its_edges, largest)
    assert set(part.graph.x.values.tolist()) == {1.0}  # type: ignore[union-attr]


def test_splits_by_class_leave_something_to_test() -> None:
    labels = torch.tensor([0] * 5 + [1] * 4 + [-1] * 3)[torch.randperm(12, generator=torch.Generator().manual_seed(0))]
    parts = per_class(labels, 2, 1, seed=0)
    assert [torch.bincount(labels[part]).tolist() for part in parts] == [[2, 2], [1, 1], [2, 1]]
    assert torch.equal(torch.cat(parts).sort().values, (labels >= 0).nonzero().squeeze(1))
    assert torch.equal(parts[0], per_class(labels, 2, 1, seed=0)[0])
    with pytest.raises(DataError, match="class 1 has 4 labelled nodes.*none to test"):
        per_class(labels, 2, 2, seed=0)
    with pytest.raises(DataError, match="train_per_class is 0"):
        per_class(labels, 0, 1, seed=0)
    digits = nodes("digits-knn")
    again = data.split_per_class(digits, 3, 5, 6)
    assert (len(again.train), len(again.validation), len(again.test)) == (50, 60, 1797 - 110)


def test_folds_test_everything_once() -> None:
    cut = folds(17, 5, seed=2)
    assert sorted(torch.cat([test for _, test in cut]).tolist()) == list(range(17))
    for train, test in cut:
        assert sorted([*train.tolist(), *test.tolist()]) == list(range(17))
        assert len(test) in (3, 4)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_idx_images_are_as_published(mirror: Path, name: str) -> None:
    images = samples(name)
    assert images.train.shape == (60_000, 1, 28, 28)
    assert images.test.shape == (10_000, 1, 28, 28)
    assert images.train_labels is not None
    counts = torch.bincount(images.train_labels)
    assert counts.tolist() == [6000] * 10 if name == "fashion-mnist" else int(counts.min()) > 5000
    assert samples(name, size=14).train[:1].float().mean() == pytest.approx(images.train[:1].float().mean(), abs=1)


def test_unknown_names_have_near_ones() -> None:
    for name, near in (("corra", "cora"), ("fashion_mnits", "fashion-mnist"), ("toy-moon", "toy-moons")):
        with pytest.raises(RenoteError, match=f"Did you mean.*{near}"):
            data.load(name)
    with pytest.raises(RenoteError, match="option of the data set 'digits': 'sise'. Did you mean size"):
        data.load("digits", sise=3)
    with pytest.raises(DataError, match="does not exist"):
        data.load("folder/that/is/not")


# --- files


CONTENT = b"official"
CARD = Card("set", "", "samples", 1, (1,), (), "", "", folder="set")


def official(packed: bool = False) -> File:
    return File("a.gz" if packed else "a", hashlib.sha256(CONTENT).hexdigest(), "http://127.0.0.1:9/a")


def test_files_come_from_the_cache_then_the_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RENOTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RENOTE_MIRROR", str(tmp_path / "mirror"))
    (tmp_path / "mirror" / "set").mkdir(parents=True)
    (tmp_path / "mirror" / "set" / "a.gz").write_bytes(gzip.compress(CONTENT, 1))
    assert store.read(CARD, official(packed=True)) == CONTENT
    (tmp_path / "cache" / "set").mkdir(parents=True)
    (tmp_path / "cache" / "set" / "a.gz").write_bytes(gzip.compress(CONTENT, 9))
    assert store.locate(CARD, official(packed=True)).parent == tmp_path / "cache" / "set"


def test_a_file_with_another_checksum_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RENOTE_CACHE", str(tmp_path))
    (tmp_path / "set").mkdir()
    for content in (b"other", b"offic"):
        (tmp_path / "set" / "a").write_bytes(content)
        with pytest.raises(DataError, match="is not the official a .SHA-256"):
            store.read(CARD, official())


def test_arrays_are_checked_by_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RENOTE_CACHE", str(tmp_path))
    (tmp_path / "set").mkdir()
    path, numbers = tmp_path / "set" / "a.npz", np.array([3, 1, 2])
    file = File("a.npz", hashlib.sha256(numbers.astype("<i8").tobytes()).hexdigest(), "", arrays=("a",))
    np.savez(path, a=numbers.astype(np.uint16), names=np.array([{"pickled": 1}], dtype=object))
    first = path.read_bytes()
    assert store.read(CARD, file) == first
    np.savez_compressed(path, a=numbers.astype(np.int32))
    assert store.locate(CARD, file) == path
    for damage in (
        lambda: np.savez(path, a=numbers[::-1]),
        lambda: np.savez(path, b=numbers),
        lambda: path.write_bytes(first[:40]),
    ):
        damage()
        with pytest.raises(DataError, match="is not the official a.npz"):
            store.read(CARD, file)


def test_without_a_network_the_error_says_where_to_put_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENOTE_CACHE", str(tmp_path))
    monkeypatch.delenv("RENOTE_MIRROR", raising=False)
    with pytest.raises(DataError, match="could not download a from http.*Put the file at"):
        store.read(CARD, official())
    assert not list((tmp_path / "set").iterdir())


@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=3), seed=st.integers(0, 1000))
def test_idx_is_read_as_it_was_written(shape: list[int], seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    content = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes() + values.tobytes()
    assert np.array_equal(idx.parse(content, "x").numpy(), values)
    with pytest.raises(DataError, match=r"x (has|is)"):
        idx.parse(content[:-1], "x")
    with pytest.raises(DataError, match="not an idx file"):
        idx.parse(b"\x89PNG" + content, "x")


def test_a_pickle_that_would_run_code_is_refused() -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (print, ("code ran",))

    with pytest.raises(DataError, match="print"):
        planetoid.read_pickle(pickle.dumps(Evil(), 2), "ind.x")
    with pytest.raises(DataError, match="damaged"):
        planetoid.read_pickle(b"\x80\x02", "ind.x")


# --- the user's own


def picture(path: Path, size: tuple[int, int] = (6, 4), mode: str = "RGB", value: int = 7) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value,) * 3).save(path)


def test_a_folder_of_pictures_with_classes(tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / "cat" / f"{number}.png", value=10)
        picture(tmp_path / "dog" / f"{number}.jpg", value=200)
    loaded = samples(f"folder:{tmp_path}", test_fraction=0.25)
    assert loaded.classes == ("cat", "dog")
    assert loaded.train.shape == (6, 3, 4, 6)
    assert loaded.test.shape == (2, 3, 4, 6)
    assert loaded.train_labels is not None
    assert bool(((loaded.train.float().mean((1, 2, 3)) > 100) == (loaded.train_labels == 1)).all())
    assert samples(str(tmp_path), size=5, channels="grey").shape == (1, 5, 5)


def test_a_folder_without_classes_is_grey_if_all_pictures_are(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", mode="L")
    picture(tmp_path / "b.png", mode="L")
    loaded = samples(f"folder:{tmp_path}")
    assert loaded.shape == (1, 4, 6)
    assert loaded.train_labels is None


def test_bad_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        data.load(f"folder:{tmp_path}/no")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no image"):
        data.load(f"folder:{tmp_path}/empty")
    picture(tmp_path / "mixed" / "good.png")
    whole = (tmp_path / "mixed" / "good.png").read_bytes()
    (tmp_path / "mixed" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "mixed" / "text.png").write_text("no picture")
    with pytest.raises(DataError, match=r"2 of 3 files cannot be read as images.*cut.png"):
        data.load(f"folder:{tmp_path}/mixed")
    picture(tmp_path / "sizes" / "a.png")
    picture(tmp_path / "sizes" / "b.png", size=(9, 9))
    with pytest.raises(DataError, match=r"2 sizes: a.png is 6 × 4, b.png is 9 × 9.*size=4"):
        data.load(f"folder:{tmp_path}/sizes")
    assert samples(f"folder:{tmp_path}/sizes", size=4).shape == (3, 4, 4)
    assert len(samples(f"folder:{tmp_path}/mixed", skip_damaged=True, test_fraction=0).train) == 1
    with pytest.raises(DataError, match="size is 0"):
        data.load(f"folder:{tmp_path}/mixed", size=0)


def test_arrays(tmp_path: Path) -> None:
    file = str(tmp_path / "a.npz")
    images, labels = np.zeros((20, 5, 6, 3), np.uint8), np.array(["b", "a"] * 10)
    np.savez(file, images=images, labels=labels)
    loaded = samples(file)
    assert loaded.shape == (3, 5, 6)
    assert loaded.classes == ("a", "b")
    np.savez(file, x=np.zeros((20, 4), np.float32))
    assert samples(f"npz:{file}").shape == (4,)
    for arrays, message in (
        ({"pictures": images}, "must be under 'images' or 'x'"),
        ({"images": images, "labels": labels[:3]}, "one label each"),
        ({"x": np.full((3, 2), np.nan)}, "3 of 3 samples hold NaN"),
        (
            {"images": images, "labels": np.arange(20), "classes": np.array(["a", "b"])},
            "labels must be numbers of names",
        ),
        ({"x": np.array([{"a": 1}], dtype=object)}, "objects and pickles are not accepted"),
    ):
        np.savez(file, **arrays, allow_pickle=True)  # type: ignore[arg-type]
        with pytest.raises(DataError, match=message):
            data.load(file)
    content = Path(file).read_bytes()
    Path(file).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cannot be read as .npz"):
        data.load(file)


NODES = "id,a,label\nx,1,red\ny,2,blue\nz,3,\n"


@pytest.mark.parametrize(
    ("edges", "table", "message"),
    [
        ("source,target\nx,y\ny,q\n", NODES, r"edges.csv, line 3: the target 'q' is not an id"),
        (
            "source,target\nx,y\n",
            "id,a,label\nx,nan,red\ny,2,blue\n",
            r"nodes.csv, line 2: 'nan' in the column 'a' is not finite",
        ),
        ("source,target\nx,y\n", "id,a,label\nx,one,red\ny,2,blue\n", "'one' in the column 'a' is not a number"),
        ("source,target\nx,y\n", "id,a,label\nx,1,red\nx,2,blue\n", "the id 'x' appears again"),
        ("from,to\nx,y\n", NODES, "the column 'source' is missing"),
        ("source,target\nx\n", NODES, "line 2: the number of values is not 2"),
        ("source,target\nx,y\n", "id,a,label\nx,1,\ny,2,\n", "no node has a label"),
        ("source,target\nx,y\n", "id,label,split\nx,red,trian\ny,blue,test\n", "Did you mean train"),
        ("source,target\nx,y\n", "id,label,split\nx,,train\ny,blue,test\n", "has no label"),
        ("source,target,weight\nx,y,1\ny,x,2\n", NODES, "another weight elsewhere"),
        ("", NODES, "is empty"),
        ("source,target,relation\nx,y,likes\ny,z,\n", NODES, "edges.csv, line 3: the edge has no relation"),
        (
            "source,target,kind\nx,y,likes\n",
            NODES,
            r"columns \['kind'\], which are not read: edges have source, target",
        ),
        ("source,target\nx,y\n", "id,label,labels\nx,red,red\n", "keep 'label' for one class"),
        ("source,target\nx,y\n", "id,labels\nx,red|\ny,\n", "line 2: the labels 'red|' have an empty name"),
        ("source,target\nx,y\n", "id,labels\nx,\ny,\n", "no node has a label; fill the column 'labels'"),
        ("source,target\nx,y\n", "id,labels,split\nx,,train\ny,red,test\n", "has no label"),
    ],
)
def test_bad_tables_are_named_by_line(tmp_path: Path, edges: str, table: str, message: str) -> None:
    (tmp_path / "edges.csv").write_text(edges)
    (tmp_path / "nodes.csv").write_text(table)
    with pytest.raises(DataError, match=message):
        data.load(f"graph:{tmp_path}/edges.csv,{tmp_path}/nodes.csv")


def test_tables(tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text("source;target\nx;y\ny;z\n")
    (tmp_path / "nodes.csv").write_text("id,a,b,label,split\nx,1,2,red,train\ny,3,4,blue,test\nz,5,6,,\n")
    loaded = nodes(f"graph:{tmp_path}/edges.csv,{tmp_path}/nodes.csv")
    assert loaded.graph.adjacency.edge_index().T.tolist() == [[1, 0], [0, 1], [2, 1], [1, 2]]
    assert loaded.labels.tolist() == [1, 0, -1]
    assert (loaded.train.tolist(), loaded.validation.tolist(), loaded.test.tolist()) == ([0], [], [1])
    assert loaded.graph.x.tolist() == [[1, 2], [3, 4], [5, 6]]  # type: ignore[union-attr]
    directed = nodes(f"graph:{tmp_path}/edges.csv,{tmp_path}/nodes.csv", directed=True)
    assert directed.graph.adjacency.edge_index().T.tolist() == [[0, 1], [1, 2]]


def test_tables_of_typed_edges(tmp_path: Path) -> None:
    """Each edge once for each relation that it is of, in both directions; names are sorted, and numbers stay with their edges."""
    rows = ["x,y,owes,2", "z,y,knows,1", "x,y,knows,3", "y,x,knows,3"]
    (tmp_path / "edges.csv").write_text("source,target,Relation,weight\n" + "\n".join(rows))
    (tmp_path / "nodes.csv").write_text(NODES)
    path = f"graph:{tmp_path}/edges.csv,{tmp_path}/nodes.csv"

    def found(loaded: NodeData) -> set[tuple[str, str, str, float]]:
        graph, names = loaded.graph, loaded.names
        assert graph.relation is not None
        assert graph.adjacency.weight is not None
        columns = (graph.adjacency.source, graph.adjacency.target, graph.relation, graph.adjacency.weight)
        listed = [(names[s], names[t], loaded.relations[r], w) for s, t, r, w in zip(*(c.tolist() for c in columns))]
        assert len(set(listed)) == len(listed)
        return set(listed)

    directed, both = nodes(path, directed=True), nodes(path)
    assert both.relations == ("knows", "owes")
    assert found(directed) == {
        ("x", "y", "owes", 2),
        ("z", "y", "knows", 1),
        ("x", "y", "knows", 3),
        ("y", "x", "knows", 3),
    }
    assert found(both) == {*found(directed), ("y", "x", "owes", 2), ("y", "z", "knows", 1)}
    assert (both.card.counts["edges"], both.card.counts["relations"]) == (3, 2)
    assert [relation.num_edges for relation in both.graph.relations] == [4, 2]
    (tmp_path / "edges.csv").write_text("source,target\nx,y\n")
    assert (nodes(path).graph.relation, nodes(path).relations) == (None, ())
    (tmp_path / "edges.csv").write_text("source,target,relation\nx,y,10\ny,z,9\n")
    assert nodes(path).relations == ("9", "10")


def test_typed_edges_of_tables_reach_the_network(tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text("source,target,relation\nx,y,owes\ny,z,knows\n")
    (tmp_path / "nodes.csv").write_text("id,a,label,split\nx,1,red,train\ny,2,blue,test\nz,3,red,validation\n")
    system = systems.get("rgcn")
    path = f"graph:{tmp_path}/edges.csv,{tmp_path}/nodes.csv"
    run: Any = experiment.train(system, path, system.configure(steps=1), progress=False)
    assert len(run.module.network.convolutions[0].weight) == 2
    assert run.predict().shape == (3,)


def test_tables_of_several_classes_a_node(tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text("source,target\nx,y\ny,z\n")
    (tmp_path / "nodes.csv").write_text("id,a,labels\nx,1,red | blue\ny,2,blue\nz,3,\nw,4,green|blue|red\n")
    loaded = nodes(f"graph:{tmp_path}/edges.csv,{tmp_path}/nodes.csv", validation_fraction=0, test_fraction=0)
    assert loaded.several
    assert loaded.classes == ("blue", "green", "red")
    assert loaded.labels.int().tolist() == [[1, 0, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]]
    assert loaded.train.tolist() == [0, 1, 3]  # a node without labels is in no part


def test_tables_choose_their_features(tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text("source,target\nx,y\ny,z\n")
    (tmp_path / "nodes.csv").write_text("id,a,label\nx,1,red\ny,2,blue\nz,3,red\nw,4,blue\n")
    path = f"graph:{tmp_path}/edges.csv,{tmp_path}/nodes.csv"
    found = {kind: nodes(path, features=kind).graph.x for kind in ("identity", "degree", "table")}
    assert torch.equal(found["identity"].to_dense(), torch.eye(4))  # type: ignore[union-attr, operator]
    assert found["degree"].to_dense().argmax(1).tolist() == [1, 2, 1, 0]  # type: ignore[union-attr, operator]
    assert found["table"].flatten().tolist() == [1, 2, 3, 4]  # type: ignore[union-attr, operator]
    with pytest.raises(RenoteError, match="kind of features 'degrees'. Did you mean degree"):
        data.load(path, features="degrees")
    (tmp_path / "nodes.csv").write_text("id,label\nx,red\ny,blue\nz,\n")
    assert torch.equal(nodes(path).graph.x.to_dense(), torch.eye(3))  # type: ignore[union-attr, operator]
    with pytest.raises(DataError, match="no column of features"):
        data.load(path, features="table")


def parquet_graph(folder: Path, edges: dict[str, object], table: dict[str, object]) -> str:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for name, columns in (("edges", edges), ("nodes", table)):
        parquet.write_table(arrow.table(columns), folder / f"{name}.parquet")
    return f"graph:{folder}/edges.parquet,{folder}/nodes.parquet"


def test_tables_in_parquet_are_what_they_are_in_csv(tmp_path: Path) -> None:
    # the ids are beyond what a float holds exactly; one column of them is nullable, as pandas likes to write it
    ids = [2**60 + 1, 2**60 + 2, 2**60 + 3]
    edges = {"Source": ids[:2], "target": ids[1:], "weight": [0.5, 2.0]}
    table = {
        "id": ids,
        "a": [1, 2, 3],
        "b": [True, False, True],
        "label": [7.0, float("nan"), 10.0],
        "split": ["train", None, "test"],
    }
    ours = nodes(parquet_graph(tmp_path, edges, table))
    (tmp_path / "edges.csv").write_text(f"source,target,weight\n{ids[0]},{ids[1]},0.5\n{ids[1]},{ids[2]},2\n")
    rows = f"{ids[0]},1,1,7,train\n{ids[1]},2,0,,\n{ids[2]},3,1,10,test\n"
    (tmp_path / "nodes.csv").write_text("id,a,b,label,split\n" + rows)
    for path in (
        f"graph:{tmp_path}/edges.csv,{tmp_path}/nodes.csv",
        f"graph:{tmp_path}/edges.parquet,{tmp_path}/nodes.csv",
    ):
        theirs = nodes(path)
        assert torch.equal(ours.graph.x, theirs.graph.x)  # type: ignore[arg-type]
        assert torch.equal(ours.graph.adjacency.to_dense(), theirs.graph.adjacency.to_dense())
        assert (
            (ours.labels.tolist(), ours.classes)
            == (theirs.labels.tolist(), theirs.classes)
            == ([0, -1, 1], ("7", "10"))
        )
        assert (ours.train.tolist(), ours.test.tolist()) == (theirs.train.tolist(), theirs.test.tolist()) == ([0], [2])


def test_bad_parquet_tables_are_named_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edges = {"source": ["x", "y"], "target": ["y", "q"]}
    good = {"id": ["x", "y"], "a": [1.0, 2.0], "label": ["red", "blue"]}
    for changed_edges, table, message in (
        (edges, good, "edges.parquet, row 2: the target 'q' is not an id"),
        ({"source": ["x"], "target": ["y"]}, {**good, "a": [1.0, None]}, "nodes.parquet, row 2: 'a missing value'"),
        (
            {"source": ["x"], "target": ["y"]},
            {**good, "a": ["1", "two"]},
            "row 2: 'two' in the column 'a' is not a number",
        ),
        ({"source": ["x"], "target": ["y"]}, {**good, "a": [[1.0], [2.0]]}, "'a' holds list.*a column of its own"),
        ({"source": ["x"]}, good, "the column 'target' is missing"),
    ):
        with pytest.raises(DataError, match=message):
            data.load(parquet_graph(tmp_path, changed_edges, table))  # type: ignore[arg-type]
    (tmp_path / "nodes.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="cannot be read as a Parquet file"):
        data.load(f"graph:{tmp_path}/edges.parquet,{tmp_path}/nodes.parquet")


def test_parquet_without_its_reader_is_an_error_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("edges", "nodes"):
        (tmp_path / f"{name}.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install 'renote\[parquet\]'"):
        data.load(f"graph:{tmp_path}/edges.parquet,{tmp_path}/nodes.parquet")
    with pytest.raises(DataError, match="a graph needs two tables"):
        data.load("edges.parquet")
