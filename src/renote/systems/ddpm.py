"""DDPM: denoising diffusion probabilistic models.

Ho, Jain & Abbeel, "Denoising Diffusion Probabilistic Models", NeurIPS 2020, arXiv:2006.11239.

    q(x_t | x_0) = N(√ᾱ_t x_0, (1 - ᾱ_t) I)                                   (4)
    L_simple = E |ε - ε_θ(√ᾱ_t x_0 + √(1 - ᾱ_t) ε, t)|²                        (14)
    p_θ(x_{t-1} | x_t) = N(μ̃_t(x_t, x̂_0), σ_t² I), σ_t² = β_t or β̃_t           (7), (11)
"""

from __future__ import annotations

from dataclasses import dataclass

from renote.experiment import GaussianOptions, GenerativeSystem, Paper
from renote.experiment.gaussian import LAPTOP, SMALL, gaussian_model


@dataclass(frozen=True, kw_only=True)
class Config(GaussianOptions):
    """Ho et al. (2020), appendix B: linear schedule, noise estimate, 1000 ancestral steps."""


SYSTEM = GenerativeSystem(
    name="ddpm",
    title="Denoising diffusion probabilistic models",
    paper=Paper(
        "Ho, Jain & Abbeel", "Denoising Diffusion Probabilistic Models", 2020, "NeurIPS 2020", "arXiv:2006.11239"
    ),
    parts=("VP linear schedule", "noise estimate", "simple loss", "ancestral sampler", "U-Net"),
    data="digits",
    config=Config,
    build=gaussian_model,
    presets={name: preset | {"sampling_steps": 250} for name, preset in (("laptop", LAPTOP), ("small", SMALL))},
)
