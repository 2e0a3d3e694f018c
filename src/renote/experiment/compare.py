"""Several systems on the same data under one protocol."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence, Sized
from typing import Any

from renote.data import (
    Data,
    FactData,
    GraphData,
    LinkData,
    MeshData,
    NodeData,
    RatingData,
    SampleData,
    split_nodes,
    split_per_class,
)
from renote.errors import UsageError, unknown
from renote.experiment.memory import peak_memory
from renote.experiment.node_contrast import Split
from renote.experiment.run import completed, load_data, test_score, train
from renote.experiment.sample import SampleRun
from renote.experiment.system import System
from renote.train.log import StepProgress

SPLITS: dict[str, tuple[Split, str]] = {
    "per-class": (
        split_per_class,
        "a split drawn anew for each seed (20 nodes of each class to train, 30 to validate, all others to test: Shchur et al. 2018)",
    ),
    "random": (
        split_nodes,
        "a split drawn anew for each seed (60 % of each class to train, 20 % to validate, 20 % to test)",
    ),
}
"""Name → how a graph's nodes are split anew with a seed, and that in words."""


def compare(
    systems: Sequence[System[Any]],
    data: str | Data,
    seeds: int = 10,
    *,
    preset: str = "laptop",
    data_options: dict[str, Any] | None = None,
    split: str = "own",
    samples: int = 1000,
    progress: bool = False,
    **changes: Any,
) -> dict[str, Any]:
    """Train each system once a seed, in turn, and measure.

    Classifiers: test accuracy, or micro-F1 where nodes are of several classes, of the weights with the lowest validation loss; the test nodes or samples select nothing.
    Generation: Fréchet distance to the training samples, with each system's own sampler.

    Args:
        systems: the candidates.
        data: name, path, or loaded data.
        seeds: how many; seeds 0, 1, ….
        preset: of every configuration.
        data_options: of the data set's loader.
        split: of the nodes of a graph: `"own"` keeps that of the data, `"per-class"` and `"random"` draw one for each seed (`SPLITS`).
        samples: drawn from each generative model.
        progress: show progress on standard error.
        changes: fields of the configuration that apply to all.

    Returns:
        `{"data", "protocol", "seeds", "rows": [{"name", "metric", "mean", "std", "seconds", "parameters",
        "peak_memory_mb", "values"}]}`; the standard deviation is that of the sample (n - 1), seconds and memory are
        medians over seeds.

    Raises:
        UsageError: for fewer than one seed, a system named twice, systems of different tasks, a split that is unknown or not of nodes, or data without a test part.
    """
    if seeds < 1:
        raise UsageError(f"seeds = {seeds}: at least one")
    if len({system.name for system in systems}) < len(systems):
        raise UsageError("a system is named twice: name each once")
    if len({system.task for system in systems}) > 1:
        named = ", ".join(f"{system.name} ({system.task})" for system in systems)
        raise UsageError(f"these do different tasks and cannot be compared: {named}")
    loaded = load_data(data, data_options) if isinstance(data, str) else data
    check_split(split)
    if split != "own" and not isinstance(loaded, NodeData):
        raise UsageError(f"split = {split}, but {loaded.name} is not a graph whose nodes could be split: leave it own")
    parts = [split_anew(loaded, split, seed) if isinstance(loaded, NodeData) else loaded for seed in range(seeds)]
    if not systems[0].generates and systems[0].kind != "clusters":
        for given in parts:
            check_parts(given, "compare", "test")
    found: dict[str, list[dict[str, float]]] = {system.name: [] for system in systems}
    metric = ""
    with StepProgress("comparing", seeds * len(systems), shown=progress) as bar:
        for seed, given in enumerate(parts):
            for system in systems:
                config = system.configure(preset, **system.config.used(changes), seed=seed)
                with peak_memory() as peak:
                    run = train(system, given, config, progress=False)
                completed(run)
                if isinstance(run, SampleRun):
                    measures = run.evaluate(samples, seed=10_000 * (seed + 1))
                    metric, value = f"Fréchet distance ({measures['features']})", measures["frechet_distance"]
                else:
                    metric, value = test_score(run.evaluate())
                seconds = run.trained.seconds if run.trained else 0.0
                numbers = {"value": value, "seconds": seconds, "memory": peak.megabytes, "parameters": run.parameters}
                found[system.name].append(numbers)
                bar.to(sum(map(len, found.values())), f"{system.name} {value:.4g}")
    rows = [
        {
            "name": name,
            "metric": metric,
            "mean": statistics.fmean(values),
            "std": statistics.stdev(values) if seeds > 1 else 0.0,
            "seconds": statistics.median(numbers["seconds"] for numbers in runs),
            "parameters": int(runs[0]["parameters"]),
            "peak_memory_mb": round(statistics.median(numbers["memory"] for numbers in runs), 1),
            "values": values,
        }
        for name, runs in found.items()
        if (values := [numbers["value"] for numbers in runs])
    ]
    return {
        "data": loaded.name,
        "protocol": _protocol(
            parts[0], seeds, samples, systems[0].generates, split, data_options or {}, preset, systems[0].kind
        ),
        "seeds": seeds,
        "rows": rows,
    }


def check_split(split: str) -> None:
    """Refuse a way of splitting that is not known."""
    if split not in ("own", *SPLITS):
        raise unknown("split", split, ["own", *SPLITS])


def check_parts(data: Data, command: str, *parts: str) -> None:
    """Refuse, before anything is trained, data that lack a part.

    Args:
        data: loaded, and split.
        command: that measures on the parts.
        parts: of `"validation"` and `"test"`.

    Raises:
        UsageError: one of them is empty.
    """
    empty = [part for part in parts if not len(_part(data, part))]
    if empty:
        what = " or to ".join({"validation": "validate", "test": "test"}[part] for part in empty)
        other = ", or take another split" if isinstance(data, NodeData) else ""
        raise UsageError(
            f"{data.name} has no {_counted(data)} to {what} on: {command} needs {'both' if len(parts) > 1 else 'some'}. "
            f"Raise {' and '.join(f'{part}_fraction' for part in empty)}, or name some in the column split{other}"
        )


def _part(data: Data, part: str) -> Sized:
    found: Sized = data.parts[part] if isinstance(data, RatingData | FactData) else getattr(data, part)
    return found


def _counted(data: Data) -> str:
    """What the parts of a split are of."""
    kinds = {"nodes": "nodes", "graphs": "graphs", "meshes": "meshes", "samples": "samples", "facts": "facts"}
    return kinds.get(data.card.kind, "pairs")


def split_anew(data: NodeData, split: str, seed: int) -> NodeData:
    """The data with the split of a seed; as it is, if it keeps its own."""
    return data if split == "own" else SPLITS[split][0](data, seed)


def told_options(options: Mapping[str, Any]) -> str:
    """The loader's options as the end of a protocol's sentence; empty without any."""
    return f", data with {', '.join(f'{name} = {value}' for name, value in options.items())}" if options else ""


def _protocol(
    data: Data,
    seeds: int,
    samples: int,
    generates: bool,
    split: str,
    options: Mapping[str, Any],
    preset: str,
    kind: str,
) -> str:
    over = f"seeds 0 to {seeds - 1}" if seeds > 1 else "seed 0"
    set_up = "" if preset == "laptop" else f", preset {preset}"
    set_up += told_options(options)
    if generates:
        return f"each system's own sampler, {samples} samples against the training set, {over}{set_up}"
    # samples to validate on are taken of those to train on
    selects = isinstance(data, SampleData) or len(_part(data, "validation"))
    if isinstance(data, RatingData):
        parts = ", ".join(f"{len(part)} {name}" for name, part in data.parts.items())
        weights = "weights selected by recall on validation" if selects else "the last weights"
        return f"one split ({parts} pairs), {weights}, all items ranked that a user has not before, {over}{set_up}"
    if isinstance(data, FactData):
        parts = ", ".join(f"{len(part)} {name}" for name, part in data.parts.items())
        weights = "weights selected by mean reciprocal rank on validation" if selects else "the last weights"
        return f"one split ({parts} facts), {weights}, heads and tails ranked among all entities but those that are known, {over}{set_up}"
    if split != "own":
        parts = SPLITS[split][1]
    elif isinstance(data, NodeData | GraphData | LinkData | MeshData):
        numbers = f"{len(data.train)} training, {len(data.validation)} validation, {len(data.test)} test"
        parts = f"one split ({numbers} {_counted(data)})"
    else:
        parts = f"one split ({len(data.train)} samples to train and select on, {len(data.test)} test samples)"
    if kind == "clusters":
        return (
            f"all nodes, no label is looked at, the last weights, modularity of the clusters in percent, {over}{set_up}"
        )
    selected = "weights selected by validation loss" if selects else "the last weights"
    if isinstance(data, LinkData):
        return f"{parts}, {selected}, area under the curve of the test pairs in percent, {over}{set_up}"
    if isinstance(data, MeshData):
        return (
            f"{parts}, {selected}, share of the test meshes' vertices that are told exactly in percent, {over}{set_up}"
        )
    measure = "micro-F1" if isinstance(data, NodeData) and data.several else "accuracy"
    unseen = ", of graphs that are never seen in training" if isinstance(data, NodeData) and data.inductive else ""
    return f"{parts}, {selected}, test {measure} in percent{unseen}, {over}{set_up}"
