"""The categorical process against enumeration with explicit matrices, and the reverse loop with the exact denoiser."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from renote.diffusion import NoiseSource
from renote.diffusion.grid import uniform
from renote.diffusion.process import (
    Absorbing,
    BinomialProcess,
    CategoricalProcess,
    Jumps,
    Parts,
    Uniform,
    gaussian_jumps,
    nearest_jumps,
)
from renote.diffusion.process.categorical import KEPT
from renote.diffusion.process.transition import draw_and_rest
from renote.diffusion.sampler.loop import walk
from renote.errors import UsageError

FAMILIES = {
    "uniform": Uniform,
    "absorbing": Absorbing,
    "gaussian": lambda k: gaussian_jumps(k, 0.3),
    "nearest": nearest_jumps,
    "reach 2": lambda k: nearest_jumps(k, 2),
    "reach 3": lambda k: nearest_jumps(k, 3),
    "own": lambda k: Jumps(_symmetric(k)),
    "weighted": lambda k: Jumps(_symmetric(k) / _weights(k)[:, None], _weights(k)),
    "birth-death": lambda k: Jumps(_birth_death(k), _weights(k)),
}
UNIFORM_PRIOR = ["uniform", "gaussian", "nearest", "reach 2", "reach 3", "own"]


def _symmetric(k):
    rates = torch.rand(k, k, generator=torch.Generator().manual_seed(k), dtype=torch.float64) + 0.1
    return rates + rates.mT


def _weights(k):
    return torch.rand(k, generator=torch.Generator().manual_seed(k), dtype=torch.float64) + 0.2


def _birth_death(k):
    """Up by one at rates that rise; down at those that balance with the weights."""
    rates, weights = torch.zeros(k, k, dtype=torch.float64), _weights(k)
    for i in range(k - 1):
        rates[i, i + 1] = 1.0 + i
        rates[i + 1, i] = rates[i, i + 1] * weights[i] / weights[i + 1]
    return rates


def generator(family, k):
    """The rates as a matrix whose exponential is Q(e^-τ)."""
    eye = torch.eye(k, dtype=torch.float64)
    if family == "uniform":
        return torch.full((k, k), 1 / k, dtype=torch.float64) - eye
    if family == "absorbing":
        out = torch.zeros(k + 1, k + 1, dtype=torch.float64)
        out[:k, k], out[:k, :k] = 1.0, -eye
        return out
    place = torch.arange(k, dtype=torch.float64)
    apart = (place[:, None] - place).abs()
    rates = {
        "gaussian": torch.exp(-((apart / (0.3 * (k - 1))) ** 2) / 2),
        "nearest": (apart <= 1).double(),
        "reach 2": (apart <= 2).double(),
        "reach 3": (apart <= 3).double(),
        "own": _symmetric(k),
        "weighted": _symmetric(k) / _weights(k)[:, None],
        "birth-death": _birth_death(k),
    }[family] * (1 - eye)
    rates = rates - rates.sum(1).diag()
    return rates / -torch.linalg.eigvals(rates).real.sort().values[-2]


def explicit(family, k, kept):
    """Q(a) as a matrix, from the rates alone."""
    return torch.linalg.matrix_exp(-math.log(kept) * generator(family, k))


def rows(transition, kept):
    """Q(a) from `seen`, column by column."""
    states = torch.arange(transition.states)[None]
    return transition.seen(states, torch.tensor([kept], dtype=torch.float64), torch.float64)[0].mT


def even_normals(n):
    return torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("k", [2, 3, 7])
def test_the_matrices_are_exponentials_of_their_rates(family, k):
    transition = FAMILIES[family](k)
    for kept in (1.0, 0.9, 0.3, 1e-3):
        matrix = explicit(family, k, kept)
        torch.testing.assert_close(rows(transition, kept), matrix, rtol=0, atol=1e-12)
        chances = torch.rand(1, 5, k, dtype=torch.float64)
        found = transition.spread(chances, torch.tensor([kept], dtype=torch.float64))
        torch.testing.assert_close(found, chances @ matrix[:k], rtol=0, atol=1e-12)


@given(
    family=st.sampled_from(list(FAMILIES)),
    k=st.integers(2, 9),
    a=st.floats(0, 1),
    b=st.floats(0, 1),
)
def test_a_semigroup_whose_rows_are_chances(family, k, a, b):
    transition = FAMILIES[family](k)
    both, first, second = (rows(transition, kept) for kept in (a * b, a, b))
    torch.testing.assert_close(first @ second, both, rtol=0, atol=1e-10)
    torch.testing.assert_close(first.sum(1), torch.ones(transition.states, dtype=torch.float64), rtol=0, atol=1e-10)
    assert float(first.min()) >= 0


@given(
    family=st.sampled_from(list(FAMILIES)),
    k=st.integers(2, 9),
    kept=st.floats(0, 1),
    state=st.integers(0, 8),
    level=st.floats(0, 1),
)
def test_draws_are_the_inverse_of_the_distribution_function(family, k, kept, state, level):
    transition, state = FAMILIES[family](k), min(state, k - 1)
    drawn = transition.drawn(torch.tensor([[state]]), torch.tensor([kept]).double(), torch.tensor([[level]]).double())
    chances = rows(transition, kept)[state]
    j, above = int(drawn), chances.cumsum(0)
    assert 0 <= j < transition.states
    assert above[j] >= level - 1e-9
    assert j == 0 or above[j - 1] <= level + 1e-9
    assert chances[j] > 0 or level in (0.0, 1.0) or min(abs(above - level)) < 1e-9


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("schedule", KEPT)
def test_marginals_of_the_chain_of_steps(family, schedule):
    """T = 4 steps as a product of matrices, and as draws."""
    k, steps, noise = 3, 4, even_normals(30_000)[:, None]
    process = CategoricalProcess(FAMILIES[family](k), schedule)
    kept = [float(process.kept(torch.tensor([i / steps]).double())) for i in range(steps + 1)]
    product = torch.eye(process.transition.states, dtype=torch.float64)
    for i in range(1, steps + 1):
        product = product @ rows(process.transition, kept[i] / kept[i - 1])
        for clean in range(k):
            drawn = process.corrupt(
                torch.full(noise.shape, clean), torch.full((len(noise),), i / steps).double(), noise
            )
            share = torch.bincount(drawn.flatten(), minlength=process.transition.states) / len(noise)
            torch.testing.assert_close(share.double(), product[clean], rtol=0, atol=1e-4)
    torch.testing.assert_close(product[:k], product[:1].expand(k, -1), rtol=0, atol=1e-12)
    prior = process.prior((1,), Repeated(noise))
    share = torch.bincount(prior.flatten(), minlength=process.transition.states) / len(noise)
    torch.testing.assert_close(share.double(), product[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", ["weighted", "birth-death"])
def test_the_prior_of_rates_that_balance_is_their_own(family):
    transition = FAMILIES[family](6)
    weights = _weights(6) / _weights(6).sum()
    torch.testing.assert_close(rows(transition, 0.0), weights.expand(6, 6), rtol=0, atol=1e-12)
    drawn = transition.prior((torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000)
    torch.testing.assert_close(torch.bincount(drawn).double() / 100_000, weights, rtol=0, atol=2e-5)
    matrix = rows(transition, 0.4)
    torch.testing.assert_close(weights[:, None] * matrix, (weights[:, None] * matrix).mT, rtol=0, atol=1e-14)


def test_jumps_to_the_next_category_need_no_decomposition(monkeypatch):
    """The cosine basis gives the same matrices as the decomposition of the same rates."""
    rates = torch.diag(torch.ones(39, dtype=torch.float64), 1)
    rates = rates + rates.mT
    nudged = rates.clone()
    nudged[0, 1] = nudged[1, 0] = 1 + 1e-13  # no band of one number any more
    kept = torch.tensor([1.0, 0.9, 0.1, 0.0], dtype=torch.float64)
    decomposed = Jumps(nudged).matrix(kept)
    monkeypatch.setattr(torch.linalg, "eigh", None)
    for jumps in (nearest_jumps(40), Jumps(rates), Jumps(2.5 * rates)):
        torch.testing.assert_close(jumps.matrix(kept), decomposed, rtol=0, atol=1e-10)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_time_for_all_is_that_time_for_each(family):
    k, n = 5, 6
    process = CategoricalProcess(FAMILIES[family](k), "cosine")
    random = torch.Generator().manual_seed(0)
    clean = torch.randint(k, (n, 2, 3), generator=random)
    noise = torch.randn(n, 2, 3, generator=random, dtype=torch.float64)
    estimate = torch.rand(n, 2, 3, k, generator=random, dtype=torch.float64)
    one, each = torch.tensor([0.7]), torch.full((n,), 0.7)
    noisy = process.corrupt(clean, one, noise)
    assert torch.equal(noisy, process.corrupt(clean, each, noise))
    assert torch.equal(process.likelihood(noisy, one), process.likelihood(noisy, each))
    found = process.posterior(noisy, estimate, one, one / 2)
    torch.testing.assert_close(found, process.posterior(noisy, estimate, each, each / 2), rtol=0, atol=1e-14)
    # samples at times of their own, some of them alike, are as each alone
    t = torch.tensor([0.9, 0.3, 0.9, 0.5, 0.3, 0.9])
    together = process.posterior(noisy, estimate, t, t / 2)
    for i in range(n):
        alone = process.posterior(noisy[i : i + 1], estimate[i : i + 1], t[i : i + 1], t[i : i + 1] / 2)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-14)


class Counted(Jumps):
    """Jumps that count the matrices they make."""

    made = 0

    def matrix(self, kept):
        self.made += len(kept)
        return super().matrix(kept)


def test_a_matrix_is_made_once_for_each_time():
    k, n = 5, 7
    process = CategoricalProcess(Counted(_symmetric(k)), "cosine")
    noise = torch.randn(n, 4)
    noisy, estimate = torch.randint(k, (n, 4)), torch.rand(n, 4, k)
    process.reverse(noisy, estimate, 0.7, 0.6, noise)
    assert process.transition.made == 3  # of t, s and between
    process.reverse(noisy, estimate, 0.6, 0.5, noise)
    assert process.transition.made == 5  # that of s has become that of t
    t = torch.full((n,), 0.8)
    process.likelihood(noisy, t)
    process.posterior(noisy, estimate, t, t / 2)
    process.posterior(noisy, estimate, t, t / 2)
    assert process.transition.made == 8


class Repeated:
    """A source that gives the same numbers each time."""

    def __init__(self, noise):
        self.noise = noise

    def normal(self, shape, out=None):
        return self.noise


def test_the_linear_schedule_is_that_of_mutual_information():
    process = CategoricalProcess(Absorbing(4))
    kept = process.kept(torch.arange(11).double() / 10)
    betas = 1 - kept[1:] / kept[:-1]
    torch.testing.assert_close(betas, 1 / (10 - torch.arange(1, 11).double() + 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("t", "s"), [(4, 3), (3, 1), (2, 0), (4, 0), (1, 0)])
def test_the_posterior_is_that_of_all_paths(family, t, s):
    k, steps = 3, 4
    process = CategoricalProcess(FAMILIES[family](k), "cosine")
    kept = process.kept(torch.arange(steps + 1).double() / steps).tolist()
    states = process.transition.states
    joint = torch.zeros(k, states, states, dtype=torch.float64)  # x_0, x_s, x_t
    single = [rows(process.transition, kept[i + 1] / kept[i]) for i in range(steps)]
    for path in itertools.product(range(k), *[range(states)] * t):
        joint[path[0], path[s], path[t]] += math.prod(float(single[i][path[i], path[i + 1]]) for i in range(t))
    estimate = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    for x_t in range(states):
        weight = joint[:, :, x_t].sum(1)
        allowed = torch.where(weight > 1e-14, estimate, 0.0)
        if float(allowed.sum()) == 0:
            continue
        conditional = joint[:, :, x_t] / weight.clamp(min=1e-300)[:, None]
        expected = (allowed[:, None] * torch.where(weight[:, None] > 1e-14, conditional, 0.0)).sum(0) / allowed.sum()
        times = (torch.tensor([i / steps], dtype=torch.float64) for i in (t, s))
        found = process.posterior(torch.tensor([[x_t]]), estimate.expand(1, 1, k), *times)
        torch.testing.assert_close(found[0, 0], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("t", "s", "dtype"), [(0.9, 0.6, torch.float64), (0.5, 0.01, torch.float32), (0.4, 0.0, torch.float64)]
)
def test_a_reverse_step_draws_from_the_posterior(family, t, s, dtype):
    """Each level of a fine grid once: what is drawn is the posterior, to the grid's width, of dense families by way of a clean category."""
    k, count = 4, 20_000
    process = CategoricalProcess(FAMILIES[family](k), "cosine")
    estimate = torch.tensor([0.2, 0.4, 0.1, 0.3], dtype=dtype)
    noise = -torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)[:, None]
    for state in range(process.transition.states):
        noisy = torch.full((count, 1), state)
        found = process.reverse(noisy, estimate.expand(count, 1, k), t, s, noise)
        shares = torch.bincount(found[:, 0], minlength=process.transition.states).double() / count
        times = (torch.tensor([time], dtype=torch.float64) for time in (t, s))
        chances = process.posterior(noisy[:1], estimate.double().expand(1, 1, k), *times)[0, 0]
        # each of k clean categories ends its own part of the grid
        torch.testing.assert_close(shares, chances, rtol=0, atol=2 * k / count)


def test_a_row_of_a_matrix_is_what_its_category_reaches():
    kept = torch.tensor([0.3, 0.8], dtype=torch.float64)
    clean = torch.tensor([[0, 1, 2], [2, 2, 0]])
    for family in FAMILIES.values():
        transition = family(3)
        exact = transition.spread(functional.one_hot(clean, 3).double(), kept)
        torch.testing.assert_close(transition.reached(clean, kept, torch.float64), exact, rtol=0, atol=1e-14)


def test_what_a_small_level_still_tells_is_told_in_double_precision():
    chances = torch.tensor([0.25, 1e-6, 0.75 - 1e-6])
    told, exact = torch.linspace(0.1, 0.9, 9, dtype=torch.float64), chances.double()
    level = (exact[0] + exact[1] * told) / exact.sum()
    category, rest = draw_and_rest(chances.expand(9, 3), level)
    assert category.tolist() == [1] * 9
    torch.testing.assert_close(rest, told, rtol=0, atol=1e-6)


def test_what_is_all_kept_is_exactly_so():
    for jumps in (gaussian_jumps(256), nearest_jumps(200), FAMILIES["weighted"](7)):
        matrices = jumps.matrix(torch.tensor([1.0, 0.5], dtype=torch.float64))
        assert torch.equal(matrices[0], torch.eye(jumps.categories, dtype=torch.float64))
        assert not torch.equal(matrices[1], matrices[0])


def test_a_clean_category_that_rounding_alone_allows_leaves_the_state(monkeypatch):
    process = CategoricalProcess(nearest_jumps(5), "cosine")
    monkeypatch.setattr(
        process.transition, "reached", lambda clean, kept, dtype: torch.zeros(*clean.shape, 5, dtype=dtype)
    )
    for noise in (-3.0, 0.0, 3.0):
        found = process.reverse(torch.tensor([[3]]), torch.full((1, 1, 5), 0.2), 0.5, 0.25, torch.full((1, 1), noise))
        assert found.tolist() == [[3]]


def test_a_reverse_step_of_jumps_sums_over_no_category(monkeypatch):
    """O(K) a site: `spread`, K², is for bounds and losses."""

    def refused(*_):
        raise AssertionError("a sum over all clean categories")

    monkeypatch.setattr(Jumps, "spread", refused)
    process = CategoricalProcess(nearest_jumps(5), "cosine")
    noise, noisy = torch.randn(6, 3), torch.randint(5, (6, 3))
    process.reverse(noisy, torch.rand(6, 3, 5), 0.5, 0.25, noise)
    parts = CategoricalProcess(Parts([(2, nearest_jumps(5)), (1, Uniform(2))]), "cosine")
    noisy[:, 2] = torch.randint(2, (6,))
    parts.reverse(noisy, torch.rand(6, 3, 6), 0.5, 0.25, noise)
    with pytest.raises(AssertionError):
        process.posterior(noisy, torch.rand(6, 3, 5), torch.tensor([0.5]), torch.tensor([0.25]))


class Shown(Uniform):
    """A dense family that gives views of one table."""

    dense = True

    def reached(self, clean, kept, dtype):
        return super().reached(clean[:1, :1], kept, dtype).expand(*clean.shape, self.states)


def test_what_a_family_of_ones_own_returns_is_left_as_it_is():
    process = CategoricalProcess(Shown(4))
    found = process.reverse(torch.zeros(3, 2, dtype=torch.long), torch.rand(3, 2, 4), 0.5, 0.25, torch.randn(3, 2))
    assert found.shape == (3, 2)


def test_a_network_that_diverged_is_named():
    for transition in (Uniform(4), nearest_jumps(4)):
        process = CategoricalProcess(transition)
        nothing = torch.full((1, 2, 4), torch.nan)
        with pytest.raises(UsageError, match="not a number: the network's weights have diverged"):
            process.reverse(torch.zeros(1, 2, dtype=torch.long), nothing, 0.5, 0.25, torch.zeros(1, 2))


def test_two_categories_of_the_uniform_family_are_bits():
    bits, categories = BinomialProcess(), CategoricalProcess(Uniform(2))
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(50, 6, generator=random, dtype=torch.float64)
    clean, chance = torch.randint(2, (50, 6), generator=random), torch.rand(50, 6, generator=random).double()
    t, s = torch.rand(50, generator=random).double().clamp(0.5, 1), torch.rand(50, generator=random).double() / 2
    noisy = categories.corrupt(clean, t, noise)
    assert torch.equal(noisy, bits.corrupt(clean.double(), t, noise).long())
    estimate = torch.stack([1 - chance, chance], -1)
    one, zero = bits.posterior(noisy.double(), chance, t, s)
    torch.testing.assert_close(
        categories.posterior(noisy, estimate, t, s), torch.stack([zero, one], -1), rtol=0, atol=1e-12
    )
    drawn = categories.reverse(noisy, estimate, t, s, noise)
    assert torch.equal(drawn, bits.reverse(noisy.double(), chance, t, s, noise).long())
    assert torch.equal(categories.prior((6,), Repeated(noise)), bits.prior((6,), Repeated(noise)).long())


class Exact:
    """P(x_0 = c | x_t) of each of two sites, from the whole distribution of pairs."""

    def __init__(self, process, table):
        self.process, self.table = process, table

    def __call__(self, noisy, t, condition=None):
        likelihood = self.process.likelihood(noisy, t, torch.float64)
        joint = self.table * likelihood[:, 0, :, None] * likelihood[:, 1, None, :]
        joint = joint / joint.sum((1, 2), keepdim=True)
        return torch.stack([joint.sum(2), joint.sum(1)], 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loop_with_the_exact_denoiser_gives_the_datas_distribution(family):
    """Pairs of categories by the one ancestral loop: chi-square over all pairs, 8 degrees of freedom."""
    n, k = 20_000, 3
    process = CategoricalProcess(FAMILIES[family](k), "linear" if family == "absorbing" else "cosine")
    table = torch.tensor([[0.3, 0.02, 0.08], [0.05, 0.2, 0.05], [0.1, 0.05, 0.15]], dtype=torch.float64)
    noise = NoiseSource(range(n), dtype=torch.float64)
    *_, last = walk(
        Exact(process, table),
        process.prior((2,), noise),
        uniform(100),
        None,
        lambda noisy, estimate, t, s: process.reverse(noisy, estimate, t, s, noise.normal((2,))),
    )
    pair = last.noisy[:, 0] * k + last.noisy[:, 1]
    counts = torch.bincount(pair, minlength=k * k).double()
    expected = table.flatten() * n
    # sites are drawn apart in a step, which a hundred steps make small but not nothing
    assert float(((counts - expected) ** 2 / expected).sum()) < 26.1  # the 0.1 % point


def test_many_categories_need_no_matrix():
    k = 50_000
    for family in (Uniform(k), Absorbing(k)):
        process = CategoricalProcess(family)
        noise = NoiseSource(range(2))
        clean = torch.tensor([[0, 1, k - 1]]).expand(2, 3)
        noisy = process.corrupt(clean, torch.full((2,), 0.5), noise.normal((3,)))
        estimate = torch.nn.functional.one_hot(clean, k).float() * 0.9 + 0.1 / k
        chances = process.posterior(noisy, estimate, torch.full((2,), 0.5), torch.full((2,), 0.4))
        torch.testing.assert_close(chances.sum(-1), torch.ones(2, 3))
        # whoever is sure of the data has it at t = 0
        sure = torch.nn.functional.one_hot(clean, k).float()
        assert torch.equal(process.reverse(noisy, sure, 0.5, 0.0, noise.normal((3,))), clean)


def test_samples_depend_on_their_own_noise_only():
    process = CategoricalProcess(Uniform(5))
    noise, clean = torch.randn(6, 4), torch.randint(5, (6, 4))
    t = torch.linspace(0.1, 1, 6)
    whole = process.corrupt(clean, t, noise)
    assert torch.equal(whole[2:4], process.corrupt(clean[2:4], t[2:4], noise[2:4]))


def test_what_is_wrong_is_named():
    process, noise = CategoricalProcess(Absorbing(4)), torch.zeros(1, 3)
    t = torch.tensor([0.5])
    with pytest.raises(UsageError, match=r"category 4 at \[0, 1\]: categories are numbered 0 to 3"):
        process.corrupt(torch.tensor([[0, 4, 1]]), t, noise)
    with pytest.raises(UsageError, match="category -1"):
        process.corrupt(torch.tensor([[0, -1, 1]]), t, noise)
    with pytest.raises(UsageError, match="torch.float32"):
        process.corrupt(torch.zeros(1, 3), t, noise)
    noisy = torch.tensor([[0, 4, 1]])
    with pytest.raises(UsageError, match="one chance for each of 4"):
        process.posterior(noisy, torch.ones(1, 3, 5), t, t / 2)
    with pytest.raises(UsageError, match="allows"):
        process.posterior(noisy, torch.tensor([[[0, 1.0, 0, 0]] * 3]), t, t / 2)
    with pytest.raises(UsageError, match="noise"):
        process.reverse(noisy, torch.ones(1, 3, 4) / 4, 0.5, 0.2)
    with pytest.raises(UsageError, match="s < t"):
        process.reverse(noisy, torch.ones(1, 3, 4) / 4, 0.5, 0.5, noise)
    bad = [(torch.tensor([[0, 1, 7]]), 7), (torch.tensor([[0, -1, 2]]), -1)]
    for family, state in [*itertools.product(FAMILIES, bad), ("uniform", (torch.tensor([[0, 4, 1]]), 4))]:
        of, (noisy, number) = CategoricalProcess(FAMILIES[family](4)), state
        for call in (
            lambda of=of, noisy=noisy: of.reverse(noisy, torch.ones(1, 3, 4) / 4, 0.5, 0.2, noise),
            lambda of=of, noisy=noisy: of.posterior(noisy, torch.ones(1, 3, 4) / 4, t, t / 2),
            lambda of=of, noisy=noisy: of.likelihood(noisy, t),
        ):
            with pytest.raises(UsageError, match=f"category {number} at .* numbered 0 to 3"):
                call()
    for time in (1.5, -0.5, math.nan):
        wrong, clean = torch.tensor([time]), torch.tensor([[0, 1, 2]])
        for call in (
            lambda wrong=wrong, clean=clean: process.corrupt(clean, wrong, noise),
            lambda wrong=wrong, clean=clean: process.posterior(clean, torch.ones(1, 3, 4) / 4, wrong, t / 2),
            lambda wrong=wrong, clean=clean: process.posterior(clean, torch.ones(1, 3, 4) / 4, t, wrong),
            lambda wrong=wrong, clean=clean: process.likelihood(clean, wrong),
        ):
            with pytest.raises(UsageError, match="strength = .*between 0"):
                call()
    for make, message in [
        (lambda: Uniform(1), "at least 2"),
        (lambda: CategoricalProcess(Uniform(3), "linaer"), "linear"),
        (lambda: CategoricalProcess(Uniform(3), lambda t: 1 - t / 2), "falls from 1 to 0"),
        (lambda: gaussian_jumps(4, 0.0), "positive"),
        (lambda: gaussian_jumps(1), "categories = 1: at least 2"),
        (lambda: nearest_jumps(-3), "categories = -3: at least 2"),
        (lambda: nearest_jumps(4, 0), "next category"),
        (lambda: Jumps(torch.ones(2, 3)), r"\(2, 3\)"),
        (lambda: Jumps(torch.tensor([[0.0, 1.0], [2.0, 0.0]])), "from j to i"),
        (lambda: Jumps(torch.tensor([[0.0, 1.0], [2.0, 0.0]]), torch.ones(2)), "π_i R_ij = π_j R_ji"),
        (lambda: Jumps(1e-9 * torch.tensor([[0.0, 1.0], [2.0, 0.0]])), "from j to i"),
        (lambda: Jumps(torch.ones(2, 2), torch.tensor([1.0, 0.0])), "positive, finite number for each of 2"),
        (lambda: Jumps(-torch.ones(2, 2)), "not negative"),
        (lambda: Jumps(torch.block_diag(torch.ones(2, 2), torch.ones(2, 2))), "out of reach"),
    ]:
        with pytest.raises(UsageError, match=message):
            make()
