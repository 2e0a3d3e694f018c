"""How a surface bends: the second fundamental form, and the directions in which it bends most."""

from __future__ import annotations

import numpy as np
from scipy.sparse import diags_array

from renote.graph.geometry.laplacian import cotangent_laplacian, eigenpairs, heat_kernel_signature, vertex_areas
from renote.graph.geometry.mesh import Mesh, Reals
from renote.graph.geometry.polar import Polar, fans


def curvature_tensors(mesh: Mesh, smoothing: float = 1.0) -> Reals:
    """II, whose value along a unit tangent u, uᵀ II u, is the normal curvature there; positive where the surface bends away from its normal.

    On a triangle it is the form that maps each side to the difference of the normals at its ends, by least squares; at a vertex the mean over the triangles around, weighted
    by area, that heat has then smoothed: (M + t L)⁻¹ M II.

    Args:
        mesh: of n vertices.
        smoothing: t in squares of the mean edge.

    Returns:
        (n, 3, 3) symmetric, in the space's coordinates.

    Source:
        Rusinkiewicz (2004), "Estimating curvatures and their derivatives on triangle meshes", section 3.
    """
    return mesh.once(("curvature", smoothing), lambda: _tensors(mesh, smoothing))  # type: ignore[no-any-return]


def _tensors(mesh: Mesh, smoothing: float) -> Reals:
    corner, normal = mesh.corners, mesh.vertex_normals[mesh.faces]
    side, change = np.roll(corner, -2, 1) - np.roll(corner, -1, 1), np.roll(normal, -2, 1) - np.roll(normal, -1, 1)
    first = side[:, 0] / np.linalg.norm(side[:, 0], axis=1, keepdims=True)
    second = np.cross(mesh.normals / (2 * mesh.areas)[:, None], first)
    frame = np.stack([first, second], 1)
    a, b = np.moveaxis(np.einsum("fsx,fax->fsa", side, frame), 2, 0)
    target = np.einsum("fsx,fax->fsa", change, frame)
    zero = np.zeros_like(a)
    # of each side two equations in the three numbers of the form
    rows = np.stack([np.stack([a, b, zero], 2), np.stack([zero, a, b], 2)], 2).reshape(len(a), 6, 3)
    e, f, g = np.moveaxis(np.linalg.pinv(rows) @ target.reshape(len(a), 6, 1), 1, 0)[..., 0]
    form = np.stack([np.stack([e, f], 1), np.stack([f, g], 1)], 1)
    bent = np.einsum("fax,fab,fby->fxy", frame, form, frame).reshape(-1, 9) * (mesh.areas / 3)[:, None]
    mass = vertex_areas(mesh)
    total: Reals = np.stack([np.bincount(mesh.faces.ravel(), np.repeat(part, 3), len(mass)) for part in bent.T], 1)
    if smoothing:
        from scipy.sparse.linalg import splu

        time = smoothing * mesh.mean_edge**2
        total = mass[:, None] * splu((diags_array(mass) + time * cotangent_laplacian(mesh)).tocsc()).solve(total)
    tensor: Reals = (total / mass[:, None]).reshape(-1, 3, 3)
    return tensor


def principal_directions(mesh: Mesh, smoothing: float = 1.0) -> Reals:
    """(vertices, 3) unit tangents in whose direction the surface bends most strongly; their sign means nothing."""
    normal = mesh.vertex_normals
    flat = np.eye(3) - normal[:, :, None] * normal[:, None, :]
    values, vectors = np.linalg.eigh(flat @ curvature_tensors(mesh, smoothing) @ flat)
    most = np.abs(values).argmax(1)
    direction: Reals = np.take_along_axis(vectors, most[:, None, None], 2)[..., 0]
    # where nothing bends, any tangent
    direction = direction - (direction * normal).sum(1, keepdims=True) * normal
    length = np.linalg.norm(direction, axis=1, keepdims=True)
    other = mesh.vertices[fans(mesh).first] - mesh.vertices
    other = other - (other * normal).sum(1, keepdims=True) * normal
    direction = np.where(length > 0.5, direction, other)
    unit: Reals = direction / np.linalg.norm(direction, axis=1, keepdims=True)
    return unit


def oriented(mesh: Mesh, polar: Polar, smoothing: float = 1.0) -> Polar:
    """Angles from the principal direction on; of its two ends, from that to whose left heat stays longer.

    Left is the direction in which the surface bends least; along a limb it leads towards its end or away from it, where heat stays for different times (`warmth`).

    Args:
        mesh: the surface.
        polar: its polar coordinates.
        smoothing: as `curvature_tensors`.

    Source:
        Boscaini et al. (2016) and Monti et al. (2017) take the principal direction; the choice of its end is ours.
    """
    normal, ring = mesh.vertex_normals, fans(mesh)
    begin = mesh.vertices[ring.first] - mesh.vertices
    begin = begin - (begin * normal).sum(1, keepdims=True) * normal
    direction = principal_directions(mesh, smoothing)
    turn = np.arctan2((np.cross(begin, direction) * normal).sum(1), (begin * direction).sum(1))
    warm = warmth(mesh)
    weight = vertex_areas(mesh)[polar.vertex] * polar.distance * (warm[polar.vertex] - warm[polar.center])
    left = np.bincount(polar.center, weight * np.sin(polar.angle - turn[polar.center]), len(mesh.vertices))
    return polar.turned(turn + np.where(left < 0, np.pi, 0.0))


def warmth(mesh: Mesh, pairs: int = 60) -> Reals:
    """(vertices,) logarithm of the heat-kernel signature at the time halfway, in logarithms, between those of `descriptors`: how much heat is left where it was."""
    values, vectors = eigenpairs(mesh, min(pairs, len(mesh.vertices) - 1))
    above = values[values > 1e-6 * values[-1]]
    if not len(above):
        return np.zeros(len(mesh.vertices))
    time = 4 * np.log(10) / np.sqrt(above[0] * above[-1])
    warm: Reals = np.log(heat_kernel_signature(values, vectors, np.array([time]))[:, 0])
    return warm
