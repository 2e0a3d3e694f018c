"""Heat that flows faster in one direction than across it."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, diags_array

from renote.errors import UsageError
from renote.graph.geometry.curvature import principal_directions
from renote.graph.geometry.laplacian import gradient, spectrum, vertex_areas
from renote.graph.geometry.mesh import Mesh, Reals


def anisotropic_laplacian(mesh: Mesh, anisotropy: float, angle: float, direction: Reals | None = None) -> csr_array:
    """L_αθ = Gᵀ A (R_θ D_α R_θᵀ) G,  D_α = diag(1, 1/α): heat flows α times faster along the direction that lies θ off the principal one than across it.

    Args:
        mesh: of n vertices and m faces.
        anisotropy: α, at least 1; 1 gives the cotangent Laplacian.
        angle: θ, counter-clockwise as seen from outside.
        direction: (m, 3) tangents from which θ counts; None takes the principal ones.

    Returns:
        (n, n), symmetric, positive semi-definite, rows sum to 0.

    Raises:
        UsageError: α below 1.

    Source:
        Boscaini et al. (2016), section 3; Andreux et al. (2014), "Anisotropic Laplace-Beltrami operators for shape analysis".
    """
    if not anisotropy >= 1:
        raise UsageError(
            f"anisotropy = {anisotropy}: it is how many times faster heat flows along than across, at least 1"
        )
    along = face_directions(mesh) if direction is None else direction
    across = np.cross(mesh.normals / (2 * mesh.areas)[:, None], along)
    fast, slow = np.cos(angle) * along + np.sin(angle) * across, np.cos(angle) * across - np.sin(angle) * along
    slope = gradient(mesh)
    parts = []
    for unit, speed in ((fast, 1.0), (slow, 1 / anisotropy)):
        # the derivative in one direction, a number a triangle
        columns = np.arange(3 * len(unit)).reshape(-1, 3)
        pick = csr_array(
            (unit.ravel(), (np.repeat(np.arange(len(unit)), 3), columns.ravel())), shape=(len(unit), 3 * len(unit))
        )
        derivative = pick @ slope
        parts.append(derivative.T @ diags_array(speed * mesh.areas) @ derivative)
    return csr_array(parts[0] + parts[1])


def face_directions(mesh: Mesh) -> Reals:
    """(faces, 3) unit tangents in whose direction a triangle's surroundings bend most; their sign means nothing."""
    corner = principal_directions(mesh)[mesh.faces]
    # directions without sign are averaged as projections on them
    mean = np.einsum("fcx,fcy->fxy", corner, corner)
    unit = mesh.normals / (2 * mesh.areas)[:, None]
    flat = np.eye(3) - unit[:, :, None] * unit[:, None, :]
    direction: Reals = np.linalg.eigh(flat @ mean @ flat)[1][..., 2]
    return direction


def anisotropic_kernels(
    mesh: Mesh, anisotropy: float, angles: int, times: tuple[float, ...], pairs: int = 100, least: float = 0.02
) -> csr_array:
    """K_x(θ, t)y = h_αθt(x, y) a_y / Σ_z h_αθt(x, z) a_z,  h_αθt(x, y) = Σ_k exp(-λ_k t) φ_k(x) φ_k(y): means around x, by how much heat comes from there.

    Args:
        mesh: of n vertices, of areas a.
        anisotropy: α of `anisotropic_laplacian`.
        angles: how many directions θ = π j / angles: a direction and its opposite are the same.
        times: how long heat flows, in squares of the mesh's unit.
        pairs: how many eigenpairs of L_αθ are taken.
        least: entries below this share of the largest of their row are left out.

    Returns:
        (n angles times, n): the row of x, direction j and time s is (x angles + j) times + s.

    Source:
        Boscaini et al. (2016), section 3.
    """
    mass = vertex_areas(mesh)
    count, found = len(mass), []
    for number in range(angles):
        laplacian = anisotropic_laplacian(mesh, anisotropy, np.pi * number / angles)
        values, vectors = spectrum(laplacian, mass, min(pairs, count), mesh.area)
        for time in times:
            kernel = np.maximum((vectors * np.exp(-values * time)) @ vectors.T, 0) * mass
            kernel[kernel < least * kernel.max(1, keepdims=True)] = 0
            found.append(csr_array(kernel / kernel.sum(1, keepdims=True)))
    from scipy.sparse import vstack

    order = np.arange(len(found) * count).reshape(len(found), count).T.ravel()
    return csr_array(vstack(found, format="csr")[order])
