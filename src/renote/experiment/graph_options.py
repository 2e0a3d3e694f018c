"""What the classifiers of graphs share. Light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from renote.train.options import TrainOptions


@dataclass(frozen=True, kw_only=True)
class GraphOptions(TrainOptions):
    """Batches of graphs; weights are selected by validation loss."""

    from_one: ClassVar[tuple[str, ...]] = ("hidden", "layers")
    rates: ClassVar[tuple[str, ...]] = ("dropout",)

    steps: int = 2000
    batch_size: int = 32
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    validate_every: int = 50
    log_every: int = 50
    hidden: int = 64
    """Width of the hidden layers."""
    layers: int = 3
    """Number of graph layers."""
    dropout: float = 0.5
    """Probability of dropout before the last layer."""
