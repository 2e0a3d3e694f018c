"""Surfaces in colours that say where on another each of their points is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from renote.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from renote.graph.geometry.mesh import Mesh


def draw_meshes(
    drawn: Sequence[tuple[str, Mesh, NDArray[np.float64]]], title: str = "", view: tuple[float, float] = (15, -70)
) -> Figure:
    """Surfaces side by side, as seen from one direction; same colour, same place.

    Args:
        drawn: of each a name, the mesh, and (vertices, 3) the place that a vertex stands for; the first tells which places there are.
        title: above the picture.
        view: elevation and azimuth in degrees.

    Raises:
        UsageError: there is nothing to draw, or places are not one a vertex.
    """
    from matplotlib.figure import Figure
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    if not drawn:
        raise UsageError("there is no mesh to draw")
    places = drawn[0][2]
    low, span = places.min(0), np.maximum(np.ptp(places, axis=0), 1e-12)
    figure = Figure(figsize=(3.2 * len(drawn), 3.6), layout="constrained")
    for number, (name, mesh, place) in enumerate(drawn):
        if place.shape != mesh.vertices.shape:
            raise UsageError(f"places of shape {place.shape} for {len(mesh.vertices)} vertices of {name}: one each")
        axes = figure.add_subplot(1, len(drawn), number + 1, projection="3d")
        colors = np.clip((place - low) / span, 0, 1)[mesh.faces].mean(1)
        # lit from above and from the viewer, so that shapes are seen
        normal = mesh.normals / (2 * mesh.areas)[:, None]
        light = 0.55 + 0.45 * np.clip(normal @ _toward(view[0] + 35, view[1] - 25), 0, 1)
        skin = Poly3DCollection(mesh.corners, facecolors=colors * light[:, None], edgecolors="none", linewidths=0)
        axes.add_collection3d(skin)
        middle = (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
        reach = float(np.ptp(mesh.vertices, axis=0).max()) / 2
        axes.set(**{f"{k}lim": (m - reach, m + reach) for k, m in zip("xyz", middle)})
        axes.set_box_aspect((1, 1, 1), zoom=1.4)
        axes.view_init(*view)
        axes.set_axis_off()
        axes.set_title(name, fontsize=9)
    figure.suptitle(title, fontsize=10)
    return figure


def _toward(elevation: float, azimuth: float) -> NDArray[np.float64]:
    up, around = np.radians((elevation, azimuth))
    return np.array([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)])
