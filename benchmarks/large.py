"""`python -m benchmarks.large`: training through the command line on a drawn graph of two million nodes and forty million edges.

GCN by clusters, GraphSAGE by neighbours and SIGN, each in one process and the first two in two under torchrun, with the same options and steps. The second of them is killed at its first
checkpoint and resumed. Of each: seconds of the whole command, the memory of all its processes at the highest, and `renote evaluate`. Stopped at any time, the same command goes on from what is
there. About two hours of two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from benchmarks.harness import Ledger
from renote.experiment import environment
from renote.train.checkpoint import write_json

ROOT = Path(__file__).parents[1]
WAYS: dict[str, list[str]] = {
    "gcn by clusters": ["gcn", "--batches", "clusters", "--clusters-per-batch", "4", "--hidden", "64"],
    "sage by neighbours": ["graphsage", "--batches", "neighbors", "--fan-outs", "10", "10", "--batch-size", "1024"],
    "sign": ["sign", "--batch-size", "1024", "--hidden", "64", "--hops", "2"],
}
"""By name: a system and its options."""
PROCESSES = {"gcn by clusters": (1, 2), "sage by neighbours": (1, 2), "sign": (1,)}
KILLED = "sage by neighbours", 1
"""The run that is killed once."""
CLUSTER = 1000
"""Nodes of a cluster, about."""


def command(way: str, processes: int, data: Sequence[str], nodes: int, steps: int, out: Path) -> list[str]:
    """What is run, but for the name of Python."""
    launcher = ["torch.distributed.run", "--nproc-per-node", str(processes), "-m"] if processes > 1 else []
    name, *options = WAYS[way]
    if name == "gcn":
        options += ["--clusters", str(max(4, nodes // CLUSTER))]
    half = max(1, steps // 2)
    pace = ["--steps", steps, "--validate-every", half, "--checkpoint-every", half, "--patience", 0]
    return ["-m", *launcher, "renote.cli", "train", name, *data, *options, *map(str, pace), "--out", str(out)]


class Watched:
    """A command with all its processes.

    Args:
        arguments: after the name of Python.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.process = psutil.Popen([sys.executable, *arguments], start_new_session=True)
        self.megabytes = 0.0

    def moments(self) -> Iterator[None]:
        """One every half second until it ends."""
        while self.process.poll() is None:
            family = [self.process]
            with contextlib.suppress(psutil.Error):
                family += self.process.children(recursive=True)
            resident = 0
            for one in family:
                with contextlib.suppress(psutil.Error):
                    resident += one.memory_info().rss
            self.megabytes = max(self.megabytes, resident / 1e6)
            yield
            time.sleep(0.5)
        if self.process.returncode:
            raise SystemExit(f"{' '.join(self.process.args)} ended with {self.process.returncode}")

    def kill(self) -> None:
        """The process and those that it started."""
        for one in [*self.process.children(recursive=True), self.process]:
            one.send_signal(signal.SIGKILL)
        self.process.wait()


def run(arguments: Sequence[str], out: Path, killed: bool) -> dict[str, Any]:
    """Seconds and memory of a training; if asked, it is killed once it has a checkpoint, and goes on from there."""
    started, first = time.perf_counter(), None
    watched = Watched(arguments)
    for _ in watched.moments():
        if killed and any((out / "checkpoints").glob("step-*")):
            watched.kill()
            break
    if killed:
        first = time.perf_counter() - started
        resumed = Watched([*arguments, "--resume"])
        resumed.megabytes = watched.megabytes
        watched, started = resumed, time.perf_counter()
        for _ in watched.moments():
            pass
    row = {"seconds": time.perf_counter() - started, "peak_megabytes": watched.megabytes}
    return row if first is None else {**row, "seconds_before_the_kill": first}


def large(nodes: int, degree: float, steps: int, work: Path, out: Path) -> dict[str, Any]:
    """Every way, what is there being kept.

    Args:
        nodes: of the graph.
        degree: edges a node.
        steps: of every training.
        work: folder of the runs.
        out: folder of the result.
    """
    console = Console(stderr=True, highlight=False)
    data = ["--data", "power-law"]
    for option in (f"nodes={nodes}", f"degree={degree:g}"):
        data += ["--data-option", option]
    ledger = Ledger(work / "large.json")
    for way, counts in PROCESSES.items():
        for processes in counts:
            key = {"way": way, "processes": processes, "nodes": nodes, "degree": degree, "steps": steps}
            if ledger.find(key):
                continue
            folder = work / f"{way.replace(' ', '-')}-{processes}"
            shutil.rmtree(folder, ignore_errors=True)
            arguments = command(way, processes, data, nodes, steps, folder)
            row: dict[str, Any] = {**key, "command": " ".join(["python", *arguments])}
            row |= run(arguments, folder, (way, processes) == KILLED)
            told = subprocess.run(
                [sys.executable, "-m", "renote.cli", "evaluate", str(folder), "--json"],
                capture_output=True,
                text=True,
                check=True,
            )
            row["measures"] = json.loads(told.stdout)["measures"]
            ledger.add(row)
            console.print(
                f"{way}, {processes} process(es), {row['seconds']:.0f} s, {row['peak_megabytes'] / 1000:.1f} GB, {row['measures']['test_accuracy']:.2f} %"
            )
            write(ledger.rows, out)
    return write(ledger.rows, out)


def write(rows: Sequence[dict[str, Any]], out: Path) -> dict[str, Any]:
    """The result."""
    out.mkdir(parents=True, exist_ok=True)
    document = {**environment.describe(), "command": "python -m benchmarks.large", "rows": list(rows)}
    write_json(out / "large.json", document)
    return document


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__)
    parser.add_argument("--nodes", type=lambda text: int(float(text)), default=2_000_000)
    parser.add_argument(
        "--degree", type=float, default=40.0, help="edges a node: half of them times the nodes are drawn"
    )
    parser.add_argument("--steps", type=int, default=1000, help="of every training")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "large", help="from which it goes on")
    parser.add_argument("--out", type=Path, default=ROOT / "results", help="folder of large.json")
    given = parser.parse_args()
    if given.nodes < 5000 or given.steps < 2:
        parser.error("--nodes must be at least 5000, --steps at least 2")
    large(given.nodes, given.degree, given.steps, given.work, given.out)


if __name__ == "__main__":
    main()
