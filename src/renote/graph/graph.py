"""One graph, or many as a disjoint union.

After jraph's GraphsTuple and PyTorch Geometric's Batch: many graphs are one graph whose parts share no edge, so every layer works on both
alike. Fields declare what they belong to, and are batched by that, never by what their name looks like.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor

from renote.errors import DataError, unknown
from renote.graph.adjacency import Adjacency
from renote.graph.given import check_tensor
from renote.graph.pattern import Pattern
from renote.graph.sparse import SparseFeatures
from renote.graph.typed import TypedEdges

Kind = Literal["node", "edge", "graph", "index"]


@dataclass(frozen=True, eq=False)
class Field:
    """A tensor and what its rows belong to.

    Args:
        kind: `"node"`, `"edge"` (in the adjacency's order) or `"graph"`: one row each. `"index"`: any number of rows, whose entries are node
            numbers; they alone are shifted when graphs are joined. A row may name nodes of one graph only.
        value: (rows, …).
    """

    kind: Kind
    value: Tensor

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise unknown("kind of field", self.kind, get_args(Kind))
        check_tensor("value", self.value)
        if self.value.dim() == 0:
            raise DataError(f"a field of kind {self.kind!r} holds a single number: give it rows, e.g. value.view(1)")


@dataclass(frozen=True, eq=False)
class Graph:
    """Node features, edges, and which graph each node is of.

    Args:
        x: (nodes, features), dense or sparse; None if there are none.
        adjacency: the edges.
        edge_features: (edges, …) in the adjacency's order.
        relation: (edges,) int64, the type of each edge.
        graph_of_node: (nodes,) int64, never decreasing; None if all nodes are of one graph.
        num_graphs: explicit, because the last graphs may be empty.
        fields: any further tensors by name, each with its kind; read as `graph["name"]`.

    Raises:
        DataError: what is no tensor, shapes that do not fit, features that are not finite, an edge between two graphs; the message names the first.

    Example:
        >>> import torch
        >>> from renote.graph import Adjacency, Graph, batch
        >>> triangle = Graph(torch.ones(3, 2), Adjacency.from_edges([0, 1, 2], [1, 2, 0], num_nodes=3))
        >>> batch([triangle, triangle]).graph_of_node.tolist()
        [0, 0, 0, 1, 1, 1]
    """

    x: Tensor | SparseFeatures | None
    adjacency: Adjacency
    edge_features: Tensor | None = None
    relation: Tensor | None = None
    graph_of_node: Tensor | None = None
    num_graphs: int = 1
    fields: Mapping[str, Field] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.adjacency, Adjacency):
            raise DataError(
                f"adjacency is of the type {type(self.adjacency).__name__}: make one by Adjacency.from_edges(source, target, num_nodes)"
            )
        for name in ("x", "edge_features", "relation", "graph_of_node"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, SparseFeatures):
                check_tensor(name, value)
        if self.x is not None:
            _check_rows("x", self.x.shape, self.num_nodes, "nodes")
            self._check_finite()
        if self.edge_features is not None:
            _check_rows("edge_features", self.edge_features.shape, self.num_edges, "edges")
            _check_finite_rows("edge", self.edge_features)
        if self.relation is not None:
            _check_rows("relation", self.relation.shape, self.num_edges, "edges")
            _check_integers("relation", self.relation)
            if self.num_edges and int(self.relation.min()) < 0:
                raise DataError(f"relation holds {int(self.relation.min())}: relations are numbered from 0")
        self._check_graphs()
        rows = {"node": self.num_nodes, "edge": self.num_edges, "graph": self.num_graphs}
        for name, item in self.fields.items():
            if item.kind != "index":
                _check_rows(name, item.value.shape, rows[item.kind], f"{item.kind}s")
                continue
            _check_integers(name, item.value)
            outside = (item.value < 0) | (item.value >= self.num_nodes)
            if bool(outside.any()):
                wrong = int(item.value[outside][0])
                raise DataError(
                    f"{name} names the node {wrong}: there are {self.num_nodes}, from 0 to {self.num_nodes - 1}"
                )

    @property
    def num_nodes(self) -> int:
        """Number of nodes of all graphs."""
        return self.adjacency.num_nodes

    @property
    def num_edges(self) -> int:
        """Number of directed edges of all graphs."""
        return self.adjacency.num_edges

    @property
    def num_features(self) -> int:
        """Features a node; 0 if there are none."""
        return 0 if self.x is None else self.x.shape[1]

    @cached_property
    def members(self) -> Pattern:
        """Graphs × nodes: what a readout reduces over, as in `segment_mean(x, graph.members)`."""
        device, graph_of_node = self.adjacency.device, self.graph_of_node
        if graph_of_node is None:
            return Pattern.from_ends(torch.tensor([0, *[self.num_nodes] * self.num_graphs], device=device))
        numbers = torch.arange(self.num_graphs + 1, dtype=graph_of_node.dtype, device=device)
        return Pattern.from_ends(torch.searchsorted(graph_of_node, numbers))

    @cached_property
    def relations(self) -> tuple[Adjacency, ...]:
        """The edges of each relation, 0 to the largest number that is there; all edges together if they have none."""
        if self.relation is None:
            return (self.adjacency,)
        source, target, weight = self.adjacency.source, self.adjacency.target, self.adjacency.weight
        chosen = [(self.relation == number).nonzero().squeeze(1) for number in range(self.num_relations)]
        return tuple(
            Adjacency.from_edges(
                source[edges], target[edges], self.num_nodes, None if weight is None else weight[edges]
            )
            for edges in chosen
        )

    @cached_property
    def typed(self) -> TypedEdges:
        """All relations' edges as one sparse matrix, for `RelationalConvolution`."""
        return TypedEdges.from_adjacency(self.adjacency, self.relation, self.num_relations)

    @property
    def num_relations(self) -> int:
        """The largest number of a relation, and one; 1 if edges have none."""
        if self.relation is None:
            return 1
        return int(self.relation.max()) + 1 if self.num_edges else 0

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.fields:
            raise unknown("field", name, self.fields)
        return self.fields[name].value

    def with_x(self, x: Tensor | SparseFeatures | None, finite: bool = False) -> Graph:
        """The same graph with other node features, and with all that was made of its edges; they are looked at unless they are known to be `finite`."""
        if x is not None:
            if not isinstance(x, SparseFeatures):
                check_tensor("x", x)
            _check_rows("x", x.shape, self.num_nodes, "nodes")
        out = copy.copy(self)
        object.__setattr__(out, "x", x)
        if not finite:
            out._check_finite()
        return out

    @classmethod
    def part(
        cls,
        x: Tensor | SparseFeatures | None,
        adjacency: Adjacency,
        edge_features: Tensor | None,
        relation: Tensor | None,
        graph_of_node: Tensor | None,
        num_graphs: int,
        fields: Mapping[str, Field],
    ) -> Graph:
        """A graph of what was taken from one that was checked, without checking it again; arguments as the class's."""
        out = object.__new__(cls)
        out.__dict__.update(
            x=x,
            adjacency=adjacency,
            edge_features=edge_features,
            relation=relation,
            graph_of_node=graph_of_node,
            num_graphs=num_graphs,
            fields=fields,
        )
        return out

    def with_adjacency(self, adjacency: Adjacency) -> Graph:
        """The same nodes with other edges; what belongs to edges (features, relations, fields of that kind) is left behind."""
        fields = {name: item for name, item in self.fields.items() if item.kind != "edge"}
        return Graph(self.x, adjacency, None, None, self.graph_of_node, self.num_graphs, fields)

    def map(self, function: Callable[[Tensor], Tensor]) -> Graph:
        """The same graph with each tensor passed through a function, e.g. to another device."""

        return self._mapped(function, self.adjacency.map(function))

    def to(self, device: torch.device | str) -> Graph:
        """On another device; an adjacency that is there already stays, with what was made of it."""
        return self._mapped(lambda tensor: tensor.to(device), self.adjacency.to(device))

    def _mapped(self, function: Callable[[Tensor], Tensor], adjacency: Adjacency) -> Graph:
        def optional(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else function(tensor)

        x = self.x.map(function) if isinstance(self.x, SparseFeatures) else optional(self.x)
        fields = {name: Field(item.kind, function(item.value)) for name, item in self.fields.items()}
        ends = (optional(self.edge_features), optional(self.relation), optional(self.graph_of_node))
        return Graph(x, adjacency, *ends, self.num_graphs, fields)

    def _check_finite(self) -> None:
        if isinstance(self.x, SparseFeatures):
            wrong = ~torch.isfinite(self.x.values)
            if bool(wrong.any()):
                node = int(self.x.pattern.row[wrong.nonzero()[0, 0]])
                raise DataError(f"features of node {node} are not finite: replace NaN and infinity first")
        elif self.x is not None:
            _check_finite_rows("node", self.x)

    def _check_graphs(self) -> None:
        if self.num_graphs < 0:
            raise DataError(f"num_graphs is {self.num_graphs}: it must be 0 or more")
        graph_of_node = self.graph_of_node
        if graph_of_node is None:
            if self.num_graphs != 1 and self.num_nodes:
                raise DataError(
                    f"num_graphs is {self.num_graphs}: then graph_of_node must say which node is in which graph"
                )
            return
        _check_rows("graph_of_node", graph_of_node.shape, self.num_nodes, "nodes")
        _check_integers("graph_of_node", graph_of_node)
        if not self.num_nodes:
            return
        if bool((graph_of_node[1:] < graph_of_node[:-1]).any()):
            raise DataError("graph_of_node must never decrease: put the nodes of a graph together, graphs in order")
        if int(graph_of_node[0]) < 0 or int(graph_of_node[-1]) >= self.num_graphs:
            wrong = int(graph_of_node[0]) if int(graph_of_node[0]) < 0 else int(graph_of_node[-1])
            raise DataError(f"graph_of_node names the graph {wrong}: num_graphs is {self.num_graphs}")
        source, target = self.adjacency.source, self.adjacency.target
        crossing = graph_of_node.index_select(0, source) != graph_of_node.index_select(0, target)
        if bool(crossing.any()):
            edge = int(crossing.nonzero()[0])
            raise DataError(f"the edge {int(source[edge])} -> {int(target[edge])} joins two graphs of the batch")


def _check_rows(name: str, shape: Sequence[int], rows: int, what: str) -> None:
    if len(shape) == 0 or shape[0] != rows:
        raise DataError(f"{name} has shape {tuple(shape)} and there are {rows} {what}: give one row each")
    if name == "x" and len(shape) < 2:
        raise DataError(f"x has shape {tuple(shape)}: it must be (nodes, features)")


def _check_integers(name: str, value: Tensor) -> None:
    if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
        raise DataError(f"{name} is of {value.dtype}: it must hold integers")


def _check_finite_rows(what: str, value: Tensor) -> None:
    # a sum is finite only if all that is in it is: one pass, and no mask
    if value.is_floating_point() and bool(value.detach().sum().isfinite()):
        return
    wrong = ~torch.isfinite(value)
    if bool(wrong.any()):
        raise DataError(
            f"features of {what} {int(wrong.nonzero()[0, 0])} are not finite: replace NaN and infinity first"
        )
