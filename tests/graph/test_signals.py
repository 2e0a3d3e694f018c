"""Signals on a fixed graph: Fourier multipliers, coarser graphs in the order of a tree, pooling, and networks of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_harness import permuted, undirected

from renote.data import grid_points, similarity_graph
from renote.errors import DataError, UsageError
from renote.graph import (
    Adjacency,
    ChebyshevConvolution,
    Eigenbasis,
    FourierConvolution,
    Level,
    SignalClassification,
    SignalLayer,
    SignalNetwork,
    coarsen,
    cut_matching,
    eigenbasis,
    fourier_layer,
    laplacian,
    merge,
    spline_basis,
    tree_max,
)


def weighted(nodes: int, edges: int, seed: int) -> Adjacency:
    """An undirected graph with weights that are alike in both directions."""
    adjacency = undirected(nodes, edges, seed)
    draw = torch.rand(nodes, nodes, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.1
    draw = draw + draw.T
    return adjacency.with_weight(draw[adjacency.target.long(), adjacency.source.long()])


graphs = {"nodes": st.integers(3, 30), "edges": st.integers(0, 90), "seed": st.integers(0, 10**6)}


def random_signal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# Fourier multipliers


@pytest.mark.parametrize("knots", [None, 5])
@pytest.mark.parametrize("frequencies", [None, 7])
def test_a_fourier_convolution_is_its_formula(knots: int | None, frequencies: int | None) -> None:
    """Filter by filter, with dense matrices: U diag(f) Uᵀ."""
    basis = eigenbasis(laplacian(weighted(12, 40, 0)), frequencies)
    layer = FourierConvolution(3, 2, basis, knots).double()
    layer.bias.data.normal_()  # type: ignore[union-attr]
    x = random_signal(12, 4, 3)
    multipliers = layer.weight if knots is None else spline_basis(basis.values, knots) @ layer.weight.flatten(1)
    multipliers = multipliers.view(-1, 3, 2)
    expected = torch.zeros(12, 4, 2, dtype=torch.float64) + layer.bias
    for i in range(3):
        for o in range(2):
            operator = basis.vectors @ torch.diag(multipliers[:, i, o]) @ basis.vectors.T
            expected[:, :, o] += operator @ x[:, :, i]
    torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(layer(x[:, 0]), expected[:, 0], rtol=1e-12, atol=1e-12)


def test_polynomial_multipliers_are_chebyshev_filters() -> None:
    """f(λ) = Σ_k θ_k T_k(λ - 1) in the basis is the Chebyshev layer, which needs no basis."""
    adjacency = weighted(15, 50, 1)
    basis = eigenbasis(laplacian(adjacency))
    polynomial = ChebyshevConvolution(3, 4, 3).double()
    spectral = FourierConvolution(3, 4, basis).double()
    turned = torch.acos((basis.values - 1.0).clamp(-1, 1))
    terms = torch.stack([torch.cos(k * turned) for k in range(4)], 1)
    spectral.weight.data = torch.tensordot(terms, polynomial.weight.data, 1)
    x = random_signal(15, 5, 3)
    torch.testing.assert_close(spectral(x), polynomial(x, adjacency), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("widths", [(3, 5), (5, 3)])
def test_a_chebyshev_convolution_of_many_signals_is_one_of_each(widths: tuple[int, int]) -> None:
    adjacency, layer = weighted(10, 30, 2), ChebyshevConvolution(*widths, 3).double()
    x = random_signal(10, 2, 4, widths[0])
    each = [[layer(x[:, i, j], adjacency) for j in range(4)] for i in range(2)]
    torch.testing.assert_close(layer(x, adjacency), torch.stack([torch.stack(row, 1) for row in each], 1))


def test_fourier_gradients() -> None:
    basis = eigenbasis(laplacian(weighted(6, 14, 3)))
    layer = FourierConvolution(2, 3, basis, 4).double()

    def function(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        out = torch.func.functional_call(layer, {"weight": weight}, (x,))
        assert isinstance(out, torch.Tensor)
        return out

    assert torch.autograd.gradcheck(function, (random_signal(6, 2, 2).requires_grad_(), layer.weight))


@given(knots=st.integers(4, 20), count=st.integers(2, 60), seed=st.integers(0, 10**6))
@settings(max_examples=30)
def test_splines_hold_every_cubic(knots: int, count: int, seed: int) -> None:
    """They are not negative, sum to 1, reach over four neighbours at most, and any cubic polynomial is a sum of them (Curry & Schoenberg)."""
    values = torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).sort().values * 2
    basis = spline_basis(values, knots)
    assert float(basis.min()) >= 0.0
    assert int((basis > 0).sum(1).max()) <= 4
    torch.testing.assert_close(basis.sum(1), torch.ones(count, dtype=torch.float64))
    wide = torch.cat([values[:1], torch.linspace(float(values[0]), float(values[-1]), 50).double()[1:-1], values[-1:]])
    dense = spline_basis(wide, knots).numpy()
    for power in range(4):
        target = (wide**power).numpy()
        found = dense @ np.linalg.lstsq(dense, target, rcond=None)[0]
        assert np.abs(found - target).max() < 1e-9


def test_splines_of_one_frequency() -> None:
    assert spline_basis(torch.zeros(3), 4).tolist() == [[1.0, 0.0, 0.0, 0.0]] * 3


def test_smooth_multipliers_are_local() -> None:
    """On a long ring the response of a filter of few knots dies away; that of free multipliers does not."""
    ring = torch.arange(200)
    adjacency = Adjacency.from_edges(torch.cat([ring, (ring + 1) % 200]), torch.cat([(ring + 1) % 200, ring]), 200)
    basis = eigenbasis(laplacian(adjacency))
    impulse = torch.zeros(200, 1, dtype=torch.float64)
    impulse[100] = 1.0
    outside = (ring - 100).abs() > 30
    share = {}
    for knots in (8, None):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            energy = FourierConvolution(1, 16, basis, knots).double()(impulse).detach().square()
        share[knots] = float(energy[outside].sum() / energy.sum())
    assert share[8] < 0.02
    assert share[None] > 0.3


# coarser graphs


@given(**graphs)
@settings(max_examples=40)
def test_matching_takes_the_best_partner_left(nodes: int, edges: int, seed: int) -> None:
    """At each node's turn, by the formula, over a dense matrix."""
    adjacency = weighted(nodes, edges, seed)
    order = torch.randperm(nodes, generator=torch.Generator().manual_seed(seed))
    dense = adjacency.to_dense()
    degree = dense.sum(1)
    expected, count = [-1] * nodes, 0
    for i in order.tolist():
        if expected[i] >= 0:
            continue
        expected[i] = count
        free = [j for j in range(nodes) if expected[j] < 0 and dense[i, j] > 0]
        if free:
            best = max(free, key=lambda j: float(dense[i, j] * (1 / degree[i] + 1 / degree[j])))
            expected[best] = count
        count += 1
    assert cut_matching(adjacency, order).tolist() == expected


@given(**graphs)
@settings(max_examples=30)
def test_merged_weights_are_those_between(nodes: int, edges: int, seed: int) -> None:
    adjacency = weighted(nodes, edges, seed)
    cluster = torch.randint(4, (nodes,), generator=torch.Generator().manual_seed(seed))
    members = torch.nn.functional.one_hot(cluster, 4).double()
    expected = members.T @ adjacency.to_dense() @ members
    torch.testing.assert_close(merge(adjacency, cluster, 4).to_dense(), expected - torch.diag(expected.diagonal()))


@given(**graphs, levels=st.integers(0, 4))
@settings(max_examples=40)
def test_the_tree(nodes: int, edges: int, seed: int, levels: int) -> None:
    """Each level's nodes have a slot each, children are beside each other, and fakes' children are fake."""
    adjacency = weighted(nodes, edges, seed)
    tree = coarsen(adjacency, levels, seed)
    assert len(tree) == levels + 1
    torch.testing.assert_close(tree[0].adjacency.to_dense(), adjacency.to_dense())
    for level in tree:
        assert level.place[level.real].sort().values.tolist() == list(range(level.adjacency.num_nodes))
        assert torch.equal(level.place[level.slot], torch.arange(level.adjacency.num_nodes))
        dense = torch.zeros(len(level.place), len(level.place), dtype=torch.float64)
        dense[level.slot[:, None], level.slot[None]] = level.adjacency.to_dense()
        torch.testing.assert_close(level.arranged.to_dense(), dense)
    assert torch.equal(tree[-1].place, torch.arange(tree[-1].adjacency.num_nodes))
    for fine, coarse in itertools.pairwise(tree):
        children = fine.place.view(-1, 2)
        assert len(children) == len(coarse.place)
        assert torch.equal((children >= 0).any(1), coarse.real)
        # a coarse edge is the sum of those between the children
        pair = torch.empty(fine.adjacency.num_nodes, dtype=torch.long)
        pair[fine.place[fine.real]] = coarse.place.repeat_interleave(2)[fine.real]
        expected = merge(fine.adjacency, pair, coarse.adjacency.num_nodes).to_dense()
        torch.testing.assert_close(coarse.adjacency.to_dense(), expected)


def test_volumes_are_the_finest_graphs() -> None:
    """Four nodes in a chain of pairs: the second matching sees the weight within the pairs in the volumes."""
    adjacency = similarity_graph(grid_points((8, 8)), 4)
    tree = coarsen(adjacency, 2, 5)
    order = torch.argsort(tree[1].adjacency.in_degree(weighted=True), stable=True)
    pair = torch.empty(64, dtype=torch.long)
    pair[tree[0].place[tree[0].real]] = tree[1].place.repeat_interleave(2)[tree[0].real]
    volume = torch.zeros(tree[1].adjacency.num_nodes, dtype=torch.float64)
    volume.index_add_(0, pair, adjacency.in_degree(weighted=True).double())
    matched = cut_matching(tree[1].adjacency, order, volume)
    children = tree[1].place.view(-1, 2)
    for number, (left, right) in enumerate(children.tolist()):
        real = [matched[node] for node in (left, right) if node >= 0]
        assert all(int(node) == int(tree[2].place[number]) for node in real)


def test_a_grid_is_halved() -> None:
    """Few of a grid's pixels stay alone: 28 × 28 in 8 neighbours and 4 levels has less than a third more slots than pixels."""
    tree = coarsen(similarity_graph(grid_points((28, 28)), 8), 4)
    assert 784 <= len(tree[0].place) < 1046
    assert len(tree[0].place) == 16 * len(tree[4].place)


def test_pooling_is_the_maximum_over_real_descendants() -> None:
    tree = coarsen(weighted(21, 60, 4), 2, 1)
    x = random_signal(21, 3).exp()
    pooled = tree_max(tree[0].gather(x), 4)
    place = tree[0].place.view(-1, 4)
    for slot, members in enumerate(place.tolist()):
        real = [node for node in members if node >= 0]
        expected = x[real].amax(0) if real else torch.zeros(3).double()
        torch.testing.assert_close(pooled[slot], expected)
    assert torch.equal(tree_max(x, 1), x)


# networks


def level_of(adjacency: Adjacency) -> Level:
    return coarsen(adjacency, 0)[0]


def test_a_layer_never_hands_on_a_fake() -> None:
    """A large bias would make fakes the maximum, were they not left out."""
    tree = coarsen(weighted(9, 20, 6), 1, 2)
    assert not bool(tree[0].real.all())
    convolution = ChebyshevConvolution(2, 3, 1).double()
    convolution.bias.data.fill_(100.0)  # type: ignore[union-attr]
    layer = SignalLayer(convolution, tree[0], 2, tree[0].arranged)
    x = random_signal(9, 4, 2)
    on_nodes = convolution(x, tree[0].adjacency).relu()
    found = layer(tree[0].gather(x))
    for slot, members in enumerate(tree[0].place.view(-1, 2).tolist()):
        torch.testing.assert_close(found[slot], on_nodes[[node for node in members if node >= 0]].amax(0))


@pytest.mark.parametrize("kind", ["chebyshev", "fourier"])
def test_a_network_does_not_see_the_numbering_of_nodes(kind: str) -> None:
    """Without a dense layer after it (whose weights have a place) a graph layer follows its nodes when they are renumbered."""
    adjacency = weighted(14, 60, 8)
    order = torch.randperm(14, generator=torch.Generator().manual_seed(1))
    moved, x = permuted(adjacency, order), random_signal(14, 3, 1)
    if kind == "chebyshev":
        convolution = ChebyshevConvolution(1, 2, 3).double()
        one, other = (SignalLayer(convolution, level_of(a), 1, a) for a in (adjacency, moved))
    else:
        one, other = (fourier_layer(level_of(a), 1, 2, 1, 14, 6).double() for a in (adjacency, moved))
        other.convolution.load_state_dict(one.convolution.state_dict())
    torch.testing.assert_close(other(x[order]), one(x)[order], rtol=1e-6, atol=1e-6)


def test_a_fourier_layer_on_slots_is_that_on_nodes() -> None:
    tree = coarsen(weighted(9, 20, 6), 2, 2)
    layer = fourier_layer(tree[0], 2, 3, 1, 6, None).double()
    basis = eigenbasis(laplacian(tree[0].adjacency), 6)
    on_nodes = FourierConvolution(2, 3, basis).double()
    on_nodes.load_state_dict(layer.convolution.state_dict())
    x = random_signal(9, 4, 2)
    torch.testing.assert_close(layer(tree[0].gather(x)), tree[0].gather(on_nodes(x).relu()))
    assert fourier_layer(tree[2], 2, 3, 1, 300).convolution.weight.shape[0] == tree[2].adjacency.num_nodes


def test_a_network_is_its_layers_one_after_the_other() -> None:
    adjacency = weighted(12, 50, 9)
    tree, chosen = coarsen(adjacency, 2, 0), torch.arange(0, 24, 2)
    layers = [
        SignalLayer(ChebyshevConvolution(3, 4, 2), tree[0], 2, tree[0].arranged),
        SignalLayer(ChebyshevConvolution(4, 5, 2), tree[1], 2, tree[1].arranged),
    ]
    network = SignalNetwork(tree, layers, 5, 6, (7,), 0.0, chosen).double()
    x = random_signal(4, 3, 24)
    signal = tree[0].gather(x[:, :, ::2].permute(2, 0, 1))
    signal = layers[1](layers[0](signal))[tree[2].slot.sort().values]
    hidden = network.dense[0](signal.permute(1, 0, 2).flatten(1)).relu()
    torch.testing.assert_close(network(x), network.dense[1](hidden))
    plain = SignalNetwork(tree, [], 3, 6).double()
    torch.testing.assert_close(
        plain(x[:, :, :12]),
        plain.dense[0](tree[0].gather(x[:, :, :12].permute(2, 0, 1))[tree[0].real].permute(1, 0, 2).flatten(1)),
    )
    with pytest.raises(UsageError, match="pool over 2 levels"):
        SignalNetwork(tree[:2], layers, 5, 6)


def test_what_a_classifier_says_does_not_depend_on_chunks() -> None:
    adjacency = weighted(5, 12, 1)
    network = SignalNetwork([level_of(adjacency)], [], 1, 3, (4,), 0.9)
    task = SignalClassification(network)
    x = torch.randn(1203, 1, 5)
    logits = task.logits(x)
    assert network.training
    torch.testing.assert_close(logits, network.eval()(x).detach())
    labels = logits.argmax(1)
    found = task.validate(x, labels)
    assert found["accuracy"] == 1.0
    assert found["loss"] == pytest.approx(float(task({"signal": x, "label": labels}).detach()), rel=1e-5)


# graphs of places


def test_similar_places() -> None:
    """Pixels inside a grid have their eight neighbours; weights are exp(-d²/σ²)."""
    points = grid_points((9, 9))
    dense = similarity_graph(points, 8).to_dense()
    assert torch.equal(dense, dense.T)
    assert sorted(dense[40].nonzero().view(-1).tolist()) == [30, 31, 32, 39, 41, 48, 49, 50]
    assert float(dense[40, 30] / dense[40, 31] ** 2) == pytest.approx(1.0)
    distance = np.sqrt(((points[:, None] - points[None]) ** 2).sum(-1))
    sigma = np.sort(distance, 1)[:, 8].mean()
    assert float(dense[40, 31]) == pytest.approx(np.exp(-1 / sigma**2))
    assert grid_points((2, 3)).tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    with pytest.raises(DataError, match="neighbors is 4"):
        similarity_graph(grid_points((2, 2)), 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spline_basis(torch.arange(3.0), 3), "knots is 3"),
        (lambda: spline_basis(torch.zeros(0), 4), "values is empty"),
        (lambda: tree_max(torch.zeros(6, 1), 4), "factor is 4 for 6 slots"),
        (lambda: tree_max(torch.zeros(6, 1), 3), "factor is 3"),
        (lambda: coarsen(undirected(4, 6, 0), -1), "levels is -1"),
        (lambda: cut_matching(Adjacency.from_edges([0], [1], 2)), "directed"),
        (lambda: cut_matching(undirected(4, 6, 0), torch.tensor([0, 0, 1, 2])), "order does not name each"),
        (lambda: cut_matching(Adjacency.from_edges([0, 1], [1, 0], 2, [-1.0, -1.0])), "has the weight -1"),
        (lambda: cut_matching(Adjacency.from_edges([0, 1], [1, 0], 2, [1.0, 2.0])), "directed"),
        (
            lambda: FourierConvolution(2, 2, Eigenbasis(torch.zeros(1), torch.ones(3, 1)))(torch.zeros(3, 1)),
            "1 features",
        ),
        (lambda: FourierConvolution(1, 2, Eigenbasis(torch.zeros(1), torch.ones(3, 1)))(torch.zeros(4, 1)), "4 nodes"),
    ],
)
def test_what_cannot_be_is_refused(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match=message):
        call()
