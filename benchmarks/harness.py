"""What every benchmark shares: interleaved timing, the machine's own limits.

Rivals are timed in turn, round after round, so that a slow moment of the machine falls on all of them alike.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch


def interleave(rivals: Mapping[str, Callable[[], Any]], repeats: int = 10, warmup: int = 2) -> dict[str, list[float]]:
    """Seconds of each call, the rivals taking turns: a b c, a b c, …

    Args:
        rivals: name → function to time.
        repeats: timed rounds.
        warmup: rounds before those, not kept.
    """
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for turn in range(warmup + repeats):
            for name, function in rivals.items():
                start = time.perf_counter()
                function()
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                took = time.perf_counter() - start
                if turn >= warmup:
                    seconds[name].append(took)
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    return seconds


def median_ms(seconds: Sequence[float]) -> float:
    """Median in milliseconds."""
    return 1000 * statistics.median(seconds)


def copy_bandwidth(megabytes: int = 256, repeats: int = 7) -> float:
    """Bytes per second read and written by a large copy: what memory can move at best."""
    source = torch.ones(megabytes * 2**20 // 4)
    target = torch.empty_like(source)
    took = interleave({"copy": lambda: target.copy_(source)}, repeats)["copy"]
    return 2 * source.numel() * source.element_size() / statistics.median(took)


def matmul_rate(dtype: torch.dtype = torch.float32, size: int = 2048, repeats: int = 7) -> float:
    """Floating-point operations per second of a large square matrix product."""
    left, right = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    out = torch.empty(size, size, dtype=dtype)
    took = interleave({"matmul": lambda: torch.mm(left, right, out=out)}, repeats)["matmul"]
    return 2 * size**3 / statistics.median(took)
