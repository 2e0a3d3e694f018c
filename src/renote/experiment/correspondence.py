"""Systems for correspondence side by side on equal terms, beside the descriptors alone that they start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from renote.data import MeshData
from renote.experiment.contrast import spread
from renote.experiment.lab import Lab
from renote.experiment.mesh import MeshRun
from renote.experiment.run import completed, train
from renote.experiment.system import Outcome, System
from renote.graph import error_curve, geodesic_errors, reference_distances
from renote.graph.geometry.laplacian import descriptors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RADII = tuple(round(0.01 * k, 2) for k in range(31))
"""Errors of a curve, in roots of the reference's area."""
BASELINES = {"heat-kernel signatures": (16, 0), "heat- and wave-kernel signatures": (16, 16)}
"""Numbers of signatures whose nearest neighbour on the reference is taken."""
RATES = (3e-3, 1e-2)
SEARCH_SEED = 1000
SEEDS = (10, 11, 12)
"""Seed 0 was looked at while the systems were made."""
ORDER = ("geodesic-cnn", "anisotropic-cnn", "monet-mesh")


def side_by_side(lab: Lab, candidates: Mapping[str, System[Any] | None], wanted: Sequence[tuple[str, str]]) -> Outcome:
    """Unseen poses of figures: each system with the learning rate that its own validation chose, over seeds of data and weights.

    Args:
        lab: keeps each as it comes.
        candidates: by name; None for the experiment's own.
        wanted: pairs (below, above) of names, of systems or of `BASELINES`, whose means must be in this order.
    """
    seeds = SEEDS
    options: dict[str, Any] = {} if lab.laptop else {"subdivisions": 2}
    preset = "laptop" if lab.laptop else "full"
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in (*BASELINES, *candidates)}
    rates: dict[str, float] = {}
    for name, given in candidates.items():
        system = given or lab.system
        losses = {
            rate: lab.measure(
                f"{name}, rate {rate:g}, seed {SEARCH_SEED}",
                partial(_validation, lab, system, preset, options, rate),
            )
            for rate in RATES
        }
        rates[name] = min(losses, key=losses.__getitem__)
        for seed in seeds:
            one = partial(_tested, lab, system, preset, options, rates[name], seed)
            found[name].append(lab.measure(f"{name}, rate {rates[name]:g}, seed {seed}, tested", one))
    for name, (heat, wave) in BASELINES.items():
        for seed in seeds:
            nearest = partial(_nearest, lab, options, heat, wave, seed)
            found[name].append(lab.measure(f"{name}, seed {seed}", nearest))
    exact = {name: spread([row["accuracy"] for row in rows]) for name, rows in found.items()}
    error = {name: spread([row["error"] for row in rows]) for name, rows in found.items()}
    holds = all(exact[low]["mean"] < exact[high]["mean"] for low, high in wanted)
    measured = {name: exact[name] for name in found} | {f"{name}, mean error": error[name] for name in found}
    data = lab.data("figures", seed=0, **options)
    note = (
        f"Share of the {data.num_classes} vertices of a figure that are told exactly, in percent, on {len(data.test)} poses that were not trained on, of the same 4 shapes; errors in percent "
        "of the root of the area. All systems see the same descriptors, have the same widths, patches of one radius with 24 places each, the same steps and batches; each takes the better of "
        f"{len(RATES)} learning rates by validation loss on figures of another seed (chosen: {', '.join(f'{name} {rate:g}' for name, rate in rates.items())}). "
        f"Seeds {', '.join(map(str, seeds))} draw figures and weights anew. Holds if "
        + ", ".join(f"{low} < {high}" for low, high in wanted)
        + " in the means of exact vertices. The published figures are of FAUST."
    )
    return Outcome(measured, holds, _curves(found), seeds, note)


def _trained(lab: Lab, system: System[Any], preset: str, options: Mapping[str, Any], rate: float, seed: int) -> MeshRun:
    data = lab.data("figures", seed=seed, **options)
    run = completed(train(system, data, system.configure(preset, learning_rate=rate, seed=seed), progress=lab.progress))
    assert isinstance(run, MeshRun)
    return run


def _validation(lab: Lab, system: System[Any], preset: str, options: Mapping[str, Any], rate: float) -> float:
    return _trained(lab, system, preset, options, rate, SEARCH_SEED).module.validate()["loss"]


def _tested(
    lab: Lab, system: System[Any], preset: str, options: Mapping[str, Any], rate: float, seed: int
) -> dict[str, Any]:
    return _told(_trained(lab, system, preset, options, rate, seed).errors("test"))


def _nearest(lab: Lab, options: Mapping[str, Any], heat: int, wave: int, seed: int) -> dict[str, Any]:
    data = lab.data("figures", seed=seed, **options)
    return _told(nearest_errors(data, heat, wave))


def nearest_errors(data: MeshData, heat: int, wave: int, split: str = "test") -> torch.Tensor:
    """(known vertices,) geodesic errors of taking the reference's vertex with the nearest signatures, in logarithms, each over its deviation on the reference.

    Args:
        data: meshes and reference.
        heat: heat-kernel signatures.
        wave: wave-kernel signatures.
        split: of which meshes.
    """
    from scipy.spatial import cKDTree

    there = _signatures(data.reference, heat, wave)
    scale = there.std(0) + 1e-9
    tree, distances = cKDTree(there / scale), reference_distances(data.reference)
    found = []
    for number in data.splits[split].tolist():
        here = _signatures(data.meshes[number], heat, wave)
        nearest = torch.from_numpy(np.asarray(tree.query(here / scale)[1], np.int64))
        found.append(geodesic_errors(nearest, data.labels[number], distances))
    return torch.cat(found)


def _signatures(mesh: Any, heat: int, wave: int) -> Any:
    return np.log(np.maximum(descriptors(mesh, heat, wave), 1e-6))


def _told(errors: torch.Tensor) -> dict[str, Any]:
    curve = 100 * error_curve(errors, torch.tensor(RADII))
    return {"accuracy": float(curve[0]), "error": 100 * float(errors.double().mean()), "curve": curve.tolist()}


def _curves(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Share of vertices whose error is at most so large: a line a system, its mean over the seeds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.8), layout="constrained")
    axes = figure.subplots()
    for name, rows in found.items():
        curves = np.array([row["curve"] for row in rows])
        (line,) = axes.plot(RADII, curves.mean(0), label=name, linestyle="--" if name in BASELINES else "-")
        axes.fill_between(RADII, curves.min(0), curves.max(0), color=line.get_color(), alpha=0.15, linewidth=0)
    axes.set(xlabel="geodesic error / √area", ylabel="vertices (%)", ylim=(0, 100), xlim=(0, RADII[-1]))
    axes.legend(frameon=False, fontsize=8)
    return figure
