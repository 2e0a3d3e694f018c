"""Node classifiers side by side on equal terms, over seeds: the form of most claims about networks for nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from renote.data import NodeData
from renote.experiment.contrast import spread
from renote.experiment.lab import Lab
from renote.experiment.run import completed, test_score, train
from renote.experiment.system import System

Candidate = tuple["System[Any] | None", str, Mapping[str, Any]]
"""A system, None for the experiment's own; a preset; and what is changed of it."""
Split = Callable[[NodeData, int], NodeData]
"""`split(data, seed)`: the same graph, its nodes split anew."""


def accuracies(
    lab: Lab,
    data: str,
    candidates: Mapping[str, Candidate],
    seeds: Sequence[int],
    split: Split | None = None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, list[float]]:
    """Test accuracy in percent by candidate, or micro-F1 where nodes are of several classes, one a seed; weights are selected by validation loss.

    Args:
        lab: keeps each as it comes.
        data: name of the data set.
        candidates: by name.
        seeds: of the trainings, and of the split.
        split: None keeps the data set's own.
        options: of the data set's loader.
    """
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for seed in seeds:
        for name, (system, preset, changes) in candidates.items():
            system = system or lab.system
            config = system.configure(preset, **{**changes, "seed": seed})
            one = partial(_accuracy, lab, system, data, options or {}, config, seed, split)
            found[name].append(lab.measure(f"{data}, {name}, seed {seed}", one))
    return found


def over_layers(
    lab: Lab,
    data: str,
    variants: Mapping[str, Candidate],
    depths: Sequence[int],
    seeds: Sequence[int],
    split: Split | None = None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, dict[int, list[float]]]:
    """Test accuracy in percent by variant and number of layers, one a seed: a panel of `renote.evaluate.draw_curves`.

    Args:
        lab: as `accuracies`.
        data: as there.
        variants: candidates, of which `layers` is changed.
        depths: numbers of layers.
        seeds: as there.
        split: as there.
        options: as there.
    """
    candidates: dict[str, Candidate] = {
        f"{name}, {layers} layers": (system, preset, {"layers": layers, **changes})
        for name, (system, preset, changes) in variants.items()
        for layers in depths
    }
    found = accuracies(lab, data, candidates, seeds, split, options)
    return {name: {layers: found[f"{name}, {layers} layers"] for layers in depths} for name in variants}


def _accuracy(
    lab: Lab,
    system: System[Any],
    data: str,
    options: Mapping[str, Any],
    config: Any,
    seed: int,
    split: Split | None,
) -> float:
    loaded = lab.data(data, **options)
    run = completed(train(system, loaded if split is None else split(loaded, seed), config, progress=False))
    return test_score(run.evaluate())[1]


def summary_over_layers(
    curves: Mapping[str, Mapping[str, Mapping[int, Sequence[float]]]],
) -> dict[str, dict[str, float]]:
    """Mean and deviation by `"data variant, n layers"` of curves by data."""
    named = {
        data: {
            f"{name}, {layers} layers": values for name, curve in by_name.items() for layers, values in curve.items()
        }
        for data, by_name in curves.items()
    }
    return summary(named)


def summary(found: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, dict[str, float]]:
    """Mean and deviation by `"data candidate"`."""
    return {f"{data} {name}": spread(values) for data, row in found.items() for name, values in row.items()}
