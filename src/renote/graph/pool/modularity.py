"""DMoN: clusters of many edges within and few between, softly, by modularity.

    select     C = softmax(scores), a share of each node for each cluster
    reduce     X' = SeLU(Cᵀ X)
    connect    A' = Cᵀ A C

    L_spectral = - 1/2m Tr(Cᵀ B C),  B = A - d dᵀ / 2m        L_collapse = √k / n |Σ_i C_i|₂ - 1

B is never made: Tr(Cᵀ B C) = Σ_i C_i · (A C)_i - |Cᵀ d|² / 2m.

Tsitsulin, Palowitch, Perozzi & Müller (2020), "Graph clustering with graph neural networks", arXiv 2006.16904, sections 4.1 to 4.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from renote.graph.adjacency import Adjacency
from renote.graph.graph import Graph
from renote.graph.pattern import Pattern
from renote.graph.pool.cluster import DenseGraphs, _check, _mean, _root, _size, pad
from renote.graph.segment import row_sums, spmm


@dataclass(frozen=True, eq=False)
class Communities:
    """What DMoN leaves.

    Args:
        graphs: of clusters, dense; none of them is padding, but those of an empty graph.
        spectral: mean over graphs of - 1/2m Tr(Cᵀ B C); 0 for one without edges.
        collapse: mean over graphs of √k / n |Σ_i C_i|₂ - 1, from 0, equal clusters, to √k - 1, one of all; 0 for an empty graph.
    """

    graphs: DenseGraphs
    spectral: Tensor
    collapse: Tensor


def dmon_pool(graph: Graph, x: Tensor, scores: Tensor) -> Communities:
    """One pooling of a batch of undirected graphs; no nodes × nodes matrix is made.

    Args:
        graph: the batch, its edges in both directions; weights count, and none is negative.
        x: (nodes, features).
        scores: (nodes, clusters), of which the softmax is C.
    """
    _check(scores, len(x))
    shares, members = scores.softmax(1), graph.members
    received = spmm(graph.adjacency, shares)
    turned = pad(shares, graph).transpose(1, 2)
    count = members.count.long()
    pooled = DenseGraphs(
        functional.selu(turned @ pad(x, graph)),
        turned @ pad(received, graph),
        (count > 0).long() * scores.shape[1],
    )
    spectral, collapse = community_losses(graph.adjacency, members, shares, received)
    return Communities(pooled, _mean(spectral), _mean(collapse))


def community_losses(
    adjacency: Adjacency, members: Pattern, shares: Tensor, received: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """L_spectral and L_collapse of each graph, (graphs,) both.

    Args:
        adjacency: the edges, in both directions.
        members: graphs × nodes, as `graph.members`.
        shares: (nodes, clusters) C, rows add up to 1; a hard assignment is a matrix of 0 and 1, and its spectral loss minus its modularity.
        received: A C, if it is there.

    Source:
        Tsitsulin et al. (2020), eq. 5 and 6.
    """
    received = spmm(adjacency, shares) if received is None else received
    owner, graphs = members.row.long(), members.num_rows
    degree = row_sums(adjacency.pattern, adjacency.values(shares.dtype), shares.new_ones(len(shares), 1))

    def add(values: Tensor) -> Tensor:
        return values.new_zeros(graphs, values.shape[1]).index_add(0, owner, values)

    twice = add(degree).squeeze(1)  # 2m
    scale = torch.where(twice > 0, twice, 1.0).reciprocal()
    within = add((shares * received).sum(1, keepdim=True)).squeeze(1)
    expected = add(shares * degree).square().sum(1) * scale
    size = _root(add(shares).square().sum(1)) * shares.shape[1] ** 0.5
    count = members.count.long()
    collapse = torch.where(count > 0, size / _size(count, shares) - 1, 0.0)
    return -(within - expected) * scale, collapse
