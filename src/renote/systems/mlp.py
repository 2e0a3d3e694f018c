"""The multilayer perceptron on node features: what can be told without the edges.

The baseline of Kipf & Welling, "Semi-Supervised Classification with Graph Convolutional Networks", ICLR 2017, table 3.

    Z = softmax(ReLU(X W⁰ + b⁰) W¹ + b¹)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from renote.experiment import INDUCTIVE, PPI, SHCHUR, NodeOptions, NodeSystem, Paper

if TYPE_CHECKING:
    from renote.data import NodeData
    from renote.graph import NodeClassification


@dataclass(frozen=True, kw_only=True)
class Config(NodeOptions):
    """As for GCN, so that only the edges differ, but for all 200 epochs: nothing ends them early."""


def build(config: Config, data: NodeData) -> NodeClassification:
    """Linear maps, ReLU between them, dropout before each."""
    from renote import graph

    network = graph.MLP(data.graph.num_features, config.hidden, data.num_classes, config.layers, config.dropout)
    return graph.NodeClassification(network, data.graph, data.labels, data.splits)


SYSTEM = NodeSystem(
    name="mlp",
    title="Multilayer perceptron on node features",
    paper=Paper(
        "Kipf & Welling",
        "Semi-Supervised Classification with Graph Convolutional Networks",
        2017,
        "ICLR 2017",
        "arXiv:1609.02907",
    ),
    parts=("linear maps of node features",),
    data="cora",
    config=Config,
    build=build,
    presets={"laptop": {}, "shchur": {**SHCHUR, "hidden": 64}, "inductive": {**INDUCTIVE}, "ppi": {**PPI}},
    notes="A baseline: the floor under every system that uses the edges.",
)
