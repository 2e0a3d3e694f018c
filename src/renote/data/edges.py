"""Lists of edges: made undirected, and made of nearest neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def undirected(
    source: NDArray[np.int64], target: NDArray[np.int64], num_nodes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each edge once in each direction, without loops.

    Args:
        source: (edges,) node numbers.
        target: (edges,) node numbers.
        num_nodes: number of nodes.

    Returns:
        Source and target, (2 · distinct edges,), sorted by target, then source.
    """
    plain = source != target
    source, target = source[plain], target[plain]
    key = np.unique(np.concatenate([target * num_nodes + source, source * num_nodes + target]))
    return key % num_nodes, key // num_nodes


def nearest(points: NDArray[np.float64], neighbors: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both directions of every pair of which one is among the other's nearest; of equally near ones the first.

    Args:
        points: (nodes, features), whole numbers, so that distances are exact: libraries break ties by the number of
            threads, and the graph would not be the same everywhere.
        neighbors: nearest ones of each point.

    Returns:
        Source and target, (edges,), sorted by target, then source.
    """
    num_nodes = len(points)
    whole = points.astype(np.int64)
    square = (whole**2).sum(1)
    distance = square[:, None] + square - 2 * np.rint(points @ points.T).astype(np.int64)
    np.fill_diagonal(distance, distance.max() + 1)
    chosen = np.argpartition(distance * num_nodes + np.arange(num_nodes), neighbors - 1, axis=1)[:, :neighbors]
    return undirected(np.repeat(np.arange(num_nodes), neighbors), chosen.ravel(), num_nodes)
