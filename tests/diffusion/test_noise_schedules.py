"""Schedules against the papers' definitions."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from renote.diffusion import SCHEDULES, CosineSchedule, LinearSchedule
from renote.errors import UsageError

ALL = [LinearSchedule(), LinearSchedule(50), LinearSchedule(1000, 1e-4, 0.01), CosineSchedule(), CosineSchedule(10)]
times = st.floats(0, 1).map(lambda t: torch.tensor([t], dtype=torch.float64))


def grid(steps):
    return torch.arange(1, steps + 1, dtype=torch.float64) / steps


@pytest.mark.parametrize("schedule", ALL, ids=repr)
@given(t=times)
def test_alpha_sigma_and_log_snr_belong_together(schedule, t):
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(t), rtol=0, atol=1e-14)
    if sigma > 1e-6:
        torch.testing.assert_close(schedule.log_snr(t), 2 * torch.log(alpha / sigma), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("schedule", ALL, ids=repr)
@given(t=times, s=times)
def test_never_less_noise_later(schedule, t, s):
    early, late = min(t, s), max(t, s)
    assert schedule.alpha(early) >= schedule.alpha(late)
    assert schedule.sigma(early) <= schedule.sigma(late)
    assert schedule.log_snr(early) >= schedule.log_snr(late)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("steps", "start", "end"), [(1000, 1e-4, 0.02), (100, 1e-3, 0.2), (1, 0.3, 0.3)])
def test_linear_passes_through_the_cumulative_product(steps, start, end, dtype):
    schedule = LinearSchedule(steps, start, end)
    exact = torch.cumprod(1 - torch.linspace(start, end, steps, dtype=torch.float64), 0)
    t = grid(steps).to(dtype)
    tolerance = {"rtol": 1e-12, "atol": 0} if dtype == torch.float64 else {"rtol": 2e-6, "atol": 0}
    torch.testing.assert_close(schedule.alpha(t).double() ** 2, exact, **tolerance)
    torch.testing.assert_close(
        schedule.sigma(t).double() ** 2, 1 - exact, rtol=1e-4 if dtype == torch.float32 else 1e-10, atol=0
    )
    assert schedule.alpha(t).dtype == dtype


def test_linear_is_log_linear_between_steps():
    schedule = LinearSchedule(10, 0.01, 0.3)
    t = torch.tensor([0.3, 0.35, 0.4], dtype=torch.float64)
    below, between, above = schedule.log_snr(t).sigmoid().log()
    assert float(between) == pytest.approx(float(below + above) / 2, rel=1e-12)


def test_linear_corrupts_alike_for_any_number_of_steps():
    one = torch.ones(1, dtype=torch.float64)
    assert LinearSchedule(1000).beta_end == 0.02
    for steps in (100, 250, 4000):
        assert float(LinearSchedule(steps).log_snr(one)) == pytest.approx(
            float(LinearSchedule().log_snr(one)), rel=0.15
        )


@pytest.mark.parametrize("steps", [1000, 50, 2])
def test_cosine_equals_the_papers_clipped_betas(steps):
    def f(k):
        return math.cos((k / steps + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = torch.tensor([min(1 - f(k) / f(k - 1), 0.999) for k in range(1, steps + 1)], dtype=torch.float64)
    exact = torch.cumprod(1 - betas, 0)
    torch.testing.assert_close(CosineSchedule(steps).alpha(grid(steps)) ** 2, exact, rtol=1e-9, atol=0)


@pytest.mark.parametrize("schedule", ALL, ids=repr)
def test_ends(schedule):
    zero, one = torch.zeros(1), torch.ones(1)
    assert float(schedule.alpha(zero)) == 1
    assert float(schedule.sigma(zero)) == 0
    assert float(schedule.log_snr(zero)) == math.inf
    assert float(schedule.alpha(one)) > 0
    assert math.isfinite(float(schedule.log_snr(one)))


@pytest.mark.parametrize("schedule", [LinearSchedule(), CosineSchedule()], ids=repr)
def test_rate_is_the_slope_of_log_snr(schedule):
    # midway between steps, as the linear schedule has corners at each of them
    t = (grid(40)[:-1] + 0.5 / 1000).requires_grad_()
    (slope,) = torch.autograd.grad(schedule.log_snr(t).sum(), t)
    torch.testing.assert_close(schedule.log_snr_rate(t.detach()), -slope, rtol=1e-9, atol=0)


def test_bad_arguments():
    for bad in [(0,), (10, 0.5, 0.1), (10, -0.1, 0.1), (10, 0.1, 1.0)]:
        with pytest.raises(UsageError):
            LinearSchedule(*bad)
    for bad in [(0,), (10, -1.0)]:
        with pytest.raises(UsageError):
            CosineSchedule(*bad)
    assert set(SCHEDULES) == {"linear", "cosine"}
