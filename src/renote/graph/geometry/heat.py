"""Distances along a surface by the heat that flows from a point."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import diags_array

from renote.errors import UsageError
from renote.graph.geometry.laplacian import cotangent_laplacian, gradient, vertex_areas
from renote.graph.geometry.mesh import Integers, Mesh, Reals


class HeatGeodesics:
    """(M + t L) u = δ,  X = -∇u / |∇u|,  L φ = ∇·X: φ is the distance but for a constant.

    Both matrices are factored once and serve all sources.

    Args:
        mesh: with any number of parts; from one part to another it is infinitely far.
        time: t; None takes the square of the mean edge.

    Source:
        Crane, Weischedel & Wardetzky, "Geodesics in Heat", 2013, algorithm 1 and section 3.2.4.
    """

    def __init__(self, mesh: Mesh, time: float | None = None) -> None:
        from scipy.sparse.linalg import splu

        self.mesh = mesh
        step = mesh.mean_edge**2 if time is None else time
        if not step > 0:
            raise UsageError(f"time = {time}: it must be positive")
        laplacian, mass = cotangent_laplacian(mesh), vertex_areas(mesh)
        self._gradient = gradient(mesh)
        self._divergence = (self._gradient.T @ diags_array(np.repeat(mesh.areas, 3))).tocsr()
        self._heat: Any = splu((diags_array(mass) + step * laplacian).tocsc())
        # constants are in L's kernel: a shift far below its eigenvalues leaves them alone and can be factored
        self._poisson: Any = splu((laplacian + 1e-9 / mesh.area * diags_array(mass)).tocsc())

    def distances(self, sources: Integers) -> Reals:
        """Distances from vertices to all.

        Args:
            sources: (k,) numbers of vertices.

        Returns:
            (k, vertices), 0 at the source, infinite on other parts.

        Raises:
            UsageError: a number that is no vertex.
        """
        chosen, count = np.atleast_1d(np.asarray(sources, np.int64)), len(self.mesh.vertices)
        if len(chosen) and not (chosen.min() >= 0 and chosen.max() < count):
            raise UsageError(f"sources = {chosen.tolist()}: vertices go from 0 to {count - 1}")
        here = np.zeros((count, len(chosen)))
        here[chosen, np.arange(len(chosen))] = 1
        flow = (self._gradient @ self._heat.solve(here)).reshape(len(self.mesh.faces), 3, len(chosen))
        length = np.linalg.norm(flow, axis=1, keepdims=True)
        # where no heat arrives, on other parts, there is no direction
        direction = -np.divide(flow, length, out=np.zeros_like(flow), where=length > 0)
        potential = self._poisson.solve(self._divergence @ direction.reshape(-1, len(chosen)))
        potential -= potential[chosen, np.arange(len(chosen))]
        apart = self.mesh.part[:, None] != self.mesh.part[chosen]
        distance: Reals = np.where(apart, np.inf, np.maximum(potential, 0)).T
        return distance
