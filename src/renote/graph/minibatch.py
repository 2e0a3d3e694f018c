"""Ways of training on a part of the graph at each step: around some nodes, or within some clusters.

Hamilton, Ying & Leskovec (2017), "Inductive representation learning on large graphs", arXiv 1706.02216.
Chiang, Liu, Si, Li, Bengio & Hsieh (2019), "Cluster-GCN", arXiv 1905.07953.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, get_args

import numpy as np
import torch
from torch import Tensor

from renote.errors import UsageError, unknown
from renote.graph.adjacency import Adjacency
from renote.graph.graph import Graph
from renote.graph.pattern import Pattern, starts
from renote.graph.sampling import uniform
from renote.graph.subgraph import Subgraph, induced, neighborhood

Partition = Literal["metis", "random"]


class Sampling(Protocol):
    """How the part of a step is made of what the step's batch says."""

    def part(self, graph: Graph, batch: Mapping[str, Tensor], train: Tensor) -> Subgraph:
        """A part in which the training nodes are asked for that the loss is of.

        Args:
            graph: the whole.
            batch: of a step.
            train: numbers of all training nodes.
        """


@dataclass(frozen=True)
class NeighborSampling:
    """Batches of training nodes, `{"node": numbers, "seed": the step's, as often}`, with neighbours drawn hop by hop.

    Args:
        fan_outs: edges a node, from the batch outwards, one number a layer; -1 for all.
        replace: as `sample_neighbors`.
        weighted: as `sample_neighbors`.
    """

    fan_outs: tuple[int, ...]
    replace: bool = False
    weighted: bool = False

    def __post_init__(self) -> None:
        if not self.fan_outs or any(fan_out == 0 or fan_out < -1 for fan_out in self.fan_outs):
            raise UsageError(
                f"fan_outs is {self.fan_outs}: one number a layer, each at least 1, or -1 for all neighbours"
            )

    def part(self, graph: Graph, batch: Mapping[str, Tensor], train: Tensor) -> Subgraph:
        """The nodes of the batch and what was drawn around them."""
        seed = int(batch["seed"][0]) if batch["seed"].numel() else 0
        draw = {"replace": self.replace, "weighted": self.weighted}
        return neighborhood(graph, batch["node"], self.fan_outs, seed, **draw)


class ClusterSampling:
    """Batches of clusters, `{"cluster": numbers}`: their nodes, with all edges among them, those between two clusters too.

    Normalizations are made of the part's own degrees. A step that is cut into parts says in each how many `"clusters"` and `"training"` nodes it has in all, as
    often as a part has clusters: the parts' losses, weighted by their shares of the clusters, then add up to its mean over training nodes.

    Args:
        cluster: (nodes,) the cluster of each, from 0; numbers that no node has are left out. Or what gives it, called when it is first needed.

    Source:
        Chiang et al. (2019), section 3.2, "stochastic multiple partitions".
    """

    def __init__(self, cluster: Tensor | Callable[[], Tensor]) -> None:
        self._cluster = cluster

    @cached_property
    def members(self) -> Pattern:
        """Clusters × nodes."""
        given = self._cluster if isinstance(self._cluster, Tensor) else self._cluster()
        numbers, cluster = torch.unique(given, return_inverse=True)
        return Pattern.from_segments(cluster, len(numbers))

    @property
    def num_clusters(self) -> int:
        """Of those with nodes."""
        return self.members.num_rows

    def count(self, nodes: Tensor) -> Tensor:
        """(clusters,) how many of some nodes (n,), named once each, are in each cluster."""
        chosen = torch.zeros(self.members.num_columns, dtype=torch.bool)
        chosen[nodes.cpu()] = True
        cluster = self.members.row.cpu()[chosen[self.members.column.cpu().long()]]
        return torch.bincount(cluster, minlength=self.num_clusters)

    def part(self, graph: Graph, batch: Mapping[str, Tensor], train: Tensor) -> Subgraph:
        """The nodes of the batch's clusters; asked for are those to train on, of which there may be none."""
        clusters = batch["cluster"].to(self.members.column.device)
        nodes = self.members.select(clusters)[0].column.long().to(graph.adjacency.device)
        part = induced(graph, nodes)
        training = torch.zeros(graph.num_nodes, dtype=torch.bool, device=nodes.device)
        training[train] = True
        asked = training.index_select(0, part.node).nonzero().squeeze(1)
        return Subgraph(part.graph, part.node, asked)


def partition(adjacency: Adjacency, parts: int, method: Partition = "metis", seed: int = 0) -> Tensor:
    """A cluster for each node: parts of about the same size, with few edges between them, or drawn.

    Args:
        adjacency: directions and weights are not looked at.
        parts: number of clusters, from 1 to the number of nodes; METIS may leave some without a node.
        method: `"metis"`, which needs pymetis, or `"random"`.
        seed: of either.

    Returns:
        (nodes,) int64 from 0 to parts - 1.

    Raises:
        UsageError: for a number of parts out of range, an unknown method, or if pymetis is missing.

    Source:
        Karypis & Kumar (1998), "A fast and high quality multilevel scheme for partitioning irregular graphs".
    """
    nodes = adjacency.num_nodes
    if not 1 <= parts <= nodes:
        raise UsageError(f"parts is {parts}: a graph of {nodes} nodes is cut into 1 to {nodes}")
    if method not in get_args(Partition):
        raise unknown("method of partition", method, get_args(Partition))
    if method == "random":
        number = torch.arange(nodes)
        order = uniform(seed, number, torch.zeros_like(number)).argsort()
        return torch.empty_like(number).index_copy(0, order, number * parts // nodes)
    try:
        import pymetis
    except ImportError as error:
        raise UsageError(
            "cutting a graph into clusters needs pymetis: pip install 'renote[clusters]', or cut it at random (partition = random)"
        ) from error
    dtype = np.dtype(pymetis.zero_copy_dtype())
    starts, adjacent = (part.numpy().astype(dtype, copy=False) for part in _undirected(adjacency))
    given = pymetis.CSRAdjacency(starts, adjacent)
    cut = pymetis.part_graph(parts, given, options=pymetis.Options(seed=seed))
    return torch.as_tensor(np.asarray(cut.vertex_part, dtype=np.int64))


def _undirected(adjacency: Adjacency) -> tuple[Tensor, Tensor]:
    """Where each node's neighbours begin, and the neighbours: both directions, once each, without loops."""
    pattern = adjacency.pattern
    row, column = pattern.row.cpu(), pattern.column.cpu()
    turned = pattern.transposed
    if torch.equal(turned.rowptr, pattern.rowptr) and torch.equal(turned.column, pattern.column):
        both = Pattern(pattern.rowptr.cpu(), column, pattern.num_columns)
    else:
        ends = torch.cat([row, column]), torch.cat([column, row])
        both, _ = Pattern.from_pairs(*ends, pattern.num_rows, pattern.num_columns)
    both, _ = both.distinct
    kept = both.row != both.column
    count = torch.bincount(both.row[kept], minlength=pattern.num_rows)
    return starts(count), both.column[kept]
