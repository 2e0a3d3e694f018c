"""Work spread over processes: what each finishes comes back at once, and one process alone keeps it."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from renote.errors import RenoteError

Task = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function of a module and its arguments, which can be pickled."""


class Workers:
    """Processes that take tasks in turn.

    Args:
        processes: how many; each computes with its share of the machine's cores.
    """

    def __init__(self, processes: int) -> None:
        threads = max(1, (os.cpu_count() or 1) // processes)
        # a fresh interpreter each: threads and a GPU's state do not survive a fork
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(processes, context, _begin, (threads,))
        self._running: dict[Future[tuple[Any, float]], Any] = {}

    def submit(self, name: Any, task: Task) -> None:
        """Have a task done; `finished` tells of it by its name."""
        self._running[self._pool.submit(_timed, *task)] = name

    def finished(self) -> Iterator[tuple[Any, Any, float]]:
        """Name, result and seconds of each task as it ends; more may be submitted meanwhile.

        Raises:
            RenoteError: a process was killed.
        """
        while self._running:
            done, _ = wait(self._running, return_when=FIRST_COMPLETED)
            for future in done:
                name = self._running.pop(future)
                try:
                    result, seconds = future.result()
                except BrokenProcessPool:
                    raise RenoteError(
                        "a process was killed, perhaps for want of memory: what was finished is kept; start again with fewer processes"
                    ) from None
                yield name, result, seconds

    def close(self) -> None:
        """Start nothing more, and wait for what runs."""
        self._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def workers(processes: int) -> Iterator[Workers]:
    """Processes within a block."""
    made = Workers(processes)
    try:
        yield made
    finally:
        made.close()


def _timed(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, float]:
    started = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - started


def _begin(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    parent = multiprocessing.parent_process()
    if parent is not None:
        # a process whose parent was killed would wait for tasks for ever
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
