"""DiffusionModel: denoiser, process and objective bundled; it makes batches, losses and samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from renote.allocator import keep_freed_memory
from renote.diffusion import grid as grids
from renote.diffusion.condition import NO_CLASS, Condition
from renote.diffusion.denoiser import Denoiser, Estimator
from renote.diffusion.guidance import ClassifierFreeGuidance, Clip, DynamicThresholding, GuidanceInterval
from renote.diffusion.loss import Weighting, weighted_loss, weighting_named
from renote.diffusion.noise import NoiseSource
from renote.diffusion.process.gaussian import GaussianProcess
from renote.diffusion.sampler.loop import Sampler, State
from renote.diffusion.sampler.registry import SAMPLERS
from renote.diffusion.times import TimeSampler, times_named
from renote.errors import UsageError, unknown

Batch = dict[str, Tensor]


class DiffusionModel(nn.Module):
    """L = E [w(t) |x_0 - D(x_t, t)|²], and samples by walking back from t = 1 to 0.

    Args:
        denoiser: the network and what its output means.
        process: how data is corrupted.
        shape: of one sample, of any rank.
        num_train_steps: T, if times are drawn from k/T; None for continuous time.
        num_classes: classes that the network is told of; 0 for none.
        condition_dropout: probability with which a sample's class is hidden in training.
        weighting: of the loss, a name or a function of log-SNR.
        data_range: least and largest value of data, to which estimates are clipped while sampling. By default (-1, 1), but None, without limits,
            for points (data of rank 1), whose range nobody knows. Give it where the network estimates noise and the schedule leaves little data at
            t = 1 (cosine): the estimate divides the network's error by alpha there, 5e-5, and only the range bounds it.
        times: which times the loss is measured at, a name or a sampler: uniform, low-discrepancy, log-normal, importance.
        shortest_time: last time before 0 of grids by noise level; by default 1/T, or 1e-3 for continuous time.

    Raises:
        UsageError: for values out of range.

    Example:
        >>> import torch
        >>> from renote import diffusion
        >>> class Zero(torch.nn.Module):
        ...     def forward(self, x, time, label):
        ...         return torch.zeros_like(x)
        >>> schedule = diffusion.CosineSchedule()
        >>> model = diffusion.DiffusionModel(
        ...     diffusion.Denoiser(Zero(), schedule, "clean"), diffusion.GaussianProcess(schedule), (1, 8, 8), num_train_steps=1000
        ... )
        >>> model.sample(4, sampler="ddim", steps=10).shape
        torch.Size([4, 1, 8, 8])
    """

    chances = 1
    bits_methods: ClassVar[tuple[str, ...]] = ("bound", "ode")
    preview_options: ClassVar[Mapping[str, Any]] = {"sampler": "ddim", "steps": 25}

    def __init__(
        self,
        denoiser: Denoiser,
        process: GaussianProcess,
        shape: Sequence[int],
        num_train_steps: int | None = None,
        num_classes: int = 0,
        condition_dropout: float = 0.0,
        weighting: str | Weighting = "simple",
        data_range: tuple[float, float] | str | None = "auto",
        times: str | TimeSampler = "uniform",
        shortest_time: float | None = None,
    ) -> None:
        super().__init__()
        if num_train_steps is not None and num_train_steps < 1:
            raise UsageError(f"num_train_steps = {num_train_steps}: a model is trained on at least one step")
        if not 0 <= condition_dropout <= 1:
            raise UsageError(f"condition_dropout = {condition_dropout}: a probability lies in [0, 1]")
        if num_classes < 0:
            raise UsageError(f"num_classes = {num_classes}: a number of classes is not negative")
        self.denoiser, self.process, self.shape = denoiser, process, tuple(shape)
        self.num_train_steps, self.num_classes, self.condition_dropout = num_train_steps, num_classes, condition_dropout
        self.weighting = weighting_named(weighting)
        if isinstance(data_range, str):
            data_range = (-1.0, 1.0) if len(self.shape) > 1 else None
        self.data_range = data_range
        self.times = times_named(times, process.schedule, num_train_steps)
        self.shortest_time = shortest_time or (1e-3 if num_train_steps is None else 1 / num_train_steps)

    def draw(self, clean: Tensor, label: Tensor | None, generator: torch.Generator) -> Batch:
        """All randomness of a training step, for the whole batch: whoever splits it changes nothing.

        Args:
            clean: (n, *shape) data, on the CPU.
            label: (n,) class numbers; ignored by a model without classes.
            generator: a CPU generator.

        Returns:
            `clean`, `time` (n,), `noise` (n, *shape) and `label` (n,) int64, -1 where it is dropped or unknown; `importance` (n,), if times are
            not alike.

        Raises:
            UsageError: for data or labels that do not fit the model.
        """
        if clean.shape[1:] != self.shape or not clean.is_floating_point():
            raise UsageError(
                f"data of shape {tuple(clean.shape)}, {clean.dtype}: this model takes (n, {', '.join(map(str, self.shape))}), floating"
            )
        n = len(clean)
        time, importance = self.times.draw(n, generator)
        noise = torch.randn(clean.shape, generator=generator, dtype=clean.dtype)
        labels = torch.full((n,), NO_CLASS)
        if self.num_classes and label is not None:
            labels = self._checked(label, n)
        if self.num_classes and self.condition_dropout:
            labels = labels.masked_fill(torch.rand(n, generator=generator) < self.condition_dropout, NO_CLASS)
        batch = {"clean": clean, "time": time, "noise": noise, "label": labels}
        return batch if importance is None else {**batch, "importance": importance}

    def forward(self, batch: Batch) -> Tensor:
        """The mean loss over the samples of a batch; it has no randomness of its own but the network's dropout.

        Args:
            batch: as `draw` makes it, or a part of it.
        """
        condition = self._condition(batch["label"])
        losses = weighted_loss(
            self.denoiser,
            self.process,
            batch["clean"],
            batch["noise"],
            batch["time"],
            condition,
            self.weighting,
            self.num_train_steps,
        )
        if self.training:
            self.times.learn(batch["time"], losses)
        if "importance" in batch:
            losses = losses * batch["importance"].to(losses)
        return losses.mean()

    def states(
        self,
        n: int,
        seed: int = 0,
        sampler: str | Sampler = "ancestral",
        steps: int | None = None,
        label: int | Sequence[int] | Tensor | None = None,
        guidance_scale: float | None = None,
        guidance_interval: tuple[float, float] | None = None,
        guidance_rescale: float = 0.0,
        clip: bool | str = True,
        spacing: str | grids.Grid = "trailing",
        wrap: Callable[[Estimator], Estimator] | None = None,
        **options: Any,
    ) -> Iterator[State]:
        """The sampler's states, one a step, without gradients and with the network in evaluation mode.

        Args:
            n: number of samples.
            seed: sample i is a function of seed + i, not of n.
            sampler: a name with its `options`, or the sampler itself.
            steps: steps of the grid; by default all training steps, or 1000.
            label: class of all samples, or one each; None for no class.
            guidance_scale: 0 unconditional, 1 conditional, above 1 extrapolated; None for plainly conditional.
            guidance_interval: guide only between these log-SNRs, (low, high).
            guidance_rescale: share of the estimate whose standard deviation guidance leaves as it was.
            clip: limit estimates to `data_range`; `"dynamic"` by their own percentile.
            spacing: which times: trailing, leading, uniform, quadratic, log-snr or rho; or the grid itself.
            wrap: a guidance of one's own, put around the guided denoiser, inside the clipping.
            options: of the sampler: `eta` of ddim, `variance` of ancestral, …

        Raises:
            UsageError: for arguments out of range; at once, not at the first state.
        """
        if n < 1:
            raise UsageError(f"n = {n}: at least one sample")
        walker = _sampler(sampler, options)
        grid = self._grid(steps, spacing)
        denoiser: Estimator = self.denoiser
        condition = self._condition_of_samples(n, label)
        if guidance_scale is not None:
            if condition is None or label is None:
                raise UsageError(f"guidance_scale = {guidance_scale}: guidance needs a label, and a model with classes")
            denoiser = ClassifierFreeGuidance(denoiser, guidance_scale, guidance_rescale)
            if guidance_interval is not None:
                denoiser = GuidanceInterval(denoiser, self.denoiser, self.process.schedule, *guidance_interval)
        denoiser = denoiser if wrap is None else wrap(denoiser)
        if clip == "dynamic":
            denoiser = DynamicThresholding(denoiser)
        elif clip and self.data_range is not None:
            denoiser = Clip(denoiser, *self.data_range)
        device, dtype = self._place()
        noise = NoiseSource(range(seed, seed + n), device, dtype)
        condition = None if condition is None else condition.to(device)
        return self._evaluating(
            walker(denoiser, self.process, self.process.prior(self.shape, noise), grid, noise, condition)
        )

    def sample(
        self,
        n: int,
        seed: int = 0,
        *,
        label: int | Sequence[int] | Tensor | None = None,
        batch_size: int = 256,
        **options: Any,
    ) -> Tensor:
        """Samples, drawn in batches.

        Args:
            n: how many.
            seed: sample i is a function of seed + i, not of n or the batch size.
            label: class of all samples, or one each; None for no class.
            batch_size: most samples at a time.
            options: of `states`.

        Returns:
            (n, *shape) on the network's device.

        Raises:
            UsageError: for arguments out of range.
        """
        if batch_size < 1:
            raise UsageError(f"batch_size = {batch_size}: at least one sample at a time")
        if n < 1:
            raise UsageError(f"n = {n}: at least one sample")
        condition = self._condition_of_samples(n, label)
        labels = None if label is None or condition is None else condition.label
        parts = []
        for start in range(0, n, batch_size):
            size = min(batch_size, n - start)
            part = None if labels is None else labels[start : start + size]
            # a queue of one keeps the last state without holding the earlier ones
            last = deque(self.states(size, seed + start, label=part, **options), maxlen=1)
            parts.append(last[0].noisy)
        return torch.cat(parts)

    def bits(
        self,
        clean: Tensor,
        seed: int = 0,
        *,
        method: str = "bound",
        label: Tensor | None = None,
        levels: int | None = None,
        **options: Any,
    ) -> Tensor:
        """Bits per dimension, by a bound or by the probability-flow ODE.

        Args:
            clean: (n, *shape) data.
            seed: of the noise; sample i is a function of seed + i.
            method: `"bound"`: the variational one, of T discrete steps or in continuous time; `"ode"`: exact up to its solver and the trace's estimate.
            label: (n,) classes, for a conditional model.
            levels: how many equally spaced values in [-1, 1] a number of the data has, so that bits are those of discrete data; None for densities.
            options: of the method, see `renote.diffusion.bits`.

        Returns:
            (n,) bits per dimension.

        Raises:
            UsageError: for an unknown method, or data that does not fit the model.
        """
        from renote.diffusion.bits import bits

        device, dtype = self._place()
        condition = self._condition_of_samples(len(clean), label)
        condition = None if condition is None else condition.to(device)
        noise = NoiseSource(range(seed, seed + len(clean)), device, dtype)
        training = [module for module in self.modules() if module.training]
        self.eval()
        try:
            return bits(
                self.denoiser,
                self.process,
                clean.to(device, dtype),
                noise,
                condition,
                method=method,
                num_train_steps=self.num_train_steps,
                levels=levels,
                data_range=self.data_range,
                **options,
            )
        finally:
            for module in training:
                module.training = True

    def _grid(self, steps: int | None, spacing: str | grids.Grid) -> grids.Grid:
        count = steps or self.num_train_steps or 1000
        if not isinstance(spacing, str):
            grids.check(spacing)
            return spacing
        if spacing == "log-snr":
            return grids.log_snr(self.process.schedule, count if steps is None else steps, self.shortest_time)
        if spacing == "rho":
            return grids.rho(self.process.schedule, count if steps is None else steps, self.shortest_time)
        if self.num_train_steps is None:
            if spacing not in ("trailing", "uniform"):
                raise UsageError(
                    f"spacing = {spacing!r}: a model of continuous time has no training steps to choose from; "
                    "leave spacing out, or use log-snr or rho"
                )
            return grids.uniform(count if steps is None else steps)
        return grids.subsequence(self.num_train_steps, count if steps is None else steps, spacing)

    def _condition(self, label: Tensor) -> Condition | None:
        return Condition(label) if self.num_classes else None

    def _condition_of_samples(self, n: int, label: int | Sequence[int] | Tensor | None) -> Condition | None:
        if label is None:
            return self._condition(torch.full((n,), NO_CLASS))
        if not self.num_classes:
            raise UsageError("this model was made without classes: leave label out")
        labels = torch.full((n,), label) if isinstance(label, int) else torch.as_tensor(label)
        return Condition(self._checked(labels, n))

    def _checked(self, label: Tensor, n: int) -> Tensor:
        if label.shape != (n,) or label.is_floating_point():
            raise UsageError(
                f"labels of shape {tuple(label.shape)}, {label.dtype}, for {n} samples: give one whole number each"
            )
        label = label.long()
        if n and not (int(label.min()) >= NO_CLASS and int(label.max()) < self.num_classes):
            bad = int(label.min()) if int(label.min()) < NO_CLASS else int(label.max())
            raise UsageError(f"label = {bad}: classes are numbered 0 to {self.num_classes - 1} (-1 for none)")
        return label

    def _place(self) -> tuple[torch.device, torch.dtype]:
        for parameter in self.parameters():
            double = parameter.dtype == torch.float64
            return parameter.device, torch.float64 if double else torch.float32
        return torch.device("cpu"), torch.float32

    def _evaluating(self, states: Iterator[State]) -> Iterator[State]:
        """Each state with the network in evaluation mode, and as it was whenever the caller has the word."""
        keep_freed_memory()
        modules = list(self.modules())  # once: finding them takes as long as a step of a small network
        while True:
            training = [module for module in modules if module.training]
            for module in training:
                module.training = False
            try:
                state = next(states, None)
            finally:
                for module in training:
                    module.training = True
            if state is None:
                return
            yield state


def _sampler(sampler: str | Sampler, options: dict[str, Any]) -> Sampler:
    if isinstance(sampler, str):
        if sampler not in SAMPLERS:
            raise unknown("sampler", sampler, SAMPLERS)
        kind = SAMPLERS[sampler]
        known = list(kind.__dataclass_fields__)
        for option in options:
            if option not in known:
                raise UsageError(f"{option} is no option of the sampler {sampler!r}, which has {', '.join(known)}")
        made: Sampler = kind(**options)
        return made
    if options:
        raise UsageError(f"{', '.join(options)}: give options to the sampler itself, or give the sampler by name")
    return sampler
