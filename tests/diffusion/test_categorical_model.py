"""The categorical model's bound against the sum over all paths, its objective, its samples, its networks."""

import itertools
import math

import pytest
import torch

from renote import nets
from renote.diffusion import CategoricalDenoiser, CategoricalModel
from renote.diffusion.process import Absorbing, CategoricalProcess, Jumps, Uniform, gaussian_jumps, nearest_jumps
from renote.errors import UsageError

FAMILIES = {
    "uniform": Uniform,
    "absorbing": Absorbing,
    "gaussian": lambda k: gaussian_jumps(k, 0.3),
    "nearest": nearest_jumps,
    "reach 2": lambda k: nearest_jumps(k, 2),
    "reach 3": lambda k: nearest_jumps(k, 3),
    "weighted": lambda k: Jumps(torch.ones(k, k) / torch.arange(1.0, k + 1)[:, None], torch.arange(1.0, k + 1)),
}


class Table(torch.nn.Module):
    """Arbitrary logits: a table over states of both sites, times and categories."""

    def __init__(self, states, categories, steps):
        super().__init__()
        random = torch.Generator().manual_seed(0)
        shape = (steps + 1, states, states, 2, categories)
        self.values = torch.nn.Parameter(torch.randn(shape, generator=random, dtype=torch.float64))
        self.steps = steps

    def forward(self, x, time, label=None):
        return self.values[(time * self.steps / 1000).round().long(), x[:, 0], x[:, 1]]


class Pairs(torch.nn.Module):
    """Logits for which the estimate is P(x_0 | x_t) of each site, for pairs of a given distribution."""

    def __init__(self, process, table):
        super().__init__()
        self.process, self.table = process, torch.nn.Parameter(table)

    def forward(self, x, time, label=None):
        likelihood = self.process.likelihood(x, time / 1000, torch.float64)
        first = self.table @ likelihood[:, 1, :, None]  # Σ_d P(c, d) q(x_t | d), without this site's own likelihood
        second = self.table.mT @ likelihood[:, 0, :, None]
        return torch.stack([first, second], 1)[..., 0].log()


def small(family, k=3, steps=3, schedule="cosine"):
    process = CategoricalProcess(FAMILIES[family](k), schedule)
    network = Table(process.transition.states, k, steps)
    return CategoricalModel(CategoricalDenoiser(network, process), (2,), steps)


def enumerated_terms(model, clean):
    """Σ_k Σ_{x_k} q(x_k | x_0) KL_k, with the model's own terms."""
    process, steps, total = model.process, model.num_train_steps, 0.0
    pairs = torch.tensor(list(itertools.product(range(process.transition.states), repeat=2)))
    for k in range(1, steps + 1):
        matrix = _matrix(process, process.kept(torch.tensor([k / steps], dtype=torch.float64)))
        weight = matrix[clean[0], pairs[:, 0]] * matrix[clean[1], pairs[:, 1]]
        possible = weight > 0
        some, weight = pairs[possible], weight[possible]
        terms, _ = model.terms(clean.expand(len(some), 2), some, torch.full((len(some),), k), torch.float64)
        total += float((weight * terms).sum())
    return total


def _matrix(process, kept):
    states = torch.arange(process.transition.states)[None]
    return process.transition.seen(states, kept, torch.float64)[0].mT


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_the_bound_is_that_of_all_paths(family):
    """E_q [log q(x_1 … x_T | x_0) - log p(x_0 … x_T)] over all paths of two sites, for an arbitrary network."""
    model = small(family)
    process, steps, clean = model.process, model.num_train_steps, torch.tensor([0, 2])
    states = process.transition.states
    kept = process.kept(torch.arange(steps + 1).double() / steps)
    forward = [_matrix(process, kept[k : k + 1] / kept[k - 1 : k]) for k in range(1, steps + 1)]
    every = torch.tensor(list(itertools.product(range(states), repeat=2)))
    reverse = []  # [x_k, x_{k-1}] over pairs, by the definition of p(x_{k-1} | x_k)
    for k in range(1, steps + 1):
        t, s = torch.tensor([k / steps], dtype=torch.float64), torch.tensor([(k - 1) / steps], dtype=torch.float64)
        estimate = model.denoiser(every, t.expand(len(every)))
        step, over, total = forward[k - 1], _matrix(process, process.kept(s)), _matrix(process, process.kept(t))
        row = []
        for x, chance in zip(every, estimate):
            site = []
            for i in range(2):
                ratio = torch.where(
                    total[: process.categories, x[i]] > 0, chance[i] / total[: process.categories, x[i]], 0
                )
                site.append(step[:, x[i]] * (ratio @ over[: process.categories]))
            row.append(torch.outer(*site).flatten())
        reverse.append(torch.stack(row))
    bound = 0.0
    prior = _matrix(process, torch.zeros(1).double())[0]
    for path in itertools.product(range(len(every)), repeat=steps):
        pairs = [clean, *(every[i] for i in path)]
        log_q, q = 0.0, 1.0
        for k in range(steps):
            chance = math.prod(float(forward[k][pairs[k][i], pairs[k + 1][i]]) for i in range(2))
            q *= chance
        if q < 1e-14:
            continue
        log_q = math.log(q)
        log_p = sum(math.log(float(prior[j])) for j in pairs[-1])
        numbers = [int(clean[0]) * states + int(clean[1]), *path]
        log_p += sum(math.log(float(reverse[k][numbers[k + 1], numbers[k]])) for k in range(steps))
        bound += q * (log_q - log_p)
    assert enumerated_terms(model, clean) == pytest.approx(bound, abs=1e-9)


TABLE = torch.tensor([[0.3, 0.02, 0.08], [0.05, 0.2, 0.05], [0.1, 0.05, 0.15]], dtype=torch.float64)


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_the_bound_with_the_exact_denoiser(family):
    """Independent sites: tight, as the reverse step is exact. Others: above the entropy, and the nearer the more steps."""

    def bound(table, steps):
        process = CategoricalProcess(FAMILIES[family](3), "linear" if family == "absorbing" else "cosine")
        model = CategoricalModel(CategoricalDenoiser(Pairs(process, table), process), (2,), steps)
        pairs = itertools.product(range(3), repeat=2)
        return sum(float(table[pair]) * enumerated_terms(model, torch.tensor(pair)) for pair in pairs)

    def entropy(table):
        return -float((table * table.log()).sum())

    apart = torch.outer(TABLE.sum(1), TABLE.sum(0))
    assert bound(apart, 3) == pytest.approx(entropy(apart), abs=1e-6)
    gaps = [bound(TABLE, steps) - entropy(TABLE) for steps in (2, 8, 32)]
    assert gaps[0] > gaps[1] > gaps[2] > 0
    assert gaps[2] < 0.02


@pytest.mark.parametrize("family", FAMILIES)
def test_a_loss_is_the_mean_of_the_bound(family):
    model = small(family, steps=5)
    few = torch.randint(3, (4, 2), generator=torch.Generator().manual_seed(0))
    clean = model.values_of(few).repeat(2000, 1)
    with torch.no_grad():
        exact = sum(enumerated_terms(model, pair) for pair in few) / (4 * 2 * math.log(2))
        losses = [model(model.draw(clean, None, torch.Generator().manual_seed(seed))) for seed in range(6)]
    assert float(sum(losses)) / 6 == pytest.approx(exact, rel=0.03)
    assert float(model.bits(clean).mean()) == pytest.approx(exact, rel=0.03)
    assert float(model.bits(clean, draws=2).mean()) == pytest.approx(exact, rel=0.03)
    model.hybrid = 0.5
    batch = model.draw(clean[:40], None, torch.Generator().manual_seed(0))
    noisy = model.process.corrupt(batch["clean"], batch["index"].double() / 5, batch["noise"])
    divergence, surprise = model.terms(batch["clean"], noisy, batch["index"])
    torch.testing.assert_close(model(batch), 5 * (divergence + 0.5 * surprise).mean() / (2 * math.log(2)))
    model(batch).backward()
    assert bool(model.denoiser.network.values.grad.isfinite().all())
    assert float(model.denoiser.network.values.grad.abs().sum()) > 0


def test_what_the_mask_hides_is_all_that_costs():
    """With a mask, a term is (ā_s - ā_t) / (1 - ā_t) of the cross-entropy of what is masked."""
    model = small("absorbing", steps=4, schedule="linear")
    clean = torch.randint(3, (200, 2), generator=torch.Generator().manual_seed(0))
    for k in (1, 2, 4):
        index = torch.full((200,), k)
        noisy = model.process.corrupt(clean, index.double() / 4, torch.randn(200, 2))
        divergence, surprise = model.terms(clean, noisy, index)
        torch.testing.assert_close(divergence, surprise / k)
        assert bool(((noisy == 3).any(1) | (surprise.abs() < 1e-9)).all())


def text_model(family="absorbing", length=6, steps=8, k=4):
    torch.manual_seed(0)
    process = CategoricalProcess(FAMILIES[family](k))
    network = nets.SequenceTransformer(length, process.transition.states, k, 16, 1, 2)
    torch.nn.init.normal_(network.last.weight, std=0.1)
    return CategoricalModel(CategoricalDenoiser(network, process), (length,), steps, hybrid=0.01)


@pytest.mark.parametrize("family", FAMILIES)
def test_samples_and_bits_depend_on_their_own_seed_only(family):
    model = text_model(family)
    *_, few = model.states(2, seed=5, steps=4)
    *_, many = model.states(6, seed=3, steps=4)
    assert few.steps == 4
    assert torch.equal(few.noisy, many.noisy[2:4])
    assert torch.equal(model.sample(6, 3, batch_size=4, steps=4), many.noisy)
    clean = many.noisy
    torch.testing.assert_close(model.bits(clean, 3)[2:4], model.bits(clean[2:4], 5))
    assert model.training
    assert bool((model.categories_of(clean) < 4).all())


def test_what_is_given_is_kept():
    model = text_model()
    given = model.values_of(torch.tensor([1, 0, 2, 0, 3, 0])).masked_fill(
        torch.tensor([0, 1, 0, 1, 0, 1]).bool(), math.nan
    )
    states = list(model.states(20, given=given))
    for state in states:
        assert model.categories_of(state.noisy[:, ::2].clone()).unique(dim=0).tolist() == [[1, 2, 3]]
    assert len(states[-1].noisy.unique(dim=0)) > 1
    with pytest.raises(UsageError, match=r"shape \(6,\)"):
        model.states(1, given=given[:4])
    with pytest.raises(UsageError, match="only a process with a mask"):
        text_model("uniform").states(1, given=given)


@torch.no_grad()
def test_what_is_given_conditions_the_rest():
    """The first site of a pair is given: with the exact denoiser the second has P(x_2 | x_1), chi-square with 2 degrees of freedom each."""
    process, n = CategoricalProcess(Absorbing(3), "linear"), 10_000
    model = CategoricalModel(CategoricalDenoiser(Pairs(process, TABLE), process), (2,), 20)
    for first in range(3):
        given = model.values_of(torch.tensor([first, 0])).masked_fill(torch.tensor([False, True]), math.nan)
        pairs = model.categories_of(model.sample(n, seed=n * first, batch_size=n, given=given))
        assert bool((pairs[:, 0] == first).all())
        expected = n * TABLE[first] / TABLE[first].sum()
        counts = torch.bincount(pairs[:, 1], minlength=3).double()
        assert float(((counts - expected) ** 2 / expected).sum()) < 13.8  # the 0.1 % point


def test_a_batch_of_one_time_needs_it_once():
    model = small("gaussian")
    noisy = torch.randint(3, (5, 2), generator=torch.Generator().manual_seed(0))
    once, each = (model.denoiser(noisy, torch.full((count,), 2 / 3).double()) for count in (1, 5))
    assert torch.equal(once, each)


def test_numbers_that_are_no_categories_are_named():
    model = text_model()
    with pytest.raises(UsageError, match="a value of 0.1 in the data: 4 categories"):
        model.draw(torch.full((1, 6), 0.1), None, torch.Generator())
    with pytest.raises(UsageError, match="category 4 at"):
        model.draw(torch.full((1, 6), 5 / 3), None, torch.Generator())
    for arguments, message in [
        ({"label": 1}, "without classes"),
        ({"steps": 9}, "8 steps"),
        ({"eta": 1.0}, "given, steps"),
    ]:
        with pytest.raises(UsageError, match=message):
            model.states(1, **arguments)
    with pytest.raises(UsageError, match="1 to 8 terms"):
        model.bits(torch.ones(1, 6), draws=9)
    denoiser = model.denoiser
    with pytest.raises(UsageError, match="2 steps"):
        CategoricalModel(denoiser, (6,), 1)
    with pytest.raises(UsageError, match="hybrid"):
        CategoricalModel(denoiser, (6,), 4, -0.1)
    with pytest.raises(UsageError, match="takes \\(n, 6\\)"):
        denoiser(torch.zeros(1, 5, dtype=torch.long), torch.ones(1))
    with pytest.raises(UsageError, match="one number for each of 3"):
        CategoricalDenoiser(denoiser.network, CategoricalProcess(Absorbing(3)))(torch.zeros(1, 6).long(), torch.ones(1))


class Constant(torch.nn.Module):
    """Two values for each number: a place 0.1 and a log-scale -1, in one pixel each."""

    def __init__(self):
        super().__init__()
        self.last = torch.nn.Parameter(torch.tensor([0.1, -1.0]))

    def forward(self, x, time, label=None):
        self.shown = x
        return self.last.repeat_interleave(2)[None, :, None, None].expand(len(x), 4, *x.shape[2:])


def test_logistic_logits_are_the_bins_of_the_distribution_function():
    network = nets.CategoryNetwork(Constant(), 5, logistic=True)
    state = torch.randint(5, (3, 2, 4, 4))
    logits = network(state, torch.zeros(3))
    value = state / 2 - 1
    scale = 4 * 0.25 * math.exp(-1.0)
    bins = torch.linspace(-1, 1, 5)
    upper, lower = ((bins + d - value[..., None] - 0.1) / scale for d in (0.25, -0.25))
    exact = (torch.sigmoid(upper) - torch.sigmoid(lower)).double()
    torch.testing.assert_close(logits.softmax(-1).double(), exact / exact.sum(-1, keepdim=True), rtol=1e-4, atol=1e-6)


def test_pictures_are_shown_as_values_and_where_they_are_masked():
    inner = torch.nn.Conv2d(4, 10, 1)
    network = nets.CategoryNetwork(_Untimed(inner), 5, masked=True)
    state = torch.tensor([0, 4, 5]).expand(1, 2, 1, 3)
    out = network(state, torch.zeros(1))
    shown = torch.tensor([[[-1.0, 1.0, 0.0]]] * 2 + [[[0.0, 0.0, 1.0]]] * 2)[None]
    # values of all channels for the first category, then for the second
    torch.testing.assert_close(out, inner(shown).reshape(1, 5, 2, 1, 3).movedim(1, -1))


class _Untimed(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x, time, label=None):
        return self.inner(x)
