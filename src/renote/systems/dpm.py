"""DPM: diffusion probabilistic models, whose reverse steps are learned by the exact variational bound.

Sohl-Dickstein, Weiss, Maheswaranathan & Ganguli, "Deep Unsupervised Learning using Nonequilibrium Thermodynamics", ICML 2015,
arXiv:1503.03585.

    K = -Σ_{k > 1} E_q KL(q(x_{k-1} | x_k, x_0) || p(x_{k-1} | x_k)) + …  ≤ E log p(x_0)                          (14)

    Gaussian    p(x_{k-1} | x_k) = N(μ(x_k, k), Σ(x_k, k)): mean, variance and the forward steps β_k are learned
    binomial    p(x_{k-1} | x_k) = B(b(x_k, k)), β_k = 1 / (T - k + 1)                                      table App.1
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from renote.errors import UsageError
from renote.experiment import BackboneOptions, Claim, GenerativeSystem, Outcome, Paper, backbone

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from renote.data import SampleData
    from renote.diffusion.chain import BinomialChain, GaussianChain
    from renote.experiment import Lab, SampleRun


@dataclass(frozen=True, kw_only=True)
class Config(BackboneOptions):
    """T as for the paper's swiss roll; 2000 for heartbeats, 1000 for images."""

    steps: int = 200_000
    batch_size: int = 512
    gradient_clip: float = 1.0
    dropout: float = 0.0
    num_train_steps: int = 40
    """Steps T of the chain."""
    process: Literal["auto", "gaussian", "binomial"] = "auto"
    """What corrupts; auto is binomial for integers 0 and 1, else gaussian."""
    first_log_snr: float = 12.0
    """Log-SNR of x_1: how small details can be; the steps between the ends are learned."""
    last_log_snr: float = -9.0
    """Log-SNR of x_T."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        if self.first_log_snr <= self.last_log_snr:
            raise UsageError(
                f"first_log_snr = {self.first_log_snr} must lie above last_log_snr = {self.last_log_snr}: noise grows along the chain"
            )


def build(config: Config, data: SampleData) -> GaussianChain | BinomialChain:
    """A binomial chain for bits; else a Gaussian one with a network each for mean and variance."""
    import torch

    from renote.diffusion.chain import BinomialChain, GaussianChain

    whole = not data.train.dtype.is_floating_point
    values = torch.unique(data.clean(data.train)).tolist() if config.process != "gaussian" else []
    if config.process == "auto" and len(values) == 2 and not (whole and data.range == (0.0, 1.0)):
        raise UsageError(
            f"{data.name} has two values only: say process=binomial, or gaussian for a density all the same"
        )
    if config.process == "binomial" or (config.process == "auto" and whole and data.range == (0.0, 1.0)):
        if len(values) > 2:
            raise UsageError(f"process = binomial: {data.name} has {len(values)} values, but bits have two")
        low, high = values if len(values) == 2 else (-1.0, 1.0)  # a loaded run has them in its weights
        return BinomialChain(backbone(config, data), data.shape, config.num_train_steps, (low, high))
    networks = backbone(config, data), backbone(config, data)
    ends = config.first_log_snr, config.last_log_snr
    return GaussianChain(*networks, data.shape, config.num_train_steps, *ends, data.levels)


HEARTBEAT_TRUTH = -math.log2(5)


def bounds(lab: Lab) -> Outcome:
    """Bounds on heartbeats and on a thin swiss roll beside the truth, and what samples look like."""
    import torch

    from renote.experiment import swiss_roll
    from renote.experiment.contrast import spread

    seeds = (0, 1, 2)
    presets = ("heartbeat", "laptop") if lab.laptop else ("heartbeat-full", "full")
    beats: list[SampleRun] = [lab.train("heartbeat", f"heartbeat-{s}", preset=presets[0], seed=s) for s in seeds]
    path = swiss_roll.write(lab.folder / "roll.npz")
    rolls: list[SampleRun] = [lab.train(str(path), f"roll-{s}", preset=presets[1], seed=s) for s in seeds]
    held_out = lab.data(str(path)).test
    sequences = torch.unique(lab.data("heartbeat").test, dim=0)
    truth = lab.measure("roll, truth", lambda: float(swiss_roll.log_density(held_out).mean()))
    null = -math.log2(2 * math.pi) - float(held_out.square().sum(1).mean()) / 2 * math.log2(math.e)
    found: dict[str, list[float]] = {}
    for seed, beat, roll in zip(seeds, beats, rolls):
        for name, function in {
            "heartbeat bound, bits": partial(_bound, beat, sequences, 100),
            "heartbeat samples in the set, %": partial(_in_set, beat),
            "swiss roll bound, bits": partial(_bound, roll, held_out, 1),
            "swiss roll samples, 95 % nearer than": partial(_distance, roll),
        }.items():
            found.setdefault(name, []).append(lab.measure(f"seed {seed}, {name}", function))
    measured: dict[str, Any] = {k: spread(v) for k, v in found.items()}
    means = {k: v["mean"] for k, v in measured.items()}
    measured |= {"heartbeat truth, bits": HEARTBEAT_TRUTH, "swiss roll truth, bits": truth}
    measured["swiss roll improvement over N(0, I), bits"] = means["swiss roll bound, bits"] - null
    holds = means["heartbeat bound, bits"] >= -2.45 and means["swiss roll bound, bits"] >= 2.2
    holds = holds and means["swiss roll samples, 95 % nearer than"] < 0.05
    note = (
        "Bits are the bound K of the log likelihood, the paper's first column, in log2 of the density for the roll: it depends on the "
        f"roll's scale and thickness. The paper does not say the thickness; here the standard deviation is {swiss_roll.THICKNESS}, of a roll of unit "
        "variance, and the truth beside it is computed from the density. Distances are from samples to the spiral."
    )
    images = torch.stack([state.noisy.cpu() for state in rolls[0].module.states(1500)])
    way = images[[0, len(images) // 2, -3, -1]]
    return Outcome(measured, holds, _figure(found, truth, beats[0].module.sample(40).cpu(), way), seeds, note)


def _bound(run: SampleRun, raw: Tensor, repeats: int) -> float:
    clean = run.data.clean(raw).repeat(repeats, 1)
    return -float(run.module.bits(clean).mean()) * clean.shape[1]


def _in_set(run: SampleRun) -> float:
    beats = (run.module.sample(1000, 1000) > 0).long()
    return 100 * float(((beats[:, :5].sum(1) == 1) & (beats[:, 5:] == beats[:, :-5]).all(1)).double().mean())


def _distance(run: SampleRun) -> float:
    from renote.experiment import swiss_roll

    return float(swiss_roll.distance(run.module.sample(1000, 1000).cpu()).quantile(0.95))


def _figure(found: dict[str, list[float]], truth: float, beats: Tensor, way: Tensor) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 2.9), layout="constrained")
    axes = figure.subplots(1, 6, width_ratios=(1.2, 1, 1, 1, 1, 1))
    rows = {"heartbeat": (HEARTBEAT_TRUTH, -2.414), "swiss roll": (truth, 2.35)}
    for i, (name, (exact, published)) in enumerate(rows.items()):
        row = found[f"{name} bound, bits"]
        axes[0].plot([i] * len(row), row, "o", color="C0", label="" if i else "measured")
        axes[0].plot([i], [exact], "_", ms=22, color="black", label="" if i else "truth")
        axes[0].plot([i], [published], "x", color="C1", label="" if i else "published")
    axes[0].set_xticks(range(len(rows)), list(rows))
    axes[0].set(xlim=(-0.5, 1.5), title="bound, bits")
    axes[0].legend(frameon=False, fontsize=8)
    axes[1].imshow(beats, cmap="gray_r", aspect="auto", interpolation="nearest")
    axes[1].set(title="heartbeat samples", xticks=[], yticks=[])
    for panel, points, title in zip(axes[2:], way, ("first step", "half way", "two steps left", "samples")):
        panel.scatter(*points.T, s=1, alpha=0.5)
        panel.set(title=title, xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), xticks=[], yticks=[], aspect="equal")
    return figure


POINTS: dict[str, Any] = {
    "steps": 6000,
    "learning_rate": 2e-3,
    "learning_rate_schedule": "cosine",
    "channels": 128,
    "multipliers": (1, 2, 2),
    "precision": "fp32",
}
HEARTBEAT: dict[str, Any] = {"steps": 2000, "batch_size": 256, "channels": 64, "blocks": 1, "num_train_steps": 1000}

SYSTEM = GenerativeSystem(
    name="dpm",
    title="Diffusion probabilistic models by the exact bound",
    paper=Paper(
        "Sohl-Dickstein, Weiss, Maheswaranathan & Ganguli",
        "Deep Unsupervised Learning using Nonequilibrium Thermodynamics",
        2015,
        "ICML 2015",
        "arXiv:1503.03585",
    ),
    parts=(
        "Gaussian process with learned steps",
        "binomial process",
        "learned reverse mean and variance",
        "exact variational bound",
    ),
    data="toy-swiss-roll",
    config=Config,
    build=build,
    presets={
        "laptop": POINTS,
        "heartbeat": POINTS | HEARTBEAT,
        "full": POINTS | {"steps": 60_000, "channels": 256},
        "heartbeat-full": POINTS | HEARTBEAT | {"steps": 20_000, "num_train_steps": 2000, "channels": 128},
    },
    claims=(
        Claim(
            "bounds",
            "A chain of learned steps comes close to the truth: at least -2.45 bits a heartbeat, where the truth is -log₂ 5, and 2.2 bits on a "
            "swiss roll, with samples on the roll.",
            "Table 1",
            {"heartbeat bound, bits": -2.414, "swiss roll bound, bits": 2.35},
            bounds,
        ),
    ),
    notes="Mean and variance are networks of their own; the last step is a learned Gaussian (or binned) decoder, where the paper sets p(x_0 | x_1) = q.",
)
