"""The binomial process and learned chains against what can be enumerated or integrated."""

import itertools
import math

import pytest
import torch

from renote import data, nets, systems
from renote.diffusion import NoiseSource
from renote.diffusion.chain import BinomialChain, GaussianChain
from renote.diffusion.process import BinomialProcess
from renote.errors import UsageError

PROCESS = BinomialProcess()
BEATS = (torch.arange(20) % 5 == torch.arange(5)[:, None]).double()


def even_normals(n):
    """Normal numbers at n even quantiles: averages over them are integrals."""
    return torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n)


def transitions(steps):
    """q(x_k | x_{k-1}) as matrices [x_{k-1}, x_k], with β_k = 1 / (T - k + 1)."""
    for k in range(1, steps + 1):
        beta = 1 / (steps - k + 1)
        yield torch.tensor([[1 - beta / 2, beta / 2], [beta / 2, 1 - beta / 2]], dtype=torch.float64)


def test_the_marginal_is_the_product_of_the_papers_steps():
    kept, noise = torch.eye(2, dtype=torch.float64), even_normals(40_000)
    for k, matrix in enumerate(transitions(8), 1):
        kept = kept @ matrix
        for bit in (0.0, 1.0):
            drawn = PROCESS.corrupt(torch.full_like(noise, bit), torch.full_like(noise, k / 8), noise)
            assert float(drawn.mean()) == pytest.approx(float(kept[int(bit), 1]), abs=1e-4)


@pytest.mark.parametrize(("t", "s"), [(8, 7), (8, 0), (5, 4), (5, 2), (3, 1), (1, 0)])
def test_the_posterior_is_that_of_all_paths(t, s):
    steps = list(transitions(8))
    joint = torch.zeros(2, 2, 2, dtype=torch.float64)  # x_0, x_s, x_t
    for path in itertools.product((0, 1), repeat=t + 1):
        chance = math.prod(float(steps[k][path[k], path[k + 1]]) for k in range(t))
        joint[path[0], path[s], path[t]] += chance
    exact = joint / joint.sum(1, keepdim=True)
    for x_t, chance in itertools.product((0, 1), (0.0, 0.2, 1.0)):
        noisy, estimate = (torch.tensor([[v]], dtype=torch.float64) for v in (x_t, chance))
        times = (torch.tensor([k / 8], dtype=torch.float64) for k in (t, s))
        one, zero = PROCESS.posterior(noisy, estimate, *times)
        expected = chance * exact[1, :, x_t] + (1 - chance) * exact[0, :, x_t]
        torch.testing.assert_close(torch.stack([zero, one]).flatten(), expected, rtol=0, atol=1e-12)
        noise = even_normals(1000)[:, None]
        drawn = PROCESS.reverse(noisy.expand(1000, 1), estimate.expand(1000, 1), t / 8, s / 8, noise)
        assert float(drawn.mean()) == pytest.approx(float(expected[1]), abs=1e-3)


def test_the_prior_is_fair_and_a_step_needs_noise_and_a_way_down():
    prior = PROCESS.prior((50,), NoiseSource(range(400)))
    assert set(prior.unique().tolist()) == {0.0, 1.0}
    assert float(prior.mean()) == pytest.approx(0.5, abs=0.02)
    with pytest.raises(UsageError, match="noise"):
        PROCESS.reverse(prior, prior, 0.5, 0.4)
    with pytest.raises(UsageError, match="s < t"):
        PROCESS.reverse(prior, prior, 0.4, 0.4, prior)


def test_what_is_no_bit_or_no_time_is_refused():
    bits, noise, t = torch.tensor([[0.0, 1.0, 1.0]]), torch.zeros(1, 3), torch.tensor([0.5])
    for wrong in (torch.tensor([[0.0, 3.0, 1.0]]), torch.tensor([[0, 3, 1]]), torch.tensor([[0.0, math.nan, 1.0]])):
        for call in (
            lambda wrong=wrong: PROCESS.corrupt(wrong, t, noise),
            lambda wrong=wrong: PROCESS.posterior(wrong, bits, t, t / 2),
            lambda wrong=wrong: PROCESS.reverse(wrong, bits, 0.5, 0.2, noise),
        ):
            with pytest.raises(UsageError, match=r"bit (3|nan) at \[0, 1\]: bits are 0 or 1"):
                call()
    for time in (1.5, -0.5, math.nan):
        wrong = torch.tensor([time])
        for call in (
            lambda wrong=wrong: PROCESS.corrupt(bits, wrong, noise),
            lambda wrong=wrong: PROCESS.posterior(bits, bits, wrong, t),
            lambda wrong=wrong: PROCESS.posterior(bits, bits, t, wrong),
        ):
            with pytest.raises(UsageError, match="strength = .*between 0"):
                call()


class Coin(torch.nn.Module):
    """log P(x_0 = 1 | x_t) / P(x_0 = 0 | x_t) of a coin that is 1 with chance p."""

    def __init__(self, p):
        super().__init__()
        self.p = torch.nn.Parameter(torch.tensor(p, dtype=torch.float64))

    def forward(self, x, time):
        kept = 1 - time[:, None].double() / 1000
        return torch.logit(self.p) + x.double() * ((1 + kept) / (1 - kept)).log()


@torch.no_grad()
def test_the_bound_of_a_perfect_model_of_coins_is_their_entropy():
    p, steps, noise = 0.3, 12, even_normals(20_000)[:, None]
    chain, total = BinomialChain(Coin(p), (1,), steps), 0.0
    for value, weight in ((1.0, p), (-1.0, 1 - p)):
        clean = torch.full_like(noise, value)
        for k in range(1, steps + 1):
            total += weight * float(chain.term(clean, torch.full((len(clean),), k), noise).mean())
    entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
    assert total == pytest.approx(entropy, abs=2e-4)


class Beats(torch.nn.Module):
    """The perfect model of heartbeats."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x, time):
        t = time[:, None, None].double() / 1000
        chance = (1 - t) * BEATS + t / 2
        bits = (x[:, None].double() + 1) / 2
        weight = (bits * chance.log() + (1 - bits) * (1 - chance).log()).sum(-1).softmax(-1)
        return torch.logit((weight @ BEATS).clamp(1e-15, 1 - 1e-15))


def test_more_steps_bring_the_bound_of_a_perfect_model_to_the_truth():
    clean = (2 * BEATS - 1).repeat(400, 1)
    gaps = [
        20 * float(BinomialChain(Beats(), (20,), steps).bits(clean).mean()) - math.log2(5) for steps in (4, 20, 100)
    ]
    assert gaps[0] > gaps[1] > gaps[2] > -0.02
    assert gaps[2] < 0.06
    *_, last = BinomialChain(Beats(), (20,), 100).states(50)
    assert all(any(torch.equal(row, 2 * beat - 1) for beat in BEATS) for row in last.noisy.double())


class Noted(BinomialProcess):
    """The process, which notes the steps it is asked for."""

    def __init__(self):
        self.steps = []

    def reverse(self, noisy, estimate, t, s, noise=None):
        self.steps.append((t, s))
        return super().reverse(noisy, estimate, t, s, noise)


def test_the_chain_is_walked_by_the_processs_own_steps_and_samples_the_data():
    chain, n = BinomialChain(Beats(), (20,), 100), 1000
    chain.process = Noted()
    states = list(chain.states(n))
    assert chain.process.steps == [(k / 100, (k - 1) / 100) for k in range(100, 0, -1)]
    assert [(state.t, state.s) for state in states] == chain.process.steps
    assert bool((states[-1].estimate.abs() <= 1).all())
    phase = (states[-1].noisy[:, None] == 2 * BEATS - 1).all(-1)
    counts = phase.sum(0).double()
    assert int(counts.sum()) > 0.99 * n
    assert float(((counts - counts.mean()) ** 2 / counts.mean()).sum()) < 18.5  # the 0.1 % point, 4 degrees of freedom
    coins = BinomialChain(Coin(0.3), (1,), 12).sample(5000, batch_size=5000)
    assert float((coins > 0).double().mean()) == pytest.approx(0.3, abs=3.3 * math.sqrt(0.21 / 5000))


@torch.no_grad()
def test_a_gaussian_chain_with_the_perfect_networks_samples_the_data():
    networks = Normal(0.3, "mean"), Normal(0.3, "spread")
    chain = GaussianChain(*networks, (1,), 10, first=6.0, last=-14.0)
    for network in networks:
        network.chain = [chain]
    samples = chain.sample(5000, batch_size=5000)
    assert float(samples.std()) == pytest.approx(0.3, rel=0.035)
    assert float(samples.mean()) == pytest.approx(0.0, abs=0.015)


class Normal(torch.nn.Module):
    """F or G of the chain for data N(0, std²), whose reverse steps are normal."""

    def __init__(self, std, which):
        super().__init__()
        self.std, self.which = std, which
        self.unused = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x, time):
        kept = self.chain[0].steps.log_alpha_bar().exp()
        k = (time / 1000 * (len(kept) - 1)).round().long()
        t, s = kept[k][:, None], kept[k - 1][:, None]
        variance_t, variance_s = (v * self.std**2 + 1 - v for v in (t, s))
        if self.which == "mean":
            return (t.sqrt() * x - t.sqrt() * self.std**2 / variance_t * x) / (1 - t).sqrt()
        return (variance_s / variance_t).log().expand_as(x)


@torch.no_grad()
def test_the_bound_of_a_perfect_model_of_normal_numbers_is_their_likelihood():
    std, networks = 0.3, (Normal(0.3, "mean"), Normal(0.3, "spread"))
    chain, noise = GaussianChain(*networks, (1,), 10, first=6.0, last=-14.0), even_normals(20_000)[:, None]
    torch.nn.init.normal_(chain.steps.share)
    for network in networks:
        network.chain = [chain]
    for value in (0.0, 0.2, -0.9):
        clean = torch.full_like(noise, value)
        terms = [chain.term(clean, torch.full((len(clean),), k), noise).mean() for k in range(1, 11)]
        bound = float(sum(terms) + chain.prior_term(clean).mean())
        assert bound == pytest.approx(value**2 / std**2 / 2 + math.log(2 * math.pi * std**2) / 2, abs=2e-3)


@pytest.mark.parametrize("binary", [True, False])
def test_samples_and_bits_depend_on_their_own_seed_only(binary):
    torch.manual_seed(0)
    networks = [nets.PointNetwork(4, 16, 1) for _ in range(2)]
    chain = BinomialChain(networks[0], (4,), 9) if binary else GaussianChain(*networks, (4,), 9)
    *_, few = chain.states(2, seed=5)
    *_, many = chain.states(6, seed=3)
    assert torch.equal(few.noisy, many.noisy[2:4]) or torch.allclose(few.noisy, many.noisy[2:4], atol=1e-5)
    clean = torch.sign(torch.randn(6, 4))
    torch.testing.assert_close(chain.bits(clean, 3)[2:4], chain.bits(clean[2:4], 5), rtol=1e-5, atol=1e-5)
    assert chain.training
    with pytest.raises(UsageError, match="leave it out"):
        chain.states(2, steps=5)
    with pytest.raises(UsageError, match="without classes"):
        chain.states(2, label=1)


def test_a_loss_is_the_mean_of_the_bound():
    torch.manual_seed(0)
    chain = GaussianChain(nets.PointNetwork(2, 16, 1), nets.PointNetwork(2, 16, 1), (2,), 5)
    clean = torch.randn(5, 2).repeat(2000, 1)
    loss = float(chain(chain.draw(clean, None, torch.Generator().manual_seed(0))))
    assert loss == pytest.approx(float(chain.bits(clean).mean()), rel=0.02)
    chain(chain.draw(clean[:7], None, torch.Generator().manual_seed(0))).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in chain.parameters())


def test_the_system_chooses_its_process_by_the_data(tmp_path):
    beats = data.load("heartbeat", n=100, test=10)
    assert torch.equal(beats.train.double().unique(dim=0), BEATS.flip(0))
    dpm = systems.get("dpm")
    run = dpm.train(beats, tmp_path / "beats", preset="heartbeat", steps=2, num_train_steps=5, progress=False)
    assert isinstance(run.module, BinomialChain)
    assert set(run.module.shown(torch.tensor([0.0, 1.0])).tolist()) == {-1.0, 1.0}
    images = dpm.build(dpm.configure("paper", channels=16, multipliers=(1,), head_channels=16), data.load("digits"))
    assert images.levels == 17
    digits = data.load("digits")
    images(images.draw(digits.clean(digits.train[:3]), None, torch.Generator())).backward()
    points = data.load("toy-2d", n=10, test=0)
    with pytest.raises(UsageError, match="10 values|20 values"):
        dpm.build(dpm.configure(process="binomial"), points)
