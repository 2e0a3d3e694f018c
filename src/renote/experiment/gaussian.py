"""What the Gaussian systems share: DDPM's configuration and model, of which each changes a part. Light: building imports the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from renote.errors import UsageError
from renote.experiment.backbone import BackboneOptions, backbone

if TYPE_CHECKING:
    from renote.data import SampleData
    from renote.diffusion import DiffusionModel


ScheduleName = Literal["linear", "cosine", "vp", "sub-vp", "ve", "edm", "learned"]
ParameterizationName = Literal["noise", "clean", "velocity", "score", "rescaled", "mean", "edm"]
WeightingName = Literal["simple", "clean", "velocity", "edm", "p2", "min-snr", "bound"]
TimesName = Literal["uniform", "low-discrepancy", "log-normal", "importance"]
SamplerName = Literal[
    "ancestral",
    "ddim",
    "euler",
    "heun",
    "dpm-solver",
    "unipc",
    "euler-maruyama",
    "predictor-corrector",
    "langevin",
    "ode",
]
SpacingName = Literal["trailing", "leading", "uniform", "quadratic", "log-snr", "rho"]


@dataclass(frozen=True, kw_only=True)
class GaussianOptions(BackboneOptions):
    """DDPM's training, Ho et al. (2020), appendix B, as for CIFAR-10."""

    steps: int = 800_000
    learning_rate: float = 2e-4
    warmup_steps: int = 5000
    gradient_clip: float = 1.0
    ema_decay: float = 0.9999
    num_train_steps: int = 1000
    """Steps T of the forward process; 0 for continuous time."""
    schedule: ScheduleName = "linear"
    """Noise schedule."""
    parameterization: ParameterizationName = "noise"
    """What the network estimates."""
    weighting: WeightingName = "simple"
    """How the loss weighs the noise levels."""
    times: TimesName = "uniform"
    """Which noise levels training draws."""
    learned_variance: bool = False
    """Whether the network also learns the variance of ancestral steps."""
    sampler: SamplerName = "ancestral"
    """How samples are drawn."""
    sampling_steps: int = 1000
    """Steps a sample."""
    spacing: SpacingName = "trailing"
    """Which times sampling takes its steps at."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        if self.num_train_steps < 0:
            raise UsageError(f"num_train_steps = {self.num_train_steps}: at least 1, or 0 for continuous time")
        if self.sampling_steps < 1:
            raise UsageError(f"sampling_steps = {self.sampling_steps}: sampling takes at least one step")


def gaussian_model(
    config: GaussianOptions,
    data: SampleData,
    num_classes: int = 0,
    condition_dropout: float = 0.0,
    **parts: Any,
) -> DiffusionModel:
    """Network, schedule, parameterization, loss: as the configuration names them, or as given.

    Args:
        config: which ones.
        data: the samples' shape.
        num_classes: classes that the network is told of; 0 for none.
        condition_dropout: probability with which a class is hidden in training.
        parts: objects in the place of the configuration's names: `schedule`, `parameterization`, `network`; another `kind` of `DiffusionModel`; and
            its arguments.
    """
    from renote import diffusion

    count = config.num_train_steps or None
    schedule = parts.pop("schedule", None)
    if schedule is None:
        if config.schedule not in diffusion.SCHEDULES:
            raise UsageError(f"schedule = {config.schedule!r}: the bound trains it, so it is the system vdm's alone")
        schedule = diffusion.SCHEDULES[config.schedule](count or 1000)
    network = parts.pop("network", None) or backbone(config, data, num_classes, 2 if config.learned_variance else 1)
    process = diffusion.GaussianProcess(schedule)
    parameterization = parts.pop("parameterization", None) or config.parameterization
    if parameterization == "mean":
        parameterization = diffusion.PosteriorMean(process, config.num_train_steps)
    kind: type[DiffusionModel] = parts.pop("kind", None) or diffusion.DiffusionModel
    return kind(
        diffusion.Denoiser(network, schedule, parameterization, config.learned_variance),
        process,
        data.shape,
        **{
            "num_train_steps": count,
            "num_classes": num_classes,
            "condition_dropout": condition_dropout,
            "weighting": config.weighting,
            "times": config.times,
        }
        | parts,
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

NARROW: dict[str, Any] = {"channels": 16, "head_channels": 16}
"""Half the width: for claims that need many trainings."""
