"""The options that every training run has. Light: reading them imports no tensor library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from renote.errors import UsageError

Optimizer = Literal["adam", "adamax", "adamw", "sgd", "adagrad"]


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How a run is trained. A system's configuration extends this class and sets its paper's values.

    A class names its own options in `from_one`, `from_zero` and `rates` by their range; what its parents named stays in theirs.
    """

    from_one: ClassVar[tuple[str, ...]] = ("steps", "accumulate", "log_every", "checkpoint_every")
    """Options that are at least 1; of several numbers, each is."""
    from_zero: ClassVar[tuple[str, ...]] = ()
    """Options that are at least 0, as all of this class are; likewise."""
    rates: ClassVar[tuple[str, ...]] = ("ema_decay",)
    """Options that lie in [0, 1)."""
    unused: ClassVar[tuple[str, ...]] = ()
    """Options that its kin look at and this class does not: they keep their defaults."""
    only_with: ClassVar[Mapping[str, tuple[str, tuple[Any, ...]]]] = {}
    """Options that are looked at only where another has one of some values."""

    steps: int = 1000
    """Optimizer steps in all."""
    batch_size: int = 128
    """Samples per optimizer step, over all processes and accumulated parts; 0 is the whole data set."""
    optimizer: Optimizer = "adam"
    """Update rule; adam adds the weight decay to the gradient, adamw shrinks the weights directly; adamax scales by the largest gradient, adagrad by all so far."""
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
        numbers = [f.name for f in fields(TrainOptions) if isinstance(getattr(self, f.name), int | float)]
        for least, names in ((1, self._named("from_one")), (0, [*numbers, *self._named("from_zero")])):
            for name in names:
                value = getattr(self, name)
                several = isinstance(value, tuple)
                if not all(number >= least for number in (value if several else (value,))):
                    raise UsageError(f"{name} = {value}: {'each' if several else 'it'} must be at least {least}")
        for name in self._named("rates"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise UsageError(f"{name} = {getattr(self, name)} must lie in [0, 1)")
        for field in fields(self):
            if field.name in self.unused and getattr(self, field.name) != field.default:
                raise UsageError(
                    f"{field.name} = {getattr(self, field.name)}, but this system does not look at {field.name}: leave it out"
                )
        if self.learning_rate == 0:
            raise UsageError("learning_rate = 0 would leave the weights as they are: give a positive value")
        if self.batch_size and self.batch_size < self.accumulate:
            raise UsageError(
                f"accumulate = {self.accumulate} parts of a batch of {self.batch_size} would be empty: lower accumulate"
            )

    @classmethod
    def _named(cls, range_: str) -> list[str]:
        return [name for parent in reversed(cls.__mro__) for name in vars(parent).get(range_, ())]

    @classmethod
    def used(cls, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Those of some changes that this class looks at: for changes that are meant for several systems."""
        return {name: value for name, value in changes.items() if name not in cls.unused}

    def refuse_idle(self, base: TrainOptions) -> None:
        """Refuse an option that was changed and that nothing looks at.

        Args:
            base: the same class before it was changed.

        Raises:
            UsageError: which, and what it is for.
        """
        for parent in reversed(type(self).__mro__):
            for name, (other, values) in vars(parent).get("only_with", {}).items():
                value, found = getattr(self, name), getattr(self, other)
                if value != getattr(base, name) and found not in values:
                    raise UsageError(
                        f"{name} = {value} is for {other} = {' or '.join(map(str, values))}, and {other} is {found}: leave {name} out, or set {other}"
                    )

    def learning_rate_at(self, step: int) -> float:
        """Step size of optimizer step `step`, counted from 0."""
        import math

        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        factor = {"constant": 1.0, "cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done}
        return self.learning_rate * factor[self.learning_rate_schedule]


OF_TRAINING = tuple(field.name for field in fields(TrainOptions) if field.name not in ("device", "seed"))
"""Options that say nothing where no weights are learned."""
