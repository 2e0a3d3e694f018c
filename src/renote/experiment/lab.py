"""Where an experiment works: trainings that resume, measurements that are kept as they come."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from renote.data import Data
from renote.errors import UsageError
from renote.experiment import environment
from renote.experiment.run import completed, load_data, train
from renote.experiment.system import Size, System
from renote.experiment.workers import Task, workers
from renote.train.checkpoint import latest, write_json


class Lab:
    """The work folder of one experiment. Killed at any time, it goes on from what is there.

    Args:
        system: whose claim is tested.
        size: `laptop` or `full`.
        folder: where runs and measurements are kept.
        progress: whether to tell of progress on standard error.
        processes: how many may work at once, where the experiment has parts that do not need each other.
    """

    def __init__(
        self, system: System[Any], size: Size, folder: Path, progress: bool = True, processes: int = 1
    ) -> None:
        if processes < 1:
            raise UsageError(f"processes = {processes}: at least one")
        self.system, self.size, self.folder, self.progress = system, size, folder, progress
        self.processes = processes
        self._console = Console(stderr=True, quiet=not progress, highlight=False)
        self._path = folder / "measurements.json"
        self._kept: dict[str, Any] = json.loads(self._path.read_text()) if self._path.exists() else {}
        self._data: dict[str, Data] = {}

    def __reduce__(self) -> tuple[type[Lab], tuple[System[Any], Size, Path, bool]]:
        """In another process: the same folder, silent and alone."""
        return type(self), (self.system, self.size, self.folder, False)

    @property
    def laptop(self) -> bool:
        """Whether this is the small size."""
        return self.size == "laptop"

    @property
    def preset(self) -> str:
        """Of configurations at this size, where the paper's is that of the full one."""
        return "laptop" if self.laptop else "paper"

    def say(self, text: str) -> None:
        """Tell of progress."""
        self._console.print(text, markup=False)

    def data(self, name: str, **options: Any) -> Any:
        """A data set, loaded once."""
        key = f"{name} {sorted(options.items())}"
        if key not in self._data:
            self._data[key] = load_data(name, options)
        return self._data[key]

    def train(
        self,
        data: str,
        key: str,
        system: System[Any] | None = None,
        preset: str = "laptop",
        data_options: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Any:
        """A trained run, kept in the work folder under `key`; a finished one is loaded.

        Args:
            data: name of the data set.
            key: name of the run's folder.
            system: another system than the experiment's own.
            preset: of the configuration.
            data_options: of the data set's loader.
            changes: fields of the configuration.
        """
        system = system or self.system
        config = system.configure(preset, **changes)
        self.say(f"train {system.name} on {data}: {key}")
        run = train(
            system,
            self.data(data, **(data_options or {})),
            config,
            self.folder / "runs" / key,
            resume=True,
            progress=self.progress,
            data_options=data_options,
        )
        return completed(run)

    def measure(self, key: str, function: Callable[[], Any], told: str | None = None) -> Any:
        """What `function()` returns, as JSON takes it; computed once, and kept under `key` with its seconds. `told` is the key in words, for progress."""
        if key not in self._kept:
            started = time.perf_counter()
            value = function()
            self.keep(key, value, time.perf_counter() - started, told)
        return self._kept[key]["value"]

    def measure_all(self, tasks: Mapping[str, Task]) -> dict[str, Any]:
        """What each of several functions returns that do not need each other, spread over `processes`; each is kept as it comes.

        Args:
            tasks: key → function of a module and its arguments, all of which can be pickled; a lab among them may train, each under its own key.
        """
        missing = {key: task for key, task in tasks.items() if not self.has(key)}
        if self.processes > 1 and len(missing) > 1:
            with workers(min(self.processes, len(missing))) as pool:
                for key, task in missing.items():
                    pool.submit(key, task)
                for key, value, seconds in pool.finished():
                    self.keep(key, value, seconds)
        return {key: self.measure(key, partial(function, *given)) for key, (function, given) in tasks.items()}

    def has(self, key: str) -> bool:
        """Whether something is kept under `key`."""
        return key in self._kept

    def keep(self, key: str, value: Any, seconds: float, told: str | None = None) -> None:
        """Keep what was computed elsewhere under `key`, at once; `told` as in `measure`."""
        self._kept[key] = {"value": value, "seconds": seconds, "place": environment.place()}
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self._path, self._kept)
        self.say(f"{told or key}: {_short(value)}")

    def places(self) -> list[str]:
        """Where what is kept was measured, each place once: parts may come from several machines."""
        return sorted({str(kept.get("place", "not recorded")) for kept in self._kept.values()})

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within, no other process may do so with the same folder; ends with the process, however that ends.

        Raises:
            UsageError: another does.
        """
        try:
            import fcntl
        except ImportError:  # no such locks on this system
            yield
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UsageError(
                    f"another process works in {self.folder}: wait for it, or give another folder (work)"
                ) from None
            # what others kept before
            if self._path.exists():
                self._kept = json.loads(self._path.read_text())
            yield

    def seconds(self) -> float:
        """Time of all kept measurements and trainings, over all interrupted parts."""
        trained = 0.0
        for checkpoints in self.folder.glob("runs/*/checkpoints"):
            newest = latest(checkpoints)  # each tells the seconds since the run began
            if newest is not None:
                trained += float(json.loads((newest / "state.json").read_text()).get("seconds", 0.0))
        return trained + sum(float(kept["seconds"]) for kept in self._kept.values())


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_short(item)}" for key, item in value.items())
    if isinstance(value, list) and value and isinstance(value[0], list):
        return f"{len(value)} rows"
    return str(value)[:200]
