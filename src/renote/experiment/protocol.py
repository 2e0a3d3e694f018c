"""The fair protocol: options are chosen on other graphs than those that a system is tested on.

Errica, Podda, Bacciu & Micheli (2019), "A fair comparison of graph neural networks for graph classification", arXiv 1912.09893, section 4.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from renote.data import GraphData, is_own, split_fold, stratified_folds, with_folds
from renote.errors import UsageError, counted
from renote.experiment.compare import told_options
from renote.experiment.form import tuples
from renote.experiment.lab import Lab
from renote.experiment.run import completed, loaded_once, train
from renote.experiment.system import System
from renote.experiment.workers import workers

_OF_PARTS = {"fold", "split", "validation_fraction", "test_fraction"}
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
        data_options: of the data set's loader.
    """

    grid: tuple[Mapping[str, Any], ...] = ({},)
    runs: int = 3
    epochs: int = 200
    patience: int = 50
    folds: int = 10
    validation_fraction: float = 0.1
    preset: str = "laptop"
    data_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.grid:
            raise UsageError("grid is empty: give at least one point, which may change nothing")
        for name, least in {"runs": 1, "epochs": 1, "patience": 0, "folds": 2}.items():
            if getattr(self, name) < least:
                raise UsageError(f"{name} = {getattr(self, name)}: it must be at least {least}")
        if not 0 < self.validation_fraction < 1:
            raise UsageError(f"validation_fraction = {self.validation_fraction} must lie between 0 and 1")
        for name in _OF_PARTS & self.data_options.keys():
            raise UsageError(
                f"data option {name} = {self.data_options[name]}: here every fold is tested on in turn, and what it validates on is drawn of the others; leave it out"
            )

    def told(self) -> str:
        """In a sentence."""
        return (
            f"Every outer fold chooses among {counted(len(self.grid), 'point')} of a grid by accuracy on an inner hold-out of {100 * self.validation_fraction:g} %, then trains "
            f"{counted(self.runs, 'time')} anew with another hold-out, at most {self.epochs} epochs, stopped after {self.patience} without a lower validation loss{told_options(self.data_options)}."
        )


def fair(lab: Lab, system: System[Any], data: str, protocol: Protocol, **changes: Any) -> dict[str, Any]:
    """Put a system for graphs through the protocol; each training's result is kept by the lab as it comes. Trainings that do not need each other are spread over the lab's processes.

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
    fair_ahead(lab, [(system, data, changes)], protocol)
    accuracies, chosen = [], []
    for cells in _folds(lab, system, data, protocol, changes):
        best = cells.chosen(lab)
        accuracies.append(statistics.fmean(_done(lab, cell)["test_accuracy"] for cell in cells.finals(best)))
        chosen.append(best)
    mean, std = statistics.fmean(accuracies), statistics.stdev(accuracies)
    return {"name": system.name, "accuracies": accuracies, "mean": mean, "std": std, "chosen": chosen}


def fair_ahead(lab: Lab, asked: Sequence[tuple[System[Any], str, Mapping[str, Any]]], protocol: Protocol) -> None:
    """Do by the lab's processes what `fair` would do of several systems one after the other; nothing with one process.

    No training is done twice: this process alone gives them out and keeps what comes back.

    Args:
        lab: keeps the results.
        asked: system, data and changes of each `fair`.
        protocol: how.

    Raises:
        UsageError: as `fair`.
    """
    for system, _, changes in asked:
        check_fair(system, protocol, **changes)
    if lab.processes == 1:
        return
    folds = [fold for system, data, changes in asked for fold in _folds(lab, system, data, protocol, changes)]
    with workers(lab.processes) as pool:
        given: set[str] = set()

        def give(fold: _Fold) -> None:
            """What the fold needs next, if nobody does it yet."""
            selection = fold.selection()
            cells = fold.finals(fold.chosen(lab)) if all(lab.has(cell.key) for cell in selection) else selection
            for cell in cells:
                if not lab.has(cell.key) and cell.key not in given:
                    given.add(cell.key)
                    pool.submit((cell.key, fold), (_named, cell.task))

        for fold in folds:
            give(fold)
        for (key, fold), value, seconds in pool.finished():
            lab.keep(key, value, seconds)
            give(fold)


def check_fair(system: System[Any], protocol: Protocol, **changes: Any) -> None:
    """Refuse, before anything is trained, a system of another task or a grid with options that it does not have."""
    if system.kind != "graphs":
        raise UsageError(f"{system.name} does {system.task}: the fair protocol is for graph prediction")
    for point in protocol.grid:
        system.configure(protocol.preset, **{**changes, **point})


@dataclass(frozen=True)
class _Cell:
    """One training.

    Args:
        key: under which it is kept: all that its result depends on.
        task: the arguments of `_named`.
        data: loaded.
    """

    key: str
    task: tuple[System[Any], str, Protocol, int, int, dict[str, Any]]
    data: GraphData


@dataclass(frozen=True)
class _Fold:
    """An outer fold of a system.

    Args:
        cell: `cell(what, seed, changes)`.
        protocol: how.
        changes: at every point of the grid.
    """

    cell: Callable[[str, int, Mapping[str, Any]], _Cell]
    protocol: Protocol
    changes: Mapping[str, Any]

    def selection(self) -> list[_Cell]:
        """The trainings that choose; none if there is no choice."""
        grid = self.protocol.grid
        return [self.cell("select", 0, {**self.changes, **point}) for point in grid] if len(grid) > 1 else []

    def chosen(self, lab: Lab) -> int:
        """The number of the best point, the first of equals."""
        found = [_done(lab, cell)["validation_accuracy"] for cell in self.selection()] or [0.0]
        return max(range(len(found)), key=found.__getitem__)

    def finals(self, best: int) -> list[_Cell]:
        """The trainings that are tested."""
        options = {**self.changes, **self.protocol.grid[best]}
        return [self.cell("test", FIRST_FINAL + run, options) for run in range(self.protocol.runs)]


def _folds(lab: Lab, system: System[Any], data: str, protocol: Protocol, changes: Mapping[str, Any]) -> list[_Fold]:
    loaded = _with_folds(lab.data(data, **protocol.data_options), data, system, protocol)
    graphs = f"{loaded.num_graphs} graphs, {loaded.graphs.num_nodes} nodes, {loaded.graphs.num_edges} edges"
    # what was kept of data sets has no more than their counts
    contents = [loaded.contents] if is_own(data) else []

    def cell(number: int, what: str, seed: int, options: Mapping[str, Any]) -> _Cell:
        config = dataclasses.asdict(system.configure(protocol.preset, **{**options, "seed": seed}))
        settings = json.dumps([config, graphs, *contents], sort_keys=True, default=str)
        told = ", ".join(f"{key} {value}" for key, value in sorted(options.items()))
        key = (
            f"{data}{told_options(protocol.data_options)}, {system.name} ({protocol.preset}{', ' * bool(told)}{told}), fold {number} of {len(loaded.folds)}, {what}, "
            f"seed {seed}, {protocol.epochs} epochs, patience {protocol.patience}, validation {protocol.validation_fraction:g}, "
            f"all settings {hashlib.sha256(settings.encode()).hexdigest()[:12]}"
        )
        return _Cell(key, (system, data, protocol, number, seed, dict(options)), loaded)

    return [_Fold(partial(cell, number), protocol, changes) for number in range(1, len(loaded.folds) + 1)]


def _with_folds(loaded: Any, data: str, system: System[Any], protocol: Protocol) -> GraphData:
    if not isinstance(loaded, GraphData) or not loaded.num_classes:
        raise UsageError(f"{data} is not graphs with a class each: choose other data, e.g. {system.data}")
    if loaded.folds:
        return loaded
    return with_folds(loaded, stratified_folds(loaded.labels, protocol.folds, 0, loaded.classes))


def _done(lab: Lab, cell: _Cell) -> Any:
    """What is kept of a training, which is done if it was not."""
    system, _, protocol, fold, seed, changes = cell.task
    return lab.measure(cell.key, partial(_trained, system, cell.data, protocol, fold, seed, changes))


def _named(
    system: System[Any], data: str, protocol: Protocol, fold: int, seed: int, changes: Mapping[str, Any]
) -> dict[str, float]:
    """`_trained` in a process of its own, which loads the data when it first needs them."""
    loaded = loaded_once(data, tuple(tuples(protocol.data_options).items()))
    return _trained(system, _with_folds(loaded, data, system, protocol), protocol, fold, seed, changes)


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
