from pathlib import Path

import numpy as np
import pytest

from renote.data.mesh import load_mesh
from renote.errors import DataError, UsageError
from renote.graph.geometry.heat import HeatGeodesics
from renote.graph.geometry.laplacian import (
    cotangent_laplacian,
    eigenpairs,
    gradient,
    heat_kernel_signature,
    vertex_areas,
)
from renote.graph.geometry.mesh import Mesh


def plane(cells: int) -> Mesh:
    """The unit square; every second diagonal turned, so that no direction is favoured."""
    x, y = np.meshgrid(np.linspace(0, 1, cells + 1), np.linspace(0, 1, cells + 1), indexing="ij")
    vertices = np.stack([x, y, np.zeros_like(x)], 2).reshape(-1, 3)
    i, j = (k.ravel() for k in np.meshgrid(np.arange(cells), np.arange(cells), indexing="ij"))
    a = i * (cells + 1) + j
    b, c, d = a + cells + 1, a + cells + 2, a + 1
    even = ((i + j) % 2 == 0)[:, None]
    first = np.where(even, np.stack([a, b, c], 1), np.stack([a, b, d], 1))
    second = np.where(even, np.stack([a, c, d], 1), np.stack([b, c, d], 1))
    return Mesh(vertices, np.concatenate([first, second]))


def sphere(subdivisions: int) -> Mesh:
    trimesh = pytest.importorskip("trimesh")
    ball = trimesh.creation.icosphere(subdivisions)
    return Mesh(np.asarray(ball.vertices), np.asarray(ball.faces))


def turned(mesh: Mesh) -> Mesh:
    matrix = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    return Mesh(mesh.vertices @ matrix.T + 2.0, mesh.faces)


def test_the_laplacian_is_that_of_the_gradient():
    mesh = sphere(1)
    operator = gradient(mesh)
    weak = operator.T @ (np.repeat(mesh.areas, 3)[:, None] * operator.toarray())
    np.testing.assert_allclose(cotangent_laplacian(mesh).toarray(), weak, atol=1e-12)


def test_gradients_of_linear_functions_are_exact():
    mesh = plane(5)
    slope = np.array([0.3, -1.2, 0.0])
    np.testing.assert_allclose(
        (gradient(mesh) @ (mesh.vertices @ slope)).reshape(-1, 3), np.tile(slope, (50, 1)), atol=1e-12
    )


def test_constants_are_in_the_kernel_and_areas_add_up():
    mesh = sphere(2)
    np.testing.assert_allclose(cotangent_laplacian(mesh) @ np.ones(len(mesh.vertices)), 0, atol=1e-12)
    assert vertex_areas(mesh).sum() == pytest.approx(mesh.area)
    assert len(mesh.vertices) - len(mesh.edges) + len(mesh.faces) == 2


def test_eigenvalues_of_the_sphere_are_l_times_l_and_one():
    exact = np.array([0, 2, 2, 2, 6, 6, 6, 6, 6], float)
    errors = []
    for subdivisions in (2, 3):
        mesh = sphere(subdivisions)
        values, vectors = eigenpairs(mesh, 9)
        gram = vectors.T @ (vertex_areas(mesh)[:, None] * vectors)
        np.testing.assert_allclose(gram, np.eye(9), atol=1e-8)
        errors.append(np.abs(values - exact).max())
    # of second order in the length of an edge, which is halved
    assert errors[1] < 0.1
    assert errors[1] < errors[0] / 3


@pytest.mark.parametrize("surface", ["plane", "sphere"])
def test_distances_come_near_the_exact_ones(surface):
    errors = []
    for fine in (0, 1):
        if surface == "plane":
            mesh = plane(20 * 2**fine)
            source = int(np.abs(mesh.vertices - [0.5, 0.5, 0]).sum(1).argmin())
            exact = np.linalg.norm(mesh.vertices - mesh.vertices[source], axis=1)
        else:
            mesh, source = sphere(2 + fine), 0
            exact = np.arccos(np.clip(mesh.vertices @ mesh.vertices[source], -1, 1))
        (found,) = HeatGeodesics(mesh).distances([source])
        errors.append(np.abs(found - exact).mean() / exact.mean())
    assert errors[1] < 0.02
    assert errors[1] < 0.7 * errors[0]


def test_nothing_changes_with_the_surface_as_a_whole():
    mesh = sphere(2)
    here, there = HeatGeodesics(mesh).distances([0, 7]), HeatGeodesics(turned(mesh)).distances([0, 7])
    np.testing.assert_allclose(here, there, atol=1e-9)
    signatures = [heat_kernel_signature(*eigenpairs(each, 9), np.array([0.1, 1.0])) for each in (mesh, turned(mesh))]
    np.testing.assert_allclose(*signatures, atol=1e-7)


def test_other_parts_are_infinitely_far():
    one = sphere(1)
    two = Mesh(np.concatenate([one.vertices, one.vertices + 5]), np.concatenate([one.faces, one.faces + 42]))
    found = HeatGeodesics(two).distances([3, 50])
    alone = HeatGeodesics(one).distances([3, 8])
    assert np.isinf(found[0, 42:]).all()
    assert np.isinf(found[1, :42]).all()
    np.testing.assert_allclose(np.stack([found[0, :42], found[1, 42:]]), alone, atol=1e-6)


SQUARE = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.0]]


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        (SQUARE, [[0, 1, 4]], r"face 0 names \[0, 1, 4\]: vertices go from 0 to 3"),
        (SQUARE, [[0, 1, 2], [0, 2, 2]], r"face 1 .* has no area"),
        ([*SQUARE, [0.5, 0, 0]], [[0, 1, 2], [0, 2, 3], [0, 4, 1]], r"face 2 .* has no area"),
        ([*SQUARE, [0, 0, 1]], [[0, 1, 2], [0, 2, 3], [0, 2, 4]], r"vertices \[0, 2\] is of 3 triangles"),
        (SQUARE, [[0, 1, 2]], "vertex 3 is of no triangle"),
        ([[0, 0, np.nan], *SQUARE[1:]], [[0, 1, 2], [0, 2, 3]], "vertex 0 is not finite"),
        (SQUARE, np.zeros((0, 3)), "with a face"),
    ],
)
def test_what_is_no_surface_is_told(vertices, faces, message):
    with pytest.raises(DataError, match=message):
        Mesh(vertices, faces)


def test_values_outside_their_range_are_told():
    mesh = plane(2)
    with pytest.raises(UsageError, match="9 vertices"):
        eigenpairs(mesh, 9)
    with pytest.raises(UsageError, match="from 0 to 8"):
        HeatGeodesics(mesh).distances([9])
    with pytest.raises(UsageError, match="positive"):
        HeatGeodesics(mesh, 0.0)


@pytest.mark.parametrize("ending", ["off", "obj", "ply"])
def test_files_keep_the_order_of_vertices(tmp_path: Path, ending: str) -> None:
    trimesh = pytest.importorskip("trimesh")
    mesh = sphere(1)
    file = tmp_path / f"ball.{ending}"
    trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(file)
    read = load_mesh(file)
    np.testing.assert_allclose(read.vertices, mesh.vertices, atol=1e-6)
    np.testing.assert_array_equal(read.faces, mesh.faces)


def test_files_that_are_none_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"an \.off, \.obj or \.ply file"):
        load_mesh(tmp_path / "a.stl")
    with pytest.raises(DataError, match="does not exist"):
        load_mesh(tmp_path / "a.off")
    (tmp_path / "b.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n2 0 0\n3 0 1 2\n")
    with pytest.raises(DataError, match=r"b\.off: face 0 .* has no area"):
        load_mesh(tmp_path / "b.off")
