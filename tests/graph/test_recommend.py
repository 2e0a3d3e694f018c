"""Recommendation: draws, loss, ranking and networks against what is slow and plain, and against PyTorch Geometric."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from renote.errors import DataError, UsageError
from renote.graph import (
    NGCF,
    Adjacency,
    LightGCN,
    Pattern,
    Recommendation,
    Unseen,
    bipartite,
    important_neighbors,
)


def drawn(users: int, items: int, share: float, seed: int = 0) -> torch.Tensor:
    """Pairs of which each is there with some probability."""
    return (torch.rand(users, items, generator=torch.Generator().manual_seed(seed)) < share).nonzero()


def taken(pairs: torch.Tensor, users: int, items: int) -> Pattern:
    return Pattern.from_pairs(pairs[:, 0], pairs[:, 1], users, items)[0]


@given(st.integers(1, 6), st.integers(2, 7), st.floats(0, 1), st.integers(0, 1000))
def test_an_unseen_item_is_never_one_that_the_user_has(users: int, items: int, share: float, seed: int) -> None:
    pairs = drawn(users, items, share, seed)
    unseen = Unseen(taken(pairs, users, items))
    full = {u for u in range(users) if int((pairs[:, 0] == u).sum()) == items}
    assert set(unseen.user.tolist()).isdisjoint(full)
    assert len(unseen.user) == sum(u not in full for u in pairs[:, 0].tolist())
    user = torch.tensor([u for u in range(users) if u not in full] * 5).long()
    found = unseen.draw(user, torch.Generator().manual_seed(seed))
    had = set(map(tuple, pairs.tolist()))
    assert not any((u, i) in had for u, i in zip(user.tolist(), found.tolist()))
    assert bool(((found >= 0) & (found < items)).all())


def test_every_unseen_item_is_as_likely() -> None:
    pairs = torch.tensor([[0, 1], [0, 2], [0, 5], [1, 0]])
    user = torch.zeros(40_000, dtype=torch.long)
    found = Unseen(taken(pairs, 2, 7)).draw(user, torch.Generator().manual_seed(1))
    share = torch.bincount(found, minlength=7) / len(user)
    torch.testing.assert_close(share, torch.tensor([0.25, 0, 0, 0.25, 0.25, 0, 0.25]), atol=0.01, rtol=0)


def test_users_are_drawn_alike_and_their_items_too() -> None:
    pairs = torch.tensor([[0, 1], [1, 0], [1, 2], [1, 4], [3, 0], [3, 1], [3, 2], [3, 3], [3, 4]])
    user, item = Unseen(taken(pairs, 4, 5)).draw_pairs(30_000, torch.Generator().manual_seed(0))
    share = torch.zeros(4, 5).index_put_((user, item), torch.ones(len(user)), accumulate=True) / len(user)
    wanted = torch.zeros(4, 5)
    wanted[0, 1], wanted[1, [0, 2, 4]] = 1 / 2, 1 / 6  # the user without items is not there, nor the one who has all
    torch.testing.assert_close(share, wanted, atol=0.01, rtol=0)


def task(network: torch.nn.Module, users: int, items: int, decay: float = 0.0, seed: int = 0) -> Recommendation:
    pairs = drawn(users, items, 0.6, seed)
    place = torch.arange(len(pairs)) % 3
    parts = {name: pairs[place == k] for k, name in enumerate(("train", "validation", "test"))}
    return Recommendation(network, users, items, parts, decay)


def test_the_loss_is_the_papers() -> None:
    found = task(LightGCN(11, 4, 2).double(), 5, 6, decay=0.1)
    user, item, negative = torch.tensor([0, 3]), torch.tensor([2, 5]), torch.tensor([1, 0])
    vectors, first = found.network(found.adjacency), found.network.vector
    total = 0.0
    for u, i, j in zip(user, item, negative):
        difference = vectors[u] @ vectors[5 + i] - vectors[u] @ vectors[5 + j]
        total = total - difference.sigmoid().log() + 0.05 * sum(first[n].square().sum() for n in (u, 5 + i, 5 + j))
    torch.testing.assert_close(found({"user": user, "item": item, "negative": negative}), total / 2)


@pytest.mark.parametrize("k", [1, 3, 9])
@pytest.mark.parametrize("part", ["validation", "test"])
def test_recall_and_ndcg_are_those_of_a_loop(k: int, part: str) -> None:
    users, items = 7, 9
    found = task(LightGCN(users + items, 3, 1), users, items)
    score = (found.vectors()[0] @ found.vectors()[1].t()).tolist()
    of = {name: [set() for _ in range(users)] for name in found.parts}
    for name, pattern in found.parts.items():
        for u, i in zip(pattern.row.tolist(), pattern.column.tolist()):
            of[name][u].add(i)
    recall, ndcg = [], []
    for u in range(users):
        wanted, before = of[part][u], of["train"][u] | (of["validation"][u] if part == "test" else set())
        if wanted:
            ranked = sorted(set(range(items)) - before, key=lambda i: -score[u][i])[:k]
            recall.append(len(wanted & set(ranked)) / len(wanted))
            gain = sum(1 / math.log2(r + 2) for r, i in enumerate(ranked) if i in wanted)
            ndcg.append(gain / sum(1 / math.log2(r + 2) for r in range(min(k, len(wanted)))))
    measured = found.ranking(part, k)
    assert measured["recall"] == pytest.approx(sum(recall) / len(recall))
    assert measured["ndcg"] == pytest.approx(sum(ndcg) / len(ndcg))


def test_blocks_of_users_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = task(LightGCN(16, 3, 2), 7, 9)
    whole = found.recommend(torch.arange(7), 4)
    monkeypatch.setattr("renote.graph.task.recommend._BLOCK_SCORES", 20)
    parts = found.recommend(torch.arange(7), 4)
    assert torch.equal(whole[0], parts[0])
    torch.testing.assert_close(whole[1], parts[1])


def test_a_user_who_has_all_items_gets_none() -> None:
    parts = {"train": torch.tensor([[0, 0], [0, 1], [1, 0]])}
    found = Recommendation(LightGCN(4, 2, 1), 2, 2, parts)
    items, scores = found.recommend(torch.arange(2), 5)
    assert items.shape == (2, 2)
    assert bool((scores[0] == -torch.inf).all())
    assert items[1, 0] == 1
    assert found.ranking("train", 2)["recall"] > 0
    with pytest.raises(UsageError, match="unknown part"):
        found.ranking("tst")
    with pytest.raises(DataError, match="train"):
        Recommendation(LightGCN(4, 2, 1), 2, 2, {})


def test_light_propagation_is_that_of_dense_powers() -> None:
    pairs = drawn(6, 5, 0.4)
    adjacency = bipartite(pairs[:, 0], pairs[:, 1], 6, 5)
    network = LightGCN(11, 3, 3).double()
    dense = adjacency.to_dense()
    scale = dense.sum(1).clamp(min=1).pow(-0.5)
    step = scale[:, None] * dense * scale
    powers = sum(torch.linalg.matrix_power(step, n) for n in range(4)) / 4
    torch.testing.assert_close(network(adjacency), powers @ network.vector)
    network(adjacency).square().sum().backward()
    torch.testing.assert_close(network.vector.grad, 2 * powers.T @ (powers @ network.vector.detach()))


def test_light_propagation_is_that_of_pytorch_geometric() -> None:
    models = pytest.importorskip("torch_geometric.nn.models")
    pairs = drawn(8, 6, 0.4)
    adjacency = bipartite(pairs[:, 0], pairs[:, 1], 8, 6)
    network, peer = LightGCN(14, 5, 3), models.LightGCN(14, 5, 3)
    peer.embedding.weight.data.copy_(network.vector.data)
    torch.testing.assert_close(network(adjacency), peer.get_embedding(adjacency.edge_index()))


def test_ngcf_joins_its_layers() -> None:
    pairs = drawn(6, 5, 0.5)
    adjacency = bipartite(pairs[:, 0], pairs[:, 1], 6, 5)
    network = NGCF(11, 4, (3, 2), dropout=0.5).eval()
    out = network(adjacency)
    assert out.shape == (11, 9)
    torch.testing.assert_close(out[:, :4], network.vector)
    x = torch.nn.functional.leaky_relu(network.convolutions[0](network.vector, adjacency), 0.2)
    torch.testing.assert_close(out[:, 4:7], x / x.norm(dim=1, keepdim=True))


def test_vectors_follow_a_new_order_of_users() -> None:
    """Permuted users and items have permuted vectors."""
    pairs = drawn(6, 5, 0.5)
    order = torch.randperm(6)
    network, other = LightGCN(11, 4, 2), LightGCN(11, 4, 2)
    other.vector.data = network.vector.data[torch.cat([order, torch.arange(6, 11)])]
    place = order.argsort()
    one = network(bipartite(pairs[:, 0], pairs[:, 1], 6, 5))
    two = other(bipartite(place[pairs[:, 0]], pairs[:, 1], 6, 5))
    torch.testing.assert_close(two[:6], one[:6][order])
    torch.testing.assert_close(two[6:], one[6:])


def test_walks_find_the_neighbours_that_they_visit_most() -> None:
    """On a path a - b - c, walks of one step from b see a and c alike; of two steps from a they come back or reach c."""
    path = Adjacency.from_edges([0, 1, 1, 2], [1, 0, 2, 1], 4)
    one = important_neighbors(path, 5, 20_000, 1).to_dense()
    torch.testing.assert_close(one[1], torch.tensor([0.5, 0, 0.5, 0], dtype=torch.double), atol=0.02, rtol=0)
    assert one[3].sum() == 0
    two = important_neighbors(path, 5, 20_000, 2).to_dense()
    # of the visits away from a there is one of b in each walk, and one of c in every other
    torch.testing.assert_close(two[0], torch.tensor([0, 2 / 3, 1 / 3, 0], dtype=torch.double), atol=0.02, rtol=0)
    best = important_neighbors(path, 1, 500, 2)
    assert best.source[best.target == 0].tolist() == [1]
    assert best.weight is not None
    torch.testing.assert_close(best.weight, torch.ones_like(best.weight))


def test_a_node_has_the_same_walks_in_any_set_of_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = drawn(7, 6, 0.4)
    adjacency = bipartite(pairs[:, 0], pairs[:, 1], 7, 6)
    whole = important_neighbors(adjacency, 4, 30, 3, seed=5).to_dense()
    some = important_neighbors(adjacency, 4, 30, 3, seed=5, nodes=torch.tensor([9, 2])).to_dense()
    torch.testing.assert_close(some[[9, 2]], whole[[9, 2]])
    assert some.sum(1).nonzero().squeeze(1).tolist() == [n for n in (2, 9) if whole[n].sum() > 0]
    monkeypatch.setattr("renote.graph.walks._VISITS", 100)
    torch.testing.assert_close(important_neighbors(adjacency, 4, 30, 3, seed=5).to_dense(), whole)
    with pytest.raises(UsageError, match="top = 0"):
        important_neighbors(adjacency, 0)


def test_a_graph_without_nodes_has_no_walks() -> None:
    assert important_neighbors(Adjacency.from_edges([], [], 0)).num_edges == 0
    assert important_neighbors(Adjacency.from_edges([], [], 3)).num_edges == 0
