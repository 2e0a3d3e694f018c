"""Cold diffusion: any degradation of known strength can be undone, without noise.

Bansal, Borgnia, Chu, Li, Kazemi, Huang, Goldblum, Geiping & Goldstein, "Cold Diffusion: Inverting Arbitrary Image Transforms Without Noise", NeurIPS 2023,
arXiv:2208.09392.

    min E |R(D(x, t), t) - x|
    algorithm 1    x_s = D(x̂, s)
    algorithm 2    x_s = x_t - D(x̂, t) + D(x̂, s),  x̂ = R(x_t, t)

Algorithm 2 is exact to first order in t - s, whatever the restoration errs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from renote.errors import UsageError, unknown
from renote.experiment import BackboneOptions, Claim, GenerativeSystem, Outcome, Paper, backbone
from renote.experiment.gaussian import LAPTOP, NARROW, SMALL
from renote.experiment.own_code import file_of, not_imported

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from renote.data import SampleData
    from renote.diffusion import RestorationModel
    from renote.evaluate import Features
    from renote.experiment import Lab, SampleRun


@dataclass(frozen=True, kw_only=True)
class Config(BackboneOptions):
    """The paper's training for CIFAR-10, section 4 and appendix A."""

    steps: int = 700_000
    batch_size: int = 32
    learning_rate: float = 2e-5
    accumulate: int = 2
    ema_decay: float = 0.995
    degradation: str = "blur"
    """What degrades: blur, mask, pixelate, snow, animorph, or a name that was added to OPERATORS."""
    degradation_file: str = ""
    """Where a degradation of one's own is defined; empty takes the file of its class, and the run folder keeps its name."""
    num_train_steps: int = 50
    """Strengths k/T that training draws, T of them."""
    sampling_steps: int = 50
    """Steps a sample."""
    algorithm: Literal["improved", "naive"] = "improved"
    """The way back: improved is the paper's algorithm 2, naive its algorithm 1."""
    other: str = "digits"
    """Images that animorph blends to: name or path of a data set."""
    other_count: int = 256
    """How many of them."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        if not 1 <= self.sampling_steps <= self.num_train_steps:
            raise UsageError(
                f"sampling_steps = {self.sampling_steps}: a model of num_train_steps = {self.num_train_steps} is sampled in 1 to so many"
            )
        if self.other_count < 1:
            raise UsageError(f"other_count = {self.other_count}: animorph blends to at least one image")

    def other_pictures(self, data: SampleData) -> Tensor:
        """Images of `other` (other_count, *shape), of the size and channels of the data, for an operator that blends to them.

        Raises:
            UsageError: if either data set has no images.
        """
        import torch

        from renote.data import SampleData, load
        from renote.data.pixels import resize

        if not data.is_image:
            raise UsageError(f"degradation = animorph: it blends images, which {data.name} has none of; take blur")
        if not len(data.train):  # a run that is opened has them in its weights
            return torch.zeros(self.other_count, *data.shape)
        other = load(self.other)
        if not isinstance(other, SampleData) or not other.is_image:
            raise UsageError(f"other = {self.other}: animorph blends to images, which it has none of")
        pictures = other.clean(resize(other.train[torch.arange(self.other_count) % len(other.train)], data.shape[1:]))
        same = pictures.shape[1] == data.shape[0]
        return pictures if same else pictures.mean(1, keepdim=True).expand(-1, *data.shape)


def settle(config: Config, data: SampleData) -> Config:
    """The configuration with the name of the file that defines a degradation of one's own, so that whoever opens the run is told what to import."""
    from renote.diffusion.process import OPERATORS

    kind = OPERATORS.get(config.degradation)
    if config.degradation_file or kind is None:
        return config
    return replace(config, degradation_file=file_of(kind))


def build(config: Config, data: SampleData) -> RestorationModel:
    """A network that restores, towards the clean data; the degradation's end as in the training data."""
    from renote.diffusion import DegradationProcess, RestorationModel
    from renote.diffusion.process import OPERATORS

    if len(data.shape) < 2:
        raise UsageError(f"{data.name} has points: cold-diffusion degrades signals, images or volumes")
    if config.degradation not in OPERATORS and config.degradation_file:
        raise not_imported("degradation", config.degradation, config.degradation_file)
    if config.degradation not in OPERATORS:
        raise unknown("degradation", config.degradation, OPERATORS)
    operator = OPERATORS[config.degradation].from_data(data, config)
    if len(data.train):  # a run that is opened has the rest in its weights
        operator.fit(data.clean(data.train[:: -(-len(data.train) // 10_000)]))
    process = DegradationProcess(operator, config.algorithm)
    return RestorationModel(backbone(config, data), process, data.shape, config.num_train_steps)


DEGRADATIONS = ("blur", "mask", "pixelate", "snow", "animorph")
WAYS = ("degraded", "direct", "naive", "improved")
# tables 1 to 3, CelebA, Fréchet inception distance of what is degraded, restored by algorithm 2, and restored at once
PUBLISHED = {
    "blur": {"degraded": 382.81, "improved": 26.14, "direct": 36.37},
    "mask": {"degraded": 127.85, "improved": 5.73, "direct": 7.74},
    "pixelate": {"degraded": 349.85, "improved": 96.92, "direct": 112.84},
}


def restoration(lab: Lab) -> Outcome:
    """Held-out images degraded whole or almost, and restored: at once, by algorithm 1, by algorithm 2."""
    from renote import evaluate
    from renote.experiment import contrast

    data, options = "fashion-mnist", {"size": 8} if lab.laptop else {}
    (preset, steps, count), seeds = ("small", 500, 1000) if lab.laptop else ("laptop", 30_000, 10_000), (0, 1, 2)
    shared: dict[str, Any] = {"steps": steps} | (NARROW if lab.laptop else {})
    variants: dict[str, contrast.Variant] = {name: (None, {"degradation": name}) for name in DEGRADATIONS}
    runs = contrast.trained(lab, data, variants, seeds, preset, options, **shared)
    features = evaluate.features(lab.data(data, **options))
    distances: dict[str, dict[str, list[float]]] = {}
    measured: dict[str, Any] = {}
    for name, of in runs.items():
        rows = [
            lab.measure(f"{name}, seed {seed}", partial(_restored, run, features, count))
            for seed, run in zip(seeds, of)
        ]
        distances[name] = {way: [row[way]["distance"] for row in rows] for way in WAYS}
        made = contrast.measured(lab, {name: of}, count)[name]
        measured[f"{name}, generated"] = contrast.spread(made["frechet_distance"])
        for way in WAYS:
            measured[f"{name}, {way}"] = contrast.spread(distances[name][way])
            measured[f"{name}, {way}, error"] = contrast.spread([row[way]["error"] for row in rows])
    mean = {key: value["mean"] for key, value in measured.items()}
    holds = all(mean[f"{name}, improved"] < mean[f"{name}, naive"] for name in DEGRADATIONS)
    holds = holds and all(mean[f"{name}, improved"] < mean[f"{name}, direct"] for name in PUBLISHED)
    note = (
        f"{features.name}, the first {count} held-out images against the training set, {len(seeds)} trainings of {steps} steps each on {data}"
        f"{' at 8 × 8 pixels' if lab.laptop else ''}; degraded to strength {STRENGTH}, where a little is left to restore from. Error: root mean square "
        "difference per pixel, of values in [0, 1]. Direct: one estimate of the network. The paper's tables compare algorithm 2 with it; algorithm 1 is in figure 2."
    )
    return Outcome(measured, holds, _figure(distances, {name: of[0] for name, of in runs.items()}), seeds, note)


STRENGTH = 0.6


def _restored(run: SampleRun, features: Features, count: int) -> dict[str, dict[str, float]]:
    data = run.training_data()
    clean = data.clean(data.test[:count])
    return {
        way: {
            "distance": features.distance(data.raw(images)),
            "error": float(((images.clamp(-1, 1) - clean) / 2).square().mean().sqrt()),
        }
        for way, images in _images(run, clean).items()
    }


def _images(run: SampleRun, clean: Tensor) -> dict[str, Tensor]:
    """What each of WAYS makes of clean images."""
    from renote.diffusion import NoiseSource

    noise = NoiseSource(range(len(clean))).normal(clean.shape[1:])
    # one naive step ends at D(x̂, 0), which is the estimate itself
    ways: dict[str, dict[str, Any]] = {"direct": {"algorithm": "naive", "steps": 1}}
    ways |= {algorithm: {"algorithm": algorithm} for algorithm in ("naive", "improved")}
    found = {way: run.module.restored(clean, strength=STRENGTH, **changes) for way, changes in ways.items()}
    return {"degraded": run.module.process.operator(clean, STRENGTH, noise), **found}


def _figure(distances: dict[str, dict[str, list[float]]], runs: dict[str, SampleRun]) -> Figure:
    """Distances, held-out images beside what was made of them, and images from nothing."""
    import torch
    from matplotlib.figure import Figure

    from renote.experiment import contrast

    figure = Figure(figsize=(13, 6.4), layout="constrained")
    rows = figure.subplots(3, len(runs), height_ratios=(2, 2.2, 1))
    for (name, run), top, middle, bottom in zip(runs.items(), *rows):
        contrast.bar(top, name, {way: distances[name][way] for way in WAYS[1:]})
        data = run.training_data()
        clean = data.clean(data.test[:8])
        shown = torch.cat([clean, *_images(run, clean).values()])
        contrast.pictures(middle, "", data.raw(shown), columns=len(clean))
        contrast.pictures(bottom, "generated", run.sample(16, seed=1), columns=len(clean))
    figure.suptitle(
        "Fréchet distance (classifier features); below: held-out images, degraded, direct, naive, improved; and generated from full strength",
        fontsize=10,
    )
    return figure


SHORT: dict[str, Any] = {"num_train_steps": 20, "sampling_steps": 20}

SYSTEM = GenerativeSystem(
    name="cold-diffusion",
    title="Cold diffusion: inverting degradations without noise",
    paper=Paper(
        "Bansal, Borgnia, Chu, Li, Kazemi, Huang, Goldblum, Geiping & Goldstein",
        "Cold Diffusion: Inverting Arbitrary Image Transforms Without Noise",
        2022,
        "NeurIPS 2023",
        "arXiv:2208.09392",
    ),
    parts=("degradation process", "operators of known strength", "restoration network", "improved reverse step"),
    data="fashion-mnist",
    config=Config,
    build=build,
    settle=settle,
    presets={"laptop": LAPTOP | SHORT, "small": SMALL | SHORT},
    claims=(
        Claim(
            "restoration",
            "Restoring step by step with algorithm 2 comes nearer to the data than algorithm 1 for all five degradations, and than one estimate of the same "
            "network for blur, mask and pixelate.",
            "Tables 1 to 3, figure 2",
            {f"CelebA, {name}, {way}": figure for name, row in PUBLISHED.items() for way, figure in row.items()},
            restoration,
        ),
    ),
    notes="Each degradation is one smooth function of a strength in [0, 1] for any size, where the paper has schedules by data set: blur by the cosine basis, blocks of "
    "pixels mixed between two halvings, a mask that spreads from a point, snow that covers everything at 1 (the paper's leaves the image visible). A network trained on "
    "all strengths restores from any of them; generation begins at strength 1, which for blur and pixelate is a colour and a little noise. The claim restores held-out "
    "images, as the paper's tables do; generation from nothing but a colour is shown and measured, not claimed. "
    "The set-up was tried with one shorter training a degradation before it was fixed. Measured: by Fréchet distance algorithm 2 is nearer than algorithm 1 for all but blur, and nearer than one estimate for all; "
    "by the error per pixel it is ahead of algorithm 1 for all five. Blur is why the claim does not hold: after 500 steps on images of 8 × 8 pixels its distances are 3.9 ± 0.5 and 3.4 ± 0.6, which differ by less "
    "than the deviation between three trainings, so they do not tell which is ahead, and longer ones were not measured. The error per pixel, which compares each image with its own original where the "
    "distance compares sets, does tell for blur too: 0.078 ± 0.002 against 0.116 ± 0.001. "
    "What is generated from full strength is at 12 (blur), 27 (mask), 22 (pixelate), 14 (snow) and 14 (animorph): far from the images, as such short trainings are.",
)
