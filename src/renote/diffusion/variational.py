"""The model that is trained on its own bound, and its schedule with it.

Kingma, Salimans, Poole & Ho 2021, "Variational Diffusion Models" (VDM):

    -log p(x) ≤ KL(q(x_1 | x) || p(x_1)) + E_{t,ε} [-λ'(t) |ε - ε̂|² / 2] - E [log p(x | x_0)]                     (11), (13), (17)

The middle term depends on the schedule's ends alone, as do the other two. So its ends are trained by the bound's gradient, and its interior by that of the
square of each sample's estimate of the middle term, whose mean is the estimate's variance and a number that the interior does not change (appendix I.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from renote.diffusion.denoiser import Denoiser
from renote.diffusion.likelihood import nearest_log_probability, prior_divergence
from renote.diffusion.loss import weighted_loss
from renote.diffusion.model import Batch, DiffusionModel
from renote.diffusion.process.gaussian import GaussianProcess
from renote.diffusion.schedule import LearnedSchedule
from renote.diffusion.times import LogNormalTimes
from renote.errors import UsageError


class VariationalDiffusion(DiffusionModel):
    """L = the bound, in bits per dimension, whose gradient by the schedule's interior is that of its estimate's variance.

    Args:
        denoiser: the network, its schedule a `LearnedSchedule`, its variance not learned.
        process: how data is corrupted, by the same schedule.
        shape: of one sample, of any rank.
        num_train_steps: T, if the bound is that of T steps (equation 13); None for continuous time.
        levels: how many equally spaced values in [-1, 1] a number of the data has; None for densities.
        options: others of `DiffusionModel`; the weighting is the bound's.

    Raises:
        UsageError: for another schedule or weighting, or values out of range.

    Example:
        >>> import torch
        >>> from renote import diffusion, nets
        >>> schedule = diffusion.LearnedSchedule()
        >>> denoiser = diffusion.Denoiser(nets.PointNetwork(2, 16), schedule, diffusion.ByLogSNR(diffusion.Noise()))
        >>> model = diffusion.VariationalDiffusion(denoiser, diffusion.GaussianProcess(schedule), (2,))
        >>> batch = model.draw(torch.randn(8, 2), None, torch.Generator().manual_seed(0))
        >>> model(batch).backward()
        >>> schedule.bias.grad is not None
        True
    """

    def __init__(
        self,
        denoiser: Denoiser,
        process: GaussianProcess,
        shape: Sequence[int],
        num_train_steps: int | None = None,
        levels: int | None = None,
        **options: Any,
    ) -> None:
        options = {"weighting": "bound", "times": "low-discrepancy"} | options
        super().__init__(denoiser, process, shape, num_train_steps, **options)
        schedule = process.schedule
        if not isinstance(schedule, LearnedSchedule) or denoiser.schedule is not schedule:
            raise UsageError(
                f"{schedule}: a variational model has one LearnedSchedule, its denoiser's and its process's"
            )
        if options["weighting"] != "bound" or denoiser.learned_variance:
            raise UsageError(
                f"weighting = {options['weighting']!r}, learned_variance = {denoiser.learned_variance}: a variational model is trained on the bound, "
                "weighting = 'bound', whose steps have the variance of the process"
            )
        if levels is not None and levels < 2:
            raise UsageError(f"levels = {levels}: discrete data has at least two values")
        if isinstance(self.times, LogNormalTimes):
            raise UsageError("times = 'log-normal': the bound is the uniform average over time; use low-discrepancy")
        self.levels = levels

    @property
    def schedule(self) -> LearnedSchedule:
        """The denoiser's schedule, which is the process's too."""
        schedule = self.denoiser.schedule
        assert isinstance(schedule, LearnedSchedule)
        return schedule

    def draw(self, clean: Tensor, label: Tensor | None, generator: torch.Generator) -> Batch:
        """As for any model, and `first_noise` (n, *shape) of the decoder's x_0."""
        batch = super().draw(clean, label, generator)
        return {**batch, "first_noise": torch.randn(clean.shape, generator=generator, dtype=clean.dtype)}

    def forward(self, batch: Batch) -> Tensor:
        """The bound's mean over a batch, in bits per dimension.

        Args:
            batch: as `draw` makes it, or a part of it.
        """
        return torch.stack(self.terms(batch)).sum(0).mean() / math.log(2)

    def terms(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """KL(q(x_1 | x) || p(x_1)), an estimate of the middle term by one time, and of -log p(x | x_0); (n,) nats a dimension each.

        Args:
            batch: as `draw` makes it, or a part of it.
        """
        clean = batch["clean"]
        return prior_divergence(self.process, clean), self._diffusion(batch), self._reconstruction(batch)

    def _diffusion(self, batch: Batch) -> Tensor:
        time = batch["time"]
        held, interior = self.schedule.held(time, self.num_train_steps)
        losses = weighted_loss(
            Denoiser(self.denoiser.network, held, self.denoiser.parameterization),
            GaussianProcess(held),
            batch["clean"],
            batch["noise"],
            time,
            self._condition(batch["label"]),
            "bound",
        )
        if self.training:
            self.times.learn(time, losses)
        if "importance" in batch:
            losses = losses * batch["importance"].to(losses)
        if interior.requires_grad:
            # d L² = 2 L dL: each estimate has a place in the interior to itself (appendix I.2)
            gain = 2 * losses.detach()
            interior.register_hook(lambda gradient: gradient * gain)  # type: ignore[no-untyped-call]
        return losses

    def _reconstruction(self, batch: Batch) -> Tensor:
        clean, (first, _) = batch["clean"], self.schedule.ends()
        spread = torch.exp(-first / 2)
        if self.levels is None:
            # of N(x; x_0 / alpha, spread²), the limit of ∝ q(x_0 | x) over many values: its entropy
            return (spread.log() + (1 + math.log(2 * math.pi)) / 2).to(clean.dtype).expand(len(clean))
        return -nearest_log_probability(clean, batch["first_noise"], spread, self.levels).flatten(1).mean(1)
