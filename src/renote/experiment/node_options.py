"""What the node classifiers share: Kipf & Welling's training. Light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from renote.train.options import TrainOptions


@dataclass(frozen=True, kw_only=True)
class NodeOptions(TrainOptions):
    """Kipf & Welling (2017), section 5.2: at most 200 epochs of the whole graph."""

    steps: int = 200
    batch_size: int = 0
    learning_rate: float = 0.01
    weight_decay: float = 5e-4
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    validate_every: int = 1
    log_every: int = 10
    hidden: int = 16
    """Width of the hidden layers."""
    layers: int = 2
    """Number of layers."""
    dropout: float = 0.5
    """Probability of dropout on the input of each layer."""
