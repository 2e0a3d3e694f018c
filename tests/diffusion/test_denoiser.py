"""Parameterizations: several meanings of a network's output, one estimate."""

import math

import pytest
import torch
from exact_denoisers import GaussianDenoiser

from renote.diffusion import (
    EDM,
    PARAMETERIZATIONS,
    WEIGHTINGS,
    CosineSchedule,
    Denoiser,
    EDMSchedule,
    GaussianProcess,
    LinearSchedule,
    PosteriorMean,
    SubVPSchedule,
    VESchedule,
    edm_weighting,
    min_snr_weighting,
    p2_weighting,
    weighted_loss,
)
from renote.diffusion.likelihood import bound_term
from renote.diffusion.schedule import broadcast
from renote.errors import UsageError

SCHEDULES = [LinearSchedule(), CosineSchedule()]
ALL_SCHEDULES = [*SCHEDULES, SubVPSchedule(), VESchedule(), EDMSchedule()]
SHAPES = [(3,), (2, 7), (3, 4, 5), (1, 2, 3, 4)]


class Says(torch.nn.Module):
    """Gives what it was told to, whatever it is asked."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, x, time, label):
        self.asked = x, time, label
        return self.output


class Imitates(torch.nn.Module):
    """The F for which a parameterization's estimate is that of another denoiser."""

    def __init__(self, estimator, schedule, parameterization):
        super().__init__()
        self.estimator, self.schedule, self.parameterization = estimator, schedule, PARAMETERIZATIONS[parameterization]

    def forward(self, x, time, label):
        t = self.t
        c = self.parameterization.coefficients(self.schedule.alpha(t), self.schedule.sigma(t), t)
        x = x if c.into is None else x / broadcast(c.into, x)
        return (self.estimator(x, t) - broadcast(c.skip, x) * x) / broadcast(c.out, x)


def pairs_of(schedules):
    """A parameterization and a schedule that go together."""
    return [(p, s) for p in PARAMETERIZATIONS for s in schedules if p != "velocity" or s.variance_preserving]


def draw(shape, n=6):
    generator = torch.Generator().manual_seed(1)
    clean, noise = torch.randn(2, n, *shape, dtype=torch.float64, generator=generator)
    return clean, noise, torch.linspace(0.001, 1, n, dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("parameterization", "schedule"), pairs_of(ALL_SCHEDULES), ids=repr)
def test_the_perfect_output_gives_the_truth(parameterization, schedule, shape):
    clean, noise, t = draw(shape)
    noisy = GaussianProcess(schedule).corrupt(clean, t, noise)
    network = Says(None)
    denoiser = Denoiser(network, schedule, parameterization)
    network.output = denoiser.network_target(clean, noise, t)
    estimate = denoiser(noisy, t)
    torch.testing.assert_close(estimate, clean, rtol=0, atol=1e-10)
    x, time, label = network.asked
    assert label is None
    if parameterization == "edm":
        deviation = (0.25 * schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2).sqrt()
        torch.testing.assert_close(x, noisy / broadcast(deviation, noisy))
        torch.testing.assert_close(time, (schedule.sigma(t) / schedule.alpha(t)).log() / 4)
    else:
        assert x is noisy
        torch.testing.assert_close(time, 0 * t if parameterization == "rescaled" else 1000 * t)
    torch.testing.assert_close(denoiser.noise(noisy, clean, t), noise, rtol=0, atol=1e-8)
    alpha, sigma = broadcast(schedule.alpha(t), clean), broadcast(schedule.sigma(t), clean)
    torch.testing.assert_close(denoiser.score(noisy, clean, t), -noise / sigma, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(denoiser.velocity(noisy, clean, t), alpha * noise - sigma * clean, rtol=0, atol=1e-9)


@pytest.mark.parametrize("schedule", ALL_SCHEDULES, ids=repr)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_a_weighting_means_the_same_for_every_parameterization(weighting, schedule):
    clean, noise, t = draw((4, 3))
    estimator = GaussianDenoiser(schedule, 0.3, 0.7)
    process = GaussianProcess(schedule)
    noisy = process.corrupt(clean, t, noise)
    snr = schedule.log_snr(t).exp()
    weight = {
        "simple": snr,
        "clean": torch.ones_like(snr),
        "velocity": 1 + snr,
        "edm": snr + 4,
        "p2": snr / (1 + snr),
        "min-snr": snr.clamp(max=5),
        "bound": snr * schedule.log_snr_rate(t) / 2,
    }[weighting]
    expected = weight * (estimator(noisy, t) - clean).square().flatten(1).mean(1)
    for name, _ in pairs_of([schedule]):
        network = Imitates(estimator, schedule, name)
        network.t = t
        loss = weighted_loss(Denoiser(network, schedule, name), process, clean, noise, t, None, weighting)
        torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("weighting", "parameterization"),
    [("simple", "noise"), ("simple", "rescaled"), ("clean", "clean"), ("velocity", "velocity"), ("edm", "edm")],
)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_each_parameterizations_own_error_has_weight_one(schedule, weighting, parameterization):
    clean, noise, t = draw((5,))
    output = torch.randn(6, 5, dtype=torch.float64)
    denoiser = Denoiser(Says(output), schedule, parameterization)
    loss = weighted_loss(denoiser, GaussianProcess(schedule), clean, noise, t, None, weighting)
    expected = (output - denoiser.network_target(clean, noise, t)).square().mean(1)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_the_mean_of_the_posterior_is_what_one_step_of_the_bound_compares(schedule):
    count = 1000
    clean, noise, _ = draw((5,))
    t = torch.tensor([1, 2, 10, 500, 999, 1000], dtype=torch.float64) / count
    process = GaussianProcess(schedule)
    noisy = process.corrupt(clean, t, noise)
    denoiser = Denoiser(Says(None), schedule, PosteriorMean(process, count))
    denoiser.network.output = denoiser.network_target(clean, noise, t)
    torch.testing.assert_close(denoiser(noisy, t), clean, rtol=0, atol=1e-9)
    # Ho et al. 2020, (7): μ̃ = √ᾱ_{k-1} β_k / (1 - ᾱ_k) x_0 + √α_k (1 - ᾱ_{k-1}) / (1 - ᾱ_k) x_k
    now, before = schedule.alpha(t) ** 2, schedule.alpha(t - 1 / count) ** 2
    beta = 1 - now / before
    mean = broadcast(before.sqrt() * beta / (1 - now), clean) * clean
    mean += broadcast((1 - beta).sqrt() * (1 - before) / (1 - now), clean) * noisy
    torch.testing.assert_close(denoiser.network.output, mean, rtol=1e-7, atol=1e-10)
    # (8): its error over twice the posterior's variance is the bound's term
    said = mean + torch.randn(mean.shape, dtype=torch.float64) / 100
    denoiser.network.output = said
    found = bound_term(process, clean, denoiser(noisy, t), t, count, "small")
    expected = ((said - mean).square().mean(1) / (2 * beta * (1 - before) / (1 - now)))[1:]
    torch.testing.assert_close(found[1:], expected, rtol=1e-6, atol=0)


def test_single_precision_keeps_the_last_step_accurate():
    # sigma² = 1e-4 there: in single precision 1 - alpha² has three digits left
    schedule = LinearSchedule()
    clean, noise, _ = draw((50,))
    t = torch.full((6,), 1 / 1000, dtype=torch.float64)
    denoiser = Denoiser(Says(noise), schedule)
    noisy = GaussianProcess(schedule).corrupt(clean, t, noise)
    single = Denoiser(Says(noise.float()), schedule)(noisy.float(), t.float())
    torch.testing.assert_close(single.double(), denoiser(noisy, t), rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_corrupt_and_reverse_take_one_time_a_sample(shape):
    schedule = CosineSchedule()
    process = GaussianProcess(schedule)
    clean, noise, t = draw(shape)
    s = t / 3
    for eta, variance in [(0.0, "small"), (0.4, "small"), (1.0, "small"), (1.0, "large")]:
        together = process.reverse(noise, clean, t, s, clean, eta, variance)
        for i in range(6):
            part = slice(i, i + 1)
            alone = process.reverse(noise[part], clean[part], float(t[i]), float(s[i]), clean[part], eta, variance)
            torch.testing.assert_close(together[part], alone, rtol=1e-9, atol=1e-12)
            torch.testing.assert_close(
                process.corrupt(clean, t, noise)[part],
                process.corrupt(clean[part], t[part], noise[part]),
                rtol=1e-12,
                atol=0,
            )


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_reverse_of_the_truth_keeps_the_marginal(eta):
    """From x_t = alpha x_0 + sigma ε, the step with the true x_0 has mean alpha_s x_0 and total variance sigma_s²."""
    schedule = LinearSchedule()
    process = GaussianProcess(schedule)
    t, s = 0.7, 0.4
    both = torch.tensor([t, s], dtype=torch.float64)
    a, b, w = (float(c) for c in process.reverse_coefficients(both[0], both[1], eta))
    (alpha_t, alpha_s), (sigma_t, sigma_s) = schedule.alpha(both).tolist(), schedule.sigma(both).tolist()
    assert a * alpha_t + b == pytest.approx(alpha_s, rel=1e-12)
    assert (a * sigma_t) ** 2 + w**2 == pytest.approx(sigma_s**2, rel=1e-12)


def test_bad_arguments():
    process = GaussianProcess(LinearSchedule())
    x = torch.zeros(2, 3)
    for arguments, options in [
        ((0.5, 0.5), {}),
        ((0.2, 0.4), {}),
        ((1.2, 0.4), {}),
        ((0.5, 0.2), {}),
        ((0.5, 0.2), {"noise": x, "eta": 1.5}),
        ((0.5, 0.2), {"noise": x, "eta": 0.5, "variance": "large"}),
        ((0.5, 0.2), {"noise": x, "variance": "huge"}),
        ((torch.tensor([0.5, 0.5]), torch.tensor([0.2, 0.0])), {}),
    ]:
        with pytest.raises(UsageError):
            process.reverse(x, x, *arguments, **options)
    with pytest.raises(UsageError, match="velocity"):
        Denoiser(Says(None), LinearSchedule(), "velocty")
    with pytest.raises(UsageError, match="shape"):
        Denoiser(Says(torch.zeros(2, 4)), LinearSchedule())(x, torch.ones(2))
    with pytest.raises(UsageError, match="simple"):
        weighted_loss(Denoiser(Says(x), LinearSchedule()), process, x, x, torch.ones(2), None, "simpel")


def test_edm_coefficients_are_the_papers():
    """Karras et al. 2022, table 1, right column."""
    sigma = torch.tensor([0.002, 0.5, 80.0], dtype=torch.float64)
    c = EDM(0.5).coefficients(torch.ones(3, dtype=torch.float64), sigma, sigma / 80)
    torch.testing.assert_close(c.skip, 0.25 / (sigma**2 + 0.25))
    torch.testing.assert_close(c.out, sigma * 0.5 / (0.25 + sigma**2).sqrt())
    torch.testing.assert_close(c.into, 1 / (sigma**2 + 0.25).sqrt())
    torch.testing.assert_close(c.noise, sigma.log() / 4)


@pytest.mark.parametrize("schedule", ALL_SCHEDULES, ids=repr)
def test_edm_sees_and_gives_unit_variance(schedule):
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 5, 20_000, dtype=torch.float64, generator=generator)
    t = torch.tensor([0.01, 0.1, 0.4, 0.8, 1.0], dtype=torch.float64)
    clean = 0.5 * clean
    denoiser = Denoiser(Says(clean), schedule, "edm")
    denoiser(GaussianProcess(schedule).corrupt(clean, t, noise), t)
    for numbers in (denoiser.network.asked[0], denoiser.network_target(clean, noise, t)):
        torch.testing.assert_close(numbers.var(1), torch.ones(5, dtype=torch.float64), rtol=0.05, atol=0)


def test_families_of_weightings():
    log_snr = torch.linspace(-8, 8, 9, dtype=torch.float64)
    snr, rate = log_snr.exp(), torch.ones(9, dtype=torch.float64)
    torch.testing.assert_close(p2_weighting(0.0)(log_snr, rate), snr)
    torch.testing.assert_close(p2_weighting(0.5, 2.0)(log_snr, rate), snr / (2 + snr) ** 0.5)
    torch.testing.assert_close(edm_weighting(2.0)(log_snr, rate), snr + 0.25)
    assert float(min_snr_weighting(3.0)(log_snr, rate).max()) == 3.0
    for make in (
        lambda: edm_weighting(0.0),
        lambda: p2_weighting(-1.0),
        lambda: p2_weighting(1, 0),
        lambda: min_snr_weighting(0),
    ):
        with pytest.raises(UsageError):
            make()


def test_velocity_needs_a_variance_preserving_schedule():
    with pytest.raises(UsageError, match="velocity"):
        Denoiser(Says(None), VESchedule(), "velocity")
    with pytest.raises(UsageError, match="sigma_data"):
        EDM(0.0)


@pytest.mark.parametrize("time", [1.5, -0.5, math.nan])
def test_a_time_outside_the_process_is_refused(time):
    process, clean = GaussianProcess(CosineSchedule()), torch.zeros(2, 3)
    with pytest.raises(UsageError, match="strength = .*between 0"):
        process.corrupt(clean, torch.tensor([0.5, time]), clean)
    for t, s in ((torch.tensor([0.5, time]), 0.2), (0.5, torch.tensor([0.2, time]))):
        with pytest.raises(UsageError, match="strength = .*between 0"):
            process.reverse(clean, clean, t, s, clean)
