"""Sets of molecules: the named ones, and `molecules:FILE.csv`, the user's own table with a column of SMILES."""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import os
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from renote.data import store
from renote.data.card import Card
from renote.data.chemistry import rdkit
from renote.data.fingerprints import scaffolds
from renote.data.molecules import Molecules, Skipped, read_smiles, to_graphs
from renote.data.split import partition
from renote.data.table import Table, labels_of
from renote.data.table_split import given_split
from renote.data.types import GraphData
from renote.errors import DataError, unknown

_log = logging.getLogger("renote")
_NAMED_ROWS = 5
_UNITS = {"esol": ("log solubility", "log10 mol/L"), "freesolv": ("hydration free energy", "kcal/mol")}


@dataclass(frozen=True)
class MoleculeData(GraphData):
    """Molecules as graphs, with values, classes or neither.

    Args:
        smiles: of each graph.
        rows: (graphs,) the line or row of the file that each stands in.
        skipped: rows that are no molecules, with what stands there and why.
    """

    smiles: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    skipped: tuple[Skipped, ...] = ()


def load(
    given: Card | str,
    *,
    smiles: str | None = None,
    target: str | Sequence[str] | None = None,
    unit: str | Sequence[str] = "",
    split: Literal["random", "scaffold"] = "random",
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
    atom_types: str | Sequence[str] | None = None,
    kekulize: bool = False,
    n: int = 0,
    without: bool = False,
) -> MoleculeData:
    """Molecules; rows that are none are left out, and told.

    Args:
        given: a card; or the path of a table (.csv, .tsv, .parquet) with a header.
        smiles: the column of SMILES; by default the one that is called so.
        target: of a table: the column of values, or several with commas between; empty cells are unknown. By default `label`, classes, if there is such a
            column, else the only other column of numbers, if there is only one. `none` for neither.
        unit: of the values, for messages and pictures; one for each target.
        split: `"random"`; or `"scaffold"`, whole groups of the same Bemis-Murcko scaffold, the largest groups first into the training part. A table's own column
            `split` comes first.
        validation_fraction: share of what has a value.
        test_fraction: likewise.
        seed: of a random split.
        atom_types: as `to_graphs` takes them, commas between; molecules with other atoms are left out.
        kekulize: whether aromatic rings have single and double bonds in turn.
        n: only the first so many rows; 0 for all.
        without: whether a target that a table does not have is unknown, in the place of an error: for predictions.

    Raises:
        DataError: a file, column or value is missing or wrong, or no row is a molecule; the message names it.
        UsageError: RDKit is not installed.
    """
    if split not in ("random", "scaffold"):
        raise unknown("split", split, ["random", "scaffold"])
    if n < 0:
        raise DataError(f"n is {n}: give the number of rows, or 0 for all")
    types = atom_types.split(",") if isinstance(atom_types, str) else atom_types
    table = _named(given) if isinstance(given, Card) else _own(given, smiles, target, unit, without)
    if n:
        table = table.first(n)
    read = read_smiles(table.smiles, kekulize) if table.key is None else _cached(table, kekulize)
    graphs, molecules = to_graphs(read, types)
    skipped = tuple(replace(row, row=table.lines[row.row]) for row in sorted(molecules.skipped, key=lambda r: r.row))
    if skipped:
        # of a named set they are known; the user's own can be mended
        _log.log(
            logging.WARNING if table.card is None else logging.INFO,
            "%s",
            told(table.name, table.unit, skipped, len(table.smiles)),
        )
    if not len(molecules):
        raise DataError(f"{table.name}: none of {len(table.smiles)} rows is a molecule")
    kept = torch.from_numpy(molecules.rows)
    labels, values = table.labels[kept], None if table.values is None else table.values[kept]
    known = labels if values is None else (~values.isnan().any(1)).long() - 1
    nothing = torch.empty(0, dtype=torch.long)
    if table.split is not None:
        place = torch.full((len(table.smiles),), -1).index_put((kept,), torch.arange(len(kept)))
        parts = tuple(moved[moved >= 0] for moved in (place[part] for part in table.split))
    elif not bool((known >= 0).any()):
        parts = (nothing,) * 3
    elif split == "scaffold":
        parts = scaffold_split(molecules.smiles, known >= 0, validation_fraction, test_fraction)
    else:
        parts = partition(known, validation_fraction, test_fraction, seed)
    card = table.card or Card(
        name=table.name,
        title=f"Molecules of the table {Path(table.path).name}",
        kind="graphs",
        size=len(molecules),
        shape=(graphs.num_features,),
        classes=table.classes,
        source=table.path,
        licence="the owner's",
        counts={"atoms": graphs.num_nodes, "skipped": len(skipped)},
    )
    train, validation, test = parts
    return MoleculeData(
        table.name,
        card,
        graphs,
        labels,
        train,
        validation,
        test,
        table.classes,
        values=values,
        targets=table.targets,
        units=table.units,
        smiles=molecules.smiles,
        rows=tuple(table.lines[row] for row in molecules.rows),
        skipped=skipped,
    )


def told(name: str, unit: str, skipped: Sequence[Skipped], rows: int) -> str:
    """What was left out, in a sentence that names the first few."""
    shown = "; ".join(f"{unit} {row.row}: {row.smiles!r}, {row.reason}" for row in skipped[:_NAMED_ROWS])
    more = f"; and {len(skipped) - _NAMED_ROWS} more" if len(skipped) > _NAMED_ROWS else ""
    return f"{name}: {len(skipped)} of {rows} rows are left out ({shown}{more})"


def scaffold_split(
    smiles: Sequence[str], known: Tensor, validation_fraction: float, test_fraction: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Parts that share no Bemis-Murcko scaffold: groups of one scaffold, the largest first, fill the training part, then validation, then test.

    Args:
        smiles: valid ones.
        known: (molecules,) bool, which take part.
        validation_fraction: share of those, about.
        test_fraction: likewise.

    Returns:
        Three index tensors, increasing. No seed changes them.

    Raises:
        DataError: a share is negative, or nothing is left to train on.

    Source:
        Wu et al. (2018), "MoleculeNet", section 3.2.
    """
    if validation_fraction < 0 or test_fraction < 0 or validation_fraction + test_fraction >= 1:
        raise DataError(
            f"validation_fraction is {validation_fraction} and test_fraction {test_fraction}: "
            "together they must stay below 1, and neither below 0"
        )
    groups: dict[str, list[int]] = {}
    numbers = known.nonzero().squeeze(1).tolist()
    for number, scaffold in zip(numbers, scaffolds([smiles[number] for number in numbers])):
        groups.setdefault(scaffold, []).append(number)
    train_most = (1 - validation_fraction - test_fraction) * len(numbers)
    both_most = (1 - test_fraction) * len(numbers)
    train: list[int] = []
    validation: list[int] = []
    test: list[int] = []
    for group in sorted(groups.values(), key=lambda group: (-len(group), group[0])):
        if len(train) + len(group) <= train_most or not train:
            train += group
        elif len(train) + len(validation) + len(group) <= both_most:
            validation += group
        else:
            test += group
    first, second, third = (torch.tensor(sorted(part), dtype=torch.long) for part in (train, validation, test))
    return first, second, third


@dataclass(frozen=True)
class _Rows:
    """What a file says, before any SMILES is looked at."""

    name: str
    path: str
    smiles: Sequence[str]
    lines: Sequence[int]
    unit: str
    labels: Tensor
    classes: tuple[str, ...] = ()
    values: Tensor | None = None
    targets: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    split: tuple[Tensor, ...] | None = None
    card: Card | None = None
    key: str | None = None

    def first(self, n: int) -> _Rows:
        """The first n rows."""
        return replace(
            self,
            smiles=self.smiles[:n],
            lines=self.lines[:n],
            labels=self.labels[:n],
            values=None if self.values is None else self.values[:n],
            split=None if self.split is None else tuple(part[part < n] for part in self.split),
            key=None,
        )


def _named(card: Card) -> _Rows:
    text = store.read(card, card.files[0]).decode()
    if card.name == "freesolv":
        body = [(k, line.split(";")) for k, line in enumerate(text.splitlines(), 1) if line and line[0] != "#"]
        lines, smiles = [k for k, _ in body], [cells[1].strip() for _, cells in body]
        values: Tensor | None = torch.tensor([[float(cells[3])] for _, cells in body], dtype=torch.float64)
    else:
        header, *rows = list(csv.reader(io.StringIO(text)))
        column = next(k for k, name in enumerate(header) if name.lower() == "smiles")
        lines, smiles = list(range(2, 2 + len(rows))), [row[column].strip() for row in rows]
        values = None
        if card.name == "esol":
            place = header.index("measured log solubility in mols per litre")
            values = torch.tensor([[float(row[place])] for row in rows], dtype=torch.float64)
        elif card.name == "zinc250k":
            whole = [(line, mended) for line, cut in zip(lines, smiles) if (mended := with_last(cut)) is not None]
            lines, smiles = [line for line, _ in whole], [mended for _, mended in whole]
    target, unit = _UNITS.get(card.name, ("", ""))
    return _Rows(
        name=card.name,
        path=card.files[0].name,
        smiles=smiles,
        lines=lines,
        unit="line",
        labels=torch.full((len(smiles),), -1),
        values=values,
        targets=(target,) if values is not None else (),
        units=(unit,) if values is not None else (),
        card=card,
        key=card.files[0].sha256[:16] if values is None else None,
    )


def with_last(cut: str) -> str | None:
    """A SMILES whose last character was lost, whole again; None where that could have been more than one.

    The copy of ZINC250k lacks the last character of each line. A bracket that is open, or one ring that is, can end in one way only.
    """
    if cut.rfind("[") > cut.rfind("]"):
        return cut + "]"
    outside, inside = [], False
    for letter in cut:
        inside = (inside or letter == "[") and letter != "]"
        if not inside and letter != "]":
            outside.append(letter)
    labels = [letter for letter in outside if letter.isdigit()]
    open_rings = {label for label in labels if labels.count(label) % 2}
    if "%" in outside or outside.count("(") != outside.count(")") or len(open_rings) != 1:
        return None
    return cut + open_rings.pop()


def _own(
    path: str, smiles: str | None, target: str | Sequence[str] | None, unit: str | Sequence[str], without: bool
) -> _Rows:
    file = Path(path).expanduser()
    table = Table.read(file, required=())
    columns = list(table.columns)
    column = smiles or next((name for name in columns if name.lower() == "smiles"), None)
    if column is None or column not in columns:
        wanted = f"the column {smiles!r} is missing" if smiles else "none is called smiles: name it by smiles=COLUMN"
        raise DataError(f"{file} has the columns {columns}: {wanted}")
    texts = table.text(column)
    labels, classes = torch.full((len(texts),), -1), tuple[str, ...]()
    chosen = tuple(name.strip() for name in target.split(",")) if isinstance(target, str) else tuple(target or ())
    for name in chosen:
        if chosen != ("none",) and name not in columns and not without:
            raise DataError(f"{file} has the columns {columns}: the target {name!r} is missing")
    values = None
    if without and chosen == ("label",) and "label" not in columns:
        chosen = ()
    elif (target is None and "label" in columns) or chosen == ("label",):
        labels, classes = labels_of(table.text("label"))
        chosen = ()
    elif chosen == ("none",):
        chosen = ()
    else:
        if target is None:
            numeric = [
                name for name in columns if name not in (column, "id", "split") and _is_numeric(table.text(name))
            ]
            if len(numeric) > 1:
                raise DataError(
                    f"{file} has {len(numeric)} columns of numbers, {numeric}: choose by target=COLUMN, or target=none"
                )
            chosen = tuple(numeric)
        values = torch.from_numpy(np.stack([_values(table, name) for name in chosen], 1)) if chosen else None
    units = tuple(part.strip() for part in unit.split(",")) if isinstance(unit, str) else tuple(unit)
    units = units if any(units) else ("",) * len(chosen)
    if len(units) != len(chosen):
        raise DataError(f"unit is {unit!r} for the targets {list(chosen)}: give one each")
    known = labels if values is None else (~values.isnan().any(1)).long() - 1
    return _Rows(
        name=f"molecules:{path}",
        path=path,
        smiles=texts,
        lines=table.lines,
        unit=table.unit,
        labels=labels,
        classes=classes,
        values=values,
        targets=chosen,
        units=units,
        split=given_split(table, known, "molecule") if "split" in columns and (classes or chosen) else None,
    )


def _is_numeric(cells: Iterable[str]) -> bool:
    """Whether all cells that are not empty are numbers, and one is not empty."""
    filled = [cell for cell in cells if cell]
    try:
        return len([float(cell) for cell in filled]) > 0
    except ValueError:
        return False


def _values(table: Table, column: str) -> NDArray[np.float64]:
    """A column of numbers; empty cells are NaN, and all if there is no such column."""
    found = np.full(len(table.lines), np.nan)
    if column not in table.columns:
        return found
    for row, cell in enumerate(table.text(column)):
        if not cell:
            continue
        try:
            found[row] = float(cell)
        except ValueError:
            raise DataError(f"{table.at(row)}: {cell!r} in the column {column!r} is not a number") from None
        if not np.isfinite(found[row]):
            raise DataError(
                f"{table.at(row)}: {cell!r} in the column {column!r} is not finite: replace it, or leave it empty"
            )
    return found


_ARRAYS = ("rows", "atom_count", "bond_count", "atoms", "bonds")


def _cached(table: _Rows, kekulize: bool) -> Molecules:
    """What RDKit says of a large named set, kept in the cache: reading it takes minutes."""
    version = rdkit("rdBase").rdkitVersion
    kind = hashlib.sha256(f"{table.key} {version} {kekulize} 1".encode()).hexdigest()[:16]
    path = store.cache_folder() / "molecules" / f"{table.name}-{kind}.npz"
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as kept:
                arrays = {name: kept[name] for name in _ARRAYS}
                reasons = kept["reasons"].tolist()
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            path.unlink()
            return _cached(table, kekulize)
        skipped = tuple(Skipped(int(row), table.smiles[int(row)], reason) for row, reason in reasons)
        return Molecules(tuple(table.smiles[row] for row in arrays["rows"]), skipped=skipped, **arrays)
    _log.info("reading %d molecules of %s", len(table.smiles), table.name)
    found = read_smiles(table.smiles, kekulize)
    reasons = np.array([(str(row.row), row.reason) for row in found.skipped], dtype=np.str_).reshape(-1, 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    np.savez_compressed(stream, reasons=reasons, **{name: getattr(found, name) for name in _ARRAYS})
    temporary = path.with_suffix(f".{os.getpid()}.part")
    temporary.write_bytes(stream.getvalue())
    os.replace(temporary, path)
    return found
