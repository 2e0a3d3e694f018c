"""Pools against their formulas written densely, their symmetries, graphs at the edge, and PyTorch Geometric on copied weights."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_harness import kipf_matrix, permuted, random_graph, undirected
from torch import Tensor

from renote.errors import DataError, UsageError
from renote.graph import (
    Adjacency,
    Clustered,
    DenseGraphs,
    Graph,
    KeepPool,
    Pattern,
    SAGPool,
    TopKPool,
    batch,
    dense_diff_pool,
    diff_pool,
    highest,
    sort_pool,
    to_dense,
    unbatch,
)

parts = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 20)), min_size=1, max_size=5)
POOLS = {
    "top-k": lambda: TopKPool(4, 0.5),
    "top-k, tanh": lambda: TopKPool(4, 0.8, "tanh"),
    "sag": lambda: SAGPool(4, 0.5),
    "sag, all": lambda: SAGPool(4, 1.0, "sigmoid"),
}
each_pool = pytest.mark.parametrize("name", POOLS)


def drawn(nodes: int, edges: int, seed: int) -> Graph:
    generator = torch.Generator().manual_seed(seed)
    return Graph(torch.randn(nodes, 4, dtype=torch.float64, generator=generator), random_graph(nodes, edges, seed))


def made(name: str) -> KeepPool:
    torch.manual_seed(0)
    return POOLS[name]().double()


def features(graph: Graph) -> Tensor:
    assert isinstance(graph.x, Tensor)
    return graph.x


def plain(pool: KeepPool, graph: Graph) -> tuple[Tensor, Tensor, list[int]]:
    """Features and matrix of what is kept, and which nodes, in their order."""
    x, dense = features(graph), graph.adjacency.to_dense().double()
    if isinstance(pool, SAGPool):
        score = kipf_matrix(dense) @ x @ pool.convolution.weight[:, 0] + pool.convolution.bias
    else:
        assert isinstance(pool, TopKPool)
        score = x @ pool.direction / pool.direction.square().sum().sqrt()
    most = math.ceil(round(pool.ratio * len(x), 6))
    kept = sorted(sorted(range(len(x)), key=lambda i: (-float(score[i].detach()), i))[:most])
    gate = torch.tanh(score) if pool.gate == "tanh" else 1 / (1 + torch.exp(-score))
    return gate[kept][:, None] * x[kept], dense[kept][:, kept], kept


@each_pool
@given(nodes=st.integers(0, 9), edges=st.integers(0, 25), seed=st.integers(0, 10**6))
@settings(max_examples=40)
def test_what_is_kept(name: str, nodes: int, edges: int, seed: int) -> None:
    graph, pool = drawn(nodes, edges, seed), made(name)
    found = pool(graph)
    x, dense, kept = plain(pool, graph)
    assert found.node.tolist() == kept
    torch.testing.assert_close(features(found.graph), x)
    torch.testing.assert_close(found.graph.adjacency.to_dense().double(), dense)
    back = found.unpool(features(found.graph))
    torch.testing.assert_close(back[kept], x)
    torch.testing.assert_close(back.abs().sum(), x.abs().sum())
    assert back.shape == (nodes, 4)


@each_pool
@given(parts=parts, seed=st.integers(0, 10**6))
@settings(max_examples=40)
def test_a_batch_is_a_loop(name: str, parts: list[tuple[int, int]], seed: int) -> None:
    graphs, pool = [drawn(n, e, seed + i) for i, (n, e) in enumerate(parts)], made(name)
    found = unbatch(pool(batch(graphs)).graph)
    assert len(found) == len(graphs)
    for one, graph in zip(found, graphs, strict=True):
        alone = pool(graph).graph
        torch.testing.assert_close(one.x, alone.x)
        assert torch.equal(one.adjacency.edge_index(), alone.adjacency.edge_index())


@each_pool
@given(nodes=st.integers(1, 9), edges=st.integers(0, 25), seed=st.integers(0, 10**6))
@settings(max_examples=30)
def test_the_order_of_nodes_is_forgotten(name: str, nodes: int, edges: int, seed: int) -> None:
    graph, pool = drawn(nodes, edges, seed), made(name)
    order = torch.randperm(nodes, generator=torch.Generator().manual_seed(seed))
    turned = pool(Graph(features(graph)[order], permuted(graph.adjacency, order)))
    found = pool(graph)
    assert set(order[turned.node].tolist()) == set(found.node.tolist())
    place = torch.argsort(order[turned.node])
    torch.testing.assert_close(features(turned.graph)[place], features(found.graph))
    dense = turned.graph.adjacency.to_dense()
    torch.testing.assert_close(dense[place][:, place], found.graph.adjacency.to_dense())


@each_pool
def test_the_gate_lets_the_score_learn(name: str) -> None:
    graph, pool = drawn(7, 16, 3), made(name)
    features(pool(graph).graph).square().sum().backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in pool.parameters())  # type: ignore[union-attr]


@each_pool
def test_gradients_of_what_is_kept(name: str) -> None:
    """Once and twice, of features, the score's parameters and gates; and those of the formula written densely."""
    graph, module = drawn(7, 12, 3), made(name)
    x, parameters = features(graph).requires_grad_(), list(module.parameters())

    def kept(x: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        found = module(graph.with_x(x))
        return found.graph.x, found.gate

    assert torch.autograd.gradcheck(kept, (x, *parameters))
    assert torch.autograd.gradgradcheck(kept, (x, *parameters))
    rows = kept(x)[0]
    weight = torch.randn(rows.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mine = torch.autograd.grad(rows, [x, *parameters], weight)
    other = torch.autograd.grad(plain(module, graph)[0], [x, *parameters], weight)
    for left, right in zip(mine, other, strict=True):
        torch.testing.assert_close(left, right)


@each_pool
def test_what_is_no_number_is_found(name: str) -> None:
    graph, module = drawn(7, 12, 3), made(name)
    features(graph)[4, 1] = torch.nan
    with pytest.raises(DataError, match="not finite"):
        module(graph)


def test_a_share_of_a_whole_number_is_not_rounded_up() -> None:
    for ratio, nodes, kept in ((0.1, 30, 3), (0.7, 10, 7), (0.5, 5, 3), (0.01, 3, 1), (1.0, 4, 4)):
        members = drawn(nodes, 0, 0).members
        assert int(highest(torch.randn(nodes), members, ratio).sum()) == kept
    equal = highest(torch.zeros(6), drawn(6, 0, 0).members, 0.5)
    assert equal.nonzero().squeeze(1).tolist() == [0, 1, 2]


@given(
    st.lists(st.lists(st.sampled_from([-torch.inf, -2.0, 0.0, 0.5, 3.0]), max_size=7), min_size=1, max_size=5),
    st.sampled_from([0.2, 0.5, 0.9, 1.0]),
    st.sampled_from([0, 5000]),
)
def test_the_highest_of_each_graph(scores: list[list[float]], ratio: float, longest: int) -> None:
    # one long graph among short ones is sorted in another way
    scores = [*scores, [1.0] * longest]
    members = Pattern.from_segments(
        torch.tensor([number for number, of in enumerate(scores) for _ in of], dtype=torch.long), len(scores)
    )
    found = highest(torch.tensor([value for of in scores for value in of]), members, ratio).tolist()
    start = 0
    for of in scores:
        order = sorted(range(len(of)), key=lambda i, of=of: (-of[i], i))  # type: ignore[misc]
        kept = set(order[: math.ceil(round(ratio * len(of), 6))])
        assert found[start : start + len(of)] == [i in kept for i in range(len(of))]
        start += len(of)


def test_a_score_that_is_no_number_is_told() -> None:
    graph, pool = drawn(9, 20, 1), made("top-k")
    with torch.no_grad():
        next(pool.parameters()).fill_(torch.nan)
    with pytest.raises(DataError, match="are not finite"):
        pool(graph)


def test_fields_and_weights_go_with_the_edges() -> None:
    adjacency = Adjacency.from_edges([0, 1, 2], [1, 2, 0], 3, torch.tensor([0.5, 2.0, 3.0]))
    graph = Graph(torch.tensor([[1.0], [3.0], [2.0]]), adjacency, edge_features=torch.arange(3.0)[:, None])
    pool = TopKPool(1, 0.6)
    with torch.no_grad():
        pool.direction.fill_(2.0)
    found = pool(graph).graph
    assert found.adjacency.edge_index().tolist() == [[0], [1]]
    assert found.adjacency.weight.tolist() == [2.0]
    assert found.edge_features.tolist() == graph.edge_features[adjacency.source == 1].tolist()


def sorted_plain(x: Tensor, k: int) -> Tensor:
    rows = sorted(x.tolist(), key=lambda row: [-value for value in reversed(row)])[:k]
    return torch.tensor(rows + [[0.0] * x.shape[1]] * (k - len(rows)), dtype=x.dtype).reshape(k, x.shape[1])


@given(parts=parts, k=st.integers(1, 6), seed=st.integers(0, 10**6), coarse=st.booleans())
@settings(max_examples=60)
def test_sort_pool_is_a_sort_of_each_graph(parts: list[tuple[int, int]], k: int, seed: int, coarse: bool) -> None:
    """Coarse features have many ties, which the features before the last break."""
    graphs = [drawn(n, e, seed + i) for i, (n, e) in enumerate(parts)]
    joined = batch(graphs)
    x = features(joined).round() if coarse else features(joined)
    found = sort_pool(x, joined.members, k)
    of = joined.members.row.long()
    expected = torch.stack([sorted_plain(x[of == g], k) for g in range(len(graphs))])
    torch.testing.assert_close(found, expected)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    order = order[of[order].argsort(stable=True)]
    torch.testing.assert_close(sort_pool(x[order], joined.members, k), found)


def shares_and_loss(dense: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    s = scores.exp() / scores.exp().sum(1, keepdim=True)
    link = (dense - s @ s.T).square().sum().sqrt() / len(s) ** 2
    return s, link, -(s * s.log()).sum(1).mean()


@given(parts=parts, clusters=st.integers(1, 4), seed=st.integers(0, 10**6))
@settings(max_examples=60)
def test_diff_pool_of_sparse_and_of_dense_graphs(parts: list[tuple[int, int]], clusters: int, seed: int) -> None:
    graphs = [drawn(n, e, seed + i) for i, (n, e) in enumerate(parts)]
    joined = batch(graphs)
    scores = torch.randn(joined.num_nodes, clusters, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    of = joined.members.row.long()
    sparse = diff_pool(joined, features(joined), scores)
    padded = to_dense(joined, features(joined))
    noise = torch.randn(len(graphs), padded.x.shape[1], clusters, dtype=torch.float64)
    inside = padded.mask.bool().expand_as(noise)
    dense = dense_diff_pool(padded, noise.masked_scatter(inside, scores))
    links, entropies = [], []
    for g, graph in enumerate(graphs):
        if not graph.num_nodes:
            assert float(sparse.graphs.x[g].abs().sum()) == 0
            assert int(sparse.graphs.count[g]) == 0
            links.append(torch.zeros((), dtype=torch.float64))
            entropies.append(torch.zeros((), dtype=torch.float64))
            continue
        a = graph.adjacency.to_dense().double()
        s, link, entropy = shares_and_loss(a, scores[of == g])
        torch.testing.assert_close(sparse.graphs.x[g], s.T @ features(graph))
        torch.testing.assert_close(sparse.graphs.adjacency[g], s.T @ a @ s)
        links.append(link)
        entropies.append(entropy)
    # a difference of squares loses half of the digits where the loss is nearly nothing
    torch.testing.assert_close(sparse.link, torch.stack(links).mean(), rtol=1e-9, atol=1e-7)
    torch.testing.assert_close(sparse.entropy, torch.stack(entropies).mean())
    torch.testing.assert_close(dense.graphs.x, sparse.graphs.x)
    torch.testing.assert_close(dense.graphs.adjacency, sparse.graphs.adjacency)
    torch.testing.assert_close(dense.link, torch.stack(links).mean())
    torch.testing.assert_close(dense.entropy, sparse.entropy)
    assert torch.equal(dense.graphs.count, sparse.graphs.count)


def test_gradients_of_diff_pool() -> None:
    joined = batch([drawn(4, 9, 1), drawn(0, 0, 0), drawn(3, 5, 2)])
    x, scores = features(joined).clone().requires_grad_(), torch.randn(7, 3, dtype=torch.float64, requires_grad=True)

    def told(found: Clustered) -> tuple[Tensor, ...]:
        return found.graphs.x, found.graphs.adjacency, found.link, found.entropy

    assert torch.autograd.gradcheck(lambda x, s: told(diff_pool(joined, x, s)), (x, scores))
    padded = to_dense(joined, features(joined))
    more = torch.randn(3, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: told(dense_diff_pool(padded, s)), (more,))
    own = DenseGraphs(torch.ones(1, 1, 2), torch.ones(1, 1, 1), torch.tensor([1]))
    found = dense_diff_pool(own, torch.zeros(1, 1, 1, requires_grad=True))
    found.link.backward()
    assert float(found.link.detach()) == 0.0


@pytest.mark.parametrize("ratio", [0.5, 0.8])
def test_the_pools_that_keep_are_pygs(ratio: float) -> None:
    geometric = pytest.importorskip("torch_geometric.nn")
    joined = batch([Graph(torch.randn(n, 4), undirected(n, 3 * n, n)) for n in (9, 5, 12)])
    edges, of = joined.adjacency.edge_index(), joined.graph_of_node
    ours = TopKPool(4, ratio, "tanh")
    theirs = geometric.TopKPooling(4, ratio)
    sag = SAGPool(4, ratio)
    assert not isinstance(sag.convolution, Tensor)
    peer = geometric.SAGPooling(4, ratio, GNN=geometric.GCNConv)
    with torch.no_grad():
        theirs.select.weight.copy_(ours.direction[None])
        # the peer scores by a number that it divides by itself
        peer.select.weight.fill_(1.0)
        peer.gnn.lin.weight.copy_(sag.convolution.weight.T)
        peer.gnn.bias.copy_(sag.convolution.bias.fill_(0.3))
    for one, other in ((ours, theirs), (sag, peer)):
        found = one(joined)
        x, edge, _, _, node, _ = other(joined.x, edges, batch=of)
        order = node.argsort()
        assert torch.equal(node[order], found.node)
        torch.testing.assert_close(features(found.graph), x[order])
        dense = torch.zeros(len(node), len(node))
        dense[edge[1], edge[0]] = 1.0
        torch.testing.assert_close(found.graph.adjacency.to_dense().float(), dense[order][:, order])


def test_sort_and_diff_pool_are_pygs() -> None:
    geometric = pytest.importorskip("torch_geometric.nn")
    joined = batch([Graph(torch.randn(n, 4), undirected(n, 3 * n, n)) for n in (9, 5, 12)])
    x = features(joined)
    theirs = geometric.aggr.SortAggregation(7)(x, joined.graph_of_node)
    torch.testing.assert_close(sort_pool(x, joined.members, 7).flatten(1), theirs)
    padded = to_dense(joined, x)
    scores = torch.randn(3, 12, 5)
    pooled, connected, _, _ = geometric.dense_diff_pool(
        padded.x, padded.adjacency, scores, padded.mask.squeeze(2).bool()
    )
    found = dense_diff_pool(padded, scores)
    torch.testing.assert_close(found.graphs.x, pooled)
    torch.testing.assert_close(found.graphs.adjacency, connected)
    # of one graph without padding the losses are the peer's too; of several it divides by padded places
    one = to_dense(unbatch(joined)[0], x[:9])
    _, _, link, entropy = geometric.dense_diff_pool(one.x, one.adjacency, scores[:1, :9])
    alone = dense_diff_pool(one, scores[:1, :9])
    torch.testing.assert_close(alone.link, link)
    torch.testing.assert_close(alone.entropy, entropy)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TopKPool(4, 0.0), "ratio is 0.0"),
        (lambda: TopKPool(4, 1.5), "ratio is 1.5"),
        (lambda: SAGPool(4, 0.5, "relu"), "gate"),
        (lambda: TopKPool(3)(drawn(2, 0, 0)), "4 features a node and the pool takes 3"),
        (lambda: TopKPool(4)(drawn(2, 0, 0).with_x(None)), "no node features"),
        (lambda: sort_pool(torch.zeros(2, 4), drawn(2, 0, 0).members, 0), "k is 0"),
        (lambda: diff_pool(drawn(2, 0, 0), torch.zeros(2, 4), torch.zeros(3, 2)), "for 2 nodes"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_other_features_keep_what_was_made_of_the_edges() -> None:
    graph = drawn(6, 12, 2)
    members = graph.members
    other = graph.with_x(torch.ones(6, 3))
    assert other.members is members
    assert graph.num_features == 4
    assert other.num_features == 3
    with pytest.raises(DataError, match="there are 6 nodes"):
        graph.with_x(torch.ones(5, 3))
