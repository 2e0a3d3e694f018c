"""Whole graphs and molecules as samples to generate: rows of the types of nodes and pairs, and rows as SMILES again.

Of molecules bonds are single, double and triple (Kekulé), a node's type is its element with its charge, and hydrogens follow from valence. What a row cannot tell
is lost: left and right, isotopes, radicals. Graphs of several pieces are left out of molecules.
"""

from __future__ import annotations

import dataclasses
import logging

import torch
from torch import Tensor

from renote.data.chemistry import charge_text
from renote.data.form import GraphForm
from renote.data.molecule_sets import MoleculeData
from renote.data.molecules import (
    ATOM_TYPES,
    BOND_TYPES,
    FEATURES_BESIDE_TYPE,
    atom_types_of,
    read_smiles,
    smiles_of,
    to_graphs,
)
from renote.data.types import GraphData, SampleData
from renote.errors import DataError, UsageError
from renote.graph import Graph
from renote.graph.row import node_pairs, pair_table, sites_of, sites_there

_log = logging.getLogger("renote")
MOST_NODES = 100
HELD_OUT = 10


def rows_of(data: GraphData | SampleData, form: GraphForm | None = None) -> SampleData:
    """The data set as samples (n, sites); one of samples is returned as it is.

    Training and validation graphs are trained on; without a split, every tenth of a fixed order is held out.

    Args:
        data: molecules, or graphs with or without types of nodes (unit vectors) and of edges (relations).
        form: of other graphs, whose types and size are taken; by default those that occur.

    Raises:
        DataError: a graph has more nodes than pairs can be told of, or directed edges; an atom has no type; the graphs are of another form than `form`, or larger.
    """
    if isinstance(data, SampleData):
        return data
    keep = torch.arange(data.num_graphs)
    if isinstance(data, MoleculeData):
        keep = torch.tensor([k for k, text in enumerate(data.smiles) if "." not in text], dtype=torch.long)
        if len(keep) < data.num_graphs:
            _log.warning("%s: %d molecules of several pieces left out", data.name, data.num_graphs - len(keep))
        if form is None:
            graphs, names, kind = _atoms(data)
            row, form = _rows(graphs, kind, names, BOND_TYPES[:3], data.name, True)
        else:
            found = smiles_rows([data.smiles[k] for k in keep.tolist()], form, data.name)
            row = found.new_full((data.num_graphs, found.shape[1]), form.absent).index_copy(0, keep, found)
    else:
        (names, kind), edges = _types(data.graphs), _edges(data.graphs)
        if form is not None:
            _refuse_others(data.name, names, edges, form)
            edges = form.edge_types[1:]
        row, form = _rows(data.graphs, kind, names, edges, data.name, False, 0 if form is None else form.nodes)
    train, test = torch.cat([data.train, data.validation]), data.test
    if not len(train):
        order = torch.randperm(data.num_graphs, generator=torch.Generator().manual_seed(0))
        held = data.num_graphs // HELD_OUT
        train, test = order[held:], order[:held]
    train, test = (part[torch.isin(part, keep)] for part in (train, test))
    card = dataclasses.replace(
        data.card, kind="samples", shape=(row.shape[1],), classes=(), counts={"train": len(train), "test": len(test)}
    )
    ends = (0.0, float(form.absent))
    return SampleData(data.name, card, row[train], None, row[test], None, range=ends, graphs=form)


def row_smiles(rows: Tensor, form: GraphForm) -> list[str | None]:
    """Rows → canonical SMILES; None where no molecule can be: an atom has more bonds than it can, or nothing is there.

    Args:
        rows: (n, sites) types.
        form: what they mean.

    Raises:
        UsageError: the graphs are no molecules.
    """
    if not form.molecules:
        raise UsageError("these graphs are no molecules: they have no SMILES")
    i, j = (end.tolist() for end in node_pairs(form.nodes))
    found = []
    for row in rows.tolist():
        atoms = [kind for kind in row[: form.nodes] if kind != form.absent]
        bonds = {(i[k], j[k]): kind - 1 for k, kind in enumerate(row[form.nodes :]) if 0 < kind < len(form.edge_types)}
        found.append(smiles_of(atoms, bonds, form.node_types))
    return found


def smiles_rows(smiles: list[str], form: GraphForm, what: str = "the list") -> Tensor:
    """Molecules as rows of a form that is there already.

    Args:
        smiles: one molecule each.
        form: of other molecules.
        what: they are called in an error.

    Raises:
        DataError: the form is of no molecules; one cannot be read, has an atom of another type, or is too large; the message names it.
    """
    if not form.molecules:
        raise DataError(f"{what} has molecules, where graphs of the types {', '.join(form.node_types)} are asked for")
    read = read_smiles(smiles, kekulize=True)
    if read.skipped:
        wrong = read.skipped[0]
        raise DataError(f"{what}, molecule {wrong.row + 1}, {wrong.smiles!r}: {wrong.reason}")
    # each charge is a type of its own, as it is in `rows_of`
    names = atom_types_of(read) or form.node_types
    graphs, _ = to_graphs(read, names)
    kind = torch.tensor([form.node_types.index(name) if name in form.node_types else -1 for name in names])
    kind = kind[graphs["atom_type"]]
    if bool((kind < 0).any()):
        atom, ends = int((kind < 0).nonzero()[0]), torch.cumsum(torch.from_numpy(read.atom_count), 0)
        number = int(torch.searchsorted(ends, atom, right=True))
        raise DataError(
            f"{what}, molecule {number + 1}, {read.smiles[number]!r}: its atom {names[int(graphs['atom_type'][atom])]} is not in atom_types {list(form.node_types)}"
        )
    row, _ = _rows(graphs, kind, form.node_types, form.edge_types[1:], what, True, form.nodes)
    return row


def _refuse_others(what: str, names: tuple[str, ...], edges: tuple[str, ...], form: GraphForm) -> None:
    """Types of graphs that are no molecules are told by their number alone."""
    if form.molecules:
        raise DataError(f"{what} has graphs that are no molecules, where molecules are asked for")
    if names != form.node_types:
        raise DataError(
            f"{what} has nodes of the types {', '.join(names)}, where {', '.join(form.node_types)} are asked for"
        )
    if len(edges) >= len(form.edge_types):
        raise DataError(f"{what} has {len(edges)} types of edges, where {len(form.edge_types) - 1} are asked for")


def _atoms(data: MoleculeData) -> tuple[Graph, tuple[str, ...], Tensor]:
    """Kekulized graphs, and the types of their atoms with charges."""
    graphs, relation = data.graphs, data.graphs.relation
    if (
        relation is None
        or graphs.num_features != len(ATOM_TYPES) + 1 + FEATURES_BESIDE_TYPE  # types of the user's own
        or bool((graphs["atom_type"] >= len(ATOM_TYPES)).any())
        or bool((relation == BOND_TYPES.index("aromatic")).any())
    ):
        read = read_smiles(data.smiles, kekulize=True)
        names = atom_types_of(read)
        graphs, _ = to_graphs(read, names)
        return graphs, names, graphs["atom_type"]
    # charge is a column: after types, degrees, hydrogens and hybrids, before two more
    element, charge = graphs["atom_type"], _features(graphs)[:, -3].long()
    both, kind, count = torch.unique(torch.stack([element, charge], 1), dim=0, return_inverse=True, return_counts=True)
    order = count.argsort(descending=True, stable=True)
    names = tuple(ATOM_TYPES[e] + charge_text(c) for e, c in both[order].tolist())
    return graphs, names, order.argsort()[kind]


def _types(graphs: Graph) -> tuple[tuple[str, ...], Tensor]:
    """Of unit vectors the type of each, else one type for all."""
    x = _features(graphs)
    if x.shape[1] > 1 and bool(((x == 0) | (x == 1)).all()) and bool((x.sum(1) == 1).all()):
        return tuple(f"type {k}" for k in range(x.shape[1])), x.argmax(1)
    return ("node",), torch.zeros(graphs.num_nodes, dtype=torch.long)


def _features(graphs: Graph) -> Tensor:
    """Features of nodes as they are written out."""
    x = graphs.x
    if x is None:
        return torch.zeros(graphs.num_nodes, 0)
    return x if isinstance(x, Tensor) else x.to_dense()


def _edges(graphs: Graph) -> tuple[str, ...]:
    if graphs.relation is None:
        return ("edge",)
    return tuple(f"edge {k}" for k in range(int(graphs.relation.max()) + 1 if graphs.num_edges else 1))


def _rows(
    graphs: Graph,
    kind: Tensor,
    names: tuple[str, ...],
    edges: tuple[str, ...],
    what: str,
    molecules: bool,
    most: int = 0,
) -> tuple[Tensor, GraphForm]:
    """All graphs as rows (graphs, sites) uint8."""
    count = graphs.members.count.long()
    largest = int(count.max()) if len(count) else 0
    if largest > (most or MOST_NODES) or not int(count.min() if len(count) else 0):
        raise DataError(
            f"{what} has graphs of {int(count.min()) if len(count) else 0} to {largest} nodes: here they have 1 to {most or MOST_NODES}, "
            "as every pair of nodes is told of"
        )
    form = GraphForm(most or largest, tuple(names), ("none", *edges), molecules)
    source, target = graphs.adjacency.source.long(), graphs.adjacency.target.long()
    forward, back = (torch.unique(a * graphs.num_nodes + b) for a, b in ((source, target), (target, source)))
    if not torch.equal(forward, back):
        raise DataError(f"{what} has directed edges: graphs to generate have none; add each edge's other direction")
    first = torch.cumsum(count, 0) - count
    owner = torch.arange(len(count)).repeat_interleave(count)
    place = torch.arange(graphs.num_nodes) - first[owner]
    row = torch.zeros(len(count), sites_of(form.nodes), dtype=torch.uint8)
    row[owner, place] = kind.to(torch.uint8)
    simple = source != target
    source, target = source[simple], target[simple]
    type_ = torch.ones_like(source) if graphs.relation is None else graphs.relation[simple] + 1
    site = form.nodes + pair_table(form.nodes)[place[source], place[target]]
    row[owner[source], site] = type_.to(torch.uint8)
    return row.where(sites_there(form.nodes)[count - 1], form.absent), form
