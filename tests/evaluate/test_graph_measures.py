"""Measures of graphs and molecules that were made, against enumeration and known cases; their pictures."""

import itertools
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
import torch
from PIL import Image

from renote import data, evaluate
from renote.errors import UsageError
from renote.evaluate.molecules import _colour


def test_orbits_of_known_graphs():
    # each node of K_4 is in 3 edges, 3 triangles and one K_4; nothing else is induced
    found = evaluate.orbit_counts(~np.eye(4, dtype=bool))
    assert (found == found[0]).all()
    assert sorted(found[0][found[0] > 0].tolist()) == [1, 3, 3]
    path = nx.to_numpy_array(nx.path_graph(4)).astype(bool)
    ends, middle = evaluate.orbit_counts(path)[[0, 1]]
    assert ends.sum() == 1 + 1 + 1  # an edge, the end of a path of 3, of 4
    assert middle.sum() == 2 + 2 + 1
    star = evaluate.orbit_counts(nx.to_numpy_array(nx.star_graph(3)).astype(bool))
    assert star[0].sum() == 3 + 3 + 1
    assert star[1].sum() == 1 + 2 + 1
    assert evaluate.orbit_counts(np.zeros((3, 3), bool)).sum() == 0


def test_orbits_by_isomorphism():
    graph = nx.gnp_random_graph(7, 0.5, seed=3)
    counts = evaluate.orbit_counts(nx.to_numpy_array(graph).astype(bool))
    assert counts.shape == (7, 15)
    total = 0
    for size in (2, 3, 4):
        for chosen in itertools.combinations(graph, size):
            total += size * nx.is_connected(graph.subgraph(chosen))
    assert counts.sum() == total
    # the order of nodes changes nothing
    order = [3, 1, 0, 6, 2, 5, 4]
    moved = evaluate.orbit_counts(nx.to_numpy_array(graph, nodelist=order).astype(bool))
    assert (moved == counts[order]).all()


def test_mmd():
    one = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert evaluate.mmd(one, one, "degree") == pytest.approx(0)
    # two points at total variation 1
    far = evaluate.mmd(one[:1], one[1:], "degree")
    assert far == pytest.approx(2 - 2 * np.exp(-0.5))
    assert evaluate.mmd(one[:1], torch.tensor([[1.0]]), "clustering") == pytest.approx(0)


def test_measures_of_real_and_random_graphs():
    loaded = data.load("small-planar", graphs=200, least=12, most=14)
    real = evaluate.graph_measures(loaded.test, loaded)
    assert real["degree"] == real["clustering"] == pytest.approx(0)
    assert real["connected"] == real["uniqueness"] == 1
    assert evaluate.graph_measures(loaded.train[:5], loaded)["novelty"] == 0
    random = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 2, loaded.test.shape, generator=random, dtype=torch.uint8)
    noise[:, :14] = 0
    worse = evaluate.graph_measures(noise, loaded)
    for name in ("degree", "clustering", "orbit"):
        assert worse[name] > 1.5 * worse[f"training: {name}"]
    assert worse["novelty"] == 1
    alone = noise.clone()
    alone[:, 14:] = 0
    assert evaluate.graph_measures(alone, loaded)["connected"] == 0


@pytest.fixture
def molecules(tmp_path):
    pytest.importorskip("rdkit")
    path = tmp_path / "own.csv"
    path.write_text("smiles\n" + "\n".join(["CCO", "CCN", "CC=O", "C1CC1", "C#CC", "OCCO", "c1ccccc1", "CCCC"]) + "\n")
    return data.rows_of(data.load(f"molecules:{path}", kekulize=True))


def test_measures_of_molecules(molecules):
    form = molecules.graphs
    made = data.smiles_rows(["CCO", "OCC", "CC=O", "NCCN"], form)
    broken = made[:1].clone()
    broken[0, form.nodes] = 3
    broken[0, form.nodes + 1] = 3  # two triple bonds at one carbon
    apart = data.smiles_rows(["CC"], form)
    apart[0, form.nodes] = 0
    found = evaluate.graph_measures(torch.cat([made, broken, apart]), molecules)
    assert found["validity"] == pytest.approx(4 / 6)
    assert found["sanitized"] == pytest.approx(5 / 6)
    assert found["uniqueness"] == pytest.approx(3 / 4)
    assert found["novelty"] == pytest.approx(1 / 3)
    same = evaluate.graph_measures(molecules.train, molecules)
    assert same["distance: weight"] == pytest.approx(0)
    assert evaluate.graph_measures(broken, molecules) == {
        "validity": 0, "sanitized": 0, "uniqueness": 0, "novelty": 1
    }  # fmt: skip
    # rings written in two ways are the same molecule
    other = data.smiles_rows(["c1ccccc1"], form)
    bonds = other[0, form.nodes :]
    bonds[(bonds == 1) | (bonds == 2)] = 3 - bonds[(bonds == 1) | (bonds == 2)]
    assert data.row_smiles(other, form) == ["c1ccccc1"]
    assert evaluate.graph_measures(other, molecules)["novelty"] == 0
    # alcohol and aldehyde are joined alike, all others are not
    assert len(_colour(molecules.train, form).unique()) == len(molecules.train) - 1


def test_properties_in_which_real_molecules_are_alike_have_no_distance(molecules):
    """Isomers: a deviation of nothing, but for the last digit of a sum, is no unit."""
    alike = replace(molecules, test=data.smiles_rows(["CCCO", "CC(O)C", "CCOC"], molecules.graphs))
    found = evaluate.graph_measures(data.smiles_rows(["CC=O", "C1CC1"], molecules.graphs), alike)
    assert {name for name in found if "distance" in name} == {
        f"distance: {n}" for n in ("logP", "QED", "polar surface")
    }
    assert all(value < 100 for value in found.values())


def test_properties():
    pytest.importorskip("rdkit")
    found = evaluate.properties(["O", "c1ccccc1"])
    assert found["weight"].round(2).tolist() == [18.02, 78.11]
    assert found["rings"].tolist() == [0, 1]
    evaluate.draw_properties({"a": found, "b": found})


def test_pictures_and_files(molecules, tmp_path):
    form, rows = molecules.graphs, molecules.train
    written = evaluate.write_graphs(rows, form, tmp_path / "made.smi")
    assert [path.name for path in written] == ["made.smi", "made.png"]
    assert set(written[0].read_text().split()) <= {"CCO", "CCN", "CC=O", "C1CC1", "C#CC", "OCCO", "c1ccccc1", "CCCC"}
    assert len(np.unique(np.asarray(Image.open(written[1])))) > 10
    evaluate.write_graphs(rows, form, tmp_path / "made.npy")
    assert np.array_equal(np.load(tmp_path / "made.npy"), rows.numpy())
    noisy = rows[:2].clone()
    noisy[:, form.nodes :] = 0
    evaluate.write_graph_film([noisy, rows[:2]], form, tmp_path / "film.png")
    assert Image.open(tmp_path / "film.png").size == (256, 256)
    with pytest.raises(UsageError, match=r"SMILES \(.smi\)"):
        evaluate.write_graphs(rows, form, tmp_path / "made.jpg")
    with pytest.raises(UsageError, match="film = "):
        evaluate.write_graph_film([rows], form, tmp_path / "film.gif")


def test_film_of_masked_graphs(tmp_path):
    loaded = data.load("small-planar", graphs=10, least=5, most=6)
    frame = loaded.clean(loaded.train[:2])
    masked = frame.clone()
    masked[0, :3] = torch.nan
    masked[1, 6:] = torch.nan
    evaluate.write_film_of(loaded, [masked, frame], tmp_path / "way.png")
    picture = np.asarray(Image.open(tmp_path / "way.png")).astype(int)
    assert picture.shape == (256, 256, 3)
    assert (picture[:128, :128] != picture[:128, 128:]).any()  # nodes that are not known yet
    grey = (picture[128:, :128] == picture[128:, 128:]).all(-1).mean()
    assert grey < 1  # edges that are not known yet
    evaluate.write_film_of(loaded, [masked, frame], tmp_path / "way.npy")
    assert np.load(tmp_path / "way.npy").shape == (2, 2, 21)
