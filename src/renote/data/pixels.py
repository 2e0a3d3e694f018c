"""Images of another size."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from renote.errors import DataError

_CHUNK = 4096


def image_size(size: int | Sequence[int]) -> tuple[int, int]:
    """(height, width) from one number or two.

    Raises:
        DataError: not one or two positive whole numbers.
    """
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or not all(isinstance(side, int) and side > 0 for side in pair):
        raise DataError(f"size is {size!r}: give one positive whole number, or (height, width)")
    return pair[0], pair[1]


def resize(images: Tensor, size: int | Sequence[int]) -> Tensor:
    """Each pixel is the mean of those it covers; where a side grows, bilinear.

    Args:
        images: (n, channels, height, width) uint8.
        size: one number, or (height, width).

    Returns:
        (n, channels, *size) uint8.
    """
    height, width = image_size(size)
    if (height, width) == tuple(images.shape[2:]):
        return images
    grows = height > images.shape[2] or width > images.shape[3]
    out = images.new_empty(*images.shape[:2], height, width)
    # In chunks, because the whole set as float32 is four times the set.
    for start in range(0, images.shape[0], _CHUNK):
        part = images[start : start + _CHUNK].float()
        if grows:
            part = functional.interpolate(part, (height, width), mode="bilinear", antialias=True)
        else:
            part = functional.adaptive_avg_pool2d(part, (height, width))
        out[start : start + _CHUNK] = part.round_().clamp_(0, 255).to(images.dtype)
    return out
