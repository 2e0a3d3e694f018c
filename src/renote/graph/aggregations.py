"""The aggregations by name."""

from __future__ import annotations

from renote.errors import unknown
from renote.graph.aggregate import (
    Aggregation,
    AttentionAggregation,
    GatedAggregation,
    LSTMAggregation,
    MaxAggregation,
    MeanAggregation,
    MinAggregation,
    PoolAggregation,
    StdAggregation,
    SumAggregation,
)
from renote.graph.set_aggregate import DeepSetsAggregation, JanossyAggregation, PermutationAggregation

AGGREGATIONS: dict[str, type[Aggregation]] = {
    "sum": SumAggregation,
    "mean": MeanAggregation,
    "max": MaxAggregation,
    "min": MinAggregation,
    "std": StdAggregation,
    "attention": AttentionAggregation,
    "pool": PoolAggregation,
    "gated": GatedAggregation,
    "lstm": LSTMAggregation,
    "deepsets": DeepSetsAggregation,
    "janossy": JanossyAggregation,
    "permutations": PermutationAggregation,
}
"""By name."""


def aggregation(name: str, features: int, out_features: int | None = None) -> Aggregation:
    """An aggregation by its name in `AGGREGATIONS`, for vectors of that many features."""
    if name not in AGGREGATIONS:
        raise unknown("aggregation", name, AGGREGATIONS)
    return AGGREGATIONS[name](features, out_features)
