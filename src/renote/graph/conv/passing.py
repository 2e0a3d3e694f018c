"""Convolutions of the user's own: what a neighbour sends, how it is aggregated and how the node takes it are passed in.

Gilmer, Schoenholz, Riley, Vinyals & Dahl (2017), "Neural message passing for quantum chemistry", arXiv 1704.01212: the form in which message, sum and update
are free. Battaglia et al. (2018), "Relational inductive biases, deep learning, and graph networks", arXiv 1806.01261: aggregations other than the sum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from renote.errors import UsageError, unknown
from renote.graph.adjacency import Adjacency
from renote.graph.aggregate import (
    Aggregation,
    MaxAggregation,
    MeanAggregation,
    MinAggregation,
    StdAggregation,
    SumAggregation,
    check_width,
)
from renote.graph.aggregations import AGGREGATIONS
from renote.graph.attend import on_columns, on_rows
from renote.graph.pattern import Pattern
from renote.graph.segment import product, segment_max, segment_sum
from renote.graph.sparse import SparseFeatures

Message = Callable[[Tensor, Tensor, "Tensor | None"], Tensor]
Update = Callable[[Tensor, Tensor], Tensor]

IN_PARTS = (SumAggregation, MeanAggregation, MaxAggregation, MinAggregation)
"""Aggregations of a whole that are made of those of its parts."""
LEAST = 2**16
"""Edges that are always taken at once."""


class MessageConvolution(nn.Module):
    """y_i = update(x_i, AGG_(j → i) message(x_j, x_i, e_ij)).

    Edges go through a run at a time, and what `message` makes of a run is made again in the backward pass: for sum, mean, max and min memory is
    O(nodes + edges at once), however many edges there are. Other aggregations get all messages, (edges, width), but none of what `message` made on the way
    to them. Where a message is linear in x_j, `spmm` and the convolutions made of it need no messages and are faster.

    Args:
        in_features: features a node comes with.
        message: `message(x_source, x_target, edge_features)` of (edges, in_features) twice and (edges, …), or None where no features of edges are given;
            returns (edges, width). It sees some of the edges at a time, at times none, so each row must be made of its own edge alone. A module's weights are trained.
        aggregation: a name in `AGGREGATIONS`, or an `Aggregation`. The weights of edges count as there.
        update: `update(x, aggregated)` of (nodes, in_features) and (nodes, width); None takes what was aggregated as it is.
        message_features: width of a message, which aggregations with weights ask for by name.
        edges_at_once: how many edges go through together; None for as many as there are nodes, and at least 65,536.

    Shapes:
        x: (nodes, in_features), dense, or `SparseFeatures`, which are made dense. edge_features: (edges, …) in the adjacency's order. Output: what `update` returns.

    Raises:
        UsageError: an aggregation that nobody knows, or one with weights and no `message_features`; shapes that do not fit.

    Source:
        Gilmer et al. (2017), eqs. 1 and 2; Battaglia et al. (2018), section 3.2.

    Example:
        >>> import torch
        >>> from renote.graph import Adjacency, MessageConvolution
        >>> path = Adjacency.from_edges([0, 1], [1, 2], num_nodes=3)
        >>> steepest = MessageConvolution(1, lambda source, target, edge: (source - target).abs(), "max")
        >>> steepest(torch.tensor([[0.0], [3.0], [4.0]]), path).tolist()
        [[0.0], [3.0], [1.0]]
    """

    one_hop = True
    """Whether a row of the output reads the node, what arrives at it, and no normalization but Kipf's or its own."""

    def __init__(
        self,
        in_features: int,
        message: Message,
        aggregation: str | Aggregation = "sum",
        update: Update | None = None,
        message_features: int | None = None,
        edges_at_once: int | None = None,
    ) -> None:
        super().__init__()
        if edges_at_once is not None and edges_at_once < 1:
            raise UsageError(f"edges_at_once is {edges_at_once}: at least one goes through")
        self.in_features, self.edges_at_once = in_features, edges_at_once
        self.message, self.update = message, update
        self.aggregate = _aggregate(aggregation, message_features)

    def forward(self, x: Tensor | SparseFeatures, adjacency: Adjacency, edge_features: Tensor | None = None) -> Tensor:
        """One hop; arguments as the class says."""
        check_width(x, self.in_features, "convolution")
        if edge_features is not None and len(edge_features) != adjacency.num_edges:
            raise UsageError(
                f"edge_features of shape {tuple(edge_features.shape)} for {adjacency.num_edges} edges: give one row an edge"
            )
        x = x if isinstance(x, Tensor) else x.to_dense()
        in_parts = type(self.aggregate) in IN_PARTS
        over = adjacency.random_walk() if type(self.aggregate) is MeanAggregation else adjacency.expected
        weight = None if over.weight is None else over.values(x.dtype)
        size = self.edges_at_once or max(LEAST, adjacency.num_nodes)
        runs = adjacency.keep(f"runs of {size}", lambda: _runs(adjacency.pattern, size))
        again = len(runs.parts) > 1 and torch.is_grad_enabled()
        made = []
        for part in runs.parts:
            edges = slice(part.first, part.first + part.pattern.num_entries)
            given = (
                part,
                x,
                None if edge_features is None else edge_features[edges],
                None if weight is None else weight[edges],
            )
            step = self._reduced if in_parts else self._messages
            made.append(checkpoint(step, *given, use_reentrant=False) if again else step(*given))
        told: Tensor = made[0] if len(made) == 1 else torch.cat(made)
        if not in_parts:
            told = self.aggregate(told, Adjacency(adjacency.pattern.by_row, adjacency.weight, whole=adjacency.whole))
        elif len(made) > 1:
            told = self._over(runs.rows, told, None)
        return told if self.update is None else self.update(x, told)

    def _messages(self, part: Part, x: Tensor, edge_features: Tensor | None, weight: Tensor | None) -> Tensor:
        """(edges of the part, width)."""
        target = x[part.row : part.row + part.pattern.num_rows]
        out = self.message(on_columns(part.pattern, x), on_rows(part.pattern, target), edge_features)
        if out.dim() != 2 or len(out) != part.pattern.num_entries:
            raise UsageError(
                f"message returned the shape {tuple(out.shape)} for {part.pattern.num_entries} edges: it must be (edges, width)"
            )
        return out

    def _reduced(self, part: Part, x: Tensor, edge_features: Tensor | None, weight: Tensor | None) -> Tensor:
        """(rows of the part, width)."""
        return self._over(part.pattern.by_row, self._messages(part, x, edge_features, weight), weight)

    def _over(self, pattern: Pattern, told: Tensor, weight: Tensor | None) -> Tensor:
        """The sum, or the extremes, of each row."""
        if isinstance(self.aggregate, MaxAggregation):
            return segment_max(told, pattern)
        if isinstance(self.aggregate, MinAggregation):
            return -segment_max(-told, pattern)
        return segment_sum(told, pattern) if weight is None else product(pattern, weight, told)

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.in_features}, edges_at_once={self.edges_at_once}"


class Part(NamedTuple):
    """A run of edges: those from `first` on, of the rows from `row` on."""

    first: int
    row: int
    pattern: Pattern


class Runs(NamedTuple):
    """All edges in runs, and which of the runs' rows, one after the other, are of each node: nodes × rows of runs."""

    parts: list[Part]
    rows: Pattern


def _runs(pattern: Pattern, size: int) -> Runs:
    """Runs of `size` entries; a row that two of them share is there in both, and one between two may be in none, as it is empty."""
    if pattern.num_entries <= size:
        return Runs([Part(0, 0, pattern)], pattern)
    parts, rows = [], []
    for first in range(0, pattern.num_entries, size):
        end = min(first + size, pattern.num_entries)
        row, last = int(pattern.row[first]), int(pattern.row[end - 1])
        rowptr = pattern.rowptr[row : last + 2].clamp(first, end) - first
        parts.append(Part(first, row, Pattern(rowptr, pattern.column[first:end], pattern.num_columns)))
        rows.append(torch.arange(row, last + 1, device=rowptr.device))
    return Runs(parts, Pattern.from_segments(torch.cat(rows), pattern.num_rows))


def _aggregate(given: str | Aggregation, features: int | None) -> Aggregation:
    if isinstance(given, Aggregation):
        return given
    if given not in AGGREGATIONS:
        raise unknown("aggregation", given, AGGREGATIONS)
    kind = AGGREGATIONS[given]
    if features is None and kind not in (*IN_PARTS, StdAggregation):
        raise UsageError(f"aggregation = {given!r} has weights: give message_features, the width of a message")
    return kind(features)
