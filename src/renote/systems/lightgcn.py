"""LightGCN: of a graph network, what a recommender needs.

He, Deng, Wang, Li, Zhang & Wang, "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation", SIGIR 2020, arXiv:2002.02126;
reviewed by Wu, Sun, Zhang, Xie & Cui (2023), arXiv:2011.02260.

    e_u^(l+1) = Σ_{i in N(u)} e_i^l / √(|N(u)| |N(i)|),  and likewise of items          (3)
    e_u = 1/(L + 1) Σ_l e_u^l,  s_ui = e_u · e_i                                        (4), (6)
    loss = - Σ ln σ(s_ui - s_uj) + λ |E⁰|²                                              (15)

No weights, no activations: vectors are only averaged over the graph of who took what.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from renote.experiment import Paper, RecommendOptions, RecommendSystem

if TYPE_CHECKING:
    from renote.data import RatingData
    from renote.graph import Recommendation


@dataclass(frozen=True, kw_only=True)
class Config(RecommendOptions):
    """He et al. (2020), section 4.1: vectors of 64, three layers, λ = 1e-4, Adam at 0.001 with batches of 2048, up to 1000 epochs of Gowalla."""

    steps: int = 396_000
    validate_every: int = 7920


def build(config: Config, data: RatingData) -> Recommendation:
    """Vectors, propagated."""
    from renote import graph

    network = graph.LightGCN(data.num_users + data.num_items, config.hidden, config.layers)
    return graph.Recommendation(network, data.num_users, data.num_items, data.parts, config.decay)


SYSTEM = RecommendSystem(
    name="lightgcn",
    title="Vectors averaged over the graph of users and items",
    paper=Paper(
        "He, Deng, Wang, Li, Zhang & Wang",
        "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation",
        2020,
        "SIGIR 2020",
        "arXiv:2002.02126",
    ),
    parts=("linear propagation", "mean of the layers", "Bayesian personalized ranking", "full ranking"),
    data="movielens-100k",
    config=Config,
    build=build,
    presets={"laptop": {"steps": 2000, "learning_rate": 0.01, "validate_every": 100, "patience": 5}},
)
