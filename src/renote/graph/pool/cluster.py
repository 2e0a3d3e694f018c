"""DiffPool: nodes become clusters, softly, by an assignment that is learned.

    select     S = softmax(scores), a share of each node for each cluster
    reduce     X' = Sᵀ X
    connect    A' = Sᵀ A S

    L_link = |A - S Sᵀ|_F / n²        L_entropy = 1/n Σ_i H(S_i)

Ying, You, Morris, Ren, Hamilton & Leskovec (2018), "Hierarchical graph representation learning with differentiable pooling", arXiv 1806.08804.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from renote.errors import UsageError
from renote.graph.graph import Graph
from renote.graph.segment import spmm


@dataclass(frozen=True, eq=False)
class DenseGraphs:
    """Graphs side by side, padded to the largest.

    Args:
        x: (graphs, n, features), 0 where padded.
        adjacency: (graphs, n, n), `[g, receiver, source]`, 0 where padded.
        count: (graphs,) int64, how many nodes are not padding.
    """

    x: Tensor
    adjacency: Tensor
    count: Tensor

    @property
    def mask(self) -> Tensor:
        """(graphs, n, 1) 1 where there is a node, of x's dtype."""
        places = torch.arange(self.x.shape[1], device=self.x.device)
        return (places < self.count[:, None]).to(self.x.dtype)[:, :, None]


@dataclass(frozen=True, eq=False)
class Clustered:
    """What DiffPool leaves.

    Args:
        graphs: of clusters, dense; none of them is padding, but those of an empty graph.
        link: mean over graphs of |A - S Sᵀ|_F / n².
        entropy: mean over graphs of 1/n Σ_i H(S_i).
    """

    graphs: DenseGraphs
    link: Tensor
    entropy: Tensor


def pad(values: Tensor, graph: Graph) -> Tensor:
    """(nodes, …) → (graphs, largest number of nodes, …), 0 where padded."""
    place, most = _places(graph)
    out = values.new_zeros(graph.num_graphs * most, *values.shape[1:])
    return out.index_copy(0, place, values).view(graph.num_graphs, most, *values.shape[1:])


def unpad(padded: Tensor, graph: Graph) -> Tensor:
    """The inverse of `pad`: (graphs, largest number of nodes, …) → (nodes, …)."""
    return padded.flatten(0, 1).index_select(0, _places(graph)[0])


def _places(graph: Graph) -> tuple[Tensor, int]:
    """(nodes,) where each is in rows of the largest graph's length; and that length."""
    members = graph.members
    most = int(members.count.max()) if members.num_rows else 0
    row = members.row.long()
    first = members.rowptr.long().index_select(0, row)
    return row * most + torch.arange(len(row), device=row.device) - first, most


def to_dense(graph: Graph, x: Tensor) -> DenseGraphs:
    """A batch, padded; edges that are there several times add up.

    Args:
        graph: the batch.
        x: (nodes, features) in the place of its features.
    """
    padded = pad(x, graph)
    graphs, most = padded.shape[:2]
    owner, edges = graph.members.row.long(), graph.adjacency
    first = graph.members.rowptr.long()
    target, source = edges.target.long(), edges.source.long()
    of = owner.index_select(0, target)
    place = (of * most + target - first[of]) * most + source - first[of]
    dense = x.new_zeros(graphs * most * most).index_add_(0, place, edges.values(x.dtype))
    return DenseGraphs(padded, dense.view(graphs, most, most), graph.members.count.long())


def diff_pool(graph: Graph, x: Tensor, scores: Tensor) -> Clustered:
    """One pooling of a batch of sparse graphs: the same numbers as `dense_diff_pool`, and no nodes × nodes matrix is made.

    The link loss is taken as |A|² - 2 Σ_{j→i} a_ij S_i · S_j + |Sᵀ S|².

    Args:
        graph: the batch.
        x: (nodes, features).
        scores: (nodes, clusters), of which the softmax is S.
    """
    _check(scores, len(x))
    shares = scores.softmax(1)
    edges, members = graph.adjacency, graph.members
    s, count = pad(shares, graph), members.count.long()
    received = spmm(edges, shares)
    reduced = s.transpose(1, 2) @ pad(x, graph)
    connected = s.transpose(1, 2) @ pad(received, graph)
    # edges that are there several times count as their sum, as in a dense matrix
    distinct, number = edges.pattern.distinct
    values = edges.values(x.dtype)
    if number is not None:
        values = values.new_zeros(distinct.num_entries).index_add_(0, number, values)
    owner = members.row.long()
    square = x.new_zeros(members.num_rows).index_add_(0, owner.index_select(0, distinct.row.long()), values.square())
    within = s.transpose(1, 2) @ s
    shared = (shares * received).sum(1)
    cross = x.new_zeros(members.num_rows).index_add(0, owner, shared)
    link = _root(square - 2 * cross + within.square().sum((1, 2))) / _size(count, x) ** 2
    entropy = x.new_zeros(members.num_rows).index_add(0, owner, _entropy(shares)) / _size(count, x)
    clusters = (count > 0).long() * scores.shape[1]
    return Clustered(DenseGraphs(reduced, connected, clusters), _mean(link), _mean(entropy))


def dense_diff_pool(graphs: DenseGraphs, scores: Tensor) -> Clustered:
    """One pooling of dense graphs.

    Args:
        graphs: whose features are pooled.
        scores: (graphs, n, clusters), of which the softmax is S; what is in padded places is not looked at.
    """
    _check(scores.flatten(0, 1), graphs.x.shape[0] * graphs.x.shape[1])
    s = scores.softmax(2) * graphs.mask
    turned = s.transpose(1, 2)
    link = _root((graphs.adjacency - s @ turned).square().sum((1, 2))) / _size(graphs.count, s) ** 2
    entropy = _entropy(s).sum(1) / _size(graphs.count, s)
    clusters = (graphs.count > 0).long() * scores.shape[2]
    pooled = DenseGraphs(turned @ graphs.x, turned @ graphs.adjacency @ s, clusters)
    return Clustered(pooled, _mean(link), _mean(entropy))


def _check(scores: Tensor, rows: int) -> None:
    if scores.dim() != 2 or scores.shape[0] != rows or scores.shape[1] < 1:
        raise UsageError(
            f"scores of shape {tuple(scores.shape)} for {rows} nodes: give one row a node, one column a cluster"
        )


def _entropy(shares: Tensor) -> Tensor:
    return -(shares * shares.clamp(min=1e-15).log()).sum(-1)


def _root(square: Tensor) -> Tensor:
    # a square of nothing has no slope, and rounding may leave less than nothing
    positive = square > 0
    return torch.where(positive, torch.where(positive, square, 1.0).sqrt(), 0.0)


def _size(count: Tensor, like: Tensor) -> Tensor:
    return count.clamp(min=1).to(like.dtype)


def _mean(values: Tensor) -> Tensor:
    return values.sum() / max(len(values), 1)
