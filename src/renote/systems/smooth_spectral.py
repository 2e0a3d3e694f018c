"""Smooth spectral networks: multipliers that are splines of the frequency, so that filters are local in space.

Henaff, Bruna & LeCun, "Deep Convolutional Networks on Graph-Structured Data", 2015, arXiv:1506.05163.

    y_o = ReLU(U Σ_i (B α_io) ∘ (Uᵀ x_i) + b_o)

B are cubic splines at the eigenvalues, α_io a few numbers for each filter, however many nodes there are.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from renote.experiment import Claim, Outcome, Paper, SignalSystem, signal_classifier
from renote.systems import spectral_cnn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from renote.data import SampleData
    from renote.experiment import Lab, SignalRun
    from renote.graph import SignalClassification


@dataclass(frozen=True, kw_only=True)
class Config(spectral_cnn.Config):
    """The network of spectral-cnn, so that the multipliers alone differ; 20 knots as in its paper's 400-SP4800-10."""

    knots: int = 20
    """Numbers of a multiplier, at least 4."""


def build(config: Config, data: SampleData) -> SignalClassification:
    """Layers that multiply the graph Fourier transform by splines, then dense layers."""
    from renote import graph

    make = partial(graph.fourier_layer, frequencies=config.frequencies, knots=config.knots)
    return signal_classifier(config, data, make)


def accuracy(lab: Lab) -> Outcome:
    """Test accuracy on sub-sampled digits beside free multipliers', the numbers of the filters, and their spread in space."""
    from renote import systems
    from renote.experiment import contrast

    seeds = tuple(range(3 if lab.laptop else 10))
    kinds: dict[str, contrast.Variant] = {"smooth": (None, {}), "free": (systems.get("spectral-cnn"), {})}
    runs = contrast.trained(lab, "mnist", kinds, seeds, lab.preset)
    found: dict[str, dict[str, list[float]]] = {name: {"accuracy": [], "spread (pixels)": []} for name in runs}
    for name, of in runs.items():
        for seed, run in zip(seeds, of):
            row = lab.measure(f"{name}, seed {seed}", partial(_measures, run))
            for measure, values in found[name].items():
                values.append(row[measure])
    numbers = {name: _filters(of[0]).weight.numel() for name, of in runs.items()}
    measured: dict[str, Any] = {
        f"{name}, {measure}": contrast.spread(values)
        for name, rows in found.items()
        for measure, values in rows.items()
    }
    measured |= {f"{name}, numbers of the filters": count for name, count in numbers.items()}
    measured |= {f"{name}, parameters": of[0].parameters for name, of in runs.items()}
    smooth, free = (found[name]["accuracy"] for name in ("smooth", "free"))
    matches = statistics.fmean(smooth) >= statistics.fmean(free) - statistics.stdev(free)
    local = statistics.fmean(found["smooth"]["spread (pixels)"]) < statistics.fmean(found["free"]["spread (pixels)"])
    note = (
        "400 of MNIST's 784 pixels, the same for all; weights selected on a twelfth of the training samples; the same steps for both. The spread of a filter is the root of the mean "
        "squared distance, weighted by its squared response, from the pixel where the impulse is; the mean over filters and pixels. The last linear map is the same in both. "
        "Holds if the mean is not below free multipliers' by more than their deviation, with at most a tenth of their numbers, and the spread is smaller."
    )
    figure = _draw({name: of[0] for name, of in runs.items()})
    return Outcome(measured, matches and local and 10 * numbers["smooth"] <= numbers["free"], figure, seeds, note)


def _filters(run: SignalRun) -> Any:
    """The first layer's convolution."""
    network: Any = run.module.network
    return network.layers[0].convolution


def _responses(run: SignalRun) -> tuple[NDArray[Any], NDArray[Any]]:
    """Responses (filters, pixels, pixels), entry (f, i, j) at pixel i to an impulse at j; and the pixels' places (pixels, 2)."""
    import torch

    from renote.data import grid_points

    convolution, network = _filters(run), cast("Any", run.module.network)
    real = network.real.view(-1)
    vectors = convolution.basis.vectors[real]
    with torch.no_grad():
        multipliers = convolution.responses().double()[:, 0]
    responses = torch.einsum("ik,kf,jk->fij", vectors, multipliers, vectors)
    places = grid_points(run.data.shape[1:])[network.place[real].numpy()]
    return responses.numpy(), places


def _measures(run: SignalRun) -> dict[str, float]:
    responses, places = _responses(run)
    square = ((places[:, None] - places[None]) ** 2).sum(-1)
    energy = responses**2
    spread = ((energy * square).sum(1) / energy.sum(1)) ** 0.5
    return {"accuracy": run.evaluate()["test_accuracy"], "spread (pixels)": float(spread.mean())}


def _draw(runs: Mapping[str, SignalRun]) -> Figure:
    """Impulse responses of the first filters at the pixel nearest to the middle."""
    import numpy as np
    from matplotlib.figure import Figure

    shown = 5
    figure = Figure(figsize=(2.0 * shown + 0.4, 2.2 * len(runs) + 0.2), layout="constrained")
    for row, (name, run) in zip(figure.subplots(len(runs), shown, squeeze=False), runs.items()):
        responses, places = _responses(run)
        middle = int(((places - places.mean(0)) ** 2).sum(1).argmin())
        for axes, response in zip(row, responses[:shown, :, middle]):
            limit = np.abs(response).max()
            axes.scatter(places[:, 1], -places[:, 0], c=response, cmap="coolwarm", vmin=-limit, vmax=limit, s=14)
            axes.set(xticks=[], yticks=[], aspect="equal")
        row[0].set_ylabel(name)
    return figure


SYSTEM = SignalSystem(
    name="smooth-spectral",
    title="Spectral convolutional networks with smooth multipliers",
    paper=Paper(
        "Henaff, Bruna & LeCun",
        "Deep Convolutional Networks on Graph-Structured Data",
        2015,
        "arXiv",
        "arXiv:1506.05163",
    ),
    parts=("graph of the pixels", "Laplacian eigenbasis", "spline multipliers", "signal classification"),
    data="mnist",
    config=Config,
    build=build,
    presets=spectral_cnn.SYSTEM.presets,
    claims=(
        Claim(
            "accuracy",
            "Multipliers that are smooth in frequency have filters that are local in space, and match free ones with an order fewer numbers.",
            "Sections 3 and 4; Bruna et al. (2014), table 1: 400-SP1600-10 with free and with smooth multipliers, 2.6 and 2.3 % errors",
            {"smooth, accuracy": 97.7, "free, accuracy": 97.4},
            accuracy,
        ),
    ),
)
