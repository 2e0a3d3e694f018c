"""From the names that a user gives to the numbers by which a run knows things."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from renote.errors import UsageError


def numbers_of(asked: Iterable[str], known: Sequence[str], what: str, where: str, unseen: str, mend: str) -> list[int]:
    """The number of each name among those that were there in training.

    Args:
        asked: names.
        known: names by number.
        what: a name is.
        where: it is looked for.
        unseen: of whom or what nothing is known.
        mend: what the user can do.

    Raises:
        UsageError: a name is not there; the message has the nearest.
    """
    number = {name: place for place, name in enumerate(known)}
    found = []
    for name in asked:
        if name not in number:
            near = difflib.get_close_matches(name, known, n=3)
            hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
            raise UsageError(
                f"{what} {name!r} is not in {where}, and nothing is known of {unseen} not there in training: {hint}{mend}"
            )
        found.append(number[name])
    return found
