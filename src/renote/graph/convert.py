"""To and from other libraries' graphs. One code path inside; conversions at the border.

None of them is imported before it is needed. A matrix entry [i, j] and an edge (i, j) always mean i → j there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from renote.errors import DataError
from renote.graph.adjacency import Adjacency
from renote.graph.graph import Field, Graph, Kind
from renote.graph.sparse import SparseFeatures

if TYPE_CHECKING:
    import networkx
    from scipy.sparse import coo_array

# Everything of a PyG graph that has a place in `Graph`, or that is made anew.
_PYG_KNOWN = frozenset({"x", "edge_index", "edge_attr", "edge_weight", "edge_type", "batch", "ptr", "num_nodes"})


def from_edge_list(
    edges: Tensor | Sequence[Sequence[int]],
    num_nodes: int,
    x: Tensor | SparseFeatures | None = None,
    weight: Tensor | None = None,
    edge_features: Tensor | None = None,
    layout: str | None = None,
    undirected: bool = False,
) -> Graph:
    """A graph from one table of edges.

    Args:
        edges: (2, edges) or (edges, 2), see `Adjacency.from_edge_list`.
        num_nodes: number of nodes.
        x: (nodes, features).
        weight: (edges,).
        edge_features: (edges, …) in the given order; they are sorted with the edges.
        layout: `"rows"` or `"pairs"`, where the shape does not tell.
        undirected: adds each edge's reverse (of a loop, none).
    """
    adjacency = Adjacency.from_edge_list(edges, num_nodes, weight, layout)
    features = _sorted(edge_features, adjacency)
    return Graph(x, *(_both_ways(adjacency, features) if undirected else (adjacency, features)))


def from_pyg(data: Any, kinds: Mapping[str, Kind] | None = None, num_graphs: int | None = None) -> Graph:
    """From a PyTorch Geometric `Data` or `Batch`.

    Args:
        data: its x, edge_index, edge_attr, edge_weight, edge_type and batch are taken as they are meant.
        kinds: for every other attribute what its rows belong to, e.g. `{"y": "graph"}`: their names do not tell.
        num_graphs: where data has a `batch` and is not a `Batch`, which knows it.

    Raises:
        DataError: an attribute that `kinds` does not mention, an edge_index that is not (2, edges), or a number of graphs that is not told.
    """
    kinds = dict(kinds or {})
    undeclared = sorted(set(data.keys()) - _PYG_KNOWN - set(kinds))
    if undeclared:
        example = dict.fromkeys(undeclared, "node")
        raise DataError(
            f"say what the rows of {', '.join(undeclared)} belong to (node, edge, graph, index): kinds={example}"
        )
    index = data.edge_index
    if index is None:
        index = torch.zeros(2, 0, dtype=torch.long)
    adjacency = Adjacency.from_edge_list(
        index, int(data.num_nodes), data.edge_weight if "edge_weight" in data else None, "rows"
    )
    graph_of_node = data.batch if "batch" in data else None
    if graph_of_node is None:
        num_graphs = 1
    elif num_graphs is None:
        num_graphs = getattr(data, "num_graphs", None)
        if num_graphs is None:
            raise DataError("data has a batch and no num_graphs, and the last graphs may be empty: give num_graphs")
    fields = {}
    for name, kind in kinds.items():
        value: Tensor = data[name]
        fields[name] = Field(kind, _sorted(value, adjacency) if kind == "edge" else value)  # type: ignore[arg-type]
    return Graph(
        x=data.x if "x" in data else None,
        adjacency=adjacency,
        edge_features=_sorted(data.edge_attr if "edge_attr" in data else None, adjacency),
        relation=_sorted(data.edge_type if "edge_type" in data else None, adjacency),
        graph_of_node=graph_of_node,
        num_graphs=num_graphs,
        fields=fields,
    )


def to_pyg(graph: Graph) -> Any:
    """A PyTorch Geometric `Data`, or a `Batch` for several graphs; edges in the adjacency's order.

    Raises:
        DataError: a field has a name that means something else there.
    """
    from torch_geometric.data import Batch, Data

    taken = sorted(_PYG_KNOWN & set(graph.fields))
    if taken:
        raise DataError(f"the field {taken[0]!r} has a name that PyTorch Geometric uses itself: rename it first")

    items: dict[str, Any] = {"edge_index": graph.adjacency.edge_index(), "num_nodes": graph.num_nodes}
    given = {
        "x": graph.x.to_dense() if isinstance(graph.x, SparseFeatures) else graph.x,
        "edge_attr": graph.edge_features,
        "edge_weight": graph.adjacency.weight,
        "edge_type": graph.relation,
    }
    items |= {name: value for name, value in given.items() if value is not None}
    items |= {name: item.value for name, item in graph.fields.items()}
    if graph.graph_of_node is None:
        return Data(**items)
    out = Batch(batch=graph.graph_of_node, ptr=graph.members.rowptr.long(), **items)
    out._num_graphs = graph.num_graphs
    return out


def from_networkx(
    source: networkx.Graph[Any],
    features: str | None = None,
    weight: str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Graph:
    """From NetworkX; nodes are numbered in its order, an undirected edge becomes one each way.

    Args:
        source: any of its four graph classes.
        features: node attribute that holds a list of numbers.
        weight: edge attribute that holds the weight.
        dtype: of features and weights.

    Raises:
        DataError: a node or edge lacks the attribute.
    """
    number = {node: place for place, node in enumerate(source)}
    edges = list(source.edges(data=True))
    ends = torch.tensor([[number[i] for i, _, _ in edges], [number[j] for _, j, _ in edges]], dtype=torch.long)
    weights = None
    if weight is not None:
        lacking = next(((i, j) for i, j, data in edges if weight not in data), None)
        if lacking is not None:
            raise DataError(f"the edge {lacking} has no attribute {weight!r}")
        weights = torch.tensor([data[weight] for _, _, data in edges], dtype=dtype)
    adjacency = Adjacency.from_edges(ends[0], ends[1], len(number), weights)
    if not source.is_directed():
        adjacency, _ = _both_ways(adjacency, None)
    x = None
    if features is not None:
        missing = next((node for node, data in source.nodes(data=True) if features not in data), None)
        if missing is not None:
            raise DataError(f"the node {missing!r} has no attribute {features!r}")
        x = torch.tensor([data[features] for _, data in source.nodes(data=True)], dtype=dtype)
        x = x if len(number) else x.reshape(0, 0)
    return Graph(x, adjacency)


def to_networkx(graph: Graph, features: str = "x", weight: str = "weight") -> networkx.MultiDiGraph[int]:
    """A NetworkX `MultiDiGraph` (duplicate edges stay) on the nodes 0 … n - 1, features and weights as attributes.

    Edge features, relation types, fields and the bounds between graphs are left out.
    """
    import networkx

    out: networkx.MultiDiGraph[int] = networkx.MultiDiGraph()
    x = graph.x.to_dense() if isinstance(graph.x, SparseFeatures) else graph.x
    rows: list[Any] = [] if x is None else x.tolist()
    out.add_nodes_from(
        range(graph.num_nodes) if x is None else ((node, {features: row}) for node, row in enumerate(rows))
    )
    source, target = graph.adjacency.source.tolist(), graph.adjacency.target.tolist()
    if graph.adjacency.weight is None:
        out.add_edges_from(zip(source, target))
    else:
        weights = graph.adjacency.weight.tolist()
        out.add_edges_from((i, j, {weight: w}) for i, j, w in zip(source, target, weights))
    return out


def from_scipy(matrix: Any, x: Tensor | SparseFeatures | None = None, weighted: bool = True) -> Graph:
    """From a SciPy sparse matrix, whose entry [i, j] is the edge i → j, as in `scipy.sparse.csgraph`.

    Args:
        matrix: (nodes, nodes); duplicate entries of a COO matrix stay separate edges.
        x: (nodes, features).
        weighted: whether the values are the weights; if not, only where they are counts.

    Raises:
        DataError: the matrix is not square.
    """
    if matrix.shape[0] != matrix.shape[1]:
        raise DataError(f"a matrix of shape {tuple(matrix.shape)}: an adjacency is square")
    entries = matrix.tocoo()
    source, target = torch.as_tensor(entries.row).long(), torch.as_tensor(entries.col).long()
    weight = None
    if weighted:
        # a copy: the matrix stays its owner's to change
        weight = torch.as_tensor(entries.data).clone()
        weight = weight if weight.is_floating_point() else weight.float()
    return Graph(x, Adjacency.from_edges(source, target, matrix.shape[0], weight))


def to_scipy(graph: Graph) -> coo_array[Any]:
    """A SciPy COO array with entry [i, j] for the edge i → j; ones if there are no weights. It shares no memory with the graph."""
    from scipy.sparse import coo_array

    adjacency = graph.adjacency
    dtype = torch.get_default_dtype() if adjacency.weight is None else adjacency.weight.dtype
    index = adjacency.edge_index().cpu().numpy()
    entries = (adjacency.values(dtype).cpu().numpy(), (index[0], index[1]))
    return coo_array(entries, shape=(graph.num_nodes,) * 2, copy=True)


def _sorted(values: Tensor | None, adjacency: Adjacency) -> Tensor | None:
    if values is None or adjacency.order is None:
        return values
    if values.shape[:1] != adjacency.order.shape:
        raise DataError(
            f"edge features of shape {tuple(values.shape)} for {adjacency.num_edges} edges: give one row each"
        )
    return values.index_select(0, adjacency.order)


def _both_ways(adjacency: Adjacency, features: Tensor | None) -> tuple[Adjacency, Tensor | None]:
    source, target = adjacency.edge_index()
    back = (source != target).nonzero().squeeze(1)
    ends = torch.cat([source, target[back]]), torch.cat([target, source[back]])
    weight = None if adjacency.weight is None else torch.cat([adjacency.weight, adjacency.weight[back]])
    both = Adjacency.from_edges(*ends, adjacency.num_nodes, weight)
    return both, _sorted(None if features is None else torch.cat([features, features[back]]), both)
