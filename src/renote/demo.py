"""Both halves in a few minutes: digits are generated, a graph's nodes are classified, and one page shows it."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import time
from pathlib import Path

from renote import evaluate, systems
from renote.experiment import NodeRun, SampleRun, compare, environment
from renote.experiment.memory import peak_memory

STEPS = 1500  # enough for digits that one can read
GRAPHS = ("gcn", "mlp", "label-propagation")


def run(out: Path, quick: bool = False) -> Path:
    """Train, sample, predict, measure and draw; write one self-contained page.

    Args:
        out: the page.
        quick: a few steps only, to see that everything runs; the pictures will be noise.

    Returns:
        The page's path.
    """
    started = time.perf_counter()
    report = evaluate.Report("renote: what it does, in a few minutes on this machine")
    machine = environment.machine()
    report.text(
        "Everything on this page was computed just now by `renote demo`, from random weights. Machine: "
        f"{machine['processor']}, {machine['cores']} cores, {machine['accelerator'] or 'no accelerator'}."
    )
    folder = out.parent / "runs" / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    _diffusion(report, folder / "digits", quick)
    _graph(report, folder / "graph", quick)
    report.heading("Next")
    for line in (
        f"Sample from the model that was just trained: `renote sample {folder / 'digits'} --class 7 --out sevens.png`",
        "Train on your own pictures: `renote train ddpm --data folder:PICTURES --data-option size=32 --out runs/mine`",
        "Classify your own graph: `renote train gcn --data graph:edges.csv,nodes.csv --out runs/graph`",
        "Run a paper's claim: `renote reproduce ddim`. See all systems: `renote list`.",
    ):
        report.text(line)
    seconds = time.perf_counter() - started
    report.text(f"The whole took {seconds:.0f} s. Versions: {_plain(environment.versions())}.")
    report.save(out)
    print(f"wrote {out.resolve()} in {seconds:.0f} s: open it in a browser", file=sys.stderr)
    print("next: renote list · renote show ddim · renote train cfg --data digits --out runs/digits", file=sys.stderr)
    return out


def _diffusion(report: evaluate.Report, folder: Path, quick: bool) -> None:
    print("1/2  a class-conditional diffusion model learns 1,500 handwritten digits", file=sys.stderr)
    system = systems.get("cfg")
    with peak_memory() as peak:
        run = system.train("digits", folder, preset="small", steps=5 if quick else STEPS)
    assert isinstance(run, SampleRun)
    assert run.trained is not None
    labels = [digit for digit in range(10) for _ in range(10)]
    started = time.perf_counter()
    grid = run.sample(100, label=labels, sampler="ddim", steps=25, guidance_scale=2.0)
    sampling = time.perf_counter() - started
    measures = run.evaluate(100 if quick else 1000)
    report.heading("Diffusion: digits from noise")
    report.text(
        "A U-Net learned to remove noise from 8 × 8 images of handwritten digits, told of the class nine times out of ten "
        "(DDPM with classifier-free guidance). Each image below began as noise."
    )
    report.picture(evaluate.image_grid(grid, columns=10), "One row a class: 25 DDIM steps, guidance scale 2.")
    film = run.film(8, label=[0, 1, 2, 3, 5, 6, 8, 9], sampler="ddim", steps=25, guidance_scale=2.0)
    report.picture(evaluate.film_strip(film), "From noise (left) to digits (right), one row a sample.")
    rows = [
        ("weights", f"{run.parameters:,}"),
        ("training", f"{run.trained.seconds:.0f} s for {run.trained.step} steps"),
        ("peak memory", f"{peak.megabytes:.0f} MB"),
        ("100 samples, 25 steps", f"{sampling:.1f} s"),
        (
            f"Fréchet distance ({measures['features']}, {measures['samples']} samples)",
            f"{measures['frechet_distance']:.2f}",
        ),
        ("samples that a classifier takes for the class asked for", f"{measures['class_accuracy']:.1f} %"),
    ]
    report.table(("measure", "value"), rows)
    report.settings(dataclasses.asdict(run.config))


def _graph(report: evaluate.Report, folder: Path, quick: bool) -> None:
    print("2/2  a graph network tells the classes of nodes, of which few are known", file=sys.stderr)
    found = compare([systems.get(name) for name in GRAPHS], "digits-knn", 2 if quick else 10, progress=True)
    run = systems.get("gcn").train("digits-knn", folder, progress=False)
    assert isinstance(run, NodeRun)
    report.heading("Graphs: classes of nodes from a few that are known")
    graph = run.data.graph
    report.text(
        f"The same digits as a graph: {graph.num_nodes:,} nodes, {graph.num_edges // 2:,} edges between similar images, the class "
        f"known of {len(run.data.train)}. GCN uses features and edges, the perceptron only features, label propagation only edges."
    )
    rows = [
        (row["name"], f"{row['mean']:.1f} ± {row['std']:.1f} %", f"{row['seconds']:.2f} s", f"{row['parameters']:,}")
        for row in found["rows"]
    ]
    report.table(("system", "test accuracy", "training", "weights"), rows)
    report.text(f"Protocol: {found['protocol']}.")
    report.picture(
        run.draw(),
        "Neighbours pulled together, others pushed apart; coloured by GCN's prediction; red rings: wrong test nodes.",
    )
    report.settings(dataclasses.asdict(run.config))


def _plain(values: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in values.items())
