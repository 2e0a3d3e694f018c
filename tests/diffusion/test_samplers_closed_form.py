"""Samplers against closed forms. The data is Gaussian, so the perfect denoiser is affine and so is every sampler: mean and
variance after each step of the *discretized* chain are known exactly, from Bayes' rule alone."""

import numpy as np
import pytest
import torch
from exact_denoisers import GaussianDenoiser, Impulses, MixtureDenoiser, Shared

from renote.diffusion import (
    DDIM,
    SAMPLERS,
    Ancestral,
    CosineSchedule,
    GaussianProcess,
    LinearSchedule,
    NoiseSource,
    grid,
)
from renote.errors import UsageError

SCHEDULES = [LinearSchedule(), CosineSchedule()]
GRIDS = {
    "all": grid.subsequence(1000, 1000),
    "trailing": grid.subsequence(1000, 20, "trailing"),
    "leading": grid.subsequence(1000, 20, "leading"),
    "uniform": grid.subsequence(1000, 7, "uniform"),
    "quadratic": grid.subsequence(1000, 20, "quadratic"),
    "continuous": grid.uniform(13),
    "one": grid.uniform(1),
}
MEAN = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
VARIANCE = torch.tensor([0.04, 1.0, 3.0], dtype=torch.float64)


def alpha_bar(schedule, t):
    """ᾱ from the papers' formulas, for times k/1000 or where the schedule is smooth."""
    if isinstance(schedule, CosineSchedule):
        f = [np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2 for u in (0, t, 0.999)]
        return max(f[1], 0.001 * f[2]) / f[0]
    logs = np.concatenate([[0], np.cumsum(np.log(1 - np.linspace(1e-4, 0.02, 1000)))])
    return np.exp(np.interp(t * 1000, np.arange(1001), logs))


def bayes(schedule, t, s):
    """q(x_s | x_t, x_0) = N(a x_t + b x_0, v), from the prior q(x_s | x_0) and the likelihood q(x_t | x_s)."""
    late, early = alpha_bar(schedule, t), alpha_bar(schedule, s)
    if s == 0:
        return 0.0, 1.0, 0.0
    ratio = late / early
    precision = 1 / (1 - early) + ratio / (1 - ratio)
    return np.sqrt(ratio) / (1 - ratio) / precision, np.sqrt(early) / (1 - early) / precision, 1 / precision


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("sampler", [Ancestral(), Ancestral("large"), DDIM(eta=1.0)], ids=repr)
def test_ancestral_mean_and_variance_at_every_step(sampler, schedule, name):
    pairs = GRIDS[name]
    start = 0.3
    # sample 0: no noise at all; 1: a unit impulse in the start; 2 + i: a unit impulse in the noise of step i
    n = 2 + len(pairs)
    noisy = torch.full((n, 3), start, dtype=torch.float64)
    noisy[1] += 1
    denoiser = GaussianDenoiser(schedule, MEAN, VARIANCE)
    mean, variance = torch.full((3,), start, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    states = list(sampler(denoiser, GaussianProcess(schedule), noisy, pairs, Impulses(n, 2)))
    assert len(states) == len(pairs)
    for state, (t, s) in zip(states, pairs):
        a, b, v = bayes(schedule, t, s)
        if sampler == Ancestral("large") and s > 0:
            v = 1 - alpha_bar(schedule, t) / alpha_bar(schedule, s)
        late = alpha_bar(schedule, t)
        gain = np.sqrt(late) * VARIANCE / (late * VARIANCE + 1 - late)
        mean = a * mean + b * (MEAN + gain * (mean - np.sqrt(late) * MEAN))
        variance = (a + b * gain) ** 2 * variance + v
        response = state.noisy[1:] - state.noisy[0]
        torch.testing.assert_close(state.noisy[0], mean, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(response.square().sum(0), variance, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_ddim_at_every_step(schedule, name):
    """With y = x / alpha and r = sigma / alpha, Euler's step is y_s - μ = (y_t - μ) (1 + (r_s - r_t) r_t / (S + r_t²))."""
    noisy = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = GRIDS[name][0][0]
    away = noisy / np.sqrt(alpha_bar(schedule, t)) - MEAN
    denoiser = GaussianDenoiser(schedule, MEAN, VARIANCE)
    for i, state in enumerate(DDIM()(denoiser, GaussianProcess(schedule), noisy, GRIDS[name])):
        assert (state.step, state.steps, (state.t, state.s)) == (i, len(GRIDS[name]), GRIDS[name][i])
        r_t, r_s = (np.sqrt(1 / alpha_bar(schedule, u) - 1) for u in (state.t, state.s))
        away = away * (1 + (r_s - r_t) * r_t / (VARIANCE + r_t**2))
        torch.testing.assert_close(
            state.noisy, np.sqrt(alpha_bar(schedule, state.s)) * (MEAN + away), rtol=1e-5, atol=1e-6
        )


def final(sampler, *arguments):
    *_, last = sampler(*arguments)
    return last.noisy


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_ddim_converges_with_order_one(schedule):
    denoiser, process = GaussianDenoiser(schedule, MEAN, VARIANCE), GaussianProcess(schedule)
    noisy = torch.ones(1, 3, dtype=torch.float64)
    begin = alpha_bar(schedule, 1)
    r = np.sqrt(1 / begin - 1)
    exact = MEAN + (noisy / np.sqrt(begin) - MEAN) * (VARIANCE / (VARIANCE + r**2)).sqrt()
    steps = [50, 100, 200, 500, 1000]
    errors = [float((final(DDIM(), denoiser, process, noisy, grid.uniform(n)) - exact).abs().max()) for n in steps]
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert 0.85 <= slope <= 1.2


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_decoding_a_code_gives_the_data_back(schedule):
    denoiser, process = GaussianDenoiser(schedule, MEAN, VARIANCE), GaussianProcess(schedule)
    clean = MEAN + VARIANCE.sqrt() * torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    errors, codes = [], []
    for n in (50, 200, 1000):
        pairs = grid.subsequence(1000, n)
        states = list(DDIM().invert(denoiser, process, clean, pairs))
        assert [(state.s, state.t) for state in states] == pairs[::-1]
        codes.append(states[-1].noisy)
        errors.append(float((final(DDIM(), denoiser, process, codes[-1], pairs) - clean).abs().mean()))
    assert errors[0] > 2.5 * errors[1] > 2.5 * 2.5 * errors[2]
    # the exact code of Gaussian data is the standardized data
    begin = alpha_bar(schedule, 1)
    exact = np.sqrt(begin) * MEAN + (clean - MEAN) * ((begin * VARIANCE + 1 - begin) / VARIANCE).sqrt()
    torch.testing.assert_close(codes[-1], exact, rtol=0, atol=0.1)


def test_a_draw_cannot_be_taken_back():
    with pytest.raises(UsageError, match="eta"):
        DDIM(0.5).invert(None, GaussianProcess(LinearSchedule()), torch.zeros(1), grid.uniform(2))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("sampler", [Ancestral(), Ancestral("large"), DDIM(0.0), DDIM(0.5)], ids=repr)
def test_samples_have_the_datas_distribution(sampler, schedule):
    n = 6000
    noise = Shared(n)
    denoiser, process = GaussianDenoiser(schedule, MEAN, VARIANCE), GaussianProcess(schedule)
    samples = final(sampler, denoiser, process, process.prior((3,), noise), grid.subsequence(1000, 250), noise)
    # four standard errors, and what 250 steps leave of the bias
    error = 4 * (VARIANCE / n).sqrt()
    assert bool(((samples.mean(0) - MEAN).abs() < error + 0.02).all())
    assert bool(((samples.var(0) / VARIANCE - 1).abs() < 4 * np.sqrt(2 / n) + 0.08).all())


@pytest.mark.parametrize("sampler", [Ancestral(), DDIM(0.0)], ids=repr)
def test_modes_of_a_mixture_keep_their_weights(sampler):
    n, schedule = 4000, CosineSchedule()
    weights = torch.tensor([0.1, 0.3, 0.6], dtype=torch.float64)
    means = torch.tensor([[-2.0, 0.0], [2.0, 1.0], [0.0, -2.0]], dtype=torch.float64)
    denoiser, noise = MixtureDenoiser(schedule, weights, means, 0.04), Shared(n)
    process = GaussianProcess(schedule)
    samples = final(sampler, denoiser, process, process.prior((2,), noise), grid.subsequence(1000, 100), noise)
    near = torch.cdist(samples, means)
    counts = torch.bincount(near.argmin(1), minlength=3).double() / n
    assert bool(((counts - weights).abs() < 4 * (weights * (1 - weights) / n).sqrt() + 0.005).all())
    # deviation 0.2 in each of two dimensions: nearly nothing lies beyond 5 deviations
    assert float(near.min(1).values.quantile(0.999)) < 1.0


def test_ddim_with_all_noise_is_ancestral():
    schedule = LinearSchedule()
    denoiser, process = GaussianDenoiser(schedule, MEAN, VARIANCE), GaussianProcess(schedule)
    noisy = torch.randn(4, 3, dtype=torch.float64)
    runs = [
        sampler(denoiser, process, noisy, GRIDS["quadratic"], NoiseSource(range(4), dtype=torch.float64))
        for sampler in (Ancestral("small"), DDIM(1.0))
    ]
    for ancestral, ddim in zip(*runs, strict=True):
        torch.testing.assert_close(ancestral.noisy, ddim.noisy, rtol=0, atol=1e-12)


def test_loops_leave_their_input_and_earlier_states_alone():
    schedule = CosineSchedule()
    noisy = torch.randn(2, 3, dtype=torch.float64)
    kept = noisy.clone()
    noise = NoiseSource([0, 1], dtype=torch.float64)
    states, copies = [], []
    for state in Ancestral()(
        GaussianDenoiser(schedule, MEAN, VARIANCE), GaussianProcess(schedule), noisy, grid.uniform(5), noise
    ):
        states.append(state.noisy)
        copies.append(state.noisy.clone())
    assert torch.equal(noisy, kept)
    assert all(torch.equal(a, b) for a, b in zip(states, copies))


def test_bad_samplers():
    for make in (lambda: DDIM(-0.1), lambda: DDIM(1.5), lambda: Ancestral("medium")):
        with pytest.raises(UsageError):
            make()
    assert (SAMPLERS["ancestral"], SAMPLERS["ddim"]) == (Ancestral, DDIM)
    with pytest.raises(UsageError, match="noise"):
        final(
            Ancestral(),
            GaussianDenoiser(LinearSchedule(), MEAN, VARIANCE),
            GaussianProcess(LinearSchedule()),
            torch.zeros(1, 3),
            grid.uniform(3),
        )
