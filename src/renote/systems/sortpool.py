"""DGCNN: nodes in a sorted order, read by convolutions over a line.

Zhang, Cui, Neumann & Chen, "An End-to-End Deep Learning Architecture for Graph Classification", AAAI 2018.

    Z^(l+1) = tanh(D̃^-1 Ã Z^l W^l)                                                   (1)
    the k first rows of [Z^1 | … | Z^L] by falling last feature, then 1-D convolutions

k is the size that 60 % of the graphs exceed, at least 10.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from renote.experiment import GraphOptions, GraphSystem, Paper

if TYPE_CHECKING:
    from renote.data import GraphData
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
    """Nodes of a graph that are kept; 0 for the size that most training graphs exceed."""
    exceed: float = 0.6
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
    notes="What it reaches under the fair protocol is the claim fair of errica.",
    presets={"laptop": {"steps": 1500, "learning_rate": 1e-3, "patience": 10}},
)
