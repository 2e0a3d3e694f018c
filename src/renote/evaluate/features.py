"""Features in which samples are compared: of a small classifier of the data set, trained here by the project's own trainer.

Every figure names its features, because distances in different features cannot be compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.data import SampleData
from renote.data.store import cache_folder
from renote.evaluate.frechet import Moments, frechet_distance, moments
from renote.train import EpochOrder, Trainer, TrainOptions
from renote.train.checkpoint import write_atomic
from renote.train.learner import Batch

if TYPE_CHECKING:
    from PIL.Image import Image

REFERENCE = 10_000
_VERSION = 1  # changes whenever the classifier or its training does, so that no stale file is used


@dataclass(frozen=True)
class Features:
    """A feature map of a data set, with the moments of its training samples.

    Args:
        name: what a figure calls them, e.g. `"digits classifier features"`.
        extract: raw samples (n, *shape) → features (n, d).
        reference: moments of the training samples' features.
        classify: raw samples → class numbers (n,), if there is a classifier.
    """

    name: str
    extract: Callable[[Tensor], Tensor]
    reference: Moments
    classify: Callable[[Tensor], Tensor] | None = None

    def distance(self, samples: Tensor) -> float:
        """Fréchet distance of raw samples to the training samples."""
        return frechet_distance(self.extract(samples), self.reference)


def features(data: SampleData) -> Features:
    """The features of a data set: of a classifier where images have labels, principal components of pixels where not.

    The classifier is trained once (seconds to a minute) and kept in the cache folder.
    """
    train = data.train[:: max(1, len(data.train) // REFERENCE)][:REFERENCE]
    classify = None
    if len(data.shape) == 1:
        name, extract = f"{data.name} coordinates", lambda raw: data.clean(raw)
    elif data.train_labels is not None and data.num_classes > 1 and data.is_image:
        classifier = _classifier(data)
        name = f"{data.name} classifier features"

        def extract(raw: Tensor) -> Tensor:
            return _chunks(lambda part: classifier.embed(data.clean(part)), raw)

        def classify(raw: Tensor) -> Tensor:
            return _chunks(lambda part: classifier(data.clean(part)).argmax(1), raw)
    else:
        name, extract = f"{data.name} pixel components", _components(data, train)
    return Features(name, extract, moments(extract(train)), classify)  # type: ignore[no-untyped-call]


class _Classifier(nn.Module):
    """Three convolutions, means over a 2 × 2 grid, and a 64-dimensional layer whose values are the features."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(i, o, 3, padding=1) for i, o in ((channels, 32), (32, 64), (64, 64))
        )
        self.embedding = nn.Linear(64 * 4, 64)
        self.head = nn.Linear(64, classes)

    def embed(self, clean: Tensor) -> Tensor:
        x = clean
        for convolution in self.convolutions:
            x = functional.relu(convolution(x))
            if min(x.shape[2:]) >= 6:
                x = functional.max_pool2d(x, 2)
        return torch.relu(self.embedding(functional.adaptive_avg_pool2d(x, 2).flatten(1)))

    def forward(self, clean: Tensor) -> Tensor:
        logits: Tensor = self.head(functional.dropout(self.embed(clean), 0.3, self.training))
        return logits


class _Task(nn.Module):
    def __init__(self, classifier: _Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, batch: Batch) -> Tensor:
        return functional.cross_entropy(self.classifier(batch["clean"]), batch["label"])


class _Learner:
    """Cross-entropy on the training samples."""

    metric: str | None = None

    def __init__(self, task: _Task, data: SampleData, options: TrainOptions) -> None:
        self.module, self.data = task, data
        self.order = EpochOrder(len(data.train), options.batch_size, options.seed)

    def batch(self, step: int, generator: torch.Generator) -> Batch | None:
        chosen = self.order.indices(step)
        assert self.data.train_labels is not None
        return {"clean": self.data.clean(self.data.train[chosen]), "label": self.data.train_labels[chosen]}

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        return [{"params": list(self.module.parameters()), "weight_decay": weight_decay}]

    def validate(self) -> Mapping[str, float]:
        return {}

    def preview(self) -> Image | None:
        return None


def _classifier(data: SampleData) -> _Classifier:
    digest = hashlib.sha256(repr((_VERSION, data.shape, data.classes, data.range)).encode())
    digest.update(data.train.contiguous().numpy().tobytes())
    assert data.train_labels is not None
    digest.update(data.train_labels.numpy().tobytes())
    path = cache_folder() / "features" / f"{digest.hexdigest()[:24]}.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        classifier = _Classifier(data.shape[0], data.num_classes)
    if path.exists():
        try:
            classifier.load_state_dict(safetensors.torch.load_file(path))
            return classifier.eval()
        except (OSError, RuntimeError, safetensors.SafetensorError):  # a damaged cache is made anew
            path.unlink()
    steps = min(3000, max(600, 5 * len(data.train) // 128))
    options = TrainOptions(
        steps=steps, batch_size=128, learning_rate=2e-3, learning_rate_schedule="cosine", precision="fp32", device="cpu"
    )
    Trainer(_Learner(_Task(classifier), data, options), options, title=f"feature classifier of {data.name}").run()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, safetensors.torch.save(classifier.state_dict()))
    return classifier.eval()


def _components(data: SampleData, train: Tensor) -> Callable[[Tensor], Tensor]:
    flat = data.clean(train).flatten(1).double()
    mean = flat.mean(0)
    _, _, directions = torch.linalg.svd(flat[:2000] - mean, full_matrices=False)
    basis = directions[:64].T
    return lambda raw: (data.clean(raw).flatten(1).double() - mean) @ basis


@torch.no_grad()
def _chunks(function: Callable[[Tensor], Tensor], raw: Tensor) -> Tensor:
    return torch.cat([function(part) for part in raw.split(1000)])  # type: ignore[no-untyped-call]
