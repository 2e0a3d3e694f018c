"""`python -m benchmarks.scale`: time and memory of training on drawn graphs, against their edges.

GCN by clusters, GraphSAGE by neighbours and SIGN, which reads the graph once. Each is measured in a process of its own: preparing (clusters, or SIGN's signals), an
epoch of training, a look at the whole graph, and the memory that all of it takes at its highest, the data included, above that of the libraries. Stopped at any time, the same
command goes on from what is there.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import torch
from rich.console import Console

from benchmarks.harness import Ledger, Worker
from renote import data as data_sets
from renote import systems
from renote.data import NodeData
from renote.experiment import NodeLearner, environment
from renote.experiment.memory import peak_memory
from renote.graph import ClusterSampling
from renote.train.checkpoint import write_json

ROOT = Path(__file__).parents[1]
DEGREE = 20.0
CLUSTER = 1000
"""Nodes of a cluster, about."""
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "gcn by clusters": ("gcn", {"batches": "clusters", "clusters_per_batch": 4, "hidden": 64}),
    "sage by neighbours": ("graphsage", {"batches": "neighbors", "fan_outs": (10, 10), "batch_size": 1024}),
    "sign": ("sign", {"batch_size": 1024, "hidden": 64, "hops": 2}),
}
"""By name: a system and its options."""


def _build(way: str, edges: int, threads: int, partition: str) -> Mapping[str, Callable[..., Any]]:
    """In its own process: one piece of work, which measures a way of training on a graph."""
    torch.set_num_threads(threads)

    def resident() -> float:
        return psutil.Process().memory_info().rss / 1e6

    def measure() -> dict[str, Any]:
        _work(way, _drawn(500), partition)  # what is loaded and set up at first use
        libraries = resident()
        nodes = int(edges / DEGREE)
        started = time.perf_counter()
        loaded = _drawn(nodes)
        row: dict[str, Any] = {"nodes": nodes, "directed_edges": loaded.graph.num_edges}
        row["drawing_seconds"] = time.perf_counter() - started
        with peak_memory() as peak:
            before = resident()
            row |= _work(way, loaded, partition)
        memory = {"libraries_megabytes": libraries, "data_megabytes": before - libraries}
        return row | memory | {"peak_megabytes": before + peak.megabytes - libraries}

    return {"measure": measure}


def _drawn(nodes: int) -> NodeData:
    loaded = data_sets.load("power-law", nodes=nodes, degree=DEGREE)
    assert isinstance(loaded, NodeData)
    return loaded


def _work(way: str, loaded: NodeData, partition: str) -> dict[str, Any]:
    name, options = WAYS[way]
    if name == "gcn":
        clusters = max(options["clusters_per_batch"], loaded.graph.num_nodes // CLUSTER)
        options = {**options, "clusters": clusters, "partition": partition}
    config = systems.get(name).configure(**options)
    started = time.perf_counter()
    torch.manual_seed(0)
    learner = systems.get(name).learner(config, loaded)
    assert isinstance(learner, NodeLearner)
    module, generator = learner.module, torch.Generator()
    sampling = module.sampling
    per_step = config.batch_size or len(loaded.train)
    count = len(loaded.train)
    if isinstance(sampling, ClusterSampling):
        count, per_step = sampling.num_clusters, learner.batch_size
    prepared = time.perf_counter() - started

    optimizer = torch.optim.Adam(learner.parameter_groups(config.weight_decay), lr=config.learning_rate, fused=True)
    steps = -(-count // per_step)
    seconds = []
    module.train()
    for step in range(steps):
        before = time.perf_counter()
        optimizer.zero_grad()
        torch.autograd.backward(module(learner.batch(step, generator)))
        optimizer.step()
        seconds.append(time.perf_counter() - before)
    before = time.perf_counter()
    accuracy = module.validate()["accuracy"]
    return {
        "preparing_seconds": prepared,
        "epoch_seconds": sum(seconds),
        "step_milliseconds": 1e3 * statistics.median(seconds),
        "steps": steps,
        "inference_seconds": time.perf_counter() - before,
        "validation_accuracy": 100 * accuracy,
    }


def scale(
    edges: Sequence[int], ways: Sequence[str], threads: int, partition: str, work: Path, out: Path
) -> dict[str, Any]:
    """Every way on every size, what is there being kept.

    Args:
        edges: undirected, about; a graph has a tenth as many nodes.
        ways: names in `WAYS`.
        threads: of PyTorch.
        partition: of the clusters, `metis` or `random`.
        work: folder of what is measured.
        out: folder of the result and its figure.
    """
    console = Console(stderr=True, highlight=False)
    ledger = Ledger(work / "scale.json")
    for size in sorted(edges):
        for way in ways:
            key = {"way": way, "edges": size, "threads": threads, "partition": partition}
            if ledger.find(key):
                continue
            with Worker(_build, way, 2 * size, threads, partition) as worker:
                row = {**key, **worker("measure")}
            ledger.add(row)
            console.print(
                f"{way}, {size:,} edges: {row['epoch_seconds']:.2f} s an epoch, {row['peak_megabytes']:.0f} MB"
            )
            write(ledger.rows, out)
    return write(ledger.rows, out)


def growth(rows: Sequence[Mapping[str, Any]], what: str) -> float | None:
    """The exponent b of the least squares fit log y = a + b log edges: 1 is linear growth; None for fewer than two sizes."""
    points = [(row["directed_edges"], row[what]) for row in rows if row[what] > 0]
    if len({edges for edges, _ in points}) < 2:
        return None
    x, y = torch.tensor(points, dtype=torch.float64).log().T
    return float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())


def write(rows: Sequence[Mapping[str, Any]], out: Path) -> dict[str, Any]:
    """The result and its figure."""
    from matplotlib.figure import Figure

    from renote.evaluate import save_figure

    panels = {
        "epoch_seconds": "seconds of an epoch",
        "preparing_seconds": "seconds of preparing",
        "inference_seconds": "seconds for the whole graph",
        "peak_megabytes": "megabytes at the highest",
    }
    by_way = {way: [row for row in rows if row["way"] == way] for way in WAYS}
    figure = Figure(figsize=(13, 3.4), layout="constrained")
    for axes, (what, label) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for way, of in by_way.items():
            points = sorted((row["directed_edges"] / 2, row[what]) for row in of)
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=way)
        axes.set(xscale="log", yscale="log", xlabel="edges", ylabel=label)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False)
    out.mkdir(parents=True, exist_ok=True)
    save_figure(figure, out / "scale.png")
    exponents = {way: {what: growth(of, what) for what in panels} for way, of in by_way.items() if of}
    document = {
        **environment.describe(),
        "command": "python -m benchmarks.scale",
        "data": f"power-law, mean degree {DEGREE:g}, 64 features, a tenth of the nodes to train on",
        "growth": exponents,
        "rows": list(rows),
    }
    write_json(out / "scale.json", document)
    return document


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    sizes = [100_000, 300_000, 1_000_000, 3_000_000, 10_000_000]
    parser.add_argument("--edges", type=lambda text: int(float(text)), nargs="+", default=sizes, help="undirected")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--partition", choices=["metis", "random"], default="metis", help="of the clusters")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "scale", help="from which it goes on")
    parser.add_argument("--out", type=Path, default=ROOT / "results", help="folder of scale.json and scale.png")
    parser.add_argument("--fresh", action="store_true", help="forget what the work folder holds")
    given = parser.parse_args()
    if min(given.edges) < 5000 or given.threads < 1:
        parser.error("--edges must be at least 5000, --threads at least 1")
    if given.fresh:
        shutil.rmtree(given.work, ignore_errors=True)
    scale(given.edges, given.ways, given.threads, given.partition, given.work, given.out)


if __name__ == "__main__":
    main()
