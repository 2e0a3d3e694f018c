"""A graph as one row of numbers: the types of its nodes, then those of its pairs of nodes, each pair once.

    row = (x_1 … x_N, e_12 e_13 … e_1N e_23 … e_{N-1,N}),   N + N (N - 1) / 2 sites

Edges without direction are symmetric by construction: a pair is one site, which is drawn once. A graph of fewer than N nodes leaves the last nodes and their
pairs out. Edge type 0 is no edge.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from renote.errors import UsageError


def sites_of(nodes: int) -> int:
    """N + N (N - 1) / 2."""
    return nodes * (nodes + 1) // 2


def nodes_of(sites: int) -> int:
    """N of a number of sites.

    Raises:
        UsageError: for a number that no N gives.
    """
    nodes = (math.isqrt(8 * sites + 1) - 1) // 2
    if nodes < 1 or sites_of(nodes) != sites:
        raise UsageError(f"{sites} sites: N nodes and their pairs are N (N + 1) / 2")
    return nodes


def node_pairs(nodes: int, device: torch.device | str | None = None) -> tuple[Tensor, Tensor]:
    """The nodes i < j of each pair, in the order of its sites."""
    return _pairs(nodes, torch.device(device or "cpu"))


# made once for a device: a copy to it would have every step wait
@lru_cache(maxsize=32)
def _pairs(nodes: int, device: torch.device) -> tuple[Tensor, Tensor]:
    i, j = torch.triu_indices(nodes, nodes, 1, device=device)
    return i, j


@lru_cache(maxsize=32)
def _pair_table(nodes: int, device: torch.device) -> Tensor:
    i, j = torch.triu_indices(nodes, nodes, 1)
    table = torch.full((nodes, nodes), len(i))
    table[i, j] = table[j, i] = torch.arange(len(i))
    return table.to(device)


def pair_table(nodes: int, device: torch.device | str | None = None) -> Tensor:
    """(N, N) int64: the number of the pair of i and j among pairs; on the diagonal one more than the last."""
    return _pair_table(nodes, torch.device(device or "cpu"))


def matrices(row: Tensor, diagonal: int = 0) -> tuple[Tensor, Tensor]:
    """Rows → node types (n, N) and the symmetric matrices of edge types (n, N, N).

    Args:
        row: (n, sites).
        diagonal: what stands there.
    """
    nodes = nodes_of(row.shape[-1])
    edges = torch.cat([row[:, nodes:], row.new_full((len(row), 1), diagonal)], 1)
    return row[:, :nodes], edges[:, pair_table(nodes, row.device)]


def rows(node_types: Tensor, edge_types: Tensor) -> Tensor:
    """The inverse of `matrices`.

    Args:
        node_types: (n, N).
        edge_types: (n, N, N), of which what is above the diagonal is read.
    """
    i, j = node_pairs(node_types.shape[1], node_types.device)
    return torch.cat([node_types, edge_types[:, i, j]], 1)


def sites_there(nodes: int) -> Tensor:
    """(N, sites) bool: which sites a graph of 1, …, N nodes has."""
    size = torch.arange(1, nodes + 1)[:, None]
    _, j = node_pairs(nodes)
    return torch.cat([torch.arange(nodes) < size, j < size], 1)
