"""Networks that pool: their layers against dense formulas, and what they are made of."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_harness import kipf_matrix, random_graph, undirected, walk_matrix, with_loops
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph import (
    Adjacency,
    AttentionPoolNetwork,
    ClusterNetwork,
    ConvolutionStack,
    DenseConvolution,
    Graph,
    GraphUNet,
    ImprovedConvolution,
    KipfConvolution,
    NodeMap,
    SAGEConvolution,
    SortNetwork,
    UNodes,
    batch,
    to_dense,
    two_hops,
)


def drawn(nodes: int, seed: int = 0) -> Graph:
    torch.manual_seed(seed)
    return Graph(torch.randn(nodes, 4, dtype=torch.float64), undirected(nodes, 3 * nodes, seed))


def features(graph: Graph) -> Tensor:
    assert isinstance(graph.x, Tensor)
    return graph.x


@given(nodes=st.integers(0, 9), edges=st.integers(0, 25), seed=st.integers(0, 10**6))
@settings(max_examples=40)
def test_two_hops_are_the_square_of_the_matrix_with_loops(nodes: int, edges: int, seed: int) -> None:
    adjacency = random_graph(nodes, edges, seed, loops=True)
    looped = with_loops(adjacency.to_dense())
    square = (looped @ looped > 0).double()
    found = two_hops(adjacency).to_dense()
    torch.testing.assert_close(found.double(), square - torch.diag(square.diagonal()))


def test_a_hub_has_too_many_two_hops() -> None:
    leaves = torch.arange(1, 10_001)
    hub = torch.zeros_like(leaves)
    star = Adjacency.from_edges(torch.cat([leaves, hub]), torch.cat([hub, leaves]), 10_001)
    with pytest.raises(UsageError, match="two hops join nodes in 1e\\+08 ways.*lower squares"):
        two_hops(star)


def test_a_dense_convolution_is_the_sparse_one() -> None:
    joined = batch([drawn(5, 1), drawn(0), drawn(3, 2)])
    dense, sparse = DenseConvolution(4, 3).double(), SAGEConvolution(4, 3, "mean").double()
    with torch.no_grad():
        sparse.weight_self.copy_(dense.map.weight[:, :4].T)  # type: ignore[union-attr]
        sparse.weight_neighbors.copy_(dense.map.weight[:, 4:].T)
        sparse.bias.copy_(dense.map.bias)  # type: ignore[union-attr]
    padded = to_dense(joined, features(joined))
    found = dense(padded.x, padded.adjacency)[padded.mask.squeeze(2).bool()]
    torch.testing.assert_close(found, sparse(features(joined), joined.adjacency))


def doubled(layer: nn.Module, matrix: Tensor, x: Tensor) -> Tensor:
    assert isinstance(layer, ImprovedConvolution)
    return (kipf_matrix(matrix, 2.0) @ x @ layer.weight + layer.bias).clamp(min=0)


def test_a_u_of_one_pool_is_its_formula() -> None:
    graph, module = drawn(6, 3), GraphUNet(4, 3, 1, 0.5).double()
    dense = graph.adjacency.to_dense().double()
    top = doubled(module.first, dense, features(graph))
    pool = module.pools[0]
    score = top @ pool.direction / pool.direction.norm()  # type: ignore[operator,union-attr]
    kept = score.topk(3).indices.sort().values
    square = with_loops(dense) @ with_loops(dense)
    square = (square - torch.diag(square.diagonal()) > 0).double()[kept][:, kept]
    low = doubled(module.down[0], square, top[kept] * score[kept].sigmoid()[:, None])
    expected = doubled(module.up[0], dense, top + torch.zeros_like(top).index_copy(0, kept, low))
    torch.testing.assert_close(module(graph), expected)


def test_a_u_without_pools_is_convolutions_and_skips() -> None:
    graph, module = drawn(6, 3), GraphUNet(4, 3, 2, 0.5, pooling=False).double()
    dense = graph.adjacency.to_dense().double()
    levels = [doubled(module.first, dense, features(graph))]
    for layer in module.down:
        levels.append(doubled(layer, dense, levels[-1]))
    x = levels.pop()
    for layer in module.up:
        x = doubled(layer, dense, levels.pop() + x)
    torch.testing.assert_close(module(graph), x)
    assert sum(p.numel() for p in module.parameters()) == 3 * 5 + 4 * 3 * 4


def test_the_first_layers_of_sort_pool_walk_at_random() -> None:
    graph, module = drawn(6, 3), SortNetwork(4, 2, 10).double()
    matrix = walk_matrix(with_loops(graph.adjacency.to_dense().double()))
    first = module.convolutions[0]
    assert isinstance(first, KipfConvolution)
    torch.testing.assert_close(
        first(features(graph), graph.adjacency), matrix @ features(graph) @ first.weight + first.bias
    )
    assert module.first.kernel_size == (97,)
    assert module.dense.in_features == 32


def test_global_attention_reads_all_layers_and_hierarchical_each() -> None:
    whole = AttentionPoolNetwork(4, 5, nn.Linear(30, 2), hierarchical=False).double()
    steps = AttentionPoolNetwork(4, 5, nn.Linear(10, 2)).double()
    assert [pool.features for pool in whole.pools] == [15]
    assert [pool.features for pool in steps.pools] == [5, 5, 5]
    for module in (whole, steps):
        graphs = [drawn(7, 1), drawn(0), drawn(4, 2)]
        torch.testing.assert_close(module(batch(graphs)), torch.cat([module(graph) for graph in graphs]))


def test_clusters_of_clusters_and_what_is_added_to_the_loss() -> None:
    torch.manual_seed(0)
    module = ClusterNetwork(SAGEConvolution, 4, 5, (3, 2), nn.Linear(15, 2), link=1.0, entropy=0.0).double()
    other = ClusterNetwork(SAGEConvolution, 4, 5, (3, 2), nn.Linear(15, 2), link=0.0, entropy=1.0).double()
    other.load_state_dict(module.state_dict())
    both = ClusterNetwork(SAGEConvolution, 4, 5, (3, 2), nn.Linear(15, 2), link=2.0, entropy=3.0).double()
    both.load_state_dict(module.state_dict())
    graphs = [drawn(7, 1), drawn(5, 2)]
    found = [one.eval()(batch(graphs)) for one in (module, other, both)]
    torch.testing.assert_close(found[2][1], 2 * found[0][1] + 3 * found[1][1])
    torch.testing.assert_close(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], torch.stack([module(graph)[1] for graph in graphs]).mean())
    found[2][1].backward()
    assert all(p.grad is not None for stack in both.assign for p in stack.parameters())


def test_a_stack_normalizes_rows_and_then_over_nodes() -> None:
    """h = norm(ReLU(h / |h|)) but for the last layer, and of dense graphs over the nodes that are there."""
    torch.manual_seed(0)
    joined = batch([drawn(5, 1), drawn(0), drawn(3, 2)])
    stack = ConvolutionStack(DenseConvolution, [4, 3, 2]).double()
    padded = to_dense(joined, features(joined))
    there = padded.mask.squeeze(2).bool()
    first = stack.layers[0](padded.x, padded.adjacency)[there]
    first = (first / first.norm(dim=1, keepdim=True)).clamp(min=0)
    first = (first - first.mean(0)) / (first.var(0, correction=0) + 1e-5).sqrt()
    inner = torch.zeros(3, 5, 3, dtype=torch.float64)
    inner[there] = first
    last = stack.layers[1](inner, padded.adjacency)[there]
    found = stack(padded.x, padded.adjacency, there)[there]
    torch.testing.assert_close(found, last / last.norm(dim=1, keepdim=True))
    stack.unit = False
    torch.testing.assert_close(stack(padded.x, padded.adjacency, there)[there], last)


def test_a_node_map_sees_no_edges() -> None:
    graph, layer = drawn(5, 1), NodeMap(4, 3).double()
    expected = features(graph) @ layer.weight.T + layer.bias
    torch.testing.assert_close(layer(features(graph), graph.adjacency), expected)


def test_what_makes_no_network_is_refused() -> None:
    with pytest.raises(UsageError, match="k is 9"):
        SortNetwork(4, 2, 9)
    with pytest.raises(UsageError, match="clusters is"):
        ClusterNetwork(SAGEConvolution, 4, 5, (), nn.Linear(5, 2))
    with pytest.raises(UsageError, match="depth is 0"):
        GraphUNet(4, 3, 0)


def test_classes_of_nodes_from_a_u_of_shrinking_graphs() -> None:
    torch.manual_seed(0)
    graph = drawn(9, 3)
    module = UNodes(GraphUNet(4, 5, 3, 0.5, squares=2), KipfConvolution(5, 2), 0.9).double()
    out = module.eval()(graph)
    assert out.shape == (9, 2)
    top = module.unet(graph)
    torch.testing.assert_close(
        out, kipf_matrix(graph.adjacency.to_dense().double()) @ top @ module.head.weight + module.head.bias
    )
    # 9, 5, 3 and 2 nodes: those of the first two graphs are joined over two hops
    seen: list[tuple[int, int]] = []
    for layer in (*module.unet.down, *module.unet.up):
        layer.register_forward_pre_hook(lambda _, given: seen.append((len(given[0]), given[1].num_nodes)))
    module(graph)
    assert seen == [(5, 5), (3, 3), (2, 2), (3, 3), (5, 5), (9, 9)]


@pytest.mark.parametrize("low", [(-57.0, -90.0), (-88.0, -92.0), (-95.0, -98.0)])
def test_clusters_that_nobody_belongs_to_have_gradients(low: tuple[float, float]) -> None:
    """Shares of 10⁻³⁸ are numbers in single precision, their reciprocals are not."""
    torch.manual_seed(0)
    module = ClusterNetwork(SAGEConvolution, 4, 5, (3, 2), nn.Linear(15, 2))
    last = module.assign[0].layers[-1]  # type: ignore[index,union-attr]
    with torch.no_grad():
        last.bias.copy_(torch.tensor([0.0, *low]))
    graph = drawn(7, 1)
    logits, penalty = module(graph.with_x(features(graph).float()))
    (logits.sum() + penalty).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
