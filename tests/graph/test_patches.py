import numpy as np
import pytest
import torch
from test_geometry import plane, sphere, turned
from test_polar import bent

from renote.errors import UsageError
from renote.graph import AnisotropicConvolution, GeodesicConvolution, MeshNetwork, MixtureConvolution, WindowConvolution
from renote.graph.geometry.laplacian import vertex_areas
from renote.graph.geometry.mesh import Mesh
from renote.graph.geometry.patch import (
    Patches,
    anisotropic_patches,
    geodesic_patches,
    patches_of,
    polar_patches,
)
from renote.graph.geometry.polar import polar_coordinates
from renote.graph.pattern import Pattern
from renote.graph.segment import product


def dense(patches: Patches) -> torch.Tensor:
    """(vertices, bins, vertices)."""
    return product(patches.pattern, patches.values, torch.eye(patches.pattern.num_columns)).view(
        -1, patches.bins, patches.pattern.num_columns
    )


def double(patches: Patches) -> Patches:
    return patches.map(lambda part: part.double() if part.is_floating_point() else part)


def test_geodesic_patches_are_what_the_formula_says():
    mesh, radius, rings, angles = bent(), 0.5, 3, 5
    polar, area = polar_coordinates(mesh, radius), vertex_areas(mesh)
    found = dense(geodesic_patches(mesh, radius, rings, angles, least=0.0))
    for x in (0, 17, 300):
        entries = np.arange(polar.start[x], polar.start[x + 1])
        for ring in range(rings):
            for angle in range(angles):
                expected = np.zeros(len(mesh.vertices))
                for k in entries:
                    off = polar.distance[k] - radius * (ring + 1) / rings
                    turn = abs(polar.angle[k] - 2 * np.pi * angle / angles)
                    turn = 0.0 if polar.distance[k] == 0 else min(turn, 2 * np.pi - turn)
                    spread = radius / rings / 2, np.pi / angles
                    expected[polar.vertex[k]] = area[polar.vertex[k]] * np.exp(
                        -(off**2) / (2 * spread[0] ** 2) - turn**2 / (2 * spread[1] ** 2)
                    )
                np.testing.assert_allclose(found[x, ring * angles + angle], expected / expected.sum(), atol=2e-6)


def test_what_is_left_out_is_small_and_rows_are_means():
    mesh = bent()
    exact, thin = (geodesic_patches(mesh, 0.5, 3, 8, least) for least in (0.0, 0.02))
    assert thin.pattern.num_entries < 0.5 * exact.pattern.num_entries
    torch.testing.assert_close(dense(thin).sum(2), torch.ones(len(mesh.vertices), 24))
    values = torch.from_numpy(mesh.vertices).float()
    a, b = (product(p.pattern, p.values, values) for p in (exact, thin))
    torch.testing.assert_close(a, b, atol=0.01, rtol=0)


def test_a_patch_of_the_plane_sees_where_it_looks():
    """The mean of the coordinates over a place of the patch is that place."""
    mesh = plane(20)
    polar = polar_coordinates(mesh, 0.2)
    middle = int(np.abs(mesh.vertices - [0.5, 0.5, 0]).sum(1).argmin())
    patches = geodesic_patches(mesh, 0.2, 2, 8)
    seen = (dense(patches)[middle] @ torch.from_numpy(mesh.vertices[:, :2]).float()).view(2, 8, 2)
    here = slice(polar.start[middle], polar.start[middle + 1])
    k = int(np.argmax(polar.distance[here]))
    step = mesh.vertices[polar.vertex[here][k]] - mesh.vertices[middle]
    begin = np.arctan2(step[1], step[0]) - polar.angle[here][k]
    angle = begin + 2 * np.pi * np.arange(8) / 8
    away = seen[0] - torch.tensor([0.5, 0.5])
    direction = torch.atan2(away[:, 1], away[:, 0]).numpy()
    np.testing.assert_allclose(np.cos(direction - angle), 1, atol=1e-3)
    torch.testing.assert_close(away.norm(dim=1), torch.full((8,), 0.1), atol=0.02, rtol=0)


@pytest.mark.parametrize("make", ["geodesic", "anisotropic", "polar"])
def test_patches_do_not_change_with_the_surface_as_a_whole(make):
    mesh = bent()
    patches = {
        "geodesic": lambda m: geodesic_patches(m, 0.4, 3, 8),
        "anisotropic": lambda m: anisotropic_patches(m, 10.0, 4, (0.01, 0.04), 120),
        "polar": lambda m: polar_patches(m, 0.4),
    }[make]
    here, there = patches(mesh), patches(turned(mesh))
    torch.testing.assert_close(dense(here), dense(there), atol=1e-5, rtol=0)
    if here.coordinates is not None:
        gap = (here.coordinates - there.coordinates).abs()
        torch.testing.assert_close(torch.minimum(gap, (gap - 2).abs()), torch.zeros_like(gap), atol=1e-5, rtol=0)


def test_a_turn_of_the_angles_turns_the_patch_and_the_best_turn_does_not_see_it():
    mesh, rings, angles = bent(), 3, 8
    polar = polar_coordinates(mesh, 0.4)
    # each vertex counts its angles from another direction, whole steps away
    steps = np.random.default_rng(0).integers(angles, size=len(mesh.vertices))
    here = patches_of(mesh, polar, 0.4, rings, angles)
    there = patches_of(mesh, polar.turned(2 * np.pi * steps / angles), 0.4, rings, angles)
    x = torch.randn(len(mesh.vertices), 4)
    one, other = (product(p.pattern, p.values, x).view(-1, rings, angles, 4) for p in (here, there))
    rolled = torch.stack([part.roll(-int(step), 1) for part, step in zip(one, steps)])
    torch.testing.assert_close(other, rolled, atol=1e-4, rtol=0)
    layer = GeodesicConvolution(4, 5, rings, angles)
    torch.testing.assert_close(layer(x, here), layer(x, there), atol=1e-3, rtol=0)
    assert (layer.turns(x, here) - layer.turns(x, there)).abs().max() > 0.1


def test_the_geodesic_convolution_is_a_correlation_over_turns():
    mesh = sphere(1)
    for angles in (1, 6, 7):
        patches = double(geodesic_patches(mesh, 1.0, 2, angles))
        layer, x = GeodesicConvolution(3, 4, 2, angles).double(), torch.randn(42, 3, dtype=torch.double)
        torch.nn.init.normal_(layer.bias)
        seen = product(patches.pattern, patches.values, x).view(42, 2, angles, 3)
        turns = [torch.einsum("vrti,rtio->vo", seen.roll(-s, 2), layer.weight) for s in range(angles)]
        torch.testing.assert_close(layer(x, patches), torch.stack(turns).amax(0) + layer.bias)
        torch.testing.assert_close(layer.turns(x, patches), torch.stack(turns, 1))


def test_the_anisotropic_convolution_is_a_sum_over_places():
    mesh = sphere(1)
    patches = double(anisotropic_patches(mesh, 10.0, 3, (0.05, 0.2)))
    layer, x = AnisotropicConvolution(3, 4, 6).double(), torch.randn(42, 3, dtype=torch.double)
    torch.nn.init.normal_(layer.bias)
    seen = product(patches.pattern, patches.values, x).view(42, 6, 3)
    expected = torch.einsum("vbi,bio->vo", seen, layer.weight.view(6, 3, 4)) + layer.bias
    torch.testing.assert_close(layer(x, patches), expected)


def test_windows_go_round():
    mesh = sphere(1)
    patches = double(polar_patches(mesh, 1.0))
    layer, x = WindowConvolution(3, 4, 2, 4).double(), torch.randn(42, 3, dtype=torch.double)
    mixture, expected = layer.mixture, torch.zeros(42, 4, dtype=torch.double)
    weight = mixture.weight.view(3, 8, 4)
    for entry, (row, column) in enumerate(zip(patches.pattern.row.tolist(), patches.pattern.column.tolist())):
        distance, angle = patches.coordinates[entry]
        for k in range(8):
            turn = angle - mixture.center[k, 1]
            turn = min((turn + shift for shift in (-4.0, -2.0, 0.0, 2.0, 4.0)), key=abs)
            off = torch.stack([distance - mixture.center[k, 0], turn]) * mixture.inverse_deviation[k]
            share = patches.values[entry] * (-0.5 * off.square().sum()).exp()
            expected[row] += share * x[column] @ weight[:, k]
    torch.testing.assert_close(layer(x, patches), expected + mixture.bias, atol=1e-5, rtol=1e-5)
    with pytest.raises(UsageError, match="one each, 0 for none"):
        MixtureConvolution(2, 2, period=(2.0,))
    with pytest.raises(UsageError, match="no coordinates"):
        layer(x, double(geodesic_patches(mesh, 1.0, 1, 1)))


@pytest.mark.parametrize("make", ["geodesic", "anisotropic", "window"])
def test_gradients_are_exact(make):
    # no angle is just half a turn from where a window is, as where ways round are equally long there is no gradient
    ball = sphere(0)
    mesh = Mesh(ball.vertices + 0.1 * np.random.default_rng(0).normal(size=(12, 3)), ball.faces)
    layer, patches = {
        "geodesic": lambda: (GeodesicConvolution(2, 3, 2, 4), geodesic_patches(mesh, 1.5, 2, 4)),
        "anisotropic": lambda: (AnisotropicConvolution(2, 3, 4), anisotropic_patches(mesh, 5.0, 2, (0.1, 0.3))),
        "window": lambda: (WindowConvolution(2, 3, 2, 3), polar_patches(mesh, 1.5)),
    }[make]()
    layer, patches = layer.double(), double(patches)
    x = torch.randn(12, 2, dtype=torch.double, requires_grad=True)
    parameters = dict(layer.named_parameters())

    def run(x, *values):
        return torch.func.functional_call(layer, dict(zip(parameters, values)), (x, patches))

    assert torch.autograd.gradcheck(run, (x, *parameters.values()))


def test_several_surfaces_are_as_each_alone():
    meshes = [sphere(1), sphere(0), Mesh(plane(3).vertices, plane(3).faces)]
    for make in (lambda m: geodesic_patches(m, 0.9, 2, 4), lambda m: polar_patches(m, 0.9)):
        parts = [double(make(mesh)) for mesh in meshes]
        union, bins = Patches.union(parts), parts[0].bins
        layer = GeodesicConvolution(2, 3, 2, 4) if bins == 8 else WindowConvolution(2, 3, 2, 4)
        layer = layer.double()
        xs = [torch.randn(len(mesh.vertices), 2, dtype=torch.double, requires_grad=True) for mesh in meshes]
        whole = layer(torch.cat(xs), union)
        alone = torch.cat([layer(x, part) for x, part in zip(xs, parts)])
        torch.testing.assert_close(whole, alone)
        weight = torch.randn_like(whole)
        for a, b in zip(
            torch.autograd.grad((whole * weight).sum(), xs), torch.autograd.grad((alone * weight).sum(), xs)
        ):
            torch.testing.assert_close(a, b)


def test_patterns_along_a_diagonal_know_their_transpose():
    parts = [Pattern.from_pairs(torch.tensor([0, 0, 2]), torch.tensor([1, 2, 0]), 3, 4)[0] for _ in range(2)]
    parts.append(Pattern.from_pairs(torch.tensor([], dtype=torch.long), torch.tensor([], dtype=torch.long), 2, 1)[0])
    whole = Pattern.diagonal(parts)
    plain = Pattern(whole.rowptr, whole.column, whole.num_columns)
    assert (whole.num_rows, whole.num_columns) == (8, 9)
    assert torch.equal(whole.to_transposed, plain.to_transposed)
    assert torch.equal(whole.transposed.rowptr, plain.transposed.rowptr)
    assert torch.equal(whole.transposed.column, plain.transposed.column)
    assert whole.transposed.transposed is whole


def test_a_network_reads_logarithms_and_patches():
    mesh = sphere(1)
    patches = geodesic_patches(mesh, 1.0, 1, 4)
    network = MeshNetwork([GeodesicConvolution(3, 5, 1, 4)], 2, 3, 5, 7, 11, torch.ones(2), torch.full((2,), 2.0))
    x = torch.rand(42, 2) + 0.1
    out = network(x, patches)
    assert out.shape == (42, 11)
    network.center.zero_()
    torch.testing.assert_close(network(x / torch.e, patches), out)
    with pytest.raises(UsageError, match="patches of 4 places for filters of 8"):
        GeodesicConvolution(3, 5, 2, 4)(torch.ones(42, 3), patches)
    with pytest.raises(UsageError, match="at least one each"):
        geodesic_patches(mesh, 1.0, 0, 4)
