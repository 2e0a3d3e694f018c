"""Guidance and conditions."""

import pytest
import torch
from exact_denoisers import GaussianDenoiser, MixtureDenoiser

from renote.diffusion import (
    Ancestral,
    ClassifierFreeGuidance,
    ClassifierGuidance,
    Clip,
    Condition,
    CosineSchedule,
    Denoiser,
    DynamicThresholding,
    GaussianProcess,
    GuidanceInterval,
    LinearSchedule,
    NoiseSource,
    grid,
    weighted_loss,
)
from renote.diffusion.denoiser import moments
from renote.errors import UsageError

LABEL = torch.tensor([2, -1, 0, 1])


class Told(torch.nn.Module):
    """Depends on data, time and class, in a way that is not linear; counts its calls and the rows of each."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def forward(self, x, time, label):
        self.rows.append(len(x))
        return torch.sin(x + time[:, None] / 300 + 2.0 * label[:, None])


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 3, generator=generator, dtype=torch.float64), torch.tensor(
        [0.1, 0.4, 0.7, 1.0], dtype=torch.float64
    )


@pytest.mark.parametrize("parameterization", ["noise", "clean", "velocity"])
def test_scales_zero_and_one_are_one_plain_call(inputs, parameterization):
    denoiser = Denoiser(Told(), CosineSchedule(), parameterization)
    condition = Condition(LABEL)
    for scale, plain in [(0, condition.null()), (1, condition)]:
        expected = denoiser(*inputs, plain)
        denoiser.network.rows.clear()
        assert torch.equal(ClassifierFreeGuidance(denoiser, scale)(*inputs, condition), expected)
        assert denoiser.network.rows == [4]


@pytest.mark.parametrize("scale", [0.5, 2.0, 7.5])
@pytest.mark.parametrize("parameterization", ["noise", "clean", "velocity"])
def test_guidance_extrapolates_the_noise(inputs, parameterization, scale):
    denoiser = Denoiser(Told(), CosineSchedule(), parameterization)
    condition = Condition(LABEL)
    noisy, t = inputs
    with_class, without = (denoiser.noise(noisy, denoiser(noisy, t, c), t) for c in (condition, condition.null()))
    denoiser.network.rows.clear()
    guided = denoiser.noise(noisy, ClassifierFreeGuidance(denoiser, scale)(noisy, t, condition), t)
    assert denoiser.network.rows == [8]
    torch.testing.assert_close(guided, without + scale * (with_class - without), rtol=1e-9, atol=1e-9)
    # a sample without a class has nothing to be guided to
    torch.testing.assert_close(guided[1], without[1], rtol=1e-9, atol=1e-9)


def test_wrappers_compose(inputs):
    denoiser = Denoiser(Told(), CosineSchedule(), "clean")
    condition = Condition(LABEL)
    guided = ClassifierFreeGuidance(denoiser, 3.0)(*inputs, condition)
    assert float(guided.abs().max()) > 1
    assert torch.equal(Clip(ClassifierFreeGuidance(denoiser, 3.0), -1, 0.5)(*inputs, condition), guided.clamp(-1, 0.5))
    inside = ClassifierFreeGuidance(Clip(denoiser, -0.1, 0.1), 3.0)(*inputs, condition)
    clipped = [denoiser(*inputs, c).clamp(-0.1, 0.1) for c in (condition, condition.null())]
    torch.testing.assert_close(inside, clipped[1] + 3 * (clipped[0] - clipped[1]))


def test_bad_guidance(inputs):
    for scale in (-1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="guidance_scale"):
            ClassifierFreeGuidance(None, scale)
    for nothing in (None, Condition(None)):
        with pytest.raises(UsageError, match="condition"):
            ClassifierFreeGuidance(None, 2.0)(*inputs, nothing)
    with pytest.raises(UsageError, match="empty"):
        Clip(None, 1.0, 1.0)


def test_conditions():
    condition = Condition(LABEL)
    assert condition.null().label.tolist() == [-1] * 4
    assert condition.drop(torch.tensor([True, False, False, True])).label.tolist() == [-1, -1, 0, -1]
    assert condition.slice(1, 3).label.tolist() == [-1, 0]
    assert condition.joined(condition.slice(0, 1)).label.tolist() == [2, -1, 0, 1, 2]
    assert LABEL.tolist() == [2, -1, 0, 1]
    nothing = Condition()
    assert (
        nothing.null()
        == nothing.drop(torch.ones(1))
        == nothing.slice(0, 1)
        == nothing.joined(condition)
        == nothing.to("cpu")
    )


def test_classifier_guidance_is_bayes_rule():
    """With the exact denoiser of a mixture and the exact classifier of its modes, scale 1 gives the denoiser of the mode asked for."""
    schedule = CosineSchedule()
    weights = torch.tensor([0.3, 0.7], dtype=torch.float64)
    means = torch.tensor([[-1.0, 0.5], [1.0, 0.0]], dtype=torch.float64)
    mixture = MixtureDenoiser(schedule, weights, means, 0.2)

    def classifier(x, t):
        alpha, sigma = schedule.alpha(t.double())[:, None], schedule.sigma(t.double())[:, None]
        spread = alpha**2 * 0.2 + sigma**2
        return weights.log() - (x[:, None] - alpha[:, None] * means).square().sum(2) / (2 * spread)

    x = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t, label = torch.linspace(0.1, 0.9, 6, dtype=torch.float64), torch.tensor([0, 1, 0, 1, 0, 1])
    guided = ClassifierGuidance(mixture, classifier, schedule, 1.0)(x, t, Condition(label))
    expected = torch.cat(
        [GaussianDenoiser(schedule, means[k], 0.2)(x[i : i + 1], t[i : i + 1]) for i, k in enumerate(label)]
    )
    torch.testing.assert_close(guided, expected, rtol=0, atol=1e-9)
    plain = ClassifierGuidance(mixture, classifier, schedule, 0.0)(x, t, Condition(label))
    torch.testing.assert_close(plain, mixture(x, t))
    with pytest.raises(UsageError, match="class"):
        ClassifierGuidance(mixture, classifier, schedule)(x, t, None)
    with pytest.raises(UsageError, match="classifier_scale"):
        ClassifierGuidance(mixture, classifier, schedule, -1.0)


def test_an_interval_guides_inside_only():
    schedule = CosineSchedule()
    guided = GuidanceInterval(lambda x, t, c: x + 1, lambda x, t, c: x, schedule, -2.0, 2.0)
    x = torch.zeros(2, 3, dtype=torch.float64)
    for t in (0.05, 0.5, 0.95):
        inside = -2 <= float(schedule.log_snr(torch.tensor(t, dtype=torch.float64))) <= 2
        torch.testing.assert_close(guided(x, torch.full((2,), t)), x + inside)
    with pytest.raises(UsageError, match="empty"):
        GuidanceInterval(None, None, schedule, 1.0, 0.0)


def test_rescaling_gives_the_conditional_deviation_back():
    def estimator(x, t, condition=None):
        return torch.where(condition.label[:, None] >= 0, 2 * x, x)

    x = torch.randn(4, 50, dtype=torch.float64)
    label = Condition(torch.zeros(4, dtype=torch.int64))
    full = ClassifierFreeGuidance(estimator, 3.0, 1.0)(x, torch.ones(4), label)
    torch.testing.assert_close(full.std(1), (2 * x).std(1))
    torch.testing.assert_close(ClassifierFreeGuidance(estimator, 3.0, 0.5)(x, torch.ones(4), label), 3 * x)
    with pytest.raises(UsageError, match="rescale"):
        ClassifierFreeGuidance(estimator, 3.0, 1.5)


def test_dynamic_thresholding():
    x = torch.linspace(-4, 4, 101, dtype=torch.float64)[None].repeat(2, 1)
    x[1] /= 10
    limited = DynamicThresholding(lambda x, t, c: x, 0.5)(x, torch.ones(2))
    torch.testing.assert_close(limited[0], (x[0] / 2).clamp(-1, 1))
    torch.testing.assert_close(limited[1], x[1])
    with pytest.raises(UsageError, match="percentile"):
        DynamicThresholding(None, 0.0)


def test_wrappers_compose_and_pass_a_learned_variance_on():
    class Network(torch.nn.Module):
        def forward(self, x, time, label):
            return torch.cat([x * (1 + label.reshape(-1, 1, 1, 1)), x * 0 + 0.5], 1)

    schedule = CosineSchedule()
    denoiser = Denoiser(Network(), schedule, "clean", learned_variance=True)
    x = torch.full((3, 1, 2, 2), 0.4)
    t, condition = torch.full((3,), 0.5), Condition(torch.tensor([0, 1, 1]))
    wrapped = Clip(DynamicThresholding(ClassifierFreeGuidance(denoiser, 2.0)))
    estimate, fraction = moments(wrapped, x, t, condition)
    torch.testing.assert_close(estimate, torch.tensor([0.8, 1.0, 1.0]).reshape(-1, 1, 1, 1).expand(3, 1, 2, 2))
    torch.testing.assert_close(fraction, torch.full((3, 1, 2, 2), 0.75))
    assert moments(lambda x, t, c: x, x, t)[1] is None


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_learned_variance_lies_between_small_and_large(fraction):
    """At the ends of the range the samples are those of the fixed variances."""

    class Network(torch.nn.Module):
        def forward(self, x, time, label):
            return torch.cat([x * 0.3, torch.full_like(x, 2 * fraction - 1)], 1)

    schedule, shape = LinearSchedule(20), (1, 3, 3)
    denoiser = Denoiser(Network(), schedule, "clean", learned_variance=True)
    process = GaussianProcess(schedule)
    start = torch.randn(2, *shape, dtype=torch.float64)

    def run(variance):
        noise = NoiseSource([1, 2], dtype=torch.float64)
        *_, last = Ancestral(variance)(denoiser, process, start, grid.subsequence(20, 20), noise)
        return last.noisy

    small, large, learned = run("small"), run("large"), run("learned")
    torch.testing.assert_close(run("auto"), learned)
    if fraction == 0.5:
        assert not torch.allclose(learned, small)
        assert not torch.allclose(learned, large)
    else:
        torch.testing.assert_close(learned, large if fraction else small, rtol=0, atol=1e-9)
    with pytest.raises(UsageError, match="learned"):
        next(iter(Ancestral("learned")(lambda x, t, c: x, process, start, grid.uniform(2), NoiseSource([1, 2]))))


def test_hybrid_loss_teaches_the_variance_and_leaves_the_estimate_alone():
    """Nichol & Dhariwal 2021, section 3.1: no gradient of the bound reaches the mean."""

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.mean = torch.nn.Parameter(torch.tensor(0.2, dtype=torch.float64))
            self.variance = torch.nn.Parameter(torch.tensor(0.1, dtype=torch.float64))

        def forward(self, x, time, label):
            return torch.cat([x * self.mean, x * 0 + self.variance], 1)

    schedule = LinearSchedule(50)
    process = GaussianProcess(schedule)
    clean = torch.rand(16, 1, 2, 2, dtype=torch.float64) * 2 - 1
    noise, t = torch.randn_like(clean), torch.arange(1, 17) / 50
    learned, fixed = Denoiser(Network(), schedule, learned_variance=True), Denoiser(Half(Network()), schedule)
    losses = [weighted_loss(d, process, clean, noise, t, num_train_steps=50) for d in (learned, fixed)]
    for loss in losses:
        loss.mean().backward()
    torch.testing.assert_close(learned.network.mean.grad, fixed.network.inner.mean.grad)
    assert float(learned.network.variance.grad.abs()) > 0
    with pytest.raises(UsageError, match="num_train_steps"):
        weighted_loss(learned, process, clean, noise, t)


class Half(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x, time, label):
        return self.inner(x, time, label)[:, :1]
