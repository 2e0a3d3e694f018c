"""Tables of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from renote.train.checkpoint import write_atomic


def write_table(
    path: Path,
    first: str,
    probabilities: Tensor,
    classes: Sequence[str],
    several: bool = False,
    *,
    columns: tuple[str, str] = ("class", "probability"),
    names: Sequence[str] = (),
) -> int:
    """Write a row for each thing that was classified: its number, its most probable class, the probability; or the probability of each class.

    Args:
        path: of the .csv file.
        first: what a row is, the first column's name.
        probabilities: (n, classes).
        classes: their names.
        several: whether a thing may be of several classes.
        columns: names of the others, where each is of one class.
        names: of the things, in the place of their numbers.

    Returns:
        The number of rows.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if several:
        rows = [
            ",".join([str(number), *(f"{share:.4f}" for share in row)])
            for number, row in enumerate(probabilities.tolist())
        ]
        write_atomic(path, ("\n".join([",".join([first, *classes]), *rows]) + "\n").encode())
        return len(rows)
    highest, chosen = probabilities.cpu().max(1)
    rows = [
        f"{cell(names[number]) if names else number},{classes[label]},{share:.4f}"
        for number, (label, share) in enumerate(zip(chosen.tolist(), highest.tolist()))
    ]
    write_atomic(path, ("\n".join([",".join([first, *columns]), *rows]) + "\n").encode())
    return len(rows)


def cell(text: str) -> str:
    """A text as a table's cell, quoted where it must be."""
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if any(letter in text for letter in ',"\n') else text
