"""NGCF: neural graph collaborative filtering.

Wang, He, Wang, Feng & Chua, "Neural Graph Collaborative Filtering", SIGIR 2019, arXiv:1905.08108.

    e_u^(l+1) = LeakyReLU(W₁ e_u + Σ_{i in N(u)} (W₁ e_i + W₂ (e_i ⊙ e_u)) / √(|N(u)| |N(i)|))   (3), (4)
    e_u = e_u⁰ | … | e_u^L,  s_ui = e_u · e_i                                                     (9), (10)

What user and item have in common, e_i ⊙ e_u, is part of the message.
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
    """Wang et al. (2019), section 4.2: vectors of 64, three layers of 64, message dropout 0.1, λ = 1e-5, Adam at 1e-4 with batches of 1024, up to 400 epochs of Gowalla."""

    rates = ("dropout",)

    steps: int = 316_800
    batch_size: int = 1024
    learning_rate: float = 1e-4
    decay: float = 1e-5
    validate_every: int = 7920
    dropout: float = 0.1
    """Probability of dropout on what each layer gives."""


def build(config: Config, data: RatingData) -> Recommendation:
    """Vectors, then layers whose outputs are joined."""
    from renote import graph

    nodes, widths = data.num_users + data.num_items, [config.hidden] * config.layers
    network = graph.NGCF(nodes, config.hidden, widths, config.dropout)
    return graph.Recommendation(network, data.num_users, data.num_items, data.parts, config.decay)


SYSTEM = RecommendSystem(
    name="ngcf",
    title="Neural graph collaborative filtering",
    paper=Paper(
        "Wang, He, Wang, Feng & Chua", "Neural Graph Collaborative Filtering", 2019, "SIGIR 2019", "arXiv:1905.08108"
    ),
    parts=("collaborative convolution", "layers joined", "Bayesian personalized ranking", "full ranking"),
    data="movielens-100k",
    config=Config,
    build=build,
    measured_by=("lightgcn", "movielens"),
    notes="It is measured beside lightgcn, in the claims of that.",
    presets={
        "laptop": {"steps": 2000, "batch_size": 2048, "learning_rate": 0.003, "validate_every": 100, "patience": 5}
    },
)
