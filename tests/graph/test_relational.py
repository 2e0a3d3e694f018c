import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renote.errors import UsageError
from renote.graph import Adjacency, Graph, RelationalConvolution, RelationalNetwork, SparseFeatures


def random_graph(nodes: int, edges: int, relations: int, features: int | None, seed: int = 0) -> Graph:
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randint(nodes, (2, edges), generator=generator)
    kind = torch.randint(relations, (edges,), generator=generator)
    kind[:relations] = torch.arange(relations)[: len(kind)]
    adjacency = Adjacency.from_edges(*ends, nodes)
    x = None if features is None else torch.randn(nodes, features, generator=generator, dtype=torch.float64)
    return Graph(x, adjacency, relation=kind if adjacency.order is None else kind[adjacency.order])


def oracle(layer: RelationalConvolution, graph: Graph, x: torch.Tensor) -> torch.Tensor:
    """Edge by edge, with dense matrices."""
    weight = layer.matrices()
    if layer.blocks:
        weight = torch.stack([torch.block_diag(*of) for of in weight])
    out = torch.zeros(graph.num_nodes, layer.out_features, dtype=x.dtype)
    kinds = [0] * graph.num_edges if graph.relation is None else graph.relation.tolist()
    edges = list(zip(graph.adjacency.source.tolist(), graph.adjacency.target.tolist(), kinds))
    for j, i, r in edges:
        out[i] += x[j] @ weight[r] / sum(target == i and kind == r for _, target, kind in edges)
    return out + x @ layer.own + layer.bias


@given(seed=st.integers(0, 100), how=st.sampled_from([{}, {"bases": 2}, {"blocks": 2}]), looked_up=st.booleans())
@settings(max_examples=25, deadline=None)
def test_each_relation_has_its_matrix_and_its_mean(seed, how, looked_up):
    nodes = 6
    graph = random_graph(nodes, 15, 3, None if looked_up else 4, seed)
    torch.manual_seed(seed)
    layer = RelationalConvolution(nodes if looked_up else 4, 2, 3, **how).double()
    x = torch.eye(nodes, dtype=torch.float64) if looked_up else graph.x
    torch.testing.assert_close(layer(graph.x, graph.typed), oracle(layer, graph, x))


@pytest.mark.parametrize("how", [{}, {"bases": 2}, {"blocks": 2}])
@pytest.mark.parametrize("looked_up", [False, True])
def test_the_gradient_is_that_of_the_formula(how, looked_up):
    graph = random_graph(6, 15, 3, None if looked_up else 4)
    layer = RelationalConvolution(6 if looked_up else 4, 2, 3, **how).double()
    x = torch.eye(6, dtype=torch.float64) if looked_up else graph.x
    parameters = list(layer.parameters())
    own = torch.autograd.grad(layer(graph.x, graph.typed).square().sum(), parameters)
    plain = torch.autograd.grad(oracle(layer, graph, x).square().sum(), parameters)
    for a, b in zip(own, plain):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("how", [{}, {"bases": 2}, {"blocks": 2}])
def test_parity_with_pytorch_geometric(how):
    nn = pytest.importorskip("torch_geometric.nn")
    graph = random_graph(20, 80, 4, 6)
    layer = RelationalConvolution(6, 4, 4, **how).double()
    options = {"num_bases": how.get("bases"), "num_blocks": how.get("blocks")}
    peer = nn.RGCNConv(6, 4, 4, **{k: v for k, v in options.items() if v}).double()
    with torch.no_grad():
        peer.weight.copy_(layer.weight)
        if layer.coefficients is not None:
            peer.comp.copy_(layer.coefficients)
        peer.root.copy_(layer.own)
        peer.bias.copy_(layer.bias)
    edges = torch.stack([graph.adjacency.source, graph.adjacency.target]).long()
    torch.testing.assert_close(layer(graph.x, graph.typed), peer(graph.x, edges, graph.relation))


def test_sparse_features_are_dense_ones():
    graph = random_graph(8, 20, 2, 5)
    layer = RelationalConvolution(5, 3, 2, bases=1).double()
    torch.testing.assert_close(layer(SparseFeatures.from_dense(graph.x), graph.typed), layer(graph.x, graph.typed))


def test_nodes_may_stand_in_any_order():
    graph = random_graph(7, 25, 3, 4)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    place = torch.argsort(order)
    adjacency = Adjacency.from_edges(place[graph.adjacency.source.long()], place[graph.adjacency.target.long()], 7)
    moved = Graph(graph.x[order], adjacency, relation=graph.relation[adjacency.order])
    layer = RelationalConvolution(4, 3, 3).double()
    torch.testing.assert_close(layer(moved.x, moved.typed), layer(graph.x, graph.typed)[order])


def test_no_edges_leave_the_node_itself():
    graph = Graph(torch.ones(3, 4), Adjacency.from_edges([], [], 3))
    layer = RelationalConvolution(4, 2, 2)
    torch.testing.assert_close(layer(graph.x, graph.typed), graph.x @ layer.own)


def test_what_does_not_fit_is_told():
    with pytest.raises(UsageError, match="not both"):
        RelationalConvolution(4, 4, 2, bases=1, blocks=2)
    with pytest.raises(UsageError, match="do not divide"):
        RelationalConvolution(5, 4, 2, blocks=2)
    graph = random_graph(6, 15, 3, 4)
    with pytest.raises(UsageError, match="3 relations"):
        RelationalConvolution(4, 2, 2).double()(graph.x, graph.typed)
    with pytest.raises(UsageError, match="5 nodes by their numbers"):
        RelationalNetwork(0, 5, 2, 3)(random_graph(6, 15, 3, None))
