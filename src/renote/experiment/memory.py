"""How much memory a piece of work needed at its highest."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch


@dataclass
class Peak:
    """Megabytes above what was in use before: of the accelerator if there is one, else of the process."""

    megabytes: float = 0.0


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measure the work within.

    On Linux the kernel keeps the highest resident size, which can be reset; elsewhere the resident size at the end is all that
    is known without a sampling thread that would disturb the timing.
    """
    peak = Peak()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield peak
        peak.megabytes = (torch.cuda.max_memory_allocated() - before) / 1e6
        return
    reset = _reset()  # first, as it lowers what is in use
    resident = psutil.Process().memory_info().rss
    yield peak
    highest = _highest() if reset else psutil.Process().memory_info().rss
    peak.megabytes = max(0.0, (highest - resident) / 1e6)


def _reset() -> bool:
    gc.collect()
    # what earlier work freed must go back to the system, or this work would use it unseen
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _highest() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
