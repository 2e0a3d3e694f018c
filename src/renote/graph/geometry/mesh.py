"""Triangular meshes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renote.errors import DataError

Reals = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Mesh:
    """Points and the triangles between them, a surface that may have borders and several parts.

    Args:
        vertices: (vertices, 3) coordinates.
        faces: (faces, 3) numbers of vertices.

    Raises:
        DataError: other shapes, coordinates that are not finite, numbers that are no vertices, a triangle without area, an edge of more than two
            triangles, a vertex of none; the message names the first.

    Example:
        >>> from renote.graph.geometry.mesh import Mesh
        >>> square = Mesh([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]])
        >>> square.area
        1.0
    """

    vertices: Reals
    faces: Integers
    _made: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        vertices, faces = np.asarray(self.vertices, np.float64), np.asarray(self.faces, np.int64)
        if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3 or not len(faces):
            raise DataError(
                f"vertices of shape {vertices.shape} and faces of shape {faces.shape}: (vertices, 3) and (faces, 3) with a face are needed"
            )
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces)
        if not np.isfinite(vertices).all():
            raise DataError(f"vertex {int((~np.isfinite(vertices)).any(1).argmax())} is not finite")
        outside = ((faces < 0) | (faces >= len(vertices))).any(1)
        if outside.any():
            face = int(outside.argmax())
            raise DataError(f"face {face} names {faces[face].tolist()}: vertices go from 0 to {len(vertices) - 1}")
        # a triangle whose height is a rounding error of its longest side has no direction
        flat = 2 * self.areas <= 1e-12 * self.sides.max(1) ** 2
        if flat.any():
            face = int(flat.argmax())
            raise DataError(
                f"face {face} ({faces[face].tolist()}) has no area: leave such triangles out, or join their vertices"
            )
        if (self.edge_faces > 2).any():
            edge = int((self.edge_faces > 2).argmax())
            raise DataError(
                f"the edge between the vertices {self.edges[edge].tolist()} is of {int(self.edge_faces[edge])} triangles, and two at most make a surface"
            )
        unused = np.bincount(faces.ravel(), minlength=len(vertices)) == 0
        if unused.any():
            raise DataError(f"vertex {int(unused.argmax())} is of no triangle: leave it out")

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make()` returns, made when first asked for under this key and kept with the mesh."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    @cached_property
    def corners(self) -> Reals:
        """(faces, 3, 3) coordinates of the corners."""
        return self.vertices[self.faces]

    @cached_property
    def normals(self) -> Reals:
        """(faces, 3) across each triangle, as long as twice its area."""
        corner = self.corners
        return np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])

    @cached_property
    def areas(self) -> Reals:
        """(faces,) areas."""
        length: Reals = np.linalg.norm(self.normals, axis=1)
        return length / 2

    @cached_property
    def sides(self) -> Reals:
        """(faces, 3) lengths, each of the side across from its corner."""
        length: Reals = np.linalg.norm(np.roll(self.corners, -1, 1) - np.roll(self.corners, -2, 1), axis=2)
        return length

    @cached_property
    def vertex_normals(self) -> Reals:
        """(vertices, 3) unit, across the surface: Σ (e₁ × e₂) / |e₁|²|e₂|² over the corners there, e₁ and e₂ their sides; exact on a sphere (Max 1999)."""
        square = self.sides**2
        share = 1 / (np.roll(square, -1, 1) * np.roll(square, -2, 1))
        parts = (share[:, :, None] * self.normals[:, None]).reshape(-1, 3)
        total = np.stack([np.bincount(self.faces.ravel(), part, len(self.vertices)) for part in parts.T], 1)
        length: Reals = np.linalg.norm(total, axis=1, keepdims=True)
        return total / np.maximum(length, 1e-300)

    @property
    def area(self) -> float:
        """Of the whole surface."""
        return float(self.areas.sum())

    @cached_property
    def _edges(self) -> tuple[Integers, Integers]:
        ends = np.sort(self.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        found = np.unique(ends, axis=0, return_counts=True)
        return found[0], found[1].astype(np.int64)

    @property
    def edges(self) -> Integers:
        """(edges, 2) vertices of each edge once, the smaller first."""
        return self._edges[0]

    @property
    def edge_faces(self) -> Integers:
        """(edges,) triangles of each edge; 1 on a border."""
        return self._edges[1]

    @cached_property
    def mean_edge(self) -> float:
        """Mean length of an edge."""
        start, end = self.vertices[self.edges[:, 0]], self.vertices[self.edges[:, 1]]
        return float(np.linalg.norm(end - start, axis=1).mean())

    @cached_property
    def part(self) -> Integers:
        """(vertices,) the connected part of each vertex, from 0."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        count, (start, end) = len(self.vertices), self.edges.T
        joined = coo_array((np.ones(len(start), np.int8), (start, end)), shape=(count, count))
        return connected_components(joined, directed=False)[1].astype(np.int64)
