"""Every pool in one form: what it selects, reduces, connects and lifts; pools that learn nothing; and the three tests of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from layer_harness import permuted

from renote import systems
from renote.data import Card, GraphData
from renote.errors import UsageError
from renote.experiment import Lab, pools, train
from renote.graph import (
    POOLS,
    Adjacency,
    FixedPool,
    GeneralConvolution,
    Graph,
    Keeping,
    PoolAutoencoder,
    PoolClassifier,
    batch,
    decimate,
    degree_features,
    dominant_matching,
    make_pool,
    pairs,
    pick,
)

each = pytest.mark.parametrize("name", POOLS)


def undirected(nodes: int, edges: list[tuple[int, int]]) -> Adjacency:
    ends = torch.tensor(sorted({(a, b) for a, b in edges if a != b} | {(b, a) for a, b in edges if a != b}))
    ends = ends.reshape(-1, 2).long()
    return Adjacency.from_edges(ends[:, 0], ends[:, 1], nodes)


def drawn(nodes: int, seed: int, features: int = 3) -> Graph:
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randint(max(nodes, 1), (2 * nodes, 2), generator=generator).tolist() if nodes else []
    return Graph(torch.randn(nodes, features, generator=generator), undirected(nodes, [(a, b) for a, b in ends]))


EMPTY, LONE = drawn(0, 0), Graph(torch.ones(1, 3), undirected(1, []))


@each
def test_the_form_holds_in_a_batch_with_an_empty_last_graph(name: str) -> None:
    many = batch([drawn(9, 1), EMPTY, LONE, drawn(12, 2), EMPTY])
    pooled = make_pool(name, 3, 0.5, 4)(many)
    assert pooled.graph.num_graphs == 5
    count = pooled.graph.members.count.tolist()
    assert count[1] == count[4] == 0
    assert all(c > 0 for c in (count[0], count[2], count[3]))
    torch.testing.assert_close(pooled.reduce(many.x), pooled.graph.x)
    # lifting is the pseudo-inverse: what was lifted is pooled to the same again
    lifted = pooled.lift(pooled.graph.x, many)
    dense = torch.zeros(pooled.select.num_rows, many.num_nodes)
    share = torch.ones(pooled.select.num_entries) if pooled.share is None else pooled.share
    dense = dense.index_put((pooled.select.row.long(), pooled.select.column.long()), share, accumulate=True)
    wanted = torch.linalg.pinv(dense.double()) @ pooled.graph.x.double()
    if pooled.assignment is None:
        torch.testing.assert_close(lifted.double(), wanted, atol=1e-4, rtol=1e-3)
    else:  # Sᵀ S has a small diagonal added
        torch.testing.assert_close(dense @ lifted, pooled.graph.x, atol=0.05, rtol=0.05)


@each
def test_a_batch_is_its_graphs_one_by_one(name: str) -> None:
    made = make_pool(name, 3, 0.5, 4)
    graphs = [drawn(5 + k, k) for k in range(3)]
    whole, alone = made(batch(graphs)), [made(g) for g in graphs]
    torch.testing.assert_close(whole.graph.x, torch.cat([one.graph.x for one in alone]))
    torch.testing.assert_close(
        whole.graph.adjacency.to_dense(), torch.block_diag(*[one.graph.adjacency.to_dense() for one in alone])
    )


def weighted(adjacency: Adjacency) -> Adjacency:
    """With weights that are all different, the same in both directions."""
    low, high = torch.minimum(adjacency.source, adjacency.target), torch.maximum(adjacency.source, adjacency.target)
    return adjacency.with_weight(1.0 + 0.37 * low.float() + 0.011 * high.float() ** 2)


@given(st.integers(0, 12), st.integers(0, 10_000))
def test_a_matching_is_greedy_over_all_edges(nodes: int, seed: int) -> None:
    """Pairs are joined by an edge, none is left that could be, and the weights fall as a pass from the best edge on finds them."""
    adjacency = weighted(drawn(nodes, seed).adjacency)
    cluster = dominant_matching(adjacency)
    inverse = adjacency.in_degree(weighted=True).double().reciprocal()
    edges = list(zip(adjacency.source.tolist(), adjacency.target.tolist(), adjacency.values(torch.float64).tolist()))
    free, wanted = set(range(nodes)), set()
    for a, b, _ in sorted(edges, key=lambda e: -e[2] * float(inverse[e[0]] + inverse[e[1]])):
        if a in free and b in free:
            free -= {a, b}
            wanted.add(frozenset((a, b)))
    groups = [torch.nonzero(cluster == c).squeeze(1).tolist() for c in range(int(cluster.max()) + 1 if nodes else 0)]
    assert {frozenset(g) for g in groups if len(g) == 2} == wanted
    assert all(len(g) <= 2 for g in groups)


def test_a_long_ring_of_equal_edges_is_matched_in_few_rounds() -> None:
    ring = undirected(20_000, [(k, (k + 1) % 20_000) for k in range(20_000)])
    cluster = dominant_matching(ring)
    assert 10_000 <= int(cluster.max()) + 1 < 12_000


def test_decimation_of_a_ring_keeps_every_other_node() -> None:
    ring = Graph(None, undirected(8, [(k, (k + 1) % 8) for k in range(8)]))
    coarse = decimate(ring)
    kept = coarse.select.column.tolist()
    assert kept in ([0, 2, 4, 6], [1, 3, 5, 7])
    # two edges of resistance 1 in a row are one of weight 1/2
    dense = coarse.graph.adjacency.to_dense()
    torch.testing.assert_close(dense, 0.5 * (torch.roll(torch.eye(4), 1, 0) + torch.roll(torch.eye(4), -1, 0)).double())


def path(nodes: int) -> Adjacency:
    return undirected(nodes, [(k - 1, k) for k in range(1, nodes)])


def star(leaves: int) -> Adjacency:
    return undirected(leaves + 1, [(0, k) for k in range(1, leaves + 1)])


def binary_tree(nodes: int) -> Adjacency:
    return undirected(nodes, [((k - 1) // 2, k) for k in range(1, nodes)])


@pytest.mark.parametrize(
    ("tree", "kept"),
    [
        (path(3), [1]),
        (path(9), [1, 3, 5, 7]),
        (star(5), [0]),
        # nodes of both sides have the degree 3: the smaller one
        (binary_tree(15), [0, *range(3, 7)]),
        (binary_tree(63), [0, *range(3, 7), *range(15, 31)]),
        # both sides have 5 nodes, with the degrees 3, 2, 2, 1, 1 and 3, 3, 1, 1, 1
        (
            undirected(10, [(5, 0), (5, 1), (5, 3), (6, 0), (6, 2), (6, 4), (0, 7), (1, 8), (2, 9)]),
            [5, 6, 7, 8, 9],
        ),
        # longer than what is decomposed in full
        (path(451), list(range(1, 451, 2))),
    ],
)
def test_decimation_of_trees_does_not_depend_on_the_numbers(tree: Adjacency, kept: list[int]) -> None:
    assert decimate(Graph(None, tree)).select.column.tolist() == kept
    for seed in range(3):
        order = torch.randperm(tree.num_nodes, generator=torch.Generator().manual_seed(seed))
        turned = decimate(Graph(None, permuted(tree, order))).select.column.long()
        assert order[turned].sort().values.tolist() == kept


def test_decimation_keeps_the_first_node_of_sides_that_are_alike() -> None:
    assert decimate(Graph(None, path(6))).select.column.tolist() == [0, 2, 4]


@pytest.mark.parametrize("name", ["top-k", "sagpool"])
def test_a_gate_of_zero_lifts_to_zero(name: str) -> None:
    """The pseudo-inverse of a column of zeros is zeros."""
    graph = drawn(6, 2).with_x(torch.zeros(6, 3))
    pool = make_pool(name, 3)
    if name == "top-k":
        pool.pool.gate = "tanh"  # type: ignore[union-attr, assignment]
    pooled = pool(graph)
    assert not bool(pooled.share.any())
    lifted = pooled.lift(torch.ones(pooled.graph.num_nodes, 2).requires_grad_(), graph)
    assert torch.equal(lifted, torch.zeros(6, 2))
    lifted.sum().backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in pool.parameters())


def test_decimation_keeps_resistances() -> None:
    """Kron reduction leaves the effective resistance between the nodes that are kept as it was."""
    graph = drawn(14, 5)
    found = decimate(graph, threshold=0.0)
    kept = found.select.column.long()
    before, after = (resistance(a.to_dense()) for a in (graph.adjacency, found.graph.adjacency))
    torch.testing.assert_close(after, before[kept][:, kept], atol=1e-5, rtol=1e-5)


def resistance(dense: torch.Tensor) -> torch.Tensor:
    inverse = torch.linalg.pinv(torch.diag(dense.sum(1)) - dense)
    return inverse.diagonal()[:, None] + inverse.diagonal() - 2 * inverse


@pytest.mark.parametrize("function", [pairs, decimate])
def test_what_was_known_beforehand_is_looked_up(function: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = [drawn(6, 1), EMPTY, drawn(9, 2), LONE, drawn(7, 3)]
    fixed = FixedPool(function)
    numbered = fixed.of(batch(graphs))
    chosen = torch.tensor([4, 2, 1, 3])
    found = fixed(pick(numbered, chosen))
    whole = function(batch(graphs))
    # what a graph becomes does not depend on those beside it
    torch.testing.assert_close(
        found.graph.adjacency.to_dense(), function(batch([graphs[k] for k in chosen])).graph.adjacency.to_dense()
    )
    alone = pick(whole.graph, chosen)
    torch.testing.assert_close(found.graph.adjacency.to_dense(), alone.adjacency.to_dense())
    assert found.graph.members.count.tolist() == alone.members.count.tolist()
    x = pick(numbered, chosen).x
    everything = whole.select.select(whole.graph.members.entries_of(chosen))[0]
    wanted = torch.stack([batch(graphs).x[everything.column[a:b].long()].sum(0) for a, b in runs(everything.rowptr)])
    got = torch.stack([x[found.select.column[a:b].long()].sum(0) for a, b in runs(found.select.rowptr)])
    torch.testing.assert_close(got, wanted)
    monkeypatch.setattr(fixed, "_function", lambda graph: pytest.fail("made anew"))
    fixed(pick(numbered, chosen[:1]))


def runs(rowptr: torch.Tensor) -> list[tuple[int, int]]:
    return list(zip(rowptr.tolist()[:-1], rowptr.tolist()[1:], strict=True))


def test_a_directed_graph_and_an_unknown_pool_are_refused() -> None:
    one_way = Graph(torch.ones(2, 3), Adjacency.from_edges([0], [1], 2))
    for name in ("graclus", "ndp"):
        with pytest.raises(UsageError, match="directed"):
            make_pool(name, 3)(one_way)
    with pytest.raises(UsageError, match="Did you mean diffpool"):
        make_pool("difpool", 3)
    with pytest.raises(UsageError, match="clusters = 0"):
        make_pool("diffpool", 3, 0.5, 0)


def test_the_convolution_is_its_formula() -> None:
    graph = drawn(7, 4)
    layer = GeneralConvolution(3, 5)
    dense = graph.adjacency.to_dense(torch.float32)
    torch.testing.assert_close(
        layer(graph.x, graph.adjacency), dense @ (graph.x @ layer.map.weight.T + layer.map.bias).relu()
    )


@each
def test_networks_with_a_pool_learn(name: str) -> None:
    """Every weight has a gradient."""
    graph = batch([drawn(9, 1), drawn(12, 2)])
    auto = PoolAutoencoder(3, 8, make_pool(name, 16, 0.5, 4))
    out, penalty = auto(graph)
    ((out - graph.x).square().mean() + penalty).backward()
    logits, penalty = (other := PoolClassifier(3, 8, make_pool(name, 16, 0.5, 4), torch.nn.Linear(24, 2)))(graph)
    (logits.square().mean() + penalty).backward()
    for network in (auto, other):
        without = [k for k, p in network.named_parameters() if p.grad is None or not bool(torch.isfinite(p.grad).all())]
        assert not without


def test_energies_are_those_of_a_loop_and_vanish_for_a_pool_that_keeps_all() -> None:
    graph, _ = pools.shapes()["ring"]
    assert pools.structure("ndp", graph, 0, pools.Fit(1, 1, 0.01)) < 0.01
    found = pools.structure("top-k", graph, 0, pools.Fit(5, 5, 0.01))
    assert 0 < found < 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pools, "make_pool", lambda *given: AllKept())
        assert pools.structure("all", graph, 0, pools.Fit(1, 1, 0.01)) == pytest.approx(0.0, abs=1e-6)


class AllKept(torch.nn.Module):
    """No pool: every node is its own."""

    def forward(self, graph: Graph) -> Any:
        found = Keeping(make_pool("top-k", graph.num_features, 1.0).pool)(graph)  # type: ignore[arg-type]
        return type(found)(graph, None, found.select, None, found.penalty)


def test_shapes_are_what_they_are_called() -> None:
    edges = {name: graph.num_edges // 2 for name, (graph, _) in pools.shapes().items()}
    assert edges["grid"] == 2 * 7 * 8
    assert edges["ring"] == 64
    assert edges["tree"] == 62
    assert edges["sensors"] >= 64 * 3


@pytest.mark.parametrize("pool", [*POOLS, "none"])
def test_the_system_trains_with_every_pool(pool: str, tmp_path: Path) -> None:
    labels = torch.arange(24) % 2
    graphs = []
    for k in range(24):
        size = 4 + k % 3
        edges = undirected(size, [(0, j) if k % 2 else (j - 1, j) for j in range(1, size)])
        graphs.append(Graph(degree_features(edges, 3).to_dense(), edges))
    number = torch.arange(24)
    parts = [number[number // 2 % 4 < 2], number[number // 2 % 4 == 2], number[number // 2 % 4 == 3]]
    card = Card("own", "", "graphs", 24, (4,), ("path", "star"), "", "")
    given_data = GraphData("own", card, batch(graphs), labels, *parts, ("path", "star"))
    system = systems.get("src-pooling")
    config = system.configure(
        pool=pool, steps=100, hidden=8, batch_size=8, validate_every=25, learning_rate=0.01, patience=0
    )
    run = train(system, given_data, config, tmp_path / "run", progress=False)
    assert run.evaluate()["test_accuracy"] > 80
    with pytest.raises(UsageError, match="layers = 3"):
        system.configure(layers=3)


def test_the_claim_runs_all_three_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from renote.systems import src_pooling

    monkeypatch.setattr(src_pooling, "_accuracy", lambda system, small, data, pool, seed: 70.0 + seed)
    real = pools.Fit
    monkeypatch.setattr(pools, "Fit", lambda steps, patience, rate, hidden=8: real(3, 3, rate, hidden=8))
    lab = Lab(systems.get("src-pooling"), "laptop", tmp_path, progress=False)
    outcome = systems.get("src-pooling").claim("three-tests").experiment(lab)
    assert outcome.measured["task proteins none"] == {"mean": 71.0, "std": 1.0}
    assert len(outcome.measured) == 2 * 4 * len(POOLS) + len(POOLS) + 1
    assert outcome.figure.axes


@each
def test_a_graph_smaller_than_what_is_asked_for_keeps_what_it_has(name: str) -> None:
    """More clusters than nodes are allowed, and a share of one node is that node."""
    small = batch([LONE, Graph(torch.ones(2, 3), undirected(2, [(0, 1)]))])
    pooled = make_pool(name, 3, 0.5, 7)(small)
    assert pooled.graph.members.count.tolist() == ([7, 7] if name in ("diffpool", "dmon") else [1, 1])
    assert bool(torch.isfinite(pooled.graph.x).all())
    assert bool(torch.isfinite(pooled.lift(pooled.graph.x, small)).all())
