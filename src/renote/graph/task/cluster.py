"""Clusters of a graph's nodes, found without labels, and measures of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.graph import Graph
from renote.graph.pool.modularity import community_losses
from renote.graph.task.node import groups_of, in_precision_of
from renote.nets.evaluation import evaluation


class NodeClustering(nn.Module):
    """L_spectral + λ L_collapse of C = softmax(network(graph)), by DMoN's losses.

    The graph follows the module to a device or precision; it is not part of its state.

    Args:
        network: `network(graph)` gives scores (nodes, clusters).
        graph: the one graph, its edges in both directions.
        collapse: λ, which keeps clusters from falling into one.
    """

    def __init__(self, network: nn.Module, graph: Graph, collapse: float = 1.0) -> None:
        super().__init__()
        self.network, self.graph, self.collapse = network, in_precision_of(network, graph), collapse

    def losses(self) -> tuple[Tensor, Tensor]:
        """L_spectral and L_collapse, as the network's mode makes them."""
        shares = self.network(self.graph).softmax(1)
        members = self.graph.members if self.graph.num_graphs == 1 else _one(self.graph).members
        spectral, collapse = community_losses(self.graph.adjacency, members, shares)
        return spectral.sum(), collapse.sum()

    def forward(self, batch: Mapping[str, Tensor] | None = None) -> Tensor:
        """The loss."""
        spectral, collapse = self.losses()
        return spectral + self.collapse * collapse

    def shares(self) -> Tensor:
        """C, (nodes, clusters), without dropout."""
        with evaluation(self.network):
            found: Tensor = self.network(self.graph).softmax(1)
        return found

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The network's own groups if it has any, else all parameters alike."""
        return groups_of(self.network, weight_decay)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> NodeClustering:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.graph = self.graph.map(fn)
        return self


def _one(graph: Graph) -> Graph:
    """Many graphs as one of several parts."""
    return Graph(None, graph.adjacency)


def modularity(adjacency: Adjacency, clusters: Tensor) -> float:
    """1/2m Σ_ij (A_ij - d_i d_j / 2m) [c_i = c_j]; 0 without edges.

    Args:
        adjacency: the edges, in both directions; weights count.
        clusters: (nodes,) int64, here and below.

    Raises:
        UsageError: there is not one cluster a node.

    Source:
        Newman (2006), "Modularity and community structure in networks".
    """
    number, count = _numbered(adjacency, clusters)
    values = adjacency.values(torch.float64)
    target, source = number[adjacency.target.long()], number[adjacency.source.long()]
    twice = float(values.sum())
    if not twice:
        return 0.0
    degree = torch.bincount(target, values, minlength=count)
    return float(values[target == source].sum() / twice - (degree / twice).square().sum())


def conductance(adjacency: Adjacency, clusters: Tensor) -> float:
    """The share of edges that go from one cluster to another; 0 without edges.

    Args:
        adjacency: the edges, in both directions; weights count.
        clusters: (nodes,) int64.

    Raises:
        UsageError: there is not one cluster a node.

    Source:
        The average over clusters, each weighted by its edges, as in the code of Tsitsulin et al. (2020).
    """
    number, _ = _numbered(adjacency, clusters)
    values = adjacency.values(torch.float64)
    apart = number[adjacency.target.long()] != number[adjacency.source.long()]
    return float(values[apart].sum() / values.sum()) if float(values.sum()) else 0.0


def mutual_information(labels: Tensor, clusters: Tensor) -> float:
    """I(labels; clusters) / mean of their entropies, from 0 to 1; 1 if neither tells anything.

    Args:
        labels: (n,) int64.
        clusters: (n,) int64.
    """
    table = contingency(labels, clusters)
    share = table / table.sum()
    rows, columns = share.sum(1), share.sum(0)
    joint, both = _entropy(share.flatten()), _entropy(rows) + _entropy(columns)
    return float(2 * (both - joint) / both) if float(both) > 0 else 1.0


def pairwise_f1(labels: Tensor, clusters: Tensor) -> float:
    """2 TP / (2 TP + FP + FN) over pairs of nodes: those in one cluster are said to be of one class.

    Args:
        labels: (n,) int64.
        clusters: (n,) int64.
    """
    table = contingency(labels, clusters)
    both, of_class, of_cluster = (_pairs(part) for part in (table, table.sum(1), table.sum(0)))
    return float(2 * both / (of_class + of_cluster)) if float(of_class + of_cluster) else 1.0


def matched_f1(labels: Tensor, clusters: Tensor) -> float:
    """An F1 in which only each class's largest share of a cluster, and each cluster's largest of a class, count as found.

    With t_c the largest entry of a class's row of the contingency table and r_c the rest of it, and t_k and r_k likewise of a cluster's column: TP = Σ_c t_c (t_c - 1), FP = Σ_c 2 t_c r_c,
    FN = Σ_k 2 t_k r_k.

    Args:
        labels: (n,) int64.
        clusters: (n,) int64.

    Source:
        What the code of Tsitsulin et al. (2020) counts as pairwise F1.
    """
    table = contingency(labels, clusters)
    of_class, of_cluster = table.amax(1), table.amax(0)
    found = (of_class * (of_class - 1)).sum()
    wrong = (2 * of_class * (table.sum(1) - of_class)).sum()
    missed = (2 * of_cluster * (table.sum(0) - of_cluster)).sum()
    return float(2 * found / (2 * found + wrong + missed)) if float(found + wrong + missed) else 1.0


def contingency(labels: Tensor, clusters: Tensor) -> Tensor:
    """(classes, clusters) double, how many are of both.

    Raises:
        UsageError: they are not lists of the same length, or empty.
    """
    if labels.shape != clusters.shape or labels.dim() != 1 or not len(labels):
        raise UsageError(
            f"labels of shape {tuple(labels.shape)} and clusters of {tuple(clusters.shape)}: give one of each a node, of one node at least"
        )
    classes, row = torch.unique(labels, return_inverse=True)
    names, column = torch.unique(clusters, return_inverse=True)
    count = torch.bincount(row * len(names) + column, minlength=len(classes) * len(names))
    return count.view(len(classes), len(names)).double()


def _pairs(count: Tensor) -> Tensor:
    return (count * (count - 1) / 2).sum()


def _entropy(share: Tensor) -> Tensor:
    return -torch.xlogy(share, share).sum()


def _numbered(adjacency: Adjacency, clusters: Tensor) -> tuple[Tensor, int]:
    if clusters.shape != (adjacency.num_nodes,) or clusters.is_floating_point():
        raise UsageError(
            f"clusters of shape {tuple(clusters.shape)} and {clusters.dtype} for {adjacency.num_nodes} nodes: one number each"
        )
    names, number = torch.unique(clusters, return_inverse=True)
    return number, len(names)
