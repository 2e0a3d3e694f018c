"""A folder of the user's own images: any size and format, a class per sub-folder if there are sub-folders."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from renote.data.card import Card
from renote.data.pixels import image_size
from renote.data.split import stratified
from renote.data.types import SampleData
from renote.errors import DataError, unknown

Fit = Literal["crop", "resize"]
Channels = Literal["auto", "grey", "colour"]

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Files with other endings are not looked at."""

_log = logging.getLogger("renote")
_THREADS = 8
_NAMED_FILES = 5
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, OverflowError, Image.DecompressionBombError)


def load(
    path: str,
    *,
    size: int | Sequence[int] | None = None,
    fit: Fit = "crop",
    channels: Channels = "auto",
    test_fraction: float = 0.1,
    seed: int = 0,
    skip_damaged: bool = False,
) -> SampleData:
    """All images under a folder, (n, 1 or 3, height, width) uint8.

    Args:
        path: the folder. If it has sub-folders with images, each is a class and only images in them are used.
        size: one number, or (height, width); needed if the images' sizes differ.
        fit: `"crop"` keeps proportions and cuts what is over, `"resize"` keeps everything and distorts.
        channels: `"grey"`, `"colour"`, or `"auto"`: grey if every image is.
        test_fraction: share of each class to hold out.
        seed: of the split.
        skip_damaged: leave out files that cannot be read, with a warning, in the place of an error.

    Raises:
        DataError: the folder is missing or has no image, sizes differ, an image is damaged, or an option is out of range.
        UsageError: an unknown `fit` or `channels`.
    """
    root = Path(path).expanduser()
    if fit not in get_args(Fit):
        raise unknown("way to fit images", fit, get_args(Fit))
    if channels not in get_args(Channels):
        raise unknown("choice of channels", channels, get_args(Channels))
    if not 0.0 <= test_fraction < 1.0:
        raise DataError(f"test_fraction is {test_fraction}: it must be at least 0 and below 1")
    target = None if size is None else image_size(size)
    if not root.is_dir():
        raise DataError(f"the folder {str(root)!r} {'is a file' if root.exists() else 'does not exist'}")

    files, classes = _list(root)
    if not files:
        endings = ", ".join(sorted(SUFFIXES))
        raise DataError(f"the folder {str(root)!r} has no image ({endings}): check the path")
    with ThreadPoolExecutor(_THREADS) as pool:
        headers = list(pool.map(_header, (file for file, _ in files)))
        sizes = Counter(header[0] for header in headers if header is not None)
        if target is None and len(sizes) > 1:
            (usual, _), (other, _) = sizes.most_common(2)
            names = [
                file.relative_to(root)
                for size in (usual, other)
                for (file, _), header in zip(files, headers)
                if header is not None and header[0] == size
            ]
            raise DataError(
                f"the images in {str(root)!r} are of {len(sizes)} sizes: {names[0]} is {usual[1]} × {usual[0]}, "
                f"{names[sizes[usual]]} is {other[1]} × {other[0]}. Say which one to bring them to, e.g. size={min(usual)}"
            )
        target = target or next(iter(sizes), None)
        if channels == "auto":
            channels = "grey" if all(header[1] for header in headers if header is not None) else "colour"
        openable = [pair for pair, header in zip(files, headers) if header is not None]
        read = partial(_read, size=target or (1, 1), fit=fit, mode="L" if channels == "grey" else "RGB")
        pictures = list(pool.map(read, (file for file, _ in openable)))
    bad = [file for (file, _), header in zip(files, headers) if header is None]
    bad += [file for (file, _), picture in zip(openable, pictures) if picture is None]
    if bad:
        shown = ", ".join(str(file.relative_to(root)) for file in bad[:_NAMED_FILES])
        more = f" and {len(bad) - _NAMED_FILES} more" if len(bad) > _NAMED_FILES else ""
        told = f"{root}: {len(bad)} of {len(files)} files cannot be read as images: {shown}{more}"
        if not skip_damaged:
            raise DataError(f"{told}. Repair or remove them, or leave them out with skip_damaged=true")
        _log.warning("%s; they are left out", told)
    good = [picture for picture in pictures if picture is not None]
    if not good:
        raise DataError(f"none of the {len(files)} images in {str(root)!r} can be read: they are damaged or empty")

    images = torch.from_numpy(np.stack(good))
    labels = torch.tensor([label for (_, label), picture in zip(openable, pictures) if picture is not None])
    train, test = stratified(labels, test_fraction, torch.Generator().manual_seed(seed))
    card = Card(
        name=f"folder:{path}",
        title=f"Images of the folder {root.name or root}",
        kind="samples",
        size=len(good),
        shape=tuple(images.shape[1:]),
        classes=classes,
        source=str(root),
        licence="the owner's",
        counts={"train": len(train), "test": len(test), "skipped": len(bad)},
    )
    named = bool(classes)
    return SampleData(
        name=card.name,
        card=card,
        train=images[train],
        train_labels=labels[train] if named else None,
        test=images[test],
        test_labels=labels[test] if named else None,
        classes=classes,
        range=(0.0, 255.0),
    )


def _list(root: Path) -> tuple[list[tuple[Path, int]], tuple[str, ...]]:
    """Image files with the number of their class, in the order of their names; and the classes' names."""
    by_class = {folder.name: images_under(folder) for folder in sorted(root.iterdir()) if _visible_folder(folder)}
    by_class = {name: files for name, files in by_class.items() if files}
    loose = sorted(file for file in root.iterdir() if _is_image(file))
    if not by_class:
        return [(file, 0) for file in loose], ()
    if loose:
        _log.warning(
            "%s: %d images lie outside of its %d class folders and are not used", root, len(loose), len(by_class)
        )
    return [(file, number) for number, files in enumerate(by_class.values()) for file in files], tuple(by_class)


def images_under(folder: Path) -> list[Path]:
    """All images of a folder and its sub-folders, but hidden ones, by name."""
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if _visible_folder(Path(parent, name))]
        found += [path for path in (Path(parent, name) for name in files) if _is_image(path)]
    return sorted(found)


def _visible_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith((".", "__"))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _header(file: Path) -> tuple[tuple[int, int], bool] | None:
    """(height, width) as shown and whether it is grey, without decoding; None if it is no image."""
    try:
        with Image.open(file) as picture:
            turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # EXIF orientation: on its side.
            width, height = reversed(picture.size) if turned else picture.size
            return (height, width), picture.mode.startswith(("1", "L", "I", "F"))
    except UNREADABLE:
        return None


def _read(file: Path, size: tuple[int, int], fit: Fit, mode: Literal["L", "RGB"]) -> NDArray[np.uint8] | None:
    """(channels, height, width), or None if it cannot be decoded."""
    height, width = size
    try:
        with Image.open(file) as opened:
            picture = _eight_bits(ImageOps.exif_transpose(opened))
            if picture.has_transparency_data:
                picture = picture.convert("RGBA")
                picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
            picture = picture.convert(mode)
            if picture.size != (width, height):
                resample = Image.Resampling.LANCZOS
                if fit == "crop":
                    picture = ImageOps.fit(picture, (width, height), resample)
                else:
                    picture = picture.resize((width, height), resample)
            pixels = np.asarray(picture, dtype=np.uint8)
    except UNREADABLE:
        return None
    return pixels[None] if mode == "L" else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Deep grey images scaled; Pillow's own conversion would clip them at 255."""
    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture).astype(np.int64) // 256).clip(0, 255).astype(np.uint8))
    if picture.mode == "F":
        raise ValueError("an image of floating-point pixels has no agreed range")
    return picture
