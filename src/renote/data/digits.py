"""The 1,797 handwritten digits that come with scikit-learn, as images and as a graph of neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from renote.data.card import Card
from renote.data.edges import nearest
from renote.data.pixels import resize
from renote.data.split import rank_in_class
from renote.data.types import NodeData, SampleData
from renote.errors import DataError
from renote.graph import Adjacency, Graph

_LEVELS = 16  # A pixel counts the inked points of a 4 × 4 block.
_TRAIN_PER_CLASS = 10
_VALIDATION_NODES = 500
_TEST_IMAGES = 297


def load(card: Card, *, size: int | Sequence[int] | None = None, seed: int = 0) -> SampleData:
    """Images (n, 1, 8, 8) uint8, 1,500 to train and 297 held out, each class in proportion.

    Args:
        card: of `digits`.
        size: resized to this; None leaves 8.
        seed: of the split.
    """
    from sklearn.model_selection import train_test_split

    pixels, labels = _digits()
    images = torch.from_numpy(np.rint(pixels * (255 / _LEVELS)).astype(np.uint8)).reshape(-1, 1, 8, 8)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=_TEST_IMAGES, stratify=labels.numpy(), random_state=seed
    )
    if size is not None:
        images = resize(images, size)
    return SampleData(
        card.name, card, images[train], labels[train], images[test], labels[test], card.classes, range=(0.0, 255.0)
    )


def load_maps(card: Card, *, threshold: int = 6, seed: int = 0) -> SampleData:
    """Label maps (n, 1, 8, 8) of the digits: 0 where there is no ink, else the digit's class + 1.

    Args:
        card: of `digit-maps`.
        threshold: least inked points of 16 that a pixel of the digit has.
        seed: of the split, as of `digits`.

    Raises:
        DataError: `threshold` is not from 1 to 16.
    """
    if not 1 <= threshold <= _LEVELS:
        raise DataError(f"threshold is {threshold}: a pixel counts 1 to {_LEVELS} inked points")
    images = load(card, seed=seed)
    assert images.train_labels is not None
    assert images.test_labels is not None

    def maps(pixels: Tensor, labels: Tensor) -> Tensor:
        ink = pixels >= round(threshold * 255 / _LEVELS)
        return (ink * (labels + 1)[:, None, None, None]).to(torch.uint8)

    return SampleData(
        card.name,
        card,
        maps(images.train, images.train_labels),
        images.train_labels,
        maps(images.test, images.test_labels),
        images.test_labels,
        images.classes,
        range=(0.0, 10.0),
        categories=("background", *images.classes),
    )


def load_graph(card: Card, *, neighbors: int = 8, seed: int = 0) -> NodeData:
    """Digits joined to their nearest neighbours: i – j if either is among the other's nearest by Euclidean distance.

    Args:
        card: of `digits-knn`.
        neighbors: nearest ones that each digit names.
        seed: of the split: 10 labels a class to train, 500 validation, the rest test.

    Raises:
        DataError: `neighbors` is not from 1 to 1,796.
    """
    pixels, labels = _digits()
    if not 1 <= neighbors < len(labels):
        raise DataError(f"neighbors is {neighbors}: give a number from 1 to {len(labels) - 1}")
    source, target = nearest(pixels, neighbors)
    adjacency = Adjacency.from_edges(torch.from_numpy(source), torch.from_numpy(target), len(labels))

    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    chosen = rank_in_class(labels[order]) < _TRAIN_PER_CLASS
    rest = order[~chosen]
    return NodeData(
        name=card.name,
        card=card,
        graph=Graph(x=torch.from_numpy(pixels / _LEVELS).float(), adjacency=adjacency),
        labels=labels,
        train=order[chosen].sort().values,
        validation=rest[:_VALIDATION_NODES].sort().values,
        test=rest[_VALIDATION_NODES:].sort().values,
        classes=card.classes,
        positions=torch.from_numpy(layout(pixels, source, target)).float(),
    )


def layout(
    features: NDArray[np.float64], source: NDArray[Any], target: NDArray[Any], steps: int = 150
) -> NDArray[np.float64]:
    """A plane picture of a graph: edges pull, random other nodes push.

    Forces are the gradient of UMAP's cross-entropy with a = b = 1, each node pushed by a fresh sample of the others in
    each step; it starts from the two principal components.

    Args:
        features: (nodes, features).
        source: (edges,) node numbers, both directions present.
        target: (edges,) node numbers.
        steps: number of steps.

    Returns:
        (nodes, 2), mean 0, root-mean-square 1 an axis on average.

    Source:
        McInnes, Healy, Melville (2018), UMAP, section 3.2.
    """
    num_nodes = features.shape[0]
    random = np.random.default_rng(0)
    centred = features - features.mean(0)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    # The sign of a singular vector is a library's choice: fix it, so that the picture is the same everywhere.
    left = left[:, :2] * np.sign(left[np.abs(left[:, :2]).argmax(0), [0, 1]])
    position = 10.0 * left / left.std(0) * (scale[:2] / scale[0])
    degree = np.maximum(np.bincount(source, minlength=num_nodes), 1)[:, None]
    for step in range(steps):
        along = position[target] - position[source]
        along *= 2.0 / (1.0 + (along**2).sum(1, keepdims=True))
        pull = np.stack([np.bincount(source, along[:, axis], num_nodes) for axis in (0, 1)], axis=1) / degree
        apart = position[:, None] - position[random.integers(0, num_nodes, (num_nodes, 10))]
        distance = (apart**2).sum(2, keepdims=True)
        push = (apart * (2.0 / ((0.01 + distance) * (1.0 + distance)))).clip(-4.0, 4.0).sum(1)
        position += (1.0 - step / steps) * (2.0 * pull + push).clip(-4.0, 4.0)
    position -= position.mean(0)
    return np.asarray(position / position.std())


def _digits() -> tuple[NDArray[np.float64], Tensor]:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.data, torch.from_numpy(bunch.target).long()
