"""What the systems for molecules share. Light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from renote.experiment.graph_options import GraphOptions


@dataclass(frozen=True, kw_only=True)
class MoleculeOptions(GraphOptions):
    """As for other graphs; the step size falls to 0, and training stops when validation does not get better."""

    steps: int = 5000
    learning_rate_schedule: Literal["constant", "cosine", "linear"] = "cosine"
    validate_every: int = 50
    patience: int = 30
    dropout: float = 0.0
