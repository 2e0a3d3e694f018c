"""IHDM: the inverse heat dissipation model, which generates by sharpening.

Rissanen, Heinonen & Solin, "Generative Modelling With Inverse Heat Dissipation", ICLR 2023, arXiv:2206.13397.

    q(u_k | u_0) = N(V exp(-Λ τ_k) Vᵀ u_0, σ² I),  τ_k = sigma_B,k² / 2
    p(u_{k-1} | u_k) = N(u_k + f(u_k, k), δ² I)
    min E |V exp(-Λ τ_{k-1}) Vᵀ u_0 - u_k - f(u_k, k)|²

What is blurred away is lost to the eye but not to a network, so a little noise σ hides it; the noise δ of sampling makes up what is to be new.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from renote.errors import UsageError
from renote.experiment import BackboneOptions, Claim, GenerativeSystem, Outcome, Paper, backbone
from renote.experiment.gaussian import LAPTOP, NARROW, SMALL
from renote.systems.ncsn import scale

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from renote.data import SampleData
    from renote.diffusion import RestorationModel
    from renote.evaluate import Features
    from renote.experiment import Lab, SampleRun


@dataclass(frozen=True, kw_only=True)
class Config(BackboneOptions):
    """The paper's training for CIFAR-10."""

    steps: int = 1_300_000
    learning_rate: float = 2e-4
    warmup_steps: int = 5000
    gradient_clip: float = 1.0
    ema_decay: float = 0.999
    blocks: int = 4
    attention: tuple[int, ...] = (4, 8)
    num_train_steps: int = 200
    """Levels of blur K, which are the steps a sample too."""
    blur_min: float = 0.5
    """Deviation of the first level's blur, in pixels."""
    blur_max: float = 0.0
    """Deviation of the last level's; 0 for half the longest side. The paper has 20 to 24 for sides of 28 and 32."""
    noise: float = 0.01
    """Deviation σ of the noise in training, for data in [0, 1]; twice that is used for data in [-1, 1]."""
    delta: float = 1.25
    """Noise that sampling adds, δ / σ."""
    prior_pictures: int = 1000
    """Blurred training images that samples begin from."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        if not self.blur_min > 0 or not (self.blur_max == 0 or self.blur_max > self.blur_min):
            raise UsageError(
                f"blur_min = {self.blur_min}, blur_max = {self.blur_max}: needs 0 < blur_min < blur_max, or 0 for blur_max"
            )


def build(config: Config, data: SampleData) -> RestorationModel:
    """A network for the residual between neighbouring levels; the prior is of the training data."""
    from renote.diffusion import HeatProcess, RestorationModel

    if len(data.shape) < 2:
        raise UsageError(f"{data.name} has points: heat spreads over signals, images or volumes")
    process = HeatProcess(
        data.shape,
        config.num_train_steps,
        config.blur_min,
        config.blur_max or None,
        scale(data) * config.noise,
        config.delta,
        config.prior_pictures,
    )
    if len(data.train):  # a run that is opened has the pictures in its weights
        # of all classes, where they come one after the other
        process.fit(data.clean(data.train[:: -(-len(data.train) // 10_000)]))
    network = backbone(config, data)
    return RestorationModel(network, process, data.shape, config.num_train_steps, loss="l2", residual=True)


DELTAS = (0.0, 0.5, 1.0, 1.25, 1.5, 2.0, 3.0)


def sampling_noise(lab: Lab) -> Outcome:
    """Distance of the blurred prior's draws, and of samples by the noise that sampling adds."""
    from renote import evaluate
    from renote.experiment import contrast

    data, options = "fashion-mnist", {"size": 8} if lab.laptop else {}
    (preset, steps, count), seeds = ("small", 3000, 1000) if lab.laptop else ("laptop", 40_000, 10_000), (0, 1, 2)
    shared: dict[str, Any] = {"steps": steps} | (NARROW if lab.laptop else {})
    runs: list[SampleRun] = contrast.trained(lab, data, {"seed": (None, {})}, seeds, preset, options, **shared)["seed"]
    features = evaluate.features(lab.data(data, **options))
    found: dict[float, list[float]] = {
        delta: [
            lab.measure(f"seed {seed}, delta {delta:g}", partial(_distance, run, features, count, seed, delta))
            for seed, run in zip(seeds, runs)
        ]
        for delta in DELTAS
    }
    prior = [
        lab.measure(f"seed {seed}, prior", partial(_prior, run, features, count, seed))
        for seed, run in zip(seeds, runs)
    ]
    measured: dict[str, Any] = {f"delta/sigma {delta:g}": contrast.spread(row) for delta, row in found.items()}
    measured["prior"] = contrast.spread(prior)
    means = [statistics.fmean(row) for row in found.values()]
    best = means.index(min(means))
    measured["best delta/sigma"] = DELTAS[best]
    holds = 0 < best < len(DELTAS) - 1 and 2 * means[best] < statistics.fmean(prior)
    note = (
        f"{features.name}, {count} samples against the training set, {len(seeds)} trainings of {steps} steps each on {data}"
        f"{' at 8 × 8 pixels' if lab.laptop else ''}, {runs[0].module.num_train_steps} levels of blur; prior: training images at the last level, where samples begin."
    )
    return Outcome(measured, holds, _figure(found, prior, runs[0]), seeds, note)


def _distance(run: SampleRun, features: Features, count: int, seed: int, delta: float) -> float:
    return features.distance(run.sample(count, seed=10_000 * (seed + 1), delta=delta))


def _prior(run: SampleRun, features: Features, count: int, seed: int) -> float:
    from renote.diffusion import NoiseSource

    noise = NoiseSource(range(10_000 * (seed + 1), 10_000 * (seed + 1) + count))
    return features.distance(run.data.raw(run.module.process.prior(run.module.shape, noise)))


def _figure(found: dict[float, list[float]], prior: list[float], run: SampleRun) -> Figure:
    from matplotlib.figure import Figure

    from renote import evaluate

    figure = Figure(figsize=(10, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
    mean, std = ([f(row) for row in found.values()] for f in (statistics.fmean, statistics.stdev))
    left.errorbar(list(found), mean, std, marker="o", capsize=3, label="samples")
    left.axhline(statistics.fmean(prior), color="C1", label="blurred prior")
    left.set(xlabel="δ / σ", yscale="log", title="Fréchet distance (classifier features)")
    left.legend(frameon=False)
    if run.data.is_image:
        way = run.film(8, frames=9)
        right.imshow(evaluate.image_grid(_by_sample(way), columns=len(way)), cmap="gray")
    right.set_axis_off()
    right.set_title("from the prior to samples")
    return figure


def _by_sample(way: list[Any]) -> Any:
    import torch

    return torch.stack(way, 1).flatten(0, 1)


FEWER: dict[str, Any] = {"num_train_steps": 50}

SYSTEM = GenerativeSystem(
    name="ihdm",
    title="Generative modelling with inverse heat dissipation",
    paper=Paper(
        "Rissanen, Heinonen & Solin",
        "Generative Modelling With Inverse Heat Dissipation",
        2022,
        "ICLR 2023",
        "arXiv:2206.13397",
    ),
    parts=("heat process", "cosine basis", "residual between levels of blur", "noise of sampling"),
    data="fashion-mnist",
    config=Config,
    build=build,
    presets={"laptop": LAPTOP | FEWER, "small": SMALL | FEWER},
    claims=(
        Claim(
            "sampling-noise",
            "Images are generated by sharpening blurred ones, at less than half of the prior's Fréchet distance; the noise added in sampling matters, and is best "
            "between none and much.",
            "Figure 9",
            {"CIFAR-10, delta/sigma 1.25": 18.96},
            sampling_noise,
        ),
    ),
    notes="Samples begin at blurred training images with the noise of training, a draw of q(u_K), where the paper's density has the noise of sampling; so the sweep of delta changes the way alone. "
    "The last blur is half the longest side by default, less than the paper's: it leaves the images' few lowest frequencies, as wide as the image. The set-up was tried with one "
    "shorter training before it was fixed.",
)
