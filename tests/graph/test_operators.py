"""Operators against their dense matrices, spectra against closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import networkx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_harness import random_graph, undirected
from torch import Tensor

from renote.errors import UsageError
from renote.graph import (
    Adjacency,
    ChebyshevSeries,
    Diagonal,
    Edges,
    Identity,
    Operator,
    PersonalizedPageRank,
    chebyshev,
    clenshaw,
    eigenbasis,
    exact_pagerank,
    from_networkx,
    heat_kernel,
    kipf,
    laplacian,
    largest_eigenvalue,
    pagerank_steps,
    powers,
    random_walk,
    scaled_laplacian,
    symmetric,
    triangles,
)

graphs = {"nodes": st.integers(1, 9), "edges": st.integers(0, 30), "seed": st.integers(0, 10**6)}
KINDS = ("combinatorial", "symmetric", "random-walk")
eye = torch.eye(3, dtype=torch.float64)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def family(graph: networkx.Graph) -> Adjacency:
    return from_networkx(graph).adjacency


@given(**graphs)
def test_operators_compose_like_their_matrices(nodes: int, edges: int, seed: int) -> None:
    plain = random_graph(nodes, edges, seed, loops=True)
    a, d, i = Edges(plain.with_weight(draw(plain.num_edges, seed=seed))), Diagonal(draw(nodes)), Identity(nodes)
    x, y, z = a.to_dense(), d.to_dense(), i.to_dense()
    cases: list[tuple[Operator, Tensor]] = [
        (a + d, x + y), (a - i, x - z), (2.5 * a, 2.5 * x), (-a, -x), (a @ d, x @ y), (d @ a @ a, y @ x @ x),
        (a**3, x @ x @ x), (a**0, z), ((a @ d + 0.5 * i) ** 2, (x @ y + 0.5 * z) @ (x @ y + 0.5 * z)),
    ]  # fmt: skip
    for operator, dense in cases:
        signal = draw(nodes, 2, 3, seed=seed)
        torch.testing.assert_close(operator.to_dense(), dense)
        torch.testing.assert_close(operator.T.to_dense(), dense.T)
        torch.testing.assert_close(operator @ signal, torch.einsum("ij,jkl->ikl", dense, signal))
        assert operator.shape == operator.T.shape == (nodes, nodes)


@given(**graphs)
def test_laplacians_are_their_formulas(nodes: int, edges: int, seed: int) -> None:
    plain = random_graph(nodes, edges, seed, loops=True)
    for adjacency in (plain, plain.with_weight(draw(plain.num_edges, seed=seed))):
        for kind in KINDS:
            degree = torch.zeros(nodes, dtype=torch.float64)
            degree.index_add_(0, adjacency.target.long(), adjacency.values(torch.float64).abs())
            dense = adjacency.to_dense()
            if kind == "combinatorial":
                expected = degree.diag() - dense
            else:
                power = torch.where(degree > 0, degree.pow(-1.0 if kind == "random-walk" else -0.5), 0.0)
                right = torch.ones_like(power) if kind == "random-walk" else power
                expected = torch.eye(nodes, dtype=torch.float64) - power[:, None] * dense * right[None, :]
            torch.testing.assert_close(laplacian(adjacency, kind).to_dense(), expected)  # type: ignore[arg-type]
            for largest in (2.0, 3.7):
                scaled = scaled_laplacian(adjacency, kind, largest).to_dense()  # type: ignore[arg-type]
                torch.testing.assert_close(scaled, 2.0 / largest * expected - torch.eye(nodes, dtype=torch.float64))


@given(**graphs)
def test_scaled_laplacians_have_their_spectrum_in_minus_one_to_one(nodes: int, edges: int, seed: int) -> None:
    adjacency = undirected(nodes, edges, seed)
    for kind in KINDS:
        values = torch.linalg.eigvals(scaled_laplacian(adjacency, kind).to_dense())  # type: ignore[arg-type]
        assert float(values.real.abs().max()) <= 1.0 + 1e-9


GRAPH = random_graph(6, 16, 5, loops=True)


@pytest.mark.parametrize(
    "make",
    [
        kipf,
        symmetric,
        random_walk,
        lambda a, w: Edges(a, w),
        *(lambda a, w, kind=kind: laplacian(a, kind, w) for kind in KINDS),
        lambda a, w: scaled_laplacian(a, "combinatorial", 9.0, w),
        lambda a, w: PersonalizedPageRank(random_walk(a, w), 0.2, 4),
        lambda a, w: heat_kernel(scaled_laplacian(a, edge_weight=w), 1.0),
    ],
)
def test_gradients_flow_to_signals_and_edge_weights(make: Callable[[Adjacency, Tensor], Operator]) -> None:
    x, weight = draw(6, 2).requires_grad_(), draw(GRAPH.num_edges).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, w: make(GRAPH, w) @ x, (x, weight))
    assert torch.autograd.gradcheck(lambda x, w: make(GRAPH, w).T @ x, (x, weight))


def test_gradients_flow_to_learned_coefficients() -> None:
    theta, x = draw(3).requires_grad_(), draw(6, 2).requires_grad_()

    def filtered(theta: Tensor, x: Tensor) -> Tensor:
        operator = Identity(6) * theta[0] + kipf(GRAPH) * theta[1] + theta[2] * kipf(GRAPH) ** 2
        return operator @ x + operator.T @ x

    assert torch.autograd.gradcheck(filtered, (theta, x))


@pytest.mark.parametrize("make", [kipf, symmetric, random_walk, laplacian])
def test_learned_weights_give_what_constant_ones_do(make: Callable[..., Operator]) -> None:
    weight = draw(GRAPH.num_edges)
    constant, learned = GRAPH.with_weight(weight), weight.clone().requires_grad_()
    found = make(GRAPH, edge_weight=learned)
    torch.testing.assert_close(found.to_dense().detach(), make(constant).to_dense())
    torch.testing.assert_close(found.T.to_dense().detach(), make(constant).to_dense().T)


@given(**graphs)
def test_diagonal_enhancement_is_its_formula(nodes: int, edges: int, seed: int) -> None:
    adjacency = random_graph(nodes, edges, seed)
    looped = adjacency.to_dense() + torch.eye(nodes, dtype=torch.float64)
    walk = looped / looped.sum(1, keepdim=True)
    for strength in (0.0, 1.0, 0.3):
        expected = walk + strength * walk.diag().diag()
        torch.testing.assert_close(adjacency.enhanced(strength).to_dense(), expected)
    assert adjacency.enhanced(0.3) is adjacency.enhanced(0.3)


@given(order=st.integers(0, 7), seed=st.integers(0, 10**6))
def test_recursions_are_matrix_polynomials(order: int, seed: int) -> None:
    operator, x = scaled_laplacian(undirected(7, 14, seed)), draw(7, 2, seed=seed)
    values, vectors = torch.linalg.eigh(operator.to_dense())
    terms = [vectors @ torch.cos(k * values.clamp(-1, 1).acos()).diag() @ vectors.T for k in range(order + 1)]
    for found, term in zip(chebyshev(operator, x, order), terms, strict=True):
        torch.testing.assert_close(found, term @ x, rtol=1e-6, atol=1e-6)
    coefficients = draw(order + 1, 7, 2, seed=seed)
    expected = sum((term @ c for term, c in zip(terms, coefficients, strict=True)), torch.zeros_like(x))
    torch.testing.assert_close(clenshaw(operator, coefficients), expected, rtol=1e-6, atol=1e-6)
    series = ChebyshevSeries(operator, [float(k + 1) for k in range(order + 1)])
    torch.testing.assert_close(
        series @ x, sum(((k + 1) * term @ x for k, term in enumerate(terms)), torch.zeros_like(x)), rtol=1e-6, atol=1e-6
    )
    for number, found in enumerate(powers(operator, x, order)):
        torch.testing.assert_close(found, torch.linalg.matrix_power(operator.to_dense(), number) @ x)


@pytest.mark.parametrize("size", [5, 12, 41])
def test_eigenvalues_of_families_are_known(size: int) -> None:
    angles = torch.arange(size, dtype=torch.float64) * torch.pi / size
    known = {
        "ring": (networkx.cycle_graph(size), 2 - 2 * torch.cos(2 * angles)),
        "path": (networkx.path_graph(size), 2 - 2 * torch.cos(angles)),
        "complete": (networkx.complete_graph(size), torch.tensor([0.0] + [float(size)] * (size - 1)).double()),
        "star": (networkx.star_graph(size - 1), torch.tensor([0.0] + [1.0] * (size - 2) + [float(size)]).double()),
        "no edges": (networkx.empty_graph(size), torch.zeros(size).double()),
    }
    for graph, expected in known.values():
        operator = laplacian(family(graph), "combinatorial")
        expected = expected.sort().values
        torch.testing.assert_close(eigenbasis(operator).values, expected, rtol=1e-8, atol=1e-8)
        assert largest_eigenvalue(operator) == pytest.approx(float(expected[-1]), abs=1e-8)
        for count in (1, 3, 5):
            basis = eigenbasis(operator, count)
            torch.testing.assert_close(basis.values, expected[:count], rtol=1e-7, atol=1e-7)
            torch.testing.assert_close(basis.vectors.T @ basis.vectors, torch.eye(count).double(), atol=1e-9, rtol=0)
            torch.testing.assert_close(operator @ basis.vectors, basis.vectors * basis.values, atol=1e-7, rtol=0)


def test_lanczos_finds_zero_once_a_component() -> None:
    parts = networkx.disjoint_union_all([networkx.cycle_graph(9)] * 7)
    operator = laplacian(family(parts))
    values = eigenbasis(operator, 12).values
    torch.testing.assert_close(values, eigenbasis(operator).values[:12], rtol=1e-8, atol=1e-8)
    assert int((values < 1e-9).sum()) == 7


def test_lanczos_on_operators_that_are_not_laplacians() -> None:
    values = draw(20).sort().values
    basis = eigenbasis(Diagonal(values), 4)
    torch.testing.assert_close(basis.values, values[:4])
    torch.testing.assert_close(eigenbasis(Identity(20), 3).values, torch.ones(3).double())
    torch.testing.assert_close(eigenbasis(-4.0 * Identity(20), 3).values, -4.0 * torch.ones(3).double())


def test_the_whole_basis_turns_signals_and_back() -> None:
    operator, x = laplacian(undirected(9, 20, 1)), draw(9, 2, 3)
    basis = eigenbasis(operator)
    torch.testing.assert_close(basis.inverse(basis.transform(x)), x)
    torch.testing.assert_close(basis.filter(x, lambda values: values), operator @ x)
    assert basis.transform(x.float()).dtype == torch.float32
    smooth = eigenbasis(operator, 2)
    projected = smooth.filter(x, torch.ones_like)
    torch.testing.assert_close(smooth.filter(projected, torch.ones_like), projected)


@settings(max_examples=25)
@given(time=st.floats(0.0, 60.0), seed=st.integers(0, 10**6))
def test_the_heat_series_is_the_exponential(time: float, seed: int) -> None:
    adjacency, x = undirected(9, 20, seed), draw(9, 2, seed=seed)
    for kind in ("symmetric", "combinatorial"):
        operator = laplacian(adjacency, kind)  # type: ignore[arg-type]
        largest = 2.0 if kind == "symmetric" else 2.0 * max(1.0, float(adjacency.in_degree().max()))
        scaled = scaled_laplacian(adjacency, kind, largest)  # type: ignore[arg-type]
        exact = torch.linalg.matrix_exp(-time * operator.to_dense())
        for tolerance in (1e-3, 1e-9):
            series = heat_kernel(scaled, time, largest, tolerance)
            error = torch.linalg.matrix_norm(series.to_dense() - exact, 2)
            assert float(error) <= tolerance * (1 + 1e-5) + 1e-11
        basis = eigenbasis(operator)
        torch.testing.assert_close(basis.filter(x, lambda v: (-time * v).exp()), exact @ x, rtol=1e-8, atol=1e-8)


def test_heat_keeps_its_amount() -> None:
    adjacency = undirected(8, 20, 3)
    warm = heat_kernel(scaled_laplacian(adjacency, "combinatorial", 20.0), 2.0, 20.0, 1e-10) @ draw(8, 3)
    torch.testing.assert_close(warm.sum(0), draw(8, 3).sum(0))


@pytest.mark.parametrize("restart", [0.05, 0.5, 1.0])
def test_pagerank_meets_its_dense_solution(restart: float) -> None:
    walk, x = random_walk(random_graph(9, 30, 2)), draw(9, 2)
    exact = exact_pagerank(walk, restart)
    torch.testing.assert_close(PersonalizedPageRank(walk, restart) @ x, exact @ x)
    torch.testing.assert_close(PersonalizedPageRank(walk, restart).T @ x, exact.T @ x)
    # the error of each number is one of a product with a matrix whose rows sum to at most 1
    first = float((x - exact @ x).abs().max())
    for steps in (1, 3, 10):
        error = float((PersonalizedPageRank(walk, restart, steps) @ x - exact @ x).abs().max())
        assert error <= (1 - restart) ** steps * first + 1e-12
    enough = pagerank_steps(restart)
    assert (1 - restart) ** enough <= 1e-7 < (1 - restart) ** (enough - 1)
    assert float((PersonalizedPageRank(walk, restart, enough) @ x - exact @ x).abs().max()) <= 1e-7 * first + 1e-15
    early = PersonalizedPageRank(walk, restart, tolerance=1e-4) @ x
    assert 0 < float((early - exact @ x).abs().max()) < 1e-4 / restart or restart == 1.0


def test_pagerank_on_a_strongly_connected_graph_is_a_distribution() -> None:
    adjacency = family(networkx.cycle_graph(7))
    exact = exact_pagerank(random_walk(adjacency), 0.15)
    torch.testing.assert_close(exact.sum(1), torch.ones(7).double())
    assert bool((exact > 0).all())


def test_triangles_are_those_networkx_counts() -> None:
    graph = networkx.gnp_random_graph(14, 0.4, seed=3)
    counted = triangles(family(graph))
    of_node = torch.tensor([2.0 * networkx.triangles(graph)[n] for n in range(14)])
    torch.testing.assert_close(counted.in_degree(weighted=True).float(), of_node)
    assert bool((counted.weight > 0).all())  # type: ignore[operator]
    assert triangles(family(networkx.cycle_graph(5))).num_edges == 0
    doubled = Adjacency.from_edges([0, 0, 1, 2, 1], [1, 1, 2, 0, 1], 3)
    directed = triangles(doubled).to_dense()
    assert directed.sum() == 0  # a cycle is not closed by i → j → k and i → k
    closed = triangles(Adjacency.from_edges([0, 0, 1, 0], [1, 1, 2, 2], 3))
    assert closed.edge_index().tolist() == [[0], [2]]


@given(**graphs)
def test_triangles_are_their_formula(nodes: int, edges: int, seed: int) -> None:
    adjacency = random_graph(nodes, edges, seed, loops=True)  # directed, with duplicates
    plain = (adjacency.with_weight(None).to_dense() > 0).double().fill_diagonal_(0.0)
    torch.testing.assert_close(triangles(adjacency).to_dense(), plain * (plain @ plain))


def test_triangles_around_a_hub_take_no_square() -> None:
    leaves = 200_000  # whose square would have 4e10 entries
    leaf = torch.arange(1, leaves + 1)
    ends = torch.cat([torch.stack([leaf, torch.zeros_like(leaf)]), torch.tensor([[1], [2]])], 1)
    both = torch.cat([ends, ends.flip(0)], 1)
    found = triangles(Adjacency.from_edges(both[0], both[1], leaves + 1))
    assert found.edge_index().T.tolist() == [[1, 0], [2, 0], [0, 1], [2, 1], [0, 2], [1, 2]]
    assert found.values(torch.float64).tolist() == [1.0] * 6


@pytest.mark.parametrize("time", [0.0, 1e-3, 10.0, 1e4])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-9, 2.3e-16])
def test_the_heat_series_ends_where_its_coefficients_sum_to_one(time: float, tolerance: float) -> None:
    sizes = [abs(c) for c in heat_kernel(Identity(3), time, tolerance=tolerance).coefficients]
    assert 1.0 - math.fsum(sizes) <= tolerance + 1e-14
    assert len(sizes) == 1 or 1.0 - math.fsum(sizes[:-1]) > 0.99 * tolerance - 1e-14  # no sooner
    assert len(sizes) <= math.sqrt(2.0 * time * math.log(2.0 / tolerance)) + math.log(2.0 / tolerance) + 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lower_precision_is_close(dtype: torch.dtype) -> None:
    adjacency, x = undirected(30, 90, 4), draw(30, 3)
    for operator in (
        kipf(adjacency),
        laplacian(adjacency, "combinatorial"),
        scaled_laplacian(adjacency, largest=1.5),
        heat_kernel(scaled_laplacian(adjacency), 3.0),
        PersonalizedPageRank(symmetric(adjacency), 0.2, 20),
    ):
        found, exact = operator @ x.to(dtype), operator @ x
        assert found.dtype == dtype
        tolerance = 1e-5 if dtype == torch.float32 else 0.1
        torch.testing.assert_close(found.double(), exact, rtol=tolerance, atol=tolerance)


def test_without_nodes_and_without_edges() -> None:
    nobody, hermits = Adjacency.from_edges([], [], 0), Adjacency.from_edges([], [], 4)
    for make in (kipf, symmetric, random_walk, laplacian, scaled_laplacian):
        assert (make(nobody) @ draw(0, 3)).shape == (0, 3)
        assert (make(hermits) @ draw(4, 3)).shape == (4, 3)
    assert scaled_laplacian(nobody, "combinatorial").to_dense().shape == (0, 0)
    torch.testing.assert_close(scaled_laplacian(hermits, "combinatorial").to_dense(), -torch.eye(4).double())
    torch.testing.assert_close(kipf(hermits).to_dense(), torch.eye(4).double())
    assert eigenbasis(laplacian(nobody)).vectors.shape == (0, 0)
    torch.testing.assert_close(PersonalizedPageRank(symmetric(hermits), 0.3, 50) @ draw(4, 1), 0.3 * draw(4, 1))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: kipf(GRAPH) @ draw(5, 2), "x has shape"),
        (lambda: kipf(GRAPH) + Identity(3), "cannot be added"),
        (lambda: kipf(GRAPH) @ Identity(3), "cannot be multiplied"),
        (lambda: kipf(GRAPH) ** -1, "exponent is -1"),
        (lambda: laplacian(GRAPH, "normalised"), "kind of Laplacian 'normalised'"),  # type: ignore[arg-type]
        (lambda: scaled_laplacian(GRAPH, largest=0.0), "largest is 0.0"),
        (lambda: list(chebyshev(kipf(GRAPH), draw(6, 1), -1)), "order is -1"),
        (lambda: Diagonal(eye), "a diagonal of shape"),
        (lambda: ChebyshevSeries(Identity(3), []), "coefficients is empty"),
        (lambda: heat_kernel(kipf(GRAPH), -1.0), "time is -1.0"),
        (lambda: heat_kernel(kipf(GRAPH), 1.0, tolerance=1.0), "tolerance 1.0"),
        (lambda: heat_kernel(kipf(GRAPH), 1.0, tolerance=1e-16), "tolerance 1e-16: above 0, tolerance from 2.2e-16"),
        (lambda: heat_kernel(kipf(GRAPH), math.inf), "time is inf: heat spreads in finite times"),
        (lambda: heat_kernel(kipf(GRAPH), math.nan), "time is nan"),
        (lambda: heat_kernel(kipf(GRAPH), 1e12), "6.5e\\+06 terms, a product each, above 100,000"),
        (lambda: heat_kernel(kipf(GRAPH), 1.0, math.inf), "largest inf"),
        (lambda: pagerank_steps(0.0), "restart is 0.0"),
        (lambda: pagerank_steps(1e-6), "restart is 1e-06.*pagerank_series"),
        (lambda: PersonalizedPageRank(kipf(GRAPH), 0.0), "restart is 0.0"),
        (lambda: PersonalizedPageRank(kipf(GRAPH), 0.5, -1), "iterations is -1"),
        (lambda: exact_pagerank(kipf(GRAPH), 1.5), "restart is 1.5"),
        (lambda: eigenbasis(random_walk(undirected(9, 12, 1))), "not symmetric"),
        (lambda: eigenbasis(laplacian(GRAPH)), "both directions"),
        (lambda: eigenbasis(Identity(3), 4), "count is 4"),
        (lambda: largest_eigenvalue(Identity(0)), "no eigenvalues"),
    ],
)
def test_what_cannot_be_is_refused(act: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        act()
