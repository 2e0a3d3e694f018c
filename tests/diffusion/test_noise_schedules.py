"""Schedules against the papers' definitions."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from renote.diffusion import (
    SCHEDULES,
    CosineSchedule,
    EDMSchedule,
    GaussianProcess,
    LearnedSchedule,
    LinearSchedule,
    SubVPSchedule,
    VESchedule,
    VPSchedule,
)
from renote.errors import UsageError

DISCRETE = [
    LinearSchedule(),
    LinearSchedule(50),
    LinearSchedule(1000, 1e-4, 0.01),
    CosineSchedule(),
    CosineSchedule(10),
]
CONTINUOUS = [VPSchedule(), SubVPSchedule(), VESchedule(), VESchedule(0.1, 2.0), EDMSchedule(), EDMSchedule(5.0)]


def learned(first, last, units):
    """A schedule whose interior is away from where it begins, without gradients."""
    generator = torch.Generator().manual_seed(units)
    made = LearnedSchedule(first, last, units).double().requires_grad_(False)
    for parameter in made.parameters():
        if parameter.ndim:
            parameter.normal_(0.2, 0.3, generator=generator)
    return made


LEARNED = [learned(13.3, -5.0, 64), learned(6.0, -9.0, 5), learned(8.0, -8.0, 0)]
ALL = [*DISCRETE, *CONTINUOUS, *LEARNED]
times = st.floats(0, 1).map(lambda t: torch.tensor([t], dtype=torch.float64))


def grid(steps):
    return torch.arange(1, steps + 1, dtype=torch.float64) / steps


@pytest.mark.parametrize("schedule", ALL, ids=repr)
@given(t=times)
def test_alpha_sigma_and_log_snr_belong_together(schedule, t):
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    if schedule.variance_preserving:
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


SMOOTH = [LinearSchedule(), CosineSchedule(), *CONTINUOUS, *LEARNED]


def inner_times():
    # midway between steps, as the linear schedule has corners at each of them
    return grid(40)[:-1] + 0.5 / 1000


@pytest.mark.parametrize("schedule", SMOOTH, ids=repr)
def test_drift_and_rate_are_slopes(schedule):
    t = inner_times().requires_grad_()
    (slope,) = torch.autograd.grad(schedule.log_snr(t).sum(), t)
    torch.testing.assert_close(schedule.log_snr_rate(t.detach()), -slope, rtol=1e-9, atol=0)
    log_alpha = schedule.log_alpha(t).sum()
    slope = torch.autograd.grad(log_alpha, t)[0] if log_alpha.requires_grad else torch.zeros_like(t)
    torch.testing.assert_close(schedule.drift(t.detach()), slope, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("schedule", SMOOTH, ids=repr)
def test_diffusion_is_what_keeps_the_variance(schedule):
    """(σ²)' = 2 f σ² + g², the variance of dx = f x dt + g dw (Särkkä & Solin 2019, equation 5.51)."""
    t = inner_times().requires_grad_()
    variance = schedule.sigma(t) ** 2
    (slope,) = torch.autograd.grad(variance.sum(), t)
    t = t.detach()
    expected = 2 * schedule.drift(t) * schedule.sigma(t) ** 2 + schedule.diffusion(t) ** 2
    torch.testing.assert_close(expected, slope, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("schedule", CONTINUOUS[:2], ids=repr)
def test_continuous_diffusions_are_the_papers(schedule):
    """g² = β for vp and β (1 - ᾱ²) for sub-vp: Song et al. 2021c, (11) and (12)."""
    t = grid(100)
    beta, total = 0.1 + 19.9 * t, 0.1 * t + 19.9 * t**2 / 2
    expected = beta if schedule.variance_preserving else beta * (1 - torch.exp(-2 * total))
    torch.testing.assert_close(schedule.diffusion(t) ** 2, expected, rtol=1e-10, atol=0)


@pytest.mark.parametrize("schedule", ALL, ids=repr)
def test_time_inverts_log_snr(schedule):
    # below its floor ᾱ of the cosine schedule stands still
    t = grid(64)[:-1]
    torch.testing.assert_close(schedule.time(schedule.log_snr(t)), t, rtol=1e-9, atol=0)
    far = torch.tensor([-1e4, 1e4], dtype=torch.float64)
    late, early = schedule.time(far).tolist()
    assert late >= 1 - 1e-3
    assert 0 <= early < 1e-3


@pytest.mark.parametrize("schedule", ALL, ids=repr)
@given(t=times, s=times)
def test_noise_added_between_two_times(schedule, t, s):
    early, late = min(t, s), max(t, s)
    if late - early < 1e-3:
        return
    ratio = schedule.alpha(late) / schedule.alpha(early)
    expected = schedule.sigma(late) ** 2 - ratio**2 * schedule.sigma(early) ** 2
    torch.testing.assert_close(GaussianProcess(schedule).added_variance(late, early), expected, rtol=1e-9, atol=1e-13)


def test_bad_arguments():
    for bad in [(0,), (10, 0.5, 0.1), (10, -0.1, 0.1), (10, 0.1, 1.0)]:
        with pytest.raises(UsageError):
            LinearSchedule(*bad)
    for bad in [(0,), (10, -1.0)]:
        with pytest.raises(UsageError):
            CosineSchedule(*bad)
    for bad in [(-0.1, 20.0), (2.0, 1.0), (0.0, 0.0)]:
        with pytest.raises(UsageError):
            VPSchedule(*bad)
        with pytest.raises(UsageError):
            SubVPSchedule(*bad)
    for bad in [(0.0, 1.0), (2.0, 1.0), (1.0, math.inf)]:
        with pytest.raises(UsageError):
            VESchedule(*bad)
    with pytest.raises(UsageError):
        EDMSchedule(0.0)
    assert {name: type(make(100)).__name__ for name, make in SCHEDULES.items()} == {
        "linear": "LinearSchedule",
        "cosine": "CosineSchedule",
        "vp": "VPSchedule",
        "sub-vp": "SubVPSchedule",
        "ve": "VESchedule",
        "edm": "EDMSchedule",
    }
