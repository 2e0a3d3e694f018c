"""What every process refuses alike: times outside [0, 1], steps that do not go down, and numbers that are no categories."""

from __future__ import annotations

import torch
from torch import Tensor

from renote.errors import UsageError


def check_strength(strength: Tensor) -> None:
    """Refuse a time, or strength, outside [0, 1]; not looked into on a GPU, which would have to be waited for.

    Args:
        strength: (n,).

    Raises:
        UsageError: naming the first that is outside.
    """
    if strength.device.type != "cpu":
        return
    outside = strength[~((strength >= 0) & (strength <= 1))]
    if len(outside):
        raise UsageError(f"strength = {float(outside[0])}: it lies between 0 (clean) and 1 (nothing left)")


def check_step(t: float | Tensor, s: float | Tensor) -> None:
    """Refuse a reverse step between numbers that are not 0 <= s < t <= 1.

    Args:
        t: time that it begins at.
        s: time that it ends at.

    Raises:
        UsageError: naming both.
    """
    if isinstance(t, float | int) and isinstance(s, float | int) and not 0 <= s < t <= 1:
        raise UsageError(f"a reverse step from t = {t} to s = {s}: times must be 0 <= s < t <= 1")


def check_count(categories: int) -> None:
    """Refuse fewer than 2 categories.

    Args:
        categories: K.

    Raises:
        UsageError: naming the number.
    """
    if categories < 2:
        raise UsageError(f"categories = {categories}: at least 2, or nothing is left to tell")


def check_categories(value: Tensor, categories: int, mask: int | None = None) -> None:
    """Refuse what is no category.

    Args:
        value: (n, …) numbers.
        categories: K.
        mask: the state of what is masked, where that may stand as well.

    Raises:
        UsageError: naming the first value out of range, and where it is.
    """
    known = f"0 to {categories - 1}" if mask is None else f"0 to {categories - 1}, and {mask} is masked"
    check_whole(value, known)
    outside = (value < 0) | (value >= categories)
    if mask is not None:
        outside &= value != mask
    if bool(outside.any()):
        place = outside.nonzero()[0].tolist()
        raise UsageError(f"category {int(value[tuple(place)])} at {place}: categories are numbered {known}")


def check_whole(value: Tensor, known: str) -> None:
    """Refuse numbers that are not whole.

    Args:
        value: numbers.
        known: which numbers there are, in words.

    Raises:
        UsageError: naming their type.
    """
    if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
        raise UsageError(f"categories of {value.dtype}: they are whole numbers, {known}")


def check_bits(value: Tensor) -> None:
    """Refuse what is neither 0 nor 1; not looked into on a GPU, which would have to be waited for.

    Args:
        value: (n, …) of any type.

    Raises:
        UsageError: naming the first that is neither, and where it is.
    """
    if value.device.type != "cpu":
        return
    other = (value != 0) & (value != 1)
    if bool(other.any()):
        place = other.nonzero()[0].tolist()
        raise UsageError(f"bit {float(value[tuple(place)]):g} at {place}: bits are 0 or 1")


def check_fitted(learned: Tensor, what: str) -> None:
    """Refuse a prior that has seen no data.

    Args:
        learned: what `fit` learns, not a number before.
        what: name of what is fitted.

    Raises:
        UsageError: naming `fit`.
    """
    if bool(learned.isnan().any()):
        raise UsageError(
            f"{what} was not fitted, so it knows nothing of the data: call fit(clean) with training data first"
        )
