"""What the systems for facts share. Light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from renote.train.options import TrainOptions


@dataclass(frozen=True, kw_only=True)
class FactOptions(TrainOptions):
    """Batches of facts, each beside some in which the head or the tail is another entity; weights are selected by the mean reciprocal rank of validation facts."""

    from_one: ClassVar[tuple[str, ...]] = ("hidden", "negatives")
    from_zero: ClassVar[tuple[str, ...]] = ("penalty",)

    steps: int = 2000
    batch_size: int = 1024
    learning_rate: float = 0.01
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    validate_every: int = 100
    log_every: int = 50
    hidden: int = 200
    """Features of the vector that each entity and each relation has."""
    negatives: int = 10
    """Of each fact, those with another head or tail that it is told from; ω."""
    penalty: float = 0.01
    """Pull of the vectors of a batch towards 0, λ in the loss."""
