"""Errors a user can mend: what went wrong, with which value, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RenoteError(Exception):
    """An error whose message is meant for the user.

    The command line prints the message alone and exits with `status`; the traceback appears with `--debug`.

    Args:
        message: one or two sentences: what failed, which argument, which value, how to mend it.
    """

    status = 1


class UsageError(RenoteError):
    """The request itself cannot be met: an unknown name, a value out of range, files that do not fit. Exit status 2."""

    status = 2


class DataError(UsageError):
    """Data that cannot be read or does not mean what it should."""


class CheckpointError(RenoteError):
    """A run folder that is damaged, incomplete, or belongs to something else."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that nobody registered, with the nearest names that exist.

    Args:
        kind: what the name should have named, e.g. `"system"`.
        name: what was asked for.
        known: every name that would have been accepted.
    """
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(names)}."
    return UsageError(f"unknown {kind} {name!r}. {hint}")


def counted(number: int, what: str) -> str:
    """A number of things in a message.

    Args:
        number: of them.
        what: one of them is, of a word that takes an s.

    Example:
        >>> counted(1, "pair"), counted(2, "pair")
        ('1 pair', '2 pairs')
    """
    return f"{number:d} {what}{'s' * (number != 1)}"
