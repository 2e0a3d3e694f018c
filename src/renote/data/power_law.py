"""Graphs of any size with hubs and planted classes, drawn when loaded: a degree-corrected planted partition.

Chung & Lu (2002), "Connected components in random graphs with given expected degree sequences": both ends of an edge are drawn in proportion to weights, here of a power
law. Karrer & Newman (2011), "Stochastic blockmodels and community structure in networks": and in dependence on their classes.

    P(θ_i > θ) = θ^(1 - γ),  θ ≥ 1
    P(i) ∝ θ_i;  with probability h  P(j | i) ∝ θ_j among i's class,  else among all others of its graph
    x_i = s m_{y_i} + ε_i,  |m_c| = 1,  ε standard normal
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

_ROWS = 2**20


def load(
    card: Card,
    *,
    nodes: int = 10_000,
    degree: float = 15.0,
    exponent: float = 2.5,
    classes: int = 8,
    features: int = 64,
    homophily: float = 0.5,
    signal: float = 1.0,
    graphs: int = 1,
    seed: int = 0,
) -> NodeData:
    """A graph whose edges have both directions, or several that share no edge.

    Of one graph a tenth of the nodes are trained on and a tenth validated on. Of several, the last fifth are tested on and the fifth before validated on, whole graphs that are
    never seen in training; they are one graph in parts.

    Args:
        card: of `power-law`.
        nodes: number of nodes of all graphs.
        degree: edges a node on average, before loops and repeated ones are left out, of which hubs have some.
        exponent: γ, above 2; a node's expected degree is at most √(nodes of its graph · degree).
        classes: number of classes, equally likely.
        features: features a node.
        homophily: h, the share of the edges within a class.
        signal: s, the length of the classes' means; the noise has deviation 1 in each feature.
        graphs: 1, or at least 3.
        seed: of everything.

    Raises:
        DataError: an option out of its range.
    """
    _check(nodes, degree, exponent, classes, features, homophily, signal, graphs)
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (nodes,), generator=generator)
    graph_of_node = torch.arange(nodes) * graphs // nodes
    weight = _weights(nodes, nodes / graphs, degree, exponent, generator)
    low, high = _edges(weight, labels, graph_of_node, graphs, classes, degree, homophily, generator)
    adjacency = Adjacency.from_edges(torch.cat([low, high]), torch.cat([high, low]), nodes)
    adjacency = Adjacency(adjacency.pattern)  # the order in which edges were drawn means nothing
    x = _features(labels, classes, features, signal, generator)
    split = _split(nodes, generator) if graphs == 1 else split_graphs(graph_of_node, graphs)
    names = tuple(f"class {number}" for number in range(classes))
    counts = {"edges": adjacency.num_edges // 2, **{k: len(v) for k, v in split.items()}}
    card = dataclasses.replace(card, size=nodes, shape=(features,), classes=names, counts=counts)
    graph = Graph(x, adjacency, graph_of_node=None if graphs == 1 else graph_of_node, num_graphs=graphs)
    return NodeData(card.name, card, graph, labels, split["train"], split["validation"], split["test"], names)


def _weights(nodes: int, together: float, degree: float, exponent: float, generator: Generator) -> Tensor:
    """(nodes,) θ of double precision."""
    weight = (1.0 - _uniform(nodes, generator)).pow_(-1.0 / (exponent - 1.0))
    mean = (exponent - 1.0) / (exponent - 2.0)
    # beyond √(nodes of a graph · degree) two hubs would be joined more than once
    return weight.clamp_(max=max(1.0, mean * (together / degree) ** 0.5))


def _edges(
    weight: Tensor,
    labels: Tensor,
    graph_of_node: Tensor,
    graphs: int,
    classes: int,
    degree: float,
    homophily: float,
    generator: Generator,
) -> tuple[Tensor, Tensor]:
    """Lower and higher end of each edge, without loops and repeats."""
    nodes = len(weight)
    group = graph_of_node * classes + labels
    order = group.argsort(stable=True)  # nodes of a class of a graph are a run, and so are those of a graph
    group = group[order]
    total = torch.cat([torch.zeros(1, dtype=torch.float64), weight[order].cumsum(0)])
    ends = torch.bincount(group, minlength=graphs * classes).cumsum(0)
    ends = total[torch.cat([ends.new_zeros(1), ends])]

    count = int(nodes * degree / 2)
    source = _at(total, _uniform(count, generator) * total[-1])
    own = group[source]
    first, last = ends[own], ends[own + 1]
    graph = own // classes * classes
    start, stop = ends[graph], ends[graph + classes]
    others = (stop - start) - (last - first)
    same = (_uniform(count, generator) < homophily) | (others <= 0)
    point = _uniform(count, generator)
    elsewhere = start + point * others
    elsewhere += torch.where(elsewhere >= first, last - first, 0.0)
    target = _at(total, torch.where(same, first + point * (last - first), elsewhere))

    source, target = order[source], order[target]
    low, high = torch.minimum(source, target), torch.maximum(source, target)
    key = (low * nodes + high)[low != high]
    key = key.sort().values
    kept = torch.ones_like(key, dtype=torch.bool)
    kept[1:] = key[1:] != key[:-1]
    key = key[kept]
    return key // nodes, key % nodes


def _at(total: Tensor, point: Tensor) -> Tensor:
    """The run of `total` in which each point lies."""
    return (torch.searchsorted(total, point, right=True) - 1).clamp_(0, len(total) - 2)


def _features(labels: Tensor, classes: int, features: int, signal: float, generator: Generator) -> Tensor:
    means = torch.nn.functional.normalize(torch.randn(classes, features, generator=generator), dim=1) * signal
    x = torch.randn(len(labels), features, generator=generator)
    for part, label in zip(x.split(_ROWS), labels.split(_ROWS)):  # type: ignore[no-untyped-call]
        part += means[label]
    return x


def _split(nodes: int, generator: Generator) -> dict[str, Tensor]:
    order = torch.randperm(nodes, generator=generator)
    tenth = max(1, nodes // 10)
    parts = {"train": order[:tenth], "validation": order[tenth : 2 * tenth], "test": order[2 * tenth :]}
    return {name: part.sort().values for name, part in parts.items()}


def _uniform(count: int, generator: Generator) -> Tensor:
    return torch.rand(count, generator=generator, dtype=torch.float64)


def _check(
    nodes: int,
    degree: float,
    exponent: float,
    classes: int,
    features: int,
    homophily: float,
    signal: float,
    graphs: int,
) -> None:
    whole = {"nodes": nodes, "classes": classes, "features": features, "graphs": graphs}
    for name, value in {
        **whole,
        "degree": degree,
        "exponent": exponent,
        "homophily": homophily,
        "signal": signal,
    }.items():
        if isinstance(value, bool) or not isinstance(value, int if name in whole else int | float):
            raise DataError(f"{name} is {value!r}: it must be a {'whole ' if name in whole else ''}number")
    if nodes < 3:
        raise DataError(f"nodes is {nodes}: there must be at least 3, one for each part of the split")
    if not 0 < degree < nodes:
        raise DataError(f"degree is {degree}: it must lie between 0 and the number of nodes, {nodes}")
    if not exponent > 2:
        raise DataError(f"exponent is {exponent}: it must be above 2, or degrees have no mean")
    for name, value in (("classes", classes), ("features", features)):
        if value < 1:
            raise DataError(f"{name} is {value}: it must be at least 1")
    if not 0 <= homophily <= 1:
        raise DataError(f"homophily is {homophily}: it is a share, from 0 to 1")
    if not 0 <= signal < float("inf"):
        raise DataError(f"signal is {signal}: it is a length, at least 0")
    if graphs != 1 and not 3 <= graphs <= nodes:
        raise DataError(f"graphs is {graphs}: it must be 1, or from 3 to the number of nodes, {nodes}")
