"""Solvers of the probability-flow ODE and the reverse SDE against closed forms, on every kind of schedule."""

import itertools
import math

import numpy as np
import pytest
import torch
from exact_denoisers import GaussianDenoiser, MixtureDenoiser, Shared

from renote.diffusion import (
    DDIM,
    SAMPLERS,
    AdaptiveODE,
    AnnealedLangevin,
    CosineSchedule,
    DPMSolver,
    EDMSchedule,
    Euler,
    EulerMaruyama,
    GaussianProcess,
    Heun,
    LinearSchedule,
    NoiseSource,
    PredictorCorrector,
    SubVPSchedule,
    UniPC,
    VESchedule,
    VPSchedule,
    grid,
)
from renote.diffusion.sampler.sde import fitted_step
from renote.errors import UsageError

MEAN = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
VARIANCE = torch.tensor([0.04, 1.0, 3.0], dtype=torch.float64)
SCHEDULES = [VPSchedule(), SubVPSchedule(), VESchedule(0.02, 20.0), EDMSchedule(20.0), CosineSchedule()]


def final(sampler, denoiser, schedule, noisy, pairs, noise=None):
    *_, last = sampler(denoiser, GaussianProcess(schedule), noisy, pairs, noise)
    return last.noisy


def ratio(schedule, t):
    t = torch.tensor(t, dtype=torch.float64)
    return float(schedule.sigma(t) / schedule.alpha(t)), float(schedule.alpha(t))


def flowed(schedule, noisy, t, s):
    """The exact flow of Gaussian data: (x/alpha - mean) is proportional to √(variance + r²)."""
    (r_t, alpha_t), (r_s, alpha_s) = ratio(schedule, t), ratio(schedule, s)
    return alpha_s * (MEAN + (noisy / alpha_t - MEAN) * ((VARIANCE + r_s**2) / (VARIANCE + r_t**2)).sqrt())


def rate(schedule, sampler, counts, until):
    """Slope of log error by log steps, on a grid that ends before 0: the last step to 0 is of order 1 for all."""
    denoiser = GaussianDenoiser(schedule, MEAN, VARIANCE)
    noisy = torch.tensor([[1.0, -0.5, 0.3]], dtype=torch.float64) * schedule.prior_std()
    exact = flowed(schedule, noisy, 1.0, until)
    errors = []
    for n in counts:
        pairs = grid.log_snr(schedule, n + 1, until)[:-1]
        errors.append(float((final(sampler, denoiser, schedule, noisy, pairs) - exact).norm()))
    slopes = [-math.log(b / a) / math.log(m / n) for (n, a), (m, b) in itertools.pairwise(zip(counts, errors))]
    return slopes[-1], errors


@pytest.mark.parametrize("schedule", SCHEDULES[:4], ids=repr)
@pytest.mark.parametrize(
    ("sampler", "order", "counts"),
    [
        (Euler(), 1, (200, 400, 800)),
        (DDIM(), 1, (200, 400, 800)),
        (DPMSolver(1), 1, (200, 400, 800)),
        (UniPC(1, correct=False), 1, (200, 400, 800)),
        (Heun(), 2, (80, 160, 320)),
        (DPMSolver(2), 2, (100, 200, 400)),
        (UniPC(2, correct=False), 2, (100, 200, 400)),
        (UniPC(1), 2, (100, 200, 400)),
    ],
    ids=repr,
)
def test_error_falls_with_the_solvers_order(schedule, sampler, order, counts):
    slope, _ = rate(schedule, sampler, counts, 0.1)
    assert slope == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("schedule", SCHEDULES[:4], ids=repr)
@pytest.mark.parametrize("sampler", [UniPC(2), UniPC(3)], ids=repr)
def test_unipcs_corrector_adds_an_order(schedule, sampler):
    slope, errors = rate(schedule, sampler, (40, 80, 160), 0.1)
    assert slope == pytest.approx(sampler.order + 1, abs=0.35)
    assert errors[-1] < 0.2 * rate(schedule, DPMSolver(2), (80, 160), 0.1)[1][-1]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_euler_is_ddim(schedule):
    denoiser = GaussianDenoiser(schedule, MEAN, VARIANCE)
    noisy = torch.randn(4, 3, dtype=torch.float64) * schedule.prior_std()
    runs = [s(denoiser, GaussianProcess(schedule), noisy, grid.uniform(9)) for s in (Euler(), DDIM(), DPMSolver(1))]
    for states in zip(*runs, strict=True):
        torch.testing.assert_close(states[0].noisy, states[1].noisy, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(states[2].noisy, states[1].noisy, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("sampler", [Euler(), Heun(), DPMSolver(), UniPC(), UniPC(2), DDIM()], ids=repr)
def test_few_steps_end_near_the_data(schedule, sampler):
    denoiser = GaussianDenoiser(schedule, MEAN, VARIANCE)
    noisy = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * schedule.prior_std()
    samples = final(sampler, denoiser, schedule, noisy, grid.log_snr(schedule, 60))
    exact = flowed(schedule, noisy, 1.0, 0.0)
    torch.testing.assert_close(samples, exact, rtol=0, atol=0.35 if sampler in (Euler(), DDIM()) else 0.06)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_the_adaptive_solver_is_as_exact_as_asked(schedule):
    denoiser = GaussianDenoiser(schedule, MEAN, VARIANCE)
    noisy = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * schedule.prior_std()
    end = 1e-3 if not isinstance(schedule, CosineSchedule) else 0.01
    for tolerance in (1e-4, 1e-7):
        *_, before, last = AdaptiveODE(tolerance, tolerance, end)(
            denoiser, GaussianProcess(schedule), noisy, grid.uniform(1)
        )
        exact = flowed(schedule, noisy, 1.0, end)
        # the cosine schedule has a corner near t = 1, where its alpha is smallest
        factor = 1000 if isinstance(schedule, CosineSchedule) else 100
        torch.testing.assert_close(before.noisy, exact, rtol=0, atol=factor * tolerance * schedule.prior_std())
        assert last.s == 0
        torch.testing.assert_close(last.noisy, denoiser(before.noisy, torch.full((5,), end, dtype=torch.float64)))


def test_adaptive_samples_do_not_depend_on_their_neighbours():
    schedule = VPSchedule()
    denoiser = GaussianDenoiser(schedule, MEAN, VARIANCE)
    noisy = torch.randn(4, 3, dtype=torch.float64) * torch.tensor([[1.0], [3.0], [0.1], [10.0]], dtype=torch.float64)
    together = final(AdaptiveODE(), denoiser, schedule, noisy, grid.uniform(1))
    alone = torch.cat([final(AdaptiveODE(), denoiser, schedule, x[None], grid.uniform(1)) for x in noisy])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)


STOCHASTIC = [
    EulerMaruyama(),
    PredictorCorrector("reverse-diffusion", 0),
    PredictorCorrector("reverse-diffusion", 1),
    PredictorCorrector("ancestral", 1),
    Heun(churn=30),
    Euler(churn=30),
]


@pytest.mark.parametrize("schedule", SCHEDULES[:4], ids=repr)
@pytest.mark.parametrize("sampler", STOCHASTIC, ids=repr)
def test_stochastic_samplers_have_the_datas_moments(schedule, sampler):
    n = 2000
    noise, process = Shared(n), GaussianProcess(schedule)
    denoiser = GaussianDenoiser(schedule, MEAN, VARIANCE)
    samples = final(sampler, denoiser, schedule, process.prior((3,), noise), grid.log_snr(schedule, 250), noise)
    error = 4 * (VARIANCE / n).sqrt()
    # a prior of variance 400 misplaces the mean by its signal, which this one does not have
    assert bool(((samples.mean(0) - MEAN).abs() < error + 0.03).all())
    assert bool(((samples.var(0) / VARIANCE - 1).abs() < 4 * np.sqrt(2 / n) + 0.1).all())


@pytest.mark.parametrize("schedule", [VPSchedule(), VESchedule(0.02, 20.0), EDMSchedule(20.0)], ids=repr)
@pytest.mark.parametrize("sampler", [*STOCHASTIC[1:3], Heun(churn=30), Heun(), UniPC(), AdaptiveODE()], ids=repr)
def test_modes_keep_their_weights(schedule, sampler):
    n = 1000
    weights = torch.tensor([0.1, 0.3, 0.6], dtype=torch.float64)
    means = torch.tensor([[-2.0, 0.0], [2.0, 1.0], [0.0, -2.0]], dtype=torch.float64)
    denoiser, noise = MixtureDenoiser(schedule, weights, means, 0.04), Shared(n)
    start = GaussianProcess(schedule).prior((2,), noise)
    samples = final(sampler, denoiser, schedule, start, grid.log_snr(schedule, 80), noise)
    near = torch.cdist(samples, means)
    counts = torch.bincount(near.argmin(1), minlength=3).double() / n
    assert bool(((counts - weights).abs() < 4 * (weights * (1 - weights) / n).sqrt() + 0.01).all())
    assert float(near.min(1).values.quantile(0.99)) < 1.0


def test_annealing_finds_the_weights_that_langevin_alone_misses():
    """Song & Ermon 2019, section 3.2.2 and figure 3."""
    n = 1500
    weights = torch.tensor([0.2, 0.8], dtype=torch.float64)
    means = torch.tensor([[-3.0, -3.0], [3.0, 3.0]], dtype=torch.float64)
    schedule = VESchedule(0.1, 15.0)
    denoiser, noise = MixtureDenoiser(schedule, weights, means, 0.25), Shared(n)
    start = (torch.rand(n, 2, dtype=torch.float64, generator=noise.generator) - 0.5) * 16
    share = {}
    for name, pairs, repeats in [("plain", [(1e-9, 0.0)], 400), ("annealed", grid.log_snr(schedule, 12, 1e-9), 40)]:
        sampler = AnnealedLangevin(step_size=2e-3 if name == "annealed" else 2e-2, repeats=repeats)
        samples = final(sampler, denoiser, schedule, start, pairs, noise)
        share[name] = float((samples.sum(1) > 0).double().mean())
    assert abs(share["plain"] - 0.8) > 0.1
    assert abs(share["annealed"] - 0.8) < 0.05


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_is_deterministic_and_independent_of_the_batch(name):
    schedule = VPSchedule()
    denoiser, process = GaussianDenoiser(schedule, MEAN, VARIANCE), GaussianProcess(schedule)

    def run(seeds):
        noise = NoiseSource(seeds, dtype=torch.float64)
        start = process.prior((3,), noise)
        kept = start.clone()
        out = final(SAMPLERS[name](), denoiser, schedule, start, grid.uniform(8), noise)
        assert torch.equal(start, kept)
        return out

    torch.testing.assert_close(run(range(5))[2:4], run(range(2, 4)), rtol=0, atol=1e-12)


def test_churn_stays_within_the_models_times():
    schedule = EDMSchedule(10.0)
    asked = []

    def denoiser(x, t, condition=None):
        asked.append(float(t[0]))
        return x * 0

    noise = Shared(2)
    final(Heun(churn=100), denoiser, schedule, torch.ones(2, 3, dtype=torch.float64), grid.rho(schedule, 12), noise)
    assert 0 < min(asked) <= max(asked) <= 1


def test_bad_solvers():
    makes = [
        lambda: Heun(churn=-1),
        lambda: DPMSolver(3),
        lambda: UniPC(0),
        lambda: PredictorCorrector("langevin"),
        lambda: PredictorCorrector(corrector_steps=-1),
        lambda: PredictorCorrector(snr=0.0),
        lambda: AnnealedLangevin(step_size=0.0),
        lambda: AnnealedLangevin(repeats=0),
        lambda: AdaptiveODE(rtol=0.0),
    ]
    for make in makes:
        with pytest.raises(UsageError):
            make()
    schedule = LinearSchedule()
    for name in ("euler-maruyama", "predictor-corrector", "langevin"):
        with pytest.raises(UsageError, match="noise"):
            final(
                SAMPLERS[name](),
                GaussianDenoiser(schedule, MEAN, VARIANCE),
                schedule,
                torch.zeros(1, 3).double(),
                grid.uniform(3),
            )
    for bad in ([], [(0.5, 0.6)], [(1.0, 0.5), (0.4, 0.0)]):
        for kind in SAMPLERS.values():
            with pytest.raises(UsageError):
                kind()(None, GaussianProcess(schedule), torch.zeros(1, 3), bad)


@pytest.mark.parametrize("ratio", [1.05, 1.6, 20.0])
@pytest.mark.parametrize("repeats", [1, 5, 100])
def test_fitted_langevin_step_brings_noise_nearest_to_the_next_level(ratio, repeats):
    """A single point as data: a Langevin step makes of noise of variance v one of (1 - η)² v + 2η, in units of the level's own."""

    def left(eta):
        variance = ratio**2
        for _ in range(repeats):
            variance = (1 - eta) ** 2 * variance + 2 * eta
        return abs(variance - 1)

    fitted = fitted_step(ratio, repeats)
    others = torch.logspace(-5, 0, 200).tolist()
    assert left(fitted) <= min(map(left, others)) + 1e-5 * ratio**2
    # and it is worth fitting: a fifth of it, or five times it, does worse
    assert left(fitted) < min(left(fitted / 5), left(min(1.0, 5 * fitted)))
    for bad in ((1.0, 1), (2.0, 0)):
        with pytest.raises(UsageError):
            fitted_step(*bad)
