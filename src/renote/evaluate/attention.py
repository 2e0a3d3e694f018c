"""A picture of attention over edges: how evenly heads attend, and to whom one node does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from renote.evaluate.picture import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from renote.graph import Adjacency

# neighbours that a picture has place for
_MOST = 60


def draw_attention(
    layers: Sequence[tuple[Adjacency, Tensor]], node: int, labels: Tensor, classes: Sequence[str], name: str = ""
) -> Figure:
    """A column a layer. Above, for each head, how often an edge has which share, as a multiple of an even one, α_ij d_i, d_i the edges that arrive at i;
    below, the node and those it attends to, 60 at most, lines as wide as the mean share of the heads.

    Args:
        layers: edges and shares (edges, heads) of each.
        node: its number.
        labels: (nodes,) of the colours; -1 is grey.
        classes: names of them.
        name: of the node; its number if it has none.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.2 + 4.2 * len(layers), 7.4), layout="constrained")
    panels = figure.subplots(2, len(layers), squeeze=False)
    for number, (edges, shares) in enumerate(layers):
        shares = shares.detach().cpu()
        _histogram(panels[0, number], edges, shares)
        panels[0, number].set_title(f"layer {number + 1}, {_several(shares.shape[1], 'head')}")
        _star(panels[1, number], edges, shares.mean(1), node, labels, classes, name or str(node))
    panels[0, 0].set_ylabel("share of edges")
    return figure


def _several(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _histogram(axes: Axes, edges: Adjacency, shares: Tensor) -> None:
    if not edges.num_edges:
        axes.text(0.5, 0.5, "no edges, so nothing to attend to", ha="center", va="center", fontsize=9)
        axes.set_axis_off()
        return
    degree = edges.in_degree().cpu()[edges.target.cpu().long()]
    even = (shares * degree[:, None]).numpy()
    bins = np.linspace(0.0, max(2.0, float(np.quantile(even, 0.99)) if even.size else 0.0), 41)
    for head in range(even.shape[1]):
        weights = np.full(len(even), 1.0 / max(1, len(even)))
        color = PALETTE[head % len(PALETTE)]
        axes.hist(
            even[:, head].clip(max=bins[-1]),
            bins.tolist(),
            weights=weights,
            histtype="step",
            color=color,
            label=f"head {head + 1}",
        )
    axes.axvline(1.0, color="#888888", linestyle="dashed", linewidth=1)
    axes.set_xlabel("share as a multiple of an even one")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _star(
    axes: Axes, edges: Adjacency, share: Tensor, node: int, labels: Tensor, classes: Sequence[str], title: str
) -> None:
    arriving = edges.target.cpu() == node
    others, share = edges.source.cpu()[arriving].long(), share[arriving]
    loop = others == node
    around, share_of = others[~loop], share[~loop]
    neighbours = len(around)
    if neighbours > _MOST:
        most = share_of.topk(_MOST).indices.sort().values
        around, share_of = around[most], share_of[most]
    angle = torch.arange(len(around)) * (2.0 * np.pi / max(1, len(around)))
    places = torch.stack([angle.cos(), angle.sin()], 1).numpy()
    for place, part in zip(places, share_of.tolist()):
        axes.plot([0.0, place[0]], [0.0, place[1]], color="#777777", linewidth=0.3 + 8.0 * part, zorder=1)
        axes.annotate(f"{part:.2f}", 1.18 * place, ha="center", va="center", fontsize=7)
    shown = labels.cpu()[torch.cat([around, torch.tensor([node])])].tolist()
    where = np.concatenate([places, np.zeros((1, 2))])
    for label in sorted(set(shown)):
        here = np.array([found == label for found in shown])
        color = "#bbbbbb" if label < 0 else PALETTE[label % len(PALETTE)]
        name = "unknown" if label < 0 else classes[label]
        axes.scatter(where[here, 0], where[here, 1], s=90, color=color, label=name, zorder=2)
    own = f", itself {float(share[loop].sum()):.2f}" if bool(loop.any()) else ""
    first = f", the {_MOST} it attends to most" if neighbours > _MOST else ""
    axes.set_title(f"node {title}, {_several(neighbours, 'neighbour')}{own}{first}", fontsize=10)
    axes.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal")
    axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2)
    axes.set_axis_off()
