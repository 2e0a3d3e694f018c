"""The filters of a trained network, where it has some that can be drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from renote.errors import UsageError
from renote.graph import ChebyshevConvolution, FourierConvolution, MixtureConvolution, degree_coordinates
from renote.nets import listening

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@torch.no_grad()
def filter_picture(module: nn.Module, title: str, run: Callable[[], Any] = lambda: None) -> Figure | None:
    """Responses f(λ) of spectral filters, or windows over pseudo-coordinates; None where a network has neither.

    Args:
        module: with the convolutions.
        title: of the picture, what was trained on what.
        run: calls the network, by which windows are told their edges.

    Raises:
        UsageError: windows over another number of coordinates than two.
    """
    from renote.evaluate import Responses, draw_responses

    found = []
    for layer in module.modules():
        if isinstance(layer, ChebyshevConvolution):
            values = torch.linspace(0.0, 2.0, 201, device=layer.weight.device)
            found.append(Responses(values, layer.responses(values), 2.0))
        elif isinstance(layer, FourierConvolution):
            values = layer.basis.values
            found.append(Responses(values, layer.responses(), max(float(values.max()), 1e-6)))
    if found:
        return draw_responses(found, f"{title}: learned filters")
    windows = [layer for layer in module.modules() if isinstance(layer, MixtureConvolution)]
    return _window_picture(windows, f"{title}: learned windows", run) if windows else None


def _window_picture(layers: list[MixtureConvolution], title: str, run: Callable[[], Any]) -> Figure:
    from renote.evaluate import Windows, draw_windows, window_places

    if any(layer.coordinates != 2 for layer in layers):
        raise UsageError(
            "windows over other pseudo-coordinates than both degrees: call their `windows` and draw what it gives"
        )
    found: list[Windows] = []
    loops: list[bool] = []

    def read(layer: Any, given: tuple[Any, ...]) -> None:
        coordinates = degree_coordinates(given[1], layer.weight.dtype)
        loops.append(given[1].loops is not None)
        places = window_places(coordinates)
        size = layer.weight.unflatten(1, (layer.kernels, -1)).square().sum((0, 2)).sqrt()
        found.append(Windows(coordinates, places, layer.windows(places), size))

    with listening(layers, read):
        run()
    degree = "1 / √(degree, loops counted)" if any(loops) else "1 / √degree"
    return draw_windows(found, title, [f"{degree} of the {end}" for end in ("receiver", "source")])
