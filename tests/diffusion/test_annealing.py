"""The rules that set up annealed Langevin dynamics, against brute force, simulation, and the sampler itself."""

import math

import pytest
import torch
from exact_denoisers import Shared

from renote.diffusion import AnnealedLangevin, GaussianProcess, VESchedule, annealing, grid
from renote.errors import UsageError


@pytest.mark.parametrize("n", [2, 50, 2300])
def test_largest_distance_is_that_of_all_pairs(n):
    samples = torch.randn(n, 1, 3, 2, generator=torch.Generator().manual_seed(n))
    flat = samples.flatten(1).double()
    expected = float((flat[:, None] - flat[None, :]).square().sum(-1).max()) ** 0.5
    assert annealing.largest_distance(samples) == pytest.approx(expected, rel=1e-5)


def test_largest_distance_of_very_many_is_that_of_some():
    samples = torch.zeros(20_000, 1)
    samples[10_000], samples[10_001] = 3.0, 100.0
    # every second one is looked at
    assert annealing.largest_distance(samples) == pytest.approx(3.0)


@pytest.mark.parametrize("dimensions", [64, 784, 3072])
def test_the_ratio_solves_its_equation(dimensions):
    ratio = annealing.level_ratio(dimensions)
    away = math.sqrt(2 * dimensions) * (ratio - 1)
    normal = torch.distributions.Normal(0.0, 1.0)
    high, low = (float(normal.cdf(torch.tensor(away + sign * 3 * ratio, dtype=torch.float64))) for sign in (1, -1))
    assert high - low == pytest.approx(0.5, abs=1e-9)
    assert annealing.level_ratio(dimensions, 0.7) < ratio < annealing.level_ratio(dimensions, 0.3)


@pytest.mark.parametrize(("dimensions", "ratio"), [(784, 1.05), (784, 1.08), (784, 1.12), (3072, 1.0376)])
def test_the_overlap_is_that_of_the_radii_of_gaussians(dimensions, ratio):
    """Radii of N(0, I), and three deviations around the mean radius of N(0, γ² I)."""
    generator = torch.Generator().manual_seed(0)
    radii = torch.randn(20_000, dimensions, generator=generator).norm(dim=1)
    within = (radii - ratio * math.sqrt(dimensions)).abs() < 3 * ratio / math.sqrt(2)
    assert float(within.double().mean()) == pytest.approx(annealing.overlap(ratio, dimensions), abs=0.015)


def test_few_dimensions_have_a_ratio_too():
    for dimensions in (1, 2, 4, 5, 10):
        assert annealing.level_ratio(dimensions) == 2.0
        assert annealing.overlap(2.0, dimensions) > 0.5
    assert annealing.level_ratio(10, most=5.0) == pytest.approx(3.0, abs=0.2)


def test_levels_are_as_few_as_the_ratio_lets_them_be():
    for first, last, ratio in [(50.0, 0.01, 1.04), (4.8, 0.01, 1.36), (1.0, 0.5, 1.9), (8.0, 1.0, 2.0)]:
        levels = annealing.number_of_levels(first, last, ratio)
        assert (first / last) ** (1 / (levels - 1)) <= ratio * (1 + 1e-9)
        assert levels == 2 or (first / last) ** (1 / (levels - 2)) > ratio
    assert annealing.number_of_levels(8.0, 1.0, 2.0) == 4


def one_level(step, repeats, start, sigma, n=40_000):
    """Variance of chains that the sampler moves at one level, for data that is the point 0."""
    schedule = VESchedule(sigma / 10, sigma)
    noise = Shared(n)
    sampler = AnnealedLangevin(step, repeats, denoise=False)
    *_, state = sampler(
        lambda noisy, t, condition=None: torch.zeros_like(noisy),
        GaussianProcess(schedule),
        start * noise.normal((3,)),
        [(1.0, 0.0)],
        noise,
    )
    return float(state.noisy.var())


@pytest.mark.parametrize(
    ("relative", "repeats", "ratio"), [(0.05, 1, 1.5), (0.3, 5, 1.4), (0.062, 5, 1.04), (1.0, 2, 3.0)]
)
def test_the_variance_is_that_of_the_samplers_chains(relative, repeats, ratio):
    sigma = 0.7
    found = one_level(relative * sigma**2, repeats, ratio * sigma, sigma) / sigma**2
    assert found == pytest.approx(annealing.langevin_variance(relative, repeats, ratio), rel=0.02)


@pytest.mark.parametrize(("ratio", "repeats"), [(1.04, 5), (1.36, 5), (1.36, 50), (2.0, 1), (1.2, 20)])
def test_no_other_step_comes_nearer(ratio, repeats):
    every = torch.linspace(1e-4, 1, 100_000, dtype=torch.float64)
    gaps = [abs(annealing.langevin_variance(float(eta), repeats, ratio) - 1) for eta in every[::50]]
    found = annealing.langevin_step_size(0.1, ratio, repeats) / 0.01
    assert abs(annealing.langevin_variance(found, repeats, ratio) - 1) <= min(gaps) + 1e-12
    assert 0 < found <= 1


def test_the_papers_step_for_cifar_10():
    """232 levels from 50 to 0.01, T = 5: the released configuration has 6.2e-6."""
    assert annealing.langevin_step_size(0.01, 5000 ** (1 / 231), 5) == pytest.approx(6.2e-6, rel=0.01)


def test_chains_arrive_at_the_last_level():
    """All levels one after the other: the variance is the recursion's, near that of the last level."""
    levels, repeats = 12, 5
    ratio = (10 / 0.1) ** (1 / (levels - 1))
    schedule = VESchedule(0.1 / ratio, 10.0)
    step = annealing.langevin_step_size(0.1, ratio, repeats)
    noise = Shared(20_000)
    *_, state = AnnealedLangevin(step, repeats, denoise=False)(
        lambda noisy, t, condition=None: torch.zeros_like(noisy),
        GaussianProcess(schedule),
        10.0 * noise.normal((3,)),
        grid.subsequence(levels, levels),
        noise,
    )
    before = 1.0
    for level in range(levels):
        before = annealing.langevin_variance(step / 0.1**2, repeats, before**0.5 * (ratio if level else 1.0))
    assert float(state.noisy.var()) / 0.01 == pytest.approx(before, rel=0.02)
    assert 1 < before < 1.5


def test_bad_numbers():
    for bad in [
        lambda: annealing.largest_distance(torch.ones(5, 2)),
        lambda: annealing.largest_distance(torch.ones(0, 2)),
        lambda: annealing.level_ratio(0),
        lambda: annealing.level_ratio(10, 1.0),
        lambda: annealing.level_ratio(10, most=1.0),
        lambda: annealing.number_of_levels(1.0, 2.0, 1.5),
        lambda: annealing.number_of_levels(2.0, 1.0, 1.0),
        lambda: annealing.langevin_step_size(0.0, 2.0, 5),
        lambda: annealing.langevin_step_size(1.0, 1.0, 5),
        lambda: annealing.langevin_step_size(1.0, 2.0, 0),
    ]:
        with pytest.raises(UsageError):
            bad()
