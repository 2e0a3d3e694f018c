"""EDM: elucidating the design space of diffusion-based generative models.

Karras, Aittala, Aila & Laine, "Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS 2022, arXiv:2206.00364.

    D(x, σ) = c_skip x + c_out F(c_in x, log(σ)/4)                                        (7), table 1
    L = E_σ [ (σ² + σ_data²) / (σ σ_data)² |D(x_0 + σ ε, σ) - x_0|² ],  log σ ~ N(-1.2, 1.2²)
    σ_i = (σ_max^(1/7) + i/(N - 1) (σ_min^(1/7) - σ_max^(1/7)))^7                          (5)
    Heun's method for dx/dσ = (x - D(x, σ)) / σ, with noise added before each step if asked  (algorithms 1 and 2)
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from renote.errors import UsageError
from renote.experiment import Claim, GaussianOptions, GenerativeSystem, Outcome, Paper
from renote.experiment.gaussian import (
    LAPTOP,
    SMALL,
    ParameterizationName,
    SamplerName,
    ScheduleName,
    SpacingName,
    TimesName,
    WeightingName,
    gaussian_model,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from renote.data import SampleData
    from renote.diffusion import DiffusionModel
    from renote.experiment import Lab, SampleRun


@dataclass(frozen=True, kw_only=True)
class Config(GaussianOptions):
    """Karras et al. (2022), table 1 and appendix F.3, for CIFAR-10."""

    steps: int = 400_000
    batch_size: int = 512
    learning_rate: float = 1e-3
    ema_decay: float = 0.9993
    dropout: float = 0.13
    num_train_steps: int = 0
    schedule: ScheduleName = "edm"
    parameterization: ParameterizationName = "edm"
    weighting: WeightingName = "edm"
    times: TimesName = "log-normal"
    sampler: SamplerName = "heun"
    sampling_steps: int = 18
    spacing: SpacingName = "rho"
    sigma_data: float = 0.5
    """Standard deviation of the data."""
    sigma_min: float = 0.002
    """Least noise level of sampling."""
    sigma_max: float = 80.0
    """Greatest noise level of sampling."""
    level_mean: float = -1.2
    """Mean of the logarithm of training's noise levels, P_mean."""
    level_std: float = 1.2
    """Their standard deviation, P_std."""
    churn: float = 0.0
    """Noise added before each step, S_churn."""
    class_conditional: bool = False
    """Whether the network is told the class, dropped one time in ten, so that guidance works."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        if not 0 < self.sigma_min < self.sigma_max:
            raise UsageError(
                f"sigma_min = {self.sigma_min}, sigma_max = {self.sigma_max}: needs 0 < sigma_min < sigma_max"
            )


def build(config: Config, data: SampleData) -> DiffusionModel:
    """EDM's schedule, preconditioning, weighting and noise levels."""
    from renote import diffusion

    schedule = diffusion.EDMSchedule(config.sigma_max) if config.schedule == "edm" else None
    parts: dict[str, Any] = {"shortest_time": config.sigma_min / config.sigma_max}
    if config.parameterization == "edm":
        parts["parameterization"] = diffusion.EDM(config.sigma_data)
    if config.weighting == "edm":
        parts["weighting"] = diffusion.edm_weighting(config.sigma_data)
    if config.times == "log-normal" and schedule is not None:
        parts["times"] = diffusion.LogNormalTimes(schedule, config.level_mean, config.level_std)
    if config.class_conditional and data.num_classes < 2:
        raise UsageError(f"class_conditional = True, but {data.name} has no classes: leave it out")
    classes = data.num_classes if config.class_conditional else 0
    return gaussian_model(config, data, classes, 0.1 if classes else 0.0, schedule=schedule, **parts)


HEUN = (3, 5, 8, 12, 18, 36, 500)
ANCESTRAL = (5, 9, 15, 23, 35, 71)


def few_evaluations(lab: Lab) -> Outcome:
    """One training a seed; Fréchet distance over the evaluations of Heun on the rho grid and of ancestral sampling."""
    from renote import evaluate
    from renote.experiment.contrast import spread

    data, count = ("digits", 1000) if lab.laptop else ("fashion-mnist", 5000)
    seeds, preset, steps = (0, 1, 2), *(("small", 5500) if lab.laptop else ("laptop", 30_000))
    # told the class, a network of this size errs a tenth as much: what is left is the sampler's error
    changes: dict[str, Any] = {"preset": preset, "steps": steps, "class_conditional": True}
    runs: list[SampleRun] = [lab.train(data, f"seed-{seed}", seed=seed, **changes) for seed in seeds]
    features = evaluate.features(lab.data(data))
    found: dict[str, dict[int, list[float]]] = {"heun": {}, "ancestral": {}}
    for name, steps in [("heun", s) for s in HEUN] + [("ancestral", s) for s in ANCESTRAL]:
        evaluations = 2 * steps - 1 if name == "heun" else steps
        found[name][evaluations] = [
            lab.measure(
                f"seed {seed}, {name}, {evaluations} evaluations",
                partial(_distance, run, features, count, seed, name, steps),
            )
            for seed, run in zip(seeds, runs)
        ]
    mean = {name: {n: statistics.fmean(values) for n, values in row.items()} for name, row in found.items()}
    limit = 1.05 * mean["heun"][999]
    reached = min((n for n, value in mean["heun"].items() if value <= limit), default=10_000)
    holds = reached <= 35 and mean["ancestral"][35] > limit
    measured: dict[str, Any] = {
        f"{name}, {n} evaluations": spread(values) for name, row in found.items() for n, values in row.items()
    }
    measured["fewest evaluations of heun within 5 % of its 999"] = reached
    note = (
        f"{features.name}, {count} samples, as many of each class, against the training set, {len(seeds)} class-conditional trainings on {data}; "
        "both samplers on the rho grid. "
        "That Heun's error is of second order is tested on closed forms."
    )
    return Outcome(measured, holds, _figure(found, features.name), seeds, note)


def _distance(run: SampleRun, features: Any, count: int, seed: int, sampler: str, steps: int) -> float:
    options: dict[str, Any] = {"sampler": sampler, "steps": steps, "spacing": "rho", "guidance_scale": 1.0}
    samples = run.sample(count, seed=10_000 * (seed + 1), label=run.labels_in_turn(count), **options)
    distance: float = features.distance(samples)
    return distance


def _figure(found: dict[str, dict[int, list[float]]], features: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, row in found.items():
        axes.errorbar(
            list(row),
            [statistics.fmean(v) for v in row.values()],
            [statistics.stdev(v) for v in row.values()],
            marker="o",
            capsize=3,
            label={"heun": "Heun", "ancestral": "ancestral"}[name],
        )
    axes.set(xscale="log", yscale="log", xlabel="network evaluations", ylabel=f"Fréchet distance\n({features})")
    axes.axvline(35, color="grey", linewidth=0.8, linestyle=":")
    axes.legend(frameon=False)
    return figure


CHANGES: dict[str, Any] = {"sampling_steps": 18}

SYSTEM = GenerativeSystem(
    name="edm",
    title="Elucidated diffusion models",
    paper=Paper(
        "Karras, Aittala, Aila & Laine",
        "Elucidating the Design Space of Diffusion-Based Generative Models",
        2022,
        "NeurIPS 2022",
        "arXiv:2206.00364",
    ),
    parts=("EDM preconditioning", "EDM weighting", "log-normal noise levels", "Heun sampler", "rho grid", "churn"),
    data="digits",
    config=Config,
    build=build,
    presets={"laptop": LAPTOP | CHANGES, "small": SMALL | CHANGES},
    claims=(
        Claim(
            "few-evaluations",
            "Heun's method on the rho grid reaches with 35 network evaluations what others need hundreds for: within 5 % of its own Fréchet distance at "
            "1000 evaluations, where ancestral sampling is not.",
            "Table 2, figure 2",
            {"CIFAR-10, 35 evaluations, conditional": 1.79, "CIFAR-10, 35 evaluations, unconditional": 1.97},
            few_evaluations,
        ),
    ),
)
