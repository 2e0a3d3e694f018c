"""`python -m benchmarks.quality`: quality of samples against minutes of training, three libraries, each with its own recommended settings.

The libraries train by turns, a minute each, in processes of their own, so that slow moments fall on all of them alike. Only training counts. At each of the
given minutes every library draws samples with as many evaluations of its network as the others, and their Fréchet distance to the training images is measured.
Stopped at any time, the same command goes on from what is there.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.contestants import CONTESTANTS
from benchmarks.harness import Ledger, Worker
from renote.errors import UsageError
from renote.experiment import environment
from renote.train.checkpoint import write_json

ROOT = Path(__file__).parents[1]
SLICE = 60.0


def contestant(
    library: str, data_name: str, evaluations: int, seed: int, threads: int, folder: Path
) -> Mapping[str, Callable[..., Any]]:
    """A library's training in this process: `train`, `measure`, `about`.

    Args:
        library: its name.
        data_name: of images.
        evaluations: of the network, for a sample.
        seed: of the training and the samples.
        threads: of the processor.
        folder: where its state is kept.
    """
    import torch

    from renote import data, evaluate
    from renote.data import SampleData

    torch.set_num_threads(threads)
    images = data.load(data_name)
    assert isinstance(images, SampleData)
    trainee = CONTESTANTS[library](images, evaluations, seed)
    features = evaluate.features(images)
    path = folder / f"{library}.pt"
    about = {"settings": json.loads(json.dumps(trainee.settings)), "data": data_name, "seed": seed, "threads": threads}
    kept = trainee.load(path) if path.exists() else {"seconds": 0.0, "about": about}
    if kept["about"] != about:
        raise UsageError(f"{path} is of other settings: leave them as they were, or begin again by --fresh")

    def state() -> dict[str, Any]:
        return {"seconds": kept["seconds"], "steps": trainee.done}

    def train(until: float) -> dict[str, Any]:
        """Train until so many seconds of training are over, and keep what came out."""
        before, started = kept["seconds"], time.perf_counter()
        while kept["seconds"] < until:
            loss = trainee.step()
            kept["seconds"] = before + time.perf_counter() - started
            if loss != loss:
                raise RuntimeError(f"{library}: the loss is undefined after {trainee.done} steps")
        trainee.save(path, **kept)
        return state()

    def measure(count: int) -> dict[str, Any]:
        """The distance of samples, and the time they took."""
        started = time.perf_counter()
        samples = trainee.sample(count, 1000 + seed)
        took = time.perf_counter() - started
        evaluate.image_grid(samples[:64]).save(folder / f"{library}-{trainee.done}.png")
        return state() | {"frechet_distance": features.distance(samples), "seconds_of_sampling": took}

    def describe() -> dict[str, Any]:
        """Settings, size, and what held-out images would have."""
        size = sum(parameter.numel() for parameter in trainee.network.parameters())
        return {"settings": trainee.settings, "parameters": size, "features": features.name}

    def held_out(count: int) -> float:
        return features.distance(images.test[:count])

    return {"train": train, "measure": measure, "describe": describe, "state": state, "held_out": held_out}


def compare(
    libraries: Sequence[str],
    minutes: Sequence[float],
    samples: int,
    evaluations: int,
    data_name: str,
    seed: int,
    threads: int,
    work: Path,
    out: Path,
) -> dict[str, Any]:
    """Train, measure, and write `OUT/quality.json` and `.png` after each measurement.

    Args:
        libraries: of `CONTESTANTS`.
        minutes: of training, at which samples are drawn.
        samples: how many.
        evaluations: of the network for each, at most.
        data_name: of images.
        seed: of everything.
        threads: of the processor.
        work: folder of the trainings' states and measurements.
        out: folder of the results.
    """
    console = Console(stderr=True, highlight=False)
    work.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(work / "measurements.json")
    with contextlib.ExitStack() as stack:
        workers = {
            library: stack.enter_context(
                Worker(contestant, library, data_name, evaluations, seed, threads, work.resolve())
            )
            for library in libraries
        }
        about = {library: worker("describe") for library, worker in workers.items()}
        states = {library: worker("state") for library, worker in workers.items()}
        held_out = next(iter(workers.values()))("held_out", samples)

        def document() -> dict[str, Any]:
            found = environment.describe()
            found["machine"]["threads"] = threads
            return {
                **found,
                "command": "python -m benchmarks.quality",
                "data": data_name,
                "samples": samples,
                "evaluations": evaluations,
                "seed": seed,
                "features": about[libraries[0]]["features"],
                "held_out": held_out,
                "libraries": about,
                "rows": [row for row in ledger.rows if row["samples"] == samples and row["library"] in libraries],
            }

        for mark in sorted(minutes):
            while True:
                behind = [library for library in libraries if states[library]["seconds"] < 60 * mark]
                for library in behind:
                    until = min(60 * mark, states[library]["seconds"] + SLICE)
                    states[library] = workers[library]("train", until)
                    at = states[library]
                    console.print(f"{library}: {at['seconds'] / 60:.1f} minutes, {at['steps']} steps")
                if not behind:
                    break
            for library in libraries:
                key = {"library": library, "minutes": mark, "samples": samples}
                if ledger.find(key):
                    continue
                if states[library]["seconds"] > 1.02 * 60 * mark + 10:
                    console.print(f"{library} has trained beyond {mark:g} minutes: that mark is left out")
                    continue
                found = workers[library]("measure", samples)
                ledger.add({**key, **found})
                console.print(f"{library} at {mark:g} minutes: Fréchet distance {found['frechet_distance']:.3f}")
                write(document(), out)
    return write(document(), out)


def write(document: dict[str, Any], out: Path) -> dict[str, Any]:
    """The result and its figure."""
    from matplotlib.figure import Figure

    from renote.evaluate import save_figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for library in document["libraries"]:
        points = sorted((r["minutes"], r["frechet_distance"]) for r in document["rows"] if r["library"] == library)
        axes.plot(*zip(*points, strict=True), marker="o", label=library) if points else None
    marks = sorted({row["minutes"] for row in document["rows"]})
    axes.axhline(document["held_out"], color="grey", linewidth=0.8, linestyle=":", label="held-out images")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel=f"minutes of training, {document['machine']['threads']} threads",
        ylabel=f"Fréchet distance\n({document['features']}, {document['samples']} samples)",
    )
    axes.set_xticks(marks, [f"{mark:g}" for mark in marks])
    axes.minorticks_off()
    axes.legend(frameon=False, loc="center right", bbox_to_anchor=(1, 0.68))
    out.mkdir(parents=True, exist_ok=True)
    save_figure(figure, out / "quality.png")
    write_json(out / "quality.json", document)
    return document


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[10.0, 20.0, 40.0], help="of training, a library")
    parser.add_argument("--libraries", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS))
    parser.add_argument("--samples", type=int, default=1000, help="drawn at each mark")
    parser.add_argument("--evaluations", type=int, default=50, help="of the network for a sample, at most")
    parser.add_argument("--data", default="fashion-mnist", help="name of images, or folder:PATH")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "quality", help="from which it goes on")
    parser.add_argument("--out", type=Path, default=ROOT / "results", help="folder of quality.json and quality.png")
    parser.add_argument("--fresh", action="store_true", help="forget what the work folder holds")
    given = parser.parse_args()
    if min(given.minutes) <= 0 or given.samples < 2 or given.evaluations < 1:
        parser.error("--minutes must be positive, --samples at least 2, --evaluations at least 1")
    if given.fresh:
        shutil.rmtree(given.work, ignore_errors=True)
    compare(
        given.libraries,
        given.minutes,
        given.samples,
        given.evaluations,
        given.data,
        given.seed,
        given.threads,
        given.work,
        given.out,
    )


if __name__ == "__main__":
    main()
