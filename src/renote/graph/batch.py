"""Joining graphs into a disjoint union, and taking it apart again."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from renote.errors import DataError
from renote.graph.adjacency import Adjacency
from renote.graph.graph import Field, Graph
from renote.graph.pattern import Pattern, index_dtype, repeated, starts
from renote.graph.sparse import SparseFeatures


def batch(graphs: Sequence[Graph]) -> Graph:
    """The disjoint union: node i of graph g becomes node i + (nodes of the graphs before g).

    Args:
        graphs: at least one; all with the same kinds of features and the same fields. Each may itself be a batch.

    Raises:
        DataError: no graph, or graphs that differ in what they hold; the message names the first that does.
    """
    if not graphs:
        raise DataError("no graphs to batch: their features would have no width")
    _check_alike(graphs)
    nodes = torch.tensor([0, *(graph.num_nodes for graph in graphs)]).cumsum(0).tolist()
    before = torch.tensor([0, *(graph.num_graphs for graph in graphs)]).cumsum(0).tolist()
    graph_of_node = torch.cat([_graph_of_node(graph) + first for graph, first in zip(graphs, before)])
    fields = {
        name: Field(item.kind, torch.cat([g[name] + first * (item.kind == "index") for g, first in zip(graphs, nodes)]))
        if item.kind == "index"
        else Field(item.kind, torch.cat([g[name] for g in graphs]))
        for name, item in graphs[0].fields.items()
    }
    return Graph(
        x=_join_features(graphs),
        adjacency=_join_adjacency([graph.adjacency for graph in graphs], nodes),
        edge_features=_join([graph.edge_features for graph in graphs]),
        relation=_join([graph.relation for graph in graphs]),
        graph_of_node=graph_of_node,
        num_graphs=before[-1],
        fields=fields,
    )


def unbatch(graph: Graph) -> list[Graph]:
    """The graphs of a batch, empty ones included: `unbatch(batch(graphs))` gives `graphs` back.

    Raises:
        DataError: a node index field whose rows are not in the order of the graphs, or name nodes of two graphs.
    """
    node_end = graph.members.rowptr.long()
    edge_end = graph.adjacency.pattern.rowptr.long()[node_end].tolist()
    nodes = node_end.tolist()
    graph_of_node = _graph_of_node(graph)
    ends = {"node": nodes, "edge": edge_end, "graph": list(range(graph.num_graphs + 1))}
    for name, item in graph.fields.items():
        if item.kind == "index":
            ends[name] = _index_ends(name, item.value, graph_of_node, graph.num_graphs)
    parts = []
    for number, (first, last) in enumerate(itertools.pairwise(nodes)):
        edges = slice(edge_end[number], edge_end[number + 1])
        fields = {}
        for name, item in graph.fields.items():
            end = ends[name if item.kind == "index" else item.kind]
            value = item.value[end[number] : end[number + 1]]
            fields[name] = Field(item.kind, value - first if item.kind == "index" else value)
        x = graph.x.rows(first, last) if isinstance(graph.x, SparseFeatures) else _cut(graph.x, slice(first, last))
        whole = graph.adjacency
        rowptr = whole.pattern.rowptr[first : last + 1] - edges.start
        pattern = Pattern(rowptr, whole.source[edges] - first, last - first)
        adjacency = Adjacency(pattern, _cut(whole.weight, edges))
        parts.append(Graph(x, adjacency, _cut(graph.edge_features, edges), _cut(graph.relation, edges), fields=fields))
    return parts


def pick(graph: Graph, numbers: Tensor) -> Graph:
    """Some graphs of a batch, in the order given, as a batch: `batch([unbatch(graph)[g] for g in numbers])` without a loop.

    Args:
        graph: the batch.
        numbers: (n,) int64 of graphs; one may be named again.

    Raises:
        DataError: there is no graph of a number; or a node index field that cannot be taken apart, as `unbatch`.
    """
    if numbers.numel() and not 0 <= int(numbers.min()) <= int(numbers.max()) < graph.num_graphs:
        raise DataError(
            f"graphs {numbers.tolist()} of a batch of {graph.num_graphs}: numbers go from 0 to that, less one"
        )
    members = graph.members
    count = members.count.index_select(0, numbers).long()
    node = members.entries_of(numbers)
    moved = starts(count)[:-1] - members.rowptr[:-1].index_select(0, numbers).long()
    whole = graph.adjacency
    pattern, edge = whole.pattern.select(node)
    column = pattern.column.long() + repeated(repeated(moved, count), pattern.count)
    picked = Pattern(pattern.rowptr, column.to(pattern.rowptr.dtype), len(node))
    picked.known_symmetric = whole.pattern.symmetric
    adjacency = Adjacency(picked, _cut(whole.weight, edge))
    rows = {"node": node, "edge": edge, "graph": numbers}
    fields = {}
    for name, item in graph.fields.items():
        if item.kind != "index":
            fields[name] = Field(item.kind, item.value[rows[item.kind]])
            continue
        ends = torch.tensor(_index_ends(name, item.value, _graph_of_node(graph), graph.num_graphs))
        owned = Pattern(ends, torch.arange(len(item.value)), len(item.value))
        by = repeated(moved, owned.count[numbers])
        value = item.value[owned.entries_of(numbers)]
        fields[name] = Field("index", value + by.view(-1, *[1] * (value.dim() - 1)))
    x = graph.x.select(node) if isinstance(graph.x, SparseFeatures) else _cut(graph.x, node)
    graph_of_node = repeated(torch.arange(len(numbers), device=count.device), count)
    edge_features, relation = _cut(graph.edge_features, edge), _cut(graph.relation, edge)
    return Graph.part(x, adjacency, edge_features, relation, graph_of_node, len(numbers), fields)


def _cut(tensor: Tensor | None, part: slice | Tensor) -> Tensor | None:
    return None if tensor is None else tensor[part]


def _graph_of_node(graph: Graph) -> Tensor:
    if graph.graph_of_node is not None:
        return graph.graph_of_node.long()
    return torch.zeros(graph.num_nodes, dtype=torch.long, device=graph.adjacency.device)


def _index_ends(name: str, value: Tensor, graph_of_node: Tensor, num_graphs: int) -> list[int]:
    owner = graph_of_node[value.reshape(value.shape[0], -1)] if value.numel() else value.new_zeros(0, 1)
    if bool((owner != owner[:, :1]).any()) or bool((owner[1:, 0] < owner[:-1, 0]).any()):
        raise DataError(f"the rows of {name} must each name nodes of one graph, graphs in order, to be taken apart")
    counts = torch.bincount(owner[:, 0], minlength=num_graphs)
    return [0, *counts.cumsum(0).tolist()]


def _check_alike(graphs: Sequence[Graph]) -> None:
    def held(graph: Graph) -> dict[str, object]:
        described: dict[str, object] = {
            "x": None if graph.x is None else (type(graph.x).__name__, tuple(graph.x.shape[1:]), graph.x.dtype),
            "edge_features": None if graph.edge_features is None else tuple(graph.edge_features.shape[1:]),
            "relation": graph.relation is not None,
            "edge weights": graph.adjacency.weight is not None,
        }
        return described | {f"field {name!r}": (item.kind, item.value.shape[1:]) for name, item in graph.fields.items()}

    first = held(graphs[0])
    for number, graph in enumerate(graphs):
        other = held(graph)
        for what in sorted({*first, *other}):
            if first.get(what) != other.get(what):
                raise DataError(
                    f"graph {number} cannot be batched with graph 0: {what} is {other.get(what)} there "
                    f"and {first.get(what)} here"
                )


def _join(tensors: Sequence[Tensor | None]) -> Tensor | None:
    there = [tensor for tensor in tensors if tensor is not None]
    return torch.cat(there) if there else None


def _join_features(graphs: Sequence[Graph]) -> Tensor | SparseFeatures | None:
    sparse = [graph.x for graph in graphs if isinstance(graph.x, SparseFeatures)]
    if sparse:
        return SparseFeatures.concatenate(sparse)
    return _join([graph.x for graph in graphs if isinstance(graph.x, Tensor)])


def _join_adjacency(parts: Sequence[Adjacency], nodes: Sequence[int]) -> Adjacency:
    # Each part is sorted by receiver and its nodes follow the last part's, so the union is sorted too.
    edges = torch.tensor([0, *(part.num_edges for part in parts)]).cumsum(0).tolist()
    index = index_dtype(nodes[-1], edges[-1])
    column = torch.cat([part.source.to(index) + first for part, first in zip(parts, nodes)])
    ends = [part.pattern.rowptr[1:].to(index) + first for part, first in zip(parts, edges)]
    rowptr = torch.cat([column.new_zeros(1), *ends])
    return Adjacency(Pattern(rowptr, column, nodes[-1]), _join([part.weight for part in parts]))
