"""One small search for every system, chosen on validation alone: what a method can do here, beside what its paper's settings do."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from renote.data import NodeData
from renote.errors import UsageError
from renote.experiment.compare import SPLITS, check_parts, check_split, split_anew, told_options
from renote.experiment.contrast import spread
from renote.experiment.lab import Lab
from renote.experiment.node_options import NodeOptions
from renote.experiment.run import completed, load_data, train
from renote.experiment.system import System
from renote.train.options import TrainOptions

SPACE: dict[str, tuple[float, ...]] = {
    "learning_rate": (0.003, 0.01, 0.03),
    "hidden": (1, 2, 4),
    "dropout": (0.2, 0.5, 0.8),
    "weight_decay": (0.0, 5e-5, 5e-4, 5e-3),
}
"""What is drawn from; hidden is a multiple of the preset's width."""
SEARCH_SEED = 1000
"""Of the trainings that choose, and of their split where one is drawn for each seed: one that no measurement has."""


def tune(
    systems: Sequence[System[Any]],
    data: str,
    seeds: int = 10,
    draws: int = 12,
    *,
    preset: str = "laptop",
    data_options: Mapping[str, Any] | None = None,
    split: str = "own",
    work: str | Path = "runs/tune",
    fresh: bool = False,
    progress: bool = True,
    **changes: Any,
) -> dict[str, Any]:
    """Choose among draws of `SPACE` by validation, then measure the choice and the preset on the test nodes over seeds.

    The preset's own settings are the first candidate. Each training is kept as it comes, and a stopped search goes on.

    Args:
        systems: for nodes, that learn weights.
        data: name of the data set, a graph.
        seeds: of the measurements, 0, 1, ….
        draws: candidates in all, the same for every system but for the preset's.
        preset: of every configuration.
        data_options: of the data set's loader.
        split: as `compare`.
        work: folder of what is kept.
        fresh: forget what the work folder holds of these systems.
        progress: tell of progress on standard error.
        changes: fields of the configuration that apply to all and are not searched.

    Returns:
        `{"data", "protocol", "seeds", "space", "rows": [{"name", "metric", "preset", "tuned", "chosen", "validation", "validation_of_preset"}]}`; `preset` and `tuned` are
        mean, standard deviation and values of the test.

    Raises:
        UsageError: fewer than two seeds or one draw, a system that is no learner of nodes or named twice, an unknown split, a field that is both searched and changed.
    """
    _check(systems, seeds, draws, split, changes)
    # all that may be refused, before the first is trained
    presets = [_preset(system, preset, changes) for system in systems]
    loaded = load_data(data, data_options)
    if not isinstance(loaded, NodeData):
        raise UsageError(f"{data} is not a graph whose nodes have classes: tune is for those, e.g. cora")
    for seed in (*range(seeds), SEARCH_SEED):
        check_parts(split_anew(loaded, split, seed), "tune", "validation", "test")
    rows = []
    for system, own in zip(systems, presets):
        folder = Path(work) / system.name / data.replace("/", "-").replace(":", "-")
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        lab = Lab(system, "laptop", folder, progress)
        measure = partial(_measured, lab, data, dict(data_options or {}), split, own)
        candidates = _candidates(own, draws)
        validation = [measure(candidate, SEARCH_SEED)["validation"] for candidate in candidates]
        best = max(range(draws), key=validation.__getitem__)  # the first of equals: the preset before others
        tests = [[measure(chosen, seed)["test"] for seed in range(seeds)] for chosen in (own, candidates[best])]
        rows.append(
            {
                "name": system.name,
                "metric": "test micro-F1 (%)" if loaded.several else "test accuracy (%)",
                "preset": {**spread(tests[0]), "values": tests[0]},
                "tuned": {**spread(tests[1]), "values": tests[1]},
                "chosen": {name: getattr(candidates[best], name) for name in own.used(SPACE)},
                "validation": validation[best],
                "validation_of_preset": validation[0],
            }
        )
    return {
        "data": data,
        "protocol": _protocol(preset, split, data_options or {}, seeds, draws),
        "seeds": seeds,
        "space": {name: list(values) for name, values in SPACE.items()},
        "rows": rows,
    }


def _check(systems: Sequence[System[Any]], seeds: int, draws: int, split: str, changes: Mapping[str, Any]) -> None:
    if seeds < 2 or draws < 1:
        raise UsageError(f"seeds = {seeds} and draws = {draws}: at least 2, for a deviation, and 1")
    check_split(split)
    if len({system.name for system in systems}) < len(systems):
        raise UsageError("a system is named twice: name each once")
    for name in changes:
        if name in SPACE:
            raise UsageError(f"{name} is searched: it cannot be given")


def _preset(system: System[Any], preset: str, changes: Mapping[str, Any]) -> NodeOptions:
    own = system.configure(preset, **changes)
    if isinstance(own, NodeOptions):
        return own
    if system.kind == "nodes":
        raise UsageError(f"{system.name} learns no weights: there is nothing to tune")
    raise UsageError(
        f"{system.name} does {system.task} and needs {system.needs}: tune is for systems that learn classes of nodes, e.g. gcn"
    )


def _candidates(own: NodeOptions, draws: int) -> list[NodeOptions]:
    """The preset's own, then draws that are the same points of the space for every system."""
    chooser = random.Random(0)
    found = [own]
    for _ in range(draws - 1):
        point: dict[str, Any] = {name: chooser.choice(values) for name, values in SPACE.items()}
        point["hidden"] *= own.hidden
        found.append(dataclasses.replace(own, **own.used(point)))
    return found


def _measured(
    lab: Lab, data: str, options: Mapping[str, Any], split: str, own: NodeOptions, config: NodeOptions, seed: int
) -> dict[str, float]:
    seeded = dataclasses.replace(config, seed=seed)
    # all that a figure depends on, so that another search in the same folder takes none that is not its own
    key = json.dumps([data, options, split, dataclasses.asdict(seeded)], sort_keys=True, default=str)
    changed = [f"{name} {getattr(config, name)}" for name in SPACE if getattr(config, name) != getattr(own, name)]
    told = f"{lab.system.name}, {', '.join(changed) or 'as the preset'}, seed {seed}"
    found: dict[str, float] = lab.measure(key, partial(_train, lab, data, options, split, seeded), told)
    return found


def _train(lab: Lab, data: str, options: Mapping[str, Any], split: str, config: TrainOptions) -> dict[str, float]:
    loaded = lab.data(data, **options)
    given = split_anew(loaded, split, config.seed)
    measures = completed(train(lab.system, given, config, progress=False)).evaluate()
    measure = "micro_f1" if given.several else "accuracy"
    return {part: float(measures[f"{part}_{measure}"]) for part in ("validation", "test")}


def _protocol(preset: str, split: str, options: Mapping[str, Any], seeds: int, draws: int) -> str:
    parts = "the data's own split" if split == "own" else SPLITS[split][1]
    return (
        f"{draws} candidates, the preset {preset} and random draws, chosen on the validation nodes by one training each (seed {SEARCH_SEED}), then tested over seeds 0 to {seeds - 1}; "
        f"{parts}{told_options(options)}; weights selected by validation loss"
    )
