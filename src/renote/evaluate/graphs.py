"""Graphs that were made: how near their degrees, clustering and small patterns are to those of real graphs.

    MMD²(P, Q) = E k(x, x') + E k(y, y') - 2 E k(x, y),   k(x, y) = exp(-d(x, y)² / (2 s²))

over what describes a graph: its distribution of degrees (s = 1), of clustering coefficients in 100 bins (s = 0.1), d being the total variation; and the mean number of
times that its nodes are in each of 15 orbits of patterns of at most 4 nodes (s = 30, d Euclidean), as You et al. 2018 and Liao et al. 2019.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from renote.data import GraphForm, SampleData
from renote.graph import cycle_counts, matrices, reachable

BINS = 100
CHUNK = 200_000


def graph_measures(samples: Tensor, data: SampleData) -> dict[str, Any]:
    """How near made graphs are to real ones; of molecules also whether they can be.

    Args:
        samples: (n, sites) rows.
        data: what was learned from; held-out graphs are compared with, if there are any.

    Returns:
        Of molecules what `molecule_measures` says. Of others `degree`, `clustering`, `orbit`: MMD² from held-out graphs, the same of training
        graphs in `training: degree`, … , the least to expect; `connected`, `uniqueness` and `novelty`, shares, graphs of one spectrum counted as the same; and
        `types`, the total variation of types of nodes and pairs.
    """
    form = data.graphs
    assert form is not None
    if form.molecules:
        from renote.evaluate.molecules import molecule_measures

        return dict(molecule_measures(samples, data))
    real = data.test if len(data.test) else data.train
    described, ours, training = (_described(rows, form) for rows in (real, samples, data.train[: len(real)]))
    found: dict[str, Any] = {name: mmd(ours[name], described[name], name) for name in described}
    found |= {f"training: {name}": mmd(training[name], described[name], name) for name in described}
    made, known = _spectra(samples, form), _spectra(data.train, form)
    there = samples[:, : form.nodes] != form.absent
    apart = ~reachable(_adjacency(samples, form).double(), there) & there[:, :, None] & there[:, None]
    found["connected"] = float((~apart.flatten(1).any(1)).double().mean())
    found["uniqueness"] = len(set(made)) / max(1, len(made))
    found["novelty"] = len(set(made) - set(known)) / max(1, len(set(made)))
    shares = [torch.bincount(rows.flatten().long(), minlength=form.absent + 1).double() for rows in (samples, real)]
    found["types"] = float((shares[0] / shares[0].sum() - shares[1] / shares[1].sum()).abs().sum()) / 2
    return found


def mmd(one: Tensor, other: Tensor, kind: str) -> float:
    """MMD² of two sets of descriptions, (n, d) and (m, d).

    Args:
        one: descriptions of graphs, of the largest width of both.
        other: likewise.
        kind: `"degree"`, `"clustering"` or `"orbit"`.
    """
    width = max(one.shape[1], other.shape[1])
    one, other = (torch.nn.functional.pad(x.double(), (0, width - x.shape[1])) for x in (one, other))
    scale = {"degree": 1.0, "clustering": 0.1, "orbit": 30.0}[kind]

    def kernel(a: Tensor, b: Tensor) -> float:
        away = torch.cdist(a, b) if kind == "orbit" else torch.cdist(a, b, p=1) / 2
        return float(torch.exp(-((away / scale) ** 2) / 2).mean())

    return kernel(one, one) + kernel(other, other) - 2 * kernel(one, other)


def orbit_counts(adjacency: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How often each node of a graph is in each orbit of connected patterns of 2, 3 and 4 nodes, (N, 15).

    Args:
        adjacency: (N, N) bool, symmetric, without loops.

    Source:
        Pržulj 2007, figure 1: an orbit is told by the pattern's number of nodes and edges, its largest degree, and the node's own degree in it.
    """
    nodes = len(adjacency)
    counts = np.zeros((nodes, 15))
    start = 0
    for size in (2, 3, 4):
        table, orbits = _orbits(size)
        ends = list(itertools.combinations(range(size), 2))
        for chosen in _chunks(nodes, size):
            code = sum(adjacency[chosen[:, a], chosen[:, b]].astype(np.int64) << bit for bit, (a, b) in enumerate(ends))
            for place in range(size):
                orbit = table[code, place]
                inside = orbit >= 0
                np.add.at(counts, (chosen[inside, place], start + orbit[inside]), 1)
        start += orbits
    return counts


def _chunks(nodes: int, size: int) -> Any:
    every = itertools.combinations(range(nodes), size)
    while some := list(itertools.islice(every, CHUNK)):
        yield np.array(some)


@lru_cache(maxsize=4)
def _orbits(size: int) -> tuple[NDArray[np.int64], int]:
    """(codes, size): the orbit of each node in the pattern of each code, -1 where it is not connected; and how many there are."""
    ends = list(itertools.combinations(range(size), 2))
    numbers: dict[tuple[int, int, int], int] = {}
    table = np.full((1 << len(ends), size), -1, np.int64)
    for edges in range(len(ends) + 1):
        for present in itertools.combinations(range(len(ends)), edges):
            joined = np.zeros((size, size), np.int64)
            for bit in present:
                a, b = ends[bit]
                joined[a, b] = joined[b, a] = 1
            if (np.linalg.matrix_power(joined + np.eye(size, dtype=np.int64), size) == 0).any():
                continue
            degree = joined.sum(1)
            for node in range(size):
                key = (edges, int(degree.max()), int(degree[node]))
                table[sum(1 << bit for bit in present), node] = numbers.setdefault(key, len(numbers))
    return table, len(numbers)


def _adjacency(rows: Tensor, form: GraphForm) -> Tensor:
    edges = matrices(rows.long())[1]
    return (edges > 0) & (edges < form.absent) if form.absent > 1 else edges == 1


def _described(rows: Tensor, form: GraphForm) -> dict[str, Tensor]:
    adjacency = _adjacency(rows, form)
    there = (rows[:, : form.nodes] != form.absent).double()
    degree = adjacency.sum(-1)
    by_degree = torch.zeros(len(rows), form.nodes, dtype=torch.float64).scatter_add_(1, degree, there)
    possible = degree.double() * (degree - 1) / 2
    coefficient = cycle_counts(adjacency.double())[..., 0] / possible.clamp(min=1)
    place = (coefficient * BINS).long().clamp(max=BINS - 1)
    by_clustering = torch.zeros(len(rows), BINS, dtype=torch.float64).scatter_add_(1, place, there)
    size = there.sum(1, keepdim=True)
    orbits = []
    for graph, count in zip(adjacency.numpy(), size[:, 0].long().tolist()):
        orbits.append(orbit_counts(graph[:count, :count]).sum(0) / count)
    return {"degree": by_degree / size, "clustering": by_clustering / size, "orbit": torch.from_numpy(np.array(orbits))}


def _spectra(rows: Tensor, form: GraphForm) -> list[tuple[float, ...]]:
    """What is the same for graphs that differ in the order of their nodes, as their eigenvalues are."""
    nodes = rows[:, : form.nodes]
    weighted = matrices(rows.double())[1] * _adjacency(rows, form)
    # types of nodes on the diagonal, those of nodes that are not there apart from all others
    values = torch.linalg.eigvalsh(weighted + torch.diag_embed(2.0 * nodes.double()))
    return [tuple(row) for row in values.round(decimals=4).add(0.0).tolist()]
