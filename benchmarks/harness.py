"""What every benchmark shares: interleaved timing, processes for rivals that set up the process they work in, the machine's own limits.

Rivals are timed in turn, round after round, so that a slow moment of the machine falls on all of them alike.
"""

from __future__ import annotations

import contextlib
import gc
import json
import multiprocessing
import os
import signal
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest import mock

import torch

from renote.errors import RenoteError
from renote.train.checkpoint import write_json

KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "-1"}
"""Environment in which glibc's allocator keeps what is freed, as `renote.allocator` tells it to."""


def interleave(
    rivals: Mapping[str, Callable[[], Any]], repeats: int = 10, warmup: int = 2, calls: int = 1
) -> dict[str, list[float]]:
    """Seconds of each call, the rivals taking turns: a b c, a b c, …

    Args:
        rivals: name → function to time.
        repeats: timed rounds.
        warmup: rounds before those, not kept.
        calls: of each in a turn, whose mean is kept: for work so short that filling the caches again would be most of it.
    """
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for turn in range(warmup + repeats):
            for name, function in rivals.items():
                start = time.perf_counter()
                for _ in range(calls):
                    function()
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                took = (time.perf_counter() - start) / calls
                if turn >= warmup:
                    seconds[name].append(took)
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    return seconds


class Worker:
    """A process of its own that does pieces of work when asked, so that what one rival sets up in it is not there for another.

    Args:
        build: gives the pieces of work by name; a function of a module, called in the process.
        args: its arguments.
        environment: variables beyond those that are there.
    """

    def __init__(
        self,
        build: Callable[..., Mapping[str, Callable[..., Any]]],
        *args: Any,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, build, args), daemon=True)
        with mock.patch.dict(os.environ, {"TQDM_DISABLE": "1", **(environment or {})}):
            self._process.start()
        theirs.close()

    def __call__(self, name: str, *args: Any) -> Any:
        """Do one piece of work and wait for it."""
        self._connection.send((name, args))
        done, value = self._connection.recv()
        if not done:
            raise RuntimeError(f"{name} failed in its process: {value}")
        return value

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._process.join(timeout=10)
        self._process.kill()


def _serve(connection: Connection, build: Callable[..., Mapping[str, Callable[..., Any]]], args: Any) -> None:
    # whoever asks decides when to stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pieces: Mapping[str, Callable[..., Any]] | None = None
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            name, given = connection.recv()
            try:
                pieces = build(*args) if pieces is None else pieces
                answer = True, pieces[name](*given)
            except Exception as error:
                answer = False, str(error) if isinstance(error, RenoteError) else repr(error)
            connection.send(answer)


class Ledger:
    """Rows that were measured, kept as they come: a benchmark that was stopped goes on from what is there.

    Args:
        path: of the file of rows; its folder is made when the first comes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []

    def find(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """The row that was measured with these settings, or None."""
        return next((row for row in self.rows if key.items() <= row.items()), None)

    def add(self, row: Mapping[str, Any]) -> None:
        """Keep one more."""
        self.rows.append(dict(row))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, self.rows)


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


def table_row(name: str, took: Mapping[str, list[float]], note: str) -> dict[str, Any]:
    """A row of a table.

    Args:
        name: of the row.
        took: by `interleave`, of `renote` and `peer`.
        note: what the work is against the machine, or what was left out.
    """
    renote, peer = median_ms(took["renote"]), median_ms(took["peer"])
    return {"name": name, "renote_ms": renote, "peer_ms": peer, "ratio": peer / renote, "note": note}


def row_with_memory(
    name: str, ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int, note: str, calls: int = 1
) -> dict[str, Any]:
    """A row of a table: both in turn, and the memory of one step of each.

    Args:
        name: of the row.
        ours: renote's step.
        theirs: the peer's.
        repeats: timed rounds.
        note: told after the memory.
        calls: as `interleave`.
    """
    from renote.experiment.memory import peak_memory

    took = interleave({"renote": ours, "peer": theirs}, repeats, calls=calls)
    memory = []
    for function in (ours, theirs):
        with peak_memory() as peak:
            function()
        memory.append(peak.megabytes)
    told = f"memory of a step: {memory[0]:.0f} MB, peer {memory[1]:.0f} MB{'; ' * bool(note)}{note}"
    return table_row(name, took, told)
