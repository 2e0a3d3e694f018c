"""Weave: networks over atoms and pairs of atoms.

Kearnes, McCloskey, Berndl, Pande & Riley, "Molecular Graph Convolutions: Moving Beyond Fingerprints", Journal of Computer-Aided Molecular Design 30, 2016,
arXiv:1603.00856.

    A' = f([f_AA(A) ‖ Σ_j f_PA(P_ij)])                                               section 2.2, atoms from atoms and pairs
    P' = g([f_AP(A_i, A_j) + f_AP(A_j, A_i) ‖ f_PP(P_ij)])                           pairs from atoms and pairs
    z = Σ_i [m_1(a_i) ‖ … ‖ m_11(a_i)]                                               section 2.3, soft histograms
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from renote.experiment import GraphSystem, MoleculeOptions, Paper
from renote.systems.circular_fingerprint import beside_fingerprints

if TYPE_CHECKING:
    from renote.data import GraphData
    from renote.graph import GraphTask


@dataclass(frozen=True, kw_only=True)
class Config(MoleculeOptions):
    """Kearnes et al. (2016), section 3: two modules of 50 features, pairs up to two bonds apart, 128 features before the histogram."""

    from_one = ("width", "dense")
    from_zero = ("distance",)

    layers: int = 2
    hidden: int = 50
    distance: int = 2
    """Bonds between the atoms of a pair, at most."""
    width: int = 128
    """Features before the histogram."""
    dense: int = 100
    """Width of the layer behind it."""


def build(config: Config, data: GraphData) -> GraphTask:
    """Weave convolutions over pairs, a histogram, dense layers."""
    from renote import graph

    pairs = graph.pair_graph(data.graphs, config.distance)
    head = graph.Perceptron([11 * config.width, config.dense, data.outputs], config.dropout)
    network = graph.WeaveNetwork(
        data.graphs.num_features,
        graph.edge_width(data.graphs),
        head,
        config.distance,
        config.layers,
        config.hidden,
        config.width,
    )
    return graph.graph_task(network, data, pairs)


SYSTEM = GraphSystem(
    name="weave",
    title="Weave networks over atoms and pairs",
    paper=Paper(
        "Kearnes, McCloskey, Berndl, Pande & Riley",
        "Molecular Graph Convolutions: Moving Beyond Fingerprints",
        2016,
        "Journal of Computer-Aided Molecular Design 30",
        "arXiv:1603.00856",
    ),
    parts=("pairs up to a distance", "weave convolution", "soft histograms", "graph regression"),
    data="esol",
    config=Config,
    build=build,
    claims=(
        beside_fingerprints(
            "Atoms and pairs that update each other tell solubility and hydration energy as well as published, with less error than circular fingerprints.",
            "MoleculeNet, Wu et al. 2018, random splits; from memory, unverified",
            {"esol": (0.61, 0.07), "freesolv": (1.22, 0.28)},
        ),
    ),
)
