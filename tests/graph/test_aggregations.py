"""Aggregations against loops over their sets, attention over edges, jumping knowledge; parity with PyTorch Geometric."""

from __future__ import annotations

import importlib
import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from layer_harness import lstm, random_graph
from torch import Tensor

from renote.errors import UsageError
from renote.graph import (
    AGGREGATIONS,
    Adjacency,
    Aggregation,
    AttentionAggregation,
    DeepSetsAggregation,
    GATConvolution,
    Graph,
    JanossyAggregation,
    JumpingKnowledge,
    LSTMAggregation,
    MixtureConvolution,
    Pattern,
    PermutationAggregation,
    SAGEConvolution,
    SparseFeatures,
    additive_attention,
    aggregation,
    attend,
    batch,
    dot_scores,
    entry_softmax,
    neighborhood,
    on_columns,
    on_rows,
)

each_aggregation = pytest.mark.parametrize("name", AGGREGATIONS)
each_exact = pytest.mark.parametrize("name", [name for name in AGGREGATIONS if name != "permutations"])


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def make(name: str, features: int = 4, out_features: int | None = None) -> Aggregation:
    return aggregation(name, features, out_features).double().eval()


def plain(module: Aggregation, members: Tensor) -> Tensor:
    """The aggregation of one set that is not empty."""
    match next(name for name, kind in AGGREGATIONS.items() if type(module) is kind):
        case "sum":
            return members.sum(0)
        case "mean":
            return members.mean(0)
        case "max":
            return members.amax(0)
        case "min":
            return members.amin(0)
        case "std":
            return members.std(0, correction=0)
        case "attention":
            return (members @ module.query).squeeze(1).softmax(0) @ members
        case "pool":
            return (members @ module.weight + module.bias).relu().amax(0)
        case "gated":
            gate, value = (members @ module.weight + module.bias).chunk(2, 1)
            return (gate.sigmoid() * value.tanh()).sum(0)
        case "deepsets":
            return module.out(module.inner((members @ module.weight + module.bias).relu().sum(0)).relu())
        case "janossy":
            return janossy(module, members)
    return lstm(module, members)


def janossy(module: JanossyAggregation, members: Tensor) -> Tensor:
    """The mean over all tuples, one after the other; of fewer members than k, with zeros behind them."""
    arity = min(module.k, len(members))
    maps = module.weight.chunk(module.k, 1)
    said = []
    for chosen in itertools.permutations(range(len(members)), arity):
        inner = sum(members[j] @ maps[d] for d, j in enumerate(chosen)) + module.bias
        said.append(module.out(inner.relu()))
    return torch.stack(said).mean(0)


@each_exact
@given(nodes=st.integers(1, 9), edges=st.integers(0, 30), seed=st.integers(0, 10**6))
def test_each_set_alone(name: str, nodes: int, edges: int, seed: int) -> None:
    adjacency, x = random_graph(nodes, edges, seed, loops=True), draw(nodes, 4, seed=seed)
    module = make(name)
    out = module(x, adjacency)
    for node in range(nodes):
        arriving = adjacency.source[adjacency.target == node].long()
        expected = plain(module, x[arriving]) if len(arriving) else x.new_zeros(4)
        torch.testing.assert_close(out[node], expected, rtol=1e-7, atol=1e-7)


@each_aggregation
def test_gradients_of_aggregations(name: str) -> None:
    adjacency, module = random_graph(6, 16, 5, loops=True), make(name)
    assert torch.autograd.gradcheck(lambda x: module(x, adjacency), (draw(6, 4).requires_grad_(),))


@each_exact
def test_a_readout_of_graphs_with_an_empty_one(name: str) -> None:
    module = make(name)
    graphs = [Graph(draw(n, 4, seed=n), Adjacency.from_edges([], [], n)) for n in (3, 0, 5, 1, 0)]
    joined = batch(graphs)
    out = module(joined.x, joined.members)
    assert out.shape == (5, 4)
    for number, graph in enumerate(graphs):
        expected = plain(module, graph.x) if graph.num_nodes else torch.zeros(4).double()  # type: ignore[arg-type]
        torch.testing.assert_close(out[number], expected, rtol=1e-7, atol=1e-7)
    assert module(joined.x[:0], Pattern.from_segments(torch.zeros(0, dtype=torch.long), 0)).shape == (0, 4)


@each_aggregation
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lower_precision(name: str, dtype: torch.dtype) -> None:
    adjacency, x = random_graph(30, 150, 2), draw(30, 4)
    module = make(name)
    exact = module(x, adjacency)
    tolerance = 1e-5 if dtype == torch.float32 else 6e-2
    close = module.to(dtype)(x.to(dtype), adjacency)
    assert close.dtype == dtype
    torch.testing.assert_close(close.double(), exact, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["pool", "gated", "lstm", "deepsets", "janossy", "permutations"])
def test_those_that_project_take_sparse_features_and_any_width(name: str) -> None:
    module, adjacency = make(name, 6, 3), random_graph(8, 20, 1)
    dense = draw(8, 6) * (draw(8, 6, seed=1) > 0.5)
    out = module(dense, adjacency)
    assert module.out_features == 3
    assert out.shape == (8, 3)
    torch.testing.assert_close(module(SparseFeatures.from_dense(dense), adjacency), out)


def test_weights_count_in_sums_and_never_make_a_nan() -> None:
    weight = torch.tensor([-1.0, -3.0, 0.5, 0.0], dtype=torch.float64)
    adjacency, x = Adjacency.from_edges([0, 1, 2, 0], [1, 0, 1, 2], 3, weight), draw(3, 4)
    for name in AGGREGATIONS:
        assert bool(make(name)(x, adjacency).isfinite().all()), name
    torch.testing.assert_close(make("sum")(x, adjacency)[1], -x[0] + 0.5 * x[2])
    torch.testing.assert_close(make("mean")(x, adjacency)[1], (-x[0] + 0.5 * x[2]) / 1.5)
    attention = make("attention")
    score = (x @ attention.query).squeeze(1).exp()
    expected = (-score[0] * x[0] + 0.5 * score[2] * x[2]) / (score[0] + 0.5 * score[2])
    torch.testing.assert_close(attention(x, adjacency)[1], expected)
    assert torch.equal(attention(x, adjacency)[2], torch.zeros(4).double())


def test_the_lstm_reads_each_set_as_if_it_were_alone() -> None:
    """No padding leaks: what a node hears does not depend on how many neighbours another has."""
    module, x = make("lstm"), draw(40, 4)
    short = Adjacency.from_edges([1, 2], [0, 0], 40)
    long = Adjacency.from_edges([1, 2, *range(3, 40)], [0, 0, *[1] * 37], 40)
    assert torch.equal(module(x, short)[0], module(x, long)[0])
    torch.testing.assert_close(module(x, long)[0], lstm(module, x[1:3]))
    torch.testing.assert_close(module(x, long)[1], lstm(module, x[3:]))


def test_the_lstm_refuses_to_learn_from_a_hub_and_points_to_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    leaves = 100_000
    hub = Adjacency.from_edges(torch.arange(1, leaves + 1), torch.zeros(leaves, dtype=torch.long), leaves + 1)
    convolution = SAGEConvolution(2, 2, "lstm")
    with pytest.raises(UsageError, match="100,000 members.*in training at most 20,000.*fan_outs"):
        convolution(torch.zeros(leaves + 1, 2), hub)
    part = neighborhood(Graph(torch.ones(leaves + 1, 2), hub), torch.tensor([0]), [9])
    convolution(part.graph.x, part.graph.adjacency).sum().backward()
    monkeypatch.setattr("renote.graph.aggregate._MOST_READ", 3)
    module, x, over = make("lstm"), draw(5, 4), Pattern.from_segments(torch.zeros(5, dtype=torch.long), 1)
    with pytest.raises(UsageError, match="5 members"):
        module(x, over)
    with torch.no_grad():  # to predict it reads them all
        torch.testing.assert_close(module(x, over)[0], lstm(module, x))


def test_the_lstm_reads_in_the_order_of_the_members_and_in_training_in_any() -> None:
    module, x = make("lstm"), draw(3, 4)
    star = Adjacency.from_edges([2, 1], [0, 0], 3)
    torch.testing.assert_close(module(x, star)[0], lstm(module, x[[1, 2]]))
    module.train()
    torch.manual_seed(0)
    drawn = torch.stack([module(x, star)[0] for _ in range(40)]).detach()
    orders = torch.stack([lstm(module, x[[1, 2]]), lstm(module, x[[2, 1]])])
    nearest = (drawn[:, None] - orders).abs().amax(2).min(1)
    assert float(nearest.values.max()) < 1e-12
    assert set(nearest.indices.tolist()) == {0, 1}
    module.shuffle = False
    torch.testing.assert_close(module(x, star)[0], orders[0])


def test_the_deviation_survives_a_large_mean_and_equal_members() -> None:
    members = torch.tensor([[1000.0, 5.0], [1000.001, 5.0], [999.999, 5.0]])
    x = members.clone().requires_grad_()
    out = make("std")(x, Pattern.from_segments(torch.zeros(3, dtype=torch.long), 1))
    torch.testing.assert_close(out[0].double(), members.double().std(0, correction=0), rtol=1e-3, atol=0.0)
    assert float(out[0, 1].detach()) == 0.0
    out.sum().backward()
    assert bool(x.grad.isfinite().all())  # type: ignore[union-attr]


def test_attention_with_heads_is_attention_of_the_parts() -> None:
    module = AttentionAggregation(6, heads=2).double()
    adjacency, x = random_graph(7, 20, 3), draw(7, 6)
    parts = []
    for head in range(2):
        one = AttentionAggregation(3).double()
        scores = on_columns(adjacency.pattern, x @ module.query[:, head : head + 1])
        parts.append(
            attend(adjacency.pattern, entry_softmax(adjacency.pattern, scores), x[:, None, 3 * head :][..., :3])
        )
        assert one.heads == 1
    torch.testing.assert_close(module(x, adjacency), torch.cat(parts, 2).squeeze(1))


@pytest.mark.parametrize("k", [1, 2, 3])
@given(sizes=st.lists(st.integers(0, 5), min_size=1, max_size=4), seed=st.integers(0, 10**6))
def test_janossy_is_a_mean_over_tuples(k: int, sizes: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    module = JanossyAggregation(3, 2, k, hidden=5).double()
    x = draw(sum(sizes), 3, seed=seed)
    over = Pattern.from_segments(torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)), len(sizes))
    out = module(x, over)
    for row, members in enumerate(x.split(sizes)):
        expected = janossy(module, members) if len(members) else torch.zeros(2).double()
        torch.testing.assert_close(out[row], expected)


def test_one_ary_janossy_is_a_mean_and_pairs_see_more() -> None:
    """Of two sets with the same elements one by one, but other pairs, only pairs tell: sums of f(x) are equal, sums of products are not."""
    one, other = torch.tensor([[0.0], [0.0], [2.0], [2.0]]).double(), torch.tensor([[0.0], [2.0]]).double()
    over = [Pattern.from_segments(torch.zeros(n, dtype=torch.long), 1) for n in (4, 2)]
    for k, same in ((1, True), (2, False)):
        torch.manual_seed(3)
        module = JanossyAggregation(1, 1, k, hidden=8).double()
        assert torch.allclose(module(one, over[0]), module(other, over[1])) == same


def test_drawn_tuples_are_an_unbiased_estimate_of_different_members() -> None:
    torch.manual_seed(0)
    x, over = draw(6, 3), Pattern.from_segments(torch.tensor([0, 0, 0, 0, 1, 3]), 4)
    whole = JanossyAggregation(3, 2, 3).double()
    some = JanossyAggregation(3, 2, 3, tuples=40_000).double()
    some.load_state_dict(whole.state_dict())
    torch.testing.assert_close(some(x, over), whole(x, over), rtol=0.02, atol=0.02)
    assert torch.equal(some(x, over)[2], torch.zeros(2).double())
    tuples = some._tuples(over, 3)
    row, members = tuples.part(0, tuples.total)
    assert set(row.tolist()) == {0}
    assert len({tuple(sorted(m)) for m in members.tolist()}) == 4
    assert all(len(set(m)) == 3 for m in members.tolist())
    counts = torch.unique(members, dim=0, return_counts=True)[1]
    assert len(counts) == 24
    # each of 24 orders is expected 1667 times, with a deviation of 40
    assert int((counts - 40_000 / 24).abs().max()) < 5 * 40


@pytest.mark.parametrize("tuples", [0, 50])
def test_tuples_go_through_in_parts(tuples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same mean and gradients from parts of any size, and what is kept for the way back does not grow with the tuples."""
    module_of = importlib.import_module("renote.graph.set_aggregate")
    torch.manual_seed(0)
    module = JanossyAggregation(3, 2, 3, tuples, hidden=4).double().eval()
    x, outgoing = draw(10, 3).requires_grad_(), draw(6, 2)
    sizes = torch.tensor([4, 0, 1, 2, 3, 0])
    over = Pattern.from_segments(torch.arange(6).repeat_interleave(sizes), 6)
    found = []
    for most in (2**23, 40, 8):
        monkeypatch.setattr(module_of, "_CHUNK", most)
        out = module(x, over)
        found.append([out, *torch.autograd.grad(out, [x, *module.parameters()], outgoing)])
    for other in found[1:]:
        torch.testing.assert_close(other, found[0])


def test_what_is_kept_of_tuples_for_the_way_back_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("renote.graph.set_aggregate"), "_CHUNK", 2**12)
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    over = Pattern.from_segments(torch.zeros(200, dtype=torch.long), 1)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        JanossyAggregation(3, 2, 2, hidden=8).double()(draw(200, 3), over)
    # not even a number for each of 200² pairs, let alone eight
    assert sum(kept.values()) < 200 * 200 / 2


def test_what_is_drawn_after_training_can_be_had_again() -> None:
    x, over = draw(9, 4), Pattern.from_segments(torch.zeros(9, dtype=torch.long), 1)
    for module in (PermutationAggregation(4, 4, 1, 2), JanossyAggregation(4, 4, 2, tuples=3)):
        module = module.double()
        assert not torch.equal(module(x, over), module(x, over))
        module.eval()
        assert torch.equal(module(x, over), module(x, over))
    with pytest.raises(UsageError, match="to_predict is 0"):
        PermutationAggregation(4, 4, 1, 0)


def test_permutations_are_read_in_drawn_orders_and_averaged() -> None:
    torch.manual_seed(0)
    module, x = PermutationAggregation(4, 4, 3000).double(), draw(3, 4)
    over = Pattern.from_segments(torch.zeros(3, dtype=torch.long), 1)
    every = torch.stack([lstm(module, x[list(order)]) for order in itertools.permutations(range(3))]).mean(0)
    with torch.no_grad():
        torch.testing.assert_close(module.eval()(x, over)[0], every, rtol=0.02, atol=0.01)
    module.train().permutations = 1
    assert len({tuple(module(x, over)[0].tolist()) for _ in range(60)}) == 6


def test_sums_grow_with_a_set_and_its_weights() -> None:
    module, x = DeepSetsAggregation(4, 2, 3).double(), draw(3, 4)
    weight = torch.tensor([2.0, 0.5], dtype=torch.float64)
    out = module(x, Adjacency.from_edges([1, 2], [0, 0], 3, weight))
    phi = (x @ module.weight + module.bias).relu()
    torch.testing.assert_close(out[0], module.out(module.inner(2 * phi[1] + 0.5 * phi[2]).relu()))


ADJACENCY = random_graph(6, 16, 5, loops=True)


def test_the_softmax_over_entries_is_a_softmax_for_each_row() -> None:
    pattern = ADJACENCY.pattern
    scores = draw(pattern.num_entries, 3)
    shares = entry_softmax(pattern, scores)
    for row in range(6):
        of = pattern.row == row
        torch.testing.assert_close(shares[of], scores[of].softmax(0))
    shifted = entry_softmax(pattern, scores + 1e4 * on_rows(pattern, draw(6, 3)))
    torch.testing.assert_close(shifted, shares, rtol=1e-9, atol=1e-9)
    assert bool(entry_softmax(pattern, 1e6 * scores).isfinite().all())
    doubled = entry_softmax(pattern, scores, torch.full((pattern.num_entries,), 2.0))
    torch.testing.assert_close(doubled, shares)


def test_gradients_of_gradients_of_attention() -> None:
    pattern = ADJACENCY.pattern
    scores, x = draw(pattern.num_entries, 2).requires_grad_(), draw(6, 2, 3).requires_grad_()
    ends = draw(6, 2).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda s: entry_softmax(pattern, s), (scores,))
    assert torch.autograd.gradgradcheck(lambda s, x: attend(pattern, s, x), (scores, x))
    assert torch.autograd.gradgradcheck(lambda q, k: dot_scores(pattern, q, k), (x, draw(6, 2, 3).requires_grad_()))
    assert torch.autograd.gradcheck(lambda s: on_rows(pattern, s), (ends,))
    assert torch.autograd.gradcheck(lambda s: on_columns(pattern, s), (ends,))


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("edges", [0, 16])
def test_attention_head_by_head_is_attention_in_steps(drop: bool, edges: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # two nodes without arrivals, an edge that is there twice
    source, receiver = torch.randint(6, (edges,)), torch.randint(4, (edges,))
    adjacency = Adjacency.from_edges(torch.cat([source, source[:1]]), torch.cat([receiver, receiver[:1]]), 6)
    pattern = adjacency.pattern
    inputs = [draw(6, 3).requires_grad_(), (4 * draw(6, 3)).requires_grad_(), draw(6, 3, 2).requires_grad_()]
    kept = 2.0 * (torch.rand(3, pattern.num_entries) < 0.5).double() if drop else None

    def attention(*ends: Tensor) -> Tensor:
        return additive_attention(pattern, *ends, kept=kept)

    outgoing = draw(6, 3, 2)
    found = []
    for many in (2**23, 0):
        monkeypatch.setattr(importlib.import_module("renote.graph.attend"), "MANY", many)
        out = attention(*inputs)
        found.append([out, *torch.autograd.grad(out, inputs, outgoing)])
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(attention, inputs)
    assert torch.autograd.gradgradcheck(attention, inputs)


def test_attention_head_by_head_keeps_half_precision_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("renote.graph.attend"), "MANY", 0)
    pattern = ADJACENCY.pattern
    ends = [draw(6, 2), draw(6, 2), draw(6, 2, 3)]
    expected = additive_attention(pattern, *ends)
    halves = [end.to(torch.bfloat16).requires_grad_() for end in ends]
    out = additive_attention(pattern, *halves)
    out.sum().backward()
    assert out.dtype == torch.bfloat16
    assert all(end.grad is not None and end.grad.dtype == torch.bfloat16 for end in halves)
    torch.testing.assert_close(out.double(), expected, rtol=0.05, atol=0.05)


@given(rows=st.integers(1, 6), columns=st.integers(1, 6), entries=st.integers(0, 15), count=st.integers(1, 4))
def test_blocks_are_the_pattern_along_a_diagonal(rows: int, columns: int, entries: int, count: int) -> None:
    row, column = torch.randint(rows, (entries,)), torch.randint(columns, (entries,))
    pattern, _ = Pattern.from_pairs(row, column, rows, columns)
    values = draw(count, entries)

    def dense(pattern: Pattern, values: Tensor) -> Tensor:
        out = torch.zeros(pattern.num_rows, pattern.num_columns, dtype=torch.float64)
        return out.index_put_((pattern.row.long(), pattern.column.long()), values, accumulate=True)

    blocks = pattern.blocks(count)
    expected = torch.block_diag(*[dense(pattern, one) for one in values])
    torch.testing.assert_close(dense(blocks, values.reshape(-1)), expected)
    turned = dense(blocks.transposed, values.reshape(-1)[blocks.to_transposed.long()])
    torch.testing.assert_close(turned, expected.T)
    assert blocks.transposed.transposed is blocks
    assert pattern.blocks(count) is blocks


def test_what_does_not_fit_is_refused() -> None:
    pattern = ADJACENCY.pattern
    with pytest.raises(UsageError, match=r"scores of shape \(3, 1\) for"):
        entry_softmax(pattern, torch.zeros(3, 1))
    with pytest.raises(UsageError, match="shares of shape"):
        attend(pattern, torch.zeros(pattern.num_entries, 2), torch.zeros(6, 3, 1))
    with pytest.raises(UsageError, match="heads is 3: it must divide the 4 features"):
        AttentionAggregation(4, heads=3)
    with pytest.raises(UsageError, match="k is 0"):
        JanossyAggregation(4, k=0)
    with pytest.raises(UsageError, match="permutations is 0"):
        PermutationAggregation(4, permutations=0)
    with pytest.raises(UsageError, match="all tuples of 3 members of a set of 400 are too many: give `tuples`"):
        JanossyAggregation(4, k=3)(torch.zeros(400, 4), Pattern.from_segments(torch.zeros(400).long(), 1))
    with pytest.raises(UsageError, match="Did you mean lstm"):
        aggregation("lstn", 4)
    with pytest.raises(UsageError, match="aggregation"):
        SAGEConvolution(4, 4, "lstn")
    with pytest.raises(UsageError, match="heads is 0"):
        GATConvolution(4, 4, heads=0)
    with pytest.raises(UsageError, match="kernels is 0"):
        MixtureConvolution(4, 4, kernels=0)
    with pytest.raises(UsageError, match=r"coordinates of shape \(2, 2\) for"):
        MixtureConvolution(4, 4)(torch.zeros(6, 4), ADJACENCY, torch.zeros(2, 2))
    for name in ("attention", "pool", "gated", "lstm", "deepsets", "janossy"):
        with pytest.raises(UsageError, match="3 features a node and the aggregation takes 4"):
            aggregation(name, 4)(torch.zeros(6, 3), ADJACENCY)
    with pytest.raises(UsageError, match="mode of jumping"):
        JumpingKnowledge("mean", 4, 2)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="layers is 0"):
        JumpingKnowledge("max", 4, 0)
    with pytest.raises(UsageError, match="2 of 4 features"):
        JumpingKnowledge("max", 4, 2)([torch.zeros(3, 4)])


def test_sage_with_an_lstm_is_pygs() -> None:
    geometric = pytest.importorskip("torch_geometric.nn")
    # three neighbours each: on sets of different sizes the peer's LSTM reads its padding
    source = torch.randint(20, (60,), generator=torch.Generator().manual_seed(1))
    target = torch.arange(20).repeat_interleave(3)
    adjacency, x = Adjacency.from_edges(source, target, 20), torch.randn(20, 5, requires_grad=True)
    ours = SAGEConvolution(5, 4, "lstm", normalize=True).eval()
    theirs = geometric.SAGEConv(5, 4, aggr="lstm", normalize=True)
    assert isinstance(ours.aggregate, LSTMAggregation)
    with torch.no_grad():
        theirs.lin_l.weight.copy_(ours.weight_neighbors.T)
        theirs.lin_r.weight.copy_(ours.weight_self.T)  # type: ignore[union-attr]
        theirs.lin_l.bias.copy_(ours.bias.normal_())  # type: ignore[union-attr]
        reader = theirs.aggr_module.lstm
        reader.weight_ih_l0.copy_(ours.aggregate.input.T)
        reader.weight_hh_l0.copy_(ours.aggregate.state.T)
        reader.bias_ih_l0.copy_(ours.aggregate.bias)
        reader.bias_hh_l0.zero_()
    out, expected = ours(x, adjacency), theirs(x, adjacency.edge_index())
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    upstream = torch.randn_like(out)
    inner = [ours.aggregate.input, ours.aggregate.state]
    found = torch.autograd.grad(out, [x, *inner], upstream)
    peers = torch.autograd.grad(expected, [x, reader.weight_ih_l0, reader.weight_hh_l0], upstream)
    for one, other in zip(found, (peers[0], peers[1].T, peers[2].T), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("widths", [(5, 3), (3, 5)])
def test_mixture_is_pygs(widths: tuple[int, int]) -> None:
    geometric = pytest.importorskip("torch_geometric.nn")
    adjacency, x = random_graph(30, 120, 0, loops=True), torch.randn(30, widths[0])
    coordinates = torch.rand(adjacency.num_edges, 2)
    ours = MixtureConvolution(*widths, kernels=3)
    theirs = geometric.GMMConv(*widths, dim=2, kernel_size=3, aggr="add")
    with torch.no_grad():
        theirs.root.weight.zero_()
        theirs.g.copy_(ours.weight)
        theirs.mu.copy_(ours.center)
        theirs.sigma.copy_(ours.inverse_deviation.uniform_(0.5, 2.0).reciprocal())
        theirs.bias.copy_(ours.bias.normal_())  # type: ignore[union-attr]
    expected = theirs(x, adjacency.edge_index(), coordinates)
    torch.testing.assert_close(ours(x, adjacency, coordinates), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("mode", "theirs_name"), [("concat", "cat"), ("max", "max"), ("lstm", "lstm")])
def test_jumping_knowledge_is_pygs(mode: str, theirs_name: str) -> None:
    geometric = pytest.importorskip("torch_geometric.nn")
    hidden = [torch.randn(9, 4) for _ in range(3)]
    ours = JumpingKnowledge(mode, 4, 3)  # type: ignore[arg-type]
    theirs = geometric.JumpingKnowledge(theirs_name, 4, 3)
    if ours.lstm is not None and ours.score is not None:
        theirs.lstm.load_state_dict(ours.lstm.state_dict())
        theirs.att.load_state_dict(ours.score.state_dict())
    out = ours(hidden)
    torch.testing.assert_close(out, theirs(hidden))
    assert out.shape == (9, ours.out_features)
    assert ours([h[:0] for h in hidden]).shape == (0, ours.out_features)


def test_attention_dropout_falls_on_shares_in_training_alone() -> None:
    adjacency, x = random_graph(30, 200, 1), torch.randn(30, 4)
    layer = GATConvolution(4, 3, heads=2, attention_dropout=0.5, bias=False)
    kept = torch.stack([layer(x, adjacency) for _ in range(2000)]).mean(0)
    exact = layer.eval()(x, adjacency)
    assert torch.equal(exact, layer(x, adjacency))
    torch.testing.assert_close(kept, exact, rtol=0.1, atol=0.12)


def test_sparse_features_serve_each_convolution() -> None:
    dense = torch.rand(20, 9) * (torch.rand(20, 9) < 0.3)
    sparse, adjacency = SparseFeatures.from_dense(dense), random_graph(20, 60, 4)
    for layer in (
        GATConvolution(9, 4, heads=2),
        MixtureConvolution(9, 4),
        *(SAGEConvolution(9, width, name).eval() for name in ("gcn", *AGGREGATIONS) for width in (4, 12)),
    ):
        torch.testing.assert_close(layer(sparse, adjacency), layer(dense, adjacency), rtol=1e-4, atol=1e-5)
