"""Hierarchical autoencoders: decoders that sum to one, and bounds of linear models whose likelihood is known."""

import itertools
import math

import pytest
import torch
from exact_denoisers import Shared

from renote.diffusion import NoiseSource
from renote.diffusion.autoencoder import HierarchicalVAE
from renote.diffusion.decoder import BitDecoder, DensityDecoder, ValueDecoder
from renote.errors import UsageError
from renote.nets.deep import DeepHierarchy
from renote.nets.ladder import Ladder
from renote.nets.latent import Hierarchy, Level, Normal


def numbers_for(decoder, n=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 1.5 * torch.randn(n, *decoder.form, generator=generator, dtype=torch.float64)


def all_samples(shape, values):
    count = math.prod(shape)
    return torch.tensor(list(itertools.product(values, repeat=count)), dtype=torch.float64).reshape(-1, *shape)


@pytest.mark.parametrize(
    ("shape", "levels", "components"),
    [((1, 1, 1), 256, 5), ((1, 1, 2), 17, 1), ((3, 1, 1), 6, 3), ((2, 2), 4, 2), ((3,), 5, 2), ((1, 1, 1), 2, 4)],
)
def test_the_probabilities_of_all_values_sum_to_one(shape, levels, components):
    decoder = ValueDecoder(shape, components, levels)
    samples = all_samples(shape, torch.linspace(-1, 1, levels).double().tolist())
    for seed in range(3):
        numbers = numbers_for(decoder, seed=seed)
        chances = decoder.log_probability(samples, numbers.expand(len(samples), *decoder.form)).exp()
        assert float(chances.sum()) == pytest.approx(1, abs=1e-10)


def test_a_value_has_the_mass_of_its_bin():
    decoder = ValueDecoder((1, 1, 1), 1, 5)
    mean, log_scale = 0.3, -1.2
    numbers = torch.tensor([0.0, mean, log_scale], dtype=torch.float64).reshape(1, 3, 1, 1).expand(5, 3, 1, 1)
    values = torch.linspace(-1, 1, 5, dtype=torch.float64)
    edges = torch.tensor([-math.inf, -0.75, -0.25, 0.25, 0.75, math.inf], dtype=torch.float64)
    mass = torch.sigmoid((edges - mean) / math.exp(log_scale)).diff()
    found = decoder.log_probability(values.reshape(5, 1, 1, 1), numbers)
    torch.testing.assert_close(found, mass.log())
    # far out in single precision the difference of both ends would be 0
    far = torch.tensor([[0.0], [-0.9], [-6.0]]).reshape(1, 3, 1, 1)
    assert float(decoder.log_probability(torch.full((1, 1, 1, 1), 0.5), far)) == pytest.approx(
        float(decoder.log_probability(torch.full((1, 1, 1, 1), 0.5, dtype=torch.float64), far.double())), rel=1e-5
    )


def test_channels_know_the_ones_before_them():
    decoder = ValueDecoder((3, 1, 1), 1, 256)
    numbers = torch.zeros(2, 10, 1, 1, dtype=torch.float64)  # weight, means, log scales, couplings 10, 20, 21
    numbers[:, 4:7] = -3.0
    numbers[:, 7:] = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64).reshape(3, 1, 1)
    first, second = (torch.tensor([v, 0.2, -0.1], dtype=torch.float64).reshape(1, 3, 1, 1) for v in (0.4, 0.6))
    a, b, c = (math.tanh(v) for v in (2.0, -1.0, 0.5))
    for x in (first, second):
        x[...] = torch.round((x + 1) / 2 * 255) * 2 / 255 - 1
        red, green, blue = x.flatten().tolist()
        expected = 0.0
        for value, mean in ((red, 0.0), (green, a * red), (blue, b * red + c * green)):
            upper, lower = ((value + s / 255 - mean) / math.exp(-3) for s in (1, -1))
            expected += math.log(1 / (1 + math.exp(-upper)) - 1 / (1 + math.exp(-lower)))
        assert float(decoder.log_probability(x, numbers[:1])) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "decoder", [ValueDecoder((2, 1, 1), 2, 3), ValueDecoder((2,), 3, 3), BitDecoder((2, 1, 1)), BitDecoder((2,))]
)
def test_draws_are_as_often_as_they_are_probable(decoder):
    n = 20_000
    numbers = numbers_for(decoder)
    drawn = decoder.draw(numbers.expand(n, *decoder.form), Shared(n))
    values = (-1.0, 0.0, 1.0) if isinstance(decoder, ValueDecoder) else (-1.0, 1.0)
    samples = all_samples(decoder.shape, values)
    chances = decoder.log_probability(samples, numbers.expand(len(samples), *decoder.form)).exp()
    for sample, chance in zip(samples, chances.tolist()):
        share = float((drawn == sample).flatten(1).all(1).double().mean())
        assert share == pytest.approx(chance, abs=4.5 * math.sqrt(chance * (1 - chance) / n) + 1e-9)


def test_the_mean_of_a_decoder_is_that_of_its_draws():
    n = 20_000
    for decoder in (ValueDecoder((3, 1, 1), 2, 256), BitDecoder((3, 1, 1)), DensityDecoder((3, 1, 1))):
        numbers = 0.2 * numbers_for(decoder)
        if isinstance(decoder, ValueDecoder):
            numbers[:, [4, 5, 6, 14, 15, 16]] = -3.0  # within the range, so that nothing is cut off
        drawn = decoder.draw(numbers.expand(n, *decoder.form), Shared(n))
        error = 4.5 * drawn.std(0) / math.sqrt(n) + 1e-3
        assert bool(((drawn.mean(0) - decoder.mean(numbers)[0]).abs() < error).all())


def test_densities_and_bits_are_torchs():
    density, bit = DensityDecoder((2, 3)), BitDecoder((2, 3))
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    numbers = numbers_for(density, 4)
    normal = torch.distributions.Normal(numbers[:, :2], numbers[:, 2:].exp())
    torch.testing.assert_close(density.log_probability(x, numbers), normal.log_prob(x).sum((1, 2)))
    numbers = numbers_for(bit, 4)
    bits = bit.observe(x, None)
    bernoulli = torch.distributions.Bernoulli(logits=numbers)
    torch.testing.assert_close(bit.log_probability(bits, numbers), bernoulli.log_prob((bits + 1) / 2).sum((1, 2)))


def test_grey_values_are_the_chances_of_bits():
    decoder = BitDecoder((1, 1, 1), grey=True)
    grey = torch.full((50_000, 1, 1, 1), 0.2, dtype=torch.float64)
    bits = decoder.observe(
        grey, torch.rand(50_000, 1, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    )
    assert set(bits.unique().tolist()) == {-1.0, 1.0}
    assert float(bits.mean()) == pytest.approx(0.2, abs=0.02)
    # a sample of grey data is grey
    numbers = torch.full((1, 1, 1, 1), 0.3)
    torch.testing.assert_close(decoder.draw(numbers, NoiseSource([0])), torch.tanh(numbers / 2))


class LinearChain(Hierarchy):
    """z_1 ~ N(0, 1), z_2 | z_1 ~ N(a z_1, s²), x | z_2 ~ N(b z_2, t²), with q drawn from the top or from the bottom; `wrong` moves its means."""

    a, s, b, t = 0.8, 0.5, 1.3, 0.4

    def __init__(self, top_down=True, wrong=0.0):
        super().__init__([(1,), (1,)], [1, 1], top_down)
        self.wrong = wrong
        self.unused = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))

    def normal(self, mean, variance):
        return Normal(mean, torch.full_like(mean, math.log(variance) / 2))

    def conditional(self, x, slope, noise, prior_mean, prior_variance):
        """p(z | x) for x = slope z + noise, z ~ N(prior_mean, prior_variance)."""
        precision = 1 / prior_variance + slope**2 / noise
        mean = (prior_mean / prior_variance + slope * x / noise) / precision
        return self.normal(mean + self.wrong, 1 / precision)

    def infer(self, x, noise):
        a, b, s2, t2 = self.a, self.b, self.s**2, self.t**2
        first = self.start(noise[0])
        if self.top_down:
            q1 = self.conditional(x, a * b, b**2 * s2 + t2, torch.zeros_like(x), 1.0)
            z1 = q1.draw(noise[0])
            q2 = self.conditional(x, b, t2, a * z1, s2)
            z2 = q2.draw(noise[1])
        else:
            q2 = self.conditional(x, b, t2, torch.zeros_like(x), a**2 + s2)
            z2 = q2.draw(noise[1])
            q1 = self.conditional(z2, a, s2, torch.zeros_like(x), 1.0)
            z1 = q1.draw(noise[0])
        levels = [Level(first, q1, z1), Level(self.normal(a * z1, s2), q2, z2)]
        return self.numbers(z2), levels

    def numbers(self, z):
        return torch.stack([self.b * z, torch.full_like(z, math.log(self.t))], 1)

    def generate(self, noise):
        z = self.normal(self.a * noise[0], self.s**2)
        return self.numbers(z.draw(noise[1]) if len(noise) > 1 else z.mean)

    def nats(self, x):
        """-log p(x)."""
        variance = self.b**2 * (self.a**2 + self.s**2) + self.t**2
        return ((x**2 / variance + math.log(2 * math.pi * variance)) / 2).flatten(1).sum(1)


def linear(**options):
    return HierarchicalVAE(LinearChain(**options), DensityDecoder((1,)))


X = torch.tensor([[0.3], [-2.0], [1.4]], dtype=torch.float64)


@pytest.mark.parametrize("top_down", [True, False])
def test_with_the_exact_posterior_every_draw_weighs_the_likelihood(top_down):
    model = linear(top_down=top_down)
    for seed in range(3):
        noise = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        torch.testing.assert_close(-model.log_weight(X, noise), model.network.nats(X))
    torch.testing.assert_close(model.bits(X, draws=3) * math.log(2), model.network.nats(X))
    n = 40_000
    x = X[:1].expand(n, 1)
    bound = model.bound(x, Shared(n))
    error = 4 * float(bound.std()) / math.sqrt(n) + 1e-12
    assert float(bound.mean()) == pytest.approx(float(model.network.nats(X)[0]), abs=error)


@pytest.mark.parametrize("top_down", [True, False])
def test_with_another_posterior_the_bound_is_above_by_its_divergence(top_down):
    model, n, wrong = linear(top_down=top_down, wrong=0.3), 100_000, 0.3
    net = model.network
    x = X[2:].expand(n, 1)
    # KL(q || p(z | x)), level by level: each conditional's mean is off by 0.3, its variance right
    b, t2, a, s2 = net.b, net.t**2, net.a, net.s**2
    if top_down:
        precisions = 1 + (a * b) ** 2 / (b**2 * s2 + t2), 1 / s2 + b**2 / t2
    else:
        precisions = 1 / (a**2 + s2) + b**2 / t2, 1 + a**2 / s2
    gap = sum(wrong**2 * precision / 2 for precision in precisions)
    bound = model.bound(x, Shared(n))
    exact = float(net.nats(X)[2])
    assert float(bound.mean()) == pytest.approx(exact + gap, abs=4 * float(bound.std()) / math.sqrt(n))
    draws = [float(model.bits(x[:2000], draws=k).mean()) * math.log(2) for k in (1, 4, 64)]
    assert draws[0] > draws[1] > draws[2] > exact - 0.01
    assert float(model.bits(x[:100], draws=3000).mean()) * math.log(2) == pytest.approx(exact, abs=0.01)


def test_divergences_in_closed_form_are_the_mean_of_the_draws():
    model, n = linear(wrong=0.5), 100_000
    x = X[:1].expand(n, 1)
    noise = torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight = -model.log_weight(x, noise)
    closed = model.bound(x, Shared(n, seed=1))
    error = 4 * float(weight.std() + closed.std()) / math.sqrt(n)
    assert float(closed.mean()) == pytest.approx(float(weight.mean()), abs=error)
    assert [value.shape for value in model.divergences(X)] == [(3, 1), (3, 1)]


def test_samples_have_the_models_variance_and_states_go_down_the_levels():
    model = linear().double()
    first, last = model.states(20_000)
    variance = 1.3**2 * (0.8**2 + 0.5**2) + 0.4**2
    assert float(last.noisy.var()) == pytest.approx(variance, rel=0.05)
    # after the first group the rest is at its mean
    assert float(first.noisy.var()) == pytest.approx((1.3 * 0.8) ** 2, rel=0.05)
    assert (first.t, first.s, last.t, last.s) == (1.0, 0.5, 0.5, 0.0)
    *_, cold = model.states(20_000, temperature=0.0)
    assert float(cold.noisy.var()) == pytest.approx(0.4**2, rel=0.05)
    assert not cold.estimate.any()


def small(kind, shape=(1, 5, 6), **options):
    torch.manual_seed(0)
    decoder = ValueDecoder(shape, 2, 17)
    if kind == "deep":
        network = DeepHierarchy(shape, decoder.form[0], (1, 2), 2, channels=4, multipliers=(1, 2), cells=1, expansion=2)
    else:
        network = Ladder(math.prod(shape), math.prod(decoder.form), (4, 3), (9, 8), ladder=kind == "ladder")
    model = HierarchicalVAE(network, decoder, **options)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def values(n, shape=(1, 5, 6), levels=17):
    drawn = torch.randint(0, levels, (n, *shape), generator=torch.Generator().manual_seed(0))
    return drawn * (2 / (levels - 1)) - 1


@pytest.mark.parametrize("kind", ["deep", "ladder", "plain"])
def test_samples_and_bits_depend_on_their_own_seed_only(kind):
    model = small(kind)
    *_, few = model.states(2, seed=5)
    *_, many = model.states(6, seed=3)
    torch.testing.assert_close(few.noisy, many.noisy[2:4])
    clean = values(6)
    for draws in (1, 3):
        found = model.bits(clean, 3, draws=draws)
        torch.testing.assert_close(found[2:4], model.bits(clean[2:4], 5, draws=draws), rtol=1e-5, atol=1e-5)
    assert model.training
    torch.testing.assert_close((8 * many.noisy).round() / 8, many.noisy)  # of the 17 values


@pytest.mark.parametrize("kind", ["deep", "ladder", "plain"])
def test_a_loss_is_the_mean_of_the_bound(kind):
    model = small(kind).eval()
    clean = values(5).repeat(800, 1, 1, 1)
    loss = model(model.draw(clean, None, torch.Generator().manual_seed(0)))
    assert float(loss) == pytest.approx(float(model.bits(clean).mean()), rel=0.01)


def test_the_weight_of_the_divergences_warms_up():
    model = small("ladder", warmup_steps=4).eval()
    batch = model.draw(values(6), None, torch.Generator().manual_seed(0))
    assert model.warmth(torch.tensor([0, 1, 2, 3, 4, 900])).tolist() == [0.25, 0.5, 0.75, 1, 1, 1]
    losses = [float(model({**batch, "step": torch.full((6,), step)})) for step in (0, 1, 3, 50)]
    cost = (losses[2] - losses[0]) / 0.75  # of the divergences
    assert cost > 0
    assert losses[1] == pytest.approx(losses[0] + 0.25 * cost, rel=1e-5)
    assert losses[2] == losses[3] == pytest.approx(float(model(batch)), rel=1e-6)
    assert small("ladder").warmth(torch.tensor([0])).tolist() == [1.0]


def test_balanced_divergences_weigh_by_their_size_while_warming_up():
    model = small("deep", warmup_steps=10, balance=True).eval()
    plain = small("deep", warmup_steps=10).eval()
    batch = model.draw(values(6), None, torch.Generator().manual_seed(0))
    batch["step"] = torch.full((6,), 4)
    numbers, levels = model._infer(batch["clean"], batch["noise"])
    terms = torch.stack([model._term(level) for level in levels], 1).detach()
    # places of a level over the levels of its group: 2 · 3 · 3 / 1, and 2 · 5 · 6 / 2 twice
    gamma = (terms.mean(0) + 0.01) / torch.tensor([18.0, 30.0, 30.0])
    gamma = gamma / gamma.mean()
    expected = (0.5 * (terms * gamma).sum(1) - numbers).mean() / (30 * math.log(2))
    assert float(model(batch)) == pytest.approx(float(expected), rel=1e-5)
    batch["step"] = torch.full((6,), 9)
    assert float(model(batch)) == pytest.approx(float(plain(batch)), rel=1e-6)


def test_a_penalty_is_added_in_nats():
    model, free = small("deep", smoothness=0.5).eval(), small("deep").eval()
    batch = model.draw(values(6), None, torch.Generator().manual_seed(0))
    extra = 0.5 * float(model.network.penalty(3)) / (30 * math.log(2))
    assert float(model({**batch, "step": torch.full((6,), 3)}) - free(batch)) == pytest.approx(extra, rel=1e-4)


def test_what_cannot_be_is_refused():
    for call, message in (
        (lambda: small("ladder", warmup_steps=-1), "warmup_steps = -1"),
        (lambda: small("ladder", smoothness=-1.0), "smoothness = -1"),
        (lambda: small("ladder").bits(values(2), draws=0), "draws = 0"),
        (lambda: small("ladder").bits(values(2, levels=12)), "17 equally spaced"),
        (lambda: small("ladder").draw(values(2, levels=12), None, torch.Generator()), "17 equally spaced"),
        (lambda: small("ladder").draw(values(2, (1, 5, 5)), None, torch.Generator()), r"\(n, 1, 5, 6\)"),
        (lambda: small("ladder").states(2, temperature=-1.0), "temperature = -1"),
        (lambda: small("ladder").states(2, label=1), "without classes"),
        (lambda: small("ladder").states(2, steps=5), "leave it out"),
        (lambda: small("ladder").states(0), "at least one sample"),
        (lambda: BitDecoder((2,)).check(torch.tensor([[1.5, 0.0]])), "1.5"),
        (lambda: ValueDecoder((2,), 0), "components = 0"),
        (lambda: ValueDecoder((2,), 1, 1), "levels = 1"),
    ):
        with pytest.raises(UsageError, match=message):
            call()
