"""DDPM: denoising diffusion probabilistic models.

Ho, Jain & Abbeel, "Denoising Diffusion Probabilistic Models", NeurIPS 2020, arXiv:2006.11239.

    q(x_t | x_0) = N(√ᾱ_t x_0, (1 - ᾱ_t) I)                                   (4)
    L_simple = E |ε - ε_θ(√ᾱ_t x_0 + √(1 - ᾱ_t) ε, t)|²                        (14)
    p_θ(x_{t-1} | x_t) = N(μ̃_t(x_t, x̂_0), σ_t² I), σ_t² = β_t or β̃_t           (7), (11)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from renote.experiment import Claim, GaussianOptions, GenerativeSystem, Outcome, Paper
from renote.experiment.gaussian import LAPTOP, SMALL, gaussian_model

if TYPE_CHECKING:
    from renote.experiment import Lab, SampleRun
    from renote.experiment.contrast import Variant


@dataclass(frozen=True, kw_only=True)
class Config(GaussianOptions):
    """Ho et al. (2020), appendix B: linear schedule, noise estimate, 1000 ancestral steps."""


OBJECTIVES: dict[str, Variant] = {
    "noise, simple": (None, {}),
    "noise, bound": (None, {"weighting": "bound"}),
    "mean, bound": (None, {"parameterization": "mean", "weighting": "bound"}),
}


def objectives(lab: Lab) -> Outcome:
    """Three objectives with the same budget and seeds; Fréchet distance of samples, bits of held-out images by the discrete bound."""
    from renote.experiment import contrast

    data, seeds = "fashion-mnist", (0, 1, 2)
    preset, steps, options = ("small", 2500, {"size": 8}) if lab.laptop else ("laptop", 40_000, None)
    count, sampling, held = (1000, 250, 100) if lab.laptop else (10_000, 1000, 1000)
    runs = contrast.trained(lab, data, OBJECTIVES, seeds, preset, options, steps=steps)
    found = contrast.measured(lab, runs, count, steps=sampling)
    for name, of in runs.items():
        found[name]["bits"] = [
            lab.measure(f"{name}, seed {i}, bits of {held}", partial(_bits, run, held)) for i, run in enumerate(of)
        ]
    titles = {"frechet_distance": "Fréchet distance (classifier features)", "bits": "bits per dimension, at most"}
    measured = {
        f"{title}: {name}": contrast.spread(row[key]) for key, title in titles.items() for name, row in found.items()
    }
    distance, bits = ({name: measured[f"{title}: {name}"]["mean"] for name in OBJECTIVES} for title in titles.values())
    holds = (
        distance["noise, simple"] < min(distance["noise, bound"], distance["mean, bound"])
        and bits["noise, bound"] < bits["noise, simple"]
    )
    note = (
        f"{len(seeds)} trainings of {steps} steps for each objective on {data}{' at 8 × 8 pixels' if lab.laptop else ''}; {count} samples in {sampling} ancestral steps against the training set, "
        f"in the features of the data set's classifier; bits of {held} held-out images by the bound of all 1000 steps."
    )
    return Outcome(measured, holds, contrast.bars(found, titles), seeds, note)


def _bits(run: SampleRun, count: int) -> float:
    bits: float = run.bits(count)["bits_per_dimension"]
    return bits


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
    claims=(
        Claim(
            "objectives",
            "Estimating the noise with the simple loss gives better samples than the bound does, with the noise or the posterior's mean as the target; "
            "the bound gives better bits.",
            "Tables 1 and 2",
            {
                "FID: noise, simple": 3.17,
                "FID: noise, bound": 13.51,
                "FID: mean, bound": 13.22,
                "bits: noise, simple": 3.75,
                "bits: noise, bound": 3.70,
            },
            objectives,
        ),
    ),
    notes="The samples order as in the paper. The bits do not: after 2500 steps the bound's own training has 4.695 ± 0.007 bits, the simple loss 4.660 ± 0.008. The bound weighs the lowest noise "
    "levels by far the most, so its gradients vary more, and it is the slower to train; the paper trains 800,000 steps.",
)
