"""The user's own label maps: what each pixel is of, a whole number from 0, in indexed or grey pictures of a folder or in one array."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from renote.data.arrays import read_arrays
from renote.data.card import Card
from renote.data.colours import COLOURS, Colour
from renote.data.images import UNREADABLE, Fit, images_under
from renote.data.pixels import image_size
from renote.data.split import stratified
from renote.data.types import SampleData
from renote.errors import DataError, unknown

SUFFIXES = frozenset({".bmp", ".gif", ".pbm", ".pgm", ".png", ".tif", ".tiff"})
"""Formats that keep numbers as they are; a JPEG does not."""

_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")

Numbers = NDArray[np.int64]


def load(
    path: str,
    *,
    size: int | Sequence[int] | None = None,
    fit: Fit = "crop",
    categories: int = 0,
    renumber: bool = False,
    test_fraction: float = 0.1,
    seed: int = 0,
) -> SampleData:
    """Label maps (n, 1, height, width), uint8 for up to 256 categories, else int32.

    Args:
        path: a folder, of which all indexed (palette) and grey pictures are taken, those of sub-folders too; or a `.npz` file with `maps`
            (n, height, width) of whole numbers, and optionally their colours `palette` (categories, 3) of 0 to 255.
        size: one number, or (height, width), to which each pixel is taken from the nearest; needed if the maps' sizes differ.
        fit: `"crop"` keeps proportions and cuts what is over, `"resize"` keeps everything and distorts.
        categories: K; 0 for one more than the largest number.
        renumber: whether the numbers that occur, in their order, become 0, 1, …: for masks of 0 and 255, for one.
        test_fraction: share to hold out.
        seed: of the split.

    Raises:
        DataError: nothing is there, a picture is damaged or coloured, sizes differ, a number is no category, two files give one number two
            colours, or an option is out of range.
        UsageError: an unknown `fit`.
    """
    if fit not in get_args(Fit):
        raise unknown("way to fit maps", fit, get_args(Fit))
    if not 0.0 <= test_fraction < 1.0:
        raise DataError(f"test_fraction is {test_fraction}: it must be at least 0 and below 1")
    if categories < 0 or categories == 1:
        raise DataError(f"categories is {categories}: give at least 2, or 0 for as many as there are")
    root = Path(path).expanduser()
    names, found, palette = _from_file(root) if root.suffix.lower() == ".npz" else _from_folder(root)
    _check_range(names, found, categories, root)
    maps = np.stack([_fitted(each, size, fit) for each in found]) if size is not None else _of_one_size(names, found)
    kept = np.unique(np.concatenate([np.unique(each) for each in found]))
    numbers = kept if renumber else np.arange(categories or int(kept[-1]) + 1)
    if len(numbers) < 2:
        raise DataError(f"every pixel of {root} is of category {kept[0]}: label maps have at least 2 categories")
    if renumber:
        maps = np.searchsorted(numbers, maps)
    values = torch.from_numpy(maps[:, None].astype(np.uint8 if len(numbers) <= 256 else np.int32))
    train, test = stratified(
        torch.zeros(len(values), dtype=torch.int64), test_fraction, torch.Generator().manual_seed(seed)
    )
    card = Card(
        name=f"maps:{path}",
        title=f"Label maps of {root.name or root}",
        kind="samples",
        size=len(values),
        shape=tuple(values.shape[1:]),
        classes=(),
        source=str(root),
        licence="the owner's",
        counts={"categories": len(numbers), "train": len(train), "test": len(test)},
    )
    return SampleData(
        name=card.name,
        card=card,
        train=values[train],
        train_labels=None,
        test=values[test],
        test_labels=None,
        range=(0.0, float(len(numbers) - 1)),
        categories=tuple(map(str, numbers.tolist())),
        palette=tuple(palette.get(n, COLOURS[n % len(COLOURS)]) for n in numbers.tolist()) if palette else (),
    )


def _from_folder(root: Path) -> tuple[list[str], list[Numbers], dict[int, Colour]]:
    """Names, maps, and the colour that indexed pictures give to each number."""
    if not root.is_dir():
        raise DataError(f"the folder {str(root)!r} {'is a file' if root.exists() else 'does not exist'}")
    files = [file for file in images_under(root) if file.suffix.lower() in SUFFIXES]
    if not files:
        raise DataError(f"the folder {str(root)!r} has no label map ({', '.join(sorted(SUFFIXES))}): check the path")
    names, maps = [str(file.relative_to(root)) for file in files], []
    colours: dict[int, tuple[Colour, str]] = {}
    for file, name in zip(files, names):
        numbers, palette = _read(file)
        maps.append(numbers)
        for number in np.unique(numbers).tolist() if palette else ():
            colour, first = colours.setdefault(number, (palette[number], name))
            if colour != palette[number]:
                raise DataError(
                    f"{root}: category {number} has the colour {colour} in {first} and {palette[number]} in {name}: "
                    "give all maps one palette, so that a number means the same in each"
                )
    return names, maps, {number: colour for number, (colour, _) in colours.items()}


def _read(file: Path) -> tuple[Numbers, list[Colour]]:
    """The numbers of a picture (height, width), and its palette, which is empty if it is grey."""
    try:
        with Image.open(file) as picture:
            mode, flat = picture.mode, picture.getpalette("RGB") if picture.mode == "P" else None
            numbers = np.asarray(picture)
    except UNREADABLE as error:
        raise DataError(f"{file} cannot be read as a picture ({error}): repair or remove it") from error
    if mode not in _MODES:
        raise DataError(
            f"{file} is a picture of mode {mode}: a label map has one whole number a pixel; save it indexed (P) or grey (L)"
        )
    flat = (flat or []) + [0] * (768 - len(flat)) if flat else []
    return numbers.astype(np.int64), list(zip(flat[::3], flat[1::3], flat[2::3]))


def _from_file(path: Path) -> tuple[list[str], list[Numbers], dict[int, Colour]]:
    content = read_arrays(path)
    if "maps" not in content:
        raise DataError(f"{path} has the keys {sorted(content)}: label maps must be under 'maps'")
    values: NDArray[Any] = content["maps"]
    if values.ndim == 4 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 3 or not values.size or values.dtype.kind not in "biu":
        raise DataError(
            f"'maps' in {path} has the shape {values.shape} and type {values.dtype}: give whole numbers, (n, height, width)"
        )
    palette: NDArray[Any] = content.get("palette", np.empty((0, 3), np.uint8))
    if palette.ndim != 2 or palette.shape[1] != 3 or bool(((palette < 0) | (palette > 255)).any()):
        raise DataError(f"'palette' in {path} has the shape {palette.shape}: give colours of 0 to 255, (categories, 3)")
    colours = {number: (int(r), int(g), int(b)) for number, (r, g, b) in enumerate(palette.tolist())}
    return [f"{path}, map {i}" for i in range(len(values))], list(values.astype(np.int64)), colours


def _check_range(names: list[str], maps: list[Numbers], categories: int, root: Path) -> None:
    for name, numbers in zip(names, maps):
        wrong = (numbers < 0) | (numbers >= categories) if categories else numbers < 0
        if wrong.any():
            row, column = np.argwhere(wrong)[0].tolist()
            known = f"numbered 0 to {categories - 1}, as categories = {categories}" if categories else "numbered from 0"
            raise DataError(
                f"{root}: {name} has category {numbers[row, column]} at row {row}, column {column}: categories are {known}"
            )


def _of_one_size(names: list[str], maps: list[Numbers]) -> Numbers:
    sizes = Counter(each.shape for each in maps)
    if len(sizes) > 1:
        (usual, _), (other, _) = sizes.most_common(2)
        first, second = (next(n for n, each in zip(names, maps) if each.shape == shape) for shape in (usual, other))
        raise DataError(
            f"label maps of {len(sizes)} sizes: {first} is {usual[0]} × {usual[1]}, {second} is {other[0]} × {other[1]}. "
            f"Say which one to bring them to, e.g. size={min(usual)}"
        )
    return np.stack(maps)


def _fitted(numbers: Numbers, size: int | Sequence[int], fit: Fit) -> Numbers:
    """A map of another size: each pixel is the nearest of those that were, since numbers of categories have no mean."""
    wanted, there = image_size(size), numbers.shape
    scale = min(have / want for have, want in zip(there, wanted))
    taken = [scale * want if fit == "crop" else float(have) for have, want in zip(there, wanted)]
    rows, columns = (
        ((have - take) / 2 + (np.arange(want) + 0.5) * (take / want)).astype(np.int64)
        for have, take, want in zip(there, taken, wanted)
    )
    return numbers[np.ix_(rows, columns)]
