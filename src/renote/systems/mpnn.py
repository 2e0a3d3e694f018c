"""MPNN: message passing with edge networks, gated updates and set2set.

Gilmer, Schoenholz, Riley, Vinyals & Dahl, "Neural Message Passing for Quantum Chemistry", ICML 2017, arXiv:1704.01212.

    m_v^(t+1) = Σ_{w in N(v)} A(e_vw) h_w^t                                          (1) with the edge network of section 4.1
    h_v^(t+1) = GRU(h_v^t, m_v^(t+1))                                                (2)
    y = R({h_v^T}), R = set2set                                                      (3), section 4.2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from renote.experiment import GraphSystem, MoleculeOptions, Paper
from renote.systems.circular_fingerprint import beside_fingerprints

if TYPE_CHECKING:
    from torch import nn

    from renote.data import GraphData
    from renote.graph import GraphTask


@dataclass(frozen=True, kw_only=True)
class Config(MoleculeOptions):
    """Gilmer et al. (2017), section 5: three steps and more of messages, a few of set2set, batches of 20."""

    from_one = ("distance", "edge_hidden", "readings", "dense")

    batch_size: int = 20
    hidden: int = 64
    layers: int = 3
    """Steps of messages, all with the same weights."""
    distance: int = 1
    """Bonds between two atoms that send each other messages, at most. 1: along bonds; more: the edge network is told the distance, as it is of complete graphs in the paper."""
    edge_hidden: int = 16
    """Width of the edge network's hidden layer."""
    readings: int = 6
    """Steps of set2set."""
    dense: int = 100
    """Width of the layer behind it."""


def build(config: Config, data: GraphData) -> GraphTask:
    """Edge networks, a gated recurrent unit, set2set, dense layers."""
    from renote import graph

    head = graph.Perceptron([2 * config.hidden, config.dense, data.outputs], config.dropout)
    network: nn.Module = graph.MessagePassingNetwork(
        data.graphs.num_features,
        graph.edge_width(data.graphs) + (config.distance + 1) * (config.distance > 1),
        head,
        config.hidden,
        config.layers,
        config.edge_hidden,
        config.readings,
    )
    if config.distance == 1:
        return graph.graph_task(network, data)
    return graph.graph_task(
        graph.OverPairs(network, config.distance), data, graph.pair_graph(data.graphs, config.distance)
    )


SYSTEM = GraphSystem(
    name="mpnn",
    title="Message passing neural networks",
    paper=Paper(
        "Gilmer, Schoenholz, Riley, Vinyals & Dahl",
        "Neural Message Passing for Quantum Chemistry",
        2017,
        "ICML 2017",
        "arXiv:1704.01212",
    ),
    parts=("edge network", "gated recurrent update", "set2set readout", "graph regression"),
    data="esol",
    config=Config,
    build=build,
    claims=(
        beside_fingerprints(
            "Message passing tells solubility and hydration energy as well as published, with less error than circular fingerprints.",
            "MoleculeNet, Wu et al. 2018, random splits; from memory, unverified",
            {"esol": (0.58, 0.03), "freesolv": (1.15, 0.12)},
        ),
    ),
    notes="Measured: FreeSolv 0.97 ± 0.14, below the published 1.15; ESOL 0.73 ± 0.04, where 0.61 is asked for, so the claim does not hold there; circular fingerprints have 1.55 and 1.07. The published models' settings "
    "were searched for each set, which was not done here: one setting serves both. Two of the three ESOL trainings were stopped early, at 2,800 of 5,000 steps, before the step size had fallen.",
)
