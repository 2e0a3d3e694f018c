"""GIN: graph isomorphism networks.

Xu, Hu, Leskovec & Jegelka, "How Powerful are Graph Neural Networks?", ICLR 2019, arXiv:1810.00826.

    h_i^l = MLP^l((1 + ε^l) h_i^(l-1) + Σ_{j in N(i)} h_j^(l-1))                     (4.1)
    z = Σ_l W^l Σ_i h_i^l                                                            (4.2)

Sums, unlike means and maxima, tell multisets apart; so the network tells apart what the Weisfeiler-Lehman test does.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from renote.experiment import GraphOptions, GraphSystem, Paper

if TYPE_CHECKING:
    from renote.data import GraphData
    from renote.graph import GraphTask


@dataclass(frozen=True, kw_only=True)
class Config(GraphOptions):
    """Xu et al. (2019), section 7: four graph layers of two maps with batch normalization, dropout before the last map, Adam at 0.01."""

    steps: int = 17_500
    learning_rate: float = 0.01
    layers: int = 4
    learn_epsilon: bool = False
    """Whether ε is learned, else 0; the paper finds no difference."""
    readout: Literal[
        "sum", "mean", "max", "min", "std", "attention", "pool", "gated", "lstm", "deepsets", "janossy", "permutations"
    ] = "sum"
    """How the nodes of a graph become one vector, in every layer anew: the paper's sum, or another aggregation. lstm and permutations of one draw depend on the order of the nodes."""


def build(config: Config, data: GraphData) -> GraphTask:
    """Isomorphism convolutions, each layer read by a sum, or another aggregation."""
    from renote import graph

    widths = [data.graphs.num_features, *[config.hidden] * config.layers]
    convolutions = [
        graph.IsomorphismConvolution(i, o, learn_epsilon=config.learn_epsilon, norm=True)
        for i, o in itertools.pairwise(widths)
    ]
    readouts = [graph.aggregation(config.readout, width, width) for width in widths]
    head = graph.Perceptron([sum(widths), data.outputs], config.dropout)
    network = graph.GraphNetwork(convolutions, [readouts], head, widths[1:], every=True)
    return graph.graph_task(network, data)


SYSTEM = GraphSystem(
    name="gin",
    title="Graph isomorphism networks",
    paper=Paper(
        "Xu, Hu, Leskovec & Jegelka", "How Powerful are Graph Neural Networks?", 2019, "ICLR 2019", "arXiv:1810.00826"
    ),
    parts=("isomorphism convolution", "sum readout of every layer, or another aggregation", "graph classification"),
    data="proteins",
    config=Config,
    build=build,
    measured_by=("errica", "fair"),
    notes="What it reaches under the fair protocol, beside the systems with pooling and a structure-blind baseline, is the claim fair of errica.",
    presets={"laptop": {"steps": 1500, "hidden": 32, "patience": 10}},
)
