"""Circular fingerprints: the fixed features that learned ones are measured against.

Rogers & Hahn, "Extended-Connectivity Fingerprints", Journal of Chemical Information and Modeling 50, 2010; as RDKit makes them.

    f_b = 1 if a neighbourhood of some atom, up to a radius, is hashed to the bit b
    Z = MLP(f)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from renote.experiment import Claim, GraphSystem, MoleculeOptions, Outcome, Paper

if TYPE_CHECKING:
    from renote.data import MoleculeData
    from renote.experiment import Lab
    from renote.graph import GraphTask


@dataclass(frozen=True, kw_only=True)
class Config(MoleculeOptions):
    """Radius 2 and 2048 bits, as is usual (ECFP4); a dense layer and the outputs behind them; the dropout was chosen on validation."""

    from_one = ("bits",)
    from_zero = ("radius",)
    unused = ("layers",)

    radius: int = 2
    """Of the neighbourhoods, in bonds."""
    bits: int = 2048
    """Length of the fingerprint."""
    hidden: int = 100
    dropout: float = 0.5


def build(config: Config, data: MoleculeData) -> GraphTask:
    """A perceptron on bits."""
    from renote import graph
    from renote.data.fingerprints import morgan

    graphs = graph.with_field(data.graphs, "circular", morgan(data.smiles, config.radius, config.bits))
    head = graph.Perceptron([config.bits, config.hidden, data.outputs], config.dropout)
    return graph.graph_task(graph.ReadField("circular", head), data, graphs)


def properties(lab: Lab, published: Mapping[str, tuple[float, float]]) -> Outcome:
    """Errors of solubility and free energy of a system, beside circular fingerprints."""
    from renote.experiment import property_claim

    return property_claim(lab, SYSTEM, published)


def beside_fingerprints(statement: str, where: str, published: Mapping[str, tuple[float, float]]) -> Claim:
    """The claim `properties`, of systems that learn what circular fingerprints fix.

    Args:
        statement: of the claim.
        where: the published errors are from.
        published: by data set, their mean and deviation.
    """
    told = {data: f"{mean:.2f} ± {deviation:.2f}" for data, (mean, deviation) in published.items()}
    return Claim("properties", statement, where, told, partial(properties, published=published))


SYSTEM = GraphSystem(
    name="circular-fingerprint",
    title="Circular fingerprints",
    paper=Paper(
        "Rogers & Hahn",
        "Extended-Connectivity Fingerprints",
        2010,
        "Journal of Chemical Information and Modeling 50",
        "doi:10.1021/ci100050t",
    ),
    parts=("circular fingerprint", "dense layers", "graph regression"),
    data="esol",
    config=Config,
    build=build,
    reads_smiles=True,
    measured_by=("neural-fingerprint", "properties"),
    notes="The floor under neural-fingerprint, mpnn and weave, whose claims measure it.",
)
