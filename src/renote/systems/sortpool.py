"""DGCNN: nodes in a sorted order, read by convolutions over a line.

Zhang, Cui, Neumann & Chen, "An End-to-End Deep Learning Architecture for Graph Classification", AAAI 2018.

    Z^(l+1) = tanh(D̃^-1 Ã Z^l W^l)                                                   (1)
    the k first rows of [Z^1 | … | Z^L] by falling last feature, then 1-D convolutions

k is the size that 40 % of the graphs exceed, at least 10: so it is in the authors' code, whose figures are published; their text says 60 %.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from renote.experiment import Claim, GraphOptions, GraphSystem, Outcome, Paper

if TYPE_CHECKING:
    from renote.data import GraphData
    from renote.experiment import Lab
    from renote.graph import GraphTask


@dataclass(frozen=True, kw_only=True)
class Config(GraphOptions):
    """Zhang et al. (2018), section 5.1: graph convolutions of 32, 32, 32 and 1 features, 16 and 32 channels over the line, a dense layer of 128, batches of 50."""

    steps: int = 6000
    batch_size: int = 50
    learning_rate: float = 1e-4
    hidden: int = 32
    """Width of the graph convolutions before the last, which has one feature."""
    k: int = 0
    """Nodes of a graph that are kept; 0 for the size that a share `exceed` of the training graphs exceed."""
    exceed: float = 0.4
    """Share of the training graphs that have more than k nodes, if k is 0."""


def settle(config: Config, data: GraphData) -> Config:
    """k as the size that a share of the training graphs exceed, at least 10."""
    if config.k or not len(data.train):
        return config
    sizes = data.graphs.members.count[data.train].sort().values
    return dataclasses.replace(config, k=max(10, int(sizes[int((1 - config.exceed) * (len(sizes) - 1))])))


def build(config: Config, data: GraphData) -> GraphTask:
    """Convolutions with tanh, SortPool, convolutions over the line."""
    from renote import graph

    widths = (*[config.hidden] * config.layers, 1)
    network = graph.SortNetwork(data.graphs.num_features, data.outputs, config.k or 10, widths, dropout=config.dropout)
    return graph.graph_task(network, data)


PUBLISHED = {"mutag": (85.83, 1.66), "nci1": (74.44, 0.47), "proteins": (75.54, 0.94)}
EPOCHS = {"mutag": 300, "nci1": 200, "proteins": 100}


def own_folds(lab: Lab) -> Outcome:
    """Accuracies of repeated ten folds, trained for a number of epochs that is given, nothing held out."""
    import statistics

    from renote import evaluate, experiment

    repetitions = {"mutag": 3, "nci1": 1, "proteins": 2} if lab.laptop else dict.fromkeys(PUBLISHED, 10)
    epochs = EPOCHS | ({"nci1": 50} if lab.laptop else {})
    rows = {
        data: {
            "sortpool": experiment.folds_accuracy(
                lab, lab.system, data, repetitions[data], epochs[data], learning_rate=1e-3
            )
        }
        for data in PUBLISHED
    }
    mean = {data: statistics.fmean(row["sortpool"]) for data, row in rows.items()}
    holds = all(mean[data] >= value - std for data, (value, std) in PUBLISHED.items())
    note = (
        f"Ten folds, {', '.join(f'{data} {times} times with {epochs[data]} epochs' for data, times in repetitions.items())}; the paper repeats ten times. Nothing is held out to select or stop: the last weights are "
        "tested. Batches of 50 as in the authors' code, at rate 0.001 for its 0.0001 or 0.00001. Deviations are over repetitions. Holds if no mean is below the published one by more than its published deviation."
    )
    measured = {
        data: experiment.spread(row["sortpool"]) if len(row["sortpool"]) > 1 else row["sortpool"][0]
        for data, row in rows.items()
    }
    figure = evaluate.draw_comparison(
        rows, {d: v for d, (v, _) in PUBLISHED.items()}, "accuracy (%), a repetition each"
    )
    return Outcome(measured, holds, figure, tuple(range(max(repetitions.values()))), note)


SYSTEM = GraphSystem(
    name="sortpool",
    title="Sorted nodes read by convolutions (DGCNN)",
    paper=Paper(
        "Zhang, Cui, Neumann & Chen",
        "An End-to-End Deep Learning Architecture for Graph Classification",
        2018,
        "AAAI 2018",
        "doi:10.1609/aaai.v32i1.11782",
    ),
    parts=("random-walk convolution", "SortPool", "1-D convolutions", "graph classification"),
    data="proteins",
    config=Config,
    build=build,
    settle=settle,
    claims=(
        Claim(
            "own-folds",
            "Nodes in a sorted order, read by convolutions, classify graphs as well as the best kernels.",
            "Table 1 (mutag's mean checked in a public listing of the paper's results, the others from memory, unverified; epochs from the authors' code)",
            {data: value for data, (value, _) in PUBLISHED.items()},
            own_folds,
        ),
    ),
    notes="The claim does not hold at laptop size by one of three sets: 86.0 ± 1.1 on mutag and 74.5 on nci1 are where 85.8 and 74.4 are published, 72.6 ± 1.2 on proteins is below 75.5 by more than its deviation. "
    "k is the size that 40 % of the graphs exceed, as in the authors' code; with the 60 % of the paper's text, measured before, it was 83.6, 73.4 and 72.4. On nci1 it has a quarter of the epochs that --size full takes. That the published figure of proteins is not reached again is known: under the fair protocol Errica et al. found 72.9. "
    "What it reaches under the fair protocol is the claim fair of errica.",
    presets={"laptop": {"steps": 1500, "learning_rate": 1e-3, "patience": 10}},
)
