"""Dense graphs: rows of types, structural counts by enumeration, and a transformer that no order of nodes changes."""

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renote.errors import UsageError
from renote.graph import (
    GraphTransformer,
    GraphTransformerLayer,
    cycle_counts,
    heat_signature,
    matrices,
    node_pairs,
    nodes_of,
    reachable,
    rows,
    sites_of,
    sites_there,
    six_cycles,
)


def test_rows_and_matrices():
    for nodes in (1, 2, 5):
        row = torch.arange(2 * sites_of(nodes)).reshape(2, -1)
        types, edges = matrices(row, -1)
        assert torch.equal(edges, edges.mT)
        assert (edges.diagonal(dim1=1, dim2=2) == -1).all()
        assert torch.equal(rows(types, edges), row)
        assert nodes_of(row.shape[1]) == nodes
    assert sites_there(3).int().tolist() == [[1, 0, 0, 0, 0, 0], [1, 1, 0, 1, 0, 0], [1] * 6]
    with pytest.raises(UsageError, match="5 sites"):
        nodes_of(5)


@given(seed=st.integers(0, 10_000), density=st.floats(0.2, 0.9))
@settings(max_examples=25, deadline=None)
def test_counts_by_enumeration(seed, density):
    graph = nx.gnp_random_graph(7, density, seed=seed)
    adjacency = torch.tensor(nx.to_numpy_array(graph))[None]
    found = torch.zeros(7, 4, dtype=torch.float64)
    for cycle in nx.simple_cycles(graph, length_bound=6):
        found[cycle, len(cycle) - 3] += 1
    assert torch.allclose(cycle_counts(adjacency)[0], found[:, :3])
    assert six_cycles(adjacency).item() == pytest.approx(found[:, 3].sum().item() / 6)
    piece = {node: nx.node_connected_component(graph, node) for node in graph}
    wanted = torch.tensor([[j in piece[i] for j in range(7)] for i in range(7)])
    assert torch.equal(reachable(adjacency, torch.ones(1, 7, dtype=torch.bool))[0], wanted)


def test_heat_signature():
    adjacency = torch.zeros(1, 4, 4)
    adjacency[0, :3, :3] = 1 - torch.eye(3)
    there = torch.tensor([[True, True, True, False]])
    signature, values = heat_signature(adjacency, there, times=(1.0,))
    # a triangle's eigenvalues are 0 and twice 3/2
    assert torch.allclose(values, torch.tensor([[0.0, 1.5, 1.5, 2.0]]), atol=1e-6)
    wanted = (1 + 2 * torch.exp(torch.tensor(-1.5))) / 3
    assert torch.allclose(signature[0, :, 0], torch.tensor([wanted, wanted, wanted, 0.0]), atol=1e-6)


N, NODE_TYPES, EDGE_TYPES = 6, 4, 3


def network(spectral, states=5, **sizes):
    torch.manual_seed(0)
    sizes = {"width": 12, "edge_width": 8, "global_width": 6, "layers": 2, "channels": 4} | sizes
    made = GraphTransformer(N, NODE_TYPES, EDGE_TYPES, states, 5, **sizes, spectral=spectral).double()
    for parameter in made.parameters():  # what is 0 at first would hide mistakes
        torch.nn.init.normal_(parameter, std=0.3)
    return made


def graphs(size, n=3, seed=0):
    random = torch.Generator().manual_seed(seed)
    types = torch.randint(0, NODE_TYPES, (n, N), generator=random)
    edges = torch.randint(0, EDGE_TYPES, (n, sites_of(N) - N), generator=random)
    return torch.cat([types, edges], 1).where(sites_there(N)[size - 1], 4)


@pytest.mark.parametrize("spectral", [False, True])
def test_equivariance(spectral):
    made, size = network(spectral), torch.tensor([4, 4, 4])
    row, time = graphs(size), torch.tensor([1.0, 300.0, 900.0], dtype=torch.float64)
    order = torch.cat([torch.tensor([2, 0, 3, 1]), torch.tensor([4, 5])])
    types, edges = matrices(row, 4)
    moved = rows(types[:, order], edges[:, order][:, :, order])
    out, after = made(row, time), made(moved, time)
    i, j = node_pairs(N)
    each = out.new_zeros(3, N, N, 5)
    each[:, i, j] = each[:, j, i] = out[:, N:]
    wanted = torch.cat([out[:, order], each[:, order][:, :, order][:, i, j]], 1)
    assert float((after - wanted).detach().abs().max()) < 1e-5 * float(out.detach().abs().max())
    assert float((after - out).detach().abs().max()) > 1e-3


def test_absent_nodes_change_nothing():
    made, size = network(False), torch.tensor([3])
    row, time = graphs(size, 1), torch.tensor([100.0], dtype=torch.float64)
    there = sites_there(N)[2]
    before = made(row, time)[:, there]
    # a batch with larger graphs gives the same
    many = torch.cat([row, graphs(torch.tensor([6, 5]), 2, seed=4)])
    assert torch.allclose(made(many, time.expand(3))[:1, there], before)
    # whatever the network thinks of what is absent
    with torch.no_grad():
        made.node.weight[4] += 1.0
    assert torch.allclose(made(row, time)[:, there], before)
    one = graphs(torch.tensor([1]), 1)
    assert made(one, time).isfinite().all()


def test_layer_gradients_and_half_precision():
    made, row = network(True), graphs(torch.tensor([6, 2]), 2)
    made(row, torch.ones(2, dtype=torch.float64)).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in made.parameters())
    half = network(False).float()
    exact = half(row, torch.ones(2))
    with torch.autocast("cpu", torch.bfloat16):
        rough = half(row, torch.ones(2))
    assert float((rough.float() - exact).detach().abs().max()) < 0.1 * float(exact.detach().abs().max())


def test_what_is_refused():
    with pytest.raises(UsageError, match="divide the width"):
        GraphTransformerLayer(10, 4, 4, 3)
    with pytest.raises(UsageError, match="layers = 0"):
        network(False, layers=0)
    with pytest.raises(UsageError, match="this network takes"):
        network(False)(torch.zeros(2, 7, dtype=torch.long), torch.ones(2))
