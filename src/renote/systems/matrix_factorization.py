"""Matrix factorization by Bayesian personalized ranking: LightGCN without a layer.

Koren, Bell & Volinsky, "Matrix Factorization Techniques for Recommender Systems", Computer 42(8), 2009; with the loss of
Rendle, Freudenthaler, Gantner & Schmidt-Thieme, "BPR: Bayesian Personalized Ranking from Implicit Feedback", UAI 2009, arXiv:1205.2618.

    s_ui = e_u · e_i,  loss = - Σ ln σ(s_ui - s_uj) + λ |E|²

The floor under what looks at the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from renote.errors import UsageError
from renote.experiment import Paper, RecommendOptions, RecommendSystem

if TYPE_CHECKING:
    from renote.data import RatingData
    from renote.graph import Recommendation


@dataclass(frozen=True, kw_only=True)
class Config(RecommendOptions):
    """Trained as LightGCN."""

    steps: int = 396_000
    validate_every: int = 7920
    layers: int = 0

    def __post_init__(self) -> None:
        """Refuse layers."""
        super().__post_init__()
        if self.layers:
            raise UsageError(f"layers = {self.layers}: matrix factorization has none; take lightgcn")


def build(config: Config, data: RatingData) -> Recommendation:
    """Vectors alone."""
    from renote import graph

    network = graph.LightGCN(data.num_users + data.num_items, config.hidden, 0)
    return graph.Recommendation(network, data.num_users, data.num_items, data.parts, config.decay)


SYSTEM = RecommendSystem(
    name="matrix-factorization",
    title="A vector for each user and item, and no graph",
    paper=Paper(
        "Rendle, Freudenthaler, Gantner & Schmidt-Thieme",
        "BPR: Bayesian Personalized Ranking from Implicit Feedback",
        2009,
        "UAI 2009",
        "arXiv:1205.2618",
    ),
    parts=("vectors", "Bayesian personalized ranking", "full ranking"),
    data="movielens-100k",
    config=Config,
    build=build,
    measured_by=("lightgcn", "movielens"),
    notes="It is measured beside lightgcn, in the claims of that.",
    presets={"laptop": {"steps": 2000, "learning_rate": 0.003, "validate_every": 100, "patience": 5}},
)
