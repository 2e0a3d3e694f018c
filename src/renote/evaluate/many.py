"""Pictures of what is predicted of many things: whole graphs side by side, items that a user may take, facts about an entity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from renote.evaluate.layout import force_layout
from renote.evaluate.picture import PALETTE
from renote.graph import Graph

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_DRAWN = 400
"""Nodes of a graph up to which it is drawn."""


def draw_graphs(
    graphs: Sequence[Graph], predicted: Tensor, shares: Tensor, labels: Tensor, names: Sequence[str], title: str = ""
) -> Figure:
    """Graphs side by side, coloured by predicted class, each with its probability; a wrong one says so in red.

    Args:
        graphs: a few.
        predicted: (graphs,) int64.
        shares: (graphs,) probability of that class.
        labels: (graphs,) int64, -1 where unknown.
        names: of the classes.
        title: above the picture.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    columns = min(4, max(1, len(graphs)))
    rows = max(1, math.ceil(len(graphs) / columns))
    figure = Figure(figsize=(2.2 * columns, 2.3 * rows + 0.4), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels:
        axes.set_axis_off()
    for axes, graph, found, share, label in zip(
        panels, graphs, predicted.tolist(), shares.tolist(), labels.tolist(), strict=False
    ):
        color = PALETTE[found % len(PALETTE)]
        if graph.num_nodes <= _MOST_DRAWN:
            places = force_layout(graph.adjacency).numpy()
            source, target = graph.adjacency.source.cpu().numpy(), graph.adjacency.target.cpu().numpy()
            lines = list(np.stack([places[source], places[target]], 1))
            axes.add_collection(LineCollection(lines, colors="#999999", linewidths=0.6, zorder=1))
            axes.scatter(places[:, 0], places[:, 1], s=14, color=color, linewidths=0, zorder=2)
        else:
            axes.text(0.5, 0.5, f"{graph.num_nodes} nodes", ha="center", transform=axes.transAxes)
        wrong = label >= 0 and label != found
        told = f"{names[found]} {100 * share:.0f} %" + (f"\nis {names[label]}" if wrong else "")
        axes.set_title(told, fontsize=8, color="#d00000" if wrong else "black")
    figure.suptitle(title, fontsize=10)
    return figure


def draw_recommendations(
    vectors: Tensor, had: Tensor, recommended: Tensor, held_out: Tensor, names: Sequence[str], title: str = ""
) -> Figure:
    """Items as points in the plane in which their vectors differ most: those that a user has, those that are recommended by name, and those of it that were held out.

    Args:
        vectors: (items, features).
        had: (n,) numbers of the items that the user had in training.
        recommended: (k,) best first.
        held_out: (m,) that the user took, and training did not see.
        names: of the items.
        title: above the picture.
    """
    from matplotlib.figure import Figure

    centred = vectors.double().cpu() - vectors.double().cpu().mean(0)
    places = torch.linalg.svd(centred, full_matrices=False)[0][:, :2]
    if places.shape[1] < 2:
        places = torch.cat([places, torch.zeros(len(places), 2 - places.shape[1])], 1)
    place = places.numpy()
    figure = Figure(figsize=(8.5, 5.2), layout="constrained")
    axes = figure.subplots()
    axes.scatter(place[:, 0], place[:, 1], s=8, color="#cccccc", linewidths=0, label="items")
    for numbers, color, label, size in (
        (had, PALETTE[0], "has", 26),
        (recommended, PALETTE[2], "recommended", 34),
    ):
        chosen = place[numbers.cpu().numpy()]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=size, color=color, linewidths=0, label=label, zorder=2)
    hit = recommended[torch.isin(recommended, held_out)].cpu().numpy()
    axes.scatter(
        place[hit, 0],
        place[hit, 1],
        s=90,
        facecolors="none",
        edgecolors="#111111",
        linewidths=1.0,
        zorder=3,
        label="recommended, and taken (held out)",
    )
    taken = set(hit.tolist())
    rows = [
        f"{rank}. {names[item]}{'  ✓' if item in taken else ''}" for rank, item in enumerate(recommended.tolist(), 1)
    ]
    axes.text(1.02, 0.98, "\n".join(rows[:30]), transform=axes.transAxes, va="top", fontsize=8)
    axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=4)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=10)
    return figure


def draw_facts(
    entity: int,
    known: Tensor,
    likely: Tensor,
    probability: Tensor,
    entities: Sequence[str],
    relations: Sequence[str],
    title: str = "",
    most: int = 12,
) -> Figure:
    """An entity amid others: facts that are known in grey on the left, those that are likely missing in red on the right, an arrow from head to tail each.

    Args:
        entity: its number.
        known: (n, 3) head, relation and tail, one end the entity.
        likely: (m, 3) likewise, likeliest first.
        probability: (m,) of those.
        entities: their names.
        relations: their names.
        title: above the picture.
        most: facts on each side.
    """
    from matplotlib.figure import Figure

    sides = [part[:most].tolist() for part in (known, likely)]
    rows = max(3, *map(len, sides))
    figure = Figure(figsize=(9, 0.42 * rows + 1.2), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-1.9, 1.9), ylim=(-0.6, rows - 0.4))
    axes.set_axis_off()
    middle = (rows - 1) / 2
    shares = [""] * len(sides[0]), [f"  {100 * share:.0f} %" for share in probability[:most].tolist()]
    for side, facts, color, share in ((-1, sides[0], "#666666", shares[0]), (1, sides[1], "#c00000", shares[1])):
        for place, (head, relation, tail) in enumerate(facts):
            y = rows - 1 - place - (rows - len(facts)) / 2
            leaves = head == entity
            ends = ((0.3 * side, middle), (side, y)) if leaves else ((side, y), (0.3 * side, middle))
            arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 0.7}
            axes.annotate("", xy=ends[1], xytext=ends[0], arrowprops=arrow)
            told = f"{relations[relation]}  {entities[tail if leaves else head]}{share[place]}"
            axes.text(1.04 * side, y, told, ha="left" if side > 0 else "right", va="center", fontsize=8, color=color)
    box = {"boxstyle": "round", "facecolor": "white", "edgecolor": PALETTE[0]}
    axes.text(0, middle, entities[entity], ha="center", va="center", fontsize=10, bbox=box)
    for side, what, color, part in ((-1, "known", "#666666", known), (1, "likely missing", "#c00000", likely)):
        more = f" ({most} of {len(part)})" if len(part) > most else ""
        axes.text(side, rows - 0.45, what + more, ha="center", va="bottom", fontsize=9, color=color)
    figure.suptitle(title, fontsize=10)
    return figure
