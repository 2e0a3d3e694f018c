"""Tables of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from renote.train.checkpoint import write_atomic


def write_table(path: Path, first: str, probabilities: Tensor, classes: Sequence[str], several: bool = False) -> int:
    """Write a row for each thing that was classified: its number, its most probable class, the probability; or the probability of each class.

    Args:
        path: of the .csv file.
        first: what a row is, the first column's name.
        probabilities: (n, classes).
        classes: their names.
        several: whether a thing may be of several classes.

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
        f"{number},{classes[label]},{share:.4f}"
        for number, (label, share) in enumerate(zip(chosen.tolist(), highest.tolist()))
    ]
    write_atomic(path, ("\n".join([f"{first},class,probability", *rows]) + "\n").encode())
    return len(rows)
