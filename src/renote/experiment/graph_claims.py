"""How far generated graphs are from real ones: the claims of systems that generate graphs. Light."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from renote.experiment.system import Outcome

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from renote.experiment.lab import Lab
    from renote.experiment.sample import SampleRun


def qm9(lab: Lab) -> Outcome:
    """Validity, uniqueness and novelty of molecules, and their properties beside those of real ones."""
    from renote import evaluate
    from renote.experiment import contrast

    seeds, preset, count = ((0, 1, 2), "laptop", 1000) if lab.laptop else ((0,), "full", 10_000)
    runs = contrast.trained(lab, "qm9", {"molecules": (None, {})}, seeds, preset, {"kekulize": True})["molecules"]
    found = [
        _judged(
            run,
            [
                row
                for first in range(0, count, PART)
                for row in lab.measure(f"molecules from {first}, seed {i}", partial(_made, run, i, first))
            ],
        )
        for i, run in enumerate(runs)
    ]
    measured = {
        f"{name}, %": contrast.spread([100 * row["measures"][name] for row in found])
        for name in ("validity", "sanitized", "uniqueness", "novelty")
    }
    measured |= {
        name: contrast.spread([row["measures"][name] for row in found])
        for name in found[0]["measures"]
        if name.startswith("distance")
    }
    least = 80 if lab.laptop else 97
    holds = measured["validity, %"]["mean"] >= least and measured["uniqueness, %"]["mean"] >= 95
    real = evaluate.molecule_strings(runs[0].training_data(), 2000)
    figure = evaluate.draw_properties(
        {"held out": evaluate.properties(real), "made": evaluate.properties(found[0]["smiles"])}
    )
    config = runs[0].config
    note = (
        f"{config.steps} steps of {config.batch_size} molecules, T = {config.num_train_steps}, {count} samples a seed. Valid is what RDKit accepts and is in one piece; the paper "
        f"does not ask for one piece. Holds if on average at least {least} % are valid and 95 % of those differ. The mirror's QM9 has charged atoms in a fifth of its molecules, whose "
        "charges are types of their own here; distances are Wasserstein's between properties, in standard deviations of held-out molecules. Published numbers are from memory, unverified."
    )
    return Outcome(measured, holds, figure, seeds, note)


PART = 500
"""Molecules that are drawn and kept at a time."""


def _made(run: SampleRun, seed: int, first: int) -> list[list[int]]:
    """A part of the samples, rows of types."""
    rows: list[list[int]] = run.sample(PART, seed=100_000 * (seed + 1) + first).tolist()
    return rows


def _judged(run: SampleRun, rows: list[list[int]]) -> dict[str, Any]:
    import torch

    from renote import evaluate
    from renote.data import row_smiles

    assert run.data.graphs is not None
    samples = torch.tensor(rows, dtype=run.data.train.dtype)
    smiles = evaluate.in_one_piece(row_smiles(samples[:2000], run.data.graphs))
    return {"measures": evaluate.graph_measures(samples, run.training_data()), "smiles": smiles}


SETS = ("small-communities", "small-planar")
MEASURES = ("degree", "clustering", "orbit")


def small_graphs(lab: Lab) -> Outcome:
    """Two sets of small graphs, a training a seed: how far degrees, clustering and orbits of what is made are from held-out graphs, beside random graphs of the same sizes and density."""
    from renote.experiment import contrast

    seeds, count = (0, 1, 2), 240
    changes: dict[str, Any] = {} if lab.laptop else {"steps": 20_000}
    runs = {
        name: contrast.trained(lab, name, {name: (None, {})}, seeds, "graphs", None, **changes)[name] for name in SETS
    }
    found = {
        name: [lab.measure(f"{name}, seed {i}", partial(_distances, run, count, i)) for i, run in zip(seeds, of)]
        for name, of in runs.items()
    }
    measured: dict[str, Any] = {}
    for name, rows in found.items():
        for kind in MEASURES:
            for whose in WHOSE:
                measured[f"{name}, {kind}, {whose}"] = contrast.spread([row[whose][kind] for row in rows])
        for kind in ("uniqueness", "novelty"):
            measured[f"{name}, {kind}, %"] = contrast.spread([100 * row["made"][kind] for row in rows])
    holds = all(row["made"][kind] < row["random"][kind] for rows in found.values() for row in rows for kind in MEASURES)
    config = runs[SETS[0]][0].config
    note = (
        f"{config.steps} steps of {config.batch_size} graphs of 12 to 20 nodes, T = {config.num_train_steps}; MMD² of {count} graphs a seed from as many held-out ones. Training: as many training graphs "
        "against the held-out ones, the least to expect. Random: graphs of Erdős and Rényi with the data's sizes and share of edges, where sampling begins. Holds if what is made is nearer than these by all three "
        "measures, on both sets and with every seed: that says that structure was learned, not that it is the data's. The paper has larger graphs, planar and of stochastic blocks."
    )
    return Outcome(measured, holds, _graph_figure(found, runs), seeds, note)


WHOSE = ("made", "training", "random")


def _distances(run: SampleRun, count: int, seed: int) -> dict[str, dict[str, float]]:
    """Measures of what the model makes, of training graphs and of random ones."""
    from renote import evaluate

    data, first = run.training_data(), 100_000 * (seed + 1)
    made = evaluate.graph_measures(run.sample(count, seed=first), data)
    random = evaluate.graph_measures(_random(run, count, first), data)
    names = (*MEASURES, "connected", "uniqueness", "novelty")
    return {
        "made": {name: float(made[name]) for name in names},
        "training": {kind: float(made[f"training: {kind}"]) for kind in MEASURES},
        "random": {name: float(random[name]) for name in names},
    }


def _random(run: SampleRun, count: int, seed: int) -> Tensor:
    """Draws of the prior: each pair is joined on its own, by the data's share of edges."""
    from renote.diffusion import NoiseSource

    model = run.module
    prior = model.process.prior(model.shape, NoiseSource(range(seed, seed + count)))
    return run.data.raw(model.values_of(prior))


def _graph_figure(found: dict[str, list[dict[str, dict[str, float]]]], runs: dict[str, list[SampleRun]]) -> Figure:
    """A row a set: the three distances, and graphs beside real ones and random ones."""
    import numpy as np
    from matplotlib.figure import Figure

    from renote import evaluate
    from renote.experiment import contrast

    figure = Figure(figsize=(15, 6.6), layout="constrained")
    grid = figure.subplots(len(found), 6, squeeze=False, width_ratios=(1, 1, 1, 2, 2, 2))
    for (name, rows), panels in zip(found.items(), grid):
        for axes, kind in zip(panels, MEASURES):
            contrast.bar(axes, f"{name}\nMMD², {kind}", {whose: [row[whose][kind] for row in rows] for whose in WHOSE})
        run = runs[name][0]
        data = run.training_data()
        assert data.graphs is not None
        shown = {"held out": data.test[:9], "made": run.sample(9, seed=1), "random": _random(run, 9, 1)}
        for axes, (title, some) in zip(panels[3:], shown.items()):
            axes.imshow(np.asarray(evaluate.graph_grid(some, data.graphs, columns=3)))
            axes.set_title(title, fontsize=10)
            axes.axis("off")
    return figure
