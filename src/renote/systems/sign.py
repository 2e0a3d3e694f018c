"""SIGN: all that is sparse is done once, before training; what is trained is dense and reads single nodes.

Rossi, Frasca, Chamberlain, Eynard, Bronstein & Monti, "SIGN: Scalable Inception Graph Neural Networks", ICML 2020 workshop on Graph
Representation Learning and Beyond, arXiv:2004.11198.

    Z = σ([X Θ_0 | A_1 X Θ_1 | … | A_r X Θ_r]),  Y = ξ(Z Ω)                     (4)

A_1 … A_r are powers of operators: Kipf's normalized adjacency (p of them), personalized PageRank (s), the random walk over triangles (t).
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from renote.experiment import Claim, NodeOptions, NodeSystem, Outcome, Paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from renote.data import NodeData
    from renote.experiment import Lab
    from renote.graph import PrecomputedNodeClassification


@dataclass(frozen=True, kw_only=True)
class Config(NodeOptions):
    """The paper has no citation graphs: GCN's training, so that only the method differs; 4 hops by validation on Cora."""

    rates = ("input_dropout",)

    patience: int = 10
    input_dropout: float = 0.5
    """Probability of dropout on the precomputed signals."""
    hops: int = 4
    """Powers of Kipf's normalized adjacency; the paper's p."""
    pagerank_hops: int = 0
    """Powers of personalized PageRank; the paper's s."""
    restart: float = 0.1
    """Of the PageRank: chance that its walk ends at a step."""
    triangle_hops: int = 0
    """Powers of the random walk over triangles; the paper's t."""


def build(config: Config, data: NodeData) -> PrecomputedNodeClassification:
    """An inception layer over precomputed signals, PReLU, dense layers; weight decay on the first."""
    from renote import graph

    network = graph.SIGN(
        data.graph.num_features,
        config.hidden,
        data.num_classes,
        config.layers,
        config.dropout,
        config.input_dropout,
        config.hops,
        config.pagerank_hops,
        config.triangle_hops,
        config.restart,
    )
    return graph.PrecomputedNodeClassification(network, data.graph, data.labels, data.splits)


LARGE = "drawn graph of 100,000 nodes"
SETS: dict[str, tuple[str, dict[str, Any]]] = {
    "cora": ("cora", {}),
    "pubmed": ("pubmed", {}),
    LARGE: ("power-law", {"nodes": 100_000, "signal": 2.0}),
}
"""By title: name of the data and options."""


def one_run(lab: Lab, title: str, name: str, seed: int) -> dict[str, float]:
    """Test accuracy of one training, with its seconds from the loaded graph on, precomputation included."""
    from renote import experiment, systems

    data, options = SETS[title]
    system, loaded = systems.get(name), lab.data(data, **options)
    started = time.perf_counter()
    run = experiment.train(system, loaded, system.configure(seed=seed), progress=False)
    seconds = time.perf_counter() - started
    assert run.trained is not None
    return {
        "accuracy": run.evaluate()["test_accuracy"],
        "seconds": seconds,
        "milliseconds a step": 1e3 * run.trained.seconds / run.trained.step,
    }


def speed(lab: Lab) -> Outcome:
    """Accuracy and seconds beside GCN's, in turn, on the public splits and on a large drawn graph."""
    from renote.experiment.contrast import spread

    seeds = tuple(range(10 if lab.laptop else 100))
    names = "gcn", "sign"
    found: dict[str, dict[str, list[dict[str, float]]]] = {data: {name: [] for name in names} for data in SETS}
    for data in SETS:
        lab.measure(f"{data}, warm-up", partial(one_run, lab, data, "gcn", 0))
        for seed in seeds[:3] if data == LARGE else seeds:
            for name in names:
                key = f"{data} {name}, seed {seed}"
                found[data][name].append(lab.measure(key, partial(one_run, lab, data, name, seed)))
    measured: dict[str, Any] = {}
    for data, by_name in found.items():
        for name, runs in by_name.items():
            accuracy = [run["accuracy"] for run in runs]
            measured[f"{data} {name}"] = {
                **spread(accuracy),
                "seconds": statistics.median(run["seconds"] for run in runs),
                "milliseconds a step": statistics.median(run["milliseconds a step"] for run in runs),
            }
    near = all(measured[f"{data} sign"]["mean"] >= measured[f"{data} gcn"]["mean"] - 2.0 for data in SETS)
    fraction = {data: measured[f"{data} sign"]["seconds"] / measured[f"{data} gcn"]["seconds"] for data in SETS}
    measured |= {f"{data} sign, share of GCN's time": share for data, share in fraction.items()}
    holds = near and max(fraction.values()) <= 0.5
    note = (
        "Public splits, and a power-law graph of 100,000 nodes and planted classes, there with three seeds; weights selected by validation loss. It holds if SIGN is at most 2 points below GCN on each graph, and takes at most half "
        "of its time there, precomputation included. Cora is so small, and its words so sparse, that a full-batch step of GCN is quicker than one on dense signals."
    )
    return Outcome(measured, holds, _draw(found), seeds, note)


def _draw(found: dict[str, dict[str, list[dict[str, float]]]]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.0 * len(found), 3.6), layout="constrained")
    for axes, (data, by_name) in zip(figure.subplots(1, len(found), squeeze=False)[0], found.items()):
        for name, runs in by_name.items():
            axes.scatter([run["seconds"] for run in runs], [run["accuracy"] for run in runs], label=name, s=18)
        axes.set(title=data, xlabel="seconds, precomputation included", ylabel="test accuracy (%)", xlim=(0, None))
        axes.legend(frameon=False)
    return figure


SYSTEM = NodeSystem(
    name="sign",
    title="Scalable inception graph networks",
    paper=Paper(
        "Rossi, Frasca, Chamberlain, Eynard, Bronstein & Monti",
        "SIGN: Scalable Inception Graph Neural Networks",
        2020,
        "ICML 2020 workshop on Graph Representation Learning and Beyond",
        "arXiv:2004.11198",
    ),
    parts=("powers of operators, made once", "inception", "PReLU", "node classification by mini-batches"),
    data="cora",
    config=Config,
    build=build,
    claims=(
        Claim(
            "speed",
            "With everything sparse done before training, accuracy stays near a graph convolutional network's at a fraction of its time.",
            "Tables 3 and 5",
            {},
            speed,
        ),
    ),
    notes="Measured: at most 2 points below GCN on Cora and Pubmed, 1.2 above it on the drawn graph; in 0.11 of its time on Pubmed, 0.26 on the drawn graph, but twice its time on Cora, which alone makes the claim not hold.",
)
