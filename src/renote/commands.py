"""What each command does. A function's signature is the command's options, its docstring the help.

Results go to standard output, progress and messages to standard error.
"""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from renote import systems
from renote.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

Json = Annotated[bool, arg(help="Print one JSON document on standard output.")]


def list_(json: Json = False) -> None:
    """List the systems, with paper and task.

    Example: renote list
    """
    rows = [systems.get(name).summary() for name in systems.names()]
    if json:
        print_json(rows)
        return
    body = [[r["name"], r["title"], r["task"], f"{r['paper']['authors']} {r['paper']['year']}"] for r in rows]
    print_table(("name", "system", "task", "paper"), body)


def show(name: Positional[str], json: Json = False) -> None:
    """Show one system: its equations, parts, options, and claims.

    Example: renote show gcn

    Args:
        name: Name of a system (renote list).
    """
    import dataclasses
    import inspect

    system = systems.get(name)
    module = inspect.getmodule(system.config)
    about = inspect.getdoc(module) if module else ""
    paper, laptop = system.configure("paper"), system.configure("laptop")
    options = {f.name: [getattr(paper, f.name), getattr(laptop, f.name)] for f in dataclasses.fields(paper)}
    if json:
        document = system.summary() | {
            "about": about,
            "parts": list(system.parts),
            "data": system.data,
            "options": {key: {"paper": values[0], "laptop": values[1]} for key, values in options.items()},
            "notes": system.notes,
        }
        print_json(document)
        return
    console = _console()
    console.print(f"{system.name}: {about}\n", markup=False, highlight=False)
    console.print(f"parts: {', '.join(system.parts)}", markup=False)
    for claim in system.claims:
        console.print(f"\nclaim {claim.id} ({claim.where}): {claim.statement}", markup=False)
        console.print(f"published: {', '.join(f'{k} {v}' for k, v in claim.published.items())}", markup=False)
    if system.notes:
        console.print(f"\n{system.notes}", markup=False)
    console.print()
    print_table(("option", "paper", "laptop"), [[key, *map(str, values)] for key, values in options.items()])
    console.print(f"\ntry: renote train {system.name} --data {system.data} --out runs/{system.name}", markup=False)


def sample(
    run: Positional[str],
    n: Annotated[int, arg(aliases=["-n"])] = 64,
    out: str = "samples.png",
    class_: Annotated[str | None, arg(name="class")] = None,
    sampler: str | None = None,
    steps: int | None = None,
    eta: float | None = None,
    guidance_scale: float | None = None,
    option: tuple[str, ...] = (),
    seed: int = 0,
    film: str | None = None,
) -> None:
    """Draw samples from a trained generative model.

    Example: renote sample runs/digits -n 64 --sampler ddim --steps 25 --guidance-scale 2 --class 3 --out grid.png

    Args:
        run: The run folder.
        n: How many.
        out: A picture (.png, .jpg, .webp) or an array (.npy).
        class_: Number or name of a class; without it, classes at random.
        sampler: ancestral, ddim, heun, …; the system's own by default.
        steps: Steps of the sampler.
        eta: Noise that ddim adds: 0 none, 1 as much as ancestral.
        guidance_scale: 0 ignores the class, 1 is plainly conditional, above 1 exaggerates it.
        option: Other options of the sampler as KEY=VALUE, e.g. spacing=rho churn=40.
        seed: Sample i depends on seed + i alone.
        film: Also write the way from noise to samples as a strip of pictures.
    """
    from renote import evaluate, experiment

    loaded = systems.load_run(run)
    if not isinstance(loaded, experiment.SampleRun):
        raise UsageError(f"{run} holds {loaded.system.name}, which makes no samples: use renote predict or evaluate")
    options: dict[str, Any] = {"sampler": sampler, "steps": steps, "eta": eta, "guidance_scale": guidance_scale}
    options |= parse_options(option)
    samples = loaded.sample(n, seed=seed, label=class_, progress=True, **options)
    evaluate.write_samples(samples, Path(out))
    say(f"{n} samples in {out}")
    if film is not None:
        evaluate.write_film(loaded.film(min(n, 8), seed=seed, label=class_, **options), Path(film))
        say(f"the way from noise in {film}")


def predict(run: Positional[str], out: str = "predictions.csv", data: str | None = None) -> None:
    """Predict the class of every node with a trained node classifier.

    Example: renote predict runs/cora --out predictions.csv

    Args:
        run: The run folder.
        out: The table: node, class, probability.
        data: Another graph with the same features.
    """
    from renote import experiment

    loaded = systems.load_run(run, data)
    if not isinstance(loaded, experiment.NodeRun):
        raise UsageError(f"{run} holds {loaded.system.name}, which predicts no classes: use renote sample")
    loaded.write_predictions(Path(out))
    say(f"{loaded.data.graph.num_nodes} predictions in {out}")


def evaluate(
    run: Positional[str],
    data: str | None = None,
    samples: int = 1000,
    features: str | None = None,
    bits: Literal["bound", "ode"] | None = None,
    json: Json = False,
) -> None:
    """Measure a trained run: accuracy of predictions, or distance, variety and class accuracy of samples.

    Example: renote evaluate runs/digits --samples 2000 --bits bound

    Args:
        run: The run folder.
        data: Other data than it was trained on.
        samples: How many samples to draw from a generative model.
        features: Weights of a classifier (python -m renote.evaluate.ship) in whose features samples are compared.
        bits: Also bits per dimension of held-out samples: bound, the variational one, or ode, the probability flow's.
    """
    from renote import experiment

    loaded = systems.load_run(run, data)
    if isinstance(loaded, experiment.SampleRun):
        measures = loaded.evaluate(samples, features=features, progress=True)
        if bits is not None:
            measures |= {"bits": loaded.bits(min(samples, 1000), method=bits)}
    else:
        measures = loaded.evaluate()
    document = {"run": run, "system": loaded.system.name, "data": loaded.data.name, "measures": measures}
    if json:
        print_json(document)
        return
    print_table(("measure", loaded.system.name), [[key, _number(value)] for key, value in measures.items()])


def compare(
    names: Positional[tuple[str, ...]],
    data: str | None = None,
    seeds: int = 10,
    data_option: tuple[str, ...] = (),
    preset: str = "laptop",
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
        samples: How many samples to draw from each generative model.
        steps: Optimizer steps for all, in the place of each one's own.
        out: Also write the result to this file, with command, versions and machine.
    """
    from renote import experiment

    if not names:
        raise UsageError("compare which systems? e.g. renote compare gcn mlp --data cora")
    chosen = [systems.get(name) for name in names]
    changes: dict[str, Any] = {} if steps is None else {"steps": steps}
    found = experiment.compare(
        chosen,
        data or chosen[0].data,
        seeds,
        preset=preset,
        data_options=parse_options(data_option),
        samples=samples,
        progress=True,
        **changes,
    )
    if out is not None:
        from renote.experiment import environment
        from renote.train.checkpoint import write_json

        Path(out).parent.mkdir(parents=True, exist_ok=True)
        write_json(Path(out), {**found, **environment.describe()})
    if json:
        print_json(found)
        return
    rows = [
        [r["name"], f"{r['mean']:.2f} ± {r['std']:.2f}", f"{r['seconds']:.2f}", r["parameters"], r["peak_memory_mb"]]
        for r in found["rows"]
    ]
    metric = found["rows"][0]["metric"]
    print_table(("system", metric, "seconds", "parameters", "peak memory (MB)"), rows)
    say(f"{found['data']}: {found['protocol']}")


def reproduce(
    name: Positional[str],
    size: Literal["laptop", "full"] = "laptop",
    claim: str | None = None,
    out: str = "results",
    work: str = "runs/reproduce",
    fresh: bool = False,
    json: Json = False,
) -> None:
    """Run the experiment behind a paper's claim; a stopped one goes on where it was. Exit status 3: it did not hold.

    Example: renote reproduce ddim --size laptop

    Args:
        name: The system.
        size: laptop (at most 20 minutes on two cores) or full (one GPU).
        claim: Which claim, if it has several (renote show NAME).
        out: Folder of the results: a JSON document and a figure.
        work: Folder of trainings and measurements that are kept while it runs.
        fresh: Forget what the work folder holds.
    """
    from renote import experiment

    found = experiment.reproduce(systems.get(name), size, claim=claim, out=out, work=work, fresh=fresh)
    if json:
        print_json(found)
    else:
        say(f"{found['system']}, {found['claim']}: {found['statement']}")
        rows = [[key, _number(value)] for key, value in found["measured"].items()]
        print_table((f"measured ({size}, {found['seeds']} seeds)", ""), rows)
        say(f"{'holds' if found['holds'] else 'DOES NOT HOLD'}; {found['seconds']:.0f} s; {found['figure']}")
    if not found["holds"]:
        raise SystemExit(3)


def data_list(json: Json = False) -> None:
    """List the built-in data sets.

    Example: renote data list
    """
    from renote.data import cards

    rows = [card.to_dict() for card in cards().values()]
    if json:
        print_json(rows)
        return
    body = [
        [r["name"], r["title"], r["kind"], r["size"], "×".join(map(str, r["shape"])), len(r["classes"])] for r in rows
    ]
    print_table(("name", "data", "kind", "size", "shape", "classes"), body)
    say("your own: a folder of images, FILE.npz, or graph:EDGES.csv,NODES.csv")


def data_describe(name: Positional[str], json: Json = False) -> None:
    """Describe a data set: counts, classes, source, licence; your own is read and checked for it.

    Example: renote data describe cora

    Args:
        name: Name or path of the data.
    """
    from renote.data import describe

    card = describe(name)
    if json:
        print_json(card)
        return
    print_table(
        ("", card["name"]), [[key, _number(value)] for key, value in card.items() if key not in ("files", "name")]
    )


def data_fetch(name: Positional[str]) -> None:
    """Bring a data set's official files to this machine and check them.

    Example: renote data fetch cora

    Args:
        name: Name of the data set.
    """
    from renote.data import fetch

    files = fetch(name)
    say(f"{name} is there: {len(files)} files checked" if files else f"{name} needs no files")


def demo(out: str = "report.html", quick: bool = False) -> None:
    """Both halves in a few minutes: generate digits, classify a graph's nodes, and write one HTML page.

    Example: renote demo --out report.html

    Args:
        out: The page.
        quick: A few steps only, to see that everything runs.
    """
    from renote.demo import run

    run(Path(out), quick)


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE pairs; a value is read as JSON where it is JSON, else as text."""
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"option {pair!r}: write KEY=VALUE, e.g. size=14")
        try:
            options[key.replace("-", "_")] = json_format.loads(text)
        except ValueError:
            options[key.replace("-", "_")] = text
    return options


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    print(json_format.dumps(document, indent=2, ensure_ascii=False))


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_number(item)}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _console() -> Console:
    from rich.console import Console

    # through a pipe, lines are not folded
    return Console(width=None if sys.stdout.isatty() else 200)


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table on standard output."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(*header, box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(str(cell).replace("[", "\\[") for cell in row))
    _console().print(table)


def say(text: str) -> None:
    """A line on standard error."""
    print(text, file=sys.stderr)
