"""To other libraries and back."""

from __future__ import annotations

import pytest
import torch

from renote.errors import DataError
from renote.graph import (
    Adjacency,
    Field,
    Graph,
    batch,
    from_edge_list,
    from_networkx,
    from_pyg,
    from_scipy,
    spmm,
    to_networkx,
    to_pyg,
    to_scipy,
    unbatch,
)

GRAPH = Graph(
    torch.arange(8.0).view(4, 2),
    Adjacency.from_edges([0, 1, 3, 2], [1, 2, 0, 0], 4, torch.tensor([1.0, 2.0, 3.0, 4.0])),
)


def same(one: Graph, other: Graph) -> None:
    assert torch.equal(one.adjacency.to_dense(), other.adjacency.to_dense())
    assert torch.equal(one.x, other.x)  # type: ignore[arg-type]


def test_pytorch_geometric() -> None:
    pytest.importorskip("torch_geometric")
    data = to_pyg(GRAPH)
    assert data.num_nodes == 4
    same(from_pyg(data), GRAPH)


def test_pytorch_geometric_fields_need_a_kind() -> None:
    geometric = pytest.importorskip("torch_geometric.data")
    index = torch.tensor([[0, 1], [1, 0]])
    data = geometric.Data(x=torch.zeros(2, 1), edge_index=index, patient_index=torch.tensor([7, 8]))
    with pytest.raises(DataError, match="patient_index"):
        from_pyg(data)
    graph = from_pyg(data, kinds={"patient_index": "node"})
    assert graph.fields["patient_index"].kind == "node"
    assert graph["patient_index"].tolist() == [7, 8]


def test_networkx() -> None:
    pytest.importorskip("networkx")
    same(from_networkx(to_networkx(GRAPH), features="x", weight="weight"), GRAPH)
    plain = from_networkx(to_networkx(GRAPH)).adjacency
    assert torch.equal(plain.to_dense(), (GRAPH.adjacency.to_dense() != 0).double())


def test_scipy() -> None:
    same(from_scipy(to_scipy(GRAPH), GRAPH.x), GRAPH)
    assert to_scipy(GRAPH).toarray()[0, 1] == 1.0  # row is the source, as in scipy.sparse.csgraph


def test_edge_list() -> None:
    graph = from_edge_list([(0, 1), (1, 2), (2, 0)], num_nodes=4)
    assert graph.adjacency.edge_index().T.tolist() == [[2, 0], [0, 1], [1, 2]]
    assert graph.num_nodes == 4


def test_pytorch_geometric_batch_keeps_its_empty_last_graph() -> None:
    geometric = pytest.importorskip("torch_geometric.data")
    empty = Graph(torch.zeros(0, 2), Adjacency.from_edges([], [], 0, torch.zeros(0)))
    joined = batch([GRAPH, empty, GRAPH, empty])
    again = from_pyg(to_pyg(joined))
    same(again, joined)
    assert [part.num_nodes for part in unbatch(again)] == [4, 0, 4, 0]
    theirs = geometric.Batch.from_data_list([to_pyg(GRAPH), to_pyg(empty)])
    assert from_pyg(theirs).num_graphs == 2


def test_pytorch_geometric_number_of_graphs_is_never_guessed() -> None:
    geometric = pytest.importorskip("torch_geometric.data")
    data = geometric.Data(
        x=torch.zeros(2, 1), edge_index=torch.zeros(2, 0, dtype=torch.long), batch=torch.tensor([0, 1])
    )
    with pytest.raises(DataError, match="num_graphs"):
        from_pyg(data)
    assert from_pyg(data, num_graphs=3).num_graphs == 3


def test_pytorch_geometric_names_are_not_overwritten() -> None:
    pytest.importorskip("torch_geometric")
    with pytest.raises(DataError, match="'edge_index'"):
        to_pyg(Graph(None, GRAPH.adjacency, fields={"edge_index": Field("node", torch.zeros(4))}))


def test_edge_features_are_sorted_with_their_edges() -> None:
    geometric = pytest.importorskip("torch_geometric.data")
    ends = torch.tensor([[3, 0, 2, 1], [2, 1, 0, 0]])
    name = 10 * ends[0] + ends[1]
    data = geometric.Data(edge_index=ends, num_nodes=4, edge_attr=name[:, None].float(), edge_type=name, tag=name)
    for graph in (
        from_pyg(data, kinds={"tag": "edge"}),
        from_pyg(to_pyg(from_pyg(data, {"tag": "edge"})), {"tag": "edge"}),
    ):
        expected = 10 * graph.adjacency.source.long() + graph.adjacency.target
        assert graph.edge_features is not None
        assert torch.equal(graph.edge_features[:, 0].long(), expected)
        assert torch.equal(graph.relation, expected)  # type: ignore[arg-type]
        assert torch.equal(graph["tag"], expected)


def test_undirected_lists_go_both_ways() -> None:
    weight, tag = torch.tensor([2.0, 3.0]), torch.tensor([[5.0], [7.0]])
    graph = from_edge_list([(0, 1), (2, 2)], 3, None, weight, tag, layout="pairs", undirected=True)
    assert graph.adjacency.to_dense().tolist() == [[0, 2, 0], [2, 0, 0], [0, 0, 3]]
    assert graph.edge_features is not None
    assert graph.edge_features.flatten().tolist() == [5.0, 5.0, 7.0]


def test_networkx_undirected_named_and_empty() -> None:
    networkx = pytest.importorskip("networkx")
    plain = networkx.Graph()
    plain.add_edge("a", "b", length=2.0)
    plain.add_edge("b", "b", length=3.0)
    assert from_networkx(plain, weight="length").adjacency.to_dense().tolist() == [[0, 2], [2, 3]]
    with pytest.raises(DataError, match="'size'"):
        from_networkx(plain, features="size")
    with pytest.raises(DataError, match="'cost'"):
        from_networkx(plain, weight="cost")
    assert from_networkx(networkx.Graph(), features="x", weight="w").num_nodes == 0


def test_scipy_shares_no_memory_and_keeps_duplicates() -> None:
    import numpy
    from scipy.sparse import coo_array

    matrix = coo_array((numpy.array([1.0, 2.0]), (numpy.array([0, 0]), numpy.array([1, 1]))), shape=(2, 2))
    graph = from_scipy(matrix)
    matrix.data[:] = 9.0
    assert graph.adjacency.values(torch.float64).tolist() == [1.0, 2.0]
    plain = Graph(None, Adjacency.from_edges([0], [1], 2))
    to_scipy(plain).data[:] = 9.0
    assert to_scipy(plain).toarray().tolist() == [[0, 1], [0, 0]]
    assert spmm(plain.adjacency, torch.ones(2, 1).double()).tolist() == [[0.0], [1.0]]
    with pytest.raises(DataError, match="square"):
        from_scipy(coo_array((1, 4)))
