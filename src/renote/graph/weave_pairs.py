"""Pairs of nodes up to a distance as edges of their own, with what is known of them.

Kearnes, McCloskey, Berndl, Pande & Riley (2016), "Molecular graph convolutions: moving beyond fingerprints", arXiv 1603.00856, section 2.1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.graph import Field, Graph
from renote.graph.pattern import repeated

_MOST_PAIRS = 2e8


def pair_graph(graph: Graph, distance: int = 2) -> Graph:
    """The same nodes, joined to all that are at most so many edges away, themselves among them.

    The features of a pair (i, j): those of the edge j → i, zeros without one (of several, the first); then 1 at the distance from j to i, one column each for
    0 … distance. Nodes of two graphs are never a pair. The field `pair_distance` has the
    distance as a number.

    Args:
        graph: one, or many.
        distance: edges between the ends of a pair, at most; 0 leaves each node with itself alone.

    Raises:
        UsageError: the distance is below 0, or the pairs would be too many to list.
    """
    if distance < 0:
        raise UsageError(f"distance is {distance}: it must be 0 or more")
    adjacency, nodes = graph.adjacency, graph.num_nodes
    pattern = adjacency.pattern
    place = torch.arange(nodes, device=adjacency.device)
    key, away = place * max(nodes, 1) + place, torch.zeros_like(place)
    new = key
    for step in range(1, distance + 1):
        # one edge on from what was reached last: the sources of each reached node's arriving edges
        receiver, reached = new // max(nodes, 1), new % max(nodes, 1)
        count = pattern.count.long().index_select(0, reached)
        if float(count.sum()) > _MOST_PAIRS:
            raise UsageError(
                f"there are more than {_MOST_PAIRS:.0e} pairs of nodes up to {distance} edges apart: lower the distance"
            )
        far = pattern.column.long().index_select(0, pattern.entries_of(reached))
        new = torch.unique(repeated(receiver, count) * nodes + far)
        new = new[~torch.isin(new, key)]
        key, away = torch.cat([key, new]), torch.cat([away, torch.full_like(new, step)])
    order = torch.argsort(key)
    key, away = key[order], away[order]
    pairs = Adjacency.from_edges(key % max(nodes, 1), key // max(nodes, 1), nodes)
    features = [torch.nn.functional.one_hot(away, distance + 1).to(_dtype(graph))]
    if graph.edge_features is not None:
        features.insert(0, _of_edges(graph, key, graph.edge_features))
    fields = {name: item for name, item in graph.fields.items() if item.kind != "edge"}
    fields["pair_distance"] = Field("edge", away)
    told = torch.cat(features, 1)
    return Graph(graph.x, pairs, told, None, graph.graph_of_node, graph.num_graphs, fields)


class OverPairs(nn.Module):
    """network(pair_graph(graph, distance)); what `pair_graph` gave is taken as it is.

    Args:
        network: of graphs whose edges are pairs.
        distance: as `pair_graph`.
    """

    def __init__(self, network: nn.Module, distance: int) -> None:
        super().__init__()
        self.network, self.distance = network, distance

    def forward(self, graph: Graph) -> Tensor:
        """What the network says."""
        out: Tensor = self.network(graph if "pair_distance" in graph.fields else pair_graph(graph, self.distance))
        return out


def _dtype(graph: Graph) -> torch.dtype:
    if graph.edge_features is not None:
        return graph.edge_features.dtype
    return torch.get_default_dtype()


def _of_edges(graph: Graph, key: Tensor, edge_features: Tensor) -> Tensor:
    """The features of the edge that each pair is, zeros where it is none."""
    nodes = graph.num_nodes
    edge = graph.adjacency.target.long() * nodes + graph.adjacency.source.long()
    found = edge_features.new_zeros(len(key), edge_features.shape[1])
    if len(edge):
        # edges are sorted by receiver and source, as pairs are
        at = torch.searchsorted(edge, key).clamp(max=len(edge) - 1)
        there = edge[at] == key
        found[there] = edge_features[at[there]]
    return found
