"""Generation as an experiment: batches of samples in, samples out."""

from __future__ import annotations

import inspect
import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from renote.data import SampleData
from renote.diffusion import State
from renote.errors import UsageError, unknown
from renote.experiment.run import Run, reload_data
from renote.train import EpochOrder, TrainOptions
from renote.train.learner import Batch, PlainLearner
from renote.train.log import StepProgress

if TYPE_CHECKING:
    from PIL.Image import Image


OWN = {
    "sampler": "sampler",
    "steps": "sampling_steps",
    "spacing": "spacing",
    "guidance_scale": "guidance_scale",
    "classifier_scale": "classifier_scale",
    "eta": "eta",
    "churn": "churn",
    "snr": "snr",
    "corrector_steps": "corrector_steps",
    "step_size": "step_size",
    "repeats": "repeats",
    "temperature": "temperature",
    "denoise": "denoise",
    "algorithm": "algorithm",
    "delta": "delta",
}
"""Options of sampling → fields of a system's configuration that hold its own values."""

GENERAL = ("steps", "spacing", "guidance_scale", "classifier_scale")
"""Options that mean the same to all samplers."""


MOST_NUMBERS = 2**24
"""Numbers, or chances of categories, that are held at a time, in a few copies: 128 megabytes each in double precision."""


class GenerativeModel(Protocol):
    """What a generative system trains: batches with all their randomness, a loss, samples."""

    shape: tuple[int, ...]
    num_classes: int
    chances: int
    """Numbers that it holds for each of a sample: more than one where it tells chances of categories."""
    bits_methods: tuple[str, ...]
    """Ways in which `bits` measures."""
    preview_options: Mapping[str, Any]
    """Options of `states` for a quick look at samples while training."""

    def draw(self, clean: Tensor, label: Tensor | None, generator: torch.Generator) -> Batch:
        """All randomness of a training step on clean (n, *shape), every tensor with the samples first; `step` (n,), its number, is added."""

    def states(self, n: int, seed: int = 0, *, label: Tensor | None = None, **options: Any) -> Iterator[State]:
        """The way to n samples, the last state's `noisy`; sample i is a function of seed + i. One state for a model of one step."""

    def bits(self, clean: Tensor, seed: int = 0, **options: Any) -> Tensor:
        """(n,) upper bounds of -log₂ p(x) / dimensions, or estimates."""


class SampleLearner(PlainLearner):
    """A generative model on batches of a data set; there is no validation, as its loss says little of samples.

    Args:
        model: the model.
        data: its samples.
        config: batch size, seed, and how previews are drawn.
    """

    def __init__(self, model: Any, data: SampleData, config: TrainOptions) -> None:
        self.module, self.data, self.config = model, data, config
        self.order = EpochOrder(max(1, len(data.train)), config.batch_size or max(1, len(data.train)), config.seed)

    def batch(self, step: int, generator: torch.Generator) -> Batch | None:
        """Clean samples with their times, noises and labels."""
        chosen = self.order.indices(step)
        labels = None if self.data.train_labels is None else self.data.train_labels[chosen]
        drawn: Batch = self.module.draw(self.data.clean(self.data.train[chosen]), labels, generator)
        # a loss may change over training, and a part of a batch must know when it is
        return {**drawn, "step": torch.full((len(chosen),), step)}

    def preview(self) -> Image | None:
        """A grid of 64 samples, drawn as the model would for a quick look."""
        if not self.data.is_image:
            return None
        from renote.evaluate import image_grid

        model = self.module
        label = torch.arange(64) % model.num_classes if model.num_classes else None
        (last,) = deque(model.states(64, label=label, **model.preview_options), maxlen=1)
        return image_grid(self.data.shown(self.data.raw(last.noisy.cpu())))


class SampleRun(Run):
    """A trained generative model."""

    module: Any
    """A `GenerativeModel`."""
    data: SampleData

    @property
    def samples_file(self) -> str:
        """Where samples go, if nothing else is asked for."""
        if self.data.graphs is not None and self.data.graphs.molecules:
            return "samples.smi"
        return "samples.txt" if self.data.alphabet else "samples.png"

    @property
    def next_command(self) -> str:
        """Samples."""
        return f"sample {self.folder} --out {self.samples_file}"

    def sample(
        self,
        n: int = 64,
        *,
        seed: int = 0,
        label: int | str | Sequence[int] | None = None,
        progress: bool = False,
        **options: Any,
    ) -> Tensor:
        """Draw samples in the data's own units.

        Args:
            n: how many.
            seed: sample i depends on seed + i alone, not on n.
            label: class number or name for all, or a number each; None leaves it to chance, or to the model.
            progress: show a progress bar on standard error.
            options: of the model's way of sampling, None for the system's own: for diffusion `sampler`, `steps`, `spacing`, `guidance_scale`,
                and those of the sampler, such as `eta` of ddim; for text with a mask `given`, characters to keep with _ where they are free.

        Returns:
            (n, *shape) in the dtype of the data.

        Raises:
            UsageError: for an unknown sampler, class or option, or a value out of range.
        """
        labels, settings = self._labels(n, seed, label), self.settings(**options)
        # noise of a chunk of samples stays within the processor's caches and a few hundred megabytes
        cuda = any(weight.is_cuda for weight in self.module.parameters())
        size = min(n, self._chunk(5000 if cuda else 500, 8 if cuda else 1, 2**22))
        chunks = []
        with StepProgress("sampling", 100 * -(-n // size), shown=progress) as bar:
            for chunk, start in enumerate(range(0, n, size)):
                some = None if labels is None else labels[start : start + size]
                state = None
                for state in self.module.states(min(size, n - start), seed + start, label=some, **settings):
                    bar.to(100 * chunk + round(100 * (state.step + 1) / state.steps))
                assert state is not None
                chunks.append(self.data.raw(state.noisy.cpu()))
        return torch.cat(chunks)

    def states(
        self, n: int = 8, *, seed: int = 0, label: int | str | Sequence[int] | None = None, **options: Any
    ) -> Iterator[State]:
        """The sampler's states one by one, for pictures of the way; arguments as for `sample`."""
        yield from self.module.states(n, seed, label=self._labels(n, seed, label), **self.settings(**options))

    def film(self, n: int = 8, frames: int = 10, **options: Any) -> list[Tensor]:
        """The way from noise to samples: the noisy state after evenly chosen steps, clean samples last.

        Args:
            n: number of samples.
            frames: pictures of the way.
            options: of `states`.

        Returns:
            At most `frames` tensors (n, *shape) in the data's own units. These have none for a mask, in whose place is the middle of the range: `clean_film` tells
            it apart, and `evaluate.write_film_of(run.data, run.clean_film(), path)` draws it.
        """
        return [self.data.raw(frame) for frame in self.clean_film(n, frames, **options)]

    def clean_film(self, n: int = 8, frames: int = 10, **options: Any) -> list[Tensor]:
        """The frames of `film` as the model has them, in [-1, 1], NaN where a mask is; arguments as there."""
        return _evenly([state.noisy for state in self.states(n, **options)], frames)

    def restore(
        self, clean: Tensor, *, strength: float = 1.0, seed: int = 0, frames: int = 10, **options: Any
    ) -> list[Tensor]:
        """Degrade data and undo it, by a model that restores.

        Args:
            clean: (n, *shape) in [-1, 1], as `data.clean` gives them.
            strength: of the degradation, to 1.
            seed: what is random in that of sample i is a function of seed + i.
            frames: pictures of the way.
            options: of sampling, such as `algorithm` of cold-diffusion or `delta` of ihdm, None for the system's own; `steps`, by default all up to that strength.

        Returns:
            At most `frames` tensors (n, *shape) in [-1, 1], evenly chosen: what is degraded first, what is restored last.

        Raises:
            UsageError: for a model that restores nothing, a strength out of (0, 1], or another option.
        """
        if not hasattr(self.module, "restorations"):
            raise UsageError(f"{self.system.name} makes samples and restores nothing: train cold-diffusion or ihdm")
        if seed < 0:
            raise UsageError(f"seed = {seed}: seeds are not negative")
        steps = options.pop("steps", None)
        settings = self.settings(**options) | {"steps": steps}
        way = [self.module.degraded(clean, seed, strength)]
        way += [state.noisy for state in self.module.restorations(clean, seed, strength=strength, **settings)]
        return _evenly(way, frames)

    def evaluate(
        self,
        n: int = 1000,
        *,
        data: SampleData | None = None,
        features: str | Path | None = None,
        seed: int = 0,
        progress: bool = False,
        **options: Any,
    ) -> dict[str, Any]:
        """How near samples are to the training data, how varied, and how well classes are met.

        Args:
            n: number of samples.
            data: what to compare with; the run's own data by default.
            features: weights of a classifier in whose features to compare; by default the data set's own.
            seed: of the samples.
            progress: show a progress bar on standard error.
            options: of `sample`.

        Returns:
            The measures of `renote.evaluate.Features.measures`: `frechet_distance`, `kernel_distance`, `precision`, `recall`, `density`,
            `coverage`, `inception_score`, for conditional models `class_accuracy`, and `features`, what they are measured in. Of text those of
            `renote.evaluate.text_measures`, of graphs and molecules those of `renote.evaluate.graph_measures`.
        """
        from renote import evaluate

        data = self.training_data() if data is None else data
        labels = self.labels_in_turn(n)
        samples = self.sample(n, seed=seed, label=labels, progress=progress, **options)
        if data.alphabet:
            return dict(evaluate.text_measures(samples, data))
        if data.graphs is not None:
            return evaluate.graph_measures(samples, data)
        if data.categories:
            return dict(evaluate.map_measures(samples, data))
        wanted = None if labels is None else torch.tensor(labels)
        return evaluate.features(data, network=features).measures(samples, wanted)

    def labels_in_turn(self, n: int) -> list[int] | None:
        """Labels of n samples, the classes one after the other, so that there are as many of each; None for a model without classes."""
        return [i % self.module.num_classes for i in range(n)] if self.module.num_classes else None

    def bits(self, n: int | None = None, *, method: str = "bound", seed: int = 0, **options: Any) -> dict[str, Any]:
        """Bits per dimension of held-out samples, or of training samples where none are held out.

        Args:
            n: how many samples; all by default.
            method: one of the model's `bits_methods`: `"bound"`, or for Gaussian diffusion `"ode"`.
            seed: of the noise.
            options: of the model's `bits`.

        Returns:
            `bits_per_dimension` with its standard error over samples, None for one sample, `method`, `samples`, `split`; of tokens also `bits_per_character`.

        Raises:
            UsageError: for a method that the model does not have, or a model without likelihood.
        """
        known = inspect.signature(self.module.bits).parameters
        if not self.module.bits_methods:
            raise UsageError(f"{self.system.name} has no likelihood: leave bits out")
        if method not in self.module.bits_methods:
            ways = " or ".join(self.module.bits_methods)
            raise UsageError(f"method = {method!r}: bits of this {self.system.name} are measured by {ways}")
        data = self.training_data()
        split = "test" if len(data.test) else "train"
        raw = data.test if len(data.test) else data.train
        clean = data.clean(raw[:n])
        given = {"method": method, "levels": data.levels}
        options |= {name: value for name, value in given.items() if name in known}
        size = self._chunk(500)
        found = torch.cat(
            [self.module.bits(part, seed + size * i, **options) for i, part in enumerate(torch.split(clean, size))]
        )
        error = float(found.double().std()) / len(found) ** 0.5 if len(found) > 1 else None
        per_character = {}
        if isinstance(data.alphabet, tuple):
            written = sum(map(len, data.text(raw[:n])))
            per_character["bits_per_character"] = float(found.double().sum()) * data.shape[0] / max(1, written)
        return per_character | {
            "bits_per_dimension": float(found.double().mean()),
            "standard_error": error,
            "method": method,
            "samples": len(found),
            "split": split,
        }

    def _chunk(self, most: int, times: int = 1, numbers: int = MOST_NUMBERS) -> int:
        """How many samples at a time, at most `most`: less than `numbers` of them, and `times` MOST_NUMBERS that the model holds."""
        one, chances = max(1, math.prod(self.data.shape)), int(self.module.chances)
        return max(1, min(most, numbers // one, times * MOST_NUMBERS // (one * chances)))

    def training_data(self) -> SampleData:
        """The data with its samples, which are read again if the run was loaded without them."""
        if len(self.data.train):
            return self.data
        assert self.folder is not None
        loaded = self.system.prepared(reload_data(self.folder))
        assert isinstance(loaded, SampleData)
        return loaded

    def settings(self, **options: Any) -> dict[str, Any]:
        """The options of `states` that samples are drawn with: those given, None for none, else the system's own.

        Raises:
            UsageError: for an option that the model does not have.
        """
        known = inspect.signature(self.module.states).parameters
        given = {key: value for key, value in options.items() if value is not None}
        if not any(parameter.kind == parameter.VAR_KEYWORD for parameter in known.values()):
            for option in given:
                if option not in known:
                    raise unknown(f"sampling option of {self.system.name}", option, list(known)[3:])
        own = {name: getattr(self.config, field, None) for name, field in OWN.items() if hasattr(self.config, field)}
        if given.get("sampler", own.get("sampler")) != own.get("sampler"):
            own = {name: value for name, value in own.items() if name in GENERAL}
        if "given" in given and not isinstance(given["given"], torch.Tensor):
            if not isinstance(given["given"], str):
                raise UsageError(
                    f"given = {given['given']!r}: give a text with {self.data.blank} for what is free, or values"
                )
            given["given"] = self.data.template(given["given"])
        return {name: value for name, value in own.items() if value is not None} | given

    def _labels(self, n: int, seed: int, label: int | str | Sequence[int] | None) -> Tensor | None:
        if n < 1:
            raise UsageError(f"n = {n}: at least one sample")
        if seed < 0:
            raise UsageError(f"seed = {seed}: seeds are not negative")
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


def _evenly(way: list[Tensor], frames: int) -> list[Tensor]:
    """At most so many of the states, the first and the last among them."""
    chosen = sorted({round(i * (len(way) - 1) / max(1, frames - 1)) for i in range(frames)})
    return [way[index].cpu() for index in chosen]
