"""The sparse kernels against plain loops, and their gradients against float64 finite differences."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from layer_harness import random_graph
from torch import Tensor

from renote.errors import UsageError
from renote.graph import (
    Adjacency,
    SparseFeatures,
    additive_attention,
    attend,
    dot_scores,
    entry_softmax,
    neighbor_max,
    neighbor_mean,
    sampled_product,
    segment_max,
    segment_mean,
    segment_sum,
    spmm,
)
from renote.graph.dropout import dropout
from renote.graph.pattern import LONG, Pattern, repeated


def loop(adjacency: Adjacency, x: Tensor, reduce: Callable[[Tensor], Tensor]) -> Tensor:
    rows = []
    for node in range(adjacency.num_nodes):
        arriving = adjacency.source[adjacency.target == node].long()
        rows.append(reduce(x[arriving]) if len(arriving) else torch.zeros_like(x[0]))
    return torch.stack(rows) if rows else x


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


graphs = {"nodes": st.integers(1, 9), "edges": st.integers(0, 30), "seed": st.integers(0, 10**6)}


@given(**graphs)
def test_sum_mean_and_max_are_loops_over_neighbours(nodes: int, edges: int, seed: int) -> None:
    adjacency, x = random_graph(nodes, edges, seed, loops=True), draw(nodes, 3, seed=seed)
    torch.testing.assert_close(spmm(adjacency, x), loop(adjacency, x, lambda m: m.sum(0)))
    torch.testing.assert_close(neighbor_mean(adjacency, x), loop(adjacency, x, lambda m: m.mean(0)))
    torch.testing.assert_close(neighbor_max(adjacency, x), loop(adjacency, x, lambda m: m.max(0).values))
    single = x.float()
    torch.testing.assert_close(spmm(adjacency, single).double(), spmm(adjacency, x), rtol=1e-4, atol=1e-5)


@given(**graphs)
def test_weighted_sum_is_the_dense_product(nodes: int, edges: int, seed: int) -> None:
    plain = random_graph(nodes, edges, seed, loops=True)
    weight = draw(plain.num_edges, seed=seed)
    adjacency, x = plain.with_weight(weight), draw(nodes, 3, seed=seed)
    torch.testing.assert_close(spmm(adjacency, x), adjacency.to_dense() @ x)
    torch.testing.assert_close(spmm(plain, x, weight), adjacency.to_dense() @ x)
    torch.testing.assert_close(spmm(adjacency.transpose(), x), adjacency.to_dense().T @ x)
    entries = (draw(nodes, 3, seed=1) @ x.T)[plain.target.long(), plain.source.long()]
    torch.testing.assert_close(sampled_product(plain.pattern, draw(nodes, 3, seed=1), x), entries)


ADJACENCY = random_graph(6, 16, 5, loops=True)


@pytest.mark.parametrize("width", [1, 3, 64])
def test_gradients_of_the_sum(width: int) -> None:
    x, weight = draw(6, width).requires_grad_(), draw(ADJACENCY.num_edges).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: spmm(ADJACENCY, x), (x,))
    constant = ADJACENCY.with_weight(weight.detach())
    assert torch.autograd.gradcheck(lambda x: spmm(constant, x), (x,))
    assert torch.autograd.gradcheck(lambda x, w: spmm(ADJACENCY, x, w), (x, weight))


def test_gradients_of_gradients() -> None:
    x, weight = draw(6, 2).requires_grad_(), draw(ADJACENCY.num_edges).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x, w: spmm(ADJACENCY, x, w), (x, weight))


@pytest.mark.parametrize("function", [neighbor_mean, neighbor_max])
def test_gradients_of_mean_and_max(function: Callable[[Adjacency, Tensor], Tensor]) -> None:
    assert torch.autograd.gradcheck(lambda x: function(ADJACENCY, x), (draw(6, 3).requires_grad_(),))


def test_gradient_of_the_sampled_product() -> None:
    left, right = draw(6, 3).requires_grad_(), draw(6, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: sampled_product(ADJACENCY.pattern, a, b), (left, right))


@pytest.mark.parametrize("function", [segment_sum, segment_mean, segment_max])
def test_gradients_of_segments(function: Callable[..., Tensor]) -> None:
    segment = torch.tensor([2, 0, 0, 2, 1, 2])
    assert torch.autograd.gradcheck(lambda x: function(x, segment, 5), (draw(6, 3).requires_grad_(),))


@given(items=st.lists(st.integers(0, 4), max_size=12), seed=st.integers(0, 10**6))
def test_segments_are_loops(items: list[int], seed: int) -> None:
    segment, x = torch.tensor(items, dtype=torch.long), draw(len(items), 2, seed=seed)
    for function, plain in (
        (segment_sum, lambda m: m.sum(0)),
        (segment_mean, lambda m: m.mean(0)),
        (segment_max, lambda m: m.max(0).values),
    ):
        expected = [plain(x[segment == s]) if bool((segment == s).any()) else torch.zeros(2).double() for s in range(6)]
        torch.testing.assert_close(function(x, segment, 6), torch.stack(expected))


def test_ties_of_a_maximum_give_the_gradient_to_one() -> None:
    adjacency = Adjacency.from_edges([0, 1], [2, 2], 3)
    x = torch.ones(3, 1, requires_grad=True)
    neighbor_max(adjacency, x).sum().backward()
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [1.0, 0.0, 0.0]


def test_sums_are_deterministic() -> None:
    adjacency, x = random_graph(500, 20_000, 1), torch.randn(500, 64)
    assert all(torch.equal(spmm(adjacency, x), spmm(adjacency, x)) for _ in range(3))


def test_signals_of_any_rank() -> None:
    x = draw(6, 2, 3)
    torch.testing.assert_close(spmm(ADJACENCY, x)[:, 1], spmm(ADJACENCY, x[:, 1]))
    assert spmm(ADJACENCY, draw(6, 0)).shape == (6, 0)
    assert spmm(Adjacency.from_edges([], [], 0), draw(0, 3)).shape == (0, 3)


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(UsageError, match="5 rows"):
        spmm(ADJACENCY, draw(5, 2))
    with pytest.raises(UsageError, match="one number an edge"):
        spmm(ADJACENCY, draw(6, 2), draw(3))
    with pytest.raises(UsageError, match="num_segments is missing"):
        segment_sum(draw(2, 1), torch.tensor([0, 1]))
    with pytest.raises(UsageError, match="segment 7"):
        segment_sum(draw(2, 1), torch.tensor([0, 7]), 3)


def test_sparse_features_are_their_dense_matrix() -> None:
    dense = torch.tensor([[0.0, 2.0, 0.0], [1.0, 0.0, -3.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    from scipy.sparse import csr_array

    sparse = SparseFeatures.from_scipy(csr_array(dense.numpy()), torch.float64)
    weight = draw(3, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda w: sparse @ w, (weight,))
    torch.testing.assert_close(sparse @ weight, dense @ weight)
    torch.testing.assert_close(sparse.to_dense(), dense)
    rows = sparse.normalize_rows().to_dense()
    torch.testing.assert_close(rows.abs().sum(1), torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))


def test_sparse_dropout_keeps_the_mean_and_drops_only_what_is_there() -> None:
    from scipy.sparse import csr_array

    sparse = SparseFeatures.from_scipy(csr_array(torch.ones(100, 50).numpy()))
    torch.manual_seed(0)
    dropped = sparse.dropout(0.25).to_dense()
    assert dropped.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.03)
    assert sparse.dropout(0.25, training=False) is sparse


def test_the_graph_of_the_gradient_tests_has_duplicates_and_loops() -> None:
    assert ADJACENCY.pattern.distinct[1] is not None
    assert bool((ADJACENCY.source == ADJACENCY.target).any())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_close_to_double(dtype: torch.dtype) -> None:
    def gradients(dtype: torch.dtype) -> list[Tensor]:
        x, weight = draw(6, 4).to(dtype).requires_grad_(), draw(ADJACENCY.num_edges).to(dtype).requires_grad_()
        outs = [spmm(ADJACENCY, x, weight), neighbor_mean(ADJACENCY, x), neighbor_max(ADJACENCY, x)]
        sum((out.square().sum() for out in outs), start=torch.zeros((), dtype=dtype)).backward()
        assert x.grad is not None
        assert weight.grad is not None
        assert {out.dtype for out in outs} == {x.grad.dtype, weight.grad.dtype} == {dtype}
        return [out.detach().double() for out in (*outs, x.grad, weight.grad)]

    for half, exact in zip(gradients(dtype), gradients(torch.float64), strict=True):
        torch.testing.assert_close(half, exact, rtol=0.03, atol=0.3)


def test_gradients_that_come_in_any_layout() -> None:
    x, weight = draw(4, 6).t().requires_grad_(), draw(ADJACENCY.num_edges).requires_grad_()
    dense = torch.zeros(6, 6, dtype=torch.float64)
    place = ADJACENCY.target.long(), ADJACENCY.source.long()
    for upstream in (draw(4, 6, seed=2).t(), torch.ones((), dtype=torch.float64).expand(6, 4)):
        found = torch.autograd.grad(spmm(ADJACENCY, x, weight), (x, weight), upstream)
        expected = torch.autograd.grad(dense.index_put(place, weight, accumulate=True) @ x, (x, weight), upstream)
        torch.testing.assert_close(found, expected)


def test_without_edges_everything_is_zero_and_so_are_gradients() -> None:
    empty = Adjacency.from_edges([], [], 3)
    for function in (spmm, neighbor_mean, neighbor_max):
        x = draw(3, 2).requires_grad_()
        out = function(empty, x)
        out.sum().backward()
        assert out.tolist() == [[0.0, 0.0]] * 3
        assert x.grad is not None
        assert x.grad.tolist() == [[0.0, 0.0]] * 3
    weight = torch.zeros(0, dtype=torch.float64, requires_grad=True)
    spmm(empty, draw(3, 2), weight).sum().backward()
    assert weight.grad is not None
    assert weight.grad.shape == (0,)


def test_a_maximum_of_minus_infinity_stays() -> None:
    x = torch.tensor([[-torch.inf], [2.0], [0.0]])
    assert neighbor_max(Adjacency.from_edges([0, 0, 1], [1, 2, 2], 3), x).flatten().tolist() == [0.0, -torch.inf, 2.0]


def test_integers_are_refused_with_the_way_out() -> None:
    for function in (spmm, neighbor_mean, neighbor_max):
        with pytest.raises(UsageError, match=r"x\.float\(\)"):
            function(ADJACENCY, torch.ones(6, 2, dtype=torch.long))


def test_the_transpose_is_kept_and_holds_no_circle() -> None:
    adjacency = random_graph(6, 16, 5)
    assert adjacency.pattern.transposed is adjacency.pattern.transposed
    assert adjacency.pattern.transposed.transposed is adjacency.pattern
    orphan, kept = adjacency.pattern.transposed, weakref.ref(adjacency.pattern)
    dense = adjacency.to_dense()
    gc.disable()
    try:
        del adjacency
        assert kept() is None
    finally:
        gc.enable()
    again = Adjacency(orphan.transposed)
    assert torch.equal(again.to_dense(), dense)
    assert torch.equal(Adjacency(orphan).pattern.column.index_select(0, orphan.to_transposed), again.target)


def test_sparse_dropout_has_the_gradient_of_its_own_draw() -> None:
    sparse = SparseFeatures.from_dense(draw(8, 5) * (draw(8, 5, seed=1) > 0)).dropout(0.5)
    weight = draw(5, 2).requires_grad_()
    upstream = draw(8, 2, seed=3)
    (found,) = torch.autograd.grad(sparse @ weight, weight, upstream)
    torch.testing.assert_close(found, sparse.to_dense().T @ upstream)


def test_sparse_features_share_no_memory_with_scipy() -> None:
    sparse = SparseFeatures.from_dense(torch.eye(3))
    sparse.to_scipy().data[:] = 5.0
    assert torch.equal(sparse.to_dense(), torch.eye(3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dropout_is_a_scaled_mask_drawn_at_its_rate(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.ones(200, 100, dtype=dtype, requires_grad=True)
    out = dropout(x, 0.25)
    assert out.dtype == dtype
    # four standard deviations of a share of 20,000 draws
    assert float((out == 0).double().mean()) == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 20_000) ** 0.5)
    assert set(out.flatten().tolist()) == {0.0, float(torch.tensor(4 / 3, dtype=dtype))}
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(gradient, out)
    assert torch.equal(dropout(x, 0.25, training=False), x)
    assert not dropout(x, 1.0).any()
    with pytest.raises(ValueError, match="probability"):
        dropout(x, 1.5)


@pytest.mark.parametrize("others", [1, 1_200_000], ids=["few rows", "many rows"])
def test_sums_over_a_hub_keep_their_precision(others: int) -> None:
    # added one after the other in single precision, a million numbers of 0.1 miss their sum by a hundredth; in pieces the error has this bound
    leaves = 1_000_000
    bound = {"rtol": (LONG + leaves / LONG) * 2.0**-24, "atol": 0.0}
    nodes = leaves + 1 + others
    hub = torch.zeros(leaves, dtype=torch.long)
    source, target = torch.arange(1, leaves + 2), torch.cat([hub, torch.tensor([3])])
    adjacency = Adjacency.from_edges(source, target, nodes)
    x = torch.full((nodes, 2), 0.1)
    x[:, 1] = torch.rand(nodes, generator=torch.Generator().manual_seed(0))
    for weight in (None, torch.rand(leaves + 1, generator=torch.Generator().manual_seed(1))):
        found = spmm(adjacency, x, weight).double()
        exact = spmm(adjacency, x.double(), None if weight is None else weight.double())
        torch.testing.assert_close(found, exact, **bound)
        assert not bool(found[4:].any())
    torch.testing.assert_close(neighbor_mean(adjacency, x)[0, 0], torch.tensor(0.1), **bound)
    # the gradient is a sum over the transpose
    x.requires_grad_()
    (grad,) = torch.autograd.grad((spmm(adjacency.transpose(), x)[:, 0] * 0.1).sum(), x)
    torch.testing.assert_close(grad[0, 0].double(), torch.tensor(0.1 * leaves, dtype=torch.float64), **bound)


def hub_graph() -> Adjacency:
    """Of 300 nodes, at the first of which more edges arrive than are summed in one run."""
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randint(300, (6000,), generator=generator) for _ in range(2))
    target[: 2 * LONG] = 0
    return Adjacency.from_edges(source, target, 300)


HUB = hub_graph()
SUMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "spmm": lambda x, e: spmm(HUB, x),
    "spmm, weights": lambda x, e: spmm(HUB, x, e[:, 0]),
    "kipf": lambda x, e: spmm(HUB.kipf(), x),
    "mean of neighbours": lambda x, e: neighbor_mean(HUB, x),
    "maximum of neighbours": lambda x, e: neighbor_max(HUB, x),
    "segment sum": lambda x, e: segment_sum(e, HUB.pattern.by_row),
    "segment mean": lambda x, e: segment_mean(e, HUB.pattern.by_row),
    "segment maximum": lambda x, e: segment_max(e, HUB.pattern.by_row),
    "sampled product": lambda x, e: sampled_product(HUB.pattern, x, x),
    "softmax": lambda x, e: entry_softmax(HUB.pattern, e[:, :4]),
    "attention": lambda x, e: attend(HUB.pattern, entry_softmax(HUB.pattern, e[:, :4]), x.unflatten(1, (4, -1))),
    "additive attention": lambda x, e: additive_attention(
        HUB.pattern, x[:, :4], x[:, 4:8], x[:, :16].unflatten(1, (4, -1))
    ),
    "scores": lambda x, e: dot_scores(HUB.pattern, x.unflatten(1, (4, -1)), x.unflatten(1, (4, -1))),
}


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_sums_over_edges_do_not_depend_on_the_number_of_threads(name: str, dtype: torch.dtype) -> None:
    x, edges = draw(300, 32).to(dtype), draw(HUB.num_edges, 32, seed=1).to(dtype)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            given = x.clone().requires_grad_(), edges.clone().requires_grad_()
            out = SUMS[name](*given)
            upstream = draw(*out.shape, seed=2).to(dtype)
            slopes = torch.autograd.grad(out, given, upstream, allow_unused=True)
            found.append([out, *(slope for slope in slopes if slope is not None)])
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))


@given(count=st.lists(st.integers(0, 4), max_size=6), dtype=st.sampled_from([torch.int32, torch.int64, torch.float64]))
def test_repeated_is_a_loop(count: list[int], dtype: torch.dtype) -> None:
    values = torch.arange(7, 7 + len(count)).to(dtype)
    expected = [value for value, times in zip(values.tolist(), count) for _ in range(times)]
    for number in (torch.int32, torch.int64):
        found = repeated(values, torch.tensor(count, dtype=number))
        assert found.tolist() == expected
        assert found.dtype == dtype


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=30), st.sampled_from([6, 2**60]))
def test_entries_are_sorted_as_lists_are(pairs: list[tuple[int, int]], columns: int) -> None:
    """With numbers that carry their places, and where numbers are too long for that."""
    row, column = torch.tensor(pairs, dtype=torch.long).view(-1, 2).unbind(1)
    column = column * (columns // 6)
    pattern, order = Pattern.from_pairs(row, column, 4, columns)
    expected = sorted(zip(row.tolist(), column.tolist(), range(len(row)), strict=True))
    places = torch.arange(len(row)) if order is None else order
    assert list(zip(pattern.row.tolist(), pattern.column.tolist(), places.tolist(), strict=True)) == expected
    assert (order is None) == (places.tolist() == list(range(len(row))))
