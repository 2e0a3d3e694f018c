"""What a pool keeps of a graph: its attributes, its structure. The first two tests of Grattarola et al. (2022), section 5; the third is a system's accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from renote.graph import Adjacency, Graph, PoolAutoencoder, Pooled, make_pool
from renote.train.order import mixed_seed


@dataclass(frozen=True)
class Fit:
    """How a pool is trained on one graph.

    Args:
        steps: at most.
        patience: steps without a loss that is lower by `tolerance` after which it ends.
        learning_rate: of Adam.
        tolerance: of the loss.
        hidden: width of the autoencoder.
    """

    steps: int
    patience: int
    learning_rate: float
    tolerance: float = 1e-6
    hidden: int = 256


def shapes(seed: int = 0) -> dict[str, tuple[Graph, Tensor]]:
    """Graphs whose nodes have places: name → graph with its places as features, and those places (nodes, 2).

    A grid of 8 × 8, a ring of 64, 64 sensors in a square each joined to the 6 nearest, and a tree of 63.

    Args:
        seed: of the sensors' places.
    """
    line = torch.arange(64)
    row, column = line // 8, line % 8
    right, down = line[column < 7], line[row < 7]
    angle = line * (2 * torch.pi / 64)
    sensors = torch.rand(64, 2, generator=torch.Generator().manual_seed(seed))
    near = torch.cdist(sensors, sensors).topk(7, largest=False).indices[:, 1:]
    depth = torch.log2(torch.arange(1, 64).double() + 1e-9).long()
    place = (torch.arange(1, 64) - 2**depth + 0.5) / 2**depth
    child = torch.arange(1, 63)
    ends = {
        "grid": (torch.cat([right, down]), torch.cat([right + 1, down + 8]), torch.stack([row, column], 1).float()),
        "ring": (line, (line + 1) % 64, torch.stack([angle.cos(), angle.sin()], 1)),
        "sensors": (line.repeat_interleave(6), near.flatten(), sensors),
        "tree": (child, (child - 1) // 2, torch.stack([place, depth / 5], 1).float()),
    }
    found = {}
    for name, (source, target, places) in ends.items():
        both = torch.unique(torch.stack([torch.cat([source, target]), torch.cat([target, source])]), dim=1)
        places = places - places.mean(0)
        places = places / places.norm(dim=1).max()
        found[name] = (Graph(places, Adjacency.from_edges(both[0], both[1], len(places))), places)
    return found


def attributes(name: str, graph: Graph, seed: int, fit: Fit) -> float:
    """Mean square of X - X̂ after an autoencoder with the pool in its middle was trained on the graph: smaller is better.

    Args:
        name: of the pool.
        graph: with features.
        seed: of the weights.
        fit: of the training.

    Source:
        Grattarola et al. (2022), section 5.1.
    """
    x = graph.x
    assert isinstance(x, Tensor)
    with torch.random.fork_rng():
        torch.manual_seed(mixed_seed(seed, 0))
        pool = make_pool(name, 2 * fit.hidden, 0.5, -(-graph.num_nodes // 2))
        network = PoolAutoencoder(x.shape[1], fit.hidden, pool)

    def loss() -> tuple[Tensor, Tensor]:
        found, penalty = network(graph)
        return (found - x).square().mean(), penalty

    return _fitted(network, loss, fit)


def structure(name: str, graph: Graph, seed: int, fit: Fit) -> float:
    """Mean over signals x of |xᵀ L x - x'ᵀ L' x'|, x' = Sᵀ x what the pool leaves of it: smaller is better.

    The signals are the features and the ten smoothest eigenvectors of L = D - A. Pools that learn are trained on this loss.

    Args:
        name: of the pool.
        graph: with features.
        seed: of the weights.
        fit: of the training.

    Source:
        Grattarola et al. (2022), section 5.2, eq. 13 for one signal.
    """
    places = graph.x
    assert isinstance(places, Tensor)
    laplacian = _laplacian(graph.adjacency.to_dense())
    smooth = torch.linalg.eigh(laplacian)[1][:, :10].to(places.dtype)
    signal = torch.cat([places, smooth], 1)
    wanted = _energies(laplacian.to(places.dtype), signal)
    given = graph.with_x(signal)
    with torch.random.fork_rng():
        torch.manual_seed(mixed_seed(seed, 0))
        pool = make_pool(name, signal.shape[1], 0.5, -(-graph.num_nodes // 2))

    def loss() -> tuple[Tensor, Tensor]:
        pooled: Pooled = pool(given)
        x = pooled.graph.x
        assert isinstance(x, Tensor)
        return (wanted - _energies(_laplacian(_connected(pooled)), x)).abs().mean(), pooled.penalty

    return _fitted(pool, loss, fit)


def _connected(pooled: Pooled) -> Tensor:
    """(coarse nodes, coarse nodes), with the gradient of what is learned."""
    edges = pooled.graph.adjacency
    weight = edges.values(torch.float32) if pooled.edge_weight is None else pooled.edge_weight
    dense = weight.new_zeros(edges.num_nodes, edges.num_nodes)
    return dense.index_put((edges.target.long(), edges.source.long()), weight, accumulate=True)


def _laplacian(dense: Tensor) -> Tensor:
    return torch.diag(dense.sum(1)) - dense


def _energies(laplacian: Tensor, x: Tensor) -> Tensor:
    """(signals,) xᵀ L x."""
    return (x * (laplacian @ x)).sum(0)


def _fitted(module: torch.nn.Module, loss: object, fit: Fit) -> float:
    """The lowest loss without penalty; of a module that learns nothing the one that it has."""
    assert callable(loss)
    weights = list(module.parameters())
    if not weights:
        return float(loss()[0])
    optimizer = torch.optim.Adam(weights, lr=fit.learning_rate)
    best, bad = float("inf"), 0
    for _ in range(fit.steps):
        optimizer.zero_grad()
        value, penalty = loss()
        (value + penalty).backward()
        optimizer.step()
        found = float(value.detach())
        bad = 0 if found + fit.tolerance < best else bad + 1
        best = min(best, found)
        if bad >= fit.patience:
            break
    return best
