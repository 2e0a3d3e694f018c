"""Run the experiment behind a claim, and write down what came out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from renote.errors import unknown
from renote.evaluate import save_figure
from renote.experiment import environment
from renote.experiment.lab import Lab
from renote.experiment.system import Size, System
from renote.train.checkpoint import write_json


def reproduce(
    system: System[Any],
    size: Size = "laptop",
    *,
    claim: str | None = None,
    out: str | Path = "results",
    work: str | Path = "runs/reproduce",
    fresh: bool = False,
    progress: bool = True,
    processes: int = 1,
) -> dict[str, Any]:
    """Test a claim of a system.

    Args:
        system: whose claim.
        size: `laptop` (minutes on two cores) or `full`.
        claim: its id; the first by default.
        out: folder of the results, `OUT/SYSTEM/CLAIM-SIZE.json` and `.png`.
        work: folder of trainings and measurements, from which a stopped experiment goes on.
        fresh: forget what the work folder holds.
        progress: tell of progress on standard error.
        processes: how many may work at once, where the experiment has parts that do not need each other.

    Returns:
        `{"system", "claim", "published", "measured", "holds", "size", "seeds", "seconds", "command", "versions", "figure"}` and
        the machine, the statement and notes.

    Raises:
        UsageError: for an unknown claim or size.
    """
    if size not in ("laptop", "full"):
        raise unknown("size", size, ["laptop", "full"])
    chosen = system.claim(claim)
    name = f"{chosen.id}-{size}"
    folder = Path(work) / system.name / name
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    lab = Lab(system, size, folder, progress, processes)
    with lab.alone():
        outcome = chosen.experiment(lab)
    figure = Path(out) / system.name / f"{name}.png"
    save_figure(outcome.figure, figure)
    found = environment.describe()
    document = {
        "system": system.name,
        "claim": chosen.id,
        "statement": chosen.statement,
        "where": chosen.where,
        "published": dict(chosen.published),
        "published_verified": chosen.verified,
        "measured": dict(outcome.measured),
        "holds": bool(outcome.holds),
        "size": size,
        "seeds": len(outcome.seeds),
        "seconds": round(lab.seconds(), 1),
        "command": found["command"],
        "versions": found["versions"],
        "machine": found["machine"],
        "measured_on": lab.places(),
        "note": outcome.note,
        "figure": figure.as_posix(),
    }
    write_json(figure.with_suffix(".json"), document)
    return document
