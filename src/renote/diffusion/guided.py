"""A diffusion model with a classifier of its noisy data beside it, trained on the same batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.diffusion.condition import NO_CLASS
from renote.diffusion.denoiser import Estimator
from renote.diffusion.guidance import ClassifierGuidance
from renote.diffusion.model import Batch, DiffusionModel
from renote.diffusion.parameterization import TIME_SCALE
from renote.diffusion.sampler.loop import State
from renote.errors import UsageError


class ClassifierGuidedModel(DiffusionModel):
    """L = L_diffusion + E [-log p(class | x_t)]: two networks that share nothing but the batches, so each trains as if alone.

    Args:
        parts: those of `DiffusionModel`; `num_classes` is that of the classifier, and a denoiser's network without classes does not look at labels.
        classifier: `classifier(noisy, time)` → logits (n, num_classes), times to 1000.
        options: of `DiffusionModel`.

    Raises:
        UsageError: for fewer than two classes.

    Source: Dhariwal & Nichol 2021, section 4.
    """

    def __init__(self, *parts: Any, classifier: nn.Module, **options: Any) -> None:
        super().__init__(*parts, **options)
        if self.num_classes < 2:
            raise UsageError(f"num_classes = {self.num_classes}: a classifier tells at least 2 classes apart")
        self.classifier = classifier

    def draw(self, clean: Tensor, label: Tensor | None, generator: torch.Generator) -> Batch:
        """As `DiffusionModel.draw`, with `class` (n,) for the classifier, which is never dropped."""
        batch = super().draw(clean, label, generator)
        if label is None:
            raise UsageError("classifier guidance learns from classes, but this data has none")
        return {**batch, "class": label.long()}

    def forward(self, batch: Batch) -> Tensor:
        """The sum of both losses, over a batch as `draw` makes it."""
        noisy = self.process.corrupt(batch["clean"], batch["time"], batch["noise"])
        logits = self.logits(noisy, batch["time"])
        return super().forward(batch) + functional.cross_entropy(logits, batch["class"], ignore_index=NO_CLASS)

    def logits(self, noisy: Tensor, t: Tensor) -> Tensor:
        """Logits (n, classes) of noisy samples (n, *shape) at times t (n,)."""
        # where variance explodes the classifier sees what the denoiser would: unit variance
        time = t.double()
        scale = (self.process.schedule.alpha(time) ** 2 + self.process.schedule.sigma(time) ** 2).sqrt()
        scaled = noisy / scale.to(noisy.dtype).reshape(-1, *(1,) * (noisy.ndim - 1))
        out: Tensor = self.classifier(scaled, (TIME_SCALE * t).to(noisy.dtype))
        return out

    def states(
        self, n: int, seed: int = 0, *args: Any, classifier_scale: float | None = None, **options: Any
    ) -> Iterator[State]:
        """As `DiffusionModel.states`, guided by the classifier.

        Args:
            n: number of samples.
            seed: of the first sample.
            args: of `DiffusionModel.states`.
            classifier_scale: 0 or more; None leaves the classifier out. Needs `label`.
            options: of `DiffusionModel.states`.
        """
        if classifier_scale is None:
            return super().states(n, seed, *args, **options)
        if options.get("label") is None:
            raise UsageError(f"classifier_scale = {classifier_scale}: classifier guidance needs a label")
        scale = classifier_scale

        def wrap(denoiser: Estimator) -> Estimator:
            return ClassifierGuidance(denoiser, self.logits, self.process.schedule, scale)

        return super().states(n, seed, *args, **{**options, "wrap": wrap})
