"""Label propagation: the known labels flow along the edges; no features, nothing to train.

Zhu & Ghahramani, "Learning from Labeled and Unlabeled Data with Label Propagation", 2002, CMU-CALD-02-107.

    F ← D⁻¹ A F,  F_known ← Y_known,  until F stands          (section 2.2)
    F_uc ← q_c F_uc / Σ_v F_vc                                (class mass normalization, section 2.4)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from renote.experiment import NodeSystem, Paper
from renote.train.options import OF_TRAINING, TrainOptions

if TYPE_CHECKING:
    from renote.data import NodeData
    from renote.graph import NodeClassification


@dataclass(frozen=True, kw_only=True)
class Config(TrainOptions):
    """Iterations until the scores stand."""

    unused = OF_TRAINING
    from_one = ("max_iterations",)
    from_zero = ("tolerance",)

    batch_size: int = 0
    max_iterations: int = 1000
    """Iterations at most."""
    tolerance: float = 1e-6
    """Iterations end when no score moves by more than this."""
    class_mass_normalization: bool = True
    """Whether every class gets the mass that the known labels say it has."""


def build(config: Config, data: NodeData) -> NodeClassification:
    """The scores of the propagation in the place of a network's logits."""
    from renote import graph
    from renote.graph.propagation import non_negative

    non_negative(data.graph.adjacency)
    network = graph.LabelPropagation(
        data.labels,
        data.train,
        data.num_classes,
        config.max_iterations,
        config.tolerance,
        config.class_mass_normalization,
    )
    return graph.NodeClassification(network, data.graph, data.labels, data.splits)


SYSTEM = NodeSystem(
    name="label-propagation",
    title="Label propagation",
    paper=Paper(
        "Zhu & Ghahramani",
        "Learning from Labeled and Unlabeled Data with Label Propagation",
        2002,
        "Technical report, Carnegie Mellon University",
        "CMU-CALD-02-107",
    ),
    parts=("random walk", "clamped labels", "class mass normalization"),
    data="cora",
    config=Config,
    build=build,
    reads_features=False,
    inductive=False,
    notes="A baseline: what the edges tell without features.",
)
