"""Guidance, conditions and the noise of single samples."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from renote.diffusion import ClassifierFreeGuidance, Clip, Condition, CosineSchedule, Denoiser, NoiseSource
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


@given(
    seeds=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5),
    shape=st.sampled_from([(), (3,), (2, 20), (1, 5, 5)]),
)
def test_noise_of_a_sample_depends_on_its_seed_alone(seeds, shape):
    def draws(some, **options):
        source = NoiseSource(some, **options)
        return torch.stack([source.normal(shape) for _ in range(3)], 1)

    together = draws(seeds)
    assert together.shape == (len(seeds), 3, *shape)
    for i, seed in enumerate(seeds):
        assert torch.equal(draws([seed])[0], together[i])
    assert torch.equal(draws(seeds[::-1]), together.flip(0))


def test_noise_is_normal_and_fresh():
    source = NoiseSource(range(50), dtype=torch.float64)
    first = source.normal((400,))
    kept = first.clone()
    second = source.normal((400,))
    assert torch.equal(first, kept)
    both = torch.cat([first, second])
    assert both.dtype == torch.float64
    assert abs(float(both.mean())) < 4 / both.numel() ** 0.5
    assert abs(float(both.var()) - 1) < 4 * (2 / both.numel()) ** 0.5
    # no two samples and no two draws share numbers
    assert both.unique().numel() == both.numel()


def test_noise_into_given_memory_is_the_same_noise():
    plain, reuse = NoiseSource([3, 4]), NoiseSource([3, 4])
    out = torch.empty(2, 6)
    for _ in range(2):
        assert reuse.normal((6,), out=out) is out
        assert torch.equal(out, plain.normal((6,)))
    wide = torch.empty(2, 6, dtype=torch.float64)
    assert torch.equal(reuse.normal((6,), out=wide), plain.normal((6,)).double())


def test_bad_seeds():
    for seed in (-1, 2**63):
        with pytest.raises(UsageError, match="seed"):
            NoiseSource([seed])
