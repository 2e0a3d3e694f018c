"""Parts of one's own in a run: the run folder keeps which file defines them, so that whoever opens it is told what to import."""

from __future__ import annotations

import sys
from pathlib import Path

from renote.errors import UsageError


def file_of(part: object) -> str:
    """The name of the file, or of the module, that defines a class or function; empty if renote does."""
    module = getattr(part, "__module__", "")
    if module.startswith("renote."):
        return ""
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file).name if file else module


def not_imported(what: str, name: str, file: str) -> UsageError:
    """The error for a part of one's own that is not there.

    Args:
        what: it is.
        name: by which it was asked for.
        file: what `file_of` said of it when the run began.
    """
    return UsageError(
        f"the {what} {name!r} is of your own code, which was in {file}: import that file before the run is opened, "
        f"or let it be the command line, python {file} COMMAND … (docs: A corruption of one's own)"
    )
