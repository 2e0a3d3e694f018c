"""Classifier guidance: an unconditional diffusion model, led to a class by a classifier of noisy data.

Dhariwal & Nichol, "Diffusion Models Beat GANs on Image Synthesis", NeurIPS 2021, arXiv:2105.05233, section 4.

    training: the diffusion model's own loss, and -log p_φ(y | x_t) on the same noisy data
    ∇ log p(x_t | y) = ∇ log p(x_t) + s ∇ log p_φ(y | x_t)                    (algorithms 1 and 2)
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from renote.errors import UsageError
from renote.experiment import Claim, GaussianOptions, GenerativeSystem, Outcome, Paper
from renote.experiment.backbone import backbone
from renote.experiment.gaussian import LAPTOP, SMALL, ScheduleName, gaussian_model

if TYPE_CHECKING:
    from renote.data import SampleData
    from renote.diffusion import DiffusionModel
    from renote.experiment import Lab


@dataclass(frozen=True, kw_only=True)
class Config(GaussianOptions):
    """Dhariwal & Nichol (2021), section 4: the unconditional model with its classifier."""

    from_one = ("classifier_channels",)

    schedule: ScheduleName = "linear"
    sampling_steps: int = 250
    classifier_scale: float = 1.0
    """Scale s of the classifier's gradient; 0 leaves it out."""
    classifier_channels: int = 64
    """Channels of the classifier at full resolution."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        if not self.classifier_scale >= 0:
            raise UsageError(f"classifier_scale = {self.classifier_scale}: it is not negative")


def build(config: Config, data: SampleData) -> DiffusionModel:
    """An unconditional denoiser, and a classifier of the same noisy data."""
    return guided_model(config, data, conditional=False)


def guided_model(config: Any, data: SampleData, conditional: bool) -> DiffusionModel:
    """A diffusion model with a classifier beside it.

    Args:
        config: with `classifier_channels`.
        data: with classes.
        conditional: whether the denoiser is told the class as well.
    """
    from renote import diffusion, nets

    if data.num_classes < 2:
        raise UsageError(
            f"classifier guidance needs data with classes, but {data.name} has none: put images in a folder a class"
        )
    network = backbone(config, data, data.num_classes if conditional else 0, 2 if config.learned_variance else 1)
    classifier = nets.TimeClassifier(data.shape, data.num_classes, config.classifier_channels)
    return gaussian_model(
        config, data, data.num_classes, network=network, kind=diffusion.ClassifierGuidedModel, classifier=classifier
    )


SCALES = (0.0, 0.5, 1.0, 2.0, 4.0)


def accuracy_over_scales(lab: Lab) -> Outcome:
    """One training a seed; how many samples are of the class asked for, over scales."""
    from renote.experiment import contrast

    data, preset = ("digits", "small") if lab.laptop else ("fashion-mnist", "laptop")
    seeds, steps, count = (0, 1, 2), *((2500, 500) if lab.laptop else (40_000, 5000))
    runs = contrast.trained(lab, data, {"model": (None, {})}, seeds, preset, steps=steps)
    found = contrast.over(lab, runs["model"], count, "classifier_scale", SCALES, sampler="ddim", steps=50)
    titles = {"class_accuracy": "class accuracy (%)", "frechet_distance": "Fréchet distance (classifier features)"}
    measured = contrast.table(found, titles, "scale")
    rising = [measured[f"class accuracy (%), scale {scale:g}"]["mean"] for scale in SCALES]
    note = (
        f"{len(seeds)} trainings of {steps} steps on {data}; {count} samples a scale in 50 DDIM steps, judged by the data set's own classifier, "
        "which is another than the one that guides."
    )
    figure = contrast.lines(found, titles, "classifier scale")
    return Outcome(measured, all(a < b for a, b in itertools.pairwise(rising)), figure, seeds, note)


PRESETS: dict[str, dict[str, Any]] = {
    name: preset | {"sampling_steps": 50, "sampler": "ddim", "classifier_channels": 32}
    for name, preset in (("laptop", LAPTOP), ("small", SMALL))
}

SYSTEM = GenerativeSystem(
    name="classifier-guidance",
    title="Classifier guidance",
    paper=Paper(
        "Dhariwal & Nichol", "Diffusion Models Beat GANs on Image Synthesis", 2021, "NeurIPS 2021", "arXiv:2105.05233"
    ),
    parts=("DDPM's training", "classifier of noisy data", "classifier guidance"),
    data="digits",
    config=Config,
    build=build,
    presets=PRESETS,
    claims=(
        Claim(
            "class-accuracy",
            "The larger the scale of the classifier's gradient, the more samples are of the class asked for.",
            "Section 4.3, figure 4",
            {"ImageNet-256 FID, unguided": 10.94, "ImageNet-256 FID, guided": 4.59},
            accuracy_over_scales,
        ),
    ),
)
