"""What the node classifiers share: Kipf & Welling's training. Light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from renote.errors import UsageError
from renote.train.options import TrainOptions


@dataclass(frozen=True, kw_only=True)
class NodeOptions(TrainOptions):
    """Kipf & Welling (2017), section 5.2: at most 200 epochs of the whole graph."""

    from_one: ClassVar[tuple[str, ...]] = ("hidden", "layers")
    rates: ClassVar[tuple[str, ...]] = ("dropout",)
    only_with: ClassVar[Mapping[str, tuple[str, tuple[Any, ...]]]] = {
        "fan_outs": ("batches", ("neighbors",)),
        "clusters": ("batches", ("clusters",)),
        "clusters_per_batch": ("batches", ("clusters",)),
        "partition": ("batches", ("clusters",)),
        "inference_megabytes": ("batches", ("neighbors", "clusters")),
    }

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
    batches: Literal["full", "neighbors", "clusters"] = "full"
    """What a step is made of: the whole graph; batch_size training nodes (0 for all) with neighbours drawn by fan_outs; some of its clusters. Validation is on the whole graph, layer by layer: let validate_every be about an epoch's steps."""
    fan_outs: tuple[int, ...] = (10, 25)
    """Of batches = neighbors: edges drawn for each node, from the batch outwards, one number a layer; -1 takes all."""
    sample_by_weight: bool = False
    """Of batches = neighbors: draw edges in proportion to their weights; else each is as likely."""
    sample_with_replacement: bool = False
    """Of batches = neighbors: let an edge be drawn again, so that each node with an edge gets as many as fan_outs says."""
    clusters: int = 50
    """Of batches = clusters: parts that the graph is cut into."""
    clusters_per_batch: int = 2
    """Of batches = clusters: parts drawn for a step, joined with the edges between them; not with those between parts that different processes or accumulated parts take."""
    partition: Literal["metis", "random"] = "metis"
    """Of batches = clusters: few edges between the parts, by pymetis; or parts drawn at random."""
    inference_megabytes: float = 1024.0
    """With batches that are not full: memory for the chunks of a layer when the whole graph is looked at."""

    def __post_init__(self) -> None:
        """Refuse values outside their range, naming the option."""
        super().__post_init__()
        if self.batches == "neighbors" and len(self.fan_outs) != self.layers:
            raise UsageError(
                f"fan_outs = {self.fan_outs} for {self.layers} layers: give one number a layer, from the batch outwards"
            )
        if any(fan_out == 0 or fan_out < -1 for fan_out in self.fan_outs):
            raise UsageError(f"fan_outs = {self.fan_outs}: each must be at least 1, or -1 for all neighbours")
        for name in ("sample_by_weight", "sample_with_replacement"):
            if getattr(self, name) and self.batches != "neighbors":
                raise UsageError(
                    f"{name} says how neighbours are drawn, and batches = {self.batches} draws none: set batches = neighbors"
                )
        if not 1 <= self.clusters_per_batch <= self.clusters:
            raise UsageError(
                f"clusters_per_batch = {self.clusters_per_batch} of clusters = {self.clusters}: it must lie between 1 and that"
            )
        if self.batches == "clusters" and self.accumulate > self.clusters_per_batch:
            raise UsageError(
                f"accumulate = {self.accumulate} parts of {self.clusters_per_batch} clusters would be empty: lower accumulate"
            )
        if not self.inference_megabytes > 0:
            raise UsageError(f"inference_megabytes = {self.inference_megabytes} must be positive")
