"""The Laplacian of a mesh and what follows from its spectrum."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array, diags_array

from renote.errors import UsageError
from renote.graph.geometry.mesh import Mesh, Reals


def gradient(mesh: Mesh) -> csr_array:
    """∇u = 1/(2A) Σ_i u_i (N × e_i), constant on a triangle: e_i is the side across from corner i, N the unit normal.

    Args:
        mesh: of n vertices and m faces.

    Returns:
        (3 m, n): the three coordinates of face f are the rows 3f, 3f + 1 and 3f + 2.

    Source:
        Crane, Weischedel & Wardetzky (2013), section 3.2.1.
    """
    side = np.roll(mesh.corners, -2, 1) - np.roll(mesh.corners, -1, 1)
    unit = mesh.normals / (2 * mesh.areas)[:, None]
    values = np.cross(unit[:, None], side) / (2 * mesh.areas)[:, None, None]
    count = len(mesh.faces)
    rows = np.broadcast_to(3 * np.arange(count)[:, None, None] + np.arange(3), (count, 3, 3))
    columns = np.broadcast_to(mesh.faces[:, :, None], (count, 3, 3))
    shape = (3 * count, len(mesh.vertices))
    return coo_array((values.ravel(), (rows.ravel(), columns.ravel())), shape=shape).tocsr()


def cotangent_laplacian(mesh: Mesh) -> csr_array:
    """L_ij = -(cot α_ij + cot β_ij) / 2 for an edge, α and β the angles across from it; rows sum to 0. Equal to Gᵀ A G, positive semi-definite.

    Args:
        mesh: of n vertices.

    Returns:
        (n, n), symmetric.

    Source:
        Pinkall & Polthier (1993); Crane et al. (2013), section 3.2.1, with the other sign.
    """
    square = mesh.sides**2
    # cot of a corner: (b² + c² - a²) / 4A
    cotangent = (square.sum(1, keepdims=True) - 2 * square) / (4 * mesh.areas)[:, None]
    start, end = mesh.faces[:, [1, 2, 0]].ravel(), mesh.faces[:, [2, 0, 1]].ravel()
    count = len(mesh.vertices)
    weights = coo_array((cotangent.ravel() / 2, (start, end)), shape=(count, count)).tocsr()
    weights = weights + weights.T
    return csr_array(diags_array(weights.sum(1)) - weights)


def vertex_areas(mesh: Mesh) -> Reals:
    """(vertices,) a third of the area of each triangle around: the lumped mass, whose sum is the area."""
    share = np.repeat(mesh.areas / 3, 3)
    total: Reals = np.bincount(mesh.faces.ravel(), share, len(mesh.vertices)).astype(np.float64)
    return total


def eigenpairs(mesh: Mesh, count: int) -> tuple[Reals, Reals]:
    """The smallest solutions of L φ = λ M φ, Φᵀ M Φ = I.

    Args:
        mesh: of n vertices.
        count: how many, below n.

    Returns:
        (count,) from 0 upwards; (n, count).

    Raises:
        UsageError: more than there are.
    """
    if not 0 < count < len(mesh.vertices):
        raise UsageError(
            f"count = {count} eigenpairs of {len(mesh.vertices)} vertices: at least 1, and fewer than that"
        )
    return mesh.once(  # type: ignore[no-any-return]
        ("eigenpairs", count), lambda: spectrum(cotangent_laplacian(mesh), vertex_areas(mesh), count, mesh.area)
    )


def spectrum(laplacian: csr_array, mass: Reals, count: int, area: float) -> tuple[Reals, Reals]:
    """The `count` smallest solutions of L φ = λ M φ, Φᵀ M Φ = I.

    Args:
        laplacian: (n, n) symmetric, positive semi-definite.
        mass: (n,) M's diagonal.
        count: at most n.
        area: of the surface, which says what a small λ is.

    Returns:
        (count,) from 0 upwards; (n, count).
    """
    if len(mass) < 4 * count or len(mass) < 100:
        from scipy.linalg import eigh

        root = np.sqrt(mass)
        values, vectors = eigh(laplacian.toarray() / root[:, None] / root, subset_by_index=[0, count - 1])
        return np.maximum(values, 0), vectors / root[:, None]
    from scipy.sparse.linalg import eigsh

    # a shift below 0 is a matrix that can be factored; the start fixes signs and the basis of repeated eigenvalues
    start = np.random.default_rng(0).standard_normal(len(mass))
    values, vectors = eigsh(laplacian.tocsc(), count, diags_array(mass).tocsc(), sigma=-1e-2 / area, v0=start)
    order = np.argsort(values)
    return np.maximum(values[order], 0), vectors[:, order]


def heat_kernel_signature(values: Reals, vectors: Reals, times: Reals) -> Reals:
    """h_t(x) = Σ_k exp(-λ_k t) φ_k(x)², over Σ_k exp(-λ_k t).

    Args:
        values: (k,) eigenvalues.
        vectors: (vertices, k) eigenfunctions.
        times: (t,).

    Returns:
        (vertices, t).

    Source:
        Sun, Ovsjanikov & Guibas (2009), eq. 4 and section 4.2.
    """
    decay = np.exp(-values[:, None] * np.asarray(times)[None])
    signature: Reals = (vectors**2 @ decay) / decay.sum(0)
    return signature


def wave_kernel_signature(values: Reals, vectors: Reals, energies: Reals, width: float) -> Reals:
    """w_e(x) = Σ_k exp(-(e - ln λ_k)² / 2σ²) φ_k(x)², over Σ_k exp(-(e - ln λ_k)² / 2σ²), without eigenvalues that are 0.

    Args:
        values: (k,) eigenvalues.
        vectors: (vertices, k) eigenfunctions.
        energies: (e,) logarithms.
        width: σ, in which an energy is sharp.

    Returns:
        (vertices, e).

    Source:
        Aubry, Schlickewei & Cremers (2011), "The wave kernel signature", section 4.
    """
    above = values > 1e-6 * values.max()
    away = np.asarray(energies)[None] - np.log(values[above])[:, None]
    window = np.exp(-(away**2) / (2 * width**2))
    signature: Reals = (vectors[:, above] ** 2 @ window) / np.maximum(window.sum(0), 1e-300)
    return signature


def descriptors(mesh: Mesh, heat: int = 8, wave: int = 8, pairs: int = 60) -> Reals:
    """What a vertex's surroundings look like, whatever the pose and the size: heat- and wave-kernel signatures, times the area, so that their mean is about 1.

    Args:
        mesh: of n vertices.
        heat: how many times, evenly in logarithms from 4 ln 10 / λ_max to 4 ln 10 / λ_1.
        wave: how many energies, evenly from ln λ_1 to ln λ_max, of a width of 7 steps of a hundred between these.
        pairs: eigenpairs, fewer where there are fewer vertices.

    Returns:
        (n, heat + wave).

    Source:
        Sun et al. (2009), section 4.2, for the times; Aubry et al. (2011), section 4.3, for energies and width.
    """
    values, vectors = eigenpairs(mesh, min(pairs, len(mesh.vertices) - 1))
    above = values[values > 1e-6 * values[-1]]
    if not len(above):
        raise UsageError(
            f"a mesh of {len(mesh.vertices)} vertices has no spectrum to describe its vertices by: refine it"
        )
    low, high = float(above[0]), float(above[-1])
    times = np.geomspace(4 * np.log(10) / high, 4 * np.log(10) / low, heat)
    energies = np.linspace(np.log(low), np.log(high), wave)
    width = max(7 * (np.log(high) - np.log(low)) / 100, 1e-3)
    signatures = [
        heat_kernel_signature(values, vectors, times),
        wave_kernel_signature(values, vectors, energies, width),
    ]
    return mesh.area * np.concatenate(signatures, 1)
