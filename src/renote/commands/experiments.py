"""What is measured: systems against each other, papers' claims, and both halves in a few minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional

from renote import systems
from renote.commands.terminal import Json, number, parse_options, print_json, print_table, say
from renote.errors import UsageError


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
        rows = [[key, number(value)] for key, value in found["measured"].items()]
        print_table((f"measured ({size}, {found['seeds']} seeds)", ""), rows)
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
