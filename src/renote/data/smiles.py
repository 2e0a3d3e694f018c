"""Molecules to generate: a table of SMILES as rows of the types of atoms and bonds, and rows as molecules again. Needs RDKit.

Hydrogens are left out, as valence says how many there are; aromatic bonds are single and double ones in turn (Kekulé); left and right are not told apart. What is
lost by that — radicals, isotopes — is left out and counted. An atom's type is its element with its charge.
"""

from __future__ import annotations

import csv
import gzip
import io
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from renote.data import store
from renote.data.card import Card
from renote.data.form import GraphForm
from renote.data.types import SampleData
from renote.errors import DataError
from renote.graph.pairs import pair_table, sites_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_log = logging.getLogger("renote")
BONDS = ("none", "single", "double", "triple")
COLUMNS = ("smiles", "SMILES", "Smiles", "canonical_smiles", "mol")


def load(
    source: Card | str,
    *,
    column: str = "",
    atoms: str = "",
    most_atoms: int = 0,
    test_fraction: float = 0.1,
    seed: int = 0,
) -> SampleData:
    """Molecules as rows (n, sites) of types.

    Args:
        source: a card, or the path of a table (.csv, .tsv, .smi, .txt, also .gz) with a column of SMILES; one without a header has them first.
        column: name of that column; by default the first of `smiles`, `SMILES`, … that is there.
        atoms: types that may occur, as `C,N,O,N+`; by default all of the file, the most frequent first.
        most_atoms: molecules of more are left out; 0 for the largest of the file.
        test_fraction: share to hold out.
        seed: of the split.

    Raises:
        DataError: no RDKit, file or column; an atom that is not among `atoms`; nothing that can be read.
    """
    if most_atoms < 0 or not 0.0 <= test_fraction < 1.0:
        raise DataError(
            f"most_atoms is {most_atoms} and test_fraction {test_fraction}: needs most_atoms >= 0 and 0 <= test_fraction < 1"
        )
    name = source.name if isinstance(source, Card) else source
    written = _column(_text(source), column, name)
    wanted = tuple(part.strip() for part in atoms.split(",") if part.strip())
    rows, form = encode(written, name, wanted, most_atoms)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    held = round(test_fraction * len(rows))
    test, train = rows[order[:held]], rows[order[held:]]
    counts = {"train": len(train), "test": len(test), "atoms": form.nodes, "types": len(form.node_types)}
    card = Card(
        name,
        source.title if isinstance(source, Card) else f"Molecules of the file {Path(name).name}",
        "samples",
        len(rows),
        (rows.shape[1],),
        (),
        source.source if isinstance(source, Card) else name,
        source.licence if isinstance(source, Card) else "the owner's",
        source.files if isinstance(source, Card) else (),
        source.folder if isinstance(source, Card) else "",
        counts,
    )
    return SampleData(name, card, train, None, test, None, range=(0.0, float(form.absent)), graphs=form)


def encode(
    smiles: Sequence[str], name: str = "the list", atoms: Sequence[str] = (), most_atoms: int = 0
) -> tuple[Tensor, GraphForm]:
    """SMILES → rows (n, sites) uint8 and what their numbers mean; what cannot be told by a row is left out, counted and logged.

    Args:
        smiles: one molecule each.
        name: of where they are from, for messages.
        atoms: types that may occur; all that do by default, the most frequent first.
        most_atoms: of a molecule; 0 for the largest.

    Raises:
        DataError: as `load`.
    """
    left_out: Counter[str] = Counter()
    first: dict[str, int] = {}
    found: list[tuple[list[str], list[tuple[int, int, int]]]] = []
    with _quiet():
        for number, text in enumerate(smiles, 1):
            molecule = _read(text)
            if isinstance(molecule, str) or (most_atoms and len(molecule[0]) > most_atoms):
                why = molecule if isinstance(molecule, str) else f"more than {most_atoms} atoms"
                left_out[why] += 1
                first.setdefault(why, number)
                continue
            other = [kind for kind in molecule[0] if atoms and kind not in atoms]
            if other:
                raise DataError(
                    f"{name}, molecule {number} ({text}): the atom {other[0]} is not among atoms = {','.join(atoms)}: "
                    "add it, leave atoms out, or remove the molecule"
                )
            found.append(molecule)
    for why, count in left_out.items():
        _log.warning("%s: %d of %d molecules left out, the first is number %d: %s", name, count, len(smiles), first[why], why)
    if not found:
        raise DataError(
            f"{name}: none of {len(smiles)} molecules could be read ({', '.join(left_out) or 'it is empty'}): give SMILES, or name their column"
        )
    usual = Counter(kind for kinds, _ in found for kind in kinds)
    types = tuple(atoms) or tuple(kind for kind, _ in sorted(usual.items(), key=lambda item: (-item[1], item[0])))
    form = GraphForm(most_atoms or max(len(kinds) for kinds, _ in found), types, BONDS, molecules=True)
    return torch.from_numpy(_rows(found, form)), form


def molecules(rows: Tensor, form: GraphForm) -> list[Any]:
    """Rows → RDKit molecules, None where no molecule can be: an atom has more bonds than it can, or nothing is there.

    Args:
        rows: (n, sites) types.
        form: what they mean.
    """
    chem = rdkit("Chem")
    orders = [None, chem.BondType.SINGLE, chem.BondType.DOUBLE, chem.BondType.TRIPLE]
    kinds = [element(kind) for kind in form.node_types]
    i, j = np.triu_indices(form.nodes, 1)
    out = []
    with _quiet():
        for row in rows.cpu().numpy().astype(np.int64):
            made = chem.RWMol()
            for kind in row[: form.nodes][row[: form.nodes] != form.absent]:
                atom = chem.Atom(kinds[kind][0])
                atom.SetFormalCharge(kinds[kind][1])
                made.AddAtom(atom)
            bonds = row[form.nodes :]
            for pair in np.flatnonzero((bonds > 0) & (bonds < form.absent)):
                made.AddBond(int(i[pair]), int(j[pair]), orders[bonds[pair]])
            whole = made.GetNumAtoms() and chem.SanitizeMol(made, catchErrors=True) == chem.SanitizeFlags.SANITIZE_NONE
            out.append(made.GetMol() if whole else None)
    return out


def smiles_of(found: Sequence[Any]) -> list[str | None]:
    """Canonical SMILES of molecules, None for None."""
    chem = rdkit("Chem")
    return [None if molecule is None else chem.MolToSmiles(molecule) for molecule in found]


def element(kind: str) -> tuple[str, int]:
    """Element and charge of a type: `"O-2"` → `("O", -2)`."""
    place = next((i for i, letter in enumerate(kind) if letter in "+-"), len(kind))
    sign = {"": 0, "+": 1, "-": -1}[kind[place : place + 1]]
    return kind[:place], sign * int(kind[place + 1 :] or 1)


def rdkit(module: str) -> Any:
    """A module of RDKit, `"Chem"` or below it.

    Raises:
        DataError: it is not installed.
    """
    import importlib

    try:
        return importlib.import_module(f"rdkit.{module}")
    except ImportError as error:
        raise DataError("molecules need RDKit: pip install 'renote[molecules]'") from error


def _quiet() -> Any:
    """Within, RDKit writes no complaints: what is wrong is counted."""
    return rdkit("rdBase").BlockLogs()


def _read(text: str) -> tuple[list[str], list[tuple[int, int, int]]] | str:
    """Types and bonds (i, j, order) of a molecule, or why there are none."""
    chem = rdkit("Chem")
    molecule = chem.MolFromSmiles(text)
    if molecule is None or not molecule.GetNumAtoms():
        return "not a molecule"
    if "." in text and len(chem.GetMolFrags(molecule)) > 1:
        return "several pieces"
    kinds = []
    for atom in molecule.GetAtoms():
        if atom.GetNumRadicalElectrons() or atom.GetIsotope() or not atom.GetAtomicNum():
            return "radicals, isotopes or unknown atoms"
        charge = atom.GetFormalCharge()
        size = "" if abs(charge) < 2 else str(abs(charge))
        kinds.append(atom.GetSymbol() + ("" if not charge else "+" + size if charge > 0 else "-" + size))
    chem.Kekulize(molecule, clearAromaticFlags=True)
    bonds = []
    for bond in molecule.GetBonds():
        order = bond.GetBondTypeAsDouble()
        if order not in (1.0, 2.0, 3.0):
            return "other bonds than single, double, triple"
        bonds.append((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), int(order)))
    return kinds, bonds


def _rows(found: Sequence[tuple[list[str], list[tuple[int, int, int]]]], form: GraphForm) -> NDArray[np.uint8]:
    number = {kind: i for i, kind in enumerate(form.node_types)}
    table = pair_table(form.nodes).numpy()
    out = np.full((len(found), sites_of(form.nodes)), form.absent, np.uint8)
    for row, (kinds, bonds) in zip(out, found):
        size = len(kinds)
        row[:size] = [number[kind] for kind in kinds]
        row[form.nodes + table[:size, :size][np.triu_indices(size, 1)]] = 0
        for i, j, order in bonds:
            row[form.nodes + table[i, j]] = order
    return out


def _text(source: Card | str) -> str:
    if isinstance(source, Card):
        (file,) = source.files
        return store.read(source, file).decode()
    path = Path(source).expanduser()
    if not path.is_file():
        raise DataError(f"the file {str(path)!r} {'is a folder' if path.is_dir() else 'does not exist'}")
    try:
        content = path.read_bytes()
        return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}. Save it as UTF-8 text, or that packed by gzip") from error


def _column(text: str, column: str, name: str) -> list[str]:
    """The SMILES of a table."""
    head = text.split("\n", 1)[0]
    mark = next((mark for mark in ("\t", ";", ",") if mark in head), ",")
    lines: Iterator[list[str]] = csv.reader(io.StringIO(text), delimiter=mark)
    table = [[cell.strip() for cell in line] for line in lines if any(cell.strip() for cell in line)]
    if not table:
        raise DataError(f"{name} is empty: give a table with a column of SMILES")
    wanted = (column,) if column else COLUMNS
    place = next((table[0].index(each) for each in wanted if each in table[0]), None)
    if place is None and column:
        raise DataError(f"{name} has no column {column!r}: it has {', '.join(table[0])}")
    if place is None:  # no header
        return [line[0].split()[0] for line in table]
    return [line[place] for line in table[1:] if len(line) > place]
