"""To other libraries and back."""

from __future__ import annotations

import pytest
import torch

from renote.graph import (
    Adjacency,
    Field,
    Graph,
    from_edge_list,
    from_networkx,
    from_pyg,
    from_scipy,
    to_networkx,
    to_pyg,
    to_scipy,
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
    with pytest.raises(Exception, match="patient_index"):
        from_pyg(data)
    graph = from_pyg(data, kinds={"patient_index": "node"})
    assert graph.fields["patient_index"] == Field("node", graph["patient_index"])
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
