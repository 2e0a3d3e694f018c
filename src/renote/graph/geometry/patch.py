"""Patches: what lies around each vertex of a surface, as sparse operators on what lies on its vertices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.geometry.anisotropic import anisotropic_kernels
from renote.graph.geometry.curvature import oriented
from renote.graph.geometry.laplacian import vertex_areas
from renote.graph.geometry.mesh import Mesh
from renote.graph.geometry.polar import Polar, polar_coordinates
from renote.graph.pattern import Pattern

_BLOCK = 4_000_000
"""Weights that are in memory at once."""


@dataclass(frozen=True, eq=False)
class Patches:
    """(D f)(x, b) = Σ_y w_b(x, y) f(y): means of f over the places b of a patch around x.

    Args:
        pattern: (vertices bins) × vertices; row x bins + b.
        values: (entries,) w, float32.
        bins: places of a patch.
        coordinates: (entries, 2) where each vertex lies in its patch, for those whose places are learned; None for others.
    """

    pattern: Pattern
    values: Tensor
    bins: int
    coordinates: Tensor | None = None

    @property
    def adjacency(self) -> Adjacency:
        """Of patches of one place: edges from what lies in a patch to its middle."""
        return Adjacency(self.pattern, self.values)

    def map(self, function: Callable[[Tensor], Tensor]) -> Patches:
        """The same with each tensor passed through a function, e.g. to another device."""
        coordinates = None if self.coordinates is None else function(self.coordinates)
        return Patches(self.pattern.map(function), function(self.values), self.bins, coordinates)

    @staticmethod
    def union(parts: Sequence[Patches]) -> Patches:
        """Those of several surfaces as of one, whose vertices follow each other."""
        if len(parts) == 1:
            return parts[0]
        pattern = Pattern.diagonal([part.pattern for part in parts])
        placed = [part.coordinates for part in parts if part.coordinates is not None]
        values = torch.cat([part.values for part in parts])
        return Patches(pattern, values, parts[0].bins, torch.cat(placed) if placed else None)


def geodesic_patches(mesh: Mesh, radius: float, rings: int = 5, angles: int = 16, least: float = 0.02) -> Patches:
    """w_rθ(x, y) ∝ a_y exp(-(ρ - ρ_r)² / 2σ_ρ²) exp(-(θ - θ_t)² / 2σ_θ²), which sum to 1 over y; ρ and θ are the geodesic polar coordinates of y around x.

    ρ_r = R r / rings, r = 1 … rings; θ_t = 2π t / angles; σ_ρ and σ_θ are half a step; a_y is the area of y. Of x itself, which lies in no direction, only the distance counts.

    Args:
        mesh: the surface.
        radius: R, in the mesh's unit.
        rings: how many distances.
        angles: how many directions.
        least: entries below this share of the largest of their place are left out.

    Returns:
        Place (r, t) is bin r angles + t.

    Source:
        Masci et al. (2015), eqs. 4 to 6.
    """
    return patches_of(mesh, polar_coordinates(mesh, radius), radius, rings, angles, least)


def patches_of(mesh: Mesh, polar: Polar, radius: float, rings: int, angles: int, least: float = 0.02) -> Patches:
    """`geodesic_patches` of coordinates that are there."""
    if rings < 1 or angles < 1:
        raise UsageError(f"rings = {rings}, angles = {angles}: at least one each")
    area, count = np.log(vertex_areas(mesh)), len(mesh.vertices)
    bins, rows = rings * angles, max(1, _BLOCK // (rings * angles))
    begin, parts = 0, []
    while begin < count:
        # as many vertices as have so many neighbours together
        end = max(begin + 1, int(np.searchsorted(polar.start, polar.start[begin] + rows, side="right")) - 1)
        here = slice(polar.start[begin], polar.start[end])
        distance, angle = polar.distance[here, None], polar.angle[here, None]
        off = (distance - radius * np.arange(1, rings + 1) / rings) * (2 * rings / radius)
        turn = (angle - 2 * np.pi * np.arange(angles) / angles + np.pi) % (2 * np.pi) - np.pi
        turn = np.where(distance > 0, turn * (angles / np.pi), 0.0)
        exponent = area[polar.vertex[here], None, None] - off[:, :, None] ** 2 / 2 - turn[:, None, :] ** 2 / 2
        exponent = exponent.reshape(len(distance), bins)
        most = np.maximum.reduceat(exponent, polar.start[begin:end] - polar.start[begin])
        center = polar.center[here] - begin
        share = np.exp(exponent - most[center])
        entry, place = np.nonzero(share >= least)
        block = (share[entry, place], (center[entry] * bins + place, polar.vertex[here][entry]))
        parts.append(csr_array(block, shape=((end - begin) * bins, count)))
        begin = end
    return _normalized(parts, bins)


def anisotropic_patches(
    mesh: Mesh, anisotropy: float, angles: int, times: tuple[float, ...], pairs: int = 100, least: float = 0.02
) -> Patches:
    """Means by heat that flows faster in one direction, as `anisotropic_kernels`; bin (direction, time)."""
    kernels = anisotropic_kernels(mesh, anisotropy, angles, times, pairs, least)
    return _normalized([kernels], angles * len(times))


def polar_patches(mesh: Mesh, radius: float, smoothing: float = 1.0) -> Patches:
    """w(x, y) = a_y / Σ_z a_z over all within R of x, and the pseudo-coordinates (ρ / R, θ / π) with θ in [-π, π) from the principal direction on.

    Args:
        mesh: the surface.
        radius: R, in the mesh's unit.
        smoothing: of the curvature, as `curvature_tensors`.

    Source:
        Monti et al. (2017), section 4 and table 1.
    """
    polar = oriented(mesh, polar_coordinates(mesh, radius), smoothing)
    area = vertex_areas(mesh)[polar.vertex]
    share = area / np.bincount(polar.center, area)[polar.center]
    turn = (polar.angle / np.pi + 1) % 2 - 1
    place = torch.from_numpy(np.stack([polar.distance / radius, turn], 1)).float()
    return Patches(_pattern(polar.start, polar.vertex, len(mesh.vertices)), torch.from_numpy(share).float(), 1, place)


def _normalized(parts: Sequence[csr_array], bins: int) -> Patches:
    """Rows that sum to 1."""
    from scipy.sparse import vstack

    rows = csr_array(vstack(parts, format="csr"))
    rows.sort_indices()
    total = np.add.reduceat(rows.data, rows.indptr[:-1])
    values = rows.data / np.repeat(total, np.diff(rows.indptr))
    return Patches(_pattern(rows.indptr, rows.indices, rows.shape[1]), torch.from_numpy(values).float(), bins)


def _pattern(start: NDArray[Any], column: NDArray[Any], columns: int) -> Pattern:
    return Pattern(torch.from_numpy(start).int(), torch.from_numpy(column).int(), columns)
