"""NCSN: noise conditional score networks.

Song & Ermon, "Generative Modeling by Estimating Gradients of the Data Distribution", NeurIPS 2019, arXiv:1907.05600.

    σ_1 > … > σ_L geometric;    L = 1/L Σ_i σ_i² E |s_θ(x + σ_i ε, σ_i) + ε / σ_i|²               (5), (6)
    annealed Langevin: at each level from σ_1 down, T times x ← x + α_i/2 s_θ(x, σ_i) + √α_i ε, α_i = ε_0 σ_i²/σ_L²      (algorithm 1)

The score itself, -ε/σ, is not what the network gives here, but σ times it (the noise up to a sign), as the loss's weight σ² makes both the same objective.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from renote.errors import UsageError
from renote.experiment import Claim, GaussianOptions, GenerativeSystem, Outcome, Paper
from renote.experiment.gaussian import LAPTOP, SMALL, SamplerName, ScheduleName, gaussian_model

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from renote.data import SampleData
    from renote.diffusion import DiffusionModel
    from renote.experiment import Lab


@dataclass(frozen=True, kw_only=True)
class Config(GaussianOptions):
    """Song & Ermon (2019), section 5: ten levels from 1 to 0.01, 100 Langevin steps each."""

    steps: int = 200_000
    learning_rate: float = 1e-3
    warmup_steps: int = 0
    ema_decay: float = 0.0
    schedule: ScheduleName = "ve"
    num_train_steps: int = 10
    """Noise levels L."""
    sampler: SamplerName = "langevin"
    sampling_steps: int = 10
    sigma_min: float = 0.01
    """Least noise level σ_L, for data in [0, 1]; twice that is used for data in [-1, 1]."""
    sigma_max: float = 1.0
    """Greatest noise level σ_1, likewise."""
    step_size: float = 4e-5
    """Langevin step ε_0 / 2 at the last level: the paper's 2e-5 for data in [0, 1] is 4 · 2e-5 / 2 for [-1, 1]."""
    repeats: int = 100
    """Langevin steps at each level, T."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        if self.num_train_steps < 2:
            raise UsageError(f"num_train_steps = {self.num_train_steps}: annealing needs at least two noise levels")


def build(config: Config, data: SampleData) -> DiffusionModel:
    """Geometric levels; the last of them at t = 1/L."""
    from renote import diffusion

    # level i of L lies at t = i/L, so the schedule reaches σ_L there and one ratio below at t = 0, which is never asked for
    ratio = (config.sigma_max / config.sigma_min) ** (1 / (config.num_train_steps - 1))
    schedule = diffusion.VESchedule(scale(data) * config.sigma_min / ratio, scale(data) * config.sigma_max)
    return gaussian_model(config, data, schedule=schedule)


def scale(data: SampleData) -> float:
    """How much wider data is here than in [0, 1], where the paper gives its noise levels."""
    return 2.0 if data.range is not None else 1.0


WEIGHTS, MEANS, VARIANCE = (0.2, 0.8), ((-5.0, -5.0), (5.0, 5.0)), 1.0
LEVELS = 10


def mode_weights(lab: Lab) -> Outcome:
    """Plain and annealed Langevin dynamics with the exact score of two separated modes (the paper's section 3.2.2)."""
    seeds, count = (0, 1, 2, 3, 4), 1280 if lab.laptop else 10_000
    shares: dict[str, list[float]] = {"plain": [], "annealed": []}
    last: dict[str, Tensor] = {}
    for seed in seeds:
        for name in shares:
            share, points = lab.measure(f"{name}, seed {seed}", partial(_modes, name, count, seed))
            shares[name].append(share)
            last[name] = points
    from renote.experiment.contrast import spread

    measured = {f"share of the mode of weight 0.8, {name}": spread(values) for name, values in shares.items()}
    plain, annealed = (measured[f"share of the mode of weight 0.8, {name}"]["mean"] for name in shares)
    holds = abs(plain - 0.8) > 0.1 and abs(annealed - 0.8) < 0.03
    note = (
        f"Exact scores of 0.2 N((-5, -5), I) + 0.8 N((5, 5), I), {count} chains a seed from the uniform distribution on [-8, 8]²; annealed: {LEVELS} levels "
        "from 20 to 1, 100 steps each; plain: as many steps, without noise levels."
    )
    return Outcome(measured, holds, _figure(last), seeds, note)


def _modes(name: str, count: int, seed: int) -> tuple[float, list[list[float]]]:
    import torch

    from renote import diffusion

    # a floor of 1e-3: plain Langevin uses the data's own score, at (almost) no added noise
    schedule = diffusion.VESchedule(1e-3, 20.0) if name == "plain" else diffusion.VESchedule(1.0, 20.0)
    exact = diffusion.MixtureDenoiser(schedule, torch.tensor(WEIGHTS), torch.tensor(MEANS), VARIANCE)
    noise = diffusion.NoiseSource(range(seed * count, (seed + 1) * count))
    start = (torch.special.ndtr(noise.normal((2,))) - 0.5) * 16
    if name == "plain":
        sampler, grid = diffusion.AnnealedLangevin(0.05, 100 * LEVELS, denoise=False), [(1e-9, 0.0)]
    else:
        sampler = diffusion.AnnealedLangevin(0.05, 100, denoise=True)
        grid = diffusion.grid.log_snr(schedule, LEVELS, 1e-9)
    *_, state = sampler(exact, diffusion.GaussianProcess(schedule), start, grid, noise)
    share = float((state.noisy.sum(1) > 0).double().mean())
    return share, state.noisy[:500].tolist()


def _figure(points: dict[str, Any]) -> Figure:
    import numpy as np
    import torch
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    generator = torch.Generator().manual_seed(0)
    mode = torch.multinomial(torch.tensor(WEIGHTS), 500, replacement=True, generator=generator)
    truth = torch.tensor(MEANS)[mode] + torch.randn(500, 2, generator=generator) * VARIANCE**0.5
    panels = {"data": truth.tolist(), "Langevin dynamics": points["plain"], "annealed": points["annealed"]}
    for axes, (title, rows) in zip(figure.subplots(1, 3, sharex=True, sharey=True), panels.items()):
        axes.scatter(*np.array(rows).T, s=3, linewidths=0)
        axes.set(title=title, xlim=(-9, 9), ylim=(-9, 9), aspect="equal")
    return figure


SYSTEM = GenerativeSystem(
    name="ncsn",
    title="Noise conditional score networks",
    paper=Paper(
        "Song & Ermon",
        "Generative Modeling by Estimating Gradients of the Data Distribution",
        2019,
        "NeurIPS 2019",
        "arXiv:1907.05600",
    ),
    parts=("geometric noise levels", "denoising score matching", "annealed Langevin dynamics"),
    data="fashion-mnist",
    config=Config,
    build=build,
    presets={
        name: preset | {"ema_decay": 0.999, "step_size": 1e-4, "repeats": 20}
        for name, preset in (("laptop", LAPTOP), ("small", SMALL))
    },
    claims=(
        Claim(
            "mode-weights",
            "Langevin dynamics misjudges the weights of modes that are far apart, annealed Langevin dynamics does not.",
            "Figure 3",
            {"weight of the larger mode": 0.8},
            mode_weights,
        ),
    ),
)
