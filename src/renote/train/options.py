"""The options that every training run has. Light: reading them imports no tensor library."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from renote.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How a run is trained. A system's configuration extends this class and sets its paper's values."""

    steps: int = 1000
    """Optimizer steps in all."""
    batch_size: int = 128
    """Samples per optimizer step, over all processes and accumulated parts; 0 is the whole data set."""
    optimizer: Literal["adam", "adamw", "sgd", "adagrad"] = "adam"
    """Update rule; adam adds the weight decay to the gradient, adamw shrinks the weights directly."""
    learning_rate: float = 1e-3
    """Step size at its highest."""
    learning_rate_schedule: Literal["constant", "cosine", "linear"] = "constant"
    """How the step size falls after the warm-up, reaching 0 at the last step unless constant."""
    warmup_steps: int = 0
    """Steps over which the step size rises linearly from 0."""
    weight_decay: float = 0.0
    """Strength of the pull of the weights towards 0."""
    gradient_clip: float = 0.0
    """Largest allowed norm of the whole gradient; 0 leaves it alone."""
    accumulate: int = 1
    """Parts into which each batch is split to save memory; the result is the same."""
    ema_decay: float = 0.0
    """Decay per step of the exponential moving average of the weights that samples come from; 0 switches it off."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic; auto is bf16 where the device has bf16 matrix units, else fp32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto is cuda if there is one."""
    seed: int = 0
    """Seed of everything that is drawn."""
    validate_every: int = 0
    """Steps between validations; 0 never validates."""
    patience: int = 0
    """Validations without improvement after which training stops early; 0 never stops early."""
    log_every: int = 50
    """Steps between rows of the log."""
    checkpoint_every: int = 1000
    """Steps between checkpoints; one is always written at the end."""
    preview_every: int = 0
    """Steps between sample pictures; 0 draws none."""

    def __post_init__(self) -> None:
        """Refuse values outside their range, naming the option."""
        least = {"steps": 1, "accumulate": 1, "log_every": 1, "checkpoint_every": 1, "seed": 0}
        for field in fields(TrainOptions):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and not value >= least.get(field.name, 0):
                raise UsageError(f"{field.name} = {value} is too small: it must be at least {least.get(field.name, 0)}")
        if not self.ema_decay < 1:
            raise UsageError(f"ema_decay = {self.ema_decay} must lie in [0, 1)")
        if self.learning_rate == 0:
            raise UsageError("learning_rate = 0 would leave the weights as they are: give a positive value")
        if self.batch_size and self.batch_size < self.accumulate:
            raise UsageError(
                f"accumulate = {self.accumulate} parts of a batch of {self.batch_size} would be empty: lower accumulate"
            )

    def learning_rate_at(self, step: int) -> float:
        """Step size of optimizer step `step`, counted from 0."""
        import math

        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        factor = {"constant": 1.0, "cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done}
        return self.learning_rate * factor[self.learning_rate_schedule]
