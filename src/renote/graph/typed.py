"""Edges of several relations as one sparse matrix: nodes × (relation, sender)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from renote.graph.adjacency import Adjacency
from renote.graph.pattern import Pattern, repeated


@dataclass(frozen=True, eq=False)
class TypedEdges:
    """y_i = Σ_r Σ_{j in N_r(i)} m_(r, j) / c_ir, with c_ir = |N_r(i)|, as one sparse product.

    A message is of a pair (r, j), however many edges of relation r leave node j, so it is made once; pairs stand relation by relation.

    Args:
        pattern: nodes × pairs.
        values: (edges,) float64, 1 / c_ir; with weights w_e / Σ_{e' of r into i} w_e'.
        sender: (pairs,) int64, j of each pair.
        bounds: where each relation's pairs begin, and the end of the last.
        order: (edges,) the place, among the edges that were given, of each entry of the pattern; None if they are the same.
        across: whether c is counted across relations, c_i = Σ_r |N_r(i)|, in the place of |N_r(i)|.
    """

    pattern: Pattern
    values: Tensor
    sender: Tensor
    bounds: tuple[int, ...]
    order: Tensor | None = None
    across: bool = False

    @classmethod
    def from_adjacency(cls, adjacency: Adjacency, relation: Tensor | None = None, num_relations: int = 1) -> TypedEdges:
        """Edges with their relations.

        Args:
            adjacency: the edges.
            relation: (edges,) int64 in its order; None for one relation.
            num_relations: more than the largest.
        """
        kind = torch.zeros_like(adjacency.source) if relation is None else relation
        return cls.from_edges(
            adjacency.source, kind, adjacency.target, adjacency.num_nodes, num_relations, adjacency.weight
        )

    @classmethod
    def from_edges(
        cls,
        source: Tensor,
        relation: Tensor,
        target: Tensor,
        num_nodes: int,
        num_relations: int,
        weight: Tensor | None = None,
        across: bool = False,
    ) -> TypedEdges:
        """Edges as lists.

        Args:
            source: (edges,) the nodes that they leave.
            relation: (edges,) their relations.
            target: (edges,) the nodes at which they arrive.
            num_nodes: more than the largest.
            num_relations: more than the largest.
            weight: (edges,); None for 1 each.
            across: as the class's.
        """
        source, relation, target = source.long(), relation.long(), target.long()
        pair, column = torch.unique(relation * num_nodes + source, return_inverse=True)
        pattern, order = Pattern.from_pairs(target, column, num_nodes, len(pair))
        given = torch.ones(len(source), device=source.device) if weight is None else weight
        given = given.double() if order is None else given.double().index_select(0, order)
        starts = torch.searchsorted(pair, num_nodes * torch.arange(num_relations + 1, device=pair.device))
        out = cls(pattern, given, pair % max(num_nodes, 1), tuple(starts.tolist()), order, across)
        return replace(out, values=out._shares(given))

    def thinned(self, keep: Tensor) -> TypedEdges:
        """Some of the edges, over which alone sums are then divided; the pattern stays.

        Args:
            keep: (edges,) bool, in the order in which they were given.
        """
        there = keep if self.order is None else keep.index_select(0, self.order)
        return replace(self, values=self._shares(self.values * there))

    def map(self, function: Callable[[Tensor], Tensor]) -> TypedEdges:
        """The same edges with each tensor passed through a function, e.g. to another device; the shares stay in double precision."""
        order = None if self.order is None else function(self.order)
        sender = function(self.sender)
        values = self.values.to(sender.device)
        return replace(self, pattern=self.pattern.map(function), values=values, sender=sender, order=order)

    def _shares(self, weight: Tensor) -> Tensor:
        """Each weight over the sum of those of its node, and its relation if not across them; 0 where there is none."""
        place, groups = self._group
        total = weight.new_zeros(groups).index_add_(0, place, weight).index_select(0, place)
        return torch.where(total == 0, total, weight / total)

    @cached_property
    def _group(self) -> tuple[Tensor, int]:
        row, column = self.pattern.row.long(), self.pattern.column.long()
        if self.across:
            return row, self.pattern.num_rows
        nodes = max(self.pattern.num_rows, 1)
        group, place = torch.unique(self.relation.index_select(0, column) * nodes + row, return_inverse=True)
        return place, len(group)

    @property
    def num_relations(self) -> int:
        """Number of relations."""
        return len(self.bounds) - 1

    @cached_property
    def relation(self) -> Tensor:
        """(pairs,) int64, r of each pair."""
        count = torch.tensor(self.bounds, device=self.sender.device).diff()
        return repeated(torch.arange(self.num_relations, device=self.sender.device), count)

    @cached_property
    def _kept(self) -> dict[tuple[torch.dtype, bool], Tensor]:
        return {}

    def values_in(self, dtype: torch.dtype, transposed: bool = False) -> Tensor:
        """(edges,) the values in another precision, in the pattern's order or the transpose's; made once."""
        if (dtype, transposed) not in self._kept:
            order = self.values.index_select(0, self.pattern.to_transposed) if transposed else self.values
            self._kept[dtype, transposed] = order.to(dtype)
        return self._kept[dtype, transposed]
