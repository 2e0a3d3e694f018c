"""The user's own arrays in a `.npz` file: `images` or `x`, and `labels` or `y` if there are classes. Never a pickle."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from renote.data.card import Card
from renote.data.split import stratified
from renote.data.types import SampleData
from renote.errors import DataError, unknown

Layout = Literal["auto", "first", "last"]

_SAMPLES = ("images", "x")
_LABELS = ("labels", "y")
_IMAGE_CHANNELS = (1, 3, 4)


def load(
    path: str,
    *,
    channels: Layout = "auto",
    test_fraction: float = 0.1,
    seed: int = 0,
) -> SampleData:
    """Samples (n, channels, *space), or points (n, features).

    uint8 images are read as (n, h, w), (n, c, h, w) or (n, h, w, c). Floats of rank 3 or more have the range [0, 1]
    or [-1, 1] if they lie in it, else that of the data; points are used as they are.

    Args:
        path: the file. Keys: `images` or `x`; optionally `labels` or `y` (n,), integers or strings; optionally
            `classes`, their names.
        channels: whether channels are the `"first"` or the `"last"` axis of a sample; `"auto"` tells by the sizes.
        test_fraction: share of each class to hold out.
        seed: of the split.

    Raises:
        DataError: no such file, key or shape; values that are not finite; labels that do not fit.
    """
    if channels not in get_args(Layout):
        raise unknown("place of the channels", channels, get_args(Layout))
    if not 0.0 <= test_fraction < 1.0:
        raise DataError(f"test_fraction is {test_fraction}: it must be at least 0 and below 1")
    content = read_arrays(Path(path).expanduser())
    key = _key(content, _SAMPLES)
    if key is None:
        raise DataError(f"{path} has the keys {sorted(content)}: the samples must be under 'images' or 'x'")
    samples = _samples(content[key], f"{key!r} in {path}", channels)
    labels, classes = _labels(content, path, len(samples))
    train, test = stratified(labels, test_fraction, torch.Generator().manual_seed(seed))
    card = Card(
        name=path,
        title=f"Arrays of the file {Path(path).name}",
        kind="samples",
        size=len(samples),
        shape=tuple(samples.shape[1:]),
        classes=classes,
        source=path,
        licence="the owner's",
        counts={"train": len(train), "test": len(test)},
    )
    return SampleData(
        name=path,
        card=card,
        train=samples[train],
        train_labels=labels[train] if classes else None,
        test=samples[test],
        test_labels=labels[test] if classes else None,
        classes=classes,
        range=_range(samples),
    )


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The plain arrays of a `.npz` file by name.

    Raises:
        DataError: if there is no such file, or it is something else.
    """
    if not path.is_file():
        raise DataError(f"the file {str(path)!r} {'is a folder' if path.is_dir() else 'does not exist'}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{path} holds one bare array: save it with numpy.savez(path, images=…)")
            return {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read as .npz of plain arrays ({error}): objects and pickles are not accepted"
        ) from error


def _key(content: dict[str, NDArray[Any]], choices: tuple[str, ...]) -> str | None:
    return next((key for key in choices if key in content), None)


def _samples(values: NDArray[Any], what: str, layout: Layout) -> Tensor:
    if values.ndim < 2 or values.size == 0:
        raise DataError(f"{what} has the shape {values.shape}: it must be (n, features) or (n, channels, *space)")
    if values.dtype.kind == "f":
        finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if not finite.all():
            raise DataError(
                f"{what}: {int((~finite).sum())} of {len(values)} samples hold NaN or infinity, the first is sample "
                f"{int(finite.argmin())}: remove or replace them"
            )
        values = values.astype(np.float32)
    elif values.dtype.kind in "iu" and values.ndim == 2:
        values = values.astype(np.float32)
    elif values.dtype.kind in "iu" and values.min() >= 0 and values.max() <= 255:
        values = values.astype(np.uint8)
    else:
        raise DataError(f"{what} is of type {values.dtype}: give floats, or integers from 0 to 255")
    return torch.from_numpy(np.ascontiguousarray(_channels_first(values, what, layout)))


def _channels_first(values: NDArray[Any], what: str, layout: Layout) -> NDArray[Any]:
    if values.ndim == 2:
        return values
    if layout == "auto" and values.ndim == 3:
        return values[:, None]
    first, last = values.shape[1] in _IMAGE_CHANNELS, values.shape[-1] in _IMAGE_CHANNELS
    if layout == "auto":
        if first and last:
            raise DataError(
                f"{what} has the shape {values.shape}: it is not clear where the channels are; "
                "say channels='first' or 'last'"
            )
        layout = "last" if last else "first"
    return np.moveaxis(values, -1, 1) if layout == "last" else values


def _labels(content: dict[str, NDArray[Any]], path: str, size: int) -> tuple[Tensor, tuple[str, ...]]:
    """(n,) numbers of classes and their names; zeros and no names if there are no labels."""
    key = _key(content, _LABELS)
    if key is None:
        return torch.zeros(size, dtype=torch.int64), ()
    labels = content[key]
    if labels.shape != (size,):
        raise DataError(
            f"{key!r} in {path} has the shape {labels.shape}: there are {size} samples, give one label each"
        )
    if labels.dtype.kind not in "iuUb":
        raise DataError(f"{key!r} in {path} is of type {labels.dtype}: labels are integers or strings")
    values, numbers = np.unique(labels, return_inverse=True)
    given = content.get("classes")
    if given is None:
        return torch.from_numpy(numbers.astype(np.int64)), tuple(map(str, values.tolist()))
    if given.ndim != 1 or labels.dtype.kind not in "iu" or values[0] < 0 or values[-1] >= len(given):
        raise DataError(
            f"'classes' in {path} has {given.shape} names and {key!r} goes from {values[0]} to {values[-1]}: "
            "labels must be numbers of names, from 0"
        )
    return torch.from_numpy(labels.astype(np.int64)), tuple(map(str, given.tolist()))


def _range(samples: Tensor) -> tuple[float, float] | None:
    if samples.dtype == torch.uint8:
        return 0.0, 255.0
    if samples.dim() == 2:
        return None
    low, high = float(samples.min()), float(samples.max())
    for usual in ((0.0, 1.0), (-1.0, 1.0)):
        if usual[0] <= low and high <= usual[1]:
            return usual
    return low, high
