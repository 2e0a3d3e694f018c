"""Tables of predictions."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from renote.train.checkpoint import write_atomic


def write_table(
    path: Path,
    first: str,
    probabilities: Tensor,
    classes: Sequence[str],
    several: bool = False,
    names: Sequence[str] | None = None,
) -> int:
    """Write a row for each thing that was classified: its name, its most probable class, the probability; or the probability of each class.

    Args:
        path: of the .csv file.
        first: what a row is, the first column's name.
        probabilities: (n, classes).
        classes: their names.
        several: whether a thing may be of several classes.
        names: of the things; None for their numbers.

    Returns:
        The number of rows.
    """
    things: Sequence[object] = range(len(probabilities)) if names is None else names
    if several:
        rows = [[thing, *(f"{share:.4f}" for share in row)] for thing, row in zip(things, probabilities.tolist())]
        return write_rows(path, [first, *classes], rows)
    highest, chosen = (part.tolist() for part in probabilities.cpu().max(1))
    rows = [[thing, classes[label], f"{share:.4f}"] for thing, label, share in zip(things, chosen, highest)]
    return write_rows(path, [first, "class", "probability"], rows)


def write_values(path: Path, what: Mapping[str, Sequence[object]], targets: Sequence[str], values: Tensor) -> int:
    """Write a row for each thing whose values were predicted.

    Args:
        path: of the .csv file.
        what: columns that say which thing a row is, by name.
        targets: names of the values' columns.
        values: (n, targets).

    Returns:
        The number of rows.
    """
    rows = [[*names, *(f"{value:.6g}" for value in row)] for names, row in zip(zip(*what.values()), values.tolist())]
    return write_rows(path, [*what, *targets], rows)


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> int:
    """Write a table, whole or not at all.

    Args:
        path: of the .csv file.
        columns: their names.
        rows: cells in the columns' order.

    Returns:
        The number of rows.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(columns)
    table.writerows(rows)
    write_atomic(path, stream.getvalue().encode())
    return len(rows)
