"""Errors of systems that tell properties of molecules, over random splits: the form of their claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from renote.experiment.lab import Lab
from renote.experiment.run import completed, train
from renote.experiment.system import Outcome, System

if TYPE_CHECKING:
    from renote.experiment.node_contrast import Candidate

SETS = {"esol": "log10 mol/L", "freesolv": "kcal/mol"}
"""Data sets of the claims, and what their errors are measured in."""


def property_errors(
    lab: Lab, data: str, candidates: Mapping[str, Candidate], seeds: Sequence[int]
) -> dict[str, list[float]]:
    """Root mean square errors on the test part by candidate, one a seed, which draws the split (80, 10 and 10 %) too; weights are selected by validation loss.

    Args:
        lab: keeps each as it comes.
        data: name of a set of molecules.
        candidates: by name.
        seeds: of the splits and of the trainings.
    """
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for seed in seeds:
        for name, (system, preset, changes) in candidates.items():
            chosen = system or lab.system
            config = chosen.configure(preset, **{**changes, "seed": seed})
            measure = partial(_error, lab, chosen, data, config, seed)
            found[name].append(lab.measure(f"{data}, {name}, seed {seed}", measure)["test_rmse"])
    return found


def _error(lab: Lab, system: System[Any], data: str, config: Any, seed: int) -> dict[str, Any]:
    run = completed(train(system, lab.data(data, seed=seed), config, progress=False))
    return run.evaluate() | {"steps": run.trained.step if run.trained else 0}


def property_claim(
    lab: Lab, baseline: System[Any], published: Mapping[str, tuple[float, float]], **changes: Any
) -> Outcome:
    """Whether a system's errors on molecules lie within what was published or below, and below those of circular fingerprints.

    Args:
        lab: of the system.
        baseline: circular fingerprints.
        published: by data set, mean and deviation of the root mean square error.
        changes: to both configurations.
    """
    from renote import evaluate
    from renote.experiment.node_contrast import summary

    seeds = tuple(range(3 if lab.laptop else 10))
    candidates: dict[str, Candidate] = {
        lab.system.name: (None, "laptop", changes),
        baseline.name: (baseline, "laptop", changes),
    }
    rows = {data: property_errors(lab, data, candidates, seeds) for data in published}
    measured = summary(rows)
    holds = all(
        measured[f"{data} {lab.system.name}"]["mean"]
        <= min(mean + deviation, measured[f"{data} {baseline.name}"]["mean"])
        for data, (mean, deviation) in published.items()
    )
    note = (
        f"{len(seeds)} random splits, 80 % to train, 10 to validate, 10 to test; early stopping on validation; errors in "
        f"{' and '.join(SETS[data] for data in published)}. Circular fingerprints (radius 2, 2048 bits) have the same head and budget. Holds if on each set the mean error is at most the "
        "published mean and one deviation, and below that of circular fingerprints."
    )
    figure = evaluate.draw_comparison(
        rows, {data: mean for data, (mean, _) in published.items()}, "root mean square error, a split each"
    )
    return Outcome(measured, holds, figure, seeds, note)
