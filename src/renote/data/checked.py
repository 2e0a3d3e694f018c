"""What labels, parts and tables must be like: checked once, for all data that have them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from renote.errors import DataError, counted
from renote.graph.task.node import numbers_of


def checked_labels(labels: Tensor, count: int, classes: int, what: str) -> Tensor:
    """(count,) int64 labels, of which none is above the number of classes.

    Args:
        labels: one integer for each node or graph.
        count: of those.
        classes: how many have names.
        what: is labelled, for the message.
    """
    if labels.shape != (count,) or labels.dtype.is_floating_point or labels.dtype.is_complex:
        raise DataError(
            f"labels of shape {tuple(labels.shape)} and {labels.dtype} for {counted(count, what)}: one integer each"
        )
    labels = labels.long()
    if count and int(labels.max()) >= classes:
        place = int(labels.argmax())
        raise DataError(
            f"{what} {place} has the label {int(labels[place])} and there are {classes} names of classes: "
            "give each number up to the largest a name, or number the classes without gaps"
        )
    return labels


def checked_parts(splits: Mapping[str, Tensor], labels: Tensor, what: str) -> dict[str, Tensor]:
    """Each part as numbers; no node or graph is in two, or without a label in one.

    Args:
        splits: numbers or masks by name.
        labels: (n,) int64.
        what: has the labels, for the message.
    """
    found, times = {}, torch.zeros(len(labels), dtype=torch.long)
    for name, part in splits.items():
        found[name] = numbers_of(name, part, labels, what)
        times += torch.bincount(found[name], minlength=len(labels))
    if len(labels) and int(times.max()) > 1:
        place = int(times.argmax())
        names = " and ".join(name for name, numbers in found.items() if bool((numbers == place).any()))
        raise DataError(
            f"{what} {place} is {int(times[place])} times in the split ({names}): put each {what} in one part, once"
        )
    return found


def checked_features(names: Collection[str], columns: int) -> None:
    """Refuse names of features that are not one for each column, or name two alike; there may be none.

    Args:
        names: of the columns.
        columns: how many there are.
    """
    if names and len(set(names)) != columns:
        raise DataError(f"{len(set(names))} names of features for {columns} columns: give each its own")


def checked_columns(path: Path, columns: Iterable[str], read: Collection[str], what: str, mend: str) -> None:
    """Refuse columns of a table that nobody reads: what they say would be lost, and a misspelt one, without a word.

    Args:
        path: of the table.
        columns: that it has.
        read: those that are looked at.
        what: the rows are, for the message.
        mend: what else to do than to take the others out.

    Raises:
        DataError: there are others.
    """
    others = [column for column in columns if column not in read]
    if others:
        raise DataError(
            f"{path} has the columns {others}, which are not read: {what} have {', '.join(read)}; take the others out, {mend}"
        )
