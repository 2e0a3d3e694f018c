"""NVAE: a deep hierarchical variational autoencoder.

Vahdat & Kautz, "NVAE: A Deep Hierarchical Variational Autoencoder", NeurIPS 2020, arXiv:2007.03898.

    L = E_q [ log p(x | z) ] - Σ_l E_q [ KL(q(z_l | x, z_<l) || p(z_l | z_<l)) ]                      (1)
    p(z_l | z_<l) = N(μ, σ²),  q(z_l | x, z_<l) = N(μ + Δμ, (σ Δσ)²)                                  section 3.2
    KL = ½ (Δμ² / σ² + Δσ² - log Δσ² - 1)                                                             (2)
    L_SR = λ Σ_i s_i, s_i the largest singular value of a convolution                                 (3)
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from renote.errors import UsageError
from renote.experiment import AutoencoderOptions, Claim, GenerativeSystem, Outcome, Paper, contrast
from renote.experiment.autoencoder import decoder
from renote.train.options import Optimizer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from renote.data import SampleData
    from renote.diffusion import HierarchicalVAE
    from renote.experiment import Lab, SampleRun


@dataclass(frozen=True, kw_only=True)
class Config(AutoencoderOptions):
    """The paper's table 6 and released code, for CIFAR-10: 30 levels at 16 × 16, 400 epochs, 30 % of them to warm up."""

    from_one = ("levels", "latents", "channels", "multipliers", "cells", "expansion")

    steps: int = 78_000
    batch_size: int = 256
    optimizer: Optimizer = "adamax"
    learning_rate: float = 1e-2
    learning_rate_schedule: Literal["constant", "cosine", "linear"] = "cosine"
    warmup_steps: int = 1000
    weight_decay: float = 3e-4
    kl_warmup_steps: int = 23_400
    components: int = 10
    levels: tuple[int, ...] = (30,)
    """Levels of each group, from the coarsest; a group has a resolution of its own."""
    latents: int = 20
    """Channels of a level's latents."""
    channels: int = 128
    """Channels of features at full resolution."""
    multipliers: tuple[int, ...] = (1, 2)
    """Channels at each halved resolution, as multiples of the first; the last resolutions carry the groups."""
    cells: int = 2
    """Residual cells a level each way, and a resolution without latents."""
    expansion: int = 6
    """How many times as many channels cells have inside on the way to the data."""
    smoothness: float = 1e-2
    """Weight λ of the largest singular values, and of the largest gains of batch norm."""
    balance: bool = True
    """Whether the groups' divergences are balanced while they warm up."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        if not self.smoothness >= 0:
            raise UsageError(f"smoothness = {self.smoothness}: not negative; 0 regularizes nothing")


def build(config: Config, data: SampleData) -> HierarchicalVAE:
    """Groups of levels over halved resolutions, for signals, images, volumes and points."""
    from renote.diffusion import HierarchicalVAE
    from renote.nets import DeepHierarchy

    last = decoder(config, data)
    network = DeepHierarchy(
        data.shape,
        # a point is one place with all features in it
        math.prod(last.form) if len(data.shape) == 1 else last.form[0],
        config.levels,
        config.latents,
        config.channels,
        config.multipliers,
        config.cells,
        config.expansion,
    )
    return HierarchicalVAE(network, last, config.kl_warmup_steps, config.balance, config.smoothness)


# about equally many weights and latents
GROUPS: dict[str, contrast.Variant] = {
    "1 group": (None, {"levels": (1,), "multipliers": (1, 1), "channels": 24, "latents": 6}),
    "2 groups": (None, {"levels": (1, 1), "multipliers": (1, 1, 1), "channels": 19}),
    "3 groups": (None, {"levels": (1, 1, 1), "multipliers": (1, 1, 1, 1), "channels": 16}),
}


def deeper(lab: Lab) -> Outcome:
    """Held-out bits of one to three groups of levels, trained alike."""
    seeds, options = (0, 1, 2), {"size": 14} if lab.laptop else None
    steps, scale, count = (800, 1, 2000) if lab.laptop else (30_000, 3, 10_000)
    variants = {name: (of, {**to, "channels": scale * to["channels"]}) for name, (of, to) in GROUPS.items()}
    shared = {"steps": steps, "kl_warmup_steps": 3 * steps // 10}
    runs = contrast.trained(lab, "fashion-mnist", variants, seeds, "small", options, **shared)
    rows = {
        name: [lab.measure(f"{name}, seed {seed}", partial(_measure, run, count)) for seed, run in zip(seeds, of)]
        for name, of in runs.items()
    }
    bits = {name: [row["bits"] for row in of] for name, of in rows.items()}
    measured: dict[str, Any] = {f"bits per dimension, {name}": contrast.spread(values) for name, values in bits.items()}
    for name, of in runs.items():
        measured[f"parameters, {name}"] = of[0].parameters
        measured[f"latents, {name}"] = sum(of[0].module.sizes)
    one, two, three = (statistics.fmean(values) for values in bits.values())
    note = (
        f"Fashion-MNIST{' at 14 × 14 pixels' if lab.laptop else ''}, {steps} steps of {runs['1 group'][0].config.batch_size}, {count} held-out pictures. "
        "A group has one level; with each group more there is another, coarser resolution above. Widths are chosen so that all have about equally many weights."
    )
    return Outcome(measured, one > two > three, _figure(rows, runs), seeds, note)


def _measure(run: SampleRun, count: int) -> dict[str, Any]:
    model, clean = run.module, run.data.clean(run.data.test[:count])
    costs = model.divergences(clean[:500], 10_000)
    return {
        "bits": run.bits(count)["bits_per_dimension"],
        "kl": [float(cost.flatten(1).sum(1).mean()) / model.dimensions / math.log(2) for cost in costs],
    }


def _figure(rows: dict[str, list[dict[str, Any]]], runs: dict[str, list[SampleRun]]) -> Figure:
    from matplotlib.figure import Figure

    from renote.evaluate import image_grid

    figure = Figure(figsize=(13, 3.2), layout="constrained")
    panels = figure.subplots(1, 5, width_ratios=(1.2, 1.2, 1, 1, 1))
    for i, (name, of) in enumerate(rows.items()):
        panels[0].plot([i] * len(of), [row["bits"] for row in of], "o", color="C0")
        base = 0.0
        for group, value in enumerate(of[0]["kl"]):
            panels[1].bar([i], [value], bottom=[base], color=f"C{group + 3 - len(of[0]['kl'])}")
            base += value
        panels[2 + i].imshow(image_grid(runs[name][0].sample(36, seed=1)), cmap="gray")
        panels[2 + i].set(title=name, xticks=[], yticks=[])
    for panel, title in zip(panels, ("bits per dimension, held-out", "of which latents, coarsest below")):
        panel.set_xticks(range(len(rows)), list(rows))
        panel.set_title(title, fontsize=10)
    return figure


SMALL: dict[str, Any] = {
    "steps": 2000,
    "batch_size": 64,
    "optimizer": "adam",
    "learning_rate": 3e-3,
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "kl_warmup_steps": 600,
    "components": 3,
    "levels": (1, 1, 1),
    "latents": 4,
    "channels": 16,
    "multipliers": (1, 1, 1, 1),
    "cells": 1,
    "expansion": 3,
    "precision": "fp32",
}
LAPTOP = SMALL | {"channels": 24, "levels": (1, 2, 2), "multipliers": (1, 2, 2, 2), "preview_every": 500}

SYSTEM = GenerativeSystem(
    name="nvae",
    title="Deep hierarchical variational autoencoder",
    paper=Paper(
        "Vahdat & Kautz", "NVAE: A Deep Hierarchical Variational Autoencoder", 2020, "NeurIPS 2020", "arXiv:2007.03898"
    ),
    parts=(
        "groups of levels over resolutions",
        "residual normal distributions",
        "depthwise cells with squeeze and excitation",
        "spectral regularization",
        "warm-up with balanced divergences",
        "discretized logistics",
    ),
    data="fashion-mnist",
    config=Config,
    build=build,
    presets={"laptop": LAPTOP, "small": SMALL},
    claims=(
        Claim(
            "depth",
            "Deeper hierarchies have better likelihoods: bits per dimension fall from one to three groups of levels.",
            "Tables 1 and 2",
            {
                "CIFAR-10, bits": 2.91,
                "CIFAR-10, 10 groups": 3.34,
                "CIFAR-10, 20 groups": 3.23,
                "CIFAR-10, 40 groups": 3.16,
            },
            deeper,
        ),
    ),
    notes="Without the paper's normalizing flows in q. Between resolutions there is a strided convolution down, and a doubling with a convolution up.",
)
