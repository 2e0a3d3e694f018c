"""Places for the nodes of a graph that has none, and pictures that need them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from renote.graph import Adjacency, Graph

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_PAIRS = 1500
_SAMPLED = 64
_MOST_NAMES = 60


def force_layout(adjacency: Adjacency, seed: int = 0, rounds: int = 150) -> Tensor:
    """(nodes, 2) places by springs along edges, a² / k each, and a push k² / a between all nodes, a their distance.

    Above some thousand nodes, each is pushed by a few that are drawn anew in each round, in the place of all.

    Args:
        adjacency: the edges; directions and weights are not looked at.
        seed: of the first places.
        rounds: in which the longest step falls to nothing.

    Source:
        Fruchterman & Reingold (1991), "Graph drawing by force-directed placement".
    """
    nodes = adjacency.num_nodes
    generator = np.random.default_rng(seed)
    place = generator.uniform(-0.5, 0.5, (nodes, 2)).astype(np.float32)
    if nodes < 2:
        return torch.from_numpy(place)
    source, target = adjacency.source.cpu().numpy(), adjacency.target.cpu().numpy()
    k = 1.0 / np.sqrt(nodes)
    few = nodes <= _MOST_PAIRS
    for number in range(rounds):
        if few:
            away = place[:, None] - place[None]
            scale = 1.0
        else:
            others = generator.integers(nodes, size=(nodes, _SAMPLED))
            away = place[:, None] - place[others]
            scale = nodes / _SAMPLED
        square = np.maximum((away**2).sum(-1), 1e-6)
        # a pull to the middle keeps parts that no edge joins in the picture
        move = scale * k**2 * (away / square[..., None]).sum(1) - place
        along = place[source] - place[target]
        pull = along * np.sqrt((along**2).sum(1, keepdims=True)) / k
        for axis in range(2):
            move[:, axis] += np.bincount(target, pull[:, axis], nodes) - np.bincount(source, pull[:, axis], nodes)
        length = np.maximum(np.sqrt((move**2).sum(1, keepdims=True)), 1e-9)
        place = place + move / length * np.minimum(length, 0.1 * (1 - number / rounds))
    return torch.from_numpy(place.astype(np.float32))


def draw_links(graph: Graph, pairs: Tensor, scores: Tensor, names: Sequence[str], title: str = "") -> Figure:
    """A graph, and pairs of its nodes as dashed lines, the darker the higher their score; beside it a list of the best.

    Args:
        graph: the graph.
        pairs: (n, 2) int64, the best first.
        scores: (n,).
        names: of the nodes.
        title: above the picture.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    places = force_layout(graph.adjacency).numpy()
    figure = Figure(figsize=(9.5, 6), layout="constrained")
    axes = figure.subplots()
    edges = np.stack([places[graph.adjacency.source.cpu().numpy()], places[graph.adjacency.target.cpu().numpy()]], 1)
    axes.add_collection(LineCollection(list(edges), colors="#bbbbbb", linewidths=0.3, alpha=0.6, rasterized=True))
    axes.scatter(places[:, 0], places[:, 1], s=8, color="#888888", linewidths=0, zorder=2)
    found = pairs.cpu().numpy()
    value = scores.double().cpu().numpy()
    shade = 0.25 + 0.75 * (value - value.min()) / max(value.max() - value.min(), 1e-12)
    lines = LineCollection(
        list(places[found]), colors=[(0.8, 0.1, 0.1, s) for s in shade], linestyles="dashed", zorder=3
    )
    axes.add_collection(lines)
    ends = np.unique(found)
    axes.scatter(places[ends, 0], places[ends, 1], s=16, color="#b01010", linewidths=0, zorder=4)
    for node in ends[:_MOST_NAMES]:
        axes.annotate(names[node], places[node], fontsize=6, xytext=(2, 2), textcoords="offset points", zorder=5)
    rows = [f"{names[a]} – {names[b]}   {score:.3g}" for (a, b), score in zip(found[:20].tolist(), value)]
    axes.text(1.02, 0.98, "\n".join(rows), transform=axes.transAxes, va="top", fontsize=7)
    axes.set_title(title)
    axes.set_axis_off()
    return figure
