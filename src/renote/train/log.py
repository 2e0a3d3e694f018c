"""What a run tells: a table on disk, TensorBoard's events, a progress bar on standard error."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from renote.train.checkpoint import write_atomic

HEADER = ("step", "seconds", "name", "value")


class RunLog:
    """Numbers over steps as `log.csv` (one number a row) and TensorBoard's events, below a run folder.

    Args:
        folder: the run folder; None keeps nothing.
        step: the step that training goes on from; rows after it, of a run that died later, are dropped.
    """

    def __init__(self, folder: Path | None, step: int) -> None:
        self._file: io.TextIOWrapper | None = None
        self._events: Any = None
        if folder is None:
            return
        from tensorboardX import SummaryWriter

        path = folder / "log.csv"
        if step and path.exists():
            rows = [row for row in csv.reader(path.read_text().splitlines()) if row and row[0].isdecimal()]
            kept = [row for row in rows if len(row) == len(HEADER) and int(row[0]) <= step]
            lines = [",".join(row) for row in [list(HEADER), *kept]]
            write_atomic(path, ("\n".join(lines) + "\n").encode())
        else:
            write_atomic(path, (",".join(HEADER) + "\n").encode())
        self._file = path.open("a", newline="")
        self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1, flush_secs=10)

    def write(self, step: int, seconds: float, values: Mapping[str, float]) -> None:
        """Add the numbers known after `step` optimizer steps."""
        if self._file is None:
            return
        csv.writer(self._file).writerows((step, f"{seconds:.2f}", name, repr(value)) for name, value in values.items())
        self._file.flush()
        for name, value in values.items():
            self._events.add_scalar(name, value, step)

    def close(self) -> None:
        """Finish the files."""
        if self._file is not None:
            self._file.close()
            self._events.close()


class StepProgress:
    """A bar on a terminal; elsewhere a line now and then, so that log files stay readable.

    Args:
        title: what is going on.
        total: steps in all.
        done: steps done before.
        shown: False shows nothing.
    """

    def __init__(self, title: str, total: int, done: int = 0, shown: bool = True) -> None:
        self._console = Console(stderr=True)
        self._title, self._total, self._shown = title, total, shown
        self._spoken = time.monotonic()
        self._bar: Progress | None = None
        if shown and self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, TextColumn("{task.fields[note]}"), console=self._console, transient=True)
            self._task = self._bar.add_task(title, total=total, completed=done, note="")

    def __enter__(self) -> StepProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def to(self, step: int, note: str = "") -> None:
        """Show that `step` steps are done."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step)
            if note:
                self._bar.update(self._task, note=note)
        elif self._shown and time.monotonic() - self._spoken > 15:
            self._spoken = time.monotonic()
            self._console.print(f"{self._title}: step {step} of {self._total} {note}".rstrip(), highlight=False)
