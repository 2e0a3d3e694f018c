"""RDKit, where it is installed: its modules, a molecule of a SMILES and why there is none, and names of atom types."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from renote.errors import DataError, UsageError

if TYPE_CHECKING:
    from rdkit.Chem import Mol

_TYPE = re.compile(r"([A-Z][a-z]?)([+-]\d?)?")


def molecule_of(smiles: str) -> Mol:
    """RDKit's molecule.

    Raises:
        DataError: the SMILES is invalid.
    """
    with rdkit("rdBase").BlockLogs():
        found: Mol | None = rdkit("Chem").MolFromSmiles(smiles)
    if found is None:
        raise DataError(f"{smiles!r} is no molecule: {reason(smiles)}")
    return found


def rdkit(module: str) -> Any:
    """A module of RDKit.

    Raises:
        UsageError: it is not installed.
    """
    import importlib

    try:
        return importlib.import_module(f"rdkit.{module}")
    except ImportError as error:
        raise UsageError("molecules need RDKit: pip install 'renote[molecules]'") from error


def reason(text: str) -> str:
    """Why a SMILES is no molecule."""
    if not text:
        return "it is empty"
    chem = rdkit("Chem")
    molecule = chem.MolFromSmiles(text, sanitize=False)
    if molecule is None:
        return "it cannot be parsed as SMILES"
    problems = chem.DetectChemistryProblems(molecule)
    return str(problems[0].Message()) if problems else "it has no atoms"


def charge_text(charge: int) -> str:
    """As it follows a symbol: `"+"`, `"-2"`, or nothing."""
    if not charge:
        return ""
    return ("+" if charge > 0 else "-") + (str(abs(charge)) if abs(charge) > 1 else "")


def parsed(names: Sequence[str]) -> tuple[list[int], list[int | None]]:
    """Atomic number and charge of each type; None for a symbol alone."""
    table = rdkit("Chem").GetPeriodicTable()
    if len(set(names)) < len(names) or not names:
        raise DataError(f"atom_types is {list(names)}: name each type once, and at least one")
    numbers: list[int] = []
    charges: list[int | None] = []
    for name in names:
        match = _TYPE.fullmatch(name)
        try:
            with rdkit("rdBase").BlockLogs():
                number = table.GetAtomicNumber(match[1]) if match else 0
        except RuntimeError:
            number = 0
        if not match or number < 1:
            raise DataError(
                f"atom type {name!r} in atom_types is none: write a symbol, or one with a charge, e.g. N or N+"
            )
        sign = match[2]
        numbers.append(number)
        charges.append(None if sign is None else int(sign[0] + (sign[1:] or "1")))
    return numbers, charges
