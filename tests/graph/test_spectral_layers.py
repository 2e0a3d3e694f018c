"""Layers that are polynomials of an operator: parity with PyTorch Geometric, orders of multiplication, what is precomputed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from layer_harness import inception_oracle, undirected
from torch import nn

from renote.errors import UsageError
from renote.graph import (
    Adjacency,
    ChebyshevConvolution,
    DiffusionConvolution,
    InceptionConvolution,
    SimplifiedConvolution,
    SparseFeatures,
    eigenbasis,
    laplacian,
)


@pytest.mark.parametrize("order", [0, 1, 4])
def test_responses_are_what_a_chebyshev_layer_does_to_each_frequency(order: int) -> None:
    """In the eigenbasis of the Laplacian the layer is the product with f(λ)."""
    adjacency = undirected(12, 40, 0)
    layer = ChebyshevConvolution(3, 2, order, bias=False).double()
    basis = eigenbasis(laplacian(adjacency, "symmetric"))
    spectrum = torch.randn(12, 3, dtype=torch.float64)
    expected = torch.einsum("ni,nio->no", spectrum, layer.responses(basis.values))
    torch.testing.assert_close(basis.vectors.T @ layer(basis.vectors @ spectrum, adjacency), expected)


def test_inception_signals_are_pygs_transform() -> None:
    transforms, data = pytest.importorskip("torch_geometric.transforms"), pytest.importorskip("torch_geometric.data")
    # PyTorch Geometric's transform adds no loops by itself, and its degrees are those of the receivers
    plain = undirected(30, 120, 0).with_self_loops()
    x = torch.randn(30, 5)
    theirs = transforms.SIGN(3)(data.Data(x=x, edge_index=plain.edge_index(), num_nodes=30))
    signals = InceptionConvolution(5, 2, hops=3).signals(x, plain)
    for hop, expected in enumerate([x, theirs.x1, theirs.x2, theirs.x3]):
        torch.testing.assert_close(signals[:, hop], expected, rtol=1e-4, atol=1e-5)


def test_inception_over_pagerank_and_triangles_is_its_formula() -> None:
    adjacency, x = undirected(12, 40, 3), torch.randn(12, 4, dtype=torch.float64)
    layer = InceptionConvolution(4, 3, 2, 2, 2, restart=0.2).double()
    expected = inception_oracle(layer, adjacency.to_dense(), x)
    torch.testing.assert_close(layer(x, adjacency), expected, rtol=1e-5, atol=1e-5)
    assert layer(x, adjacency).shape == (12, 7 * 3)
    order = torch.randperm(12)
    place = torch.argsort(order)
    moved = Adjacency.from_edges(place[adjacency.source.long()], place[adjacency.target.long()], 12)
    torch.testing.assert_close(layer(x[order], moved), layer(x, adjacency)[order], rtol=1e-5, atol=1e-5)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "chebyshev, narrower": lambda: ChebyshevConvolution(6, 3, 3),
    "chebyshev, wider": lambda: ChebyshevConvolution(6, 9, 3),
    "simplified": lambda: SimplifiedConvolution(6, 3),
    "inception": lambda: InceptionConvolution(6, 3, 2, 1, 1),
    "diffusion": lambda: DiffusionConvolution(6, 3),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_sparse_features_give_what_dense_ones_do(make: Callable[[], nn.Module]) -> None:
    adjacency, layer = undirected(20, 60, 1), make().double()
    dense = torch.rand(20, 6, dtype=torch.float64) * (torch.rand(20, 6) < 0.4)
    found, expected = layer(SparseFeatures.from_dense(dense), adjacency), layer(dense, adjacency)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(out.square().sum(), list(layer.parameters())) for out in (found, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("name", ["simplified", "inception", "diffusion"])
def test_a_batch_of_nodes_needs_no_graph(name: str) -> None:
    adjacency, x = undirected(20, 60, 2), torch.randn(20, 6, dtype=torch.float64)
    layer: Any = LAYERS[name]().double()
    nodes = torch.tensor([3, 17, 3, 0])
    signals = layer.signals(x, adjacency)
    assert not signals.requires_grad
    torch.testing.assert_close(layer.weigh(signals[nodes]), layer(x, adjacency)[nodes])
    assert layer.weigh(signals[:0]).shape == (0, layer(x, adjacency).shape[1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ChebyshevConvolution(2, 2, -1), "order is -1"),
        (lambda: ChebyshevConvolution(2, 2, kind="combinatorial"), "kind of Laplacian"),  # type: ignore[arg-type]
        (lambda: SimplifiedConvolution(2, 2, -1), "hops is -1"),
        (lambda: InceptionConvolution(2, 2, triangle_hops=-2), "triangle_hops is -2"),
        (lambda: DiffusionConvolution(2, -1), "hops is -1"),
        (lambda: SimplifiedConvolution(2, 2).signals(torch.zeros(3, 4), undirected(3, 4, 0)), "4 features a node"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()
