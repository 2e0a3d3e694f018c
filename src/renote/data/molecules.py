"""Molecules as graphs: SMILES → numbers of atoms and bonds → features, and graphs → SMILES. Needs RDKit (the extra `molecules`).

A node is an atom that is no implicit hydrogen; each bond is two edges, one in either direction. Columns of x, in this order:

    the atom's type, one column each, and one for all others where atom_types is not given
    degree 0 … 6, one column each, the last for more
    hydrogens 0 … 4, likewise
    hybridization sp, sp2, sp3, other
    formal charge; aromatic; in a ring

and of the features of an edge: single, double, triple, aromatic; conjugated; in a ring; E, Z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from renote.data.chemistry import charge_text, parsed, rdkit, reason
from renote.errors import DataError
from renote.graph import Adjacency, Field, Graph

ATOM_TYPES = ("B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Br", "I")
"""Elements that have a column of their own by default."""
BOND_TYPES = ("single", "double", "triple", "aromatic")
"""Names of `graph.relation`'s numbers."""
_DEGREES, _HYDROGENS, _HYBRIDS = 7, 5, 4
FEATURES_BESIDE_TYPE = _DEGREES + _HYDROGENS + _HYBRIDS + 3
"""Columns of x that follow those of the types."""
# as RDKit numbers them; what is none of these (dative, zero, …) counts as single
_BONDS = {1: 0, 2: 1, 3: 2, 12: 3}


@dataclass(frozen=True)
class Skipped:
    """A row that is no molecule.

    Args:
        row: its number from 0 among those given.
        smiles: what stands there.
        reason: why it is none.
    """

    row: int
    smiles: str
    reason: str


@dataclass(frozen=True)
class Molecules:
    """What RDKit says of many molecules, as arrays; features are made of it at once for all.

    Args:
        smiles: of each molecule, as given.
        rows: (molecules,) which of the given SMILES each is.
        atom_count: (molecules,).
        bond_count: (molecules,).
        atoms: (atoms, 7) int16: atomic number, charge, hydrogens, degree, hybridization by RDKit's number, aromatic, in a ring.
        bonds: (bonds, 6) int16: both ends by their numbers in the molecule, type as `BOND_TYPES`, conjugated, in a ring, stereo 0, 1 (E), 2 (Z).
        skipped: what could not be read.
    """

    smiles: tuple[str, ...]
    rows: NDArray[np.int64]
    atom_count: NDArray[np.int64]
    bond_count: NDArray[np.int64]
    atoms: NDArray[np.int16]
    bonds: NDArray[np.int16]
    skipped: tuple[Skipped, ...]

    def __len__(self) -> int:
        return len(self.smiles)

    def select(self, numbers: Sequence[int] | NDArray[np.int64], skipped: tuple[Skipped, ...] = ()) -> Molecules:
        """Some of the molecules, in the order given; `skipped` is added to what could not be read."""
        chosen = np.asarray(numbers, dtype=np.int64)

        def rows(values: NDArray[np.int16], count: NDArray[np.int64]) -> NDArray[np.int16]:
            begin = (np.cumsum(count) - count)[chosen]
            picked = count[chosen]
            places = np.arange(picked.sum()) - np.repeat(np.cumsum(picked) - picked, picked) + np.repeat(begin, picked)
            chosen_rows: NDArray[np.int16] = values[places]
            return chosen_rows

        return Molecules(
            tuple(self.smiles[k] for k in chosen),
            self.rows[chosen],
            self.atom_count[chosen],
            self.bond_count[chosen],
            rows(self.atoms, self.atom_count),
            rows(self.bonds, self.bond_count),
            (*self.skipped, *skipped),
        )


def read_smiles(smiles: Sequence[str], kekulize: bool = False) -> Molecules:
    """Read and check SMILES.

    Args:
        smiles: one a molecule; spaces around it are dropped.
        kekulize: whether bonds of aromatic rings are single and double in turn; else they are aromatic. Atoms stay marked as aromatic.

    Returns:
        The molecules, and in `skipped` which rows are none and why.

    Raises:
        UsageError: RDKit is not installed.

    Example:
        >>> from renote.data import molecules
        >>> found = molecules.read_smiles(["CCO", "C(C", "c1ccccc1"])
        >>> found.atom_count.tolist(), [(row.row, row.smiles) for row in found.skipped]
        ([3, 6], [(1, 'C(C')])
    """
    base, chem = rdkit("rdBase"), rdkit("Chem")
    kept: list[tuple[str, int, int, int]] = []
    atoms: list[tuple[int, ...]] = []
    bonds: list[tuple[int, ...]] = []
    skipped = []
    with base.BlockLogs():
        for row, text in enumerate(smiles):
            text = text.strip()
            molecule = chem.MolFromSmiles(text)
            if molecule is None or not molecule.GetNumAtoms():
                skipped.append(Skipped(row, text, reason(text)))
                continue
            atoms.extend(
                (
                    atom.GetAtomicNum(),
                    atom.GetFormalCharge(),
                    atom.GetTotalNumHs(),
                    atom.GetDegree(),
                    int(atom.GetHybridization()),
                    atom.GetIsAromatic(),
                    atom.IsInRing(),
                )
                for atom in molecule.GetAtoms()
            )
            if kekulize:
                # conjugation is told before, and the marks of atoms stay
                chem.Kekulize(molecule, clearAromaticFlags=False)
            bonds.extend(
                (
                    bond.GetBeginAtomIdx(),
                    bond.GetEndAtomIdx(),
                    _BONDS.get(int(bond.GetBondType()), 0),
                    bond.GetIsConjugated(),
                    bond.IsInRing(),
                    {3: 1, 2: 2}.get(int(bond.GetStereo()), 0),
                )
                for bond in molecule.GetBonds()
            )
            kept.append((text, row, molecule.GetNumAtoms(), molecule.GetNumBonds()))
    return Molecules(
        tuple(text for text, *_ in kept),
        np.array([row for _, row, _, _ in kept], dtype=np.int64),
        np.array([count for _, _, count, _ in kept], dtype=np.int64),
        np.array([count for _, _, _, count in kept], dtype=np.int64),
        np.array(atoms, dtype=np.int16).reshape(-1, 7),
        np.array(bonds, dtype=np.int16).reshape(-1, 6),
        tuple(skipped),
    )


def atom_types_of(molecules: Molecules) -> tuple[str, ...]:
    """Every atom type that occurs, charge and all, the most frequent first: `("C", "O", "N", "N+", "O-")`."""
    table = rdkit("Chem").GetPeriodicTable()
    kinds, count = np.unique(molecules.atoms[:, :2], axis=0, return_counts=True)
    order = np.argsort(-count, kind="stable")
    return tuple(table.GetElementSymbol(int(number)) + charge_text(int(charge)) for number, charge in kinds[order])


def to_graphs(molecules: Molecules, atom_types: Sequence[str] | None = None) -> tuple[Graph, Molecules]:
    """All molecules as one disjoint union.

    Args:
        molecules: that were read.
        atom_types: symbols such as `"N"`, each of which stands for the element at any charge that is not listed too, or with a charge, such as `"N+"`, `"O-"`,
            `"Ca+2"`. A molecule with another atom is skipped. None takes `ATOM_TYPES` and a last type for all other elements.

    Returns:
        The graphs: x (atoms, features) and edge_features (edges, 8) as the module says, relation (edges,) the type of a bond as in `BOND_TYPES`, and the fields
        of atoms `atom_type`, the number in `atom_types`, and `hydrogens`. And the molecules that they are of, with those that were skipped for an atom.

    Raises:
        DataError: an atom type is none, or is named twice.

    Example:
        >>> from renote.data import molecules
        >>> graphs, _ = molecules.to_graphs(molecules.read_smiles(["CCO", "C#N"]), ("C", "N", "O"))
        >>> graphs["atom_type"].tolist(), graphs.relation.tolist(), graphs.num_graphs
        ([0, 0, 2, 0, 1], [0, 0, 0, 0, 2, 2], 2)
    """
    names = ATOM_TYPES if atom_types is None else tuple(atom_types)
    number, charge = parsed(names)
    kind = np.full(len(molecules.atoms), len(names), dtype=np.int64)
    element, formal = molecules.atoms[:, 0], molecules.atoms[:, 1]
    neutral_first = sorted(range(len(names)), key=lambda k: charge[k] is not None)
    for k in neutral_first:
        same = element == number[k]
        kind[same if charge[k] is None else same & (formal == charge[k])] = k
    if atom_types is not None and bool((kind == len(names)).any()):
        molecules, kind = _without_others(molecules, kind, names)
    x = _atom_features(molecules.atoms, kind, len(names) + (atom_types is None))
    first = np.cumsum(molecules.atom_count) - molecules.atom_count
    ends = molecules.bonds[:, :2] + np.repeat(first, molecules.bond_count)[:, None]
    source, target = np.concatenate([ends[:, 0], ends[:, 1]]), np.concatenate([ends[:, 1], ends[:, 0]])
    order = np.lexsort((source, target))
    # sorted already, so the adjacency keeps this order and the features of edges follow it
    adjacency = Adjacency.from_edges(torch.from_numpy(source[order]), torch.from_numpy(target[order]), len(kind))
    bond = order % max(len(ends), 1)
    features = _bond_features(molecules.bonds)[bond]
    graphs = Graph(
        x=torch.from_numpy(x),
        adjacency=adjacency,
        edge_features=torch.from_numpy(features),
        relation=torch.from_numpy(molecules.bonds[:, 2].astype(np.int64)[bond]),
        graph_of_node=torch.from_numpy(np.repeat(np.arange(len(molecules)), molecules.atom_count)),
        num_graphs=len(molecules),
        fields={
            "atom_type": Field("node", torch.from_numpy(kind)),
            "hydrogens": Field("node", torch.from_numpy(molecules.atoms[:, 2].astype(np.int64))),
        },
    )
    return graphs, molecules


def to_smiles(graphs: Graph, atom_types: Sequence[str], largest: bool = False) -> list[str | None]:
    """The canonical SMILES of each graph; None where it is no molecule.

    Args:
        graphs: with the field `atom_type`, numbers in `atom_types`, and `relation`, numbers in `BOND_TYPES`; an edge in one direction is enough. The field
            `hydrogens`, if there, tells those of aromatic atoms; where bonds are kekulized, valences alone tell them all.
        atom_types: as `to_graphs` takes them; a symbol without charge is neutral.
        largest: whether of several parts the largest is taken, else all are written.

    Example:
        >>> from renote.data import molecules
        >>> graphs, _ = molecules.to_graphs(molecules.read_smiles(["OCC", "N#C"], kekulize=True), ("C", "N", "O"))
        >>> molecules.to_smiles(graphs, ("C", "N", "O"))
        ['CCO', 'C#N']
    """
    if graphs.relation is None:
        raise DataError("the graphs have no relation: it must give each edge the number of its bond type")
    kind = graphs["atom_type"].tolist()
    hydrogens = graphs["hydrogens"].tolist() if "hydrogens" in graphs.fields else None
    source, target = graphs.adjacency.source, graphs.adjacency.target
    node_end = graphs.members.rowptr.tolist()
    edge_end = graphs.adjacency.pattern.rowptr.long()[graphs.members.rowptr.long()].tolist()
    low, high = torch.minimum(source, target).tolist(), torch.maximum(source, target).tolist()
    bond: list[int] = graphs.relation.tolist()
    found = []
    for g in range(graphs.num_graphs):
        begin, end = node_end[g], node_end[g + 1]
        edges = range(edge_end[g], edge_end[g + 1])
        pairs = {(low[e] - begin, high[e] - begin): bond[e] for e in edges}
        own = None if hydrogens is None else hydrogens[begin:end]
        found.append(smiles_of(kind[begin:end], pairs, atom_types, largest, own))
    return found


def smiles_of(
    kinds: Sequence[int],
    bonds: dict[tuple[int, int], int],
    atom_types: Sequence[str],
    largest: bool = False,
    hydrogens: Sequence[int] | None = None,
) -> str | None:
    """The canonical SMILES of one molecule; None if its valences or rings are impossible.

    Args:
        kinds: a number in `atom_types` for each atom.
        bonds: for a pair of atoms, the number of its bond in `BOND_TYPES`.
        atom_types: as `to_smiles`.
        largest: likewise.
        hydrogens: of each atom; read for aromatic atoms alone.
    """
    chem = rdkit("Chem")
    number, charge = parsed(atom_types)
    types = chem.BondType.SINGLE, chem.BondType.DOUBLE, chem.BondType.TRIPLE, chem.BondType.AROMATIC
    molecule = chem.RWMol()
    for kind in kinds:
        atom = chem.Atom(number[kind])
        atom.SetFormalCharge(charge[kind] or 0)
        molecule.AddAtom(atom)
    for (one, other), kind in bonds.items():
        if one == other:
            return None
        molecule.AddBond(one, other, types[kind])
        if BOND_TYPES[kind] == "aromatic":
            for end in (one, other):
                molecule.GetAtomWithIdx(end).SetIsAromatic(True)
                if hydrogens is not None and number[kinds[end]] != 6:
                    molecule.GetAtomWithIdx(end).SetNumExplicitHs(hydrogens[end])
    with rdkit("rdBase").BlockLogs():
        try:
            chem.SanitizeMol(molecule)
            text: str = chem.MolToSmiles(molecule)
        except (ValueError, RuntimeError):  # RDKit's own, of valence and kekulization, are ValueErrors
            return None
        if not text:
            return None
        if largest and "." in text:
            text = max(text.split("."), key=lambda part: chem.MolFromSmiles(part).GetNumAtoms())
        # what is written must be read again: an atom that RDKit lets pass may not be
        again = chem.MolFromSmiles(text)
    return None if again is None else text


def _without_others(
    molecules: Molecules, kind: NDArray[np.int64], names: Sequence[str]
) -> tuple[Molecules, NDArray[np.int64]]:
    """What has no atom but those of the types named."""
    table = rdkit("Chem").GetPeriodicTable()
    owner = np.repeat(np.arange(len(molecules)), molecules.atom_count)
    other = np.flatnonzero(kind == len(names))
    first = {int(owner[place]): int(place) for place in other[::-1]}
    skipped = []
    for k, place in sorted(first.items()):
        number, charge = molecules.atoms[place, :2].tolist()
        atom = table.GetElementSymbol(number) + charge_text(charge)
        skipped.append(
            Skipped(int(molecules.rows[k]), molecules.smiles[k], f"its atom {atom} is not in atom_types {list(names)}")
        )
    has = np.zeros(len(molecules), dtype=bool)
    has[list(first)] = True
    return molecules.select(np.flatnonzero(~has), tuple(skipped)), kind[~has[owner]]


def _one_hot(values: NDArray[np.int64], columns: int) -> NDArray[np.float32]:
    return np.eye(columns, dtype=np.float32)[np.minimum(values, columns - 1)]


def _atom_features(atoms: NDArray[np.int16], kind: NDArray[np.int64], types: int) -> NDArray[np.float32]:
    hybrid = np.array([3, 3, 0, 1, 2, 3, 3, 3, 3, 3, 3, 3])  # RDKit: 2 sp, 3 sp2, 4 sp3
    wide = atoms.astype(np.int64)
    return np.concatenate(
        [
            _one_hot(kind, types),
            _one_hot(wide[:, 3], _DEGREES),
            _one_hot(wide[:, 2], _HYDROGENS),
            _one_hot(hybrid[np.minimum(wide[:, 4], len(hybrid) - 1)], _HYBRIDS),
            atoms[:, [1, 5, 6]].astype(np.float32),
        ],
        1,
    )


def _bond_features(bonds: NDArray[np.int16]) -> NDArray[np.float32]:
    wide = bonds.astype(np.int64)
    stereo = (wide[:, 5, None] == np.array([1, 2])).astype(np.float32)
    return np.concatenate([_one_hot(wide[:, 2], len(BOND_TYPES)), wide[:, 3:5].astype(np.float32), stereo], 1)
