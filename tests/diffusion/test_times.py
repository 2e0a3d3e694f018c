"""Time samplers: their distributions, and that their weights undo them."""

import math

import pytest
import torch

from renote.diffusion import (
    TIMES,
    CosineSchedule,
    Denoiser,
    DiffusionModel,
    EDMSchedule,
    GaussianProcess,
    ImportanceTimes,
    LinearSchedule,
    LogNormalTimes,
    LowDiscrepancyTimes,
    UniformTimes,
)
from renote.errors import UsageError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("steps", [10, 1000, None])
@pytest.mark.parametrize("kind", [UniformTimes, LowDiscrepancyTimes])
def test_uniform_whatever_the_way(kind, steps):
    t, weights = kind(steps).draw(20_000, generator())
    assert weights is None
    assert float(t.min()) > 0
    assert float(t.max()) <= 1
    # (n,) uniform numbers have this mean and variance, up to the width of a step
    assert float(t.mean()) == pytest.approx(0.5, abs=0.01 + 0.5 / (steps or 1000))
    assert float(t.var()) == pytest.approx(1 / 12, abs=0.003)
    if steps:
        assert torch.equal((t * steps).round() / steps, t)


def test_low_discrepancy_covers_the_range_in_every_batch():
    t, _ = LowDiscrepancyTimes().draw(64, generator(3))
    gaps = t.sort().values.diff()
    torch.testing.assert_close(gaps, torch.full((63,), 1 / 64), rtol=1e-3, atol=1e-6)
    assert not torch.equal(t.sort().values, t)


def test_log_normal_levels():
    schedule = EDMSchedule(80.0)
    t, weights = LogNormalTimes(schedule, -1.2, 1.2).draw(50_000, generator())
    assert weights is None
    logs = schedule.sigma(t.double()).log()
    assert float(logs.mean()) == pytest.approx(-1.2, abs=0.02)
    assert float(logs.std()) == pytest.approx(1.2, abs=0.02)
    assert float(LogNormalTimes(CosineSchedule(), 30.0, 0.1).draw(10, generator())[0].max()) <= 1


def test_importance_follows_the_losses_and_its_weights_undo_it():
    times = ImportanceTimes(5)
    torch.testing.assert_close(times.probabilities(), torch.full((5,), 0.2, dtype=torch.float64))
    sizes = torch.tensor([1.0, 2.0, 3.0, 4.0, 0.5], dtype=torch.float64)
    for _ in range(10):
        times.learn(torch.arange(1, 6) / 5, sizes)
    torch.testing.assert_close(times.probabilities(), sizes / sizes.sum(), rtol=0, atol=2e-3)
    t, weights = times.draw(40_000, generator())
    step = (t * 5).round().long()
    counts = torch.bincount(step, minlength=6)[1:].double() / 40_000
    torch.testing.assert_close(counts, times.probabilities(), rtol=0, atol=0.01)
    # E[weight · loss] is the plain average of the losses
    assert float((weights.double() * sizes[step - 1]).mean()) == pytest.approx(float(sizes.mean()), rel=0.01)


def test_importance_keeps_the_last_ten_of_each_step():
    times = ImportanceTimes(3)
    losses = torch.arange(1.0, 26.0)
    # 25 losses of step 2 in one batch, among them one of step 1
    t = torch.full((26,), 2 / 3)
    t[7] = 1 / 3
    times.learn(t, torch.cat([losses[:7], torch.tensor([100.0]), losses[7:]]))
    assert times.seen.tolist() == [1, 25, 0]
    assert sorted(times.history[1].tolist()) == losses[-10:].tolist()
    times.learn(torch.tensor([2 / 3]), torch.tensor([50.0]))
    assert sorted(times.history[1].tolist()) == [*losses[-9:].tolist(), 50.0]


def test_what_importance_learnt_is_part_of_the_weights_file():
    class Zero(torch.nn.Module):
        def forward(self, x, time, label):
            return x * 0

    def model():
        schedule = LinearSchedule(4)
        return DiffusionModel(
            Denoiser(Zero(), schedule), GaussianProcess(schedule), (2,), num_train_steps=4, times="importance"
        )

    one, two = model(), model()
    for seed in range(40):
        batch = one.draw(torch.randn(8, 2), None, generator(seed))
        assert batch["importance"].shape == (8,)
        loss = one(batch)
        assert math.isfinite(float(loss))
    assert int(one.times.seen.sum()) == 320
    two.load_state_dict(one.state_dict())
    torch.testing.assert_close(two.times.probabilities(), one.times.probabilities())
    assert float(one.times.probabilities().max()) > 0.26
    one.eval()
    one(batch)
    assert int(one.times.seen.sum()) == 320


def test_bad_times():
    schedule = LinearSchedule()
    for make in (lambda: UniformTimes(0), lambda: LogNormalTimes(schedule, 0.0, 0.0)):
        with pytest.raises(UsageError):
            make()
    assert set(TIMES) == {"uniform", "low-discrepancy", "log-normal", "importance"}
    with pytest.raises(UsageError, match="times"):
        DiffusionModel(Denoiser(torch.nn.Identity(), schedule), GaussianProcess(schedule), (2,), times="evenly")
