"""Parts of graphs: what is drawn, how often, what it tells of the whole; clusters; the whole, layer by layer."""

from __future__ import annotations

import importlib
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from layer_harness import kipf_matrix, random_graph, undirected
from scipy.stats import chi2, kstest
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from renote.errors import DataError, UsageError
from renote.graph import (
    GCN,
    MLP,
    Adjacency,
    ChebyshevConvolution,
    ClusterSampling,
    DeepSetsAggregation,
    Field,
    GaANConvolution,
    GATConvolution,
    GatedAggregation,
    Graph,
    IsomorphismConvolution,
    JumpingKnowledge,
    KipfConvolution,
    LoopyConvolution,
    MessageConvolution,
    MixtureConvolution,
    NeighborSampling,
    NodeClassification,
    NodeNetwork,
    SAGEConvolution,
    SparseFeatures,
    SumAggregation,
    induced,
    layerwise,
    neighbor_mean,
    neighborhood,
    partition,
    sample_neighbors,
    spmm,
)
from renote.graph.sampling import uniform

HUB = 12
"""Edges that arrive at node 0 of `star`."""


def star(weight: torch.Tensor | None = None) -> Adjacency:
    """Nodes 1 … 12 send to node 0, node 0 to node 1; node 13 is alone."""
    return Adjacency.from_edges([*range(1, HUB + 1), 0], [*[0] * HUB, 1], HUB + 2, weight)


def graph_of(adjacency: Adjacency, width: int = 4, seed: int = 0) -> Graph:
    generator = torch.Generator().manual_seed(seed)
    return Graph(torch.randn(adjacency.num_nodes, width, dtype=torch.float64, generator=generator), adjacency)


def test_the_counter_gives_uniform_and_independent_numbers() -> None:
    node = torch.arange(2000)
    number = uniform(5, node[:, None], torch.arange(10))
    assert torch.equal(number[7:9], uniform(5, node[7:9, None], torch.arange(10)))
    for values in (number.flatten(), number[:, 0], uniform(6, node, 0 * node), (number[1:] - number[:-1]) % 1.0):
        assert kstest(values.flatten().numpy(), "uniform").pvalue > 1e-3
    correlation = torch.corrcoef(torch.cat([number, uniform(6, node[:, None], torch.arange(10))], 1).T)
    assert float((correlation - torch.eye(20)).abs().max()) < 5 / 2000**0.5


# A thousand degrees of freedom would blur a wrong edge: each case is of the twelve edges at the hub.
@pytest.mark.parametrize("fan_out", [1, 3, 7, 11])
def test_without_replacement_every_edge_is_as_likely(fan_out: int) -> None:
    rounds = 4000
    taken = torch.zeros(HUB)
    pairs = torch.zeros(HUB, HUB)
    for seed in range(rounds):
        edge, count = sample_neighbors(star(), torch.tensor([0]), fan_out, seed)
        assert count.tolist() == [fan_out]
        assert len(edge.unique()) == fan_out
        taken[edge] += 1
        pairs[edge[:, None], edge] += 1
    share = fan_out / HUB
    # inclusions of one draw sum to fan_out, which leaves HUB - 1 degrees of freedom
    statistic = ((taken - rounds * share) ** 2).sum() / (rounds * share * (1 - share)) * (HUB - 1) / HUB
    assert float(statistic) < chi2.ppf(0.999, HUB - 1)
    together = share * (fan_out - 1) / (HUB - 1)
    off = pairs[~torch.eye(HUB, dtype=torch.bool)] / rounds
    assert float((off - together).abs().max()) < 4.5 * (together * (1 - together) / rounds + 1e-9) ** 0.5


def test_with_replacement_each_draw_is_any_edge() -> None:
    drawn = torch.cat([sample_neighbors(star(), torch.tensor([0, 1]), 5, s, replace=True)[0] for s in range(2000)])
    times = torch.bincount(drawn, minlength=HUB + 1).double()
    assert int(times[HUB]) == 5 * 2000  # the only edge at node 1, every time
    expected = 5 * 2000 / HUB
    assert float(((times[:HUB] - expected) ** 2 / expected).sum()) < chi2.ppf(0.999, HUB - 1)


def test_weighted_draws_are_in_proportion() -> None:
    weight = torch.cat([torch.arange(HUB).float(), torch.ones(1)])  # the first is never drawn
    share = weight[:HUB] / weight[:HUB].sum()
    again = [sample_neighbors(star(weight), torch.tensor([0]), 4, s, replace=True, weighted=True) for s in range(2000)]
    times = torch.bincount(torch.cat([edge for edge, _ in again]), minlength=HUB)[:HUB]
    assert int(times[0]) == 0
    expected = 8000 * share
    assert float(((times - expected) ** 2 / expected)[1:].sum()) < chi2.ppf(0.999, HUB - 2)
    # of two drawn one after the other without replacement: p_i + Σ_j p_j p_i / (1 - p_j)
    rounds, taken = 4000, torch.zeros(HUB)
    for seed in range(rounds):
        edge, count = sample_neighbors(star(weight), torch.tensor([0]), 2, seed, weighted=True)
        assert count.tolist() == [2] == [len(edge.unique())]
        taken[edge] += 1
    ratio = share / (1 - share)
    inclusion = share * (1 + ratio.sum() - ratio)
    deviation = (inclusion * (1 - inclusion) / rounds).sqrt()
    assert float(((taken / rounds - inclusion).abs() / deviation.clamp(min=1e-9))[1:].max()) < 4
    assert int(taken[0]) == 0
    all_there = sample_neighbors(star(weight), torch.tensor([0, 13]), 50, weighted=True)
    assert (all_there[0].tolist(), all_there[1].tolist()) == (list(range(1, HUB)), [HUB - 1, 0])


@given(
    nodes=st.integers(1, 20), edges=st.integers(0, 60), fan_out=st.sampled_from([-1, 1, 2, 5]), seed=st.integers(0, 99)
)
def test_drawn_edges_arrive_at_the_node(nodes: int, edges: int, fan_out: int, seed: int) -> None:
    adjacency = random_graph(nodes, edges, seed, loops=True).with_weight(None)
    asked = torch.arange(0, nodes, 2)
    for replace in (False, True):
        edge, count = sample_neighbors(adjacency, asked, fan_out, seed, replace=replace)
        assert torch.equal(adjacency.target[edge].long(), asked.repeat_interleave(count))
        degree = adjacency.pattern.count[asked].long()
        wanted = degree if fan_out == -1 else fan_out * (degree > 0) if replace else degree.clamp(max=fan_out)
        assert torch.equal(count, wanted)
        for number, node in enumerate(asked.tolist()):
            alone, _ = sample_neighbors(adjacency, torch.tensor([node]), fan_out, seed, replace=replace)
            assert torch.equal(alone, edge.split(count.tolist())[number])  # whatever else is asked for


@given(nodes=st.integers(1, 15), edges=st.integers(0, 40), seed=st.integers(0, 99))
def test_a_neighbourhood_is_made_of_edges_of_the_whole(nodes: int, edges: int, seed: int) -> None:
    graph = graph_of(random_graph(nodes, edges, seed, loops=True))
    asked = torch.randperm(nodes, generator=torch.Generator().manual_seed(seed))[: 1 + nodes // 3]
    part = neighborhood(graph, asked, [2, 1], seed)
    inner = part.graph.adjacency
    assert torch.equal(part.node[part.asked], asked)
    assert torch.equal(part.graph.x, graph.x[part.node])  # type: ignore[index, arg-type]
    whole = {
        (int(s), int(t)): float(w)
        for s, t, w in zip(
            graph.adjacency.source, graph.adjacency.target, graph.adjacency.values(torch.float64), strict=True
        )
    }
    weights = inner.values(torch.float64)
    dense = graph.adjacency.pattern.distinct[0].num_entries == graph.num_edges
    for source, target, weight in zip(part.node[inner.source], part.node[inner.target], weights, strict=True):
        assert (int(source), int(target)) in whole
        assert not dense or whole[int(source), int(target)] == pytest.approx(float(weight))
    assert torch.equal(inner.target.sort().values, inner.target)
    assert int(inner.pattern.count.max() if len(part.node) else 0) <= 2


NETWORKS: dict[str, Callable[[], NodeNetwork]] = {
    "gcn": lambda: GCN(4, 6, 3, layers=2),
    "gat": lambda: NodeNetwork([GATConvolution(4, 3, heads=2), GATConvolution(6, 3, heads=2, concat=False)]),
    "gaan": lambda: NodeNetwork([GaANConvolution(4, 6, 2, 3, 4, 5), GaANConvolution(6, 3, 2, 3, 4, 5)]),
    "sage mean": lambda: NodeNetwork([SAGEConvolution(4, 6), SAGEConvolution(6, 3, "gcn", normalize=True)]),
    "sage lstm": lambda: NodeNetwork([SAGEConvolution(4, 6, "lstm"), SAGEConvolution(6, 3, "pool")]),
    "jump": lambda: NodeNetwork(
        [KipfConvolution(4, 6), KipfConvolution(6, 6)],
        jump=JumpingKnowledge("concat", 6, 2),
        head=torch.nn.Linear(12, 3),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
@given(nodes=st.integers(1, 25), edges=st.integers(0, 80), seed=st.integers(0, 99))
def test_with_all_neighbours_a_part_is_as_good_as_the_whole(name: str, nodes: int, edges: int, seed: int) -> None:
    graph = graph_of(random_graph(nodes, edges, seed, loops=True))
    network = NETWORKS[name]().double().eval()
    part = neighborhood(graph, torch.arange(0, nodes, 3), [-1, -1])
    torch.testing.assert_close(network(part.graph)[part.asked], network(graph)[::3], rtol=1e-10, atol=1e-10)


def test_companions_change_nothing_where_all_hops_draw_alike() -> None:
    graph = graph_of(undirected(60, 400, 1))
    network = NETWORKS["sage mean"]().double().eval()
    together = neighborhood(graph, torch.arange(30), [3, 3], seed=4)
    found = network(together.graph)[together.asked]
    for node in (0, 7, 29):
        alone = neighborhood(graph, torch.tensor([node]), [3, 3], seed=4)
        torch.testing.assert_close(network(alone.graph)[alone.asked][0], found[node])
    other = neighborhood(graph, torch.arange(30), [3, 3], seed=5)
    assert not torch.equal(other.graph.adjacency.edge_index(), together.graph.adjacency.edge_index())


@pytest.mark.parametrize("replace", [False, True])
def test_sampled_means_and_kipf_rows_are_unbiased(replace: bool) -> None:
    adjacency = undirected(20, 160, 3)
    graph = graph_of(adjacency)
    assert isinstance(graph.x, torch.Tensor)
    asked, rounds = torch.tensor([0, 4, 9]), 3000
    means, rows = [], []
    for seed in range(rounds):
        part = neighborhood(graph, asked, [3], seed, replace=replace)
        assert isinstance(part.graph.x, torch.Tensor)
        means.append(neighbor_mean(part.graph.adjacency, part.graph.x)[part.asked])
        rows.append(spmm(part.graph.adjacency.kipf(), part.graph.x)[part.asked])
    exact = neighbor_mean(adjacency, graph.x)[asked], (kipf_matrix(adjacency.to_dense()) @ graph.x)[asked]
    for sampled, expected in zip((means, rows), exact, strict=True):
        drawn = torch.stack(sampled)
        error = (drawn.mean(0) - expected).abs() / (drawn.std(0) / rounds**0.5)
        assert float(error.max()) < 4


COPIES = 3000


def hubs() -> tuple[Graph, torch.Tensor]:
    """Copies of a node at which five weighted edges arrive, one of them its own loop of weight 3; and the numbers of those nodes."""
    first = 5 * torch.arange(COPIES)
    source = (first[:, None] + torch.arange(5)).flatten()
    weight = torch.tensor([3.0, 0.5, 2.0, 1.0, 4.0], dtype=torch.float64).repeat(COPIES)
    adjacency = Adjacency.from_edges(source, first.repeat_interleave(5), 5 * COPIES, weight)
    values = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return Graph(values.repeat(COPIES, 1), adjacency), first


def assert_unbiased(drawn: torch.Tensor, exact: torch.Tensor) -> None:
    """Rows of many draws have the mean `exact`."""
    error = (drawn.mean(0) - exact).abs() / (drawn.std(0) / len(drawn) ** 0.5).clamp(min=1e-12)
    assert float(drawn.std(0).max()) > 1e-3
    assert float(error.max()) < 4


draws = pytest.mark.parametrize(
    "how",
    [{}, {"replace": True}, {"weighted": True}, {"weighted": True, "replace": True}],
    ids=["uniform", "again", "weighted", "weighted again"],
)


@draws
@pytest.mark.parametrize("fan_out", [1, 2, 4])
def test_kipf_rows_are_unbiased_whether_or_not_a_loop_was_drawn(how: dict[str, bool], fan_out: int) -> None:
    graph, asked = hubs()
    assert isinstance(graph.x, torch.Tensor)
    part = neighborhood(graph, asked, [fan_out], 3, **how)
    assert isinstance(part.graph.x, torch.Tensor)
    found = spmm(part.graph.adjacency.kipf(), part.graph.x)[part.asked]
    assert_unbiased(found, spmm(graph.adjacency.kipf(), graph.x)[0])
    looped = part.graph.adjacency.with_self_loops()
    on = looped.target == looped.source
    wanted = torch.ones(len(part.node), dtype=torch.float64).index_fill(0, part.asked, 3.0)
    assert torch.equal(looped.values(torch.float64)[on], wanted)


def shifted(module: torch.nn.Linear) -> None:
    """The map x + 100, which a rectifier leaves alone."""
    torch.nn.init.eye_(module.weight)
    torch.nn.init.constant_(module.bias, 100.0)


def isomorphism() -> torch.nn.Module:
    module = IsomorphismConvolution(3, 3).double()
    for linear in (module.first, module.second):
        shifted(linear)
    return module


def deep_sets() -> torch.nn.Module:
    module = DeepSetsAggregation(3).double()
    for linear in (module.inner, module.out):
        shifted(linear)
    return module


def sent(source: torch.Tensor, target: torch.Tensor, edge: torch.Tensor | None) -> torch.Tensor:
    return source * source - target


SUMS: dict[str, Callable[[], torch.nn.Module]] = {
    "loopy": lambda: LoopyConvolution(3, 2).double(),
    "isomorphism": isomorphism,
    "sum": SumAggregation,
    "sage sum": lambda: SAGEConvolution(3, 2, "sum").double(),
    "sage gated": lambda: SAGEConvolution(3, 2, "gated").double(),
    "gated": lambda: GatedAggregation(3).double(),
    "deepsets": deep_sets,
    "message sum": lambda: MessageConvolution(3, sent),
    "message gated": lambda: MessageConvolution(3, sent, "gated", message_features=3).double(),
}


@draws
@pytest.mark.parametrize("name", SUMS)
@torch.no_grad()
def test_sums_of_drawn_neighbours_are_unbiased(name: str, how: dict[str, bool]) -> None:
    torch.manual_seed(0)
    (graph, asked), module = hubs(), SUMS[name]()
    part = neighborhood(graph, asked, [2], 5, **how)
    assert_unbiased(module(part.graph.x, part.graph.adjacency)[part.asked], module(graph.x, graph.adjacency)[0])


@pytest.mark.parametrize("weighted", [False, True])
def test_a_part_of_a_part_estimates_the_whole(weighted: bool) -> None:
    graph, asked = hubs()
    half = neighborhood(graph, asked, [3], 1)
    part = neighborhood(half.graph, half.asked, [2], 2, weighted=weighted)
    assert isinstance(part.graph.x, torch.Tensor)
    for found, exact in (
        (part.graph.adjacency.expected, graph.adjacency),
        (part.graph.adjacency.kipf(), graph.adjacency.kipf()),
    ):
        assert_unbiased(spmm(found, part.graph.x)[part.asked], spmm(exact, graph.x)[0])  # type: ignore[arg-type]


def test_weighted_draws_of_all_edges_are_the_whole() -> None:
    graph = graph_of(random_graph(12, 40, 2, loops=True))
    graph = Graph(graph.x, graph.adjacency.with_weight(graph.adjacency.values(torch.float64).abs() + 0.1))
    for fan_out in (-1, 40):
        part = neighborhood(graph, torch.arange(12), [fan_out], weighted=True).graph
        torch.testing.assert_close(part.adjacency.to_dense(), graph.adjacency.to_dense())


def test_an_isolated_node_and_a_hub() -> None:
    graph = graph_of(star())
    part = neighborhood(graph, torch.tensor([13, 0]), [4, 4])
    assert part.graph.num_edges - int(part.graph.adjacency.in_degree()[part.node != 0].sum()) == 4
    assert part.node[part.asked].tolist() == [13, 0]
    assert int(part.graph.adjacency.in_degree()[part.asked[0]]) == 0
    many = Adjacency.from_edges(torch.arange(1, 100_001), torch.zeros(100_000, dtype=torch.long), 100_001)
    assert sample_neighbors(many, torch.tensor([0]), 7)[1].tolist() == [7]
    assert neighborhood(graph_of(many, 1), torch.tensor([0, 0, 5]), [5, 5]).graph.num_nodes == 7
    nothing = neighborhood(graph, torch.empty(0, dtype=torch.long), [2])
    assert (nothing.graph.num_nodes, nothing.graph.num_edges) == (0, 0)
    assert neighborhood(graph, torch.tensor([3]), []).node.tolist() == [3]


def test_what_belongs_to_nodes_and_edges_comes_along() -> None:
    adjacency = Adjacency.from_edges([0, 1, 2], [1, 2, 3], 4, torch.tensor([0.5, 1.5, 2.5]))
    words = SparseFeatures.from_dense(torch.eye(4))
    fields = {
        "age": Field("node", torch.arange(4)),
        "length": Field("edge", torch.arange(3)),
        "title": Field("graph", torch.ones(1)),
        "pair": Field("index", torch.tensor([0, 3])),
    }
    graph = Graph(words, adjacency, torch.arange(3.0)[:, None], torch.tensor([2, 1, 0]), fields=fields)
    for part in (induced(graph, torch.tensor([3, 2])), neighborhood(graph, torch.tensor([3]), [1])):
        assert part.node.tolist() == [2, 3]
        assert isinstance(part.graph.x, SparseFeatures)
        assert torch.equal(part.graph.x.to_dense(), torch.eye(4)[2:])
        assert part.graph.adjacency.values(torch.float32).tolist() == [2.5]
        assert part.graph.edge_features.tolist() == [[2.0]]  # type: ignore[union-attr]
        assert part.graph.relation.tolist() == [0]  # type: ignore[union-attr]
        assert (part.graph["age"].tolist(), part.graph["length"].tolist(), part.graph["title"].tolist()) == (
            [2, 3],
            [2],
            [1.0],
        )
        assert "pair" not in part.graph.fields
    alone = neighborhood(graph, torch.tensor([3]), [1], weighted=True).graph.adjacency.values(torch.float32)
    assert alone.tolist() == [2.5]  # the only edge, which is drawn for certain


@given(nodes=st.integers(1, 15), edges=st.integers(0, 60), seed=st.integers(0, 99))
def test_an_induced_part_is_the_submatrix(nodes: int, edges: int, seed: int) -> None:
    graph = graph_of(random_graph(nodes, edges, seed))
    some = torch.arange(0, nodes, 2).flip(0)
    part = induced(graph, some)
    mask = torch.zeros(nodes, dtype=torch.bool).index_fill(0, some, True)
    assert torch.equal(induced(graph, mask).graph.adjacency.to_dense(), part.graph.adjacency.to_dense())
    assert induced(graph, mask).asked.tolist() == list(range(len(some)))
    expected = graph.adjacency.to_dense()[::2, ::2]
    torch.testing.assert_close(part.graph.adjacency.to_dense(), expected)
    torch.testing.assert_close(part.graph.adjacency.kipf().to_dense(), kipf_matrix(expected))  # its own degrees


def test_a_part_keeps_the_wholes_degrees_on_its_way() -> None:
    adjacency = undirected(20, 120, 3)
    part = neighborhood(graph_of(adjacency), torch.tensor([1, 2]), [3], 1).graph.adjacency
    moved = part.map(torch.clone)
    assert moved.whole is not None
    torch.testing.assert_close(moved.kipf().to_dense(), part.kipf().to_dense())
    again = neighborhood(Graph(None, part), torch.arange(part.num_nodes), [-1]).graph.adjacency
    assert torch.equal(again.looped_degree, part.looped_degree)


@pytest.mark.parametrize("method", ["metis", "random"])
def test_clusters_partition_the_nodes(method: str) -> None:
    if method == "metis":
        pytest.importorskip("pymetis")
    adjacency = undirected(90, 300, 2)
    cluster = partition(adjacency, 9, method, seed=1)  # type: ignore[arg-type]
    assert cluster.shape == (90,)
    assert (
        torch.bincount(cluster).tolist() == [10] * 9 if method == "random" else set(cluster.tolist()) <= set(range(9))
    )
    assert torch.equal(cluster, partition(adjacency, 9, method, seed=1))  # type: ignore[arg-type]
    sampling = ClusterSampling(cluster)
    graph, train = graph_of(adjacency), torch.arange(0, 90, 4)
    parts = [sampling.part(graph, {"cluster": torch.tensor([c])}, train) for c in range(sampling.num_clusters)]
    assert torch.cat([part.node for part in parts]).sort().values.tolist() == list(range(90))
    asked = torch.cat([part.node[part.asked] for part in parts])
    assert asked.sort().values.tolist() == train.tolist()
    both = sampling.part(graph, {"cluster": torch.tensor([4, 2])}, train)
    between = both.graph.num_edges - parts[4].graph.num_edges - parts[2].graph.num_edges
    inside = torch.isin(cluster, torch.tensor([2, 4]))
    across = (
        inside[adjacency.source] & inside[adjacency.target] & (cluster[adjacency.source] != cluster[adjacency.target])
    )
    assert between == int(across.sum())


def test_metis_finds_what_is_there() -> None:
    pytest.importorskip("pymetis")
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randint(40, (2000,), generator=generator) for _ in range(2))
    offset = 40 * torch.randint(4, (2000,), generator=generator)
    order = torch.randperm(160, generator=generator)
    blocks = Adjacency.from_edges(order[source + offset], order[target + offset], 160)  # directed, loops, repeats
    cluster = partition(blocks, 4)
    assert torch.equal(cluster[blocks.source], cluster[blocks.target])
    assert torch.bincount(cluster).tolist() == [40] * 4
    empty = partition(Adjacency.from_edges([], [], 6), 3)
    assert empty.shape == (6,)


def test_clusters_without_pymetis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymetis", None)
    module = importlib.import_module("renote.graph.minibatch")
    with pytest.raises(UsageError, match=r"renote\[clusters\]"):
        module.partition(star(), 2)
    assert module.partition(star(), 2, "random").tolist().count(0) == 7


@pytest.mark.parametrize("megabytes", [1e-5, 2e-2, 1.0])
@pytest.mark.parametrize("name", [*NETWORKS, "monet", "cheb"])
def test_layer_by_layer_is_the_whole(name: str, megabytes: float) -> None:
    more: dict[str, Callable[[], NodeNetwork]] = {
        "monet": lambda: NodeNetwork([MixtureConvolution(4, 6), MixtureConvolution(6, 3)]),
        "cheb": lambda: NodeNetwork([ChebyshevConvolution(4, 6), KipfConvolution(6, 3)]),
    }
    graph = graph_of(undirected(50, 300, 6))
    assert isinstance(graph.x, torch.Tensor)
    graph = graph.with_x(graph.x.float())
    network = {**NETWORKS, **more}[name]().eval()
    calls: list[int] = []
    handle = network.convolutions[-1].register_forward_hook(lambda module, given, out: calls.append(len(given[0])))
    found = layerwise(network, graph, megabytes)
    handle.remove()
    if name != "monet":
        assert len(calls) == {1e-5: 50, 1.0: 1}.get(megabytes, len(calls))
        assert megabytes != 2e-2 or 1 < len(calls) < 50
    torch.testing.assert_close(found, network(graph), rtol=1e-6, atol=1e-6)


class LiveBytes(TorchDispatchMode):
    """Bytes of the tensors that are made within, and the most of them that are there at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided:
                self._see(tensor.untyped_storage())
        return out

    def _see(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata not in self._known:
            self._known[storage._cdata] = storage.nbytes()
            self.now += storage.nbytes()
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._forget, storage._cdata)

    def _forget(self, number: int) -> None:
        self.now -= self._known.pop(number)


WIDE: dict[str, Callable[[], torch.nn.Module]] = {
    "gat": lambda: GATConvolution(32, 16, heads=12, concat=False),
    "gaan": lambda: GaANConvolution(32, 16, 4, 24, 24, 48),
    "sage pool": lambda: SAGEConvolution(32, 16, "pool", aggregated=192),
    "sage lstm": lambda: SAGEConvolution(32, 16, "lstm", aggregated=48),
}


@pytest.mark.parametrize("name", WIDE)
def test_layer_by_layer_stays_within_its_budget(name: str) -> None:
    """About, which is up to twice, beyond a layer's output, of which an activation makes another."""
    graph = graph_of(undirected(600, 600, 6), 32).map(lambda part: part.float() if part.is_floating_point() else part)
    network = NodeNetwork([WIDE[name](), KipfConvolution(16, 3)]).eval()
    layerwise(network, graph)  # what is kept of the edges
    output = 2 * 600 * 16 * 4
    with torch.no_grad(), LiveBytes() as whole:
        network(graph)
    for megabytes in (0.3, 0.15):
        with LiveBytes() as chunked:
            layerwise(network, graph, megabytes)
        assert chunked.most <= output + 2e6 * megabytes < whole.most


def test_chunks_are_as_large_as_the_budget_allows() -> None:
    """A path: a node is read for itself and for each edge, 2 · 4 bytes for each number of its row and of what a matrix makes of it; an edge takes 32."""
    path = Adjacency.from_edges(torch.arange(99), torch.arange(1, 100), 100)
    network = NodeNetwork([KipfConvolution(4, 6)]).eval()
    read = 2 * 4 * (4 + (4 * 6 + 6) // 4)
    seen: list[int] = []
    network.convolutions[0].register_forward_hook(lambda module, given, out: seen.append(len(given[0])))
    layerwise(
        network,
        graph_of(path).map(lambda part: part.float() if part.is_floating_point() else part),
        1e-6 * 10 * (2 * read + 32),
    )
    # ten nodes and the one before them; the first has no edge
    assert seen == [10, *[11] * 9]


def test_layer_by_layer_on_sparse_features_and_other_networks() -> None:
    dense = torch.rand(30, 9) * (torch.rand(30, 9) < 0.3)
    graph = Graph(SparseFeatures.from_dense(dense), undirected(30, 90, 2))
    network = GCN(9, 4, 3).eval()
    torch.testing.assert_close(layerwise(network, graph, 1e-5), network(graph), rtol=1e-6, atol=1e-6)
    plain = MLP(9, 4, 3).eval()
    torch.testing.assert_close(layerwise(plain, graph, 1e-5), plain(graph))
    nobody = Graph(torch.zeros(0, 9), Adjacency.from_edges([], [], 0))
    assert layerwise(network, nobody).shape == (0, 3)
    with pytest.raises(UsageError, match="eval"):
        layerwise(network.train(), graph)
    with pytest.raises(UsageError, match="megabytes is 0"):
        layerwise(network.eval(), graph, 0)


def test_the_loss_of_a_part() -> None:
    graph, labels = graph_of(undirected(40, 200, 5)), torch.arange(40) % 3
    task = NodeClassification(NETWORKS["gcn"]().double().eval(), graph, labels, {"train": torch.arange(0, 40, 2)})
    whole = task({})
    task.sampling = NeighborSampling((-1, -1))
    batch = {"node": task.splits["train"], "seed": torch.zeros(20, dtype=torch.long)}
    torch.testing.assert_close(task(batch), whole)
    task.sampling = ClusterSampling(torch.zeros(40, dtype=torch.long))
    torch.testing.assert_close(task({"cluster": torch.tensor([0])}), whole)
    task.sampling = ClusterSampling(torch.arange(40) % 2)
    loss = task({"cluster": torch.tensor([1])})  # odd nodes, none to train on
    loss.backward()
    assert loss.item() == 0.0
    assert all(p.grad is not None and not bool(p.grad.any()) for p in task.parameters())


def test_what_cannot_be_is_refused() -> None:
    graph = graph_of(star())
    with pytest.raises(UsageError, match="fan_out is 0"):
        sample_neighbors(star(), torch.tensor([0]), 0)
    with pytest.raises(UsageError, match="without weights"):
        sample_neighbors(star(), torch.tensor([0]), 2, weighted=True)
    weight = torch.ones(HUB + 1).index_fill(0, torch.tensor([3]), -1.0)
    for replace in (False, True):
        with pytest.raises(DataError, match="edge 3 has the negative weight -1.0"):
            sample_neighbors(star(weight), torch.tensor([0]), 2, weighted=True, replace=replace)
    for make in (induced, lambda graph, nodes: neighborhood(graph, nodes, [1])):
        with pytest.raises(DataError, match="no node 14"):
            make(graph, torch.tensor([2, 14]))
        with pytest.raises(UsageError, match="node numbers"):
            make(graph, torch.ones(13, dtype=torch.bool))
    with pytest.raises(UsageError, match="fan_outs is"):
        NeighborSampling((5, 0))
    with pytest.raises(UsageError, match="parts is 15"):
        partition(star(), 15, "random")
    with pytest.raises(UsageError, match="method of partition"):
        partition(star(), 2, "spectral")  # type: ignore[arg-type]
