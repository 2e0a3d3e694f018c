"""The learned schedule and the model that is trained on its own bound, on Gaussian data, where every expectation is a formula or a sum of few terms."""

import math

import pytest
import torch

from renote.diffusion import (
    PARAMETERIZATIONS,
    ByLogSNR,
    CosineSchedule,
    Denoiser,
    GaussianProcess,
    LearnedSchedule,
    Noise,
    VariationalDiffusion,
)
from renote.diffusion.bits import continuous_bound
from renote.diffusion.likelihood import nearest_log_probability
from renote.errors import UsageError
from renote.nets import PointNetwork

FIRST, LAST = 9.0, -4.0
MEAN, VARIANCE = 0.3, 0.5


class Exact(torch.nn.Module):
    """ε̂ of x_0 ~ N(MEAN, VARIANCE), told the log-SNR as `ByLogSNR` tells it."""

    def forward(self, x, time, label):
        log_snr = (FIRST - time / 1000 * (FIRST - LAST))[:, None]
        alpha, sigma = torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt()
        estimate = MEAN + alpha * VARIANCE / (alpha**2 * VARIANCE + sigma**2) * (x - alpha * MEAN)
        return (x - alpha * estimate) / sigma


def schedule(kind, learned_ends=True):
    """Three interiors between the same ends."""
    torch.manual_seed(3)
    made = LearnedSchedule(FIRST, LAST, {"linear": 0, "fresh": 64, "bent": 8}[kind], learned_ends).double()
    if kind == "bent":
        for parameter in (made.weight, made.bias, made.height):
            torch.nn.init.normal_(parameter, 0.5, 0.4)
    return made


def model(kind, num_train_steps=None, **options):
    made = schedule(kind, **options)
    denoiser = Denoiser(Exact(), made, ByLogSNR(Noise(), FIRST, LAST))
    return VariationalDiffusion(denoiser, GaussianProcess(made), (1,), num_train_steps)


def quadrature(times):
    """All times with x_0 = MEAN ± √VARIANCE and ε = ±1: the mean of a quadratic in both is exact."""
    sign = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    n = len(times)
    return {
        "clean": (MEAN + VARIANCE**0.5 * sign[:, 0]).repeat_interleave(n)[:, None],
        "noise": sign[:, 1].repeat_interleave(n)[:, None],
        "first_noise": sign[:, 1].repeat_interleave(n)[:, None],
        "time": times.repeat(4),
        "label": torch.full((4 * n,), -1),
    }


def midpoints(n=4000):
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n


def middle_term(first, last):
    """½ ∫ e^λ E|x - x̂|² dλ, as E|x - x̂|² = VARIANCE / (1 + VARIANCE e^λ)."""
    return (torch.log1p(VARIANCE * torch.exp(first)) - torch.log1p(VARIANCE * torch.exp(last))) / 2


def whole_bound(first, last):
    """Nats a dimension, with the decoder N(x; x_0 / alpha, e^-λ_0)."""
    variance = torch.sigmoid(-last)
    prior = (torch.sigmoid(last) * (MEAN**2 + VARIANCE) + variance - 1 - variance.log()) / 2
    return prior + middle_term(first, last) + (1 + math.log(2 * math.pi) - first) / 2


def double(*values):
    return [torch.tensor(value, dtype=torch.float64) for value in values]


@pytest.mark.parametrize("kind", ["linear", "fresh", "bent"])
def test_the_bound_depends_on_the_ends_alone(kind):
    with torch.no_grad():
        prior, diffusion, reconstruction = (term.mean() for term in model(kind).terms(quadrature(midpoints())))
        ends = double(FIRST, LAST)
        assert float(diffusion) == pytest.approx(float(middle_term(*ends)), abs=1e-5)
        assert float(prior + diffusion + reconstruction) == pytest.approx(float(whole_bound(*ends)), abs=1e-5)
        # the truth, the entropy of the data, is below by what the ends leave out
        truth = (1 + math.log(2 * math.pi * VARIANCE)) / 2
        assert 0 < float(prior + diffusion + reconstruction) - truth < 0.01


def test_interiors_differ_where_the_bound_does_not():
    t = midpoints(9)
    made = {kind: schedule(kind).log_snr(t).detach() for kind in ("linear", "fresh", "bent")}
    assert float((made["linear"] - made["fresh"]).abs().max()) > 0.1
    assert float((made["linear"] - made["bent"]).abs().max()) > 1


@pytest.mark.parametrize("kind", ["linear", "fresh", "bent"])
def test_the_ends_follow_the_bound(kind):
    made = model(kind)
    made(quadrature(midpoints())).backward()
    first, last = (end.requires_grad_() for end in double(FIRST, LAST))
    (whole_bound(first, last) / math.log(2)).backward()
    # λ_1 = λ_0 - softplus(span)
    span = made.schedule.span
    assert float(made.schedule.first.grad) == pytest.approx(float(first.grad + last.grad), abs=1e-6)
    assert float(span.grad) == pytest.approx(float(-last.grad * span.detach().sigmoid()), abs=1e-6)


def changed(made, name, index, by):
    """The model's middle terms, with one weight of the interior moved."""
    parameter = getattr(made.schedule, name)
    with torch.no_grad():
        parameter[index] += by
        terms = made.terms(BATCH)[1]
        parameter[index] -= by
    return terms


BATCH = quadrature(midpoints(500))


@pytest.mark.parametrize("name", ["weight", "bias", "height"])
@pytest.mark.parametrize("index", [0, 5])
def test_the_interior_follows_the_variance(name, index):
    """Against finite differences, of the square that is trained on and of the variance itself."""
    made, h = model("bent"), 1e-5
    made(BATCH).backward()
    found = float(getattr(made.schedule, name).grad[index]) * math.log(2)
    up, down = changed(made, name, index, h), changed(made, name, index, -h)
    assert abs(found) > 1e-4
    assert found == pytest.approx(float((up.square().mean() - down.square().mean()) / (2 * h)), rel=1e-6)
    variance = (up.var(correction=0) - down.var(correction=0)) / (2 * h)
    # the mean, whose square the variance lacks, stands still
    assert found == pytest.approx(float(variance), rel=1e-3, abs=1e-6)


def test_the_networks_gradient_is_the_bounds():
    torch.manual_seed(0)
    made = schedule("bent")
    network = PointNetwork(1, 8).double()
    torch.nn.init.normal_(network.last.weight)
    built = VariationalDiffusion(Denoiser(network, made, ByLogSNR(Noise(), FIRST, LAST)), GaussianProcess(made), (1,))
    built(BATCH).backward()
    bias, h = network.first.bias, 1e-5
    found, values = float(bias.grad[2]), []
    with torch.no_grad():
        for step in (h, -2 * h):
            bias[2] += step
            values.append(float(built(BATCH)))
    assert abs(found) > 1e-4
    assert found == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-5)


def test_learning_the_interior_lowers_the_variance_and_nothing_else():
    """On the way to the least that any interior has, by Adam at a denoiser's rate: where n' ∝ 1 / √E L², E L² is (E √E L²)²."""
    made, linear = model("fresh", learned_ends=False), model("linear")
    terms = linear.terms(BATCH)[1].detach().reshape(4, -1)
    least = float(terms.square().mean(0).sqrt().mean() ** 2 - terms.mean() ** 2)
    optimizer = torch.optim.Adam(made.parameters(), 2e-3)
    generator = torch.Generator().manual_seed(0)
    clean = MEAN + VARIANCE**0.5 * torch.randn(256, 1, dtype=torch.float64, generator=generator)
    before = made.terms(BATCH)[1].detach()
    for _ in range(400):
        optimizer.zero_grad()
        made(made.draw(clean, None, generator)).backward()
        optimizer.step()
    after = made.terms(BATCH)[1].detach()
    assert float(after.mean()) == pytest.approx(float(before.mean()), rel=1e-3)
    assert 0 < float(after.var()) - least < 0.5 * (float(before.var()) - least)


@pytest.mark.parametrize("kind", ["linear", "fresh", "bent"])
def test_a_held_schedule_is_the_schedule_at_its_times(kind):
    made = schedule(kind)
    t = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
    held, path = made.held(t)
    for name in ("alpha", "sigma", "log_snr", "log_snr_rate", "log_alpha_bar", "drift", "diffusion"):
        torch.testing.assert_close(getattr(held, name)(t), getattr(made, name)(t), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(path, made.interior(t))
    stepped, _ = made.held(t, 10)
    before = t - 0.1
    expected = 10 * torch.expm1(made.log_snr(before.clamp(min=1e-300)) - made.log_snr(t))
    torch.testing.assert_close(stepped.log_snr_rate(t), expected, rtol=1e-9, atol=0)
    torch.testing.assert_close(stepped.log_snr(t), held.log_snr(t))


def test_the_interior_runs_from_0_to_1_and_never_falls():
    for seed in range(20):
        torch.manual_seed(seed)
        made = LearnedSchedule(5.0, -5.0, 16).double()
        for parameter in (made.weight, made.bias, made.height):
            torch.nn.init.normal_(parameter, 0.0, 2.0)
        t = torch.linspace(0, 1, 201, dtype=torch.float64)
        share, slope = made.interior(t).detach()
        assert float(share[0]) == pytest.approx(0, abs=1e-14)
        assert float(share[-1]) == pytest.approx(1, abs=1e-14)
        assert bool((share.diff() > 0).all())
        assert bool((slope > 0).all())
        # steep steps, where Newton's method alone runs away
        inner = t[1:-1]
        torch.testing.assert_close(made.interior(made.time(made.log_snr(inner)))[0], share[1:-1], rtol=0, atol=1e-12)


def stepped_bound(made, steps):
    """½ Σ_k (e^λ(s) - e^λ(t)) E|x - x̂|², nats a dimension."""
    first, _ = made.ends()
    log_snr = torch.cat([first[None], made.log_snr(torch.arange(1, steps + 1, dtype=torch.float64) / steps)])
    error = VARIANCE / (1 + VARIANCE * log_snr[1:].exp())
    return float((-log_snr.exp().diff() * error).sum().detach() / 2)


class Signs:
    """ε = ±1 in turn."""

    def __init__(self, n):
        self.n = n

    def normal(self, shape, out=None):
        sign = torch.where(torch.arange(self.n) % 2 == 0, 1.0, -1.0).double()
        return sign.reshape(-1, *(1,) * len(shape)).expand(-1, *shape).clone()


@pytest.mark.parametrize("kind", ["linear", "bent"])
def test_more_steps_are_a_lower_bound(kind):
    """Kingma et al. 2021, section 4.1; the training's estimate and that of `bits` have the formula's mean."""
    made = model(kind, 10)
    times = torch.arange(1, 11, dtype=torch.float64) / 10
    with torch.no_grad():
        found = made.terms(quadrature(times))[1].mean()
        assert float(found) == pytest.approx(stepped_bound(made.schedule, 10), rel=1e-9)
        bounds = [stepped_bound(made.schedule, steps) for steps in (5, 10, 20, 400, 800)]
        assert bounds == sorted(bounds, reverse=True)
        limit = float(middle_term(*double(FIRST, LAST)))
        assert limit < bounds[-1]
        # the upper sum of an integral is off by a term of first order
        assert (bounds[-2] - limit) / (bounds[-1] - limit) == pytest.approx(2, rel=0.02)
        clean = MEAN + VARIANCE**0.5 * torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64)[:, None]
        terms = [continuous_bound(made.denoiser, made.process, clean, Signs(4), steps=n).mean() for n in (10, 20)]
    # the same prior and decoder in both
    expected = (stepped_bound(made.schedule, 10) - stepped_bound(made.schedule, 20)) / math.log(2)
    # bits begin at t = 1e-5, not at 0
    assert float(terms[0] - terms[1]) == pytest.approx(expected, rel=1e-3)


def test_bits_of_a_model_are_those_of_its_kind_of_time():
    clean = MEAN + VARIANCE**0.5 * torch.randn(8000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = {steps: float(model("bent", steps).bits(clean, draws=20).mean()) for steps in (20, None)}
    truth = float((((clean - MEAN) ** 2 / VARIANCE + math.log(2 * math.pi * VARIANCE)) / 2).mean()) / math.log(2)
    assert found[None] == pytest.approx(truth, abs=0.03)
    made = schedule("bent")
    gap = (stepped_bound(made, 20) - float(middle_term(*double(FIRST, LAST)))) / math.log(2)
    assert found[20] - found[None] == pytest.approx(gap, rel=0.05)
    assert gap > 0.3


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("spread", [1e-3, 0.02, 0.3, 5.0])
def test_probabilities_of_values_are_those_of_the_whole_sum(levels, spread):
    values = torch.linspace(-1, 1, levels, dtype=torch.float64)
    noise = torch.tensor([-5.0, -0.7, 0.0, 1.3, 5.0], dtype=torch.float64)[:, None]
    clean = values[None].expand(5, -1)
    found = nearest_log_probability(clean, noise.expand_as(clean), spread, levels)
    logits = -(((clean + spread * noise)[..., None] - values) ** 2) / (2 * spread**2)
    expected = logits.log_softmax(-1).diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_the_decoder_is_told_in_training_as_in_bits():
    made = LearnedSchedule(6.0, -6.0, 16)
    denoiser = Denoiser(PointNetwork(4, 8), made, ByLogSNR(Noise(), 6.0, -6.0))
    built = VariationalDiffusion(denoiser, GaussianProcess(made), (4,), levels=17)
    clean = torch.randint(0, 17, (2000, 4), generator=torch.Generator().manual_seed(0)) / 8 - 1
    with torch.no_grad():
        batch = built.draw(clean, None, torch.Generator().manual_seed(1))
        prior, diffusion, reconstruction = (term.mean() for term in built.terms(batch))
    found = built.bits(clean, levels=17, draws=50).mean() * math.log(2)
    assert float(prior + diffusion + reconstruction) == pytest.approx(float(found), rel=0.03)
    assert float(reconstruction) > 0.05


def test_a_network_told_the_log_snr_does_not_see_the_pace():
    told = []
    for kind in ("linear", "bent"):
        made = schedule(kind)
        c = Denoiser(Exact(), made, ByLogSNR(PARAMETERIZATIONS["velocity"], FIRST, LAST)).coefficients(
            made.time(torch.tensor([FIRST - 1e-6, 1.0, LAST], dtype=torch.float64))
        )
        told.append(torch.stack([c.skip, c.out, c.noise]))
    torch.testing.assert_close(told[0], told[1], rtol=1e-9, atol=1e-9)
    expected = torch.tensor([0.0, 1000 * (FIRST - 1) / (FIRST - LAST), 1000.0], dtype=torch.float64)
    torch.testing.assert_close(told[0][2], expected, rtol=0, atol=1e-3)
    with pytest.raises(UsageError):
        ByLogSNR(Noise(), 1.0, 2.0)


def test_bad_arguments():
    for bad in [(1.0, 2.0), (math.inf, 0.0), (1.0, -1.0, -1)]:
        with pytest.raises(UsageError):
            LearnedSchedule(*bad)
    made, other = LearnedSchedule(units=4), LearnedSchedule(units=4)
    network = PointNetwork(2, 8)
    for denoiser, process, options in [
        (Denoiser(network, CosineSchedule()), GaussianProcess(CosineSchedule()), {}),
        (Denoiser(network, made), GaussianProcess(other), {}),
        (Denoiser(network, made), GaussianProcess(made), {"weighting": "simple"}),
        (Denoiser(network, made, learned_variance=True), GaussianProcess(made), {}),
        (Denoiser(network, made), GaussianProcess(made), {"levels": 1}),
    ]:
        with pytest.raises(UsageError):
            VariationalDiffusion(denoiser, process, (2,), **options)
