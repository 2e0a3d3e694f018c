"""Knowledge graphs of typed statements in which some resources have classes (Ristoski, de Vries, Paulheim 2016)."""

from __future__ import annotations

import csv
import dataclasses
import io
import re

import torch
from torch import Tensor

from renote.data import store
from renote.data.card import Card
from renote.data.types import NodeData
from renote.errors import DataError
from renote.graph import Adjacency, Graph

_STATEMENT = re.compile(r"(\S+)\s+(<[^>]*>)\s+(.+?)\s*\.\s*")


def triples(text: str, name: str) -> list[tuple[str, str, str]]:
    """Subject, predicate and object of each line of N-Triples; empty lines and comments are passed over.

    Args:
        text: of the file.
        name: of the file, for errors.

    Raises:
        DataError: a line is no statement; the message has its number.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _STATEMENT.fullmatch(line.strip())
        if match is None:
            raise DataError(f"{name}, line {number} is no statement: write subject <predicate> object and a full stop")
        found.append((match[1], match[2], match[3]))
    return found


def load(card: Card, *, validation: float = 0.0, seed: int = 0) -> NodeData:
    """Resources and literals as nodes, statements as edges; each relation once along its statements and once against.

    Args:
        card: statements, then the tables of the training and the test part.
        validation: share of the training part to validate on, drawn at random; the paper draws a fifth to choose settings, and trains on all at last.
        seed: of that draw.

    Raises:
        DataError: files that are not the official ones, or a validation outside [0, 1).
    """
    if not 0 <= validation < 1:
        raise DataError(f"validation = {validation}: a share in [0, 1)")
    statements, *parts = card.files
    found = triples(store.read(card, statements).decode(), statements.name)
    names = sorted({end for subject, _, object_ in found for end in (subject, object_)})
    node = {name: number for number, name in enumerate(names)}
    kinds = {name: number for number, name in enumerate(sorted({predicate for _, predicate, _ in found}))}
    ends = torch.tensor([[node[subject], node[object_]] for subject, _, object_ in found])
    kind = torch.tensor([kinds[predicate] for _, predicate, _ in found])
    graph = _both_ways(ends, kind, len(names), len(kinds))
    rows = [_table(store.read(card, file).decode(), file.name) for file in parts]
    classes = sorted({label for row in rows for _, label in row})
    labels = torch.full((len(names),), -1, dtype=torch.long)
    numbers = []
    for row in rows:
        there = [(node[f"<{name}>"], classes.index(label)) for name, label in row if f"<{name}>" in node]
        places = torch.tensor([place for place, _ in there])
        labels[places] = torch.tensor([label for _, label in there])
        numbers.append(places)
    train, test = numbers
    order = train[torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))]
    held = round(validation * len(order))
    counts = {"statements": len(found), "relations": len(kinds), "train": len(train) - held, "validation": held}
    return NodeData(
        name=card.name,
        card=dataclasses.replace(card, counts=counts | {"test": len(test)}),
        graph=graph,
        labels=labels,
        train=order[held:].sort().values,
        validation=order[:held].sort().values,
        test=test,
        classes=card.classes,
        names=tuple(names),
    )


def _table(text: str, name: str) -> list[tuple[str, str]]:
    """The resources of a table and their labels; columns stand in any order."""
    reader = csv.DictReader(io.StringIO(text), delimiter="\t")
    columns = reader.fieldnames or []
    label = next((column for column in columns if column.startswith("label")), None)
    resource = next((column for column in columns if column not in ("id", label)), None)
    if label is None or resource is None:
        raise DataError(f"{name} has the columns {', '.join(columns)}: a resource and a label are needed")
    return [(row[resource], row[label].removesuffix(".0")) for row in reader]


def _both_ways(ends: Tensor, kind: Tensor, num_nodes: int, num_kinds: int) -> Graph:
    source, target = torch.cat([ends, ends.flip(1)]).unbind(1)
    relation = torch.cat([kind, kind + num_kinds])
    adjacency = Adjacency.from_edges(source, target, num_nodes)
    return Graph(None, adjacency, relation=relation if adjacency.order is None else relation[adjacency.order])
