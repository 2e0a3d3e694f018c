"""Cluster-GCN: batches are clusters of the graph, and the diagonal is enhanced so that depth does not hurt.

Chiang, Liu, Si, Li, Bengio & Hsieh, "Cluster-GCN: An Efficient Algorithm for Training Deep and Large Graph Convolutional Networks", KDD 2019, arXiv:1905.07953.

    a step's graph: q of p clusters drawn at random, with all edges among their nodes        section 3.2
    Ã = (D + I)⁻¹ (A + I)                                                                    (10)
    X^{l+1} = σ((Ã + λ diag Ã) X^l W^l)                                                      (11)
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from renote.experiment import (
    INDUCTIVE,
    SHCHUR,
    Claim,
    NodeOptions,
    NodeSystem,
    Outcome,
    Paper,
    shchur_claim,
    unseen_claim,
)
from renote.systems import get

if TYPE_CHECKING:
    from renote.data import NodeData
    from renote.experiment import Lab
    from renote.graph import NodeClassification


@dataclass(frozen=True, kw_only=True)
class Config(NodeOptions):
    """Chiang et al. (2019), section 4 and its tables for PPI: 400 epochs, 50 clusters of which a step takes one."""

    from_zero = ("enhancement",)

    steps: int = 20_000
    weight_decay: float = 0.0
    validate_every: int = 50
    hidden: int = 2048
    layers: int = 5
    dropout: float = 0.2
    batches: Literal["full", "neighbors", "clusters"] = "clusters"
    clusters_per_batch: int = 1
    enhancement: float = 1.0
    """λ, by which the diagonal counts once more; 0 leaves it."""


def build(config: Config, data: NodeData) -> NodeClassification:
    """Convolutions of the enhanced mean, with dropout before each."""
    from renote import graph

    network = graph.ConvolutionNetwork(
        lambda i, o: graph.EnhancedConvolution(i, o, config.enhancement),
        data.graph.num_features,
        config.hidden,
        data.num_classes,
        config.layers,
        config.dropout,
    )
    return graph.NodeClassification(network, data.graph, data.labels, data.splits)


DEPTHS = (2, 4, 8, 16, 32)
SETS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "cora": ("cora", {}, True),
    "pubmed": ("pubmed", {}, True),
    "photo": ("amazon-photo", {}, True),
    "unseen graphs": ("power-law", {"nodes": 10_000, "graphs": 20}, False),
}
"""By title: name of the data, options, and whether it is a real graph, whose nodes are split anew for each seed and which decides."""


def depth(lab: Lab, sets: Mapping[str, tuple[str, dict[str, Any], bool]] = SETS, **changes: Any) -> Outcome:
    """Test accuracy over the number of layers, with the enhanced diagonal and without."""
    from renote import data, evaluate, experiment

    seeds = tuple(range(3 if lab.laptop else 10))
    variants: dict[str, experiment.Candidate] = {
        name: (None, "laptop", {"enhancement": strength, **changes})
        for name, strength in (("enhanced", 1.0), ("plain", 0.0))
    }
    curves = {
        title: experiment.over_layers(lab, name, variants, DEPTHS, seeds, data.split_nodes if real else None, options)
        for title, (name, options, real) in sets.items()
    }
    mean = {
        title: {v: {n: statistics.fmean(values) for n, values in curve.items()} for v, curve in by.items()}
        for title, by in curves.items()
    }
    reached = {f"{title} {v}, deepest": reach(c) for title, by in mean.items() for v, c in by.items()}
    holds = all(_holds(mean[title]) for title, (_, _, real) in sets.items() if real)
    figure = evaluate.draw_curves(curves, "layers", "test accuracy (%)")
    note = (
        "The paper's curve is on PPI, which is not at hand: here Cora, Pubmed and Amazon Photo, random splits of 60, 20 and 20 % of each class, one a seed. Weights selected by validation loss, as many steps for "
        "every depth. A depth is reached whose mean is at most 10 points below the best depth's. Holds if on each the enhanced network reaches deeper than the plain one, with a best that is at "
        "most a point below. Beside it, inductively, twenty drawn graphs of which four are tested on; they decide nothing: there a node's own features are mostly noise, so there is "
        "little reason to weigh them more."
    )
    return Outcome(experiment.summary_over_layers(curves) | reached, holds, figure, seeds, note)


def reach(curve: Mapping[int, float]) -> int:
    """The largest number of layers with a mean at most 10 points below the best."""
    return max(layers for layers, accuracy in curve.items() if accuracy >= max(curve.values()) - 10.0)


def _holds(mean: Mapping[str, Mapping[int, float]]) -> bool:
    enhanced, plain = mean["enhanced"], mean["plain"]
    return reach(enhanced) > reach(plain) and max(enhanced.values()) >= max(plain.values()) - 1.0


SYSTEM = NodeSystem(
    name="cluster-gcn",
    title="Convolutions on clusters of a graph",
    paper=Paper(
        "Chiang, Liu, Si, Li, Bengio & Hsieh",
        "Cluster-GCN: An Efficient Algorithm for Training Deep and Large Graph Convolutional Networks",
        2019,
        "KDD 2019",
        "arXiv:1905.07953",
    ),
    parts=("batches of clusters", "mean over neighbours and node, enhanced diagonal", "node classification"),
    data="pubmed",
    config=Config,
    build=build,
    presets={
        "laptop": {
            "steps": 400,
            "hidden": 64,
            "clusters": 20,
            "clusters_per_batch": 4,
            "validate_every": 20,
        },
        "shchur": {**SHCHUR, "hidden": 64, "layers": 2, "dropout": 0.5, "clusters": 10, "clusters_per_batch": 5},
        "inductive": {**INDUCTIVE, "layers": 2, "clusters": 10, "clusters_per_batch": 5},
        "ppi": {},
    },
    claims=(
        Claim(
            "depth",
            "With the diagonal enhanced, a network can be made deep without losing its accuracy; without, it cannot.",
            "Table 11 and section 4.3, on PPI",
            {"PPI, micro-F1, 5 layers of 2048": 99.36},
            depth,
        ),
        shchur_claim(get),
        unseen_claim(get, {"PPI, micro-F1": 99.36}, floor=99.0),
    ),
    notes="The claim's data are others than the paper's: PPI is not at hand. Steps, width and the rule of 10 points were settled in trials with seed 0 on Pubmed, where the enhancement helps, and "
    "on Cora, where at 16 layers it did not (56.5 % against 63.5 % without). "
    "Measured to 32 layers: the enhanced network is above the plain one at every depth on the three real graphs at which either learns anything (at 16 layers of Pubmed 68 ± 22 against 40 %), yet both lose more than 10 points at the same depth, so the claim does not hold here. "
    "On Photo, Computers and CS with 20 labels a class 88.4, 83.4 and 88.3 % (three splits), above the features alone on each, but on average 1.7 points below gcn where one is allowed.",
)
