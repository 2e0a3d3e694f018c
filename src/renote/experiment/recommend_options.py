"""What the recommenders share. Light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from renote.train.options import TrainOptions


@dataclass(frozen=True, kw_only=True)
class RecommendOptions(TrainOptions):
    """Batches of pairs, each with an item that its user has not; weights are selected by recall on the validation pairs."""

    from_one: ClassVar[tuple[str, ...]] = ("hidden", "k")
    from_zero: ClassVar[tuple[str, ...]] = ("layers", "decay")

    steps: int = 2000
    batch_size: int = 2048
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    validate_every: int = 100
    log_every: int = 50
    hidden: int = 64
    """Features of the vector that each user and each item has."""
    layers: int = 3
    """Number of layers, over how many hops vectors are exchanged."""
    draw: Literal["users", "pairs"] = "users"
    """What a batch is of: users that are drawn alike, and one of the items of each, as the authors' codes do; or all pairs in turn, so that who has many items counts as often."""
    decay: float = 1e-4
    """Pull of the vectors of a batch towards 0, λ in the loss."""
    k: int = 20
    """Length of the list whose recall selects weights."""
