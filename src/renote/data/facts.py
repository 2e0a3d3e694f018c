"""Knowledge graphs whose missing facts are looked for: the usual four, and the user's own, `facts:FILE.tsv`.

FILE.tsv            head TAB relation TAB tail, a line a fact; or a table (.csv, .tsv, .parquet) with the columns head, relation, tail[, split]
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from renote.data import store
from renote.data.card import Card
from renote.data.facts_data import FactData
from renote.data.split import check_fractions
from renote.data.table import Table
from renote.errors import DataError

_COLUMNS = ("head", "relation", "tail")


def load(path: str, *, validation_fraction: float = 0.1, test_fraction: float = 0.1, seed: int = 0) -> FactData:
    """The user's own facts.

    A fact that is there again counts once; the card counts those that were dropped, `repeated`. For each entity and each relation one fact that it is in is
    always trained on, since nothing could be said of it otherwise.

    Args:
        path: lines of three names with tabs between them, or a table with the columns `head`, `relation`, `tail` and optionally `split`.
        validation_fraction: share of the facts, rounded down, unless there is a column `split`.
        test_fraction: share of the facts, likewise.
        seed: of that split.

    Raises:
        DataError: a file, column or value is missing or wrong; the message names file and line.
        UsageError: shares that leave nothing to train on.
    """
    check_fractions(validation_fraction, test_fraction)
    file = Path(path).expanduser()
    rows, splits = _own(file)
    entities, relations, facts = numbered(rows)
    first = _first_of_each(facts)
    counts = {"relations": len(relations), "repeated": len(facts) - len(first)}
    facts = facts[first]
    card = Card(
        name=f"facts:{path}",
        title=f"Facts of the table {file.name}",
        kind="facts",
        size=len(facts),
        shape=(len(entities), len(relations)),
        classes=(),
        source=path,
        licence="the owner's",
        counts=counts,
    )
    if splits is None:
        parts = split_facts(facts, len(entities), len(relations), validation_fraction, test_fraction, seed)
    else:
        part = np.array(splits)[first.numpy()]
        train, held, tested = (facts[torch.from_numpy(part == name)] for name in ("train", "validation", "test"))
        if not len(train):
            raise DataError(f"{path}: no fact has the split 'train'")
        parts = train, held, tested
    return FactData(card.name, card, entities, relations, *parts)


def load_named(card: Card) -> FactData:
    """A knowledge graph that has a name, in its published parts.

    Entities that only occur in what is validated or tested on are entities too; the card counts them, `untrained`.

    Args:
        card: of the data set.
    """
    rows: list[list[Sequence[str]]] = []
    with tarfile.open(fileobj=io.BytesIO(store.read(card, card.files[0]))) as archive:
        for name in ("train.txt", "valid.txt", "test.txt"):
            member = archive.extractfile(name)
            assert member is not None
            rows.append([line.split("\t") for line in member.read().decode().splitlines()])
    entities, relations, facts = numbered([row for part in rows for row in part])
    train, held, tested = torch.split(facts, [len(part) for part in rows])
    return FactData(card.name, card, entities, relations, train, held, tested)


def numbered(rows: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], tuple[str, ...], Tensor]:
    """Names of entities and relations in order, and the facts (n, 3) as numbers.

    Args:
        rows: head, relation and tail each.
    """
    entities = sorted({name for head, _, tail in rows for name in (head, tail)})
    relations = sorted({relation for _, relation, _ in rows})
    entity, kind = ({name: place for place, name in enumerate(names)} for names in (entities, relations))
    found = [(entity[head], kind[relation], entity[tail]) for head, relation, tail in rows]
    return tuple(entities), tuple(relations), torch.tensor(found, dtype=torch.long).view(-1, 3)


def split_facts(
    facts: Tensor, entities: int, relations: int, validation: float, test: float, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Train, validation and test, drawn; the first fact drawn of each entity and relation stays in train.

    Args:
        facts: (n, 3), each once.
        entities: number of them.
        relations: number of them.
        validation: share, rounded down.
        test: share, rounded down. Where too few facts may be held out, both parts shrink alike.
        seed: of the draw.
    """
    drawn = facts[torch.randperm(len(facts), generator=torch.Generator().manual_seed(seed))]
    place = torch.arange(len(drawn))
    needed = torch.zeros(len(drawn), dtype=torch.bool)
    for names, count in ((drawn[:, [0, 2]], entities), (drawn[:, 1:2], relations)):
        first = torch.full((count,), len(drawn))
        first.scatter_reduce_(0, names.flatten(), place.repeat_interleave(names.shape[1]), "amin")
        needed[first[first < len(drawn)]] = True
    free = (~needed).nonzero().squeeze(1)
    # a share times a whole number may fall just short of the whole number it is
    held, tested = (int(len(drawn) * share + 1e-9) for share in (validation, test))
    if held + tested > len(free):
        tested = len(free) * tested // (held + tested)
        held = len(free) - tested
    parts = free[tested : tested + held], free[:tested]
    kept = torch.ones(len(drawn), dtype=torch.bool)
    kept[torch.cat(parts)] = False
    return drawn[kept], drawn[parts[0]], drawn[parts[1]]


def _own(file: Path) -> tuple[list[Sequence[str]], list[str] | None]:
    """The rows of a file and, where it tells them, their parts."""
    if file.suffix.lower() in (".parquet", ".pq") or _has_header(file):
        table = Table.read(file, required=_COLUMNS)
        columns = [table.text(name) for name in _COLUMNS]
        for name, cells in zip(_COLUMNS, columns, strict=True):
            if "" in cells:
                raise DataError(f"{table.at(cells.index(''))}: the {name} is empty")
        splits = None
        if "split" in table.columns:
            splits = table.splits()
        found: list[Sequence[str]] = list(zip(*columns, strict=True))
    else:
        splits, found = None, []
        for number, line in enumerate(lines_of(file), 1):
            if not line.strip():
                continue
            fact = [cell.strip() for cell in line.split("\t")]
            if len(fact) != 3 or "" in fact:
                raise DataError(
                    f"{file}, line {number}: {line[:60]!r} is no fact: write head, relation and tail with tabs between them, or a first line with the columns {', '.join(_COLUMNS)}"
                )
            found.append(fact)
    if not found:
        raise DataError(f"{file} has no facts")
    return found, splits


def _has_header(file: Path) -> bool:
    first = next(iter(lines_of(file)), "").lower()
    cells = {cell.strip().strip('"') for cell in first.split(max(",;\t", key=first.count))}
    return set(_COLUMNS) <= cells


def lines_of(file: Path) -> list[str]:
    """The lines of a text file.

    Raises:
        DataError: it cannot be read, or is not UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 text (byte {error.start}): save it as UTF-8") from error


def _first_of_each(facts: Tensor) -> Tensor:
    """(m,) places of each distinct fact's first row, increasing."""
    group = torch.unique(facts, dim=0, return_inverse=True)[1]
    first = torch.full((int(group.max()) + 1,), len(facts))
    return first.scatter_reduce(0, group, torch.arange(len(facts)), "amin").sort().values
