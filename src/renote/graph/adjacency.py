"""The edges of a graph, sorted by receiver, with everything that layers ask of them made once and kept here.

Messages flow source → receiver: `adjacency` as a matrix has A[receiver, source], so that `A @ x` gathers. Layers keep no cache of their own: a
normalization belongs to the edges, not to the layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from renote.errors import DataError
from renote.graph.given import as_tensor, edge_weights, node_numbers
from renote.graph.normalize import degree_of, normalized, precise_dtype
from renote.graph.pattern import Pattern, index_dtype, starts
from renote.graph.whole import Whole


class Adjacency:
    """Edges source → receiver, sorted by receiver and then source.

    Args:
        pattern: receivers × sources, square.
        weight: (edges,) constant and finite, in the pattern's order; None means ones.
        order: (edges,) for each edge the place it had in the list it was made from; None if it was sorted already.
        whole: of the graph that this is a part of; None if it stands for itself.

    Example:
        >>> from renote.graph import Adjacency
        >>> path = Adjacency.from_edges([0, 1], [1, 2], num_nodes=3)
        >>> path.in_degree().tolist()
        [0.0, 1.0, 1.0]
    """

    def __init__(
        self,
        pattern: Pattern,
        weight: Tensor | None = None,
        order: Tensor | None = None,
        whole: Whole | None = None,
    ) -> None:
        self.pattern = pattern
        self.weight = weight
        self.order = order
        self.whole = whole
        self._values: dict[torch.dtype, Tensor] = {}
        self._transposed_values: dict[torch.dtype, Tensor] = {}
        self._mirrored = False
        self._made: dict[str, Adjacency] = {}
        self._kept: dict[str, Any] = {}

    @classmethod
    def from_edges(
        cls,
        source: Tensor | Sequence[int],
        target: Tensor | Sequence[int],
        num_nodes: int,
        weight: Tensor | Sequence[float] | None = None,
    ) -> Adjacency:
        """Sorts and checks edges source[k] → target[k].

        Args:
            source: (edges,) integers in [0, num_nodes).
            target: (edges,) integers in [0, num_nodes).
            num_nodes: explicit, because the last nodes may have no edge.
            weight: (edges,) finite; for weights that are learned, give them to `spmm` instead.

        Raises:
            DataError: a shape, dtype, index or weight is wrong; the message names the first offending edge.
        """
        source, target = node_numbers(source, "source"), node_numbers(target, "target")
        if source.shape != target.shape:
            raise DataError(f"{source.shape[0]} sources and {target.shape[0]} targets: an edge has one of each")
        if num_nodes < 0:
            raise DataError(f"num_nodes is {num_nodes}: it must be 0 or more")
        if any(len(ends) and not 0 <= int(ends.min()) <= int(ends.max()) < num_nodes for ends in (source, target)):
            outside = (source < 0) | (source >= num_nodes) | (target < 0) | (target >= num_nodes)
            edge = int(outside.nonzero()[0])
            raise DataError(
                f"edge {edge} ({int(source[edge])} -> {int(target[edge])}) points outside the {num_nodes} nodes: "
                f"indices go from 0 to {num_nodes - 1}"
            )
        values = None if weight is None else edge_weights(weight, source)
        pattern, order = Pattern.from_pairs(target, source, num_nodes, num_nodes)
        if values is not None and order is not None:
            values = values.index_select(0, order)
        return cls(pattern, values, order)

    @classmethod
    def from_edge_list(
        cls,
        edges: Tensor | Sequence[Sequence[int]],
        num_nodes: int,
        weight: Tensor | Sequence[float] | None = None,
        layout: str | None = None,
    ) -> Adjacency:
        """From one table of edges.

        Args:
            edges: (2, edges), sources above targets, or (edges, 2), one pair a row.
            num_nodes: number of nodes.
            weight: (edges,) or None.
            layout: `"rows"` for (2, edges), `"pairs"` for (edges, 2); None tells them apart by the shape.

        Raises:
            DataError: the shape fits neither, or both (two edges) and no layout is given.
        """
        table = as_tensor(edges, "edges")
        if table.numel() == 0:
            table = table.reshape(2, 0).long()
            layout = "rows"
        if table.dim() != 2 or 2 not in table.shape:
            raise DataError(f"an edge list of shape {tuple(table.shape)}: it must be (2, edges) or (edges, 2)")
        if layout is None:
            if table.shape == (2, 2):
                raise DataError(
                    "a 2 × 2 edge list can be read in two ways: say layout='rows' (sources above targets) "
                    "or layout='pairs' (one edge a row)"
                )
            layout = "rows" if table.shape[0] == 2 else "pairs"
        if layout not in ("rows", "pairs"):
            raise DataError(f"layout {layout!r}: it is 'rows' or 'pairs'")
        if table.shape[0 if layout == "rows" else 1] != 2:
            raise DataError(f"an edge list of shape {tuple(table.shape)} has not the layout {layout!r}: transpose it")
        source, target = table if layout == "rows" else table.t()
        return cls.from_edges(source, target, num_nodes, weight)

    @property
    def num_nodes(self) -> int:
        """Number of nodes, with or without edges."""
        return self.pattern.num_rows

    @property
    def num_edges(self) -> int:
        """Number of directed edges; duplicates count."""
        return self.pattern.num_entries

    @property
    def source(self) -> Tensor:
        """(edges,) where each message comes from."""
        return self.pattern.column

    @property
    def target(self) -> Tensor:
        """(edges,) where each message goes, never decreasing."""
        return self.pattern.row

    @property
    def device(self) -> torch.device:
        """Where the indices are."""
        return self.pattern.column.device

    def edge_index(self) -> Tensor:
        """(2, edges) int64, sources above targets."""
        return torch.stack([self.source, self.target]).long()

    def values(self, dtype: torch.dtype) -> Tensor:
        """(edges,) weights in a dtype; ones if there are none."""
        if self.weight is None:
            return self.pattern.ones(dtype)
        if dtype not in self._values:
            self._values[dtype] = self.weight.to(dtype)
        return self._values[dtype]

    def transposed_values(self, dtype: torch.dtype) -> Tensor:
        """(edges,) weights in the transpose's order."""
        if self._mirrored:
            return self.values(dtype)
        if dtype not in self._transposed_values:
            self._transposed_values[dtype] = self.values(dtype).index_select(0, self.pattern.to_transposed)
        return self._transposed_values[dtype]

    def in_degree(self, weighted: bool = False) -> Tensor:
        """(nodes,) edges that arrive; weighted: the sum of the absolute weights."""
        if weighted and self.weight is not None:
            return degree_of(self.pattern, self.weight.abs(), self.weight.dtype)
        return degree_of(self.pattern, None, torch.get_default_dtype())

    def out_degree(self, weighted: bool = False) -> Tensor:
        """(nodes,) edges that leave; weighted: the sum of the absolute weights."""
        if weighted and self.weight is not None:
            weight = self.transposed_values(self.weight.dtype).abs()
            return degree_of(self.pattern.transposed, weight, weight.dtype)
        return degree_of(self.pattern.transposed, None, torch.get_default_dtype())

    @cached_property
    def loops(self) -> Tensor | None:
        """(edges,) bool, which edges are loops; None where none is."""
        if self.device.type == "cpu":
            # NumPy looks for one that is true five times faster
            there = self.source.numpy() == self.target.numpy()
            return torch.from_numpy(there) if there.any() else None
        found = self.source == self.target
        return found if bool(found.any()) else None

    @cached_property
    def looped_degree(self) -> Tensor:
        """(nodes,) D_ii = Σ_j |A + I|_ij in double precision, loops as in `with_self_loops`; of a part, that in the whole."""
        if self.whole is not None:
            return self.whole.degree
        precise, loops = precise_dtype(self.device), self.loops
        if self.weight is None and loops is not None:
            others = self.pattern.count - torch.bincount(self.target[loops], minlength=self.num_nodes)
            return others.to(precise) + 1.0
        looped = self if loops is None else self.with_self_loops()
        weight = None if looped.weight is None else looped.weight.to(precise).abs()
        return degree_of(looped.pattern, weight, precise) + float(looped is self)

    @cached_property
    def loop(self) -> Tensor | None:
        """(nodes,) the weight of the loop that `with_self_loops` keeps, NaN where there is none; None without loops; of a part, that in the whole."""
        if self.whole is not None:
            return self.whole.loop
        if self.loops is None:
            return None
        pattern, place = self.looped
        weight = self.values(precise_dtype(self.device))
        return torch.cat([weight, weight.new_full((1,), torch.nan)])[place[pattern.row == pattern.column]]

    @cached_property
    def expected(self) -> Adjacency:
        """The same edges for sums over them: one that was drawn counts 1 / share times, so that the expectation of a sum is that over all; else itself."""
        if self.whole is None or self.whole.share is None:
            return self
        weight = self.values(precise_dtype(self.device)) / self.whole.share
        return Adjacency(self.pattern, weight, self.order, replace(self.whole, share=None))

    @cached_property
    def cumulative(self) -> Tensor:
        """(edges + 1,) the sum of the weights of the edges before each, in double precision; none may be negative."""
        weight = self.values(torch.float64)
        negative = (weight < 0).nonzero()
        if negative.numel():
            edge = int(negative[0])
            raise DataError(
                f"edge {edge} has the negative weight {float(weight[edge])}: edges can be drawn in proportion to positive "
                "weights alone; draw them uniformly, or give the adjacency other weights"
            )
        return torch.cat([weight.new_zeros(1), weight.cumsum(0)])

    def with_weight(self, weight: Tensor | None) -> Adjacency:
        """The same edges with other weights (edges,), in this order; the structure is shared."""
        if weight is not None:
            weight = edge_weights(weight, self.source)
        return Adjacency(self.pattern, weight, self.order)

    def transpose(self) -> Adjacency:
        """Every edge turned round."""
        if "transpose" not in self._made:
            weight = None if self.weight is None else self.transposed_values(self.weight.dtype)
            self._made["transpose"] = Adjacency(self.pattern.transposed, weight)
        return self._made["transpose"]

    def keep(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make()` returns, made once under this name: for what is dear and a function of the edges alone."""
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def with_self_loops(self, weight: float = 1.0) -> Adjacency:
        """One loop on every node: where loops exist the last given is kept with its weight, others get `weight`; made once.

        That is PyTorch Geometric's `add_remaining_self_loops`, which its GCNConv uses. In a part of a graph a loop is the whole's, drawn or not.
        """
        name = f"self-loops {weight!r}"
        if name not in self._made:
            pattern, place = self.looped
            weights: Tensor | None = None
            if self.weight is not None or weight != 1.0:
                values = self.values(torch.get_default_dtype() if self.weight is None else self.weight.dtype)
                weights = torch.cat([values, values.new_full((1,), weight)]).index_select(0, place)
                if self.whole is not None and self.whole.loop is not None:
                    loop = self.whole.loop.to(values.dtype)
                    weights[pattern.row == pattern.column] = torch.where(loop.isnan(), weight, loop)
            self._made[name] = Adjacency(pattern, weights)
        return self._made[name]

    @cached_property
    def looped(self) -> tuple[Pattern, Tensor]:
        """The pattern of `with_self_loops`, and for each of its entries the edge here; `num_edges` for a loop that is new."""
        nodes = torch.arange(self.num_nodes, dtype=self.source.dtype, device=self.device)
        on_loops = nodes.new_full((self.num_nodes,), self.num_edges, dtype=torch.int64)
        loop, target, source, count, plain = self.loops, self.target, self.source, self.pattern.count, None
        if loop is not None:
            plain, own = (~loop).nonzero().squeeze(1), loop.nonzero().squeeze(1)
            node = source.index_select(0, own)
            last = torch.ones_like(node, dtype=torch.bool)
            last[:-1] = node[1:] != node[:-1]
            on_loops[node[last].long()] = own[last]
            target, source = target.index_select(0, plain), source.index_select(0, plain)
            count = torch.bincount(target, minlength=self.num_nodes)
        # what was in order stays so: an entry moves on by the loops of the rows before it, and by its own row's if that comes first
        entries = torch.arange(len(source), device=self.device)
        moved = entries + target + (source > target)
        before = starts(count.long())
        below = torch.bincount(target[source < target], minlength=self.num_nodes)
        of_loops = before[:-1] + nodes + below
        rowptr = before + torch.arange(self.num_nodes + 1, device=self.device)
        moved, size = torch.cat([moved, of_loops]), len(source) + self.num_nodes
        column = nodes.new_empty(size).index_copy_(0, moved, torch.cat([source, nodes]))
        place = moved.new_empty(size).index_copy_(0, moved, torch.cat([entries if plain is None else plain, on_loops]))
        index = index_dtype(self.num_nodes, size)
        return Pattern(rowptr.to(index), column.to(index), self.num_nodes).symmetric_as(self.pattern), place

    def kipf(self) -> Adjacency:
        """D^-1/2 (A + I) D^-1/2, with D_ii = Σ_j |A + I|_ij; made once.

        For weights that are not negative this is the renormalization trick itself (Kipf & Welling 2017, eq. 2 and section 2.2); with absolute
        values in D, as for signed Laplacians (Kunegis et al. 2010), negative weights keep the spectrum of a symmetric A in [-1, 1]
        instead of taking roots of negative degrees. Existing loops: `with_self_loops`. An empty row stays zero. In a part of a graph D is
        that of the whole, loops are the whole's, and edges are `expected`, so that the expectation is the whole's row.
        """
        if "kipf" not in self._made:
            looped = self.expected.with_self_loops()
            degree = None if self.whole is None else self.whole.degree
            weight = normalized(looped.pattern, looped.weight, -0.5, -0.5, degree)
            made = self._made["kipf"] = Adjacency(looped.pattern, weight)
            made._mirrored = looped.pattern.known_symmetric and looped.weight is None
        return self._made["kipf"]

    def symmetric(self) -> Adjacency:
        """D^-1/2 A D^-1/2 without added loops, D_ii = Σ_j |A_ij|; made once. An empty row stays zero."""
        if "symmetric" not in self._made:
            self._made["symmetric"] = self._normalized(-0.5, -0.5)
        return self._made["symmetric"]

    def random_walk(self) -> Adjacency:
        """D^-1 A, D_ii = Σ_j |A_ij|: each node takes the mean of what arrives; made once. An empty row stays zero."""
        if "random_walk" not in self._made:
            self._made["random_walk"] = self._normalized(-1.0, 0.0)
        return self._made["random_walk"]

    def enhanced(self, strength: float) -> Adjacency:
        """Ã + λ diag(Ã), with Ã = (D + I)⁻¹ (A + I), D + I the degree with loops; made once for each λ.

        Args:
            strength: λ; 0 gives the random walk with loops, Ã itself.

        Source:
            Chiang et al. (2019), eq. 10 and 11. Existing loops: `with_self_loops`.
        """
        name = f"enhanced {strength!r}"
        if name not in self._made:
            looped = self.with_self_loops()
            weight = normalized(looped.pattern, looped.weight, -1.0, 0.0)
            loop = looped.source == looped.target
            self._made[name] = Adjacency(looped.pattern, torch.where(loop, weight * (1.0 + strength), weight))
        return self._made[name]

    def _normalized(self, left: float, right: float) -> Adjacency:
        made = Adjacency(self.pattern, normalized(self.pattern, self.weight, left, right), self.order)
        made._mirrored = left == right and self.pattern.known_symmetric and self.weight is None
        return made

    def to_dense(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """(nodes, nodes) A[receiver, source]; duplicates add. For small graphs and tests."""
        dense = torch.zeros(self.num_nodes, self.num_nodes, dtype=dtype, device=self.device)
        return dense.index_put_((self.target.long(), self.source.long()), self.values(dtype), accumulate=True)

    def map(self, function: Callable[[Tensor], Tensor]) -> Adjacency:
        """The same edges with each tensor passed through a function, e.g. to another device."""
        weight = None if self.weight is None else function(self.weight)
        whole = None if self.whole is None else self.whole.map(function)
        order = None if self.order is None else function(self.order)
        return Adjacency(self.pattern.map(function), weight, order, whole)

    def to(self, device: torch.device | str) -> Adjacency:
        """On another device; what was made lazily is made there anew."""
        return self if torch.device(device) == self.device else self.map(lambda tensor: tensor.to(device))

    def __repr__(self) -> str:
        return f"Adjacency(nodes={self.num_nodes}, edges={self.num_edges}, weighted={self.weight is not None})"
