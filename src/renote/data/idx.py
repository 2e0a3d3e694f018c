"""MNIST and Fashion-MNIST, in LeCun's idx format: a magic number, the sizes of the axes, then bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from renote.data import store
from renote.data.card import Card
from renote.data.pixels import resize
from renote.data.types import SampleData
from renote.errors import DataError

_UNSIGNED_BYTE = 0x08


def load(card: Card, *, size: int | Sequence[int] | None = None) -> SampleData:
    """Official training and test images, (n, 1, 28, 28) uint8.

    Args:
        card: with the four files, training images and labels first.
        size: average-pooled to this, e.g. 14; None leaves 28.
    """
    train, train_labels, test, test_labels = (parse(store.read(card, file), file.name) for file in card.files)
    train, test = train.unsqueeze(1), test.unsqueeze(1)
    if size is not None:
        train, test = resize(train, size), resize(test, size)
    return SampleData(
        card.name, card, train, train_labels.long(), test, test_labels.long(), card.classes, range=(0.0, 255.0)
    )


def parse(content: bytes, name: str) -> Tensor:
    """An idx file of unsigned bytes.

    Args:
        content: the unpacked file.
        name: for messages.

    Returns:
        uint8 with the axes that the file states.

    Raises:
        DataError: it is not idx, not of unsigned bytes, or cut short.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTE:
        raise DataError(f"{name} is not an idx file of unsigned bytes: it begins with {content[:4].hex() or 'nothing'}")
    axes = content[3]
    start = 4 + 4 * axes
    if len(content) < start:
        raise DataError(f"{name} is cut short: {len(content)} bytes, and its header alone has {start}")
    shape = tuple(np.frombuffer(content, ">u4", axes, 4).tolist())
    expected = start + int(np.prod(shape, dtype=np.int64))
    if len(content) != expected:
        raise DataError(f"{name} has {len(content)} bytes: {expected} were expected for the shape {shape}")
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy())
