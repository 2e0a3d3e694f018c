"""Pictures: grids of samples, film strips of denoising, graphs coloured by class. Figures are drawn without a global state."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from renote.errors import UsageError
from renote.train.checkpoint import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from renote.graph import Graph

PALETTE = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5", "#9c6b4e", "#9498a0")


def image_grid(images: Tensor, columns: int | None = None, scale: int | None = None, gap: int = 1) -> Image.Image:
    """Images beside and below each other.

    Args:
        images: (n, 1 or 3, height, width) uint8; other dtypes are taken to lie in [-1, 1].
        columns: images in a row; about a square by default.
        scale: side of a pixel; by default such that an image is about 64 pixels high.
        gap: pixels between images.

    Raises:
        UsageError: if these are no images.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 2, 3, 4) or not len(images):
        raise UsageError(
            f"a picture needs (n, channels, height, width), not {tuple(images.shape)}: save as .npy instead"
        )
    pixels = _pixels(images)
    n, height, width, channels = pixels.shape
    columns = min(n, columns or int(np.ceil(np.sqrt(n))))
    rows = -(-n // columns)
    scale = scale or max(1, round(64 / height))
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, channels), 255, np.uint8)
    for index in range(n):
        row, column = divmod(index, columns)
        top, left = row * (height + gap), column * (width + gap)
        sheet[top : top + height, left : left + width] = pixels[index]
    picture = Image.fromarray(sheet[..., 0] if channels == 1 else sheet)
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def film_strip(frames: Sequence[Tensor], scale: int | None = None) -> Image.Image:
    """The way from noise to samples: one row a sample, one column a frame.

    Args:
        frames: each (n, channels, height, width) as for `image_grid`.
        scale: side of a pixel.
    """
    stacked = torch.stack([frame.cpu() for frame in frames], 1)
    return image_grid(stacked.flatten(0, 1), columns=len(frames), scale=scale)


def write_samples(samples: Tensor, path: Path, columns: int | None = None) -> None:
    """Write samples as one picture (.png, .jpg, .webp) or as an array (.npy).

    Raises:
        UsageError: for another ending, or a picture of what is no image.
    """
    buffer = io.BytesIO()
    suffix = path.suffix.lower()
    if suffix == ".npy":
        np.save(buffer, samples.cpu().numpy(), allow_pickle=False)
    elif suffix in (".png", ".jpg", ".jpeg", ".webp"):
        if samples.ndim == 2:
            save_figure(draw_points(samples), path)
            return
        picture = image_grid(samples, columns)
        picture.save(buffer, {".png": "PNG", ".webp": "WEBP"}.get(suffix, "JPEG"))
    else:
        raise UsageError(f"out = {path}: write a picture (.png, .jpg, .webp) or an array (.npy)")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, buffer.getvalue())


def write_film(frames: Sequence[Tensor], path: Path) -> None:
    """Write a film strip as a picture, or as an array (n, frames, *shape) (.npy)."""
    write_samples(torch.stack([frame.cpu() for frame in frames], 1).flatten(0, 1), path, columns=len(frames))


def draw_points(points: Tensor, reference: Tensor | None = None) -> Figure:
    """Points of the plane, over others in grey.

    Args:
        points: (n, 2).
        reference: (m, 2).
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axes = figure.subplots()
    if reference is not None:
        axes.scatter(reference[:, 0].numpy(), reference[:, 1].numpy(), s=3, color="#cccccc", linewidths=0)
    axes.scatter(points[:, 0].cpu().numpy(), points[:, 1].cpu().numpy(), s=3, color=PALETTE[0], linewidths=0)
    axes.set_aspect("equal")
    return figure


def draw_graph(
    graph: Graph,
    classes: Tensor,
    positions: Tensor,
    names: Sequence[str],
    wrong: Tensor | None = None,
    title: str = "",
) -> Figure:
    """A graph with nodes coloured by class.

    Args:
        graph: the graph.
        classes: (nodes,) class of each node.
        positions: (nodes, 2) places.
        names: of the classes.
        wrong: (nodes,) bool: nodes to ring in red.
        title: above the picture.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 6), layout="constrained")
    axes = figure.subplots()
    places = positions.cpu().numpy()
    ends = np.stack([places[graph.adjacency.source.cpu().numpy()], places[graph.adjacency.target.cpu().numpy()]], 1)
    axes.add_collection(LineCollection(list(ends), colors="#bbbbbb", linewidths=0.25, alpha=0.5, rasterized=True))
    colors = ListedColormap(PALETTE)
    shown = classes.cpu().numpy()
    for number, name in enumerate(names):
        there = shown == number
        axes.scatter(
            places[there, 0], places[there, 1], s=10, color=colors(number % 10), label=name, linewidths=0, zorder=2
        )
    if wrong is not None and bool(wrong.any()):
        missed = wrong.cpu().numpy()
        axes.scatter(
            places[missed, 0],
            places[missed, 1],
            s=36,
            facecolors="none",
            edgecolors="#d00000",
            linewidths=0.9,
            zorder=3,
            label="wrong",
        )
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=1.6)
    axes.set_title(title)
    axes.set_axis_off()
    return figure


def draw_comparison(
    values: Mapping[str, Mapping[str, Sequence[float]]], published: Mapping[str, float], label: str
) -> Figure:
    """One group a data set, one column of dots a system: each seed, their mean, and the published figure.

    Args:
        values: data set → system → a number a seed.
        published: data set → the paper's number.
        label: of the axis.
    """
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for by_name in values.values() for name in by_name))
    width = max(1.6 + 2.0 * len(values), 1.3 * (len(names) + 1))  # of the groups, and of the legend
    figure = Figure(figsize=(width, 4.2), layout="constrained")
    axes = figure.subplots()
    for group, (data, by_name) in enumerate(values.items()):
        for number, name in enumerate(names):
            if name not in by_name:
                continue
            place = group + 0.6 * (number - (len(names) - 1) / 2) / max(1, len(names))
            found = np.asarray(by_name[name])
            spread = place + np.linspace(-0.06, 0.06, len(found))
            color = PALETTE[number % len(PALETTE)]
            axes.scatter(spread, found, s=9, color=color, alpha=0.5, linewidths=0)
            axes.hlines(found.mean(), place - 0.1, place + 0.1, color=color, label=name if group == 0 else "")
        if data in published:
            axes.hlines(
                published[data], group - 0.4, group + 0.4, color="#444444", linestyles="dashed", linewidth=1,
                label="published" if group == 0 else "",
            )  # fmt: skip
    axes.set_xticks(range(len(values)), list(values))
    axes.set_ylabel(label)
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=min(3, len(names) + 1))
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_curves(
    values: Mapping[str, Mapping[str, Mapping[int, Sequence[float]]]], x_label: str, y_label: str
) -> Figure:
    """A panel a data set, a line a candidate with its standard deviation.

    Args:
        values: data set → candidate → abscissa → a number a seed.
        x_label: of the abscissa.
        y_label: of the ordinate.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.0 + 3.8 * len(values), 3.8), layout="constrained")
    for axes, (data, by_name) in zip(figure.subplots(1, len(values), squeeze=False, sharey=True)[0], values.items()):
        for number, (name, curve) in enumerate(by_name.items()):
            color = PALETTE[number % len(PALETTE)]
            mean = np.array([np.mean(found) for found in curve.values()])
            std = np.array([np.std(found, ddof=len(found) > 1) for found in curve.values()])
            axes.plot(list(curve), mean, color=color, marker="o", markersize=3, label=name)
            axes.fill_between(list(curve), mean - std, mean + std, color=color, alpha=0.2, linewidth=0)
        axes.set(xlabel=x_label, title=data)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel(y_label)
    figure.axes[0].legend(frameon=False)
    return figure


def draw_costs(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """What a system reaches against what it costs: a panel for the time of a training, one for the memory.

    Args:
        rows: of `renote.experiment.compare`: name, metric, mean and std of the metric, seconds, peak_memory_mb.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.2, 3.8), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (cost, label) in zip(panels, {"seconds": "seconds", "peak_memory_mb": "peak memory (MB)"}.items()):
        for number, row in enumerate(rows):
            color = PALETTE[number % len(PALETTE)]
            axes.errorbar(
                row[cost], row["mean"], row["std"], fmt="o", markersize=5, capsize=3, color=color, label=row["name"]
            )
        # what has no weights takes no time to train, and has no place on a logarithmic axis
        axes.set_xscale("log" if all(row[cost] > 0 for row in rows) else "linear")
        axes.set_xlabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(rows[0]["metric"])
    panels[1].legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure atomically, in the format of the path's ending."""
    buffer = io.BytesIO()
    # no dates: the same numbers give the same file
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(path.suffix[1:].lower(), {})
    figure.savefig(buffer, format=path.suffix[1:].lower() or "png", dpi=130, metadata=metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, buffer.getvalue())


def _pixels(images: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    images = images.detach().cpu()
    if images.dtype != torch.uint8:
        images = ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    if images.shape[1] == 2:
        images = torch.cat([images, torch.zeros_like(images[:, :1])], 1)
    return images.permute(0, 2, 3, 1).numpy()
