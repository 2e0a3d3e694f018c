"""Bits of data whose density is known, by every method; and the solver of differential equations behind one of them."""

import math

import pytest
import torch
from exact_denoisers import GaussianDenoiser, MixtureDenoiser, Shared

from renote.diffusion import (
    CosineSchedule,
    Denoiser,
    DiffusionModel,
    EDMSchedule,
    GaussianProcess,
    LinearSchedule,
    SubVPSchedule,
    VESchedule,
    VPSchedule,
    integrate,
    weighted_loss,
)
from renote.diffusion.bits import bits, continuous_bound, flow_bits
from renote.diffusion.likelihood import variational_bound
from renote.diffusion.schedule import PreservingSchedule
from renote.errors import UsageError

MEAN = torch.tensor([0.5, -1.0, 0.2], dtype=torch.float64)
VARIANCE = torch.tensor([0.04, 1.0, 0.3], dtype=torch.float64)
SCHEDULES = [VPSchedule(), SubVPSchedule(), VESchedule(0.01, 50.0), EDMSchedule(80.0), LinearSchedule()]


def gaussian_bits(x):
    nats = ((x - MEAN) ** 2 / VARIANCE + VARIANCE.log() + math.log(2 * math.pi)) / 2
    return nats.mean(1) / math.log(2)


def data(n):
    generator = torch.Generator().manual_seed(0)
    return MEAN + VARIANCE.sqrt() * torch.randn(n, 3, dtype=torch.float64, generator=generator)


def log_density(x, schedule, t):
    """(n, 3) log q(x_t) of each number."""
    alpha, sigma = (f(torch.tensor(t, dtype=torch.float64)) for f in (schedule.alpha, schedule.sigma))
    spread = alpha**2 * VARIANCE + sigma**2
    return -((x - alpha * MEAN) ** 2 / spread + spread.log() + math.log(2 * math.pi)) / 2


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_the_flows_likelihood_is_the_truth(schedule):
    x, first = data(20), 1e-5
    found = flow_bits(
        GaussianDenoiser(schedule, MEAN, VARIANCE),
        GaussianProcess(schedule),
        x,
        Shared(20),
        exact=True,
        rtol=1e-7,
        atol=1e-7,
    )
    # the flow keeps standardized data as it is; the prior does not know what is left of the data at t = 1
    early, late = torch.tensor([first, 1.0], dtype=torch.float64)[:, None]
    deviation = [(schedule.alpha(t) ** 2 * VARIANCE + schedule.sigma(t) ** 2).sqrt() for t in (early, late)]
    code = schedule.alpha(late) * MEAN + (x - schedule.alpha(early) * MEAN) / deviation[0] * deviation[1]
    std = schedule.prior_std()
    prior = -((code / std) ** 2 + math.log(2 * math.pi * std**2)) / 2
    lost = (log_density(code, schedule, 1.0) - prior).mean(1)
    expected = (lost - log_density(x, schedule, first).mean(1)) / math.log(2)
    # a thousand corners keep the solver from its order
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-3 if isinstance(schedule, LinearSchedule) else 2e-4)
    if not isinstance(schedule, VESchedule):
        assert float(found.mean()) == pytest.approx(float(gaussian_bits(x).mean()), abs=0.01)


def test_hutchinsons_trace_is_right_on_average():
    schedule = VPSchedule()
    weights, means = torch.tensor([0.3, 0.7], dtype=torch.float64), torch.tensor([[-1.0, 0.5], [1.0, 0.0]]).double()
    denoiser = MixtureDenoiser(schedule, weights, means, 0.2)
    x = torch.tensor([[0.3, 0.4]], dtype=torch.float64).expand(400, 2)
    found = flow_bits(denoiser, GaussianProcess(schedule), x, Shared(400), rtol=1e-5, atol=1e-5)
    exact = flow_bits(denoiser, GaussianProcess(schedule), x[:1], Shared(1), exact=True)
    nats = -torch.logsumexp(weights.log() - ((x[:1] - means) ** 2).sum(1) / 0.4 - math.log(2 * math.pi * 0.2), 0) / 2
    assert float(exact) == pytest.approx(float(nats) / math.log(2), abs=0.01)
    assert float(found.mean()) == pytest.approx(float(exact), abs=4 * float(found.std()) / 20 + 1e-3)


@pytest.mark.parametrize("schedule", SCHEDULES[:4], ids=repr)
def test_the_continuous_bound_meets_the_truth(schedule):
    """With the exact denoiser the bound is tight, up to the decoder's variance at its first time."""
    n = 1000
    x = data(n)
    first = 1e-5 if isinstance(schedule, EDMSchedule) else 1e-4
    found = continuous_bound(
        GaussianDenoiser(schedule, MEAN, VARIANCE), GaussianProcess(schedule), x, Shared(n), draws=1500, first=first
    )
    expected = gaussian_bits(x).mean()
    assert float(found.mean()) == pytest.approx(float(expected), abs=0.04)


class Paced(PreservingSchedule):
    """A cosine schedule between log-SNR 6 and -6, walked at another pace: the same ends, another interior."""

    def __init__(self, power):
        self.inner, self.power = CosineSchedule(), power
        self.ends = self.inner.time(torch.tensor([6.0, -6.0], dtype=torch.float64))

    def pace(self, t):
        share = 0.1 * t.double() + 0.9 * t.double() ** self.power
        return self.ends[0] + (self.ends[1] - self.ends[0]) * share

    def log_alpha_bar(self, t):
        return self.inner.log_alpha_bar(self.pace(t))

    def log_alpha_bar_slope(self, t):
        slope = 0.1 + 0.9 * self.power * t.double() ** (self.power - 1)
        return self.inner.log_alpha_bar_slope(self.pace(t)) * slope * (self.ends[1] - self.ends[0])


def test_the_bound_depends_on_the_schedules_ends_only():
    """Kingma et al. 2021, section 5.1: the loss with the bound's weight, over all times, for two schedules with the same ends."""
    n = 20_000
    t = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    clean = data(1).expand(n, 3)
    found, spread = [], []
    for power in (1.0, 4.0):
        schedule = Paced(power)
        denoiser = Denoiser(Exact(schedule), schedule, "clean")
        losses = weighted_loss(denoiser, GaussianProcess(schedule), clean, Shared(n).normal((3,)), t, None, "bound")
        found.append(float(losses.mean()))
        spread.append(float(losses.std()))
    assert found[0] == pytest.approx(found[1], rel=0.02)
    # what does depend on it is the estimate's variance
    assert max(spread) > 1.3 * min(spread)


class Exact(torch.nn.Module):
    def __init__(self, schedule):
        super().__init__()
        self.estimator = GaussianDenoiser(schedule, MEAN, VARIANCE)

    def forward(self, x, time, label):
        return self.estimator(x, time / 1000)


@pytest.mark.parametrize("variance", ["small", "large"])
def test_the_discrete_bound_is_its_analytic_value(variance):
    """For Gaussian data and its exact denoiser, E|x_0 - x̂|² at step t is variance sigma²/(alpha² variance + sigma²), so every term is known."""
    steps, n = 40, 20_000
    schedule = LinearSchedule(steps)
    process = GaussianProcess(schedule)
    # whitened so that every data point has the same second moments, not only the average one
    x = data(n)
    x = MEAN + (x - x.mean(0)) / x.std(0, correction=0) * VARIANCE.sqrt()
    terms = variational_bound(
        GaussianDenoiser(schedule, MEAN, VARIANCE), process, x, steps, Shared(n), variance=variance, levels=None
    ).mean(0)
    for k in range(2, steps + 1):
        t, s = (torch.tensor(i / steps, dtype=torch.float64) for i in (k, k - 1))
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        error = VARIANCE * sigma**2 / (alpha**2 * VARIANCE + sigma**2)
        _, gain, small = process.reverse_coefficients(t, s)
        _, _, std = process.reverse_coefficients(t, s, 1.0, variance)
        ratio = (small / std) ** 2
        expected = ((gain / std) ** 2 * error.mean() + ratio - 1 - ratio.log()) / 2 / math.log(2)
        # a draw of the noise for each of 20 000 points
        assert float(terms[k - 1]) == pytest.approx(float(expected), rel=0.04)
    alpha, sigma = schedule.alpha(torch.ones(())).double(), schedule.sigma(torch.ones(())).double()
    prior = (alpha**2 * (VARIANCE + MEAN**2).mean() + sigma**2 - 1 - 2 * sigma.log()) / 2 / math.log(2)
    assert float(terms[-1]) == pytest.approx(float(prior), abs=1e-4)


def test_the_discrete_bounds_terms_for_given_noise_are_exact():
    """The same without chance: with x̂ given, each term is a formula of |x_0 - x̂|²."""
    steps = 30
    schedule = LinearSchedule(steps)
    process = GaussianProcess(schedule)
    clean, guess = torch.zeros(1, 3, dtype=torch.float64), torch.full((1, 3), 0.2, dtype=torch.float64)
    terms = variational_bound(lambda x, t, c: guess, process, clean, steps, Shared(1), levels=None)[0]
    alpha_bar = torch.cumprod(1 - torch.linspace(0.1 / steps, 20 / steps, steps, dtype=torch.float64), 0)
    beta = torch.linspace(0.1 / steps, 20 / steps, steps, dtype=torch.float64)[1:]
    before, after = alpha_bar[:-1], alpha_bar[1:]
    gain = before.sqrt() * beta / (1 - after)
    posterior = beta * (1 - before) / (1 - after)
    expected = gain**2 / posterior * 0.04 / 2 / math.log(2)
    torch.testing.assert_close(terms[1:-1], expected, rtol=1e-4, atol=1e-8)


def test_discrete_data_has_the_entropy_of_its_values():
    """Fair signs: one bit, by the continuous bound with its decoder over two values."""
    n, schedule = 300, CosineSchedule()
    clean = torch.where(torch.arange(n) % 2 == 0, 1.0, -1.0).double()[:, None].expand(n, 4)

    def denoiser(x, t, condition=None):
        alpha, sigma = schedule.alpha(t.double())[:, None], schedule.sigma(t.double())[:, None]
        return torch.tanh(alpha * x / sigma**2)

    found = continuous_bound(denoiser, GaussianProcess(schedule), clean, Shared(n), levels=2, draws=300, first=1e-3)
    assert float(found.mean()) == pytest.approx(1.0, abs=0.03)


def test_dequantized_bits_are_those_of_the_bins():
    """A density that hardly varies within a bin: bits = -log₂(density · width)."""
    schedule = VPSchedule()
    x = torch.linspace(-1, 1, 256, dtype=torch.float64)[100:110, None].expand(10, 3).contiguous()
    denoiser = GaussianDenoiser(schedule, 0.0, 1.0)
    found = flow_bits(denoiser, GaussianProcess(schedule), x, Shared(10), levels=256, exact=True)
    density = (x**2 / 2).mean(1) / math.log(2) + math.log2(2 * math.pi) / 2
    torch.testing.assert_close(found, density - math.log2(2 / 255), rtol=0, atol=0.01)


class Zero(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x, time, label):
        return x * self.gain


@pytest.mark.parametrize("steps", [20, None])
@pytest.mark.parametrize("method", ["bound", "ode"])
def test_a_model_tells_bits_by_every_method(method, steps):
    schedule = LinearSchedule(20) if steps else VPSchedule()
    model = DiffusionModel(Denoiser(Zero(), schedule), GaussianProcess(schedule), (1, 4, 4), num_train_steps=steps)
    clean = torch.randint(0, 17, (6, 1, 4, 4), generator=torch.Generator().manual_seed(0)) / 8 - 1
    model.train()
    found = model.bits(clean, seed=3, method=method, levels=17)
    assert model.training
    assert found.shape == (6,)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(
        model.bits(clean[2:4], seed=5, method=method, levels=17), found[2:4], rtol=1e-4, atol=1e-4
    )
    with pytest.raises(UsageError, match="method"):
        model.bits(clean, method="elbo")


def test_bits_refuses_bad_numbers():
    process = GaussianProcess(VPSchedule())
    denoiser = GaussianDenoiser(process.schedule, 0.0, 1.0)
    with pytest.raises(UsageError):
        bits(denoiser, process, torch.zeros(1, 2), Shared(1), draws=0)
    with pytest.raises(UsageError):
        bits(denoiser, process, torch.zeros(1, 2), Shared(1), first=0.0)


def test_integrate_forwards_and_backwards():
    y = torch.tensor([[1.0, 2.0], [3.0, -1.0]], dtype=torch.float64)
    rates = torch.tensor([[1.0, 5.0], [-3.0, 0.5]], dtype=torch.float64)
    *_, there = integrate(lambda t, y: rates * y, y, 0.0, 2.0, 1e-9, 1e-9)
    torch.testing.assert_close(there.y, y * torch.exp(2 * rates), rtol=1e-6, atol=1e-8)
    assert there.t.tolist() == [2.0, 2.0]
    *_, back = integrate(lambda t, y: rates * y, there.y, 2.0, 0.0, 1e-9, 1e-9)
    torch.testing.assert_close(back.y, y, rtol=1e-5, atol=1e-6)
    *_, time = integrate(lambda t, y: (3 * t**2)[:, None] + 0 * y, y, 0.0, 1.0)
    torch.testing.assert_close(time.y, y + 1, rtol=1e-6, atol=1e-6)


def test_integrate_says_what_is_wrong():
    y = torch.ones(1, 1, dtype=torch.float64)
    with pytest.raises(UsageError, match="not finite"):
        list(integrate(lambda t, y: y * math.nan, y, 0.0, 1.0))
    with pytest.raises(UsageError, match="positive"):
        list(integrate(lambda t, y: y, y, 0.0, 1.0, rtol=0.0))
    with pytest.raises(UsageError, match="rounds"):
        list(integrate(lambda t, y: torch.cos(1e3 * t)[:, None] * 1e3, y, 0.0, 1.0, 1e-8, 1e-8, most=3))
