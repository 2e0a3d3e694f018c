"""Smooth surfaces from coarse ones."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, eye_array, vstack

from renote.errors import DataError
from renote.graph.geometry.mesh import Integers


def loop_subdivision(faces: Integers, vertices: int) -> tuple[csr_array, Integers]:
    """One step of Loop's scheme, as a map of whatever lies on vertices: coordinates, weights.

        edge       3/8 (a + b) + 1/8 (c + d)            ends a, b; c, d across from it
        vertex     (1 - n β) v + β Σ w                   over its n neighbours w,  β = (5/8 - (3/8 + 1/4 cos 2π/n)²) / n

    Args:
        faces: (faces, 3) of a surface without border.
        vertices: how many there are.

    Returns:
        (vertices + edges, vertices) whose rows sum to 1; (4 faces, 3).

    Raises:
        DataError: an edge is not of two triangles.

    Source:
        Loop (1987), "Smooth subdivision surfaces based on triangles".
    """
    corner = faces.ravel()
    ends = np.sort(np.stack([np.roll(faces, -1, 1), np.roll(faces, -2, 1)], 2).reshape(-1, 2), axis=1)
    edges, edge, times = np.unique(ends, axis=0, return_inverse=True, return_counts=True)
    edge = edge.ravel()
    if (times != 2).any():
        wrong = int((times != 2).argmax())
        raise DataError(
            f"the edge between the vertices {edges[wrong].tolist()} is of {times[wrong]} triangles: 2 are needed"
        )
    count = np.arange(len(edges))
    shape = (len(edges), vertices)
    row = np.concatenate([count, count, edge])
    column = np.concatenate([edges[:, 0], edges[:, 1], corner])
    value = np.concatenate([np.full(2 * len(edges), 3 / 8), np.full(len(corner), 1 / 8)])
    on_edges = csr_array((value, (row, column)), shape=shape)
    joined = csr_array(
        (np.ones(2 * len(edges)), (edges.T.ravel(), edges[:, ::-1].T.ravel())), shape=(vertices, vertices)
    )
    degree = np.bincount(edges.ravel(), minlength=vertices)
    beta = (5 / 8 - (3 / 8 + np.cos(2 * np.pi / degree) / 4) ** 2) / degree
    on_vertices = eye_array(vertices, format="csr").multiply((1 - degree * beta)[:, None]) + joined.multiply(
        beta[:, None]
    )
    middle = vertices + edge.reshape(-1, 3)
    a, b, c = faces.T
    across_a, across_b, across_c = middle.T
    parts = [(a, across_c, across_b), (b, across_a, across_c), (c, across_b, across_a), (across_a, across_b, across_c)]
    finer = np.concatenate([np.stack(part, 1) for part in parts])
    return csr_array(vstack([on_vertices, on_edges], format="csr")), finer
