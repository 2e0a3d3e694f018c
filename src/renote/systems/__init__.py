"""The published systems, one file each. A file here is all that a new system needs to be found everywhere.

>>> from renote import systems
>>> systems.get("gcn").paper.year
2017
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renote.errors import unknown

if TYPE_CHECKING:
    from renote.experiment.run import Data, Run
    from renote.experiment.system import System


def names() -> list[str]:
    """The name of every system, in alphabetical order."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def get(name: str) -> System[Any]:
    """A system by name.

    Args:
        name: as on the command line, e.g. `"label-propagation"`.

    Raises:
        UsageError: if there is none of that name; the message has the nearest.
    """
    if name not in names():
        raise unknown("system", name, names())
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    system: System[Any] = module.SYSTEM
    return system


def load_run(folder: str | os.PathLike[str], data: str | Data | None = None) -> Run:
    """The run of a folder that a training wrote, with the weights to use.

    Args:
        folder: the run folder.
        data: data in the place of what it was trained on.

    Raises:
        CheckpointError: if there is no run, no checkpoint, or one is damaged.
    """
    from renote.experiment.run import open_run, read_config

    saved = read_config(Path(folder))
    return open_run(get(saved["system"]), Path(folder), saved, data)
