"""Convolutions whose weights depend on an edge's relation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.segment import product
from renote.graph.sparse import SparseFeatures
from renote.graph.typed import TypedEdges


class RelationalConvolution(nn.Module):
    """y_i = W_0 x_i + Σ_r Σ_{j in N_r(i)} W_r x_j / |N_r(i)| + b; W_r alone, Σ_b a_rb V_b, or of blocks along the diagonal.

    A message W_r x_j is made once for each pair of a relation and a node that it leaves, and all are summed by one sparse product. A graph without
    features is read as x = I: then W_r's rows are looked up.

    Args:
        in_features: of x; the number of nodes where x is None.
        out_features: of y.
        relations: number R of them.
        bases: number B of matrices V_b that the relations share; 0 for none.
        blocks: number of blocks of each W_r; 0 for whole matrices.
        own: whether W_0 is there.
        bias: whether b is added.

    Shape:
        x: (nodes, in_features), dense or sparse, or None. edges: `graph.typed`, or an adjacency of one relation. Output: (nodes, out_features).

    Raises:
        UsageError: bases together with blocks, or blocks that do not divide the widths; edges of more relations.

    Source:
        Schlichtkrull et al. (2018), eq. 2 to 4, with c_ir = |N_r(i)|.

    Example:
        >>> import torch
        >>> from renote.graph import Adjacency, Graph, RelationalConvolution
        >>> graph = Graph(torch.ones(3, 4), Adjacency.from_edges([0, 1], [1, 2], num_nodes=3), relation=torch.tensor([1, 0]))
        >>> RelationalConvolution(4, 2, relations=2)(graph.x, graph.typed).shape
        torch.Size([3, 2])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        relations: int,
        bases: int = 0,
        blocks: int = 0,
        own: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if bases and blocks:
            raise UsageError(
                f"bases = {bases} and blocks = {blocks}: relations share matrices or have blocks, not both"
            )
        if blocks and (in_features % blocks or out_features % blocks):
            raise UsageError(f"blocks = {blocks} do not divide {in_features} and {out_features} features")
        self.in_features, self.out_features, self.relations = in_features, out_features, relations
        self.bases, self.blocks = bases, blocks
        form = (blocks, in_features // blocks, out_features // blocks) if blocks else (in_features, out_features)
        self.weight = nn.Parameter(torch.empty(bases or relations, *form))
        self.coefficients = nn.Parameter(torch.empty(relations, bases)) if bases else None
        self.own = nn.Parameter(torch.empty(in_features, out_features)) if own else None
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot's uniform draw, each matrix on its own."""
        for parameter in (self.weight, self.coefficients, self.own):
            if parameter is not None:
                bound = (6 / sum(parameter.shape[-2:])) ** 0.5
                nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor | SparseFeatures | None, edges: TypedEdges | Adjacency) -> Tensor:
        """The next features of each node."""
        if isinstance(edges, Adjacency):
            edges = TypedEdges.from_adjacency(edges)
        if edges.num_relations > self.relations:
            raise UsageError(
                f"the graph has {edges.num_relations} relations, and the convolution was made for {self.relations}"
            )
        if x is not None and x.shape[-1] != self.in_features:
            raise UsageError(f"x has {x.shape[-1]} features a node and the convolution takes {self.in_features}")
        messages = self._looked_up(edges) if x is None else self._messages(x, edges)
        values = edges.values_in(messages.dtype)
        transposed = edges.values_in(messages.dtype, True) if messages.requires_grad else None
        out = product(edges.pattern, values, messages, transposed)
        if self.own is not None:
            out = out + (self.own if x is None else x @ self.own)
        return out if self.bias is None else out + self.bias

    def matrices(self) -> Tensor:
        """W_r of every relation: (relations, in, out), or (relations, blocks, in / blocks, out / blocks)."""
        if self.coefficients is None:
            return self.weight
        return (self.coefficients @ self.weight.flatten(1)).view(self.relations, *self.weight.shape[1:])

    def _messages(self, x: Tensor | SparseFeatures, edges: TypedEdges) -> Tensor:
        # rows are gathered once and split: a gather or slice for each relation has a gradient of all rows each
        rows = x.select(edges.sender) if isinstance(x, SparseFeatures) else x.index_select(0, edges.sender)
        if self.blocks and isinstance(rows, SparseFeatures):
            rows = rows.to_dense()
        of_relations: Sequence[Tensor | SparseFeatures]
        if isinstance(rows, SparseFeatures):
            of_relations = [rows.rows(start, end) for start, end in pairwise(edges.bounds)]
        else:
            of_relations = torch.split(rows, [end - start for start, end in pairwise(edges.bounds)])
        parts = []
        for part, weight in zip(of_relations, self.matrices().unbind()):
            if self.blocks:
                assert isinstance(part, Tensor)
                split = part.view(len(part), self.blocks, self.in_features // self.blocks).transpose(0, 1)
                parts.append((split @ weight).transpose(0, 1).flatten(1))
            else:
                parts.append(part @ weight)
        return torch.cat(parts) if parts else self.weight.new_zeros(0, self.out_features)

    def _looked_up(self, edges: TypedEdges) -> Tensor:
        weight = self.matrices()
        if not self.blocks:
            return weight.flatten(0, 1).index_select(0, edges.relation * self.in_features + edges.sender)
        each = self.in_features // self.blocks
        block = edges.sender // each
        row = weight[edges.relation, block, edges.sender % each]
        out = row.new_zeros(len(row), self.blocks, row.shape[1])
        return out.scatter(1, block[:, None, None].expand(-1, 1, row.shape[1]), row[:, None]).flatten(1)

    def extra_repr(self) -> str:
        """Widths, relations, and how their matrices are decomposed."""
        how = f", bases={self.bases}" if self.bases else f", blocks={self.blocks}" if self.blocks else ""
        return f"{self.in_features}, {self.out_features}, relations={self.relations}{how}"
