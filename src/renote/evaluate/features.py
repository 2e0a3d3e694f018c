"""Features in which samples are compared, and all measures in them.

Every figure names its features, because distances in different features cannot be compared.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from renote.data import SampleData
from renote.data.store import cache_folder
from renote.errors import CheckpointError, UsageError
from renote.evaluate.classifier import data_digest, find_classifier, read_classifier
from renote.evaluate.classifier import train_classifier as train_classifier
from renote.evaluate.frechet import Moments, frechet_distance, moments
from renote.evaluate.inception import inception_score
from renote.evaluate.kernel import comparable, kernel_distance_blocks
from renote.evaluate.manifold import density_coverage, precision_recall
from renote.train.checkpoint import write_atomic

REFERENCE = 10_000


@dataclass(frozen=True)
class Features:
    """A feature map of a data set, with the features of its training samples.

    Args:
        name: what a figure calls them, e.g. `"digits classifier features"`.
        extract: raw samples (n, *shape) → features (n, d).
        reference: features (m, d) of training samples, at most 10,000, evenly spaced.
        probabilities: features (n, d) → class probabilities (n, classes), if they are a classifier's.
        knows_classes: whether those classes are the data set's own.

    Example:
        >>> from renote import data, evaluate
        >>> digits = data.load("digits")
        >>> measures = evaluate.features(digits).measures(digits.test, digits.test_labels)
        >>> measures["features"], measures["class_accuracy"] > 97
        ('digits classifier features', True)
    """

    name: str
    extract: Callable[[Tensor], Tensor]
    reference: Tensor
    probabilities: Callable[[Tensor], Tensor] | None = None
    knows_classes: bool = False

    @cached_property
    def moments(self) -> Moments:
        """Mean and covariance of the training samples' features."""
        return moments(self.reference)

    @property
    def classify(self) -> Callable[[Tensor], Tensor] | None:
        """Raw samples → the data set's class numbers (n,), if there is a classifier of it."""
        probabilities, extract = self.probabilities, self.extract
        if probabilities is None or not self.knows_classes:
            return None
        return lambda raw: probabilities(extract(raw)).argmax(1)

    def distance(self, samples: Tensor) -> float:
        """Fréchet distance of raw samples to the training samples."""
        return frechet_distance(self.extract(samples), self.moments)

    def measures(self, samples: Tensor, labels: Tensor | None = None) -> dict[str, Any]:
        """Everything that can be measured about raw samples; what so few samples cannot tell is left out.

        `frechet_distance` is to all reference samples. `kernel_distance` is a mean over 100 blocks of half of the samples, at
        most 1,000, with `kernel_distance_std`. `precision`, `recall` (3 neighbours), `density` and `coverage` (5) are against
        as many reference samples, so they compare across equal `samples` only. `inception_score` has a standard deviation
        from 2,000 samples on. `class_accuracy` is percent of samples that the classifier takes for their label.

        Args:
            samples: (n, *shape) as the data's own.
            labels: (n,) classes that were asked for.

        Returns:
            The measures, then `features`, which names what they are measured in, and `samples`.

        Raises:
            UsageError: for fewer than two samples, another shape, or values that are not finite.
        """
        found = self.extract(samples)
        comparable(found, self.reference)
        n = min(len(found), len(self.reference))
        fake, real = _spaced(found, n), _spaced(self.reference, n)
        measures: dict[str, Any] = {"frechet_distance": frechet_distance(found, self.moments)}
        if n >= 4:
            mean, spread = kernel_distance_blocks(found, self.reference)
            measures |= {"kernel_distance": mean, "kernel_distance_std": spread}
        if n > 5:
            measures["precision"], measures["recall"] = precision_recall(real, fake)
            measures["density"], measures["coverage"] = density_coverage(real, fake)
        if self.probabilities is not None:
            p = self.probabilities(found)
            order = torch.randperm(len(p), generator=torch.Generator().manual_seed(0))
            splits = max(1, min(10, len(p) // 1000))
            measures["inception_score"], spread = inception_score(p[order], splits)
            if splits > 1:
                measures["inception_score_std"] = spread
            if labels is not None and self.knows_classes:
                measures["class_accuracy"] = 100 * float((p.argmax(1) == labels.cpu()).double().mean())
        return measures | {"features": self.name, "samples": len(samples)}


def features(
    data: SampleData, network: str | Path | Callable[[Tensor], Tensor] | None = None, name: str | None = None
) -> Features:
    """The features of a data set: of a classifier where images have labels, principal components of pixels where not.

    The package has a classifier of the training images of digits and fashion-mnist. For others one is trained once, in
    seconds to minutes, and kept in the cache folder; so are the features of the training samples.

    Args:
        data: the data set.
        network: other features: the path of a classifier made by `python -m renote.evaluate.ship`, or a function of images
            (n, *shape), float32 in [-1, 1], to features (n, d), e.g. an Inception network with its own resizing.
        name: what figures call them; for a function its own name by default.

    Raises:
        UsageError: if the network is of other images.
        CheckpointError: if its file is damaged, or the package's is.
    """
    train = _spaced(data.train, min(len(data.train), REFERENCE))
    if callable(network):
        function = network
        return _plain(
            name or f"features of {getattr(function, '__qualname__', type(function).__name__)}", function, data
        )
    if network is not None:
        return _of_classifier(data, train, _content(Path(network)), Path(network).name, name)
    if len(data.shape) == 1:
        return _plain(name or f"{data.name} coordinates", lambda clean: clean, data)
    if data.train_labels is not None and data.num_classes > 1 and data.is_image:
        content = find_classifier(data)
        return _of_classifier(data, train, content, None, name or f"{data.name} classifier features")
    return _plain(name or f"{data.name} pixel components", _components(data.clean(train)), data)


def _plain(name: str, function: Callable[[Tensor], Tensor], data: SampleData) -> Features:
    def extract(raw: Tensor) -> Tensor:
        return _chunks(lambda part: function(data.clean(part)), _fitting(raw, data))

    return Features(name, extract, extract(_spaced(data.train, min(len(data.train), REFERENCE))))


def _of_classifier(data: SampleData, train: Tensor, content: bytes, file: str | None, name: str | None) -> Features:
    classifier, trained = read_classifier(content, file or f"the classifier of {data.name}")
    digest = hashlib.sha256(content).hexdigest()
    if not data.is_image or trained.shape[0] != data.shape[0]:
        raise UsageError(
            f"network = {file} has features of images with {trained.shape[0]} channels: {data.name} has {data.shape}"
        )

    def extract(raw: Tensor) -> Tensor:
        return _chunks(lambda part: classifier.embed(data.clean(part)), _fitting(raw, data))

    def probabilities(found: Tensor) -> Tensor:
        return _chunks(lambda part: classifier.head(part).double().softmax(1), found)

    name = name or f"{trained.data} classifier features, {file} {digest[:8]}"
    key = hashlib.sha256(f"{digest} {data_digest(data)} {len(train)}".encode()).hexdigest()
    reference = _cached(key[:24], (len(train), classifier.embedding.out_features), lambda: extract(train))
    return Features(name, extract, reference, probabilities, trained.classes == data.classes)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read the classifier {path}: {error.strerror or error}") from error


def _cached(key: str, shape: tuple[int, int], make: Callable[[], Tensor]) -> Tensor:
    path = cache_folder() / "features" / f"{key}-reference.safetensors"
    if path.is_file():
        with contextlib.suppress(OSError, KeyError, safetensors.SafetensorError):  # a damaged cache is made anew
            kept = safetensors.torch.load(path.read_bytes())["reference"]
            if tuple(kept.shape) == shape and bool(kept.isfinite().all()):
                return kept
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, safetensors.torch.save({"reference": made.contiguous()}))
    return made


def _components(clean: Tensor) -> Callable[[Tensor], Tensor]:
    flat = clean.flatten(1).double()
    mean = flat.mean(0)
    _, _, directions = torch.linalg.svd(flat[:2000] - mean, full_matrices=False)
    basis = directions[:64].T
    return lambda images: (images.flatten(1).double() - mean) @ basis


def _spaced(values: Tensor, n: int) -> Tensor:
    return values[torch.arange(n) * len(values) // max(1, n)]


def _fitting(raw: Tensor, data: SampleData) -> Tensor:
    if tuple(raw.shape[1:]) != data.shape or not len(raw):
        raise UsageError(f"samples are {tuple(raw.shape)}: {data.name} needs (n, {', '.join(map(str, data.shape))})")
    return raw.cpu()


@torch.no_grad()
def _chunks(function: Callable[[Tensor], Tensor], raw: Tensor) -> Tensor:
    return torch.cat([function(part) for part in raw.split(1000)])  # type: ignore[no-untyped-call]
