"""GCN: graph convolutional networks.

Kipf & Welling, "Semi-Supervised Classification with Graph Convolutional Networks", ICLR 2017, arXiv:1609.02907.

    Z = softmax(Â ReLU(Â X W⁰) W¹),  Â = D̃^-½ (A + I) D̃^-½                      (9)
    L = - Σ_{labelled i} Σ_f Y_if ln Z_if                                        (10)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from renote.experiment import INDUCTIVE, PPI, SHCHUR, Claim, NodeOptions, NodeSystem, Outcome, Paper

if TYPE_CHECKING:
    from renote.data import NodeData
    from renote.experiment import Lab
    from renote.graph import NodeClassification


@dataclass(frozen=True, kw_only=True)
class Config(NodeOptions):
    """Kipf & Welling (2017), section 5.2: at most 200 epochs, ended by 10 without a lower validation loss."""

    patience: int = 10


def build(config: Config, data: NodeData) -> NodeClassification:
    """Kipf convolutions with dropout before each; weight decay on the first."""
    from renote import graph

    network = graph.GCN(data.graph.num_features, config.hidden, data.num_classes, config.layers, config.dropout)
    return graph.NodeClassification(network, data.graph, data.labels, data.splits)


PUBLISHED = {"cora": 81.5, "citeseer": 70.3, "pubmed": 79.0}


def accuracy(lab: Lab) -> Outcome:
    """Test accuracy on the public splits over seeds, beside the same network without edges."""
    from renote import evaluate, experiment, systems

    seeds = tuple(range(20 if lab.laptop else 100))
    rows: dict[str, dict[str, list[float]]] = {}
    candidates = [systems.get("gcn"), systems.get("mlp")]
    for data in PUBLISHED:
        compared = lab.measure(data, partial(experiment.compare, candidates, data, len(seeds)))
        rows[data] = {row["name"]: row["values"] for row in compared["rows"]}
    measured = experiment.summary(rows)
    holds = all(
        measured[f"{data} gcn"]["mean"] >= figure and measured[f"{data} mlp"]["mean"] < figure - 5
        for data, figure in PUBLISHED.items()
    )
    figure = evaluate.draw_comparison(rows, PUBLISHED, "test accuracy (%)")
    return Outcome(measured, holds, figure, seeds, "Public split, weights selected by validation loss.")


SYSTEM = NodeSystem(
    name="gcn",
    title="Graph convolutional networks",
    paper=Paper(
        "Kipf & Welling",
        "Semi-Supervised Classification with Graph Convolutional Networks",
        2017,
        "ICLR 2017",
        "arXiv:1609.02907",
    ),
    parts=("Kipf normalization", "one-hop convolution", "node classification"),
    data="cora",
    config=Config,
    build=build,
    presets={"laptop": {}, "shchur": {**SHCHUR, "hidden": 64}, "inductive": {**INDUCTIVE}, "ppi": {**PPI}},
    claims=(
        Claim(
            "accuracy",
            "With 20 labels a class, convolutions over the citation graph classify its nodes as well as published, "
            "and far better than the same network without edges.",
            "Table 2",
            PUBLISHED,
            accuracy,
        ),
    ),
)
