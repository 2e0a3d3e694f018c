"""Ratings as interactions: MovieLens-100k, Gowalla, and the user's own `ratings:FILE.csv` with columns user, item[, rating][, split]."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from renote.data import store
from renote.data.card import Card
from renote.data.ratings_data import RatingData
from renote.data.split import check_fractions
from renote.data.table import Table
from renote.errors import DataError, UsageError


def load(
    path: str,
    *,
    least: float | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> RatingData:
    """The user's own ratings.

    A pair that is there again counts once, with its highest rating (and the split of that row); the card counts the rows that were dropped for it, `repeated`, those below `least`, `below`, and the users
    that nothing is left of to train on, `untrained`.

    Args:
        path: a table with the columns `user`, `item`, optionally `rating` and `split`; .csv, .tsv or .parquet.
        least: rows with a lower rating are left out; None takes all.
        validation_fraction: share of each user's items, rounded down, unless there is a column `split`.
        test_fraction: share of each user's items, likewise. A user keeps at least one item to train on.
        seed: of that split.

    Raises:
        DataError: a file, column or value is missing or wrong, or `least` leaves nothing; the message names file and line.
    """
    check_fractions(validation_fraction, test_fraction)
    table = Table.read(Path(path).expanduser(), required=("user", "item"))
    users, items = table.text("user"), table.text("item")
    for column, cells in (("user", users), ("item", items)):
        if "" in cells:
            raise DataError(f"{table.at(cells.index(''))}: the {column} is empty")
    rating = table.numbers("rating") if "rating" in table.columns else np.ones(len(users))
    if least is not None and "rating" not in table.columns:
        raise DataError(f"{path} has no column 'rating', so least = {least} cannot be asked for: leave it out")
    if not len(users):
        raise DataError(f"{path} has no ratings")
    user_names, user = _numbered(users)
    item_names, item = _numbered(items)
    kept, repeated, below = _distinct(user, item, rating, len(item_names), least)
    if not len(kept):
        raise DataError(f"{path}: no rating is at least {least}: the highest is {rating.max():g}")
    pairs = torch.from_numpy(np.stack([user[kept], item[kept]], 1))
    card = Card(
        name=f"ratings:{path}",
        title=f"Ratings of the table {Path(path).name}",
        kind="ratings",
        size=len(kept),
        shape=(len(user_names), len(item_names)),
        classes=(),
        source=path,
        licence="the owner's",
        counts={"users": len(user_names), "items": len(item_names), "repeated": repeated, "below": below},
    )
    if "split" in table.columns:
        parts = _given(table, pairs, kept)
    else:
        parts = split_pairs(pairs, validation_fraction, test_fraction, seed)
    return _counted(RatingData(card.name, card, user_names, item_names, *parts))


def load_movielens(
    card: Card,
    *,
    least: float | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> RatingData:
    """MovieLens-100k: who rated which film; users and items have their own numbers as names.

    Args:
        card: of the data set.
        least: stars, 1 to 5; rows with fewer are left out; None takes all.
        validation_fraction: share of each user's films, rounded down.
        test_fraction: share of each user's films, likewise.
        seed: of that split.
    """
    check_fractions(validation_fraction, test_fraction)
    file = card.files[0]
    with zipfile.ZipFile(io.BytesIO(store.read(card, file))) as archive:
        table = np.loadtxt(io.BytesIO(archive.read(file.members[0])), dtype=np.int64)
    users, items = int(table[:, 0].max()), int(table[:, 1].max())
    user, item, rating = table[:, 0] - 1, table[:, 1] - 1, table[:, 2].astype(np.float64)
    kept, _, below = _distinct(user, item, rating, items, least)
    if not len(kept):
        raise UsageError(f"least = {least}: stars go from 1 to 5, so no rating is left")
    pairs = torch.from_numpy(np.stack([user[kept], item[kept]], 1))
    own = dataclasses.replace(card, size=len(kept), counts={"users": users, "items": items, "below": below})
    names = [tuple(map(str, range(1, 1 + count))) for count in (users, items)]
    parts = split_pairs(pairs, validation_fraction, test_fraction, seed)
    return _counted(RatingData(card.name, own, names[0], names[1], *parts))


def load_gowalla(card: Card, *, validation_fraction: float = 0.0, seed: int = 0) -> RatingData:
    """Check-ins of Gowalla in the split of NGCF and LightGCN.

    Args:
        card: of the data set.
        validation_fraction: share of each user's training items, rounded down, that is held out; none, as the papers report.
        seed: of that.
    """
    check_fractions(validation_fraction, 0.0)
    train, test = (_rows(store.read(card, file).decode(), file.name) for file in card.files)
    train, validation, _ = split_pairs(train, validation_fraction, 0.0, seed)
    names = [tuple(map(str, range(count))) for count in card.shape]
    return RatingData(card.name, card, names[0], names[1], train, validation, test)


def split_pairs(pairs: Tensor, validation: float, test: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Parts of each user's pairs, drawn: `⌊share · n⌋` of them; the rest, at least one, is trained on.

    Args:
        pairs: (n, 2) user and item.
        validation: share.
        test: share.
        seed: of the draw.

    Returns:
        train, validation and test, each sorted by user and item.
    """
    drawn = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed))
    order = drawn[pairs[drawn, 0].argsort(stable=True)]  # users in order, their items in a drawn one
    count = torch.bincount(pairs[:, 0])
    first = (count.cumsum(0) - count).repeat_interleave(count)
    place, size = torch.arange(len(pairs)) - first, count.repeat_interleave(count)
    # a share times a whole number may fall just short of the whole number it is
    held = [(size * share + 1e-9).long() for share in (test, validation)]
    held[1] = torch.minimum(held[1], (size - 1 - held[0]).clamp(min=0))
    part = (place < held[0]).long() * 2 + ((place >= held[0]) & (place < held[0] + held[1])).long()
    key = pairs[:, 0] * (int(pairs[:, 1].max()) + 1 if len(pairs) else 1) + pairs[:, 1]
    parts = [order[part == number] for number in range(3)]
    train, held_out, tested = (pairs[places[key[places].argsort()]] for places in parts)
    return train, held_out, tested


def _counted(data: RatingData) -> RatingData:
    """The data, whose card tells how many users have no item to train on."""
    counts = {**data.card.counts, "untrained": len(data.untrained)}
    return dataclasses.replace(data, card=dataclasses.replace(data.card, counts=counts))


def _numbered(cells: tuple[str, ...]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Names in order, as numbers if they all are whole numbers; and the number of each cell."""
    found = set(cells)
    whole = all(cell.isdecimal() for cell in found)
    names = tuple(sorted(found, key=lambda cell: (int(cell), cell)) if whole else sorted(found))
    number = dict(zip(names, range(len(names))))
    return names, np.fromiter(map(number.__getitem__, cells), np.int64, len(cells))


def _distinct(
    user: NDArray[np.int64], item: NDArray[np.int64], rating: NDArray[np.float64], items: int, least: float | None
) -> tuple[NDArray[np.int64], int, int]:
    """The row of each pair's highest rating, the first of equals; how many repeat a pair; how many pairs are below `least`."""
    order = np.lexsort((-rating, user * items + item))
    key = (user * items + item)[order]
    first = np.concatenate([[True], key[1:] != key[:-1]]) if len(key) else np.zeros(0, dtype=bool)
    kept = order[first]
    high = np.ones(len(kept), dtype=bool) if least is None else rating[kept] >= least
    return kept[high], len(order) - len(kept), int((~high).sum())


def _given(table: Table, pairs: Tensor, kept: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
    part = np.array(table.splits())[kept]
    train, validation, test = (
        pairs[torch.from_numpy(np.flatnonzero(part == name))] for name in ("train", "validation", "test")
    )
    if not len(train):
        raise DataError(f"{table.path}: no rating has the split 'train'")
    return train, validation, test


def _rows(text: str, name: str) -> Tensor:
    """Lines of "user item item …" as pairs."""
    users: list[int] = []
    counts: list[int] = []
    items: list[NDArray[np.int64]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = np.array(line.split(), dtype=np.int64)
        except ValueError:
            raise DataError(f"{name}, line {number}: {line[:40]!r} is not whole numbers") from None
        users.append(int(row[0]))
        counts.append(len(row) - 1)
        items.append(row[1:])
    user = np.repeat(np.array(users, dtype=np.int64), np.array(counts, dtype=np.int64))
    return torch.from_numpy(np.stack([user, np.concatenate(items) if items else user], 1))
