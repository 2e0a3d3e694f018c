"""Edges of several relations as one sparse matrix: nodes × (relation, sender)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from renote.graph.adjacency import Adjacency
from renote.graph.pattern import Pattern


@dataclass(frozen=True, eq=False)
class TypedEdges:
    """y_i = Σ_r Σ_{j in N_r(i)} m_(r, j) / c_ir, with c_ir = |N_r(i)|, as one sparse product.

    A message is of a pair (r, j), however many edges of relation r leave node j, so it is made once; pairs stand relation by relation.

    Args:
        pattern: nodes × pairs.
        values: (edges,) float64, 1 / c_ir; with weights w_e / Σ_{e' of r into i} w_e'.
        sender: (pairs,) int64, j of each pair.
        bounds: where each relation's pairs begin, and the end of the last.
    """

    pattern: Pattern
    values: Tensor
    sender: Tensor
    bounds: tuple[int, ...]

    @classmethod
    def from_adjacency(cls, adjacency: Adjacency, relation: Tensor | None = None, num_relations: int = 1) -> TypedEdges:
        """Edges with their relations.

        Args:
            adjacency: the edges.
            relation: (edges,) int64 in its order; None for one relation.
            num_relations: more than the largest.
        """
        source, target = adjacency.source.long(), adjacency.target.long()
        kind = torch.zeros_like(source) if relation is None else relation.long()
        nodes = adjacency.num_nodes
        pair, column = torch.unique(kind * nodes + source, return_inverse=True)
        into = kind * nodes + target
        group, place = torch.unique(into, return_inverse=True)
        weight = adjacency.weight
        if weight is None:
            weight = torch.ones(len(source), device=source.device)
        weight = weight.double()
        total = weight.new_zeros(len(group)).index_add_(0, place, weight).index_select(0, place)
        values = torch.where(total == 0, total, weight / total)
        pattern, order = Pattern.from_pairs(target, column, nodes, len(pair))
        starts = torch.searchsorted(pair, nodes * torch.arange(num_relations + 1, device=pair.device))
        return cls(
            pattern,
            values if order is None else values.index_select(0, order),
            pair % max(nodes, 1),
            tuple(starts.tolist()),
        )

    @property
    def num_relations(self) -> int:
        """Number of relations."""
        return len(self.bounds) - 1

    @cached_property
    def relation(self) -> Tensor:
        """(pairs,) int64, r of each pair."""
        count = torch.tensor(self.bounds, device=self.sender.device).diff()
        return torch.arange(self.num_relations, device=self.sender.device).repeat_interleave(count)

    @cached_property
    def _kept(self) -> dict[tuple[torch.dtype, bool], Tensor]:
        return {}

    def values_in(self, dtype: torch.dtype, transposed: bool = False) -> Tensor:
        """(edges,) the values in another precision, in the pattern's order or the transpose's; made once."""
        if (dtype, transposed) not in self._kept:
            order = self.values.index_select(0, self.pattern.to_transposed) if transposed else self.values
            self._kept[dtype, transposed] = order.to(dtype)
        return self._kept[dtype, transposed]
