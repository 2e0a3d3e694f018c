"""Convolutions whose message and update are passed in: equal however many edges go through at once, and only then in memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from layer_harness import Edge, Taken, random_graph
from torch import Tensor

from renote.errors import UsageError
from renote.graph import (
    AGGREGATIONS,
    Adjacency,
    Graph,
    MessageConvolution,
    NodeNetwork,
    SparseFeatures,
    SumAggregation,
    layerwise,
)


def given(nodes: int = 12, edges: int = 60) -> tuple[Adjacency, Tensor, Tensor]:
    """A weighted graph with an empty row amid others, features of nodes and of edges."""
    generator = torch.Generator().manual_seed(3)
    plain = random_graph(nodes, edges, 5).edge_index()
    plain = plain[:, plain[1] != 4]
    weight = torch.rand(plain.shape[1], dtype=torch.float64, generator=generator) - 0.3
    adjacency = Adjacency.from_edges(plain[0], plain[1], nodes, weight)
    features = [torch.randn(n, 4, dtype=torch.float64, generator=generator) for n in (nodes, adjacency.num_edges)]
    return adjacency, features[0].requires_grad_(), features[1].requires_grad_()


class WithEdges(Edge):
    """The message of the harness, times a map of the edge's features."""

    def __init__(self, width: int) -> None:
        super().__init__(4, width)
        self.edge = torch.nn.Linear(4, width)

    def forward(self, source: Tensor, target: Tensor, edge_features: Tensor | None) -> Tensor:
        assert edge_features is not None
        return super().forward(source, target, None) * self.edge(edge_features)


@pytest.mark.parametrize("name", AGGREGATIONS)
@pytest.mark.parametrize("at_once", [1, 7])
def test_edges_in_runs_give_what_all_edges_give(name: str, at_once: int) -> None:
    """The output, and the gradients of nodes, of edges and of all weights."""
    adjacency, x, edge_features = given()
    found: list[tuple[Tensor, ...]] = []
    torch.manual_seed(0)
    whole = MessageConvolution(4, WithEdges(6), name, Taken(4, 6, 3), 6).double()
    for size in (None, at_once):
        torch.manual_seed(0)
        one = MessageConvolution(4, WithEdges(6), name, Taken(4, 6, 3), 6, size).double().eval()
        one.load_state_dict(whole.state_dict())
        out = one(x, adjacency, edge_features)
        found.append((out, *torch.autograd.grad(out.sin().sum(), [x, edge_features, *one.parameters()])))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)
        assert bool((ours != 0).any())


def test_gradients_with_features_of_edges() -> None:
    adjacency, x, edge_features = given(6, 14)
    convolution = MessageConvolution(4, WithEdges(3), "mean", None, edges_at_once=4).double()
    assert torch.autograd.gradcheck(lambda x, edge: convolution(x, adjacency, edge), (x, edge_features))


def test_what_a_message_is_made_by_is_there_for_a_run_of_edges_alone() -> None:
    """Nothing that autograd keeps is as long as the list of edges, and the message never sees more of them than it was told."""
    adjacency = random_graph(10, 400, 1).with_weight(None)
    x = torch.randn(10, 4, requires_grad=True)
    seen: list[int] = []
    kept: list[int] = []

    def message(source: Tensor, target: Tensor, edge_features: Tensor | None) -> Tensor:
        seen.append(len(source))
        return (source * target).exp().sin()

    def keep(tensor: Tensor) -> Tensor:
        kept.append(len(tensor) if tensor.dim() and tensor.is_floating_point() else 0)
        return tensor

    for at_once, longest in ((50, 50), (None, adjacency.num_edges)):
        seen.clear()
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            out = MessageConvolution(4, message, edges_at_once=at_once)(x, adjacency)
        out.sum().backward()
        assert max(seen) == longest
        assert (max(kept) >= adjacency.num_edges) == (at_once is None)
    calls = -(-adjacency.num_edges // 50)
    seen.clear()
    convolution = MessageConvolution(4, message, edges_at_once=50)
    convolution(x, adjacency).sum().backward()
    assert len(seen) == 2 * calls  # once more, backwards
    seen.clear()
    with torch.no_grad():
        convolution(x, adjacency)
    assert len(seen) == calls


def test_functions_of_what_lies_around_them_get_their_gradients() -> None:
    adjacency, x, _ = given()
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    convolution = MessageConvolution(4, lambda source, target, edge: scale * source, edges_at_once=5)
    torch.autograd.backward(convolution(x, adjacency).sum())
    expected = (adjacency.to_dense() @ x.detach()).sum()
    torch.testing.assert_close(scale.grad, expected)
    words = SparseFeatures.from_dense(x.detach())
    torch.testing.assert_close(convolution(words, adjacency), 2 * adjacency.to_dense() @ x)


def test_in_a_network_and_layer_by_layer() -> None:
    adjacency, x, _ = given(40, 200)
    layers: list[Any] = [MessageConvolution(4, Edge(4, 5), "max", Taken(4, 5, 4)) for _ in range(2)]
    network = NodeNetwork(layers).double().eval()
    graph = Graph(x.detach(), adjacency)
    torch.testing.assert_close(layerwise(network, graph, megabytes=1e-3), network(graph))


def test_what_cannot_be_is_refused() -> None:
    adjacency, x, edge_features = given()
    message = Edge(4, 5).double()
    with pytest.raises(UsageError, match="unknown aggregation 'men'. Did you mean"):
        MessageConvolution(4, message, "men")
    with pytest.raises(UsageError, match="'attention' has weights: give message_features"):
        MessageConvolution(4, message, "attention")
    with pytest.raises(UsageError, match="edges_at_once is 0"):
        MessageConvolution(4, message, edges_at_once=0)
    with pytest.raises(UsageError, match="give one row an edge"):
        MessageConvolution(4, message)(x, adjacency, edge_features[1:])
    with pytest.raises(UsageError, match=r"message returned the shape \(4,\)"):
        MessageConvolution(4, lambda source, target, edge: source.sum(0), SumAggregation())(x, adjacency)
