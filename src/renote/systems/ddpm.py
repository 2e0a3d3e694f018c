"""DDPM: denoising diffusion probabilistic models.

Ho, Jain & Abbeel, "Denoising Diffusion Probabilistic Models", NeurIPS 2020, arXiv:2006.11239.

    q(x_t | x_0) = N(√ᾱ_t x_0, (1 - ᾱ_t) I)                                   (4)
    L_simple = E |ε - ε_θ(√ᾱ_t x_0 + √(1 - ᾱ_t) ε, t)|²                        (14)
    p_θ(x_{t-1} | x_t) = N(μ̃_t(x_t, x̂_0), σ_t² I), σ_t² = β_t or β̃_t           (7), (11)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from renote.experiment import BackboneOptions, GenerativeSystem, Paper, backbone

if TYPE_CHECKING:
    from renote.data import SampleData
    from renote.diffusion import DiffusionModel


@dataclass(frozen=True, kw_only=True)
class Config(BackboneOptions):
    """Ho et al. (2020), appendix B, as for CIFAR-10."""

    steps: int = 800_000
    learning_rate: float = 2e-4
    warmup_steps: int = 5000
    gradient_clip: float = 1.0
    ema_decay: float = 0.9999
    num_train_steps: int = 1000
    """Steps T of the forward process."""
    schedule: Literal["linear", "cosine"] = "linear"
    """Noise schedule; linear is the paper's."""
    parameterization: Literal["noise", "clean", "velocity"] = "noise"
    """What the network estimates; noise is the paper's."""
    sampler: Literal["ancestral", "ddim"] = "ancestral"
    """How samples are drawn."""
    sampling_steps: int = 1000
    """Network evaluations a sample."""


def build(config: Config, data: SampleData) -> DiffusionModel:
    """U-Net, noise estimate, linear schedule, simple loss."""
    from renote import diffusion

    network = backbone(config, data)
    schedule = diffusion.SCHEDULES[config.schedule](config.num_train_steps)
    denoiser = diffusion.Denoiser(network, schedule, config.parameterization)
    process = diffusion.GaussianProcess(schedule)
    return diffusion.DiffusionModel(denoiser, process, data.shape, num_train_steps=config.num_train_steps)


LAPTOP = {
    "steps": 4000,
    "learning_rate": 1e-3,
    "warmup_steps": 200,
    "ema_decay": 0.999,
    "channels": 32,
    "multipliers": (1, 2, 2),
    "blocks": 1,
    "attention": (4,),
    "head_channels": 32,
    "dropout": 0.0,
    "preview_every": 1000,
}

SYSTEM = GenerativeSystem(
    name="ddpm",
    title="Denoising diffusion probabilistic models",
    paper=Paper(
        "Ho, Jain & Abbeel", "Denoising Diffusion Probabilistic Models", 2020, "NeurIPS 2020", "arXiv:2006.11239"
    ),
    parts=("VP linear schedule", "noise estimate", "simple loss", "ancestral sampler", "U-Net"),
    data="digits",
    config=Config,
    build=build,
    presets={"laptop": LAPTOP},
)
