"""Many graphs of communities that overlap, drawn when loaded: what is learned on some is asked of others.

Yang & Leskovec (2012), "Community-affiliation graph model for overlapping network community detection": each community that two nodes share joins them by itself.

    P(i is of c) = m
    P(i - j) = 1 - (1 - q) (1 - p)^|communities of both|
    x_i = s / √(C m) Σ_{c of i} μ_c + ε_i,  |μ_c| = 1,  ε standard normal
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Generator, Tensor

from renote.data.card import Card
from renote.data.split import split_graphs
from renote.data.types import NodeData
from renote.errors import DataError
from renote.graph import Adjacency, Graph


def load(
    card: Card,
    *,
    graphs: int = 20,
    nodes: int = 200,
    communities: int = 8,
    membership: float = 0.2,
    inside: float = 0.2,
    outside: float = 0.005,
    features: int = 32,
    signal: float = 2.0,
    seed: int = 0,
) -> NodeData:
    """Graphs that share no edge, as one in parts; the last fifth are tested on and the fifth before validated on, whole.

    Args:
        card: of `communities-many`.
        graphs: at least 3.
        nodes: of each graph.
        communities: C, the same kinds in every graph; a node is of any number of them, and they are the classes.
        membership: m, the share of nodes that are of a community.
        inside: p, with which a community joins two of its nodes.
        outside: q, with which two nodes are joined besides.
        features: features a node.
        signal: s; the noise has deviation 1 in each feature.
        seed: of everything.

    Raises:
        DataError: an option out of its range.
    """
    whole = {"graphs": (graphs, 3), "nodes": (nodes, 1), "communities": (communities, 1), "features": (features, 1)}
    for name, (value, least) in whole.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise DataError(f"{name} is {value!r}: it must be a whole number, at least {least}")
    for name, share in (("membership", membership), ("inside", inside), ("outside", outside)):
        if not 0 <= share <= 1 or (name == "membership" and share == 0):
            raise DataError(
                f"{name} is {share}: it is a share, from 0 to 1{', above 0' if name == 'membership' else ''}"
            )
    if not 0 <= signal < float("inf"):
        raise DataError(f"signal is {signal}: it is a length, at least 0")
    generator = torch.Generator().manual_seed(seed)
    means = torch.nn.functional.normalize(torch.randn(communities, features, generator=generator), dim=1)
    labels = torch.rand(graphs * nodes, communities, generator=generator) < membership
    noise = torch.randn(graphs * nodes, features, generator=generator)
    x = signal / (communities * membership) ** 0.5 * (labels.float() @ means) + noise
    pairs = [
        _edges(labels[first : first + nodes].float(), inside, outside, generator) + first
        for first in range(0, graphs * nodes, nodes)
    ]
    low, high = torch.cat(pairs, 1)
    adjacency = Adjacency.from_edges(torch.cat([low, high]), torch.cat([high, low]), graphs * nodes)
    graph_of_node = torch.arange(graphs).repeat_interleave(nodes)
    split = split_graphs(graph_of_node, graphs)
    names = tuple(f"community {number}" for number in range(communities))
    counts = {"edges": adjacency.num_edges // 2, "graphs": graphs, **{name: len(part) for name, part in split.items()}}
    card = dataclasses.replace(card, size=graphs * nodes, shape=(features,), classes=names, counts=counts)
    graph = Graph(x, Adjacency(adjacency.pattern), graph_of_node=graph_of_node, num_graphs=graphs)
    return NodeData(card.name, card, graph, labels, split["train"], split["validation"], split["test"], names)


def _edges(member: Tensor, inside: float, outside: float, generator: Generator) -> Tensor:
    """(2, edges) of one graph, the lower end first."""
    joined = 1.0 - (1.0 - outside) * (1.0 - inside) ** (member @ member.T)
    drawn = torch.rand(joined.shape, generator=generator) < joined
    return drawn.triu(1).nonzero().T
