"""Trainings that differ in one thing, on equal terms: the form of most claims about generative systems."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

    from renote.experiment.lab import Lab
    from renote.experiment.sample import SampleRun
    from renote.experiment.system import System

Variant = tuple["System[Any] | None", Mapping[str, Any]]
"""A system, None for the experiment's own, and what is changed of its preset."""


def trained(
    lab: Lab,
    data: str,
    variants: Mapping[str, Variant],
    seeds: Sequence[int],
    preset: str,
    data_options: Mapping[str, Any] | None = None,
    **shared: Any,
) -> dict[str, list[Any]]:
    """A training for each variant and seed, its runs by variant.

    Args:
        lab: where they are kept.
        data: name of the data set.
        variants: by name.
        seeds: of the trainings.
        preset: of all configurations.
        data_options: of the data set's loader.
        shared: changes to all configurations, e.g. `steps`.
    """
    return {
        name: [
            lab.train(
                data,
                f"{name.replace(' ', '-')}-{seed}",
                system,
                preset,
                data_options,
                **{**shared, **changes, "seed": seed},
            )
            for seed in seeds
        ]
        for name, (system, changes) in variants.items()
    }


def test_accuracies(lab: Lab, runs: Mapping[str, Sequence[Any]]) -> dict[str, list[float]]:
    """Test accuracy in percent of runs that predict, by variant, one a seed.

    Args:
        lab: keeps what is measured.
        runs: by variant.
    """
    return {
        name: [lab.measure(f"{name}, seed {i}", run.evaluate)["test_accuracy"] for i, run in enumerate(of)]
        for name, of in runs.items()
    }


def measured(
    lab: Lab, runs: Mapping[str, Sequence[SampleRun]], n: int, **options: Any
) -> dict[str, dict[str, list[float]]]:
    """All measures of `SampleRun.evaluate`, by variant and name, a value a seed.

    Args:
        lab: keeps what is measured.
        runs: by variant.
        n: samples each.
        options: of sampling.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for name, of in runs.items():
        rows = [
            lab.measure(
                f"{name}, seed {i}, {n} samples{''.join(f', {k} {v}' for k, v in options.items())}",
                partial(run.evaluate, n, seed=10_000 * (i + 1), **options),
            )
            for i, run in enumerate(of)
        ]
        numbers = [key for key, value in rows[0].items() if isinstance(value, float)]
        found[name] = {key: [float(row[key]) for row in rows] for key in numbers}
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean and standard deviation over seeds; of one seed the mean alone."""
    deviation = {"std": statistics.stdev(values)} if len(values) > 1 else {}
    return {"mean": statistics.fmean(values)} | deviation


def bars(found: Mapping[str, Mapping[str, Sequence[float]]], measures: Mapping[str, str]) -> Figure:
    """A panel a measure, a bar a variant with its deviation over seeds.

    Args:
        found: values by variant and measure.
        measures: measure → title of its panel.
    """
    return groups({title: {name: row[measure] for name, row in found.items()} for measure, title in measures.items()})


def groups(panels: Mapping[str, Mapping[str, Sequence[float]]], from_zero: bool = True) -> Figure:
    """A panel a title, a bar a name with its deviation over seeds.

    Args:
        panels: title → name → values.
        from_zero: where the bars begin; False shows differences of high values, from half below the least to half above the greatest.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4 * len(panels) + 0.6, 3.6), layout="constrained")
    for axes, (title, rows) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items()):
        bar(axes, title, rows)
        if not from_zero:
            every = [value for values in rows.values() for value in values]
            axes.set_ylim(min(every) - 0.5, max(every) + 0.5)
    return figure


def bar(axes: Axes, title: str, rows: Mapping[str, Sequence[float]]) -> None:
    """A panel of `groups`.

    Args:
        axes: where it is drawn.
        title: of the panel.
        rows: name → values.
    """
    axes.bar(
        range(len(rows)),
        [statistics.fmean(values) for values in rows.values()],
        yerr=[statistics.stdev(values) for values in rows.values()],
        capsize=4,
        color=[f"C{i}" for i in range(len(rows))],
    )
    axes.set_xticks(range(len(rows)), list(rows), rotation=25, ha="right", fontsize=8)
    axes.set_title(title, fontsize=10)


def with_texts(title: str, rows: Mapping[str, Sequence[float]], runs: Mapping[str, SampleRun]) -> Figure:
    """A bar a name, and beside them what each wrote.

    Args:
        title: of the bars.
        rows: name → values.
        runs: name → a run on text.
    """
    import textwrap

    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4 + 3.7 * len(runs), 3.6), layout="constrained")
    axes = figure.subplots(1, 1 + len(runs), width_ratios=(1, *[1.2] * len(runs)))
    bar(axes[0], title, rows)
    for panel, (name, run) in zip(axes[1:], runs.items()):
        samples = run.data.text(run.sample(4, seed=1))
        lines = "\n".join(textwrap.fill(line, 52) for text in samples for line in [*text.splitlines(), ""])
        panel.text(0, 1, lines.replace("$", r"\$"), family="monospace", fontsize=7, va="top", transform=panel.transAxes)
        panel.set_title(f"samples: {name}", fontsize=10)
        panel.axis("off")
    return figure


def with_pictures(panels: Mapping[str, Mapping[str, Sequence[float]]], runs: Mapping[str, SampleRun]) -> Figure:
    """The panels of `groups`, and beside them held-out images and what each made.

    Args:
        panels: title → name → values.
        runs: name → a run on images or label maps, all of the same data.
    """
    from matplotlib.figure import Figure

    count = len(panels) + len(runs) + 1
    figure = Figure(figsize=(2.6 * count, 3.2), layout="constrained")
    axes = figure.subplots(1, count, width_ratios=[0.8] * len(panels) + [1] * (1 + len(runs)))
    for panel, (title, rows) in zip(axes, panels.items()):
        bar(panel, title, rows)
    data = next(iter(runs.values())).training_data()
    shown = {"real": data.test[:64]} | {f"samples: {name}": run.sample(64, seed=1) for name, run in runs.items()}
    for panel, (title, images) in zip(axes[len(panels) :], shown.items()):
        pictures(panel, title, data.shown(images))
    return figure


def pictures(axes: Axes, title: str, images: Tensor, columns: int | None = None) -> None:
    """Images beside and below each other, in a panel.

    Args:
        axes: where they are drawn.
        title: of the panel.
        images: as for `image_grid`.
        columns: images in a row.
    """
    from renote import evaluate

    axes.imshow(evaluate.image_grid(images, columns), cmap="gray", interpolation="nearest")
    axes.set_title(title, fontsize=10)
    axes.axis("off")


def over(
    lab: Lab, runs: Sequence[SampleRun], n: int, option: str, values: Sequence[float], **options: Any
) -> dict[float, dict[str, list[float]]]:
    """All measures of samples over the values of one option of sampling, by value and name, one a run.

    Args:
        lab: keeps what is measured.
        runs: one a seed.
        n: samples each.
        option: of sampling, e.g. `guidance_scale`.
        values: of that option.
        options: other options of sampling.
    """
    found = {}
    for value in values:
        name = f"{option} {value:g}"
        found[value] = measured(lab, {name: runs}, n, **{option: value}, **options)[name]
    return found


def table(
    found: Mapping[float, Mapping[str, Sequence[float]]], measures: Mapping[str, str], option: str
) -> dict[str, Any]:
    """Mean and deviation by `"title, option value"`.

    Args:
        found: by value of the option and measure.
        measures: measure → title.
        option: what its values are called.
    """
    return {
        f"{title}, {option} {value:g}": spread(row[measure])
        for measure, title in measures.items()
        for value, row in found.items()
    }


def lines(found: Mapping[float, Mapping[str, Sequence[float]]], measures: Mapping[str, str], label: str) -> Figure:
    """A panel a measure, over the values of an option.

    Args:
        found: by value of the option and measure.
        measures: measure → title of its panel.
        label: of the option.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.5 * len(measures) + 0.5, 3.2), layout="constrained")
    for axes, (measure, title) in zip(figure.subplots(1, len(measures), squeeze=False)[0], measures.items()):
        mean, std = ([f(row[measure]) for row in found.values()] for f in (statistics.fmean, statistics.stdev))
        axes.errorbar(list(found), mean, std, marker="o", capsize=3)
        axes.set(xlabel=label)
        axes.set_title(title, fontsize=10)
    return figure
