"""What every process refuses alike: times outside [0, 1], and steps that do not go down."""

from __future__ import annotations

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
