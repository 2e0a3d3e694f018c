"""Graph U-Net on whole graphs: the same network, its nodes read by mean and maximum.

Gao & Ji, "Graph U-Nets", ICML 2019, arXiv:1905.05178.

    y = X p / |p|,  idx = rank(y, k),  X' = X_idx ⊙ σ(y_idx),  A' = (A + I)²_idx,idx   (2), (5)
    unpool: rows back to idx, zeros elsewhere                                          (3)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from renote.experiment import GraphOptions, GraphSystem, Paper

if TYPE_CHECKING:
    from renote.data import GraphData
    from renote.graph import GraphTask


@dataclass(frozen=True, kw_only=True)
class Config(GraphOptions):
    """Gao & Ji (2019), section 4.3, as far as it says: `layers` pools; the readout is that of Lee et al. (2019)."""

    from_zero = ("squares",)

    steps: int = 4000
    learning_rate: float = 1e-3
    hidden: int = 48
    ratio: float = 0.8
    """Share of the nodes that a pool keeps."""
    squares: int = 3
    """How many pools, the first ones, connect nodes that two hops joined."""


def build(config: Config, data: GraphData) -> GraphTask:
    """Top-k pools down, unpooling and skip connections up, mean and maximum of the nodes."""
    from renote import graph

    unet = graph.GraphUNet(data.graphs.num_features, config.hidden, config.layers, config.ratio, squares=config.squares)
    head = graph.Perceptron([2 * config.hidden, config.hidden, data.outputs], config.dropout)
    network = graph.ReadNodes(unet, graph.MeanMax(), head)
    return graph.graph_task(network, data)


SYSTEM = GraphSystem(
    name="graph-unet-graphs",
    title="Graph U-Nets, on whole graphs",
    paper=Paper("Gao & Ji", "Graph U-Nets", 2019, "ICML 2019", "arXiv:1905.05178"),
    parts=("convolution with doubled loops", "top-k pool", "unpooling", "skip connections", "mean and maximum readout"),
    data="proteins",
    config=Config,
    build=build,
    measured_by=("errica", "fair"),
    notes="What it reaches under the fair protocol is the claim fair of errica.",
    presets={"laptop": {"steps": 1500, "patience": 10}},
)
