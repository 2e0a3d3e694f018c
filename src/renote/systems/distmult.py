"""DistMult: a vector for each entity and relation, and no graph.

Yang, Yih, He, Gao & Deng, "Embedding Entities and Relations for Learning and Inference in Knowledge Bases", ICLR 2015, arXiv:1412.6575.

    f(s, r, o) = Σ_i e_s,i w_r,i e_o,i

The floor under what looks at the graph. Head and tail play the same part, so that a relation's direction is not told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from renote.experiment import FactOptions, FactSystem, Paper

if TYPE_CHECKING:
    from renote.data import FactData
    from renote.graph import FactPrediction


@dataclass(frozen=True, kw_only=True)
class Config(FactOptions):
    """Trained as R-GCN with DistMult's scores, with the settings of Schlichtkrull et al. (2018): cross-entropy beside drawn facts."""


def build(config: Config, data: FactData) -> FactPrediction:
    """Vectors alone."""
    from renote import graph

    network = graph.RelationalEncoder(data.num_entities, 0, config.hidden, layers=0)
    sizes = data.num_entities, data.num_relations
    return graph.FactPrediction(network, *sizes, data.parts, config.hidden, config.penalty)


SYSTEM = FactSystem(
    name="distmult",
    title="A vector for each entity and each relation, multiplied",
    paper=Paper(
        "Yang, Yih, He, Gao & Deng",
        "Embedding Entities and Relations for Learning and Inference in Knowledge Bases",
        2015,
        "ICLR 2015",
        "arXiv:1412.6575",
    ),
    parts=("vectors", "DistMult decoder", "filtered ranking"),
    data="umls",
    config=Config,
    build=build,
    measured_by=("rgcn-links", "links"),
    notes="It is measured beside rgcn-links, in the claims of that. It is trained as that is, where Yang et al. have a margin between facts and drawn ones.",
    presets={
        "laptop": {"steps": 1000, "validate_every": 25},
        "full": {"steps": 20_000, "batch_size": 8192, "validate_every": 1000, "hidden": 500},
    },
)
