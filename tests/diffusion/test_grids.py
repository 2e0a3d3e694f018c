"""Every grid: a chain of steps from its first time down to 0."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from renote.diffusion import DDIM, CosineSchedule, EDMSchedule, GaussianProcess, VPSchedule, grid
from renote.errors import UsageError

SPACINGS = ["trailing", "leading", "uniform", "quadratic"]


@st.composite
def sizes(draw):
    train = draw(st.integers(1, 1200))
    return train, draw(st.integers(1, train))


def is_chain(pairs, steps):
    assert len(pairs) == steps
    assert pairs[-1][1] == 0
    for (t, s), (following, _) in itertools.pairwise(pairs):
        assert s == following
        assert 0 < s < t <= 1
    assert len({t for t, _ in pairs}) == steps
    grid.check(pairs)


@pytest.mark.parametrize("spacing", SPACINGS)
@given(size=sizes())
def test_each_step_ends_where_the_next_begins(spacing, size):
    train, steps = size
    pairs = grid.subsequence(train, steps, spacing)
    is_chain(pairs, steps)
    known = {k / train for k in range(1, train + 1)}
    assert {t for t, _ in pairs} <= known
    if spacing != "leading":
        assert pairs[0][0] == 1
    else:
        assert pairs[0][0] == (1 + (steps - 1) * (train // steps)) / train
    if spacing in ("leading", "uniform") and steps > 1:
        assert pairs[-1][0] == 1 / train


@pytest.mark.parametrize("spacing", SPACINGS)
def test_all_steps_are_all_steps(spacing):
    assert [t for t, _ in grid.subsequence(37, 37, spacing)] == [k / 37 for k in range(37, 0, -1)]


@given(steps=st.integers(1, 1000))
def test_uniform(steps):
    pairs = grid.uniform(steps)
    is_chain(pairs, steps)
    assert pairs[0][0] == 1
    assert all(abs(t - s - 1 / steps) < 1e-12 for t, s in pairs)


def test_known_subsequences():
    def numbers(steps, spacing):
        return [round(t * 1000) for t, _ in grid.subsequence(1000, steps, spacing)]

    assert numbers(4, "trailing") == [1000, 750, 500, 250]
    assert numbers(4, "leading") == [751, 501, 251, 1]
    assert numbers(4, "uniform") == [1000, 667, 334, 1]
    assert numbers(4, "quadratic") == [1000, 562, 250, 62]


@pytest.mark.parametrize(("train", "steps"), [(10, 0), (10, -1), (10, 11), (0, 1)])
def test_bad_steps(train, steps):
    with pytest.raises(UsageError, match="steps"):
        grid.subsequence(train, steps)
    with pytest.raises(UsageError, match="steps"):
        grid.uniform(0)


def test_unknown_spacing_names_the_nearest():
    with pytest.raises(UsageError, match="trailing"):
        grid.subsequence(10, 5, "trailling")


@pytest.mark.parametrize("bad", [[], [(1.0, 0.5), (0.4, 0.0)], [(0.5, 0.5)], [(0.5, 1.0)], [(1.5, 0.0)]])
def test_samplers_refuse_grids_with_gaps_at_once(bad):
    with pytest.raises(UsageError):
        DDIM()(None, GaussianProcess(CosineSchedule()), None, bad)


@pytest.mark.parametrize("steps", [1, 2, 7, 40])
@pytest.mark.parametrize("schedule", [EDMSchedule(80.0), VPSchedule(), CosineSchedule()], ids=repr)
def test_grids_by_noise_level(schedule, steps):
    last = 0.002 / 80
    for name, make in (("rho", grid.rho), ("log-snr", grid.log_snr)):
        pairs = make(schedule, steps, last)
        grid.check(pairs)
        assert len(pairs) == steps
        assert pairs[0][0] == 1
        assert pairs[-1][1] == 0
        if steps == 1:
            continue
        assert pairs[-1][0] == last
        t = torch.tensor([t for t, _ in pairs], dtype=torch.float64)
        scale = schedule.log_snr(t) if name == "log-snr" else (schedule.sigma(t) / schedule.alpha(t)) ** (1 / 7)
        expected = torch.linspace(float(scale[0]), float(scale[-1]), steps, dtype=torch.float64)
        torch.testing.assert_close(scale, expected, rtol=1e-6, atol=1e-6)


def test_rho_grid_is_the_papers():
    """Karras et al. 2022, equation 5, with its numbers for CIFAR-10: 18 steps from 80 to 0.002."""
    pairs = grid.rho(EDMSchedule(80.0), 18, 0.002 / 80)
    expected = [(80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(18)]
    assert [80 * t for t, _ in pairs] == pytest.approx(expected, rel=1e-9)


def test_bad_levels():
    schedule = EDMSchedule()
    for bad in (
        lambda: grid.rho(schedule, 0),
        lambda: grid.log_snr(schedule, 0),
        lambda: grid.rho(schedule, 5, 0.0),
        lambda: grid.rho(schedule, 5, 0.5, 0.4),
        lambda: grid.rho(schedule, 5, power=0.0),
    ):
        with pytest.raises(UsageError):
            bad()
