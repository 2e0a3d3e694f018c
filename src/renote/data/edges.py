"""Lists of edges: made undirected, and made of nearest neighbours."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray

from renote.errors import DataError
from renote.graph import Adjacency


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


def similarity_graph(points: NDArray[np.float64], neighbors: int) -> Adjacency:
    """The graph of `nearest`, with weights exp(-|p_i - p_j|² / σ²), σ the mean distance of a point to the farthest of its nearest.

    Args:
        points: (nodes, features), whole numbers, all different, e.g. the places of pixels.
        neighbors: nearest ones of each point.

    Raises:
        DataError: `neighbors` is not from 1 to nodes - 1.

    Source:
        Defferrard et al. (2016), section 5.1 and their code's σ.
    """
    num_nodes = len(points)
    if not 1 <= neighbors < num_nodes:
        raise DataError(f"neighbors is {neighbors}: give a number from 1 to {num_nodes - 1}")
    source, target = nearest(points, neighbors)
    square = ((points[source] - points[target]) ** 2).sum(1)
    # of those that a point named itself the farthest is the k-th smallest distance that it has
    bounds = np.searchsorted(target, np.arange(num_nodes + 1))
    farthest = [np.partition(square[a:b], neighbors - 1)[neighbors - 1] for a, b in itertools.pairwise(bounds)]
    weight = np.exp(-square / np.sqrt(farthest).mean() ** 2)
    return Adjacency.from_edges(torch.from_numpy(source), torch.from_numpy(target), num_nodes, torch.from_numpy(weight))


def grid_points(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(places, dimensions) the whole-numbered places of a grid, the last dimension fastest, as `flatten` has them."""
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, len(shape)).astype(np.float64)
