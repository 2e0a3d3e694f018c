"""Memory that is freed stays with the process, so that the next step of the same loop finds it ready.

glibc gives every block of more than 32 MiB, and whatever lies free at the end of its heap, back to the system at once, and takes new pages for the next one. The system fills new pages
with zeros when they are first touched. For networks on processors, which make and free the same large tensors in every step, that is a quarter of a training step.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Names of glibc's settings, as in malloc.h."""

CHOSEN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_")
"""Variables of the environment by which a user sets the same things."""


@functools.cache
def keep_freed_memory() -> bool:
    """Tell glibc's allocator to keep what is freed; elsewhere, or where the user has set it, do nothing.

    Called where a loop over a network begins. The process needs as much at its highest as without, but holds it until it ends.

    Returns:
        Whether the allocator took both settings.
    """
    chosen = any(name in os.environ for name in CHOSEN) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if chosen or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))
