"""Pools that keep some nodes: the highest by a score, with the edges between them.

    select     i = the ⌈ratio · n⌉ nodes of each graph whose score is highest
    reduce     x' = g(score_i) x_i
    connect    A' = A[i, i]

The gate g is what lets the score learn. Gao & Ji (2019), "Graph U-Nets", arXiv 1905.05178. Lee, Lee & Kang (2019), "Self-attention graph pooling", arXiv 1904.08082.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from renote.errors import UsageError, unknown
from renote.graph.adjacency import Adjacency
from renote.graph.aggregate import check_width
from renote.graph.conv.spatial import ScoreConvolution
from renote.graph.graph import Graph
from renote.graph.network import features_of
from renote.graph.pattern import Pattern
from renote.graph.subgraph import induced

Gate = Literal["sigmoid", "tanh"]


@dataclass(frozen=True, eq=False)
class Kept:
    """What a pool leaves.

    Args:
        graph: of the nodes that are kept, with their gated features.
        node: (kept,) int64, increasing, their numbers before.
        num_nodes: how many there were.
        gate: (kept,) g(score) of each.
    """

    graph: Graph
    node: Tensor
    num_nodes: int
    gate: Tensor

    def unpool(self, x: Tensor) -> Tensor:
        """(kept, …) back to where they were, (nodes, …), 0 elsewhere."""
        return x.new_zeros(self.num_nodes, *x.shape[1:]).index_copy(0, self.node, x)


@dataclass(frozen=True, eq=False)
class Reach:
    """Scores, and if they are S X p + b with a constant matrix S, what their gradient with respect to X and p is made of.

    Args:
        score: (nodes,); without a gradient to X and p where these are told.
        direction: (features,) p, or None.
        turned: gives Sᵀ s of (nodes,) s; None if S is the identity.
    """

    score: Tensor
    direction: Tensor | None = None
    turned: Callable[[Tensor], Tensor] | None = None


class KeepPool(nn.Module):
    """A pool that keeps the nodes with the highest scores; how a node is scored is the subclass's.

    Where scores are equal the node with the lower number is kept. An empty graph stays empty; of others at least one node is kept.

    Args:
        features: a node comes with.
        ratio: share of a graph's nodes that is kept, rounded up.
        gate: g.

    Shapes:
        graph: with dense x, (nodes, features). Output: `Kept`.
    """

    def __init__(self, features: int, ratio: float = 0.5, gate: Gate = "tanh") -> None:
        super().__init__()
        if not 0 < ratio <= 1:
            raise UsageError(f"ratio is {ratio}: it must be above 0, and 1 keeps all nodes")
        if gate not in ("sigmoid", "tanh"):
            raise unknown("gate", gate, ["sigmoid", "tanh"])
        self.features, self.ratio, self.gate = features, ratio, gate

    def score(self, x: Tensor, adjacency: Adjacency) -> Tensor:
        """(nodes,) the higher, the rather it is kept."""
        raise NotImplementedError

    def forward(self, graph: Graph) -> Kept:
        """The kept nodes as a graph."""
        x = features_of(graph)
        check_width(x, self.features, "pool")
        assert isinstance(x, Tensor)
        reach = self.reach(x, graph.adjacency)
        part = induced(graph.with_x(None), highest(reach.score, graph.members, self.ratio))
        rows, gate = _gated(x, reach, part.node, self.gate)
        # X p is finite only if X is
        finite = reach.direction is not None and bool(reach.score.detach().sum().isfinite())
        return Kept(part.graph.with_x(rows, finite), part.node, graph.num_nodes, gate)

    def reach(self, x: Tensor, adjacency: Adjacency) -> Reach:
        """The scores, and what is known of how they are made of x."""
        return Reach(self.score(x, adjacency))

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.features}, ratio={self.ratio}, gate={self.gate!r}"


class TopKPool(KeepPool):
    """score = X p / |p|: how far a node reaches along a direction that is learned.

    Args:
        features: a node comes with.
        ratio: share of a graph's nodes that is kept, rounded up.
        gate: g, the paper's the sigmoid.

    Source:
        Gao & Ji (2019), eq. 2.
    """

    def __init__(self, features: int, ratio: float = 0.5, gate: Gate = "sigmoid") -> None:
        super().__init__(features, ratio, gate)
        self.direction = nn.Parameter(torch.empty(features))
        nn.init.uniform_(self.direction, -(features**-0.5), features**-0.5)

    def score(self, x: Tensor, adjacency: Adjacency) -> Tensor:
        """X p / |p|."""
        found: Tensor = x @ self._unit()
        return found

    def reach(self, x: Tensor, adjacency: Adjacency) -> Reach:
        """X p / |p|."""
        unit = self._unit()
        return Reach(x.detach() @ unit.detach(), unit)

    def _unit(self) -> Tensor:
        # the direction is divided, and not the many products
        unit: Tensor = self.direction / self.direction.norm()
        return unit


class SAGPool(KeepPool):
    """score = conv(X, A), a graph convolution to one feature, so that a node is kept for what is around it too.

    Args:
        features: a node comes with.
        ratio: share of a graph's nodes that is kept, rounded up.
        gate: g.
        convolution: `convolution(x, adjacency)` gives (nodes, 1); `ScoreConvolution` by default.

    Source:
        Lee et al. (2019), eqs. 3 and 4.
    """

    def __init__(
        self, features: int, ratio: float = 0.5, gate: Gate = "tanh", convolution: nn.Module | None = None
    ) -> None:
        super().__init__(features, ratio, gate)
        self.convolution = ScoreConvolution(features) if convolution is None else convolution

    def score(self, x: Tensor, adjacency: Adjacency) -> Tensor:
        """conv(X, A)."""
        found: Tensor = self.convolution(x, adjacency)
        return found.squeeze(1)

    def reach(self, x: Tensor, adjacency: Adjacency) -> Reach:
        """conv(X, A), in parts where they are known."""
        convolution = self.convolution
        if not isinstance(convolution, ScoreConvolution) or not convolution.fits(adjacency):
            return super().reach(x, adjacency)
        direction = convolution.weight.squeeze(1)
        signal = x.detach() @ direction.detach()
        smooth = convolution.smoothing(adjacency, signal.dtype)
        score = smooth(signal) if convolution.bias is None else smooth(signal) + convolution.bias
        return Reach(score, direction, partial(smooth, turned=True))


class KeepAll(nn.Module):
    """Every node is kept as it is: the place of a pool in a network without pooling."""

    def forward(self, graph: Graph) -> Kept:
        """The graph itself."""
        nodes = torch.arange(graph.num_nodes, device=graph.adjacency.device)
        return Kept(graph, nodes, graph.num_nodes, torch.ones(graph.num_nodes, device=nodes.device))


def highest(score: Tensor, members: Pattern, ratio: float) -> Tensor:
    """(nodes,) bool, the ⌈ratio · n⌉ nodes of each graph with the highest scores; of equal ones the lower numbers.

    Args:
        score: (nodes,).
        members: graphs × nodes, as `graph.members`.
        ratio: above 0, at most 1.
    """
    # what is no number is kept, and found by the check of what is left
    score = score.detach().nan_to_num(torch.inf, torch.inf, -torch.inf)
    count = members.count.cpu().numpy()
    most = _share(count, ratio)
    kept = _side_by_side(score, count, most) if score.device.type == "cpu" else None
    if kept is not None:
        return kept
    limit = torch.from_numpy(most).to(score.device)
    graph, first = members.row.long(), members.rowptr.long()
    place = torch.arange(len(score), device=score.device) - first.index_select(0, graph)
    order = score.sort(descending=True, stable=True).indices
    order = order[graph.index_select(0, order).sort(stable=True).indices]
    kept = torch.empty(len(score), dtype=torch.bool, device=score.device)
    kept[order] = place < limit.index_select(0, graph)
    return kept


def _share(count: NDArray[Any], ratio: float) -> NDArray[np.int64]:
    # what rounding adds to a whole number must not become a node
    return np.ceil(count * ratio - 1e-7).astype(np.int64)


def _side_by_side(score: Tensor, count: NDArray[Any], most: NDArray[np.int64]) -> Tensor | None:
    """`highest` by short sorts of values alone, a row a graph; None where sizes differ too much, or scores at the limit are equal."""
    longest = int(count.max(initial=0))
    if not longest or longest * len(count) > 8 * len(score) + 4096:
        return None
    # NumPy sorts values without their places, thirty times faster than PyTorch
    values = (score if score.dtype in (torch.float32, torch.float64) else score.float()).numpy()
    there = np.arange(longest) < count[:, None]
    # what fills rows up is lower than all
    rows = np.full(there.shape, -np.inf, values.dtype)
    rows[there] = values
    rows.sort(axis=1)
    # an empty graph's is looked up and not used
    limit = rows[np.arange(len(count)), longest - most.clip(1)]
    kept = values >= np.repeat(limit, count)
    return torch.from_numpy(kept) if np.count_nonzero(kept) == most.sum() else None


def _gated(x: Tensor, reach: Reach, node: Tensor, gate: Gate) -> tuple[Tensor, Tensor]:
    """(kept, features) g(score_i) x_i, and (kept,) the gates; arguments as `Reach` and `Kept` tell them."""
    found: tuple[Tensor, Tensor] = _Gated.apply(x, reach.score, reach.direction, reach.turned, node, gate)  # type: ignore[no-untyped-call]
    return found


class _Gated(torch.autograd.Function):
    """y_i = g_i x_i for the kept nodes i, whose gradient is made by few passes over the rows.

    dscore_i = g'(score_i) (dy_i · x_i + dg_i) and dx_i = g_i dy_i, both zero for other nodes; where scores are S X p + b, dx_i has (Sᵀ dscore)_i p besides
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        score: Tensor,
        direction: Tensor | None,
        turned: Callable[[Tensor], Tensor] | None,
        node: Tensor,
        gate: Gate,
    ) -> tuple[Tensor, Tensor]:
        kept = score.index_select(0, node)
        kept = kept.tanh_() if gate == "tanh" else kept.sigmoid_()
        rows = x.index_select(0, node)
        ctx.save_for_backward(x, direction, node, kept)
        ctx.rows, ctx.turned, ctx.gate = rows, turned, gate
        return rows * kept[:, None], kept

    @staticmethod
    def backward(ctx: Any, grad: Tensor, grad_gate: Tensor) -> tuple[Tensor | None, ...]:
        x, direction, node, gate = ctx.saved_tensors
        # through these there is no second gradient
        rows = x.index_select(0, node) if torch.is_grad_enabled() else ctx.rows
        slope = 1 - gate.square() if ctx.gate == "tanh" else gate * (1 - gate)
        of_kept = ((grad * rows).sum(1) + grad_gate) * slope
        of_x = of_score = of_signal = of_direction = None
        if ctx.needs_input_grad[1] or ctx.turned is not None:
            of_score = x.new_zeros(len(x)).index_copy(0, node, of_kept)
        if direction is not None:
            of_signal = None if ctx.turned is None else ctx.turned(of_score)
            if ctx.needs_input_grad[2]:
                of_direction = of_kept @ rows if of_signal is None else of_signal @ x
        if ctx.needs_input_grad[0]:
            of_rows = grad * gate[:, None]
            if direction is not None and of_signal is None:
                of_rows = of_rows.addr_(of_kept, direction)
            of_x = of_rows.new_zeros(x.shape) if of_signal is None else torch.outer(of_signal, direction)
            of_x = of_x.index_add_(0, node, of_rows)
        return of_x, of_score, of_direction, None, None, None
