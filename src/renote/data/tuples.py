"""Checks of what is given as tuples of numbers in three parts: a user and an item, or a head, a relation and a tail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from renote.errors import DataError


def checked_tuples(
    parts: Mapping[str, Tensor], what: str, columns: Sequence[tuple[str, Sequence[str]]]
) -> dict[str, Tensor]:
    """Each part as (n, columns) int64, all numbers in range, no tuple twice.

    Args:
        parts: by name.
        what: a row is, for messages.
        columns: what each number stands for, and the names by number.

    Raises:
        DataError: a part has another shape or type, a number out of range, or a row that is there twice.
    """
    found, keys = {}, []
    for name, part in parts.items():
        if part.dim() != 2 or part.shape[1] != len(columns) or part.is_floating_point() or part.dtype == torch.bool:
            wanted = ", ".join(column for column, _ in columns)
            raise DataError(
                f"the part {name!r} has shape {tuple(part.shape)} and {part.dtype}: it must be ({what}s, {len(columns)}) integers, in each row {wanted}"
            )
        part = part.long()
        key = torch.zeros(len(part), dtype=torch.long)
        for place, (column, names) in enumerate(columns):
            numbers = part[:, place]
            outside = (numbers < 0) | (numbers >= len(names))
            if bool(outside.any()):
                row = int(outside.nonzero()[0])
                raise DataError(
                    f"{what} {row} of the part {name!r} names the {column} {int(numbers[row])}, but there are {len(names)}"
                )
            key = key * len(names) + numbers
        found[name] = part
        keys.append(key)
    distinct, times = torch.unique(torch.cat(keys), return_counts=True)
    if len(times) and int(times.max()) > 1:
        rest, row_names = int(distinct[times.argmax()]), []
        for _, names in reversed(columns):
            rest, number = divmod(rest, len(names))
            row_names.append(names[number])
        raise DataError(
            f"the {what} ({', '.join(reversed(row_names))}) is there {int(times.max())} times: keep it once, in one part"
        )
    return found
