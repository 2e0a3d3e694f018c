"""Families of transitions by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from renote.diffusion.process.jumps import gaussian_jumps, nearest_jumps
from renote.diffusion.process.transition import Absorbing, Transition, Uniform
from renote.errors import unknown

TRANSITIONS: dict[str, Callable[..., Transition]] = {
    "absorbing": Absorbing,
    "uniform": Uniform,
    "gaussian": gaussian_jumps,
    "nearest": nearest_jumps,
}
"""Families by name; add one's own, made of the number of categories and of those of `width` and `reach` that it has, and models of categories take it by name."""


def transition_named(name: str, categories: int, **options: Any) -> Transition:
    """A family of `TRANSITIONS` for so many categories.

    Args:
        name: of the family.
        categories: K.
        options: of any family; those that this one has are used.

    Raises:
        UsageError: for an unknown name.
    """
    if name not in TRANSITIONS:
        raise unknown("transition", name, TRANSITIONS)
    known = inspect.signature(TRANSITIONS[name]).parameters
    return TRANSITIONS[name](categories, **{key: value for key, value in options.items() if key in known})
