"""Graphs and molecules as rows of types, and back."""

import pytest
import torch

from renote import data
from renote.data import GraphData, GraphForm
from renote.errors import DataError, UsageError
from renote.graph import Adjacency, Graph, matrices

SMILES = ["CCO", "c1ccccc1", "CC(=O)[O-]", "C#N", "C[NH3+]", "O=c1cc[nH]cc1", "C1CC1F"]


def table(tmp_path, smiles):
    path = tmp_path / "own.csv"
    path.write_text("smiles\n" + "\n".join(smiles) + "\n")
    return f"molecules:{path}"


@pytest.mark.parametrize("kekulize", [False, True])
def test_molecules_there_and_back(tmp_path, kekulize):
    chem = pytest.importorskip("rdkit.Chem")
    loaded = data.load(table(tmp_path, [*SMILES, "CC.O", "C(C"]), kekulize=kekulize)
    found = data.rows_of(loaded)
    form = found.graphs
    assert form.molecules
    assert form.nodes == 7
    assert set(form.node_types) == {"C", "O", "N", "O-", "N+", "F"}
    assert form.node_types[0] == "C"
    assert found.levels == form.absent + 1 == 7
    every = torch.cat([found.train, found.test])
    canonical = {chem.MolToSmiles(chem.MolFromSmiles(text)) for text in SMILES}
    assert set(data.row_smiles(every, form)) == canonical  # the one of two pieces is left out
    again = data.smiles_rows(SMILES, form)
    assert set(data.row_smiles(again, form)) == canonical
    assert torch.equal(found.raw(found.clean(every)), every)


def test_rows_that_are_no_molecules():
    pytest.importorskip("rdkit")
    form = GraphForm(3, ("C", "F"), ("none", "single", "double", "triple"), molecules=True)
    rows = torch.tensor([[1, 1, 4, 2, 4, 4], [4, 4, 4, 4, 4, 4], [0, 0, 4, 3, 4, 4], [0, 1, 4, 0, 4, 4]])
    assert data.row_smiles(rows, form) == [None, None, "C#C", "C.F"]


def test_molecules_with_an_unknown_atom():
    pytest.importorskip("rdkit")
    form = GraphForm(3, ("C", "O"), ("none", "single", "double", "triple"), molecules=True)
    with pytest.raises(DataError, match=r"molecule 2, 'CCN': its atom N is not in atom_types"):
        data.smiles_rows(["CCO", "CCN"], form)
    with pytest.raises(DataError, match="molecule 1, 'C1': "):
        data.smiles_rows(["C1"], form)
    with pytest.raises(DataError, match="4 nodes: here they have 1 to 3"):
        data.smiles_rows(["CCCC"], form)
    with pytest.raises(UsageError, match="no molecules"):
        data.row_smiles(torch.zeros(1, 6), GraphForm(3, ("node",), ("none", "edge")))


def graph_data(source, target, size, x=None, relation=None):
    count = int(sum(size))
    graphs = Graph(
        torch.zeros(count, 0) if x is None else x,
        Adjacency.from_edges(torch.tensor(source).long(), torch.tensor(target).long(), count),
        relation=relation,
        graph_of_node=torch.arange(len(size)).repeat_interleave(torch.tensor(size)),
        num_graphs=len(size),
    )
    nothing = torch.empty(0, dtype=torch.long)
    card = data.Card("own", "own", "graphs", len(size), (0,), (), "", "")
    labels = torch.full((len(size),), -1)
    return GraphData("own", card, graphs, labels, nothing, nothing, nothing, ())


def test_own_graphs():
    found = data.rows_of(graph_data([0, 1, 1, 2, 3, 4], [1, 0, 2, 1, 4, 3], [3, 2]))
    assert found.graphs == GraphForm(3, ("node",), ("none", "edge"))
    rows = found.train[found.train[:, 2].argsort()]
    types, edges = matrices(rows.long())
    assert types.tolist() == [[0, 0, 0], [0, 0, 2]]
    assert edges[0].tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    typed = data.rows_of(graph_data([0, 1], [1, 0], [2], torch.eye(2)))
    assert typed.graphs.node_types == ("type 0", "type 1")
    assert typed.train.tolist() == [[0, 1, 1]]
    with pytest.raises(DataError, match="directed edges"):
        data.rows_of(graph_data([0], [1], [2]))
    with pytest.raises(DataError, match="101 nodes: here they have 1 to 100"):
        data.rows_of(graph_data([], [], [101]))


@pytest.mark.parametrize("name", ["small-communities", "small-planar"])
def test_drawn_graphs(name):
    networkx = pytest.importorskip("networkx")
    loaded = data.load(name, graphs=30, least=6, most=9)
    assert loaded.train.shape == (24, 45)
    assert torch.equal(loaded.train, data.load(name, graphs=30, least=6, most=9).train)
    types, edges = matrices(loaded.train.long())
    for kind, matrix in zip(types, edges):
        size = int((kind == 0).sum())
        assert 6 <= size <= 9
        assert (kind[size:] == 2).all()
        graph = networkx.from_numpy_array((matrix[:size, :size] == 1).numpy())
        if name == "small-planar":
            assert networkx.check_planarity(graph)[0]
            assert networkx.is_connected(graph)
        else:
            half = size // 2
            between = sum(a < half <= b for a, b in graph.edges)
            assert 1 <= between < graph.number_of_edges() - between
    with pytest.raises(DataError, match="least 3"):
        data.load(name, least=3)


def test_forms_that_are_refused():
    with pytest.raises(DataError, match="at least one node"):
        GraphForm(3, (), ("none", "edge"))
    with pytest.raises(DataError, match="beside none"):
        GraphForm(3, ("node",), ("none",))


def test_types_of_graphs_that_are_no_molecules():
    form = GraphForm(4, ("type 0", "type 1"), ("none", "edge 0", "edge 1"))
    small = graph_data([0, 1], [1, 0], [2], torch.eye(2), torch.tensor([1, 1]))
    rows = data.rows_of(small, form)
    assert rows.graphs == form
    assert rows.train.tolist() == [[0, 1, 3, 3, 2, *[3] * 5]]
    for other, message in (
        (graph_data([0, 1], [1, 0], [2]), "nodes of the types node, where type 0, type 1 are asked for"),
        (graph_data([0, 1], [1, 0], [2], torch.eye(2), torch.tensor([2, 2])), "3 types of edges, where 2"),
        (graph_data([], [], [5], torch.eye(2)[[0, 1, 0, 0, 0]]), "5 nodes: here they have 1 to 4"),
    ):
        with pytest.raises(DataError, match=message):
            data.rows_of(other, form)
    with pytest.raises(DataError, match="no molecules, where molecules are asked for"):
        data.rows_of(small, GraphForm(4, ("C",), ("none", "single", "double", "triple"), molecules=True))


def test_own_types_of_atoms_are_told_by_their_names(tmp_path):
    pytest.importorskip("rdkit")
    loaded = data.load(table(tmp_path, ["CCO", "CO"]), kekulize=True, atom_types="O,C")
    found = data.rows_of(loaded)
    assert found.graphs.node_types == ("C", "O")
    assert set(data.row_smiles(torch.cat([found.train, found.test]), found.graphs)) == {"CCO", "CO"}
