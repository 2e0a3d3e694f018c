"""What each node adds to what a network says of its graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from renote.errors import UsageError
from renote.graph.batch import pick
from renote.graph.graph import Graph

_CHUNK_NODES = 20_000


def occlusion(network: Callable[[Graph], Tensor], graphs: Graph) -> Tensor:
    """c_i = f(G) - f(G without what is known of i): the features of i, and of the edges that it is an end of, are set to zero; the edges themselves stay.

    It asks the network once for each node, many at a time, and holds for any network.

    Args:
        network: f, `network(graph)` gives (graphs, outputs) of a batch.
        graphs: one, or many as a disjoint union, with dense features.

    Returns:
        (nodes, outputs).

    Raises:
        UsageError: there are no node features, or they are sparse.

    Source:
        Zeiler & Fergus (2014), "Visualizing and understanding convolutional networks", section 4.2, on pictures.
    """
    if not isinstance(graphs.x, Tensor):
        raise UsageError("occlusion sets dense node features to zero, and these graphs have none: give graph.with_x(…)")
    whole = network(graphs)
    members = graphs.members
    count = members.count.long()
    owner = members.row.long()
    local = torch.arange(graphs.num_nodes, device=count.device) - members.rowptr.long().index_select(0, owner)
    # so many copies at a time that their nodes are not too many
    groups = count.index_select(0, owner).cumsum(0) // _CHUNK_NODES
    sizes = [size for size in torch.bincount(groups).tolist() if size]
    parts = [
        whole.index_select(0, graph) - network(_without(pick(graphs, graph), place))
        for graph, place in zip(torch.split(owner, sizes), torch.split(local, sizes))
    ]
    return torch.cat(parts) if parts else whole.new_zeros(0, whole.shape[1])


def _without(copies: Graph, place: Tensor) -> Graph:
    """The node of each graph that is at a place in it, unknown."""
    gone = copies.members.rowptr.long()[:-1] + place
    assert isinstance(copies.x, Tensor)
    x = copies.x.index_fill(0, gone, 0)
    edges = copies.edge_features
    if edges is not None:
        lost = torch.zeros(copies.num_nodes, dtype=torch.bool, device=x.device).index_fill(0, gone, True)
        ends = copies.adjacency
        at = lost.index_select(0, ends.source.long()) | lost.index_select(0, ends.target.long())
        edges = edges.masked_fill(at.view(-1, *[1] * (edges.dim() - 1)), 0)
    return dataclasses.replace(copies, x=x, edge_features=edges)
