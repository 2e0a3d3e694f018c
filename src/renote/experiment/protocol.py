"""The fair protocol: options are chosen on other graphs than those that a system is tested on.

Errica, Podda, Bacciu & Micheli (2019), "A fair comparison of graph neural networks for graph classification", arXiv 1912.09893, section 4.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from renote.data import GraphData, split_fold, stratified_folds, with_folds
from renote.errors import UsageError
from renote.experiment.lab import Lab
from renote.experiment.run import completed, train
from renote.experiment.system import System

FIRST_FINAL = 100
"""Seeds of the final runs begin here: none of them is that of the selection."""


@dataclass(frozen=True)
class Protocol:
    """How systems are chosen and tested.

    Args:
        grid: changes to a system's configuration among which each fold chooses.
        runs: how often what was chosen is trained and tested.
        epochs: passes over the training graphs, at most.
        patience: passes without a lower validation loss after which training stops.
        folds: how many outer folds, if the data has none of its own.
        validation_fraction: share of what is not tested on that selects and stops.
        preset: of every configuration.
    """

    grid: tuple[Mapping[str, Any], ...] = ({},)
    runs: int = 3
    epochs: int = 200
    patience: int = 50
    folds: int = 10
    validation_fraction: float = 0.1
    preset: str = "laptop"

    def __post_init__(self) -> None:
        if not self.grid:
            raise UsageError("grid is empty: give at least one point, which may change nothing")
        for name, least in {"runs": 1, "epochs": 1, "patience": 0, "folds": 2}.items():
            if getattr(self, name) < least:
                raise UsageError(f"{name} = {getattr(self, name)}: it must be at least {least}")
        if not 0 < self.validation_fraction < 1:
            raise UsageError(f"validation_fraction = {self.validation_fraction} must lie between 0 and 1")

    def told(self) -> str:
        """In a sentence."""
        return (
            f"Every outer fold chooses among {len(self.grid)} points of a grid by accuracy on an inner hold-out of {100 * self.validation_fraction:g} %, then trains "
            f"{self.runs} times anew with another hold-out, at most {self.epochs} epochs, stopped after {self.patience} without a lower validation loss."
        )


def fair(lab: Lab, system: System[Any], data: str, protocol: Protocol, **changes: Any) -> dict[str, Any]:
    """Put a system for graphs through the protocol; each training's result is kept by the lab as it comes.

    Args:
        lab: keeps them, so that a stopped one goes on.
        system: any for whole graphs.
        data: name of the data set.
        protocol: how.
        changes: to the configuration at every point of the grid.

    Returns:
        `{"name", "accuracies", "mean", "std", "chosen"}`: test accuracy in percent of each fold, mean over its runs; mean and deviation over
        folds; the number of the grid's point that each fold chose.

    Raises:
        UsageError: the system does another task, lacks an option of the grid, or the data is not graphs with classes.
    """
    check_fair(system, protocol, **changes)
    loaded = lab.data(data)
    if not isinstance(loaded, GraphData):
        raise UsageError(f"{data} is not graphs with a class each: choose other data, e.g. {system.data}")
    if loaded.values is not None or not loaded.num_classes:
        raise UsageError(f"{data} has no classes, and the protocol is for these: choose other data, e.g. proteins")
    if not loaded.folds:
        loaded = with_folds(loaded, stratified_folds(loaded.labels, protocol.folds, 0))
    accuracies, chosen = [], []
    for fold in range(1, len(loaded.folds) + 1):
        measure = partial(_kept, lab, system, loaded, protocol, fold)
        found = [
            measure("select", 0, {**changes, **point})["validation_accuracy"] if len(protocol.grid) > 1 else 0.0
            for point in protocol.grid
        ]
        best = max(range(len(found)), key=found.__getitem__)
        options = {**changes, **protocol.grid[best]}
        finals = [measure("test", FIRST_FINAL + run, options)["test_accuracy"] for run in range(protocol.runs)]
        accuracies.append(statistics.fmean(finals))
        chosen.append(best)
    mean, std = statistics.fmean(accuracies), statistics.stdev(accuracies)
    return {"name": system.name, "accuracies": accuracies, "mean": mean, "std": std, "chosen": chosen}


def check_fair(system: System[Any], protocol: Protocol, **changes: Any) -> None:
    """Refuse, before anything is trained, a system of another task or a grid with options that it does not have."""
    if system.kind != "graphs":
        raise UsageError(f"{system.name} does {system.task}: the fair protocol is for graph prediction")
    for point in protocol.grid:
        system.configure(protocol.preset, **{**changes, **point})


def _kept(
    lab: Lab,
    system: System[Any],
    data: GraphData,
    protocol: Protocol,
    fold: int,
    what: str,
    seed: int,
    changes: Mapping[str, Any],
) -> Any:
    told = ", ".join(f"{key} {value}" for key, value in sorted(changes.items()))
    key = (
        f"{data.name}, {system.name} ({protocol.preset}{', ' * bool(told)}{told}), fold {fold} of {len(data.folds)}, {what}, "
        f"seed {seed}, {protocol.epochs} epochs, patience {protocol.patience}, validation {protocol.validation_fraction:g}"
    )
    return lab.measure(key, partial(_trained, system, data, protocol, fold, seed, changes))


def _trained(
    system: System[Any], data: GraphData, protocol: Protocol, fold: int, seed: int, changes: Mapping[str, Any]
) -> dict[str, float]:
    split = split_fold(data, fold, seed, protocol.validation_fraction)
    config = system.configure(protocol.preset, **{**changes, "seed": seed})
    epoch = -(-len(split.train) // (config.batch_size or max(1, len(split.train))))
    config = dataclasses.replace(
        config, steps=protocol.epochs * epoch, validate_every=epoch, patience=protocol.patience
    )
    run = completed(train(system, split, config, progress=False))
    return run.evaluate() | {"steps": run.trained.step if run.trained else 0}
