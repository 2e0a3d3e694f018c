"""The variational bound against distributions whose bits are known."""

import math

import pytest
import torch
from exact_denoisers import Shared

from renote.diffusion import CosineSchedule, GaussianProcess, LinearSchedule
from renote.diffusion.likelihood import decoder_log_probability, variational_bound
from renote.diffusion.schedule import broadcast
from renote.errors import UsageError


class TwoValues:
    """E[x_0 | x_t] for x_0 = ±1 with equal chances: tanh(alpha x_t / sigma²)."""

    def __init__(self, schedule):
        self.schedule = schedule

    def __call__(self, noisy, t, condition=None):
        alpha, sigma = (broadcast(f(t.double()), noisy) for f in (self.schedule.alpha, self.schedule.sigma))
        return torch.tanh(alpha * noisy / sigma**2)


@pytest.mark.parametrize("schedule", [LinearSchedule(), CosineSchedule()], ids=repr)
def test_a_fair_coin_has_one_bit(schedule):
    n = 400
    clean = torch.where(torch.arange(n) % 2 == 0, 1.0, -1.0).double()[:, None].expand(n, 8)
    terms = variational_bound(TwoValues(schedule), GaussianProcess(schedule), clean, 1000, Shared(n), levels=2)
    assert terms.shape == (n, 1001)
    assert float(terms[:, 2:].min()) >= -1e-9
    # never below the entropy; T = 1000 steps come within a few hundredths of it
    assert 1 - 0.03 < float(terms.sum(1).mean()) < 1.06


@pytest.mark.parametrize("variance", ["small", "large"])
def test_when_the_data_is_known_only_the_variances_differ(variance):
    schedule, steps = LinearSchedule(50), 50
    clean = torch.full((2, 3), 1 / 3, dtype=torch.float64)
    terms = variational_bound(
        lambda x, t, c: clean, GaussianProcess(schedule), clean, steps, Shared(2), variance=variance, levels=4
    )
    alpha_bar = torch.cumprod(1 - torch.linspace(0.002, 0.4, steps, dtype=torch.float64), 0)
    ratio = (1 - alpha_bar[:-1]) / (1 - alpha_bar[1:]) if variance == "large" else torch.ones(steps - 1)
    expected = (ratio - 1 - ratio.log()) / 2 / math.log(2)
    torch.testing.assert_close(terms[0, 1:-1], expected.double(), rtol=1e-6, atol=1e-9)
    last = float(alpha_bar[-1])
    prior = (last / 9 + (1 - last) - 1 - math.log(1 - last)) / 2 / math.log(2)
    assert float(terms[0, -1]) == pytest.approx(prior, rel=1e-6)


@pytest.mark.parametrize("std", [1e-3, 0.05, 2.0])
@pytest.mark.parametrize("levels", [2, 5, 256])
def test_decoder_probabilities_sum_to_one(levels, std):
    values = torch.linspace(-1, 1, levels, dtype=torch.float64)
    means = torch.tensor([-1.3, -0.2, 0.0, 0.7777, 1.0], dtype=torch.float64)
    total = decoder_log_probability(values[:, None].expand(-1, 5), means.expand(levels, 5), std, levels).exp().sum(0)
    torch.testing.assert_close(total, torch.ones(5, dtype=torch.float64), rtol=0, atol=1e-9)


def test_decoder_is_symmetric_with_accurate_tails():
    clean = torch.tensor([0.6, -0.6], dtype=torch.float32)
    mean = torch.tensor([0.5, -0.5], dtype=torch.float32)
    left, right = decoder_log_probability(clean, mean, 0.02).tolist()
    assert left == right
    half = 1 / 255
    mass = (math.erfc((0.1 - half) / 0.02 / 2**0.5) - math.erfc((0.1 + half) / 0.02 / 2**0.5)) / 2
    assert left == pytest.approx(math.log(mass), rel=1e-5)


def test_bad_arguments():
    process, clean = GaussianProcess(LinearSchedule()), torch.zeros(1, 2)
    for data, steps, levels in [(clean, 1, 256), (clean, 10, 1), (clean + 1.5, 10, 256), (clean * math.nan, 10, 256)]:
        with pytest.raises(UsageError):
            variational_bound(None, process, data, steps, Shared(1), levels=levels)
