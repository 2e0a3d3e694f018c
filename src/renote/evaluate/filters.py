"""Pictures of learned filters: responses to frequencies of the graph, and windows over pseudo-coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from renote.evaluate.picture import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

# filters that are drawn one by one, windows of a layer, and edges in a panel
_LINES, _WINDOWS, _EDGES = 6, 6, 1000
_FINE = 96


class Responses(NamedTuple):
    """A layer's filters: f (frequencies, in, out) at eigenvalues λ (frequencies,), and how far λ may go."""

    values: Tensor
    responses: Tensor
    limit: float


class Windows(NamedTuple):
    """A layer's windows: coordinates (edges, 2) of its edges, the grid's (places, 2) and g (places, windows) there, and the size of each window's weights."""

    coordinates: Tensor
    places: Tensor
    values: Tensor
    size: Tensor


def draw_responses(layers: Sequence[Responses], title: str) -> Figure:
    """A column a layer: f(λ) of the filters with the most energy, within the middle nine tenths of all, in grey; the root of the mean of f² in black.

    Args:
        layers: their filters.
        title: of the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.2 + 4.2 * len(layers), 5.0), layout="constrained")
    figure.suptitle(title, fontsize=11)
    for number, (axes, layer) in enumerate(zip(figure.subplots(1, len(layers), squeeze=False)[0], layers), 1):
        places = layer.values.detach().cpu().double().numpy()
        all_filters = layer.responses.detach().cpu().double().flatten(1)
        most = all_filters.square().sum(0).topk(min(_LINES, all_filters.shape[1])).indices
        if all_filters.shape[1] > _LINES:
            low, high = np.quantile(all_filters.numpy(), [0.05, 0.95], axis=1)
            axes.fill_between(places, low, high, color="#dddddd", linewidth=0, label="nine tenths of all")
        for place, one in enumerate(most.sort().values.tolist()):
            inputs, outputs = divmod(one, layer.responses.shape[2])
            line = all_filters[:, one].numpy()
            axes.plot(places, line, color=PALETTE[place], linewidth=1, label=f"{inputs} → {outputs}")
        axes.plot(places, all_filters.square().mean(1).sqrt().numpy(), color="black", label="root mean square")
        axes.axhline(0.0, color="#888888", linestyle="dashed", linewidth=1)
        axes.set(xlabel="eigenvalue λ of the Laplacian", xlim=(0.0, layer.limit))
        axes.set_title(f"layer {number}, {all_filters.shape[1]} filters", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.16),
            ncols=3,
            frameon=False,
            fontsize=8,
            title="input → output",
            title_fontsize=8,
        )
    figure.axes[0].set_ylabel("response f(λ)")
    return figure


def draw_windows(layers: Sequence[Windows], title: str, names: Sequence[str]) -> Figure:
    """A row a layer: its windows with the largest weights, each over the pseudo-coordinates; dots are edges, a thousand at most.

    Args:
        layers: their windows, on the grid of `window_places`.
        title: of the picture.
        names: of both coordinates.
    """
    from matplotlib.figure import Figure

    columns = min(_WINDOWS, max(layer.values.shape[1] for layer in layers))
    figure = Figure(figsize=(1.4 + 2.6 * columns, 0.8 + 2.8 * len(layers)), layout="constrained")
    figure.suptitle(title, fontsize=11)
    shown: AxesImage | None = None
    highest = max(float(layer.values.max()) for layer in layers)
    for number, (row, layer) in enumerate(zip(figure.subplots(len(layers), columns, squeeze=False), layers), 1):
        most = layer.size.detach().cpu().topk(min(columns, len(layer.size))).indices.sort().values.tolist()
        for axes in row[len(most) :]:
            axes.set_axis_off()
        for axes, window in zip(row, most):
            shown = _window(axes, layer, window, highest)
            axes.set_title(f"window {window}, |Θ| = {float(layer.size[window]):.2g}", fontsize=9)
            axes.set_xlabel(names[0], fontsize=8)
        row[0].set_ylabel(f"layer {number}\n{names[1]}", fontsize=9)
    assert shown is not None
    figure.colorbar(shown, ax=figure.axes, label="g", shrink=0.8)
    return figure


def window_places(coordinates: Tensor) -> Tensor:
    """A grid (places, 2) over the range of the edges' coordinates (edges, 2), a little beyond."""
    low, high = coordinates.amin(0), coordinates.amax(0)
    beyond = 0.05 * (high - low).clamp(min=1e-3)
    along = torch.linspace(0.0, 1.0, _FINE, dtype=coordinates.dtype, device=coordinates.device)
    unit = torch.cartesian_prod(along, along)
    return low - beyond + unit * (high - low + 2 * beyond)


def _window(axes: Axes, layer: Windows, window: int, highest: float) -> AxesImage:
    places = layer.places.detach().cpu()
    low, high = places[0].tolist(), places[-1].tolist()
    image = layer.values[:, window].detach().cpu().float().view(_FINE, _FINE).T.numpy()
    extent = (low[0], high[0], low[1], high[1])
    shown = axes.imshow(image, origin="lower", extent=extent, aspect="auto", cmap="viridis", vmin=0.0, vmax=highest)
    step = max(1, len(layer.coordinates) // _EDGES)
    dots = layer.coordinates[::step].detach().cpu().numpy()
    axes.scatter(dots[:, 0], dots[:, 1], s=2, color="white", alpha=0.5, linewidths=0)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.tick_params(labelsize=7)
    return shown
