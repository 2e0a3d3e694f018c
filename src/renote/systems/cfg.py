"""Classifier-free guidance: a conditional and an unconditional model in one network.

Ho & Salimans, "Classifier-Free Diffusion Guidance", 2022, arXiv:2207.12598.

    training: the class is dropped with probability p_uncond                   (algorithm 1)
    ε̃ = ε(x_t) + s (ε(x_t, c) - ε(x_t)), with s = 1 + w                        (6)

The scale s is 0 for unconditional, 1 for conditional samples; the paper's weight w is s - 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from renote.errors import UsageError
from renote.experiment import GaussianOptions, GenerativeSystem, Paper
from renote.experiment.gaussian import LAPTOP, SMALL, ScheduleName, gaussian_model

if TYPE_CHECKING:
    from renote.data import SampleData
    from renote.diffusion import DiffusionModel


@dataclass(frozen=True, kw_only=True)
class Config(GaussianOptions):
    """Ho & Salimans (2022), section 4, with DDPM's discrete steps."""

    steps: int = 400_000
    learning_rate: float = 1e-4
    warmup_steps: int = 0
    condition_dropout: float = 0.1
    """Probability p_uncond with which a sample's class is hidden in training."""
    guidance_scale: float = 1.3
    """Scale of samples: 0 unconditional, 1 conditional, above 1 exaggerated; the paper's w is this less 1."""
    schedule: ScheduleName = "cosine"
    sampling_steps: int = 256

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        if not 0 <= self.condition_dropout <= 1:
            raise UsageError(f"condition_dropout = {self.condition_dropout}: a probability lies in [0, 1]")


def build(config: Config, data: SampleData) -> DiffusionModel:
    """DDPM told of the class, which is dropped at random."""
    if data.num_classes < 2:
        raise UsageError(
            f"cfg needs data with classes, but {data.name} has none: train ddpm, or put images in a folder a class"
        )
    return gaussian_model(config, data, data.num_classes, config.condition_dropout)


CHANGES: dict[str, Any] = {
    # read off the noise, the estimate is unbounded where a cosine schedule leaves no signal
    "parameterization": "velocity",
    "guidance_scale": 2.0,
    "sampler": "ddim",
    "sampling_steps": 25,
}

SYSTEM = GenerativeSystem(
    name="cfg",
    title="Classifier-free diffusion guidance",
    paper=Paper("Ho & Salimans", "Classifier-Free Diffusion Guidance", 2022, "arXiv", "arXiv:2207.12598"),
    parts=("condition dropout", "extrapolated estimate", "VP schedule", "U-Net with class embedding"),
    data="digits",
    config=Config,
    build=build,
    presets={"laptop": LAPTOP | CHANGES, "small": SMALL | CHANGES},
)
