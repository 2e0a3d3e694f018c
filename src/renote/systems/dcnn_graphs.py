"""DCNN on whole graphs: features diffused for 0 … H steps, their mean over a graph's nodes, one weight a step and feature.

Atwood & Towsley, "Diffusion-Convolutional Neural Networks", NeurIPS 2016, arXiv:1511.02136. Graph classification.

    Z_jk = f(W_jk 1/N Σ_i Σ_l P*_ijl X_lk),  P*_i = (I, P, P², …)_i,  P = D⁻¹ A,  f = tanh       section 2, graph classification
    P(Y | X) = softmax(Wᵈ Z)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from renote.experiment import GraphOptions, GraphSystem, Paper
from renote.train.options import Optimizer

if TYPE_CHECKING:
    from renote.data import GraphData
    from renote.graph import GraphTask


@dataclass(frozen=True, kw_only=True)
class Config(GraphOptions):
    """As the node classifier: AdaGrad at 0.05, ended when the validation loss no longer falls."""

    unused = ("hidden", "layers")

    optimizer: Optimizer = "adagrad"
    learning_rate: float = 0.05
    patience: int = 5
    dropout: float = 0.0
    hops: int = 2
    """Steps of the random walk, H."""


def build(config: Config, data: GraphData) -> GraphTask:
    """The mean over nodes of the diffused features, weighed, tanh, one dense layer."""
    from renote import graph

    network = graph.GraphDCNN(data.graphs.num_features, data.outputs, config.hops, config.dropout)
    return graph.graph_task(network, data)


SYSTEM = GraphSystem(
    name="dcnn-graphs",
    title="Diffusion-convolutional neural networks for whole graphs",
    paper=Paper(
        "Atwood & Towsley", "Diffusion-Convolutional Neural Networks", 2016, "NeurIPS 2016", "arXiv:1511.02136"
    ),
    parts=("powers of the random walk", "mean over nodes", "weights by hop and feature", "AdaGrad"),
    data="proteins",
    config=Config,
    build=build,
    notes="The node classifier of the same paper is dcnn. The loss is the cross-entropy of the paper's softmax, as for all systems for graphs.",
)
