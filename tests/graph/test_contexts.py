"""Contexts without edges, and what reads them, against dense oracles in double precision."""

from __future__ import annotations

from typing import Any

import networkx
import pytest
import torch
from layer_harness import random_graph, undirected
from torch import Tensor, nn

from renote import data, systems
from renote.errors import RenoteError, UsageError
from renote.experiment import train
from renote.graph import (
    Adjacency,
    ContextNodeClassification,
    Contexts,
    Graph,
    GraphBERT,
    SparseFeatures,
    exact_pagerank,
    intimate_contexts,
    pagerank_series,
    random_walk,
    segment_sum,
    symmetric,
    unit_scale,
    weisfeiler_lehman,
)
from renote.nets import TransformerLayer, sinusoidal

ALPHA = 0.15


def dense_intimacy(adjacency: Adjacency) -> Tensor:
    """S of eq. 1, A[receiver, source] normalized by columns."""
    dense = adjacency.to_dense().double()
    leaving = dense.sum(0)
    columns = dense / torch.where(leaving > 0, leaving, 1.0)
    identity = torch.eye(len(dense), dtype=torch.float64)
    return ALPHA * torch.linalg.inv(identity - (1 - ALPHA) * columns)


def weighted(adjacency: Adjacency) -> Adjacency:
    """Symmetric weights."""
    total = adjacency.source + adjacency.target + 1
    return adjacency.with_weight((total % 5).float() + 0.5)


GRAPHS = {
    "undirected": undirected(40, 60, 0),
    "weighted": weighted(undirected(40, 60, 1)),
    "directed": random_graph(30, 80, 2),
    "dense": undirected(12, 100, 3),
    "no edges": Adjacency.from_edges([], [], 5),
}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("count", [3, 20])
def test_contexts_are_the_most_intimate_of_a_dense_inverse(name: str, count: int) -> None:
    adjacency = GRAPHS[name]
    found, exact = intimate_contexts(adjacency, count, ALPHA, tolerance=1e-7), dense_intimacy(adjacency)
    nodes = adjacency.num_nodes
    assert found.node.shape == found.hops.shape == found.intimacy.shape == (nodes, count + 1)
    assert torch.equal(found.node[:, 0], torch.arange(nodes))
    there = found.hops >= 0
    chosen = exact.gather(1, found.node)
    torch.testing.assert_close(found.intimacy.double()[there], chosen[there], rtol=1e-5, atol=2e-6)
    assert not bool(found.intimacy[~there].any())
    # the same intimacies, from the largest, as those of the oracle's best; which of two equal ones is chosen is open
    others = exact.clone().fill_diagonal_(-1.0)
    best = others.sort(1, descending=True).values[:, :count]
    best = torch.cat([best.clamp(min=0.0), best.new_zeros(nodes, count - best.shape[1])], 1)
    torch.testing.assert_close(found.intimacy[:, 1:].double(), best, rtol=1e-5, atol=2e-6)
    for row, here in zip(found.node, there, strict=True):
        assert len(set(row[here].tolist())) == int(here.sum())
    assert torch.equal(there[:, 1:].sum(1), (others > 1e-7).sum(1).clamp(max=count))


@pytest.mark.parametrize("name", GRAPHS)
def test_hops_are_shortest_ways(name: str) -> None:
    adjacency = GRAPHS[name]
    found = intimate_contexts(adjacency, 10, ALPHA)
    directed = networkx.DiGraph()
    directed.add_nodes_from(range(adjacency.num_nodes))
    directed.add_edges_from(zip(adjacency.source.tolist(), adjacency.target.tolist()))
    ways = dict(networkx.all_pairs_shortest_path_length(directed))
    for node in range(adjacency.num_nodes):
        for other, hops in zip(found.node[node].tolist(), found.hops[node].tolist(), strict=True):
            assert hops == -1 or hops == ways[other][node]


def test_blocks_of_nodes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    edges = GRAPHS["undirected"].edge_index()
    whole = intimate_contexts(Adjacency.from_edges(*edges, 40), 6)
    monkeypatch.setattr("renote.graph.context._BLOCK", 7 * 40)
    parts = intimate_contexts(Adjacency.from_edges(*edges, 40), 6)
    torch.testing.assert_close(whole.intimacy, parts.intimacy)
    assert torch.equal(whole.hops.sort(1).values, parts.hops.sort(1).values)


def test_contexts_are_made_once_for_a_graph_and_a_choice() -> None:
    adjacency = undirected(20, 40, 0)
    assert intimate_contexts(adjacency, 4) is intimate_contexts(adjacency, 4)
    assert intimate_contexts(adjacency, 4) is not intimate_contexts(adjacency, 4, 0.2)


@pytest.mark.parametrize("restart", [0.05, 0.15, 0.5, 1.0])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-9])
def test_the_series_of_pagerank_meets_its_tolerance(restart: float, tolerance: float) -> None:
    operator = symmetric(undirected(30, 70, 4))
    series = pagerank_series(operator, restart, tolerance)
    error = series.to_dense() - exact_pagerank(operator, restart)
    assert float(torch.linalg.matrix_norm(error, 2)) <= tolerance
    # and it is no longer than it must be: the bound of two terms less is above the tolerance
    if len(series.coefficients) > 2:
        assert sum(map(abs, series.coefficients[-2:])) > tolerance * restart


def test_wrong_contexts_are_refused() -> None:
    adjacency = undirected(6, 8, 0)
    for call, message in (
        (lambda: intimate_contexts(adjacency, -1), "count is -1"),
        (lambda: intimate_contexts(adjacency, 2, restart=0.0), "restart is 0.0"),
        (lambda: intimate_contexts(adjacency, 2, tolerance=0.0), "tolerance is 0.0"),
        (lambda: intimate_contexts(adjacency.with_weight(-torch.ones(adjacency.num_edges)), 2), "negative weights"),
        (lambda: weisfeiler_lehman(adjacency, -1), "rounds is -1"),
    ):
        with pytest.raises(UsageError, match=message):
            call()


@pytest.mark.parametrize("rounds", [0, 1, 2, 5])
def test_colours_are_those_of_refinement_by_sets(rounds: int) -> None:
    adjacency = random_graph(40, 70, 5, loops=True)
    colours: list[Any] = [0] * 40
    arriving: list[list[int]] = [[] for _ in range(40)]
    for i, j in zip(adjacency.source.tolist(), adjacency.target.tolist(), strict=True):
        arriving[j].append(i)
    for _ in range(rounds):
        full = [(colours[i], tuple(sorted(colours[j] for j in arriving[i]))) for i in range(40)]
        number = {key: k for k, key in enumerate(sorted(set(full)))}
        colours = [number[key] for key in full]
    found = weisfeiler_lehman(adjacency, rounds).tolist()
    assert len(set(zip(found, colours, strict=True))) == len(set(found)) == len(set(colours))
    assert sorted(set(found)) == list(range(len(set(found))))
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    place = order.argsort()
    moved = Adjacency.from_edges(place[adjacency.source], place[adjacency.target], 40)
    assert weisfeiler_lehman(moved, rounds)[place].tolist() == found


def test_a_layer_is_pytorchs_on_its_weights() -> None:
    ours = TransformerLayer(8, 2, 12).double().eval()
    theirs = nn.TransformerEncoderLayer(8, 2, 12, activation="gelu", batch_first=True).double().eval()
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(ours.qkv.weight)
        theirs.self_attn.in_proj_bias.copy_(ours.qkv.bias.normal_())
    for mine, other in (
        (ours.out, theirs.self_attn.out_proj),
        (ours.first, theirs.linear1),
        (ours.second, theirs.linear2),
    ):
        other.load_state_dict(mine.state_dict())
    for norm, other in ((ours.attended, theirs.norm1), (ours.fed, theirs.norm2)):
        nn.init.normal_(norm.weight)
        other.load_state_dict(norm.state_dict())
    x = torch.randn(5, 4, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    there = torch.tensor([[1, 1, 1, 1], [1, 0, 1, 0], [1, 0, 0, 0], [1, 1, 0, 1], [1, 1, 1, 0]], dtype=torch.bool)
    expected = theirs(x, src_key_padding_mask=~there)
    torch.testing.assert_close(ours(x, there)[there], expected[there])
    torch.testing.assert_close(ours(x), theirs(x))
    with pytest.raises(UsageError, match="heads is 3"):
        TransformerLayer(8, 3, 8)


def oracle(network: GraphBERT, graph: Graph, contexts: Contexts, node: int) -> Tensor:
    """The logits of one node by the paper's formulas, place by place, without masks."""
    x = graph.x.to_dense() if isinstance(graph.x, SparseFeatures) else graph.x
    assert x is not None
    d = network.hidden
    neighbours = torch.eye(graph.num_nodes, dtype=torch.float64) + graph.adjacency.to_dense()
    degree = neighbours.sum(1)
    smooth = (
        neighbours / (degree[:, None] * degree).sqrt()
        if network.residual == "graph-raw"
        else torch.eye(len(x)).double()
    )
    mapped = x @ network.weight + network.bias
    rows = []
    for place, (other, hops) in enumerate(zip(contexts.node[node].tolist(), contexts.hops[node].tolist())):
        if hops >= 0:
            numbers = torch.tensor([int(contexts.role[other]), place, hops], dtype=torch.float64)
            rows.append(mapped[other, :d] + sinusoidal(numbers, d).sum(0))
    h = network.norm(torch.stack(rows))
    for layer in network.layers:
        h = layer(h[None])[0]
        if network.residual != "none":
            h = h + (smooth @ mapped)[node, d : 2 * d]
    logits: Tensor = network.classify(h.mean(0))
    return logits if network.residual == "none" else logits + (smooth @ mapped)[node, 2 * d :]


@pytest.mark.parametrize("residual", ["none", "raw", "graph-raw"])
@pytest.mark.parametrize("sparse", [False, True])
def test_the_network_is_the_papers_formula(residual: Any, sparse: bool) -> None:
    adjacency = undirected(14, 12, 6)  # of several parts, so that contexts have empty places
    x = torch.rand(14, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    graph = Graph(SparseFeatures.from_dense(x) if sparse else x, adjacency)
    contexts = intimate_contexts(adjacency, 5, role_rounds=2)
    assert bool((contexts.hops < 0).any())
    torch.manual_seed(0)
    network = GraphBERT(5, 3, 8, 3, 2, residual=residual).double().eval()
    nn.init.normal_(network.bias)
    found = network(graph, contexts)
    expected = torch.stack([oracle(network, graph, contexts, node) for node in range(14)])
    torch.testing.assert_close(found, expected)
    some = torch.tensor([4, 0, 9])
    torch.testing.assert_close(network(graph, contexts, some), expected[some])


def test_attention_is_read_off_as_it_is_used() -> None:
    """The layer is put together from its shares; a place's share is the mean over those that ask, of the node's context alone."""
    torch.manual_seed(0)
    layer = TransformerLayer(8, 2, 8, before=True).double().eval()
    x = torch.randn(3, 4, 8, dtype=torch.float64)
    there = torch.tensor([[1, 1, 1, 1], [1, 0, 1, 0], [1, 0, 0, 0]], dtype=torch.bool)
    shares = layer.shares(x, there)
    assert bool((shares.sum(-1) - 1).abs().max() < 1e-12)
    value = layer.qkv(layer.attended(x)).chunk(3, -1)[2].unflatten(-1, (2, 4)).transpose(1, 2)
    mixed = layer.out((shares @ value).transpose(1, 2).flatten(2))
    torch.testing.assert_close(x + mixed + layer._inner(layer.fed(x + mixed)), layer(x, there))

    given = task("none")
    given.train()
    found = given.attention()
    assert given.training
    assert len(found) == 2
    contexts = given.contexts
    whole = given.network.eval().attention(given.graph, contexts, torch.arange(14))
    for (edges, share), places in zip(found, whole, strict=True):
        torch.testing.assert_close(segment_sum(share, edges.target.long(), 14), torch.ones(14, 2).double())
        for source, target, one in zip(edges.source.tolist(), edges.target.tolist(), share):
            place = (contexts.node[target] == source).logical_and(contexts.hops[target] >= 0).nonzero().item()
            torch.testing.assert_close(one, places[target, :, place])
        assert len(share) == int((contexts.hops >= 0).sum())


def test_without_a_residual_edges_speak_through_contexts_alone() -> None:
    one, other = undirected(14, 20, 6), undirected(14, 20, 7)
    contexts = intimate_contexts(one, 5)
    x = torch.randn(14, 5, generator=torch.Generator().manual_seed(0))
    network = GraphBERT(5, 3, 8, residual="none").eval()
    assert torch.equal(network(Graph(x, one), contexts), network(Graph(x, other), contexts))
    network = GraphBERT(5, 3, 8, residual="graph-raw").eval()
    assert not torch.equal(network(Graph(x, one), contexts), network(Graph(x, other), contexts))


def task(pretraining: Any, nodes: int = 14) -> ContextNodeClassification:
    adjacency = undirected(nodes, 20, 6)
    x = torch.rand(nodes, 5, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    torch.manual_seed(0)
    network = GraphBERT(5, 2, 8, dropout=0.0, attention_dropout=0.0, reconstructs=pretraining in ("attributes", "both"))
    graph = Graph(SparseFeatures.from_dense(x), adjacency)
    parts = {"train": torch.arange(4), "validation": torch.arange(4, 8)}
    contexts = intimate_contexts(adjacency, 3)
    return ContextNodeClassification(
        network, graph, torch.arange(nodes) % 2, parts, contexts, pretraining, 5, 6
    ).double()


def test_pretraining_losses_are_their_formulas() -> None:
    both = task("both")
    network, contexts, nodes = both.network, both.contexts, torch.tensor([3, 11, 5])
    states = network.encode(both.graph, contexts)
    assert network.reconstruct is not None
    x = both.graph.x.to_dense()  # type: ignore[union-attr]
    attributes = torch.stack([(x[i] - network.reconstruct(states[i])).square().mean() for i in nodes]).mean()
    torch.testing.assert_close(both.attribute_loss(nodes), attributes)
    among = sorted({int(j) for i in nodes for j in contexts.node[i]})
    errors = []
    for i in among:
        for j in among:
            cosine = states[i] @ states[j] / (states[i].norm() * states[j].norm())
            place = [p for p in range(4) if contexts.node[i, p] == j and contexts.hops[i, p] >= 0]
            errors.append((cosine - (contexts.intimacy[i, place[0]] if place else 0.0)) ** 2)
    structure = torch.stack(errors).mean()
    torch.testing.assert_close(both.structure_loss(nodes), structure)
    torch.testing.assert_close(both({"pretrain": nodes}), attributes + structure)
    labelled = torch.nn.functional.cross_entropy(both.scores(torch.arange(4)), both.labels[:4])
    torch.testing.assert_close(both({}), labelled)
    torch.testing.assert_close(both.logits(), both.scores())


def test_the_first_steps_need_no_labels_and_lower_what_they_are_for() -> None:
    digits = data.load("digits-knn")
    system = systems.get("graph-bert")
    changes: dict[str, Any] = {
        "patience": 0,
        "pretraining": "both",
        "pretrain_steps": 30,
        "pretrain_nodes": 64,
        "steps": 31,
    }
    fresh = system.build(system.configure(**changes), digits)
    assert (fresh.pretrain_steps, fresh.pretrain_nodes) == (30, 64)
    assert isinstance(fresh, ContextNodeClassification)
    run = train(system, digits, system.configure(**{**changes, "validate_every": 0}), progress=False)
    assert isinstance(run.module, ContextNodeClassification)
    every = torch.arange(300)
    with torch.no_grad():
        assert float(run.module.structure_loss(every)) < 0.5 * float(fresh.eval().structure_loss(every))
        assert float(run.module.attribute_loss(every)) < 0.9 * float(fresh.attribute_loss(every))
    assert task("none").pretrain_steps == 0


def test_wrong_networks_and_pretraining_are_refused() -> None:
    system = systems.get("graph-bert")
    for call, message in (
        (lambda: GraphBERT(3, 2, 7), "hidden is 7"),
        (lambda: GraphBERT(3, 2, 8, residual="graf-raw"), "Did you mean graph-raw"),  # type: ignore[arg-type]
        (lambda: task("structures"), "Did you mean structure"),
        (lambda: system.configure(pretraining="both"), "patience = 40"),
        (
            lambda: system.configure("paper", pretraining="both", pretrain_steps=150),
            "pretrain_steps = 150 of steps = 150",
        ),
    ):
        with pytest.raises(RenoteError, match=message):
            call()
    plain = task("structure")
    with pytest.raises(UsageError, match="reconstructs=True"):
        ContextNodeClassification(plain.network, plain.graph, plain.labels, plain.splits, plain.contexts, "attributes")


def test_features_are_scaled_to_one() -> None:
    x = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    assert float(unit_scale(x).square().mean()) == pytest.approx(1.0)  # type: ignore[union-attr]
    sparse = unit_scale(SparseFeatures.from_dense(x))
    torch.testing.assert_close(sparse.to_dense(), unit_scale(x))  # type: ignore[union-attr]
    assert torch.equal(unit_scale(torch.zeros(2, 2)), torch.zeros(2, 2))  # type: ignore[arg-type]


def test_directed_intimacy_is_a_share_of_walks() -> None:
    adjacency = random_graph(30, 80, 2)
    transposed = random_walk(adjacency.transpose())
    expected = exact_pagerank(transposed, ALPHA).T
    torch.testing.assert_close(expected, dense_intimacy(adjacency))
