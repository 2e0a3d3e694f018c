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
    Graph,
    GraphRegression,
    NeuralFingerprint,
    Perceptron,
    batch,
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
