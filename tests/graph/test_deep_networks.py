"""Networks made to be deep: columns with highway gates, residual terms of the graph."""

from __future__ import annotations

import itertools

import pytest
import torch
from layer_harness import kipf_matrix, random_graph, walk_matrix

from renote.errors import DataError, UsageError
from renote.graph import (
    GCN,
    Adjacency,
    ColumnConvolution,
    ColumnNetwork,
    ConvolutionNetwork,
    Graph,
    GraphResidualNetwork,
    KipfConvolution,
    LoopyConvolution,
    NodeNetwork,
    SAGEConvolution,
    SparseFeatures,
    layerwise,
)
from renote.graph.residual import Residual
from renote.nets import HighwayConnection, connection


def related(nodes: int = 9, edges: int = 40, relations: int = 3) -> Graph:
    generator = torch.Generator().manual_seed(1)
    adjacency = random_graph(nodes, edges, 1)
    relation = torch.randint(relations, (adjacency.num_edges,), generator=generator)
    return Graph(torch.randn(nodes, 5, dtype=torch.float64, generator=generator), adjacency, relation=relation)


def dense_of(graph: Graph) -> list[torch.Tensor]:
    """One matrix a relation, entry by entry."""
    assert graph.relation is not None
    found = [torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64) for _ in range(graph.num_relations)]
    for edge in range(graph.num_edges):
        place = int(graph.adjacency.target[edge]), int(graph.adjacency.source[edge])
        found[int(graph.relation[edge])][place] += 1
    return found


def test_edges_by_relation() -> None:
    graph = related()
    for adjacency, dense in zip(graph.relations, dense_of(graph), strict=True):
        assert torch.equal(adjacency.to_dense(), dense)
    plain = Graph(None, graph.adjacency)
    assert plain.relations == (graph.adjacency,)
    assert plain.num_relations == 1
    weight = torch.arange(2.0)
    weighted = Graph(None, Adjacency.from_edges([0, 1], [1, 2], 3, weight), relation=torch.tensor([2, 0]))
    assert [one.num_edges for one in weighted.relations] == [1, 0, 1]
    assert weighted.relations[0].to_dense()[2, 1] == 1.0
    assert Graph(None, Adjacency.from_edges([], [], 2), relation=torch.zeros(0, dtype=torch.long)).relations == ()
    with pytest.raises(DataError, match="relation holds -1"):
        Graph(None, Adjacency.from_edges([0], [1], 2), relation=torch.tensor([-1]))


def test_columns_read_relation_by_relation() -> None:
    """The paper's layer in full, for three relations."""
    graph, layer = related(), ColumnConvolution(5, 3, gate=-0.7).double()
    x = graph.x
    assert isinstance(x, torch.Tensor)
    assert layer.bias[5:].tolist() == pytest.approx([-0.7] * 5)
    rows = []
    for node in range(graph.num_nodes):
        score = layer.bias + x[node] @ layer.weight[0]
        for relation, dense in enumerate(dense_of(graph)):
            score = score + walk_matrix(dense)[node] @ x @ layer.weight[1 + relation] / 3
        gate = torch.sigmoid(score[5:])
        rows.append(gate * score[:5].relu() + (1 - gate) * x[node])
    torch.testing.assert_close(layer(x, graph.relations), torch.stack(rows), rtol=1e-12, atol=1e-12)


def test_a_closed_gate_hands_a_node_on() -> None:
    graph = related()
    layer = ColumnConvolution(5, 3, gate=-1e3).double()
    torch.testing.assert_close(layer(graph.x, graph.relations), graph.x)
    deep = ColumnNetwork(5, 8, 4, layers=200, dropout=0.0, relations=3, gate=-1e3).double()
    shallow = ColumnNetwork(5, 8, 4, layers=1, dropout=0.0, relations=3, gate=-1e3).double()
    shallow.load_state_dict(deep.state_dict())
    torch.testing.assert_close(deep(graph), shallow(graph))


def test_a_network_of_columns() -> None:
    """Depth costs no parameters when layers are shared, and the network is its layers one after the other."""
    graph = related()
    shared = ColumnNetwork(5, 8, 4, layers=6, dropout=0.0, relations=3).double()
    count = sum(p.numel() for p in shared.parameters())
    assert count == sum(p.numel() for p in ColumnNetwork(5, 8, 4, layers=2, relations=3).parameters())
    own = ColumnNetwork(5, 8, 4, layers=6, dropout=0.0, relations=3, shared=False).double()
    assert sum(p.numel() for p in own.parameters()) == count + 5 * (4 * 8 * 16 + 16)
    assert own.columns[0].bias[8:].tolist() == pytest.approx([-0.6] * 8)
    hidden = (graph.x @ own.weight + own.bias).relu()
    for layer in own.columns:
        hidden = layer(hidden, graph.relations)
    torch.testing.assert_close(own(graph), own.head(hidden))
    words = graph.with_x(SparseFeatures.from_dense(graph.x))  # type: ignore[arg-type]
    torch.testing.assert_close(own(words), own(graph))


def test_without_relations_nodes_are_alone() -> None:
    graph = related()
    network = ColumnNetwork(5, 8, 4, layers=3, dropout=0.0, relations=0).double()
    alone = torch.cat([network(Graph(graph.x[i : i + 1], Adjacency.from_edges([], [], 1))) for i in range(9)])  # type: ignore[index]
    torch.testing.assert_close(network(graph), alone)


def test_columns_refuse_what_cannot_be() -> None:
    graph = related()
    with pytest.raises(UsageError, match="relations is -1"):
        ColumnConvolution(3, -1)
    with pytest.raises(UsageError, match="layers is 0"):
        ColumnNetwork(5, layers=0)
    with pytest.raises(UsageError, match="1 relations, and the convolution takes 3"):
        ColumnConvolution(5, 3).double()(graph.x, graph.adjacency)
    with pytest.raises(UsageError, match="the graph has 3 relations"):
        ColumnNetwork(5).double()(graph)
    with pytest.raises(UsageError, match="the graph has 1 relations, and the network was made for 3"):
        ColumnNetwork(5, relations=3).double()(Graph(graph.x, graph.adjacency))


def test_columns_read_a_graph_without_the_last_relations() -> None:
    graph = related()
    layer = ColumnConvolution(5, 3).double()
    nothing = Adjacency.from_edges([], [], graph.num_nodes)
    for given in range(3):
        padded = [*graph.relations[:given], *[nothing] * (3 - given)]
        torch.testing.assert_close(layer(graph.x, graph.relations[:given]), layer(graph.x, padded))


def residual_network(residual: Residual, widths: tuple[int, ...] = (5, 4, 4, 4, 3)) -> GraphResidualNetwork:
    convolutions = [KipfConvolution(i, o) for i, o in itertools.pairwise(widths)]
    network = GraphResidualNetwork(convolutions, widths, residual, dropout=0.0).double()
    for convolution in convolutions:
        convolution.bias.data.normal_()  # type: ignore[union-attr]
    return network


@pytest.mark.parametrize("residual", ["none", "naive", "graph-naive", "raw", "graph-raw"])
def test_residual_terms_are_the_papers(residual: Residual) -> None:
    """Layer by layer, with dense matrices."""
    graph, network = related(), residual_network(residual)
    hop, x = kipf_matrix(graph.adjacency.to_dense()), graph.x
    assert isinstance(x, torch.Tensor)
    maps = [*network.maps] or [torch.zeros(5, 4).double(), torch.zeros(4, 3).double()]
    hidden = x
    for number, convolution in enumerate(network.convolutions):
        if residual in ("raw", "graph-raw"):
            term = x @ maps[0] @ maps[1] if number == 3 else x @ maps[0]
        else:
            term = hidden @ (maps[1] if number == 3 else maps[0] if number == 0 else torch.eye(4).double())
        term = hop @ term if residual.startswith("graph") else 0.0 * term if residual == "none" else term
        hidden = hop @ hidden @ convolution.weight + convolution.bias + term
        hidden = hidden if number == 3 else hidden.clamp(min=0)
    torch.testing.assert_close(network(graph), hidden, rtol=1e-12, atol=1e-12)
    words = graph.with_x(SparseFeatures.from_dense(x))
    torch.testing.assert_close(network(words), hidden, rtol=1e-12, atol=1e-12)
    one = residual_network(residual, (5, 3))
    term = x @ one.maps[0] if len(one.maps) else torch.zeros(9, 3).double()
    expected = one.convolutions[0](x, graph.adjacency) + (hop @ term if residual.startswith("graph") else term)
    torch.testing.assert_close(one(graph), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("residual", ["none", "naive", "raw"])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_loopynet_hears_the_raw_features_at_every_layer(residual: Residual, depth: int) -> None:
    """relu(A H W + b + X U + R), of one U for all hidden layers and another for the last."""
    graph, widths = related(), [5, *[4] * (depth - 1), 3]
    convolutions = [LoopyConvolution(i, o) for i, o in itertools.pairwise(widths)]
    network = GraphResidualNetwork(convolutions, widths, residual, dropout=0.0, hears_raw=True).double()
    plain = GraphResidualNetwork(convolutions, widths, residual, dropout=0.0).double()
    assert [tuple(u.shape) for u in network.heard] == ([(5, 3)] if depth == 1 else [(5, 4), (5, 3)])
    plain.load_state_dict({name: value for name, value in network.state_dict().items() if "heard" not in name})
    x, dense = graph.x, graph.adjacency.to_dense()
    assert isinstance(x, torch.Tensor)
    hidden = x
    for number, convolution in enumerate(network.convolutions):
        last = number == depth - 1
        hidden_term = {"none": None, "naive": hidden, "raw": x}[residual]
        out = dense @ hidden @ convolution.weight + convolution.bias + x @ network.heard[-1 if last else 0]
        if hidden_term is not None:
            maps = network.maps
            if residual == "raw":
                out = out + (hidden_term @ maps[0] @ maps[1] if last and depth > 1 else hidden_term @ maps[0])
            else:
                mapped = hidden_term @ maps[0] if number == 0 else hidden_term @ maps[1] if last else hidden_term
                out = out + mapped
        hidden = out if last else out.clamp(min=0)
    torch.testing.assert_close(network(graph), hidden, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(network(graph), plain(graph))


def test_raw_terms_keep_nodes_apart_where_convolutions_alone_do_not() -> None:
    """Convolutions that only average, 60 times: rows of a connected graph become multiples of one, but for the raw term."""
    ring = torch.arange(8)
    adjacency = Adjacency.from_edges(torch.cat([ring, (ring + 1) % 8]), torch.cat([(ring + 1) % 8, ring]), 8)
    graph = Graph(torch.rand(8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3)), adjacency)
    spread = {}
    for residual in ("none", "naive", "graph-naive", "raw", "graph-raw"):
        network = residual_network(residual, (4,) * 61)  # type: ignore[arg-type]
        for convolution in network.convolutions:
            convolution.weight.data = 0.5 * torch.eye(4).double()  # type: ignore[union-attr]
            convolution.bias.data.zero_()  # type: ignore[union-attr]
        for matrix in network.maps:
            matrix.data = torch.eye(4).double()
        rows = torch.nn.functional.normalize(network(graph), dim=1)
        spread[residual] = float((rows - rows.mean(0)).norm().detach())
    assert max(spread["none"], spread["graph-naive"]) < 1e-4
    assert min(spread["raw"], spread["graph-raw"]) > 1e-2


def test_residual_networks_refuse_what_cannot_be() -> None:
    with pytest.raises(UsageError, match="residual term"):
        GraphResidualNetwork([KipfConvolution(2, 2)], [2, 2], "row")  # type: ignore[arg-type]
    for widths in ([2], [2, 3, 4, 2], []):
        with pytest.raises(UsageError, match="widths"):
            GraphResidualNetwork([KipfConvolution(2, 2)] * 3, widths)


def dense_layer(layer: torch.nn.Module, dense: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """AGG W + b, of the three convolutions below."""
    if isinstance(layer, SAGEConvolution):
        return walk_matrix(dense) @ x @ layer.weight_neighbors + x @ layer.weight_self + layer.bias
    assert isinstance(layer, KipfConvolution)
    hop = dense if isinstance(layer, LoopyConvolution) else kipf_matrix(dense)
    return hop @ x @ layer.weight + layer.bias


@pytest.mark.parametrize("name", ["plain", "residual", "concatenation", "highway"])
@pytest.mark.parametrize("make", [KipfConvolution, LoopyConvolution, SAGEConvolution])
def test_connections_around_any_convolution(make: type[torch.nn.Module], name: str) -> None:
    """The closed form, layer by layer with dense matrices; hidden layers that follow hidden layers have the connection."""
    graph, width = related(), 4
    network = ConvolutionNetwork(make, 5, width, 3, 4, dropout=0.0, connection=name).double()  # type: ignore[arg-type]
    network.activation = torch.tanh
    dense, hidden = graph.adjacency.to_dense(), graph.x
    assert isinstance(hidden, torch.Tensor)
    for number, layer in enumerate(network.convolutions):
        around = network.connections[number]
        made = dense_layer(layer, dense, hidden)
        made = made if number == 3 else made.tanh()
        if number in (0, 3):
            hidden = made
            continue
        if name == "residual":
            made = made + hidden
        elif name == "concatenation":
            made = torch.cat([hidden, made], 1)
        elif name == "highway":
            assert around.bias.tolist() == [-1.0] * width
            gate = 1 / (1 + (-(hidden @ around.weight + around.bias)).exp())
            made = gate * made + (1 - gate) * hidden
        hidden = made
    torch.testing.assert_close(network(graph), hidden, rtol=1e-12, atol=1e-12)
    widths = [layer.in_features for layer in network.convolutions]
    assert widths == ([5, 4, 8, 12] if name == "concatenation" else [5, 4, 4, 4])
    torch.testing.assert_close(layerwise(network.eval(), graph, megabytes=1e-4), network(graph))


def test_connections_at_the_ends_and_gates() -> None:
    """Around a first layer, on sparse features; shut gates hand on what came, open ones what was made."""
    graph = related()
    words = graph.with_x(SparseFeatures.from_dense(graph.x))  # type: ignore[arg-type]
    joined = NodeNetwork([KipfConvolution(5, 3)], 0.0, connections=[connection("concatenation", 5, 3)]).double()
    torch.testing.assert_close(joined(words)[:, :5], graph.x)
    torch.testing.assert_close(joined(words)[:, 5:], joined.convolutions[0](graph.x, graph.adjacency))
    for gate in (-1e3, 1e3):
        around = HighwayConnection(5, 5, gate)
        deep = NodeNetwork([KipfConvolution(5, 5)], 0.0, connections=[around]).double()
        expected = graph.x if gate < 0 else deep.convolutions[0](graph.x, graph.adjacency)
        torch.testing.assert_close(deep(words), expected)


def test_connections_refuse_what_cannot_be() -> None:
    with pytest.raises(UsageError, match="residual connection around a layer from 5 to 3 features"):
        connection("residual", 5, 3)
    with pytest.raises(UsageError, match="highway connection around a layer from 5 to 3 features"):
        connection("highway", 5, 3)
    with pytest.raises(UsageError, match="unknown connection 'higway'. Did you mean highway"):
        GCN(5, connection="higway")
    with pytest.raises(UsageError, match="2 connections around 1 convolutions: give one around each"):
        NodeNetwork([KipfConvolution(2, 2)], connections=[connection("plain", 2, 2)] * 2)
