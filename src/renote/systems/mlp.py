"""The multilayer perceptron on node features: what can be told without the edges.

The baseline of Kipf & Welling, "Semi-Supervised Classification with Graph Convolutional Networks", ICLR 2017, table 3.

    Z = softmax(ReLU(X W⁰ + b⁰) W¹ + b¹)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from renote.experiment import NodeSystem, Paper
from renote.train.options import TrainOptions

if TYPE_CHECKING:
    from renote.data import NodeData
    from renote.graph import NodeClassification


@dataclass(frozen=True, kw_only=True)
class Config(TrainOptions):
    """As for GCN, so that only the edges differ."""

    steps: int = 200
    batch_size: int = 0
    learning_rate: float = 0.01
    weight_decay: float = 5e-4
    validate_every: int = 1
    patience: int = 0
    log_every: int = 10
    hidden: int = 16
    """Width of the hidden layers."""
    layers: int = 2
    """Number of layers."""
    dropout: float = 0.5
    """Probability of dropout on the input of each layer."""


def build(config: Config, data: NodeData) -> NodeClassification:
    """Two linear maps, dropout before each."""
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
    notes="A baseline: the floor under every system that uses the edges.",
)
