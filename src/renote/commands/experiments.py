"""What is measured: systems against each other, papers' claims, and both halves in a few minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional

from renote import systems
from renote.commands.runs import RunName, generative
from renote.commands.terminal import (
    Json,
    keep,
    number,
    parse_grid,
    parse_options,
    picture_path,
    print_json,
    print_table,
    result_path,
    say,
)
from renote.errors import UsageError


def compare(
    names: Positional[tuple[str, ...]],
    data: str | None = None,
    seeds: int = 10,
    data_option: tuple[str, ...] = (),
    preset: str = "laptop",
    split: Literal["own", "per-class", "random"] = "own",
    samples: int = 1000,
    steps: int | None = None,
    out: str | None = None,
    json: Json = False,
) -> None:
    """Train several systems on one data set over seeds, and measure them under one protocol.

    Example: renote compare gcn mlp label-propagation --data cora --seeds 10

    Args:
        names: The systems.
        data: The data set; the first system's own by default.
        seeds: How many seeds each.
        data_option: Options of the data set's loader as KEY=VALUE.
        preset: Of every configuration: laptop, paper, or another that all have.
        split: Of a graph's nodes: the data's own, or drawn anew for each seed: 20 a class to train and 30 to validate, or 60, 20 and 20 % of each class.
        samples: How many samples to draw from each generative model.
        steps: Optimizer steps for all, in the place of each one's own.
        out: A .json file for the result, with command, versions and machine, and beside it a picture of it against time and memory; or the picture alone (.png, .svg, .pdf).
    """
    from renote import evaluate, experiment

    if not names:
        raise UsageError("compare which systems? e.g. renote compare gcn mlp --data cora")
    target = None if out is None else picture_path(out, or_result=True)
    chosen = [systems.get(name) for name in names]
    changes: dict[str, Any] = {} if steps is None else {"steps": steps}
    found = experiment.compare(
        chosen,
        data or chosen[0].data,
        seeds,
        preset=preset,
        data_options=parse_options(data_option),
        split=split,
        samples=samples,
        progress=True,
        **changes,
    )
    if target is not None:
        evaluate.save_figure(evaluate.draw_costs(found["rows"]), _picture_of(target))
        if target.suffix == ".json":
            keep(target, found)
    if json:
        print_json(found)
        return
    rows = [
        [r["name"], f"{r['mean']:.2f} ± {r['std']:.2f}", f"{r['seconds']:.2f}", r["parameters"], r["peak_memory_mb"]]
        for r in found["rows"]
    ]
    metric = found["rows"][0]["metric"]
    print_table(("system", metric, "seconds", "parameters", "peak memory (MB)"), rows)
    where = f"; picture in {_picture_of(target)}" if target is not None else ""
    say(f"{found['data']}: {found['protocol']}{where}")


def tune(
    names: Positional[tuple[str, ...]],
    data: str | None = None,
    seeds: int = 10,
    draws: int = 12,
    data_option: tuple[str, ...] = (),
    preset: str = "laptop",
    split: Literal["own", "per-class", "random"] = "own",
    steps: int | None = None,
    out: str | None = None,
    work: str = "runs/tune",
    fresh: bool = False,
    json: Json = False,
) -> None:
    """Search rate, width, dropout and weight decay of systems for nodes, choose on validation, and test beside their own settings. A stopped search goes on.

    Example: renote tune gcn gat --data cora --out results/tuned/cora.json

    Args:
        names: The systems.
        data: The data set; the first system's own by default.
        seeds: How many seeds to test with.
        draws: How many candidates to choose among, the preset's own settings first.
        data_option: Options of the data set's loader as KEY=VALUE.
        preset: Of every configuration, which the search starts from.
        split: Of the graph's nodes, as for compare.
        steps: Optimizer steps for all, in the place of each one's own.
        out: A .json file for the result, with command, versions and machine.
        work: Folder of trainings that are kept while it runs.
        fresh: Forget what the work folder holds of these systems on these data.
    """
    from renote import experiment

    if not names:
        raise UsageError("tune which systems? e.g. renote tune gcn gat --data cora")
    target = result_path(out)
    chosen = [systems.get(name) for name in names]
    changes: dict[str, Any] = {} if steps is None else {"steps": steps}
    options = parse_options(data_option)
    how: dict[str, Any] = {"preset": preset, "data_options": options, "split": split, "work": work, "fresh": fresh}
    found = experiment.tune(chosen, data or chosen[0].data, seeds, draws, **how, **changes)
    if target is not None:
        keep(target, found)
    if json:
        print_json(found)
        return
    rows = [
        [r["name"], *(f"{r[k]['mean']:.2f} ± {r[k]['std']:.2f}" for k in ("preset", "tuned")), number(r["chosen"])]
        for r in found["rows"]
    ]
    print_table(("system", f"preset {preset}", "tuned", "chosen"), rows)
    say(f"{found['data']}, {found['rows'][0]['metric']}: {found['protocol']}")


def compare_samplers(
    run: RunName,
    evaluations: tuple[int, ...] = (5, 10, 20, 50, 100),
    samples: int = 1000,
    seeds: int = 3,
    only: tuple[str, ...] = (),
    guidance_scale: float | None = None,
    out: str = "samplers.png",
    work: str = "runs/samplers",
    fresh: bool = False,
    json: Json = False,
) -> None:
    """Draw samples with every sampler at several numbers of network evaluations: which is best, when? A stopped one goes on where it was.

    Example: renote compare-samplers runs/digits --evaluations 5 10 20 50 --out samplers.png

    Args:
        run: The run folder, or the name of a checkpoint.
        evaluations: Most evaluations of the network for a sample; with guidance, an estimate is two.
        samples: How many samples to draw for each number.
        seeds: How many times.
        only: These samplers alone; all by default.
        guidance_scale: For all samplers; the system's own by default.
        out: The picture (.png, .svg); or a .json file, which gets the result with command, versions and machine, and the picture beside it.
        work: Folder of measurements that are kept while it runs.
        fresh: Forget what the work folder holds of this model.
    """
    from renote import evaluate, experiment
    from renote.experiment import samplers

    target = picture_path(out, or_result=True)
    loaded = generative(run)
    found = experiment.compare_samplers(
        loaded,
        evaluations,
        samples,
        seeds,
        only=only,
        work=work,
        fresh=fresh,
        progress=True,
        guidance_scale=guidance_scale,
    )
    picture = _picture_of(target)
    evaluate.save_figure(samplers.draw_samplers(found), picture)
    if target.suffix == ".json":
        keep(target, found)
    if json:
        print_json(found)
        return
    print_table(*samplers.matrix(found))
    say(f"{found['rows'][0]['metric']}: {found['protocol']}; picture in {picture}")
    print(samplers.advice(found))


def fair(
    names: Positional[tuple[str, ...]],
    data: str = "proteins",
    data_option: tuple[str, ...] = (),
    grid: tuple[str, ...] = ("learning_rate=0.001,0.01",),
    runs: int = 1,
    epochs: int = 100,
    patience: int = 20,
    preset: str = "laptop",
    baseline: bool = True,
    processes: int = 1,
    out: str | None = None,
    work: str = "runs/fair",
    fresh: bool = False,
    json: Json = False,
) -> None:
    """Put systems for graphs through the protocol of Errica et al. (2019), beside a baseline that is blind to edges. A stopped one goes on where it was.

    Example: renote fair gin diffpool --data proteins --grid hidden=32,64 learning_rate=0.001,0.01

    Args:
        names: The systems.
        data: Graphs with classes; folds of their own are the outer ones, else ten are made.
        data_option: Options of the data set's loader as KEY=VALUE, e.g. features=degree, or folds=5 for a folder of your own.
        grid: Values of options to choose among as KEY=VALUE,VALUE; several keys are combined.
        runs: How often each fold trains and tests what it chose.
        epochs: Passes over the training graphs, at most.
        patience: Passes without a lower validation loss after which training stops; 0 never stops early.
        preset: Of every configuration: laptop, paper, or another that all have.
        baseline: Whether to put the baseline (errica) through it too.
        processes: How many trainings at once, each in a process with its share of the cores.
        out: A .json file for the result, with command, versions and machine.
        work: Folder of trainings' results that are kept while it runs.
        fresh: Forget what the work folder holds.
    """
    import re
    import shutil

    from renote import experiment

    if not names:
        raise UsageError("put which systems through it? e.g. renote fair gin --data proteins")
    asked = [*names, *(["errica"] if baseline and "errica" not in names else [])]
    if len(set(asked)) < len(asked):
        raise UsageError("a system is named twice: name each once")
    target = result_path(out)
    chosen = [systems.get(name) for name in asked]
    options = parse_options(data_option)
    protocol = experiment.Protocol(parse_grid(grid), runs, epochs, patience, preset=preset, data_options=options)
    folder = Path(work) / re.sub(r"[^\w.-]+", "-", data)
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    lab = experiment.Lab(chosen[0], "laptop", folder, processes=processes)
    with lab.alone():
        experiment.fair_ahead(lab, [(system, data, {}) for system in chosen], protocol)
        rows = [experiment.fair(lab, system, data, protocol) for system in chosen]
    found = {"data": data, "protocol": protocol.told(), "grid": [dict(point) for point in protocol.grid], "rows": rows}
    if target is not None:
        keep(target, found)
    if json:
        print_json(found)
        return
    body = [[row["name"], f"{row['mean']:.1f} ± {row['std']:.1f}", len(row["accuracies"])] for row in rows]
    print_table(("system", "test accuracy (%)", "folds"), body)
    say(f"{data}: {protocol.told()}")


def reproduce(
    name: Positional[str],
    size: Literal["laptop", "full"] = "laptop",
    claim: str | None = None,
    out: str = "results",
    work: str = "runs/reproduce",
    fresh: bool = False,
    processes: int = 1,
    json: Json = False,
) -> None:
    """Run the experiment behind a paper's claim; a stopped one goes on where it was. Exit status 3: it did not hold.

    Example: renote reproduce ddim --size laptop

    Args:
        name: The system; of one that a claim of another system measures (renote show NAME), that claim is run.
        size: laptop (at most 20 minutes on two cores) or full (one GPU).
        claim: Which claim, if it has several (renote show NAME).
        out: Folder of the results: a JSON document and a figure.
        work: Folder of trainings and measurements that are kept while it runs.
        fresh: Forget what the work folder holds.
        processes: How many trainings or measurements at once, each with its share of the cores, where the experiment has parts that do not need each other; elsewhere it changes nothing.
    """
    from renote import experiment

    system = systems.get(name)
    if system.measured_by is not None and claim in (None, system.measured_by[1]):
        other, claim = system.measured_by
        say(f"{name} makes no claim of its own: the claim {claim} of {other} measures it beside others, and is run")
        system = systems.get(other)
    found = experiment.reproduce(system, size, claim=claim, out=out, work=work, fresh=fresh, processes=processes)
    if json:
        print_json(found)
    else:
        say(f"{found['system']}, {found['claim']}: {found['statement']}")
        rows = [[key, number(value)] for key, value in found["measured"].items()]
        seeds = f"{found['seeds']} seed{'s' if found['seeds'] > 1 else ''}"
        print_table((f"measured ({size}, {seeds})", ""), rows)
        say(f"{'holds' if found['holds'] else 'DOES NOT HOLD'}; {found['seconds']:.0f} s; {found['figure']}")
    if not found["holds"]:
        raise SystemExit(3)


def demo(out: str = "report.html", quick: bool = False) -> None:
    """Both halves in a few minutes: generate digits, classify a graph's nodes, and write one HTML page.

    Example: renote demo --out report.html

    Args:
        out: The page.
        quick: A few steps only, to see that everything runs.
    """
    from renote.demo import run

    run(Path(out), quick)


def _picture_of(target: Path) -> Path:
    return target.with_suffix(".png") if target.suffix == ".json" else target
