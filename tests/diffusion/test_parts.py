"""Processes of several parts and sizes: against enumeration, and against data whose distribution the exact estimate reproduces."""

import itertools

import pytest
import torch
from scipy import stats

from renote.diffusion import CategoricalDenoiser, CategoricalModel
from renote.diffusion.process import (
    Absorbing,
    CategoricalProcess,
    Fixed,
    Marginal,
    Parts,
    SizedProcess,
    Uniform,
    nearest_jumps,
)
from renote.errors import UsageError
from renote.graph import sites_of, sites_there

FAMILIES = {
    "marginal": lambda k: Marginal(torch.arange(1.0, k + 1)),
    "uniform": Uniform,
    "absorbing": Absorbing,
    "nearest": nearest_jumps,
}
NODES = 2  # and one pair of them
SIZES = torch.tensor([0.3, 0.7])


def process_of(family):
    parts = Parts([(NODES, FAMILIES[family](3)), (1, FAMILIES[family](2))])
    return SizedProcess(parts, sites_there(NODES), SIZES, "cosine")


def matrices_of(transition, kept):
    """Q(a) by its definition: (K, states)."""
    k, states = transition.categories, transition.states
    if transition.dense:
        return transition.matrix(torch.tensor([kept]))[0]
    fresh = torch.zeros(states, dtype=torch.float64)
    if isinstance(transition, Absorbing):
        fresh[k] = 1.0
    elif isinstance(transition, Uniform):
        fresh[:] = 1 / k
    else:
        fresh[:] = torch.arange(1.0, k + 1, dtype=torch.float64) / (k * (k + 1) / 2)
    return kept * torch.eye(states, dtype=torch.float64)[:k] + (1 - kept) * fresh


@pytest.mark.parametrize("family", FAMILIES)
def test_matrices_of_each_part(family):
    process, kept = process_of(family), torch.tensor([0.3], dtype=torch.float64)
    transition, absent = process.transition, 3
    assert (transition.absent, transition.categories) == (3, 4)
    for site, k in enumerate((3, 3, 2)):
        wanted = matrices_of(FAMILIES[family](k), 0.3)
        clean = torch.full((1, 3), absent)
        for x in range(k):
            clean[0, site] = x
            known = torch.nn.functional.one_hot(clean, 4).double()
            row = transition.spread(known, kept)[0, site]
            shown = [*range(k), *([4] if transition.mask is not None else [])]
            assert torch.allclose(row[shown], wanted[x])
            assert row.sum().item() == pytest.approx(1)
            assert torch.allclose(transition.reached(clean, kept, torch.float64)[0, site], row)
            # the column of each state, as `seen` tells it
            for place, state in enumerate(shown):
                noisy = clean.clone()
                noisy[0, site] = state
                assert transition.seen(noisy, kept, torch.float64)[0, site, x].item() == pytest.approx(
                    wanted[x, place].item()
                )
            # what is absent stays absent
            others = [i for i in range(3) if i != site]
            assert (transition.spread(known, kept)[0, others, absent] == 1).all()
    levels = torch.linspace(0.001, 0.999, 4001, dtype=torch.float64)
    drawn = transition.drawn(
        torch.tensor([[1, absent, 0]]).expand(4001, 3), kept.expand(4001), levels[:, None].expand(-1, 3)
    )
    wanted = matrices_of(FAMILIES[family](3), 0.3)[1]
    for place, state in enumerate([*range(3), *([4] if transition.mask is not None else [])]):
        assert (drawn[:, 0] == state).double().mean().item() == pytest.approx(wanted[place].item(), abs=2e-3)
    assert (drawn[:, 1] == absent).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_posterior_by_enumeration(family):
    process, absent = process_of(family), 3
    t, s = torch.tensor([0.8]), torch.tensor([0.4])
    at_t, at_s = float(process.kept(t)), float(process.kept(s))
    generator = torch.Generator().manual_seed(0)
    for state in itertools.product((0, 2), (1, absent), (0, 1)):
        noisy = torch.tensor([state])
        if state[1] == absent:
            noisy[0, 2] = absent
        estimate = torch.zeros(1, 3, 4, dtype=torch.float64)
        for site, k in enumerate((3, 3, 2)):
            if noisy[0, site] == absent:
                estimate[0, site, absent] = 1.0
            else:
                chances = torch.rand(k, generator=generator, dtype=torch.float64)
                estimate[0, site, :k] = chances / chances.sum()
        found = process.posterior(noisy, estimate, t, s)[0]
        for site, k in enumerate((3, 3, 2)):
            x = int(noisy[0, site])
            if x == absent:
                assert found[site, absent].item() == 1.0
                continue
            transition = FAMILIES[family](k)
            to_s, to_t = matrices_of(transition, at_s), matrices_of(transition, at_t)
            step = torch.cat([matrices_of(transition, at_t / at_s), torch.eye(transition.states)[k:]])
            each = to_s * step[:, x] / to_t[:, x : x + 1]  # q(x_s | x_t, x_0 = c), a row for each c
            possible = to_t[:, x] > 0
            wanted = (estimate[0, site, :k, None] * each)[possible].sum(0)
            shown = [*range(k), *([4] if transition.mask is not None else [])]
            assert torch.allclose(found[site][shown], wanted / wanted.sum(), atol=1e-6)


class Exact(torch.nn.Module):
    """Logits for which the estimate is P(x_0 | G_t) of each site, by a sum over all graphs."""

    def __init__(self, process, graphs, chances):
        super().__init__()
        self.process, self.graphs, self.chances = process, graphs, torch.nn.Parameter(chances)

    def forward(self, x, time, label=None):
        likelihood = self.process.likelihood(x, time / 1000, torch.float64)  # (n, sites, K)
        each = torch.stack([likelihood[:, i, self.graphs[:, i]] for i in range(x.shape[1])])  # (sites, n, graphs)
        weight = self.chances * each.prod(0)
        out = torch.full((*x.shape, self.process.categories), -1e30, dtype=torch.float64)
        for site in range(x.shape[1]):
            for kind in range(self.process.categories):
                total = (weight * (self.graphs[:, site] == kind)).sum(1)
                # less the likelihood that the denoiser multiplies in itself
                out[:, site, kind] = (total / likelihood[:, site, kind].clamp(min=1e-30)).clamp(min=1e-30).log()
        return out


@pytest.mark.parametrize("family", FAMILIES)
def test_exact_estimate_reproduces_the_data(family):
    process, absent, count = process_of(family), 3, 4000
    whole = [(a, b, e) for a in range(3) for b in range(3) for e in range(2)]
    graphs = torch.tensor([*((a, absent, absent) for a in range(3)), *whole])
    random = torch.Generator().manual_seed(1)
    chances = torch.rand(len(graphs), generator=random, dtype=torch.float64) ** 2 + 0.01
    for some, share in ((slice(0, 3), 0.3), (slice(3, None), 0.7)):
        chances[some] *= share / chances[some].sum()
    steps = 60  # sites of one step are drawn apart, so many steps are needed
    model = CategoricalModel(CategoricalDenoiser(Exact(process, graphs, chances), process), (sites_of(NODES),), steps)
    samples = model.categories_of(model.sample(count, seed=5, batch_size=count))
    code = (samples * torch.tensor([16, 4, 1])).sum(1)
    names = (graphs * torch.tensor([16, 4, 1])).sum(1)
    found = torch.stack([(code == name).sum() for name in names])
    assert int(found.sum()) == count  # nothing but graphs of the two sizes
    assert stats.chisquare(found.numpy(), (chances * count).numpy()).pvalue > 1e-3
    # the bound is above the entropy, and with the exact estimate near it
    clean = torch.repeat_interleave(graphs, 200, 0)
    bits = model.bits(clean * (2 / 3) - 1).reshape(len(graphs), 200).mean(1) * 3
    entropy = -(chances * chances.log2()).sum()
    assert entropy - 0.05 < (chances * bits).sum() < entropy + 0.5


def test_sizes_and_fixed_parts():
    parts = Parts([(3, Fixed()), (3, Marginal(torch.tensor([0.8, 0.2])))])
    process = SizedProcess(parts, sites_there(3), torch.tensor([0.0, 0.25, 0.75]))
    model = CategoricalModel(CategoricalDenoiser(torch.nn.Identity(), process), (6,), 10)
    model.register_parameter("unused", torch.nn.Parameter(torch.zeros(())))
    drawn = process.prior((6,), model._source(0, 4000))
    small = drawn[:, 2] == process.absent
    assert float(small.double().mean()) == pytest.approx(0.25, abs=0.03)
    assert (drawn[small][:, 4:] == process.absent).all()
    assert float((drawn[~small][:, 3:] == 1).double().mean()) == pytest.approx(0.2, abs=0.02)
    assert process.prior_surprise(drawn[small][:1]).exp().item() == pytest.approx(4)
    assert CategoricalProcess(Uniform(3)).prior_surprise(torch.zeros(2, 5, dtype=torch.int64)).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Parts([]), "at least one"),
        (lambda: Parts([(0, Uniform(2))]), "one site or more"),
        (lambda: Marginal(torch.tensor([0.5, -0.1])), "none negative"),
        (lambda: Marginal(torch.zeros(3)), "at least one is positive"),
        (lambda: SizedProcess(Parts([(3, Uniform(2))]), sites_there(3), torch.ones(3)), "give a row a size"),
        (lambda: SizedProcess(Parts([(6, Uniform(2))]), sites_there(3), torch.tensor([1.0, -1, 0])), "none is negative"),
        (lambda: process_of("uniform").prior_surprise(torch.tensor([[0, 3, 1]])), "no size's"),
        (lambda: process_of("uniform").prior_surprise(torch.tensor([[0, 7, 1]])), "category 7 at"),
        (lambda: process_of("uniform").transition.seen(torch.zeros(1, 4, dtype=torch.long), torch.ones(1), torch.float), "have 3"),
    ],
)  # fmt: skip
def test_what_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def nodes_and_edges(family):
    parts = Parts([(NODES, FAMILIES[family](5)), (1, FAMILIES[family](2))])
    return SizedProcess(parts, sites_there(NODES), SIZES, "cosine")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("edge", [3, -1, 7])
def test_each_part_has_its_own_range(family, edge):
    """Five types of nodes and two of edges: an edge of type 3 is none, though there is such a node."""
    process, t, noise = nodes_and_edges(family), torch.tensor([0.5]), torch.zeros(1, 3)
    state = torch.tensor([[4, 3, edge]])
    estimate = torch.ones(1, 3, process.categories) / process.categories
    for call in (
        lambda: process.corrupt(state, t, noise),
        lambda: process.prior_surprise(state),
        lambda: process.likelihood(state, t),
        lambda: process.posterior(state, estimate, t, t / 2),
        lambda: process.reverse(state, estimate, 0.5, 0.2, noise),
    ):
        with pytest.raises(UsageError, match=rf"category {edge} at \[0, 2\]: .* 0 to 1, and 5 is absent"):
            call()
    masked, absent = torch.tensor([[4, 6, 6]]), torch.tensor([[4, 5, 5]])
    if family == "absorbing":
        assert process.likelihood(masked, t).shape == (1, 3, 6)
        with pytest.raises(UsageError, match="category 6 at"):
            process.corrupt(masked, t, noise)
    else:
        with pytest.raises(UsageError, match="category 6 at"):
            process.reverse(masked, estimate, 0.5, 0.2, noise)
    assert process.corrupt(absent, t, noise)[0, 1:].tolist() == [5, 5]
    with pytest.raises(UsageError, match=r"torch.float32"):
        process.corrupt(absent.float(), t, noise)
    model = CategoricalModel(CategoricalDenoiser(torch.nn.Identity(), process), (3,), 10)
    with pytest.raises(UsageError, match=rf"category {edge} at" if edge == 3 else "category|value"):
        model.draw(state * (2 / 5) - 1, None, torch.Generator())


def test_a_reverse_step_of_parts_of_all_kinds_draws_from_the_posterior():
    """By way of a clean category, as one part sums over K²: each level of a grid once, at every site."""
    parts = Parts([(1, nearest_jumps(3)), (1, Absorbing(3)), (1, Uniform(2)), (1, Fixed())])
    process, count = CategoricalProcess(parts, "cosine"), 8000
    chances = torch.tensor([[0.2, 0.5, 0.3, 0.0], [0.1, 0.6, 0.3, 0.0], [0.7, 0.3, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    noise = -torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)[:, None].expand(count, 4)
    for state in ([1, 4, 1, 0], [0, 2, 0, 0], [2, 4, 1, 3], [3, 3, 3, 3]):
        noisy = torch.tensor(state).expand(count, 4)
        # what is absent is certain
        known = torch.where(torch.tensor(state)[:, None] == 3, torch.eye(4)[3], chances)
        found = process.reverse(noisy, known.expand(count, 4, 4), 0.6, 0.4, noise)
        times = (torch.tensor([time], dtype=torch.float64) for time in (0.6, 0.4))
        wanted = process.posterior(noisy[:1], known.double()[None], *times)[0]
        shares = torch.nn.functional.one_hot(found, parts.states).double().mean(0)
        torch.testing.assert_close(shares, wanted, rtol=0, atol=8 / count)
