"""Figures that are drawn, the cats, and the user's own meshes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from renote import data
from renote.data import MeshData
from renote.data.figures import BONES, posed
from renote.errors import DataError, RenoteError
from renote.graph import error_curve, geodesic_errors, match, reference_distances
from renote.graph.geometry.heat import HeatGeodesics
from renote.graph.geometry.mesh import Mesh
from renote.graph.geometry.polar import fans

SIZES = np.array([bone.size for bone in BONES])


def figures(**options: object) -> MeshData:
    loaded = data.load("figures", **options)
    assert isinstance(loaded, MeshData)
    return loaded


def test_figures_are_closed_surfaces_whose_vertices_correspond() -> None:
    loaded = figures(train=4, validation=1, test=2, shapes=2, noise=0.0)
    assert loaded.card.counts == {"train": 4, "validation": 1, "test": 2, "faces": 1008}
    assert loaded.num_classes == 506
    for mesh in (*loaded.meshes, loaded.reference):
        assert len(mesh.vertices) - len(mesh.edges) + len(mesh.faces) == 2
        assert (mesh.edge_faces == 2).all()
        assert mesh.part.max() == 0
        fans(mesh)
        # seen from outside they go round counter-clockwise: the volume is positive
        assert np.einsum("fi,fi->f", mesh.corners[:, 0], mesh.normals).sum() > 0
    # distances along the skin hardly know the pose: those of one shape are nearly alike, straight ones are not
    one, other = loaded.meshes[0], loaded.meshes[2]
    along = [HeatGeodesics(mesh).distances([0, 100, 300]) for mesh in (one, other)]
    straight = [np.linalg.norm(mesh.vertices[[0, 100, 300], None] - mesh.vertices, axis=2) for mesh in (one, other)]
    change = [np.abs(a - b).mean() / np.mean([a, b]) for a, b in (along, straight)]
    assert change[0] < 0.05
    assert change[0] < change[1] / 3


def test_figures_depend_on_their_seed_alone() -> None:
    one, again, other = (figures(train=2, validation=0, test=1, seed=seed) for seed in (0, 0, 1))
    for a, b, c in zip(one.meshes, again.meshes, other.meshes):
        np.testing.assert_array_equal(a.vertices, b.vertices)
        assert np.abs(a.vertices - c.vertices).max() > 0.1
    finer = figures(train=1, validation=0, test=0, subdivisions=2)
    assert len(finer.reference.vertices) == 2018


def test_bones_turn_about_their_joints() -> None:
    rest, turns = posed(np.zeros((len(BONES), 3)), SIZES), np.zeros((len(BONES), 3))
    turns[6] = [0, np.pi / 2, 0]
    bent = posed(turns, SIZES)
    moved = np.abs(bent - rest).max(1) > 1e-9
    # only the right fore-arm, and the elbow, which two bones share
    assert 0 < moved.sum() <= 12
    assert rest[moved][:, 0].min() > 4
    # a turn of all is a rotation
    turns = np.zeros((len(BONES), 3))
    turns[0] = [0.3, -1.0, 0.5]
    whole = posed(turns, SIZES)
    gaps = [np.linalg.norm(p[:, None] - p, axis=2) for p in (rest, whole)]
    np.testing.assert_allclose(*gaps, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": -1}, "train = -1: at least 0"),
        ({"shapes": 0}, "shapes = 0: at least 1"),
        ({"noise": float("nan")}, "noise = nan .*: give a finite number"),
        ({"subdivisions": 9}, "subdivisions = 9: at most 5"),
        ({"train": 0, "validation": 0, "test": 0}, "no mesh"),
    ],
)
def test_figures_tell_what_cannot_be(options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        figures(**options)


def test_the_cats_correspond(mirror: Path) -> None:
    pytest.importorskip("trimesh")
    cats = data.load("tosca-cat")
    assert isinstance(cats, MeshData)
    assert [len(mesh.vertices) for mesh in cats.meshes] == [5038, 5038]
    assert cats.labels[1][:3].tolist() == [2, 3416, 5]
    # near points of one cat are near on the other; the correspondence goes by nearest vertices, so that single ones are off
    places = torch.arange(0, 5038, 900)
    there = cats.labels[1]
    one = HeatGeodesics(cats.meshes[1]).distances(places.numpy())
    other = HeatGeodesics(cats.meshes[0]).distances(there[places].numpy())[:, there.numpy()]
    assert np.median([np.corrcoef(a, b)[0, 1] for a, b in zip(one, other)]) > 0.9


def folder(path: Path, meshes: int = 4) -> MeshData:
    trimesh = pytest.importorskip("trimesh")
    loaded = figures(train=meshes, validation=0, test=0, subdivisions=0)
    path.mkdir()
    for number, mesh in enumerate(loaded.meshes):
        trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(path / f"pose{number}.ply")
    return loaded


def test_a_folder_of_meshes(tmp_path: Path) -> None:
    drawn = folder(tmp_path / "poses")
    loaded = data.load(f"meshes:{tmp_path / 'poses'}", test_fraction=0.25, validation_fraction=0.25)
    assert isinstance(loaded, MeshData)
    assert loaded.names == ("pose0", "pose1", "pose2", "pose3")
    assert sorted(torch.cat([loaded.train, loaded.validation, loaded.test]).tolist()) == [0, 1, 2, 3]
    assert [len(part) for part in loaded.splits.values()] == [2, 1, 1]
    assert 0 in loaded.train.tolist()
    np.testing.assert_allclose(loaded.meshes[2].vertices, drawn.meshes[2].vertices, atol=1e-5)
    other = data.load(f"meshes:{tmp_path / 'poses'}", reference="pose2")
    assert other.reference is other.meshes[2]
    assert 2 in other.train.tolist()


def test_meshes_of_another_number_of_vertices_say_which_are_which(tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    path = tmp_path / "poses"
    folder(path, 2)
    ball = trimesh.creation.icosphere(1)
    ball.export(path / "ball.off")
    with pytest.raises(DataError, match=r"pose0\.ply has 128 vertices and the reference ball\.off has 42"):
        data.load(f"meshes:{path}")
    with pytest.raises(DataError, match=r"ball\.off has 42 vertices .* ball\.txt must say"):
        data.load(f"meshes:{path}", reference="pose0")
    text = path / "ball.txt"
    for content, message in (
        ("1\n2\n", "has 2 numbers, and its mesh 42"),
        ("a\n" * 42, "cannot be read as a number a line"),
        ("0\n" * 41 + "128\n", "line 42: 128 is no vertex of the reference"),
    ):
        text.write_text(content)
        with pytest.raises(DataError, match=message):
            data.load(f"meshes:{path}", reference="pose0")
    text.write_text("\n".join(map(str, [-1, *range(41)])))
    loaded = data.load(f"meshes:{path}", reference="pose0")
    assert loaded.labels[0].tolist() == [-1, *range(41)]


def test_faust_has_its_own_split(tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    path = tmp_path / "registrations"
    path.mkdir()
    ball = trimesh.creation.icosahedron()
    for number in range(100):
        ball.export(path / f"tr_reg_{number:03d}.ply")
    loaded = data.load(f"meshes:{path}")
    assert [part.tolist() for part in loaded.splits.values()] == [
        list(range(70)),
        list(range(70, 80)),
        list(range(80, 100)),
    ]


def test_folders_that_are_none_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        data.load(f"meshes:{tmp_path / 'none'}")
    with pytest.raises(DataError, match="has no meshes"):
        data.load(f"meshes:{tmp_path}")
    folder(tmp_path / "poses", 2)
    with pytest.raises(RenoteError, match="Did you mean pose1"):
        data.load(f"meshes:{tmp_path / 'poses'}", reference="poses1")
    with pytest.raises(DataError, match="both together below 1"):
        data.load(f"meshes:{tmp_path / 'poses'}", test_fraction=0.9, validation_fraction=0.1)
    (tmp_path / "poses" / "pose1.off").write_text((tmp_path / "poses" / "pose0.ply").read_text("latin-1"))
    with pytest.raises(DataError, match="several meshes named pose1"):
        data.load(f"meshes:{tmp_path / 'poses'}")


def test_labels_are_checked() -> None:
    loaded = figures(train=1, validation=0, test=1, subdivisions=0)
    for labels, message in (
        (torch.arange(128), "1 lists of labels for 2 meshes"),
        ((torch.arange(128), torch.arange(127)), r"mesh 1: labels of shape \(127,\)"),
        ((torch.arange(128) + 1, torch.arange(128)), "mesh 0: vertex 127 has the label 128"),
        ((torch.arange(128), torch.full((128,), -1)), "mesh 1"),
    ):
        given = labels if isinstance(labels, tuple) else (labels,)
        with pytest.raises(DataError, match=message):
            MeshData(
                "x", loaded.card, loaded.meshes, given, loaded.reference, loaded.train, loaded.validation, loaded.test
            )


def test_errors_are_distances_along_the_reference() -> None:
    trimesh = pytest.importorskip("trimesh")
    ball = trimesh.creation.icosphere(3)
    mesh = Mesh(np.asarray(ball.vertices), np.asarray(ball.faces))
    distances = reference_distances(mesh)
    exact = np.arccos(np.clip(mesh.vertices @ mesh.vertices.T, -1, 1)) / np.sqrt(4 * np.pi)
    np.testing.assert_allclose(distances.numpy(), exact, atol=0.02)
    assert torch.equal(distances, distances.t())
    truth, predicted = torch.tensor([0, 5, -1, 9]), torch.tensor([0, 7, 3, 9])
    errors = geodesic_errors(predicted, truth, distances)
    torch.testing.assert_close(errors, torch.stack([distances[0, 0], distances[5, 7], distances[9, 9]]))
    assert error_curve(errors, torch.tensor([0.0, 1.0])).tolist() == [pytest.approx(2 / 3), 1.0]


def test_matches_are_the_likeliest_pairs() -> None:
    first, second = torch.randn(300, 7), torch.randn(50, 7)
    found, probability = match(first, second)
    both = first.softmax(1) @ second.softmax(1).t()
    assert torch.equal(found, both.argmax(1))
    torch.testing.assert_close(probability, both.amax(1))
