"""Every layer of the harness against its formula and its symmetries."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_harness import LAYERS, Layer, permuted, random_graph, undirected
from layer_rows import MORE, OF_ONE_GRAPH

from renote.errors import UsageError
from renote.graph import (
    Adjacency,
    Graph,
    ImprovedConvolution,
    KipfConvolution,
    ScoreConvolution,
    batch,
    conv,
    neighborhood,
)

LAYERS = [*LAYERS, *MORE]
each_layer = pytest.mark.parametrize("layer", LAYERS, ids=[layer.name for layer in LAYERS])
SYMMETRIC = [layer for layer in LAYERS if layer.symmetric]
ONE_HOP = [layer for layer in LAYERS if getattr(layer.make(4, 3), "one_hop", False)]
WEIGHTED = [layer for layer in LAYERS if layer.weighted]
sizes = {"nodes": st.integers(0, 9), "edges": st.integers(0, 25), "seed": st.integers(0, 10**6)}


def features(nodes: int, seed: int = 0, width: int = 4) -> torch.Tensor:
    return torch.randn(nodes, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@each_layer
@given(**sizes)
@settings(max_examples=40)
def test_formula(layer: Layer, nodes: int, edges: int, seed: int) -> None:
    adjacency, x = random_graph(nodes, edges, seed), features(nodes, seed)
    module = layer.make(4, 3).double()
    expected = layer.oracle(module, layer.dense(adjacency), x)
    torch.testing.assert_close(module(x, adjacency), expected, rtol=layer.rtol, atol=layer.rtol)


@pytest.mark.parametrize("layer", SYMMETRIC, ids=[layer.name for layer in SYMMETRIC])
@given(**sizes)
@settings(max_examples=40)
def test_permuting_nodes_permutes_the_output(layer: Layer, nodes: int, edges: int, seed: int) -> None:
    adjacency, x = random_graph(nodes, edges, seed, loops=True), features(nodes, seed)
    module = layer.make(4, 3).double()
    order = torch.randperm(nodes, generator=torch.Generator().manual_seed(seed + 1))
    torch.testing.assert_close(module(x[order], permuted(adjacency, order)), module(x, adjacency)[order])


@each_layer
@given(
    parts=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 12)), min_size=1, max_size=5), seed=st.integers(0, 10**6)
)
@settings(max_examples=40)
def test_a_batch_is_a_loop_over_its_graphs(layer: Layer, parts: list[tuple[int, int]], seed: int) -> None:
    graphs = [Graph(features(n, seed + i), random_graph(n, e, seed + i)) for i, (n, e) in enumerate(parts)]
    module = layer.make(4, 3).double()
    joined = batch(graphs)
    looped = torch.cat([module(graph.x, graph.adjacency) for graph in graphs])
    torch.testing.assert_close(module(joined.x, joined.adjacency), looped)


@pytest.mark.parametrize("layer", ONE_HOP, ids=[layer.name for layer in ONE_HOP])
@given(**sizes)
@settings(max_examples=40)
def test_a_layer_of_one_hop_needs_the_neighbourhood_alone(layer: Layer, nodes: int, edges: int, seed: int) -> None:
    adjacency, x = random_graph(nodes, edges, seed, loops=True), features(nodes, seed)
    module = layer.make(4, 3).double().eval()
    some = torch.randperm(nodes, generator=torch.Generator().manual_seed(seed))[: nodes // 2]
    part = neighborhood(Graph(x, adjacency), some, [-1])
    assert part.node[part.asked].tolist() == some.tolist()
    alone = module(part.graph.x, part.graph.adjacency)[part.asked]
    torch.testing.assert_close(alone, module(x, adjacency)[some], rtol=1e-12, atol=1e-12)


def test_the_package_of_convolutions_has_all_of_them() -> None:
    for module in pkgutil.iter_modules(conv.__path__):
        for name, value in vars(importlib.import_module(f"{conv.__name__}.{module.name}")).items():
            if name.endswith("Convolution") and getattr(value, "__module__", "").endswith(f".{module.name}"):
                assert name in conv.__all__
                assert getattr(conv, name) is value


@each_layer
def test_gradients(layer: Layer) -> None:
    adjacency = random_graph(6, 14, 3)
    module = layer.make(4, 3).double()
    x = features(6).requires_grad_()
    names = [name for name, _ in module.named_parameters()]

    def function(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        out = torch.func.functional_call(module, dict(zip(names, parameters, strict=True)), (x, adjacency))
        assert isinstance(out, torch.Tensor)
        return out

    assert torch.autograd.gradcheck(function, (x, *module.parameters()))


@each_layer
def test_messages_flow_from_source_to_target(layer: Layer) -> None:
    # two at a node: of one the deviation is 0 whatever it says
    adjacency = Adjacency.from_edges([2, 0, 2], [0, 1, 1], 3)
    module = layer.make(4, 3).double()
    x = features(3).requires_grad_()
    module(x, adjacency)[0].sum().backward()
    assert x.grad is not None
    assert bool((x.grad[1] == 0).all())
    x.grad = None
    module(x, adjacency)[1].sum().backward()
    assert bool((x.grad[0] != 0).any())  # type: ignore[index]


@each_layer
def test_an_isolated_node_sees_itself_alone(layer: Layer) -> None:
    module = layer.make(4, 3).double()
    x = features(5)
    alone = module(x[4:], Adjacency.from_edges([], [], 1))
    torch.testing.assert_close(module(x, random_graph(5, 9, 1))[4:], alone)


@each_layer
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_lower_precision_is_close(layer: Layer, dtype: torch.dtype) -> None:
    """And so are its gradients, none of which is infinite."""
    adjacency, x = random_graph(40, 200, 2), features(40)
    module = layer.make(4, 3).double()
    upstream = features(40, 1, module(x, adjacency).shape[1])
    outs, slopes = [], []
    for precision in (torch.float64, dtype):
        module = module.to(precision)
        given = x.to(precision).requires_grad_()
        out = module(given, adjacency)
        assert out.dtype == precision
        outs.append(out.double())
        found = torch.autograd.grad(out, [given, *module.parameters()], upstream.to(precision))
        slopes.append([slope.double() for slope in found])
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 5e-2, torch.float16: 1e-2}[dtype]
    torch.testing.assert_close(outs[1], outs[0], rtol=tolerance, atol=tolerance)
    for exact, slope in zip(*slopes, strict=True):
        assert bool(slope.isfinite().all())
        # rounding turns some rectifiers over, and a sum that is nothing has the error of its terms
        assert float((slope - exact).norm()) <= 5 * tolerance * max(float(exact.norm()), 0.1)


@pytest.mark.parametrize("layer", WEIGHTED, ids=[layer.name for layer in WEIGHTED])
def test_duplicate_edges_count_as_often_as_they_are_there(layer: Layer) -> None:
    x = features(3)
    module = layer.make(4, 3).double()
    twice = Adjacency.from_edges([0, 0], [1, 1], 3)
    weighted = Adjacency.from_edges([0], [1], 3, torch.tensor([2.0], dtype=torch.float64))
    torch.testing.assert_close(module(x, twice), module(x, weighted))


@each_layer
def test_negative_weights_give_no_nan(layer: Layer) -> None:
    weight = torch.tensor([-1.0, -3.0, 0.5], dtype=torch.float64)
    adjacency = Adjacency.from_edges([0, 1, 2], [1, 0, 1], 3, weight)
    module = layer.make(4, 3).double()
    out = module(features(3), adjacency)
    assert bool(out.isfinite().all())
    torch.testing.assert_close(out, layer.oracle(module, layer.dense(adjacency), features(3)))


@each_layer
def test_a_loop_that_is_there_counts_with_its_own_weight(layer: Layer) -> None:
    weight = torch.tensor([1.0, 4.0, 2.0], dtype=torch.float64)
    adjacency = Adjacency.from_edges([0, 1, 1], [1, 1, 2], 3, weight)
    module, x = layer.make(4, 3).double(), features(3)
    expected = layer.oracle(module, layer.dense(adjacency), x)
    torch.testing.assert_close(module(x, adjacency), expected, rtol=layer.rtol, atol=layer.rtol)
    twice = Adjacency.from_edges([0, 1, 1, 1], [1, 1, 1, 2], 3, torch.tensor([1.0, 9.0, 4.0, 2.0]).double())
    if not layer.one_loop:
        expected = layer.oracle(module, layer.dense(twice), x)
    # of two loops the last, or both
    torch.testing.assert_close(module(x, twice), expected, rtol=layer.rtol, atol=layer.rtol)


@each_layer
def test_without_edges_each_node_keeps_to_itself(layer: Layer) -> None:
    module, x = layer.make(4, 3).double(), features(5)
    expected = layer.oracle(module, torch.zeros(5, 5, dtype=torch.float64), x)
    torch.testing.assert_close(module(x, Adjacency.from_edges([], [], 5)), expected)
    assert module(x[:0], Adjacency.from_edges([], [], 0)).shape == (0, expected.shape[1])


@pytest.mark.parametrize("loops", [[], [2], [2, 2, 0]])
def test_scores_are_kipfs_without_a_matrix(loops: list[int]) -> None:
    source, target = torch.tensor([[0, 1, 1, 3, 4, 2], [1, 0, 0, 4, 2, 4]])
    ends = torch.tensor(loops, dtype=torch.long)
    adjacency = Adjacency.from_edges(torch.cat([source, ends]), torch.cat([target, ends]), 6)
    scores, kipf = ScoreConvolution(4).double(), KipfConvolution(4, 1).double()
    kipf.load_state_dict(scores.state_dict())
    found = []
    for module in (scores, kipf):
        x = features(6).requires_grad_()
        out = module(x, adjacency)
        found.append((out, *torch.autograd.grad(out.square().sum(), (x, *module.parameters()))))
        assert ("kipf" in adjacency._made) == (module is kipf)  # no matrix was made
    for mine, wanted in zip(*found):
        torch.testing.assert_close(mine, wanted, rtol=0, atol=1e-12)


def test_doubled_loops_are_pygs_improved() -> None:
    geometric = pytest.importorskip("torch_geometric.nn")
    adjacency, x = random_graph(30, 120, 0).with_weight(None), torch.randn(30, 5)
    ours, theirs = ImprovedConvolution(5, 3), geometric.GCNConv(5, 3, improved=True)
    with torch.no_grad():
        theirs.lin.weight.copy_(ours.weight.T)
        theirs.bias.copy_(ours.bias.normal_())  # type: ignore[union-attr]
    # without weights its loops count once
    expected = theirs(x, adjacency.edge_index(), torch.ones(adjacency.num_edges))
    torch.testing.assert_close(ours(x, adjacency), expected, rtol=1e-5, atol=1e-5)


@each_layer
def test_features_of_another_width_are_refused(layer: Layer) -> None:
    with pytest.raises(UsageError, match="3 features a node and the convolution takes 4"):
        layer.make(4, 3)(torch.zeros(2, 3), Adjacency.from_edges([0], [1], 2))


each_of_one_graph = pytest.mark.parametrize("name", OF_ONE_GRAPH)


def of_one_graph(name: str) -> tuple[torch.nn.Module, torch.Tensor, Adjacency]:
    """A layer, and the graph it is made for: in one piece and with weights, so that no two nodes and no two eigenvalues are alike."""
    line = torch.stack([torch.arange(8), torch.arange(1, 9)])
    ends = torch.unique(torch.cat([undirected(9, 12, 5).edge_index(), line, line.flip(0)], 1), dim=1)
    one = Adjacency.from_edges(ends[0], ends[1], 9)
    both = 1.0 + torch.minimum(one.source, one.target) * 0.37 + torch.maximum(one.source, one.target) * 0.113
    adjacency = one.with_weight(both.double())
    return OF_ONE_GRAPH[name](4, adjacency).double(), features(9), adjacency


@each_of_one_graph
def test_permuting_the_nodes_of_its_one_graph_permutes_the_output(name: str) -> None:
    module, x, adjacency = of_one_graph(name)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(module(x[order], permuted(adjacency, order)), module(x, adjacency)[order])


@each_of_one_graph
def test_gradients_on_its_one_graph(name: str) -> None:
    module, x, adjacency = of_one_graph(name)
    names = [name for name, _ in module.named_parameters()]

    def function(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        out = torch.func.functional_call(module, dict(zip(names, parameters, strict=True)), (x, adjacency))
        assert isinstance(out, torch.Tensor)
        return out

    assert torch.autograd.gradcheck(function, (x.requires_grad_(), *module.parameters()), fast_mode=True)


@each_of_one_graph
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_lower_precision_on_its_one_graph_is_close(name: str, dtype: torch.dtype) -> None:
    module, x, adjacency = of_one_graph(name)
    exact = module(x, adjacency)
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 6e-2, torch.float16: 1e-2}[dtype]
    given = x.to(dtype).requires_grad_()
    found = module.to(dtype)(given, adjacency)
    torch.testing.assert_close(found.double(), exact, rtol=tolerance, atol=tolerance)
    found.square().sum().backward()
    assert given.grad is not None
    assert bool(given.grad.isfinite().all())
