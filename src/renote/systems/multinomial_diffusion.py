"""Multinomial diffusion: uniform noise on categories.

Hoogeboom, Nielsen, Jaini, Forré & Welling, "Argmax Flows and Multinomial Diffusion: Learning Categorical Distributions", NeurIPS 2021, arXiv:2102.05379.

    q(x_t | x_0) = C(x_t | ᾱ_t x_0 + (1 - ᾱ_t) / K),  ᾱ_t by the cosine                                     (12)
    p(x_{t-1} | x_t) = C(x_{t-1} | θ_post(x_t, x̂_0)),  x̂_0 = softmax of the network                        (13), (14)
    L = Σ_t KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) - log p(x_0 | x_1)                                (15)
"""

from __future__ import annotations

from dataclasses import dataclass

from renote.errors import UsageError
from renote.experiment import CategoricalOptions, GenerativeSystem, Paper
from renote.experiment.categorical import IMAGES, TEXT, TransitionName, categorical_model, count_categories


@dataclass(frozen=True, kw_only=True)
class Config(CategoricalOptions):
    """Hoogeboom et al. (2021), appendix B, for text8: a transformer of 12 layers, the bound alone."""

    steps: int = 1_000_000
    batch_size: int = 32
    learning_rate: float = 1e-4
    channels: int = 512
    dropout: float = 0.0
    transition: TransitionName = "uniform"

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        if self.transition != "uniform":
            raise UsageError(f"transition = {self.transition}: multinomial diffusion is uniform; d3pm has the others")


SYSTEM = GenerativeSystem(
    name="multinomial-diffusion",
    title="Multinomial diffusion",
    paper=Paper(
        "Hoogeboom, Nielsen, Jaini, Forré & Welling",
        "Argmax Flows and Multinomial Diffusion: Learning Categorical Distributions",
        2021,
        "NeurIPS 2021",
        "arXiv:2102.05379",
    ),
    parts=("uniform categorical process", "cosine schedule", "logits of the clean category", "ancestral sampler"),
    data="tinyshakespeare",
    config=Config,
    build=categorical_model,
    settle=count_categories,
    presets={"laptop": TEXT | {"hybrid": 0.0}, "digits": IMAGES | {"hybrid": 0.0}},
    notes="Argmax flows, the paper's other half, are not here.",
)
