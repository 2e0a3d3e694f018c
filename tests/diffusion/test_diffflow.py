"""Flows against linear equations, whose likelihood is known, and against automatic differentiation."""

import math

import pytest
import torch

from renote import nets, systems
from renote.diffusion.flow import DiffusionFlow, InvertibleFlow
from renote.errors import UsageError
from renote.nets.flow import RealNVP


class Linear(torch.nn.Module):
    """x ↦ w_i x, i the step."""

    def __init__(self, weights):
        super().__init__()
        self.weights = torch.nn.Parameter(torch.as_tensor(weights, dtype=torch.float64))

    def forward(self, x, time):
        return self.weights[(time / 1000 * (len(self.weights) - 1)).round().long()][:, None] * x


def linear_flow(scales, noise, back):
    """x_{i+1} = scales_i x_i + noise_i δ, and backwards x_i = back_i x_{i+1} + noise_i δ."""
    n = len(noise)
    flow = DiffusionFlow(Linear(torch.zeros(n + 1)), Linear(torch.zeros(n + 1)), (3,), n).double()
    flow.log_noise.data = (noise * math.sqrt(n)).log()
    g, sigma = flow.coefficients()
    drift = torch.cat([(scales - 1) * n + g**2 / 2, torch.zeros(1, dtype=torch.float64)])
    flow.drift.weights.data = drift
    score = (drift[1:] + n * (back - 1)) / g**2 - 0.5
    flow.score.weights.data[1:] = (score + 1) / (1 / sigma[1:] + 1 / g**2)
    return flow


def test_where_both_directions_are_one_process_every_path_has_the_likelihood():
    noise = torch.tensor([0.1, 0.5, 0.3, 0.7, 0.2, 0.6], dtype=torch.float64)
    kept = (1 - noise**2).sqrt()
    flow, clean = linear_flow(kept, noise, kept), torch.randn(7, 3, dtype=torch.float64)
    exact = (clean.square().sum(1) + 3 * math.log(2 * math.pi)) / 2
    for _ in range(3):
        torch.testing.assert_close(flow.path_bound(clean, torch.randn(7, 6, 3, dtype=torch.float64)), exact)


def test_any_linear_pair_bounds_its_likelihood_by_what_recursion_gives():
    n, generator = 5, torch.Generator().manual_seed(0)
    scales, back = (0.8 + 0.4 * torch.rand(n, generator=generator, dtype=torch.float64) for _ in range(2))
    noise = 0.3 + 0.2 * torch.rand(n, generator=generator, dtype=torch.float64)
    flow = linear_flow(scales, noise, back)
    clean, paths = torch.tensor([[0.3, -0.8, 0.1]], dtype=torch.float64), 100_000
    drawn = torch.randn(paths, n, 3, generator=generator, dtype=torch.float64)
    bounds = flow.path_bound(clean.expand(paths, 3), drawn).detach()
    # E |δᵇ|² = (E |x_i - back x_{i+1}|²) / noise², with x_i of mean m and variance v
    mean, variance, expected = clean[0], torch.tensor(0.0, dtype=torch.float64), 0.0
    for i in range(n):
        shrunk = 1 - back[i] * scales[i]
        gap = (shrunk * mean).square().sum() + 3 * (shrunk**2 * variance + (back[i] * noise[i]) ** 2)
        expected += float(gap / noise[i] ** 2 - 3) / 2
        mean, variance = scales[i] * mean, scales[i] ** 2 * variance + noise[i] ** 2
    expected += float(mean.square().sum() + 3 * variance + 3 * math.log(2 * math.pi)) / 2
    assert float(bounds.mean()) == pytest.approx(expected, abs=4 * float(bounds.std()) / math.sqrt(paths))
    variance = torch.tensor(1.0, dtype=torch.float64)
    for i in reversed(range(n)):
        variance = back[i] ** 2 * variance + noise[i] ** 2
    exact = float((clean.square().sum() / variance + 3 * (2 * math.pi * variance).log()) / 2)
    assert expected > exact
    # paths weighted by exp(-bound) average to the likelihood
    assert math.log(paths) - float(torch.logsumexp(-bounds, 0)) == pytest.approx(exact, abs=0.03)
    *_, last = flow.states(4000)
    assert float(last.noisy.var()) == pytest.approx(float(variance), rel=0.05)


def small_flow(**options):
    torch.manual_seed(0)
    flow = DiffusionFlow(nets.PointNetwork(2, 16, 1), nets.PointNetwork(2, 16, 1), (2,), 4, **options)
    for parameter in flow.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn_like(parameter)
    return flow


def test_little_memory_means_the_same_gradients():
    batch = small_flow().draw(torch.randn(6, 2), None, torch.Generator().manual_seed(1))
    gradients = []
    for light in (False, True):
        flow = small_flow(memory_light=light)
        flow(batch).backward()
        gradients.append([p.grad for p in flow.parameters()])
    for plain, again in zip(*gradients):
        torch.testing.assert_close(plain, again)


def test_discrete_values_are_spread_over_their_bins():
    fine, coarse = (small_flow(levels=levels) for levels in (None, 3))
    clean = torch.tensor([[-1.0, 0.0], [0.0, 1.0]]).repeat(2000, 1)
    spread = clean + torch.rand(4000, 2, generator=torch.Generator().manual_seed(0)) - 0.5  # bins of size 1
    assert float(coarse.bits(clean).mean()) == pytest.approx(float(fine.bits(spread).mean()), rel=0.03)
    coarse(coarse.draw(clean, None, torch.Generator())).backward()


def test_a_fixed_drift_is_a_drift_network_that_gives_nothing():
    torch.manual_seed(0)
    fixed = DiffusionFlow(None, nets.PointNetwork(2, 8, 1), (2,), 4)
    free = DiffusionFlow(nets.PointNetwork(2, 8, 1), fixed.score, (2,), 4)
    clean, noise = torch.randn(5, 2), torch.randn(5, 4, 2)
    torch.testing.assert_close(fixed.path_bound(clean, noise), free.path_bound(clean, noise))
    assert not DiffusionFlow(None, fixed.score, (2,), 4, learned_noise=False).log_noise.requires_grad


def test_samples_and_bits_depend_on_their_own_seed_only():
    for flow in (small_flow(), InvertibleFlow(RealNVP(2, 8, 2))):
        *_, few = flow.states(2, seed=5)
        *_, many = flow.states(6, seed=3)
        torch.testing.assert_close(few.noisy, many.noisy[2:4])
        clean = torch.randn(6, 2)
        torch.testing.assert_close(flow.bits(clean, 3)[2:4], flow.bits(clean[2:4], 5), rtol=1e-5, atol=1e-5)
        with pytest.raises(UsageError, match="at least one sample"):
            flow.states(0)


def random_network(features):
    torch.manual_seed(0)
    network = RealNVP(features, hidden=8, couplings=4).double()
    for parameter in network.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return network


@pytest.mark.parametrize("features", [2, 5])
def test_realnvp_knows_its_determinant_and_its_inverse(features):
    network, x = random_network(features), torch.randn(4, features, dtype=torch.float64)
    code, log_determinant = network(x)
    torch.testing.assert_close(network.inverse(code), x)
    for i in range(len(x)):
        jacobian = torch.autograd.functional.jacobian(lambda v: network(v[None])[0][0], x[i])
        assert float(torch.linalg.slogdet(jacobian)[1]) == pytest.approx(log_determinant[i].item(), abs=1e-9)


def test_realnvps_density_integrates_to_one():
    flow = InvertibleFlow(random_network(2))
    ticks = torch.linspace(-12, 12, 601, dtype=torch.float64)
    density = torch.exp(-flow.negative_log_density(torch.cartesian_prod(ticks, ticks)).detach())
    assert float(density.sum()) * 0.04**2 == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("model", ["diffflow", "fixed-drift", "realnvp"])
def test_the_system_trains_each_model_on_ones_own_points(model, tmp_path):
    import numpy as np

    np.savez(tmp_path / "table.npz", x=np.random.default_rng(0).normal(size=(50, 3)))
    run = systems.get("diffflow").train(
        str(tmp_path / "table.npz"), tmp_path / "run", model=model, steps=3, progress=False
    )
    *_, last = run.module.states(4)
    assert last.noisy.shape == (4, 3)
    assert bool(run.module.bits(run.data.clean(run.data.test)).isfinite().all())
