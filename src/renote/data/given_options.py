"""Options of loaders as they are given, in words too: checked against what each loader says that it takes."""

from __future__ import annotations

import math
import numbers
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from renote.errors import DataError

_WORDS = {"true": True, "yes": True, "false": False, "no": False}
_WANTED = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "a word",
    types.NoneType: "nothing",
}


def checked_options(loader: Callable[..., Any], name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, true and false also by their words; what has another type than its annotation is refused.

    Args:
        loader: takes them by keyword.
        name: of the data, for the message.
        options: as given, of which the loader has all.

    Raises:
        DataError: one is of another type; the message names it, its value, and what is wanted.
    """
    try:
        hints = typing.get_type_hints(loader)
    except NameError:  # a loader of one's own whose annotations cannot be read
        return dict(options)
    return {option: _checked(name, option, value, hints.get(option, Any)) for option, value in options.items()}


def _checked(name: str, option: str, value: Any, hint: Any) -> Any:
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if bool in kinds and isinstance(value, str) and str not in kinds and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    if any(_fits(value, kind) for kind in kinds):
        return value
    wanted = " or ".join(_told(kind) for kind in kinds)
    raise DataError(f"{option} = {value!r} of the data set {name!r}: give {wanted}")


def _fits(value: Any, kind: Any) -> bool:
    origin = typing.get_origin(kind) or kind
    if origin is typing.Literal:
        return isinstance(value, str) or value in typing.get_args(kind)  # of words the loader knows the nearest
    if origin is bool:
        return isinstance(value, bool)
    if origin in (int, float):
        number = isinstance(value, numbers.Real if origin is float else numbers.Integral)
        return number and not isinstance(value, bool) and math.isfinite(value)
    if origin in (list, tuple, Sequence):
        return isinstance(value, Sequence) and not isinstance(value, str)
    # text may look like anything, and of other kinds the loader knows more
    return value is None if origin is types.NoneType else True


def _told(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(map(repr, typing.get_args(kind)))
    return _WANTED.get(kind, "several")
