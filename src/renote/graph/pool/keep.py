"""Pools that keep some nodes: the highest by a score, with the edges between them.

    select     i = the ⌈ratio · n⌉ nodes of each graph whose score is highest
    reduce     x' = g(score_i) x_i
    connect    A' = A[i, i]

The gate g is what lets the score learn. Gao & Ji (2019), "Graph U-Nets", arXiv 1905.05178. Lee, Lee & Kang (2019), "Self-attention graph pooling", arXiv 1904.08082.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
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


class KeepPool(nn.Module):
    """A pool that keeps the nodes with the highest scores; how a node is scored is the subclass's.

    Where scores are equal the node with the lower number is kept. An empty graph stays empty; of others at least one node is kept.

    Args:
        features: a node comes with.
        ratio: share of a graph's nodes that is kept, rounded up.
        gate: g.

    Shapes:
        graph: with dense x, (nodes, features). Output: `Kept`.

    Attributes:
        of_rows: whether a node's score is of its own features alone.
    """

    of_rows: ClassVar[bool] = False

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
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.of_rows):
            score = self.score(x, graph.adjacency)
        part = induced(graph.with_x(None), highest(score, graph.members, self.ratio))
        rows = x.index_select(0, part.node)
        # made anew of the kept rows, so that the gradient passes through these alone
        kept = self.score(rows, part.graph.adjacency) if self.of_rows else score.index_select(0, part.node)
        gate = kept.tanh() if self.gate == "tanh" else kept.sigmoid()
        found = part.graph.with_x(rows * gate[:, None])
        return Kept(found, part.node, graph.num_nodes, gate)

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

    of_rows: ClassVar[bool] = True

    def __init__(self, features: int, ratio: float = 0.5, gate: Gate = "sigmoid") -> None:
        super().__init__(features, ratio, gate)
        self.direction = nn.Parameter(torch.empty(features))
        nn.init.uniform_(self.direction, -(features**-0.5), features**-0.5)

    def score(self, x: Tensor, adjacency: Adjacency) -> Tensor:
        """X p / |p|."""
        # the direction is divided, and not the many products
        found: Tensor = x @ (self.direction / self.direction.norm())
        return found


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


def highest(score: Tensor, members: Pattern, ratio: float) -> Tensor:
    """(nodes,) bool, the ⌈ratio · n⌉ nodes of each graph with the highest scores; of equal ones the lower numbers.

    Args:
        score: (nodes,).
        members: graphs × nodes, as `graph.members`.
        ratio: above 0, at most 1.
    """
    # what is no number is kept, and found by the check of what is left
    score = score.detach().nan_to_num(torch.inf, torch.inf, -torch.inf)
    count, first = members.count.long(), members.rowptr.long()
    # what rounding adds to a whole number must not become a node
    most = (count.double() * ratio - 1e-7).ceil_().long()
    longest = int(count.max()) if len(count) else 0
    if not longest:
        return torch.zeros(len(score), dtype=torch.bool, device=score.device)
    graph = members.row.long()
    place = torch.arange(len(score), device=score.device) - first.index_select(0, graph)
    if longest * len(count) <= 8 * len(score) + 4096:
        # a row a graph: short sorts side by side; what fills rows up is lower than all
        rows = score.new_full((len(count), longest), -torch.inf)
        rows.view(-1).index_copy_(0, graph * longest + place, score)
        least = _sorted(rows).gather(1, (longest - most.clamp(min=1))[:, None]).squeeze(1)
        kept = score >= least.index_select(0, graph)
        if int(kept.sum()) == int(most.sum()):
            return kept
    # some are equal
    order = score.sort(descending=True, stable=True).indices
    order = order[graph.index_select(0, order).sort(stable=True).indices]
    kept = torch.empty(len(score), dtype=torch.bool, device=score.device)
    kept[order] = place < most.index_select(0, graph)
    return kept


def _sorted(rows: Tensor) -> Tensor:
    if rows.device.type != "cpu":
        return rows.sort(dim=1).values
    # PyTorch sorts the places along with the values: thirty times slower
    known = rows if rows.dtype in (torch.float32, torch.float64) else rows.float()
    return torch.from_numpy(np.sort(known.numpy(), axis=1)).to(rows.dtype)
