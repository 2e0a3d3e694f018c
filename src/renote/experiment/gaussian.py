"""What the Gaussian systems share: DDPM's configuration and model, of which each changes a part. Light: building imports the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from renote.experiment.backbone import BackboneOptions, backbone

if TYPE_CHECKING:
    from renote.data import SampleData
    from renote.diffusion import DiffusionModel


@dataclass(frozen=True, kw_only=True)
class GaussianOptions(BackboneOptions):
    """DDPM's training, Ho et al. (2020), appendix B, as for CIFAR-10."""

    steps: int = 800_000
    learning_rate: float = 2e-4
    warmup_steps: int = 5000
    gradient_clip: float = 1.0
    ema_decay: float = 0.9999
    num_train_steps: int = 1000
    """Steps T of the forward process."""
    schedule: Literal["linear", "cosine"] = "linear"
    """Noise schedule."""
    parameterization: Literal["noise", "clean", "velocity"] = "noise"
    """What the network estimates."""
    sampler: Literal["ancestral", "ddim"] = "ancestral"
    """How samples are drawn."""
    sampling_steps: int = 1000
    """Steps a sample."""


def gaussian_model(
    config: GaussianOptions, data: SampleData, num_classes: int = 0, condition_dropout: float = 0.0
) -> DiffusionModel:
    """Network, schedule, parameterization, simple loss.

    Args:
        config: which ones.
        data: the samples' shape.
        num_classes: classes that the network is told of; 0 for none.
        condition_dropout: probability with which a class is hidden in training.
    """
    from renote import diffusion

    schedule = diffusion.SCHEDULES[config.schedule](config.num_train_steps)
    return diffusion.DiffusionModel(
        diffusion.Denoiser(backbone(config, data, num_classes), schedule, config.parameterization),
        diffusion.GaussianProcess(schedule),
        data.shape,
        num_train_steps=config.num_train_steps,
        num_classes=num_classes,
        condition_dropout=condition_dropout,
    )


LAPTOP: dict[str, Any] = {
    "steps": 4000,
    "learning_rate": 1e-3,
    "learning_rate_schedule": "cosine",
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
"""Small images in minutes on two cores."""

SMALL: dict[str, Any] = LAPTOP | {"steps": 5500, "batch_size": 64, "learning_rate": 2e-3, "preview_every": 0}
"""Images of about 8 × 8."""
