"""Classifiers of graphs under their papers' own protocols: repeated folds, or splits drawn at random."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping
from typing import Any

from renote.data import GraphData, split_fold, stratified_folds, with_folds
from renote.experiment.lab import Lab
from renote.experiment.run import completed, loaded_once, train
from renote.experiment.system import System

FOLDS = 10


def folds_accuracy(
    lab: Lab, system: System[Any], data: str, repetitions: int, epochs: int, patience: int = 0, **changes: Any
) -> list[float]:
    """Test accuracy in percent of each repetition, mean over its ten folds; all trainings are spread over the lab's processes.

    Args:
        lab: keeps each training's result.
        system: for graphs.
        data: name of the data set.
        repetitions: how often it is cut into ten folds anew; the first takes the data's own, if there are any.
        epochs: passes over the training graphs, at most.
        patience: passes without a lower loss on an inner tenth after which a training stops, and whose best weights are tested; with 0 nothing is held out, and the last weights are tested.
        changes: to the paper's configuration.
    """
    told = ", ".join(f"{key} {value}" for key, value in sorted(changes.items()))
    name = f"{data}, {system.name}, {epochs} epochs, patience {patience}, {told}"
    cells = {
        f"{name}, repetition {r}, fold {f}": (_accuracy, (system, data, r, f, epochs, patience, changes))
        for r in range(repetitions)
        for f in range(1, FOLDS + 1)
    }
    found = list(lab.measure_all(cells).values())
    return [statistics.fmean(found[FOLDS * r : FOLDS * (r + 1)]) for r in range(repetitions)]


def _accuracy(
    system: System[Any], data: str, repetition: int, fold: int, epochs: int, patience: int, changes: Mapping[str, Any]
) -> float:
    split = split_of(loaded_once(data), repetition, fold, patience > 0)
    config = system.configure("paper", **{**changes, "seed": FOLDS * repetition + fold})
    epoch = -(-len(split.train) // (config.batch_size or len(split.train)))
    every = epoch if patience else 0
    config = dataclasses.replace(config, steps=epochs * epoch, validate_every=every, patience=patience)
    return float(completed(train(system, split, config, progress=False)).evaluate()["test_accuracy"])


def split_of(data: GraphData, repetition: int, fold: int, validates: bool) -> GraphData:
    """The data with the split of one fold of a repetition.

    Args:
        data: with labels.
        repetition: 0 takes the data's own folds, if there are any; others are drawn with it.
        fold: which is tested on, from 1.
        validates: whether a ninth of the rest is validated on.
    """
    folds = (
        data.folds if data.folds and not repetition else stratified_folds(data.labels, FOLDS, repetition, data.classes)
    )
    return split_fold(with_folds(data, folds), fold, repetition, 1 / (FOLDS - 1) if validates else 0.0)
