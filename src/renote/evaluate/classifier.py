"""The classifier whose last layer are the features of images: its network, its training, and where its weights are kept.

One format for all: a safetensors file that says in its header which data it was trained on. Files for some data sets come
with the package, listed with checksums in `weights/index.json`; other data sets train theirs once, into the cache folder.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.data import SampleData
from renote.data.store import cache_folder
from renote.errors import CheckpointError, UsageError
from renote.train import EpochOrder, Trainer, TrainOptions
from renote.train.checkpoint import verified, write_atomic
from renote.train.learner import Batch, PlainLearner

VERSION = 2  # changes whenever the network or its training does, so that no stale file is used


@dataclass(frozen=True)
class Trained:
    """Where a classifier is from.

    Args:
        data: name of the data set.
        data_sha256: `data_digest` of what it was trained on.
        shape: of a sample.
        classes: names by number.
        range: of raw values, as in `SampleData`.
        test_accuracy: percent of held-out samples; None without any.
        steps: optimizer steps.
        version: of the network and its training.
    """

    data: str
    data_sha256: str
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    range: tuple[float, float] | None
    test_accuracy: float | None
    steps: int
    version: int = VERSION


class Classifier(nn.Module):
    """Three convolutions, means over a 2 × 2 grid, and a layer of 64 whose values are the features.

    Features of training samples have a mean square of 1.

    Args:
        channels: of an image.
        classes: how many.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        widths = ((channels, 32), (32, 64), (64, 64))
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1, bias=False) for i, o in widths)
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for _, o in widths)
        self.embedding = nn.Linear(64 * 4, 64)
        self.head = nn.Linear(64, classes)

    def embed(self, clean: Tensor) -> Tensor:
        """Clean images (n, channels, height, width) → features (n, 64), ≥ 0."""
        x = clean
        for convolution, norm in zip(self.convolutions, self.norms):
            x = functional.relu(norm(convolution(x)))
            if min(x.shape[2:]) >= 6:
                x = functional.max_pool2d(x, 2)
        return torch.relu(self.embedding(functional.adaptive_avg_pool2d(x, 2).flatten(1)))

    def forward(self, clean: Tensor) -> Tensor:
        """Clean images (n, channels, height, width) → logits (n, classes)."""
        logits: Tensor = self.head(functional.dropout(self.embed(clean), 0.3, self.training))
        return logits


def data_digest(data: SampleData) -> str:
    """SHA-256 of the training samples, their labels, shape, classes and range."""
    digest = hashlib.sha256(repr((data.shape, data.classes, data.range)).encode())
    digest.update(data.train.contiguous().numpy().tobytes())
    if data.train_labels is not None:
        digest.update(data.train_labels.numpy().tobytes())
    return digest.hexdigest()


def train_classifier(data: SampleData, steps: int | None = None) -> bytes:
    """Train a classifier of a data set: cross-entropy on training images shifted by a few pixels, the last step's weights.

    Args:
        data: images with labels.
        steps: optimizer steps of 128 samples; about five epochs by default, 600 to 3,000.

    Returns:
        A safetensors file; the held-out accuracy in its header took no part in training.

    Raises:
        UsageError: if these are no images with labels.
    """
    if not (data.is_image and data.num_classes > 1 and data.train_labels is not None):
        raise UsageError(f"a classifier of {data.name} needs images with labels of at least two classes")
    steps = min(3000, max(600, 5 * len(data.train) // 128)) if steps is None else steps
    with torch.random.fork_rng():
        torch.manual_seed(0)
        classifier = Classifier(data.shape[0], data.num_classes)
    options = TrainOptions(
        steps=steps, batch_size=128, learning_rate=2e-3, learning_rate_schedule="cosine", precision="fp32", device="cpu"
    )
    Trainer(_Learner(_Task(classifier), data, options), options, title=f"feature classifier of {data.name}").run()
    _scale(classifier.eval(), data)
    accuracy = None
    if data.test_labels is not None and len(data.test):
        with torch.no_grad():
            parts = data.test.split(1000)  # type: ignore[no-untyped-call]
            found = torch.cat([classifier(data.clean(part)).argmax(1) for part in parts])
        accuracy = round(100 * float((found == data.test_labels).double().mean()), 2)
    trained = Trained(data.name, data_digest(data), data.shape, data.classes, data.range, accuracy, steps)
    # one entry, because safetensors orders several at random and the file's checksum would change
    header = {"classifier": json.dumps(asdict(trained))}
    return safetensors.torch.save(classifier.state_dict(), header)


def read_classifier(content: bytes, name: str) -> tuple[Classifier, Trained]:
    """The classifier in a file that `train_classifier` made, and where it is from.

    Args:
        content: the file.
        name: for messages.

    Raises:
        CheckpointError: if it is damaged, of another version, or no such file.
    """
    try:
        size = int.from_bytes(content[:8], "little")
        entry = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["classifier"])
        lists = {key: tuple(entry[key]) for key in ("shape", "classes")}
        trained = Trained(**{**entry, **lists, "range": entry["range"] and tuple(entry["range"])})
        if trained.version != VERSION:
            raise CheckpointError(f"{name} is of version {trained.version}, not {VERSION}: make it again")
        classifier = Classifier(trained.shape[0], len(trained.classes))
        classifier.load_state_dict(safetensors.torch.load(content))
    except (ValueError, KeyError, TypeError, IndexError, RuntimeError, safetensors.SafetensorError) as error:
        raise CheckpointError(
            f"{name} is no classifier of python -m renote.evaluate.ship, or is damaged ({type(error).__name__}: {error})"
        ) from error
    return classifier.eval(), trained


def find_classifier(data: SampleData) -> bytes:
    """The weights for a data set: those of the package if it is their training data, else the cache's, else newly trained.

    Raises:
        CheckpointError: if the package's file is not the one that its index lists.
    """
    digest = data_digest(data)
    content = _shipped(digest)
    if content is not None:
        return content
    path = cache_folder() / "features" / f"{digest[:24]}-v{VERSION}.safetensors"
    if path.is_file():
        content = path.read_bytes()
        try:
            read_classifier(content, path.name)
            return content
        except CheckpointError:  # a damaged cache is made anew
            path.unlink()
    content = train_classifier(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content)
    return content


def _shipped(digest: str) -> bytes | None:
    folder = Path(str(resources.files("renote.evaluate"))) / "weights"
    index: dict[str, dict[str, Any]] = json.loads((folder / "index.json").read_text("utf-8"))
    for name, entry in index.items():
        if entry["data_sha256"] == digest and entry["version"] == VERSION:
            what = f"the classifier {name}.safetensors of this installation"
            return verified(folder / f"{name}.safetensors", entry["sha256"], what, "Install renote again")
    return None


@torch.no_grad()
def _scale(classifier: Classifier, data: SampleData) -> None:
    """Give the features a mean square of 1, which the kernel distance presumes, and leave the logits as they are."""
    some = data.train[:: max(1, len(data.train) // 10_000)]
    parts = some.split(1000)  # type: ignore[no-untyped-call]
    size = torch.cat([classifier.embed(data.clean(part)) for part in parts]).square().mean().sqrt().clamp_min(1e-6)
    classifier.embedding.weight.div_(size)
    classifier.embedding.bias.div_(size)
    classifier.head.weight.mul_(size)


class _Task(nn.Module):
    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, batch: Batch) -> Tensor:
        return functional.cross_entropy(self.classifier(batch["clean"]), batch["label"])


class _Learner(PlainLearner):
    """Cross-entropy on the training samples."""

    def __init__(self, task: _Task, data: SampleData, options: TrainOptions) -> None:
        self.module, self.data = task, data
        self.order = EpochOrder(len(data.train), options.batch_size, options.seed)

    def batch(self, step: int, generator: torch.Generator) -> Batch | None:
        chosen = self.order.indices(step)
        assert self.data.train_labels is not None
        clean = _shifted(self.data.clean(self.data.train[chosen]), generator)
        return {"clean": clean, "label": self.data.train_labels[chosen]}


def _shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image moved by up to a fourteenth of its side, at least a pixel; its border is repeated."""
    n, channels, height, width = images.shape
    places = []
    for side in (height, width):
        most = max(1, side // 14)
        shift = torch.randint(-most, most + 1, (n, 1), generator=generator)
        places.append((torch.arange(side) + shift).clamp(0, side - 1))
    numbers, planes = torch.arange(n).view(n, 1, 1, 1), torch.arange(channels).view(1, channels, 1, 1)
    return images[numbers, planes, places[0][:, None, :, None], places[1][:, None, None, :]]
