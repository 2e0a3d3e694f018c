"""Times of training: at which noise levels the loss is measured.

    uniform           all steps k/T alike, or all of [1e-5, 1]
    low-discrepancy   t_i = (u + i/n) mod 1: a batch covers the range evenly           Kingma et al. 2021 (VDM), appendix I.1
    log-normal        log(sigma/alpha) ~ N(-1.2, 1.2²)                                 Karras et al. 2022, section 5
    importance        p(k) ∝ √E[L_k²] over the last ten losses of each step k          Nichol & Dhariwal 2021, section 3.3

A time comes with its weight, by which the loss is multiplied to stay an estimate of the uniform average; log-normal means another average, so
its weights are 1. Sampling is orthogonal to the weighting of the loss.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from renote.diffusion.schedule import Schedule
from renote.errors import UsageError, unknown

SHORTEST_TIME = 1e-5
"""Continuous times are not below this one: at 0 there is no noise to estimate (the value of Song et al. 2021)."""

HISTORY = 10
UNIFORM_SHARE = 1e-3


class TimeSampler(nn.Module):
    """Draws times; a module, so that what it learns is part of a checkpoint.

    Args:
        num_train_steps: T, if times are k/T; None for continuous time.

    Raises:
        UsageError: for fewer than one step.
    """

    def __init__(self, num_train_steps: int | None = None) -> None:
        super().__init__()
        if num_train_steps is not None and num_train_steps < 1:
            raise UsageError(f"num_train_steps = {num_train_steps}: a model is trained on at least one step")
        self.num_train_steps = num_train_steps

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """(n,) times and (n,) weights, None for all 1.

        Args:
            n: how many.
            generator: source of randomness.
        """
        raise NotImplementedError

    def learn(self, t: Tensor, losses: Tensor) -> None:
        """Take note of (n,) losses at times t (n,)."""

    def _times(self, unit: Tensor) -> Tensor:
        """Numbers in [0, 1), float64, to times."""
        if self.num_train_steps is None:
            return (1 - unit * (1 - SHORTEST_TIME)).float()
        return ((unit * self.num_train_steps).floor().add(1) / self.num_train_steps).float()


class UniformTimes(TimeSampler):
    """All times alike."""

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Independent times."""
        if self.num_train_steps is not None:
            steps = torch.randint(1, self.num_train_steps + 1, (n,), generator=generator)
            return (steps.double() / self.num_train_steps).float(), None
        return self._times(torch.rand(n, generator=generator, dtype=torch.float64)), None


class LowDiscrepancyTimes(TimeSampler):
    """t_i = (u + i/n) mod 1 with one u a batch; each alone is uniform."""

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Evenly spread times, in a random order."""
        start = torch.rand((), generator=generator, dtype=torch.float64)
        order = torch.randperm(n, generator=generator)
        return self._times(((start + torch.arange(n, dtype=torch.float64) / max(1, n)) % 1)[order]), None


class LogNormalTimes(TimeSampler):
    """log(sigma/alpha) ~ N(mean, std²), drawn again by the nearest end where the schedule has no such level.

    Args:
        schedule: its levels.
        mean: P_mean.
        std: P_std.

    Raises:
        UsageError: if std is not positive.
    """

    def __init__(self, schedule: Schedule, mean: float = -1.2, std: float = 1.2) -> None:
        super().__init__(None)
        if not std > 0:
            raise UsageError(f"std = {std}: the spread of log noise levels is positive")
        self.schedule, self.mean, self.std = schedule, mean, std

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Times of log-normal noise levels."""
        logs = self.mean + self.std * torch.randn(n, generator=generator, dtype=torch.float64)
        return self.schedule.time(-2 * logs).clamp(min=SHORTEST_TIME / 10).float(), None


class ImportanceTimes(TimeSampler):
    """p(k) ∝ √E[L_k²], once every step has ten losses; until then uniform.

    Each process of a distributed training keeps the losses that it saw.

    Args:
        num_train_steps: T.
    """

    history: Tensor
    seen: Tensor

    def __init__(self, num_train_steps: int) -> None:
        super().__init__(num_train_steps)
        self.register_buffer("history", torch.zeros(num_train_steps, HISTORY, dtype=torch.float64))
        self.register_buffer("seen", torch.zeros(num_train_steps, dtype=torch.int64))

    def probabilities(self) -> Tensor:
        """(T,) probabilities of the steps."""
        steps = len(self.seen)
        if bool((self.seen < HISTORY).any()):
            return torch.full((steps,), 1 / steps, dtype=torch.float64)
        root = self.history.square().mean(1).sqrt().cpu()
        return (1 - UNIFORM_SHARE) * root / root.sum() + UNIFORM_SHARE / steps

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Times, and weights 1 / (T p)."""
        probabilities = self.probabilities()
        chosen = torch.multinomial(probabilities, n, replacement=True, generator=generator)
        weights = 1 / (len(probabilities) * probabilities[chosen])
        return ((chosen + 1).double() / len(probabilities)).float(), weights.float()

    @torch.no_grad()
    def learn(self, t: Tensor, losses: Tensor) -> None:
        """Put each loss in its step's ring of ten."""
        step, order = (t.double() * len(self.seen)).round().long().sub(1).sort(stable=True)
        # how many earlier losses of the batch belong to the same step
        rank = torch.arange(len(step), device=step.device) - torch.searchsorted(step, step)
        many = torch.bincount(step, minlength=len(self.seen))
        kept = rank >= many[step] - HISTORY
        slot = (self.seen[step] + rank) % HISTORY
        self.history[step[kept], slot[kept]] = losses.detach().double()[order][kept]
        self.seen += many


TIMES: dict[str, Callable[[Schedule, int | None], TimeSampler]] = {
    "uniform": lambda schedule, steps: UniformTimes(steps),
    "low-discrepancy": lambda schedule, steps: LowDiscrepancyTimes(steps),
    "log-normal": lambda schedule, steps: LogNormalTimes(schedule),
    "importance": lambda schedule, steps: ImportanceTimes(1000 if steps is None else steps),
}
"""Name → how it is made from a schedule and the number of steps T, None for continuous time."""


def times_named(name: str | TimeSampler, schedule: Schedule, num_train_steps: int | None) -> TimeSampler:
    """The time sampler of that name, or the sampler itself.

    Args:
        name: one of `TIMES`, or a sampler.
        schedule: whose noise levels are drawn.
        num_train_steps: T; None for continuous time.

    Raises:
        UsageError: for an unknown name.
    """
    if isinstance(name, TimeSampler):
        return name
    if name not in TIMES:
        raise unknown("times", name, TIMES)
    return TIMES[name](schedule, num_train_steps)
