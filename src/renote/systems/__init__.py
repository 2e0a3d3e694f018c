"""The published systems, one file each. A file here is all that a new system needs to be found everywhere.

>>> from renote import systems
>>> systems.get("gcn").paper.year
2017
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from typing import TYPE_CHECKING, Any

from renote.errors import unknown

if TYPE_CHECKING:
    from renote.data import Data
    from renote.experiment.run import Run
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
    """The run of a folder that a training wrote, or a checkpoint that comes with renote, with the weights to use.

    Args:
        folder: the run folder; or the name of a checkpoint (`renote checkpoints`), e.g. `"digits-edm"`, if there is no folder of that name.
        data: data in the place of what it was trained on.

    Raises:
        UsageError: if there is neither a folder nor a checkpoint of that name; the message has the nearest.
        CheckpointError: if the folder holds no run or no checkpoint, or one is damaged.
    """
    from renote.experiment.run import open_run, read_config
    from renote.experiment.shipped import locate

    path = locate(folder)
    saved = read_config(path)
    return open_run(get(saved["system"]), path, saved, data)
