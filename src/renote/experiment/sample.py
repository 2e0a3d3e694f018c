"""Generation as an experiment: batches of samples in, samples out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from renote.data import SampleData
from renote.diffusion import DiffusionModel, State
from renote.errors import UsageError
from renote.experiment.run import Run, reload_data
from renote.train import EpochOrder, TrainOptions
from renote.train.learner import Batch
from renote.train.log import StepProgress

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """How samples are drawn; what is None is as the system's configuration says."""

    sampler: str | None = None
    """Name of the sampler: ancestral or ddim."""
    steps: int | None = None
    """Network evaluations a sample (twice as many with guidance)."""
    eta: float | None = None
    """Noise that ddim adds: 0 none, 1 as much as ancestral."""
    guidance_scale: float | None = None
    """0 ignores the class, 1 is plainly conditional, above 1 exaggerates it."""


class SampleLearner:
    """A diffusion model on batches of a data set.

    Args:
        model: the model.
        data: its samples.
        config: batch size, seed, and how previews are drawn.
    """

    metric: str | None = None

    def __init__(self, model: DiffusionModel, data: SampleData, config: TrainOptions) -> None:
        self.module, self.data, self.config = model, data, config
        self.order = EpochOrder(max(1, len(data.train)), config.batch_size or max(1, len(data.train)), config.seed)

    def batch(self, step: int, generator: torch.Generator) -> Batch | None:
        """Clean samples with their times, noises and labels."""
        chosen = self.order.indices(step)
        labels = None if self.data.train_labels is None else self.data.train_labels[chosen]
        return self.module.draw(self.data.clean(self.data.train[chosen]), labels, generator)

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """All parameters alike."""
        return [{"params": list(self.module.parameters()), "weight_decay": weight_decay}]

    def validate(self) -> Mapping[str, float]:
        """Empty: samples are judged by evaluation, the loss says little of them."""
        return {}

    def preview(self) -> Image | None:
        """A grid of 64 samples in 25 deterministic steps."""
        if not self.data.is_image:
            return None
        from renote.evaluate import image_grid

        model = self.module
        label = torch.arange(64) % model.num_classes if model.num_classes else None
        samples = model.sample(64, label=label, sampler="ddim", steps=min(25, model.num_train_steps or 25))
        return image_grid(self.data.raw(samples.cpu()))


class SampleRun(Run):
    """A trained generative model."""

    module: DiffusionModel
    data: SampleData

    def sample(
        self,
        n: int = 64,
        *,
        seed: int = 0,
        label: int | str | Sequence[int] | None = None,
        sampler: str | None = None,
        steps: int | None = None,
        eta: float | None = None,
        guidance_scale: float | None = None,
        progress: bool = False,
    ) -> Tensor:
        """Draw samples in the data's own units.

        Args:
            n: how many.
            seed: sample i depends on seed + i alone, not on n.
            label: class number or name for all, or a number each; None leaves it to chance, or to the model.
            sampler: `"ancestral"` or `"ddim"`; the system's own by default.
            steps: network evaluations.
            eta: noise that ddim adds, 0 to 1.
            guidance_scale: 0 unconditional, 1 conditional, above 1 extrapolated.
            progress: show a progress bar on standard error.

        Returns:
            (n, *shape) in the dtype of the data.

        Raises:
            UsageError: for an unknown sampler or class, or a value out of range.
        """
        state = None
        settings = self._settings(
            n, seed, label, SamplingOptions(sampler=sampler, steps=steps, eta=eta, guidance_scale=guidance_scale)
        )
        chunks = []
        size = settings.pop("chunk")
        labels = settings.pop("label")
        count = -(-n // size)
        total = count * settings["steps"]
        with StepProgress("sampling", total, shown=progress) as bar:
            for chunk, start in enumerate(range(0, n, size)):
                some = None if labels is None else labels[start : start + size]
                part = {**settings, "seed": seed + start, "label": some}
                for state in self.module.states(min(size, n - start), **part):
                    bar.to(chunk * settings["steps"] + state.step + 1)
                assert state is not None
                chunks.append(self.data.raw(state.noisy.cpu()))
        return torch.cat(chunks)

    def states(
        self, n: int = 8, *, seed: int = 0, label: int | str | Sequence[int] | None = None, **options: Any
    ) -> Iterator[State]:
        """The sampler's states one by one, for pictures of the way; arguments as for `sample`."""
        settings = self._settings(n, seed, label, SamplingOptions(**options))
        settings.pop("chunk")
        yield from self.module.states(n, seed=seed, **settings)

    def film(self, n: int = 8, frames: int = 10, **options: Any) -> list[Tensor]:
        """The way from noise to samples: the noisy state after evenly chosen steps, clean samples last.

        Args:
            n: number of samples.
            frames: pictures of the way.
            options: of `states`.

        Returns:
            At most `frames` tensors (n, *shape) in the data's own units.
        """
        states = [(state.step, state.steps, state.noisy) for state in self.states(n, **options)]
        chosen = sorted({round(i * (len(states) - 1) / max(1, frames - 1)) for i in range(frames)})
        return [self.data.raw(states[index][2].cpu()) for index in chosen]

    def evaluate(
        self, n: int = 1000, *, data: SampleData | None = None, seed: int = 0, progress: bool = False, **options: Any
    ) -> dict[str, Any]:
        """Fréchet distance of samples to the training data, and how well classes are met.

        Args:
            n: number of samples.
            data: what to compare with; the run's own data by default.
            seed: of the samples.
            progress: show a progress bar on standard error.
            options: of `sample`.

        Returns:
            `frechet_distance` with `features` naming what it is measured in, `samples`, and for conditional models
            `class_accuracy`: percent of samples that a classifier of the data takes for the class asked for.
        """
        from renote import evaluate

        data = self._data(data)
        labels = None
        if self.module.num_classes:
            labels = torch.arange(n) % self.module.num_classes
        samples = self.sample(
            n, seed=seed, label=None if labels is None else labels.tolist(), progress=progress, **options
        )
        features = evaluate.features(data)
        measures: dict[str, Any] = {
            "frechet_distance": features.distance(samples),
            "features": features.name,
            "samples": n,
        }
        if labels is not None and features.classify is not None:
            measures["class_accuracy"] = 100 * float((features.classify(samples) == labels).double().mean())
        return measures

    def _data(self, data: SampleData | None) -> SampleData:
        if data is not None:
            return data
        if len(self.data.train):
            return self.data
        assert self.folder is not None
        loaded = reload_data(self.folder)
        assert isinstance(loaded, SampleData)
        return loaded

    def _settings(
        self, n: int, seed: int, label: int | str | Sequence[int] | None, options: SamplingOptions
    ) -> dict[str, Any]:
        if n < 1:
            raise UsageError(f"n = {n}: at least one sample")
        if seed < 0:
            raise UsageError(f"seed = {seed}: seeds are not negative")
        defaults = {"sampler": "ancestral", "sampling_steps": 1000, "eta": None, "guidance_scale": None}
        own = {key: getattr(self.config, key, value) for key, value in defaults.items()}
        name = options.sampler or own["sampler"]
        settings: dict[str, Any] = {
            "sampler": name,
            "steps": own["sampling_steps"] if options.steps is None else options.steps,
            "guidance_scale": own["guidance_scale"] if options.guidance_scale is None else options.guidance_scale,
            "label": self._labels(n, seed, label),
            # noise of a chunk of samples stays within the processor's caches and a few hundred megabytes
            "chunk": max(1, min(n, 2**22 // max(1, torch.Size(self.data.shape).numel()), 500)),
        }
        eta = own["eta"] if options.eta is None and name == own["sampler"] else options.eta
        if eta is not None:
            settings["eta"] = eta
        return settings

    def _labels(self, n: int, seed: int, label: int | str | Sequence[int] | None) -> Tensor | None:
        classes = self.module.num_classes
        if label is None:
            if not classes:
                return None
            # each sample's class is a function of its seed, so it does not depend on n
            return torch.tensor(
                [int(torch.randint(classes, (), generator=torch.Generator().manual_seed(seed + i))) for i in range(n)]
            )
        if not classes:
            raise UsageError(
                f"label = {label!r}: this {self.system.name} was trained without classes; leave label out, or train cfg"
            )
        if isinstance(label, str):
            if label not in self.data.classes and not label.isdecimal():
                raise UsageError(f"label = {label!r} is no class of {self.data.name}: {', '.join(self.data.classes)}")
            label = self.data.classes.index(label) if label in self.data.classes else int(label)
        labels = torch.full((n,), label) if isinstance(label, int) else torch.as_tensor(list(label))
        if labels.shape != (n,):
            raise UsageError(f"{len(labels)} labels for n = {n} samples: give one for all, or one each")
        if int(labels.min()) < 0 or int(labels.max()) >= classes:
            bad = int(labels.min()) if int(labels.min()) < 0 else int(labels.max())
            raise UsageError(f"label = {bad}: classes are numbered 0 to {classes - 1} ({', '.join(self.data.classes)})")
        return labels
