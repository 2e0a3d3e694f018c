"""`python -m benchmarks [--quick] [SECTION ...]`: renote beside its peers, interleaved; figures go to results/benchmarks.json.

Sections are listing, graph, links, pooling, relations, unet, sampling, categories; without names all are run. A section that is not run keeps its figures, with the machine, versions and day they are of.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import categories, graph, links, pooling, relations, sampling, unet
from renote.experiment import environment
from renote.train.checkpoint import write_json


def listing() -> dict[str, Any]:
    """CPU time of `renote list` beyond the interpreter's own start."""

    def seconds(*command: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    pairs = [(seconds("-m", "renote.cli", "list"), seconds("-c", "pass")) for _ in range(7)]
    beyond = sorted(whole - bare for whole, bare in pairs)[3]
    note = "CPU time beyond the interpreter's start; goal: below 500"
    return {"name": "`renote list`", "renote_ms": 1000 * beyond, "peer_ms": None, "ratio": None, "note": note}


SECTIONS: dict[str, Callable[[bool], list[dict[str, Any]]]] = {
    "listing": lambda quick: [listing()],
    "graph": graph.run,
    "links": links.run,
    "pooling": pooling.run,
    "relations": relations.run,
    "unet": unet.run,
    "sampling": sampling.run,
    "categories": categories.run,
}
RESULTS = Path(__file__).parents[1] / "results" / "benchmarks.json"


def main(arguments: Sequence[str]) -> None:
    quick = "--quick" in arguments
    chosen = [name for name in arguments if name != "--quick"] or list(SECTIONS)
    if strange := set(chosen) - set(SECTIONS):
        raise SystemExit(f"no section {', '.join(sorted(strange))}: there are {', '.join(SECTIONS)}")
    for name in chosen:
        rows = SECTIONS[name](quick)
        table = Table("work", "renote (ms)", "peer (ms)", "peer / renote", "note", title=name)
        for row in rows:
            cells = [f"{row[key]:.2f}" if row[key] is not None else "" for key in ("renote_ms", "peer_ms", "ratio")]
            table.add_row(str(row["name"]), *cells, str(row["note"]))
        Console(width=180).print(table)
        if not quick:
            kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
            told = {"command": " ".join(["python -m benchmarks", *arguments])}
            made = {**environment.describe(), **told, "day": time.strftime("%Y-%m-%d", time.gmtime()), "rows": rows}
            # figures of an accelerator stand beside those of processors
            beside = {section: f"{section}, accelerator" for section in SECTIONS}
            found = kept | {beside[name] if made["machine"]["accelerator"] else name: made}
            order = [title for section in SECTIONS for title in (section, beside[section])]
            write_json(RESULTS, {title: found[title] for title in order if title in found})


if __name__ == "__main__":
    main(sys.argv[1:])
