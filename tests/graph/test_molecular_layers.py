"""What networks of molecules are made of: parity with PyTorch Geometric on copied weights, oracles, edge features, refusals."""

from __future__ import annotations

import pytest
import torch
from layer_harness import undirected
from torch import Tensor, nn

from renote.errors import DataError, UsageError
from renote.graph import (
    Adjacency,
    DegreeConvolution,
    EdgeNetworkConvolution,
    GaussianHistogram,
    Graph,
    GraphNetwork,
    GraphRegression,
    MessagePassingNetwork,
    NeuralFingerprint,
    NodeMap,
    OverPairs,
    Perceptron,
    Set2SetAggregation,
    SumAggregation,
    WeaveConvolution,
    WeaveNetwork,
    batch,
    occlusion,
    pair_graph,
    pick,
)

DEGREES = 4


def drawn(nodes: int, seed: int, edge_features: int = 3) -> Graph:
    generator = torch.Generator().manual_seed(seed)
    adjacency = undirected(nodes, 2 * nodes, seed) if nodes > 2 else Adjacency.from_edges([], [], nodes)
    x = torch.randn(nodes, 4, dtype=torch.float64, generator=generator)
    edges = torch.randn(adjacency.num_edges, edge_features, dtype=torch.float64, generator=generator)
    return Graph(x, adjacency, edges)


GRAPHS = [drawn(nodes, seed) for seed, nodes in enumerate((6, 0, 1, 9, 3, 0))]


def test_weights_by_degree_are_those_of_the_peer() -> None:
    peers = pytest.importorskip("torch_geometric.nn", reason="PyTorch Geometric is not installed")
    graph = drawn(40, 1)
    layer = DegreeConvolution(4, 5, max_degree=DEGREES).double()
    nn.init.normal_(layer.bias)
    peer = peers.MFConv(4, 5, max_degree=DEGREES).double()
    with torch.no_grad():
        for number in range(DEGREES + 1):
            peer.lins_r[number].weight.copy_(layer.weight[number, :4].T)
            peer.lins_l[number].weight.copy_(layer.weight[number, 4:].T)
            peer.lins_l[number].bias.copy_(layer.bias[number])
    assert isinstance(graph.x, Tensor)
    torch.testing.assert_close(layer(graph.x, graph.adjacency), peer(graph.x, graph.adjacency.edge_index()))


def test_features_of_edges_come_beside_those_of_neighbours() -> None:
    graph = drawn(7, 2)
    layer = DegreeConvolution(4, 5, edge_features=3, max_degree=2).double()
    x, edges = graph.x, graph.edge_features
    assert isinstance(x, Tensor)
    assert edges is not None
    found = layer(x, graph.adjacency, edges)
    source, target = graph.adjacency.source.long(), graph.adjacency.target.long()
    for i in range(7):
        arriving = target == i
        degree = min(int(arriving.sum()), 2)
        seen = torch.cat([x[i], x[source[arriving]].sum(0), edges[arriving].sum(0)])
        torch.testing.assert_close(found[i], seen @ layer.weight[degree] + layer.bias[degree])
    with pytest.raises(UsageError, match="one row an edge"):
        layer(x, graph.adjacency)
    with pytest.raises(UsageError, match="max_degree"):
        DegreeConvolution(4, 5, max_degree=-1)


def test_a_fingerprint_adds_up_and_a_batch_is_a_loop() -> None:
    network = NeuralFingerprint(4, Perceptron([16, 2]), 5, 16, 2, 3).double().eval()
    whole = batch(GRAPHS)
    written = network.fingerprint(whole)
    # every atom writes one at each of the three depths
    torch.testing.assert_close(written.sum(1), 3.0 * whole.members.count.double())
    assert bool((written >= 0).all())
    torch.testing.assert_close(network(whole), torch.cat([network(graph) for graph in GRAPHS]))


VALUES = torch.tensor(
    [[1.0, 5.0], [2.0, 5.0], [6.0, 5.0], [0.0, 7.0], [float("nan"), 1.0], [3.0, 3.0]], dtype=torch.float64
)


class Given(nn.Module):
    """As many times its nodes as a graph has."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.ones(2, dtype=torch.float64))

    def forward(self, graph: Graph) -> Tensor:
        return graph.members.count.double()[:, None] * self.slope


def regression(**splits: Tensor) -> GraphRegression:
    parts = {"train": torch.tensor([0, 1, 2]), "validation": torch.tensor([3, 5]), **splits}
    return GraphRegression(Given(), batch(GRAPHS), VALUES, parts)


def test_values_are_standardized_on_the_training_graphs() -> None:
    task = regression()
    assert task.center.tolist() == [3, 5]
    # the second target does not vary
    assert task.scale.tolist() == pytest.approx([(14 / 3) ** 0.5, 1])
    nodes = torch.tensor([6.0, 0, 1, 9, 3, 0], dtype=torch.float64)
    predicted = nodes[:, None] * task.scale + task.center
    torch.testing.assert_close(task.predict(), predicted)
    loss = (nodes[[3, 5], None] - (VALUES[[3, 5]] - task.center) / task.scale).square().mean()
    found = task.validate()
    assert found["loss"] == pytest.approx(float(loss))
    away = predicted[[3, 5]] - VALUES[[3, 5]]
    root, absolute = task.errors("validation")
    torch.testing.assert_close(root, away.square().mean(0).sqrt())
    torch.testing.assert_close(absolute, away.abs().mean(0))
    assert found["rmse"] == pytest.approx(float(root.mean()))
    assert found["mae"] == pytest.approx(float(absolute.mean()))
    torch.testing.assert_close(task({"graph": torch.tensor([3, 5])}), loss)


def test_mean_and_deviation_are_part_of_the_state() -> None:
    kept = regression().state_dict()
    other = GraphRegression(Given(), batch(GRAPHS), VALUES * 10, {"train": torch.tensor([3, 5])})
    other.load_state_dict(kept)
    torch.testing.assert_close(other.predict(), regression().predict())


def test_what_values_cannot_be() -> None:
    with pytest.raises(DataError, match="graph 4 of the split 'train' has no label"):
        regression(train=torch.tensor([0, 4]))
    with pytest.raises(DataError, match="a row of numbers each"):
        GraphRegression(Given(), batch(GRAPHS), VALUES[:3], {"train": torch.tensor([0])})
    with pytest.raises(DataError, match="no split named 'train'"):
        GraphRegression(Given(), batch(GRAPHS), VALUES, {})
    with pytest.raises(UsageError, match="unknown split"):
        regression().errors("tset")
    assert regression().validate("test") == {}


def hops(graph: Graph) -> Tensor:
    """(nodes, nodes) edges from column to row, by powers; infinite where there is no way."""
    dense = graph.adjacency.to_dense()
    found = torch.full_like(dense, float("inf"))
    reached = torch.eye(len(dense), dtype=dense.dtype)
    for step in range(len(dense) + 1):
        found[(reached > 0) & found.isinf()] = step
        reached = dense @ reached
    return found


@pytest.mark.parametrize("distance", [0, 1, 2, 5])
def test_pairs_are_all_up_to_a_distance(distance: int) -> None:
    whole = batch([*GRAPHS, drawn(12, 9)])
    pairs, away = pair_graph(whole, distance), hops(whole)
    wanted = (away <= distance).nonzero().T
    found = torch.stack([pairs.adjacency.target.long(), pairs.adjacency.source.long()])
    assert torch.equal(found, wanted)
    assert pairs.edge_features is not None
    assert whole.edge_features is not None
    assert pairs.edge_features.shape[1] == 3 + distance + 1
    assert torch.equal(pairs.edge_features[:, 3:].argmax(1).double(), away[tuple(found)])
    edges = {
        (int(t), int(s)): row for t, s, row in zip(whole.adjacency.target, whole.adjacency.source, whole.edge_features)
    }
    for row, (t, s) in zip(pairs.edge_features, found.T.tolist()):
        torch.testing.assert_close(row[:3], edges.get((t, s), torch.zeros(3, dtype=torch.float64)))
    assert (pairs.num_graphs, pairs.num_nodes) == (whole.num_graphs, whole.num_nodes)


def test_pairs_of_a_directed_graph_and_refusals() -> None:
    way = Graph(torch.ones(3, 1), Adjacency.from_edges([0, 1], [1, 2], 3))
    pairs = pair_graph(way, 2)
    assert pairs.adjacency.edge_index().T.tolist() == [[0, 0], [0, 1], [1, 1], [0, 2], [1, 2], [2, 2]]
    with pytest.raises(UsageError, match="distance is -1"):
        pair_graph(way, -1)


def test_weave_by_its_formula() -> None:
    layer = WeaveConvolution(4, 6, 5, 7, 8).double()
    nn.init.normal_(layer.node_pair_bias)
    pairs = pair_graph(drawn(6, 3), 2)
    x, p = pairs.x, pairs.edge_features
    assert isinstance(x, Tensor)
    assert p is not None
    nodes, after = layer(x, pairs.adjacency, p)
    source, target = pairs.adjacency.source.long(), pairs.adjacency.target.long()
    told = torch.zeros(6, 8, dtype=torch.float64)
    first, second = layer.node_pair.weight[:8], layer.node_pair.weight[8:]
    for k, (i, j) in enumerate(zip(target.tolist(), source.tolist())):
        told[i] += layer.pair_node(p[k]).relu()
        both = sum((first @ x[a] + second @ x[b] + layer.node_pair_bias).relu() for a, b in ((i, j), (j, i)))
        assert isinstance(both, Tensor)
        torch.testing.assert_close(after[k], layer.pair_out(torch.cat([both, layer.pair_pair(p[k]).relu()])).relu())
    torch.testing.assert_close(nodes, layer.node_out(torch.cat([layer.node_node(x).relu(), told], 1)).relu())
    with pytest.raises(UsageError, match="one row a pair"):
        layer(x, pairs.adjacency, p[:-1])


def test_soft_histograms_count_nodes() -> None:
    x = torch.randn(8, 3, dtype=torch.float64)
    graph = Graph(x, Adjacency.from_edges([], [], 8), graph_of_node=torch.tensor([0] * 5 + [2] * 3), num_graphs=4)
    counted = GaussianHistogram()(x, graph.members).view(4, 3, 11)
    torch.testing.assert_close(counted.sum(2), torch.tensor([5.0, 0, 3, 0], dtype=torch.float64)[:, None].expand(4, 3))
    at = GaussianHistogram()(torch.zeros(1, 1), Graph(None, Adjacency.from_edges([], [], 1)).members).view(11)
    torch.testing.assert_close(at, at.flip(0))
    assert int(at.argmax()) == 5


def test_weave_on_a_batch_is_a_loop_and_can_be_picked_from() -> None:
    whole = pair_graph(batch(GRAPHS), 2)
    network = WeaveNetwork(4, 3, Perceptron([11 * 8, 2]), 2, 3, 5, 8).double().eval()
    expected = torch.cat([network(pair_graph(graph, 2)) for graph in GRAPHS])
    torch.testing.assert_close(network(whole), expected)
    some = torch.tensor([3, 1, 0])
    torch.testing.assert_close(network(pick(whole, some)), expected[some])
    torch.testing.assert_close(network(GRAPHS[3]), expected[3:4])


@pytest.mark.parametrize("widths", [(4, 5), (4, 3)])
def test_the_edge_network_is_that_of_the_peer(widths: tuple[int, int]) -> None:
    peers = pytest.importorskip("torch_geometric.nn", reason="PyTorch Geometric is not installed")
    graph = drawn(30, 4)
    layer = EdgeNetworkConvolution(*widths, 3, hidden=6).double()
    nn.init.normal_(layer.bias)
    inner = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, widths[0] * widths[1]))
    peer = peers.NNConv(*widths, inner, aggr="add", root_weight=False).double()
    with torch.no_grad():
        inner[0].load_state_dict(layer.edge.state_dict())  # type: ignore[union-attr]
        inner[2].weight.copy_(layer.matrices[1:].flatten(1).T)
        inner[2].bias.copy_(layer.matrices[0].flatten())
        peer.bias.copy_(layer.bias)
    x = graph.x
    assert isinstance(x, Tensor)
    x, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    found = layer(x, graph.adjacency, graph.edge_features)
    expected = peer(other, graph.adjacency.edge_index(), graph.edge_features)
    torch.testing.assert_close(found, expected)
    found.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(x.grad, other.grad)
    torch.testing.assert_close(layer.edge.weight.grad, inner[0].weight.grad)  # type: ignore[union-attr]


def test_the_edge_network_counts_weights_and_refuses_other_edges() -> None:
    graph = drawn(9, 5)
    layer = EdgeNetworkConvolution(4, 2, 3, bias=False).double()
    x, edges = graph.x, graph.edge_features
    assert isinstance(x, Tensor)
    once = layer(x, graph.adjacency, edges)
    twice = graph.adjacency.with_weight(torch.full((graph.num_edges,), 2.0, dtype=torch.float64))
    torch.testing.assert_close(layer(x, twice, edges), 2 * once)
    with pytest.raises(UsageError, match="one row an edge"):
        layer(x, graph.adjacency)
    with pytest.raises(UsageError, match="hidden is 0"):
        EdgeNetworkConvolution(4, 2, 3, hidden=0)


def test_set2set_is_that_of_the_peer_and_an_empty_set_gives_zeros() -> None:
    peers = pytest.importorskip("torch_geometric.nn.aggr", reason="PyTorch Geometric is not installed")
    whole = batch(GRAPHS)
    ours = Set2SetAggregation(4, 3).double()
    peer = peers.Set2Set(4, 3).double()
    peer.lstm.load_state_dict({f"{name}_l0": value for name, value in ours.lstm.state_dict().items()})
    x = whole.x
    assert isinstance(x, Tensor)
    found = ours(x, whole.members)
    expected = peer(x, whole.graph_of_node, dim_size=whole.num_graphs)
    filled = whole.members.count > 0
    torch.testing.assert_close(found[filled], expected[filled])
    assert bool((found[~filled] == 0).all())
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    torch.testing.assert_close(ours(x[order], GRAPHS[0].members), found[:1])
    with pytest.raises(UsageError, match="at least once"):
        Set2SetAggregation(4, 0)


def test_messages_on_a_batch_are_a_loop() -> None:
    network = MessagePassingNetwork(4, 3, Perceptron([10, 2]), 5, 2, 3, 2).double().eval()
    whole = batch(GRAPHS)
    torch.testing.assert_close(network(whole), torch.cat([network(graph) for graph in GRAPHS]))


def test_what_a_node_adds_to_a_sum_is_what_it_says() -> None:
    network = GraphNetwork([NodeMap(4, 3)], [SumAggregation()], nn.Linear(3, 2)).double()
    whole = batch(GRAPHS)
    x = whole.x
    assert isinstance(x, Tensor)
    own, nothing = (network.head(network.convolutions[0](part).relu()) for part in (x, torch.zeros_like(x)))
    torch.testing.assert_close(occlusion(network, whole), own - nothing)


def test_what_a_node_adds_is_the_prediction_less_that_without_it() -> None:
    network = MessagePassingNetwork(4, 3, Perceptron([10, 2]), 5, 2, 3, 2).double().eval()
    whole = batch(GRAPHS)
    found = occlusion(network, whole)
    assert found.shape == (19, 2)
    graph, at = GRAPHS[3], 4
    x, edges = graph.x, graph.edge_features
    assert isinstance(x, Tensor)
    assert edges is not None
    x, edges = x.clone(), edges.clone()
    x[at] = 0
    edges[(graph.adjacency.source == at) | (graph.adjacency.target == at)] = 0
    expected = network(graph) - network(Graph(x, graph.adjacency, edges))
    torch.testing.assert_close(found[7 + at], expected[0])
    assert occlusion(network, batch([GRAPHS[1]])).shape == (0, 2)
    with pytest.raises(UsageError, match="dense node features"):
        occlusion(network, graph.with_x(None))


def test_messages_over_pairs_are_those_over_their_graph() -> None:
    network = MessagePassingNetwork(4, 3 + 4, Perceptron([10, 2]), 5, 2, 3, 2).double().eval()
    whole = batch(GRAPHS)
    found = OverPairs(network, 3)(whole)
    torch.testing.assert_close(found, network(pair_graph(whole, 3)))
    torch.testing.assert_close(found, OverPairs(network, 3)(pair_graph(whole, 3)))
