import numpy as np
import pytest
from scipy.linalg import expm
from test_geometry import plane, sphere, turned

from renote.errors import DataError, UsageError
from renote.graph.geometry.anisotropic import anisotropic_kernels, anisotropic_laplacian, face_directions
from renote.graph.geometry.curvature import curvature_tensors, oriented, principal_directions
from renote.graph.geometry.laplacian import (
    cotangent_laplacian,
    descriptors,
    eigenpairs,
    spectrum,
    vertex_areas,
    wave_kernel_signature,
)
from renote.graph.geometry.mesh import Mesh
from renote.graph.geometry.polar import fans, polar_coordinates
from renote.graph.geometry.subdivide import loop_subdivision


def away(angle):
    """From the nearest whole turn."""
    return np.abs((angle + np.pi) % (2 * np.pi) - np.pi)


def cylinder(around: int = 24, along: int = 24, radius: float = 1.0, step: float = 0.26) -> Mesh:
    """Open at both ends, its axis the third."""
    i, j = np.meshgrid(np.arange(around), np.arange(along), indexing="ij")
    angle = 2 * np.pi * i / around
    vertices = np.stack([radius * np.cos(angle), radius * np.sin(angle), step * j], 2).reshape(-1, 3)
    a, j = (i * along + j)[:, :-1].ravel(), j[:, :-1].ravel()
    b = (a + along) % (around * along)
    return Mesh(vertices, np.concatenate([np.stack([a, b, b + 1], 1), np.stack([a, b + 1, a + 1], 1)]))


def test_polar_coordinates_of_the_plane_are_exact():
    mesh = plane(10)
    polar, ring = polar_coordinates(mesh, 0.35), fans(mesh)
    step = mesh.vertices[polar.vertex] - mesh.vertices[polar.center]
    begin = mesh.vertices[ring.first] - mesh.vertices
    np.testing.assert_allclose(polar.distance, np.hypot(step[:, 0], step[:, 1]), atol=1e-12)
    exact = np.arctan2(step[:, 1], step[:, 0]) - np.arctan2(begin[:, 1], begin[:, 0])[polar.center]
    assert away(polar.angle - exact)[polar.distance > 0].max() < 1e-9
    # and nobody is left out
    apart = np.linalg.norm(mesh.vertices[:, None] - mesh.vertices, axis=2)
    assert len(polar.vertex) == (apart <= 0.35).sum()
    np.testing.assert_array_equal(polar.vertex[polar.distance == 0], np.arange(len(mesh.vertices)))


def test_polar_coordinates_of_the_sphere_come_near_the_exact_ones():
    errors = []
    for subdivisions in (2, 3):
        mesh = sphere(subdivisions)
        polar, ring = polar_coordinates(mesh, 0.7), fans(mesh)
        x, y, far = mesh.vertices[polar.center], mesh.vertices[polar.vertex], polar.distance > 0
        exact = np.arccos(np.clip((x * y).sum(1), -1, 1))
        begin = mesh.vertices[ring.first] - mesh.vertices
        begin -= (begin * mesh.vertices).sum(1, keepdims=True) * mesh.vertices
        begin = begin[polar.center]
        angle = np.arctan2((y * np.cross(x, begin)).sum(1), (y * begin).sum(1))
        errors.append([np.abs(polar.distance - exact)[far].mean(), away(polar.angle - angle)[far].mean()])
    assert errors[1][0] < 0.6 * errors[0][0] < 0.002
    assert errors[1][1] < 0.6 * errors[0][1] < 0.005


def test_a_rolled_sheet_is_as_flat_as_before():
    rolled = cylinder(around=40)
    polar, ring = polar_coordinates(rolled, 0.6), fans(rolled)
    angle = np.arctan2(rolled.vertices[:, 1], rolled.vertices[:, 0])
    # the polygon's own length, not that of the circle around it
    width = 40 * 2 * np.sin(np.pi / 40)

    def step(start, end):
        across = (angle[end] - angle[start] + np.pi) % (2 * np.pi) - np.pi
        return across * width / (2 * np.pi), rolled.vertices[end, 2] - rolled.vertices[start, 2]

    x, y = step(polar.center, polar.vertex)
    np.testing.assert_allclose(polar.distance, np.hypot(x, y), atol=1e-9)
    u, v = step(np.arange(len(ring.first)), ring.first)
    exact = np.arctan2(y, x) - np.arctan2(v, u)[polar.center]
    assert away(polar.angle - exact)[polar.distance > 0].max() < 1e-6


def test_other_parts_are_in_no_patch():
    one = sphere(1)
    two = Mesh(np.concatenate([one.vertices, one.vertices + 5]), np.concatenate([one.faces, one.faces + 42]))
    polar, alone = polar_coordinates(two, 0.9), polar_coordinates(one, 0.9)
    assert (two.part[polar.center] == two.part[polar.vertex]).all()
    np.testing.assert_allclose(polar.distance, np.tile(alone.distance, 2), atol=1e-12)


def test_faces_that_go_round_in_opposite_ways_are_told():
    ball = sphere(1)
    faces = ball.faces.copy()
    faces[7] = faces[7, ::-1]
    with pytest.raises(DataError, match=r"faces \d+ and \d+ go round in opposite ways"):
        polar_coordinates(Mesh(ball.vertices, faces), 0.5)


def test_surfaces_that_touch_in_a_vertex_are_told():
    one = sphere(0)
    joined = np.where(one.faces == 3, 3, one.faces + 12)
    vertices = np.concatenate([one.vertices, 2 * one.vertices[3] - one.vertices])
    used = np.unique(np.concatenate([one.faces, joined]))
    mesh = Mesh(vertices[used], np.searchsorted(used, np.concatenate([one.faces, joined])))
    with pytest.raises(DataError, match="vertex 3 joins surfaces"):
        polar_coordinates(mesh, 0.5)


def test_a_radius_must_be_positive():
    with pytest.raises(UsageError, match="radius = 0"):
        polar_coordinates(plane(2), 0)


def test_a_sphere_bends_alike_in_all_directions():
    for scale in (1.0, 2.5):
        errors = []
        for subdivisions in (2, 3):
            ball = sphere(subdivisions)
            flat = np.eye(3) - ball.vertices[:, :, None] * ball.vertices[:, None]
            tensors = curvature_tensors(Mesh(scale * ball.vertices, ball.faces), smoothing=0)
            errors.append(np.abs(scale * tensors - flat).max())
        # normals are exact; the planes of triangles are off, nearly of second order once they are averaged
        assert errors[1] < 0.02
        assert errors[1] < errors[0] / 2.5


def test_a_cylinder_bends_around_its_axis():
    mesh = cylinder(radius=2.0, step=0.5)
    inside = (np.arange(len(mesh.vertices)) % 24 > 4) & (np.arange(len(mesh.vertices)) % 24 < 19)
    outward = mesh.vertices * [1, 1, 0] / 2.0
    around = np.cross([0, 0, 1.0], outward)
    directions = principal_directions(mesh)
    np.testing.assert_allclose(np.abs((directions * around).sum(1))[inside], 1, atol=1e-3)
    tensors = curvature_tensors(mesh, smoothing=0)
    np.testing.assert_allclose(np.einsum("vx,vxy,vy->v", around, tensors, around)[inside], 1 / 2.0, rtol=0.02)
    np.testing.assert_allclose(tensors[inside, 2, 2], 0, atol=0.01)


def bent() -> Mesh:
    """A surface without symmetry."""
    ball = sphere(3)
    x, y, z = ball.vertices.T
    return Mesh(ball.vertices * [[1.6, 1.0, 0.7]] + np.stack([0.2 * z**2, 0.3 * x * x, 0.2 * x * y], 1), ball.faces)


def test_oriented_patches_do_not_depend_on_where_angles_begin():
    mesh = bent()
    # the same surface, its vertices numbered anew, so that fans begin elsewhere
    order = np.random.default_rng(0).permutation(len(mesh.vertices))
    other = Mesh(mesh.vertices[order], np.roll(np.argsort(order)[mesh.faces], 1, 1))
    here, there = (oriented(m, polar_coordinates(m, 0.5)) for m in (mesh, turned(other)))
    count = len(order)
    key, also = here.center * count + here.vertex, order[there.center] * count + order[there.vertex]
    np.testing.assert_array_equal(np.sort(key), np.sort(also))
    sorted_there = np.argsort(also)
    np.testing.assert_allclose(here.distance[np.argsort(key)], there.distance[sorted_there], atol=1e-9)
    gap = away(here.angle[np.argsort(key)] - there.angle[sorted_there])
    # where nearly all directions bend alike, or neither end is uphill, rounding decides
    assert np.quantile(gap, 0.9) < 0.1


def test_equal_speeds_are_the_plain_laplacian():
    mesh = bent()
    found = anisotropic_laplacian(mesh, 1.0, 0.7)
    np.testing.assert_allclose(found.toarray(), cotangent_laplacian(mesh).toarray(), atol=1e-10)


def test_heat_in_the_plane_is_a_gaussian_along_its_direction():
    """h has covariance 2 t R diag(1, 1/α) Rᵀ."""
    mesh = plane(24)
    along = np.tile([1.0, 0, 0], (len(mesh.faces), 1))
    laplacian = anisotropic_laplacian(mesh, 4.0, np.pi / 6, along)
    mass = vertex_areas(mesh)
    values, vectors = spectrum(laplacian, mass, len(mass), mesh.area)
    time = 0.004
    middle = int(np.abs(mesh.vertices - [0.5, 0.5, 0]).sum(1).argmin())
    heat = (vectors[middle] * np.exp(-values * time)) @ vectors.T * mass
    np.testing.assert_allclose(heat.sum(), 1, atol=1e-9)
    away = mesh.vertices[:, :2] - mesh.vertices[middle, :2]
    spread = np.einsum("v,vi,vj->ij", heat, away, away)
    turn = np.array([[np.cos(np.pi / 6), -np.sin(np.pi / 6)], [np.sin(np.pi / 6), np.cos(np.pi / 6)]])
    np.testing.assert_allclose(spread, 2 * time * turn @ np.diag([1, 0.25]) @ turn.T, atol=0.02 * 2 * time)


def test_kernels_are_means_and_a_turn_of_half_a_circle_is_none():
    mesh = sphere(2)
    kernels = anisotropic_kernels(mesh, 5.0, 4, (0.02, 0.05), 100)
    assert kernels.shape == (len(mesh.vertices) * 8, len(mesh.vertices))
    np.testing.assert_allclose(kernels @ np.ones(len(mesh.vertices)), 1, atol=1e-12)
    assert (kernels.data > 0).all()
    one, other = (anisotropic_laplacian(mesh, 5.0, angle).toarray() for angle in (0.3, 0.3 + np.pi))
    np.testing.assert_allclose(one, other, atol=1e-12)
    with pytest.raises(UsageError, match="anisotropy = 0.5"):
        anisotropic_laplacian(mesh, 0.5, 0.0)
    directions = face_directions(mesh)
    np.testing.assert_allclose((directions * mesh.normals).sum(1), 0, atol=1e-9)


def test_both_ways_to_a_spectrum_agree():
    mesh = bent()
    laplacian, mass = cotangent_laplacian(mesh), vertex_areas(mesh)
    few, all_of_them = (spectrum(laplacian, mass, count, mesh.area)[0] for count in (12, len(mass)))
    np.testing.assert_allclose(few, all_of_them[:12], atol=1e-7)
    # all of it gives the matrix exponential back
    small = sphere(1)
    values, vectors = spectrum(cotangent_laplacian(small), vertex_areas(small), 42, small.area)
    mass = vertex_areas(small)
    heat = (vectors * np.exp(-0.1 * values)) @ vectors.T * mass
    np.testing.assert_allclose(heat, expm(-0.1 * cotangent_laplacian(small).toarray() / mass[:, None]), atol=1e-9)


def test_descriptors_know_neither_pose_nor_size():
    mesh = bent()
    here, there = (descriptors(m) for m in (mesh, Mesh(3.0 * turned(mesh).vertices, mesh.faces)))
    np.testing.assert_allclose(here, there, rtol=1e-5)
    assert here.shape == (len(mesh.vertices), 16)
    # h and w are means over the eigenfunctions, each of which has a mean square of 1 / area
    mass = vertex_areas(mesh) / mesh.area
    np.testing.assert_allclose(mass @ here, 1, atol=1e-6)
    values, vectors = eigenpairs(mesh, 20)
    narrow = wave_kernel_signature(values, vectors, np.log(values[[5]]), 1e-4)
    np.testing.assert_allclose(narrow[:, 0], vectors[:, 5] ** 2, rtol=1e-4)


def test_loop_subdivision_keeps_planes_and_the_genus():
    mesh = sphere(0)
    step, faces = loop_subdivision(mesh.faces, 12)
    np.testing.assert_allclose(step @ np.ones(12), 1)
    finer = Mesh(step @ mesh.vertices, faces)
    assert (len(finer.vertices), len(finer.edges), len(finer.faces)) == (42, 120, 80)
    assert (finer.edge_faces == 2).all()
    fans(finer)
    # of an icosahedron a nearly round ball: what the mask with five neighbours and the eighths give by hand
    length = np.linalg.norm(finer.vertices, axis=1)
    beta = (5 / 8 - (3 / 8 + np.cos(2 * np.pi / 5) / 4) ** 2) / 5
    corner = np.linalg.norm((1 - 5 * beta) * mesh.vertices[0] + beta * 5 * (mesh.vertices[0] / np.sqrt(5)))
    np.testing.assert_allclose(length[:12], corner)
    with pytest.raises(DataError, match="is of 1 triangles"):
        loop_subdivision(np.array([[0, 1, 2]]), 3)


def test_what_is_made_of_a_mesh_is_made_once():
    mesh = plane(4)
    assert polar_coordinates(mesh, 0.3) is polar_coordinates(mesh, 0.3)
    assert eigenpairs(mesh, 3)[1] is eigenpairs(mesh, 3)[1]
