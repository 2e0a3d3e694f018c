"""The training loop of every system: accelerate for devices, precision and processes; everything else is here."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import math
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from renote.allocator import keep_freed_memory
from renote.errors import CheckpointError, RenoteError, UsageError
from renote.train import checkpoint as checkpoints
from renote.train.average import WeightAverage
from renote.train.checkpoint import Checkpoint
from renote.train.learner import Learner, slice_batch
from renote.train.log import RunLog, StepProgress
from renote.train.options import TrainOptions
from renote.train.order import mixed_seed, seed_draws, step_generator


@dataclass(frozen=True)
class Trained:
    """How a training run ended.

    Args:
        step: optimizer steps done.
        seconds: time spent training, over all resumed parts.
        best_step: the step with the best validation, whose weights are used; None without validation.
        stopped_early: whether validation stopped improving before the last step.
        interrupted: whether the user stopped it; a checkpoint was written.
        metrics: the last validation numbers of the weights that are used.
    """

    step: int
    seconds: float
    best_step: int | None = None
    stopped_early: bool = False
    interrupted: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict)


def choose_device(name: str) -> torch.device:
    """The device of `auto`, `cpu` or `cuda`.

    Raises:
        UsageError: if there is no such device here.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device = cuda, but no CUDA device is available here: use device = cpu or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def choose_precision(name: str, device: torch.device) -> str:
    """`bf16` or `fp32`; `auto` takes bf16 where the device multiplies matrices in it."""
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    # without tile units a small network gains less from bf16 products than it loses around them
    return "bf16" if torch.cpu._is_amx_tile_supported() else "fp32"


class Trainer:
    """Minimizes a learner's loss; stops, saves and goes on as if it had never stopped.

    A step is a function of (weights, seed, step number) alone. At the end the module holds the weights to use: the best on
    validation if there is a validation set, else their moving average if there is one, else the last.

    Args:
        learner: the module, its loss and its batches.
        options: how to train.
        out: the run folder; None keeps everything in memory.
        resume: go on from the newest checkpoint below `out`, if there is one.
        title: what the progress bar says.
        progress: whether to show progress.
    """

    def __init__(
        self,
        learner: Learner,
        options: TrainOptions,
        out: Path | None = None,
        *,
        resume: bool = False,
        title: str = "training",
        progress: bool = True,
    ) -> None:
        self.learner, self.options, self.out = learner, options, out
        self.title, self.progress, self.resume = title, progress, resume
        device = choose_device(options.device)
        self.accelerator = _accelerator(choose_precision(options.precision, device), device)
        self.module = learner.module.to(self.accelerator.device)
        self.optimizer = _optimizer(learner.parameter_groups(options.weight_decay), options)
        self.average = WeightAverage(self.module, options.ema_decay) if options.ema_decay else None
        self.best: dict[str, Tensor] | None = None
        self.state: dict[str, Any] = {"seconds": 0.0, "loss_sum": 0.0, "loss_count": 0, "bad": 0}
        self.step = 0

    @property
    def _main(self) -> bool:
        return bool(self.accelerator.is_main_process)

    def run(self) -> Trained:
        """Train to the last step, to the end of patience, or to an interruption.

        Raises:
            RenoteError: if the loss becomes infinite or undefined.
            CheckpointError: if a checkpoint cannot be written or read.
        """
        keep_freed_memory()
        if self.resume and self.out is not None:
            self._restore()
        options, metric = self.options, self.learner.metric
        wrapped = self.accelerator.prepare_model(self.module)
        started = time.perf_counter() - self.state["seconds"]
        loss_sum = torch.tensor(self.state["loss_sum"], device=self.accelerator.device, dtype=torch.float64)
        log = RunLog(self.out if self._main else None, self.step)
        saved = self.step
        stopped = self._out_of_patience()  # a finished run that is resumed stays as it is
        with (
            _interruption() as interrupted,
            torch.random.fork_rng(),
            contextlib.closing(log),
            StepProgress(self.title, options.steps, self.step, self.progress and self._main) as progress,
        ):
            while self.step < options.steps and not stopped:
                loss_sum += self._update(wrapped)
                self.state["loss_count"] += 1
                self.step += 1
                self.state["seconds"] = time.perf_counter() - started
                last = self.step == options.steps
                values: dict[str, float] = {}
                if self.step % options.log_every == 0 or last:
                    values["loss"] = self._mean_loss(loss_sum)
                    values["learning_rate"] = options.learning_rate_at(self.step - 1)
                if metric and options.validate_every and (self.step % options.validate_every == 0 or last):
                    validation = self._validate(metric)
                    values |= {f"validation_{name}": value for name, value in validation.items()}
                    stopped = self._out_of_patience()
                if values:
                    log.write(self.step, self.state["seconds"], values)
                progress.to(self.step, f"loss {values['loss']:.4g}" if "loss" in values else "")
                if options.preview_every and self.step % options.preview_every == 0:
                    self._preview()
                if stopped or self._agreed(interrupted):
                    break
                if self.step % options.checkpoint_every == 0 and not last:
                    self.state["loss_sum"] = self._finite(loss_sum)
                    self._save()
                    saved = self.step
            self.state["loss_sum"] = self._finite(loss_sum)
            # a run that is further than it is asked for was not interrupted
            finished = stopped or self.step >= options.steps
            if self.step != saved:
                self._save()
        self.accelerator.wait_for_everyone()
        self._use_final_weights()
        return Trained(
            step=self.step,
            seconds=self.state["seconds"],
            best_step=self.state.get("best_step"),
            stopped_early=stopped,
            interrupted=not finished,
            metrics=self.state.get("metrics", {}),
        )

    def _update(self, wrapped: nn.Module) -> Tensor:
        """One optimizer step; returns this process's share of the mean loss."""
        options, accelerator = self.options, self.accelerator
        rank, world = accelerator.process_index, accelerator.num_processes
        rate = options.learning_rate_at(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        seed_draws(mixed_seed(options.seed, 3, self.step, rank), accelerator.device)  # dropout inside networks
        whole = self.learner.batch(self.step, step_generator(options.seed, self.step))
        parts = 1 if whole is None else options.accumulate
        self.module.train()
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=accelerator.device)
        for part in range(parts):
            batch, share = slice_batch(whole, rank * parts + part, world * parts)
            if batch is None:
                share = 1.0 / world
            else:
                batch = {name: value.to(accelerator.device, non_blocking=True) for name, value in batch.items()}
            # processes average their gradients, and only after the last part
            with contextlib.nullcontext() if part == parts - 1 else accelerator.no_sync(wrapped):
                loss = wrapped(batch)
                accelerator.backward(loss * (share * world))
            total += loss.detach() * share
        if options.gradient_clip:
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), options.gradient_clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.module, self.step)
        return total

    def _mean_loss(self, loss_sum: Tensor) -> float:
        total = self._finite(loss_sum)
        mean = total / max(1, int(self.state["loss_count"]))
        loss_sum.zero_()
        self.state["loss_count"] = 0
        return mean

    def _finite(self, loss_sum: Tensor) -> float:
        """The sum over processes of the losses since the last row of the log, checked before anything is saved."""
        value = (
            float(self.accelerator.reduce(loss_sum, "sum")) if self.accelerator.num_processes > 1 else float(loss_sum)
        )
        if not math.isfinite(value):
            raise RenoteError(
                f"the loss became {value} by step {self.step}: lower learning_rate (now {self.options.learning_rate:g}), "
                "set gradient_clip = 1, or use precision = fp32. The last checkpoint is untouched"
            )
        return value

    def _validate(self, metric: str) -> Mapping[str, float]:
        with self._averaged():
            self.module.eval()
            with torch.no_grad():
                numbers = dict(self.learner.validate())
            if numbers and numbers[metric] < self.state.get("best_value", math.inf):
                self.state |= {"best_value": numbers[metric], "best_step": self.step, "bad": 0, "metrics": numbers}
                self.best = {name: value.detach().clone() for name, value in self.module.state_dict().items()}
            else:
                self.state["bad"] += 1
        return numbers

    def _preview(self) -> None:
        if not self._main or self.out is None:
            return
        with self._averaged():
            self.module.eval()
            picture = self.learner.preview()
        if picture is not None:
            (self.out / "previews").mkdir(exist_ok=True)
            picture.save(self.out / "previews" / f"step-{self.step:08d}.png")

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """Within, the module holds the moving average of its weights, if there is one."""
        if self.average is None:
            yield
            return
        own = {name: value.detach().clone() for name, value in self.module.state_dict().items()}
        self.module.load_state_dict(self.average.tensors)
        try:
            yield
        finally:
            self.module.load_state_dict(own)

    def _use_final_weights(self) -> None:
        if self.best is not None:
            self.module.load_state_dict(self.best)
        elif self.average is not None:
            self.module.load_state_dict(self.average.tensors)
        self.module.eval()

    def _out_of_patience(self) -> bool:
        return bool(self.options.patience) and self.state["bad"] >= self.options.patience

    def _agreed(self, interrupted: threading.Event) -> bool:
        """Whether any process was interrupted: all must leave after the same step."""
        if self.accelerator.num_processes == 1:
            return interrupted.is_set()
        flag = torch.tensor(float(interrupted.is_set()), device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum") > 0)

    def _save(self) -> None:
        if not self._main or self.out is None:
            return
        tensors = {
            "weights": self.module.state_dict(),
            "optimizer": checkpoints.optimizer_tensors(self.module, self.optimizer),
        }
        if self.average is not None:
            tensors["ema"] = self.average.tensors
        if self.best is not None:
            tensors["best"] = self.best
        checkpoints.save(self.out / "checkpoints", Checkpoint(self.step, tensors, self.state))

    def _restore(self) -> None:
        assert self.out is not None
        path = checkpoints.latest(self.out / "checkpoints")
        if path is None:
            return
        saved = checkpoints.load(path)
        if ("ema" in saved.tensors) != (self.average is not None):
            raise CheckpointError(f"{path} was saved with another ema_decay: resume with the run's own configuration")
        checkpoints.restore(self.module, saved.tensors["weights"], path)
        checkpoints.restore_optimizer(self.module, self.optimizer, saved.tensors["optimizer"])
        if self.average is not None:
            self.average.load(saved.tensors["ema"])
        if "best" in saved.tensors:
            self.best = {name: value.to(self.accelerator.device) for name, value in saved.tensors["best"].items()}
        self.state, self.step = dict(saved.state), saved.step
        if not self._main:
            self.state["loss_sum"] = 0.0  # the main process carries on the sum over all


def _accelerator(precision: str, device: torch.device) -> Accelerator:
    # accelerate keeps one global state, which refuses a second run of another precision or device
    joined = torch.distributed.is_initialized()
    if os.environ.get("WORLD_SIZE"):
        # its functions take the group there is when it is imported as a default, and would keep that group's threads alive
        importlib.import_module("torch.distributed.nn")
    AcceleratorState._reset_state(reset_partial_state=not joined)
    accelerator = Accelerator(mixed_precision="no" if precision == "fp32" else precision, cpu=device.type == "cpu")
    if torch.distributed.is_initialized() and not joined:
        atexit.register(_leave)
    return accelerator


def _leave() -> None:
    # threads of a process group that outlive the interpreter abort the process now and then
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _optimizer(groups: list[dict[str, Any]], options: TrainOptions) -> torch.optim.Optimizer:
    if options.optimizer == "adam":
        return torch.optim.Adam(groups, lr=options.learning_rate, fused=True)
    if options.optimizer == "adamax":
        return torch.optim.Adamax(groups, lr=options.learning_rate)
    if options.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=options.learning_rate, fused=True)
    if options.optimizer == "adagrad":
        return torch.optim.Adagrad(groups, lr=options.learning_rate)
    return torch.optim.SGD(groups, lr=options.learning_rate, momentum=0.9, fused=True)


@contextlib.contextmanager
def _interruption() -> Iterator[threading.Event]:
    """An event that a first SIGINT or SIGTERM sets; a second one acts as usual."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        event.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
