"""The trainer: a step is a function of weights, seed and number, whatever happens in between."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from renote.errors import CheckpointError, RenoteError, UsageError
from renote.train import EpochOrder, Trainer, TrainOptions, WeightAverage, load_weights
from renote.train import checkpoint as checkpoints


class Regression(nn.Module):
    """Squared error of a small network with dropout."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.network = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 1))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return (self.network(batch["x"]) - batch["y"]).square().mean()


class RegressionLearner:
    """Noisy linear data; noise is drawn with each batch."""

    def __init__(self, metric: str | None = None, hook: Any = None, dropout: bool = True) -> None:
        self.module = Regression()
        if not dropout:
            self.module.network[2].p = 0.0
        self.metric, self.hook = metric, hook
        self.x = torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
        self.order = EpochOrder(50, 8, 0)
        self.validations = 0

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor] | None:
        if self.hook:
            self.hook(step)
        x = self.x[self.order.indices(step)]
        return {"x": x, "y": x.sum(1, keepdim=True) + 0.1 * torch.randn(8, 1, generator=generator)}

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        return [{"params": list(self.module.parameters()), "weight_decay": weight_decay}]

    def validate(self) -> Mapping[str, float]:
        self.validations += 1
        return {"loss": float((self.module.network(self.x) - self.x.sum(1, keepdim=True)).square().mean().detach())}

    def preview(self) -> None:
        return None


OPTIONS = TrainOptions(
    steps=20, batch_size=8, ema_decay=0.9, log_every=3, checkpoint_every=5, device="cpu", warmup_steps=3
)


def changed(**changes: Any) -> TrainOptions:
    return TrainOptions(**{**vars(OPTIONS), **changes})


def train(learner: RegressionLearner, options: TrainOptions, out: Path | None = None, resume: bool = False) -> Any:
    if out is not None:
        out.mkdir(exist_ok=True)
    return Trainer(learner, options, out, resume=resume, progress=False).run()


def weights(learner: RegressionLearner) -> Tensor:
    return torch.cat([p.detach().flatten() for p in learner.module.parameters()])


def losses(out: Path) -> list[str]:
    return [row for row in (out / "log.csv").read_text().splitlines() if ",loss," in row]


def without_seconds(rows: list[str]) -> list[tuple[str, str]]:
    return [(row.split(",")[0], row.split(",")[3]) for row in rows]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "adagrad"])
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(tmp_path: Path, optimizer: str) -> None:
    whole, parts, options = RegressionLearner(), RegressionLearner(), changed(optimizer=optimizer)
    train(whole, options, tmp_path / "whole")
    train(parts, changed(optimizer=optimizer, steps=11), tmp_path / "parts")
    resumed = RegressionLearner()
    with torch.no_grad():
        for parameter in resumed.module.parameters():
            parameter.fill_(9.0)  # whatever the fresh weights are, the saved ones count
    train(resumed, options, tmp_path / "parts", resume=True)
    assert torch.equal(weights(whole), weights(resumed))
    newest = [checkpoints.load(checkpoints.latest(tmp_path / name / "checkpoints")) for name in ("whole", "parts")]  # type: ignore[arg-type]
    for stem in ("weights", "ema", "optimizer"):
        first, second = (saved.tensors[stem] for saved in newest)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first), stem


def test_resuming_drops_log_rows_after_the_checkpoint(tmp_path: Path) -> None:
    class Died(Exception):
        pass

    def die(step: int) -> None:
        if step == 9:
            raise Died

    with pytest.raises(Died):
        train(RegressionLearner(hook=die), OPTIONS, tmp_path)
    assert [row.split(",")[0] for row in losses(tmp_path)] == ["3", "6", "9"]
    train(RegressionLearner(), OPTIONS, tmp_path, resume=True)
    assert [row.split(",")[0] for row in losses(tmp_path)] == ["3", "6", "9", "12", "15", "18", "20"]
    train(RegressionLearner(), OPTIONS, tmp_path / "whole")
    assert without_seconds(losses(tmp_path)) == without_seconds(losses(tmp_path / "whole"))


@pytest.mark.parametrize("parts", [2, 3, 8])
def test_accumulated_parts_give_the_whole_batch(parts: int) -> None:
    whole, split = RegressionLearner(dropout=False), RegressionLearner(dropout=False)
    train(whole, OPTIONS)
    train(split, changed(accumulate=parts))
    torch.testing.assert_close(weights(whole), weights(split), rtol=1e-4, atol=1e-6)


def test_training_leaves_the_users_random_state_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    learner = RegressionLearner()
    torch.set_rng_state(state)
    train(learner, OPTIONS)
    assert torch.equal(torch.rand(4), expected)


def test_interruption_saves_a_checkpoint_and_leaves(tmp_path: Path) -> None:
    def interrupt(step: int) -> None:
        if step == 6:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    trained = train(RegressionLearner(hook=interrupt), OPTIONS, tmp_path)
    assert trained.interrupted
    assert trained.step == 7
    assert signal.getsignal(signal.SIGINT) is before
    resumed, whole = RegressionLearner(), RegressionLearner()
    assert not train(resumed, OPTIONS, tmp_path, resume=True).interrupted
    train(whole, OPTIONS)
    assert torch.equal(weights(resumed), weights(whole))


def test_patience_ends_training_and_keeps_the_best_weights(tmp_path: Path) -> None:
    learner = RegressionLearner(metric="loss", dropout=False)
    options = changed(steps=400, learning_rate=0.05, ema_decay=0.0, validate_every=2, patience=3)
    trained = train(learner, options, tmp_path)
    assert trained.stopped_early
    assert trained.best_step is not None
    assert trained.step == trained.best_step + 2 * 3
    best = learner.validate()["loss"]
    assert best == pytest.approx(trained.metrics["loss"])
    fresh = RegressionLearner(metric="loss", dropout=False)
    load_weights(tmp_path / "checkpoints", fresh.module)
    assert torch.equal(weights(fresh), weights(learner))
    again = train(RegressionLearner(metric="loss", dropout=False), options, tmp_path, resume=True)
    assert again.step == trained.step


def test_weight_average_is_its_recursion() -> None:
    module = nn.Linear(2, 1, bias=False).double()
    average = WeightAverage(module, 0.5)
    expected = module.weight.detach().clone()
    for step in range(4):
        with torch.no_grad():
            module.weight.add_(1.0)
        average.update(module, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * module.weight.detach()
    torch.testing.assert_close(average.tensors["weight"], expected)


def test_an_infinite_loss_is_an_error_that_names_the_mend(tmp_path: Path) -> None:
    learner = RegressionLearner()
    train(learner, changed(steps=5), tmp_path)
    learner.x = learner.x * float("inf")
    with pytest.raises(RenoteError, match="learning_rate"):
        train(learner, OPTIONS, tmp_path, resume=True)
    newest = checkpoints.latest(tmp_path / "checkpoints")
    assert newest is not None
    assert newest.name == "step-00000005"


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "state"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: str) -> None:
    train(RegressionLearner(), OPTIONS, tmp_path)
    newest = checkpoints.latest(tmp_path / "checkpoints")
    assert newest is not None
    file = newest / ("state.json" if damage == "state" else "weights.safetensors")
    content = bytearray(file.read_bytes())
    if damage == "missing":
        file.unlink()
    elif damage == "changed":
        content[-1] ^= 1
        file.write_bytes(content)
    else:
        file.write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=r"damaged.*go on from step-00000015"):
        train(RegressionLearner(), OPTIONS, tmp_path, resume=True)


def test_another_models_weights_are_refused(tmp_path: Path) -> None:
    train(RegressionLearner(), OPTIONS, tmp_path)
    with pytest.raises(CheckpointError, match="does not fit"):
        load_weights(tmp_path / "checkpoints", nn.Linear(2, 2))


def test_epochs_visit_every_sample_once() -> None:
    order = EpochOrder(10, 4, seed=3)
    seen = torch.cat([order.indices(step) for step in range(5)])
    assert sorted(seen[:10].tolist()) == sorted(seen[10:].tolist()) == list(range(10))
    assert seen[:10].tolist() != seen[10:].tolist()
    assert torch.equal(EpochOrder(10, 4, seed=3).indices(3), seen[12:16])


@pytest.mark.parametrize(
    ("option", "value"),
    [("steps", 0), ("ema_decay", 1.0), ("learning_rate", 0.0), ("batch_size", -1), ("accumulate", 9), ("seed", -1)],
)
def test_options_out_of_range_are_named(option: str, value: float) -> None:
    with pytest.raises(UsageError, match=option):
        changed(**{option: value})


def test_schedules_of_the_learning_rate() -> None:
    options = changed(steps=13, warmup_steps=3, learning_rate=1.0, learning_rate_schedule="linear")
    assert [round(options.learning_rate_at(step), 3) for step in (0, 1, 2, 3, 8)] == [0.333, 0.667, 1.0, 1.0, 0.5]
    cosine = changed(steps=10, warmup_steps=0, learning_rate=2.0, learning_rate_schedule="cosine")
    assert cosine.learning_rate_at(5) == pytest.approx(1.0)


def test_a_missing_device_is_named() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(UsageError, match="cuda"):
        train(RegressionLearner(), changed(device="cuda"))
