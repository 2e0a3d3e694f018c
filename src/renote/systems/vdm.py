"""VDM: variational diffusion models.

Kingma, Salimans, Poole & Ho, "Variational Diffusion Models", NeurIPS 2021, arXiv:2107.00630.

    log_snr(t) = λ_0 - (λ_0 - λ_1) n(t), a monotone network                                    (3) to (5), appendix H
    -log p(x) ≤ KL(q(x_1 | x) || p(x_1)) + E_{t,ε} [-λ'(t) |ε - ε̂(x_t, λ_t)|² / 2] - E [log p(x | x_0)]       (11), (17)
    the ends λ_0, λ_1 by the bound's gradient, n by that of the variance of the middle term's estimate              section 5.3, appendix I.2

The network is given sin and cos of 2^n π x_t too, n = 7 and 8 for 8-bit data (section 3.4), and told λ_t, not t.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from renote.errors import UsageError
from renote.experiment import GaussianOptions, GenerativeSystem, Paper
from renote.experiment.gaussian import LAPTOP, SMALL, ScheduleName, TimesName, WeightingName, gaussian_model

if TYPE_CHECKING:
    from renote.data import SampleData
    from renote.diffusion import DiffusionModel


@dataclass(frozen=True, kw_only=True)
class Config(GaussianOptions):
    """Kingma et al. (2021), appendix B, for CIFAR-10: 32 blocks at full resolution, attention in the middle."""

    steps: int = 10_000_000
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    weight_decay: float = 0.01
    warmup_steps: int = 100
    gradient_clip: float = 0.0
    multipliers: tuple[int, ...] = (1,)
    blocks: int = 32
    head_channels: int = 128
    num_train_steps: int = 0
    schedule: ScheduleName = "learned"
    weighting: WeightingName = "bound"
    times: TimesName = "low-discrepancy"
    first_log_snr: float = 13.3
    """Log-SNR just above t = 0, before training."""
    last_log_snr: float = -5.0
    """Log-SNR at t = 1, before training."""
    learned_ends: bool = True
    """Whether both are trained."""
    schedule_units: int = 1024
    """Units of the network that is the schedule's interior; 0 keeps the log-SNR linear in time."""
    fourier: bool = True
    """Whether the network is given Fourier features of its input, where data has levels."""
    exponents: tuple[int, ...] = ()
    """Exponents n of the features; by default two that fit the smallest step between the data's values, the paper's 7 and 8 for 256 of them."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        if self.schedule != "learned":
            raise UsageError(
                f"schedule = {self.schedule!r}: vdm learns its schedule; schedule_units = 0 and learned_ends = False keep it linear, "
                "and ddpm with weighting = bound has the others"
            )


def settle(config: Config, data: SampleData) -> Config:
    """Exponents that fit the data's values; none for densities."""
    import torch

    if not config.fourier or data.levels is None:
        return replace(config, fourier=False, exponents=())
    if config.exponents:
        return config
    some = data.train[:: max(1, len(data.train) // 1000)]
    values = torch.unique(data.clean(some))
    gap = float(values.diff().min()) if len(values) > 1 else 2 / (data.levels - 1)
    # values 2^(1 - m) apart turn a feature of n = m - 1 by half a turn
    last = round(1 - math.log2(gap))
    return replace(config, exponents=(last - 1, last))


def build(config: Config, data: SampleData) -> DiffusionModel:
    """The model with its schedule inside, on a network that is told the log-SNR."""
    from renote import diffusion, nets
    from renote.experiment.backbone import backbone

    ends = config.first_log_snr, config.last_log_snr
    network = backbone(config, data, inputs=1 + 2 * len(config.exponents))
    return gaussian_model(
        config,
        data,
        kind=diffusion.VariationalDiffusion,
        schedule=diffusion.LearnedSchedule(*ends, config.schedule_units, config.learned_ends),
        parameterization=diffusion.ByLogSNR(diffusion.PARAMETERIZATIONS[config.parameterization], *ends),
        network=nets.FourierInput(network, config.exponents) if config.exponents else network,
        levels=data.levels,
    )


CHANGES = {"weight_decay": 0.0, "sampling_steps": 250}

SYSTEM = GenerativeSystem(
    name="vdm",
    title="Variational diffusion models",
    paper=Paper(
        "Kingma, Salimans, Poole & Ho", "Variational Diffusion Models", 2021, "NeurIPS 2021", "arXiv:2107.00630"
    ),
    parts=(
        "learned monotone log-SNR schedule",
        "continuous-time bound",
        "low-discrepancy times",
        "Fourier features",
        "noise estimate of the log-SNR",
    ),
    data="fashion-mnist",
    config=Config,
    build=build,
    settle=settle,
    presets={"laptop": LAPTOP | CHANGES, "small": SMALL | CHANGES},
)
