"""The user's own graph as two tables: `graph:EDGES.csv,NODES.csv`, or with .parquet.

Edges have the columns `source`, `target` and optionally `weight` and `relation`, the name of an edge's type; nodes have `id`, `label`, optionally `split`, and
every other column is a feature. An empty label is unknown; without that column, nodes can be clustered or predicted, and `split` is not looked at. Where a node may be of several classes, `labels` has their
names with | between them in the place of `label`, or | alone where it is known to be of none. Where the nodes are of several graphs, `graph` names that of each, and whole graphs are trained on, validated on or tested on.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from renote.data import parquet
from renote.data.card import Card
from renote.data.checked import checked_columns
from renote.data.table_split import by_graph, parts_of, refuse_crossing
from renote.data.types import NodeData
from renote.errors import DataError, unknown
from renote.graph import Adjacency, Graph, SparseFeatures, degree_features, identity_features

SPLITS = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation", "test": "test"}
_NOT_FEATURES = ("id", "label", "labels", "split", "graph")
_OF_EDGES = ("source", "target", "weight", "relation")
_OWN_NAMES = {*_NOT_FEATURES, *_OF_EDGES, "user", "item", "rating", "head", "tail"}


def load(
    path: str,
    *,
    directed: bool = False,
    features: Literal["table", "identity", "degree"] | None = None,
    validation_fraction: float = 0.2,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> NodeData:
    """A graph with node features and classes, or several as one in parts, where the nodes have a column `graph`.

    Args:
        path: `EDGES.csv,NODES.csv`, each with a header line; commas, semicolons or tabs between columns. Either may be a `.parquet` file.
        directed: messages go from source to target only; else in both directions, along edges of the same relation.
        features: `"table"`, the columns of numbers; `"identity"`, a column of its own for each node, so that a network's first layer learns a
            vector for each; `"degree"`, that of the node, one column for each up to 255; None takes the table's where it has any, else the identity, of several graphs the degree.
        validation_fraction: share of each class, or of the graphs, if the nodes have no column `split`.
        test_fraction: share of each class, likewise.
        seed: of that split.

    Raises:
        DataError: a file, column or value is missing or wrong; the message names the file and the line.
    """
    edges_path, nodes_path = _two_paths(path)
    nodes, graph_of_node, graphs = by_graph(Table.read(nodes_path, required=("id",)))
    ids, number = nodes.text("id"), numbered_ids(nodes)

    labels, known, classes = _labels(nodes)
    edges = Table.read(edges_path, required=("source", "target"))
    adjacency, relation, relations = typed_edges(edges, number, nodes_path, directed)
    if graph_of_node is not None:
        refuse_crossing(edges, number, graph_of_node, graphs)
    x, columns = _features(nodes, adjacency, features)
    parts = parts_of(nodes, known, graph_of_node, validation_fraction, test_fraction, seed)
    count = adjacency.num_edges if directed else undirected_count(adjacency)
    repeated = len(edges.lines) - count
    card = Card(
        name=f"graph:{path}",
        title=f"Graph of the tables {edges_path.name} and {nodes_path.name}",
        kind="nodes",
        size=len(number),
        shape=(x.shape[1],),
        classes=classes,
        source=path,
        licence="the owner's",
        counts={
            "edges": count,
            **({"repeated rows": repeated} if repeated else {}),
            **({"relations": len(relations)} if relations else {}),
            **({"graphs": len(graphs)} if graphs else {}),
            **{name: len(part) for name, part in zip(("train", "validation", "test"), parts)},
        },
    )
    graph = Graph(x, adjacency, relation=relation, graph_of_node=graph_of_node, num_graphs=len(graphs) or 1)
    return NodeData(card.name, card, graph, labels, *parts, classes, names=ids, relations=relations, features=columns)


def _labels(nodes: Table) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Labels as `NodeData` has them; for each node a number below 0 where its label is unknown; and the classes."""
    given = [column for column in ("label", "labels") if column in nodes.columns]
    if len(given) > 1:
        raise DataError(
            f"{nodes.path} has the columns 'label' and 'labels': keep 'label' for one class a node, 'labels' for several"
        )
    # without a column of labels the nodes can be clustered, if not classified
    cells = nodes.text(given[0]) if given else [""] * len(nodes.lines)
    if given and not any(cell.strip("|") for cell in cells):
        raise DataError(
            f"{nodes.path}: no node has a label; fill the column {given[0]!r} where it is known, or leave it out"
        )
    if given != ["labels"]:
        labels, classes = labels_of(cells)
        return labels, labels, classes
    of_node = [[name.strip() for name in cell.split("|")] if cell.strip("|") else [] for cell in cells]
    for row, names in enumerate(of_node):
        if "" in names:
            raise DataError(
                f"{nodes.at(row)}: the labels {cells[row]!r} have an empty name: write names with | between"
            )
    number, classes = labels_of([name for names in of_node for name in names])
    node = torch.tensor([row for row, names in enumerate(of_node) for _ in names])
    several = torch.zeros(len(of_node), len(classes), dtype=torch.bool)
    several[node, number] = True
    return several, torch.tensor([0 if cell else -1 for cell in cells]), classes


def _features(nodes: Table, adjacency: Adjacency, kind: str | None) -> tuple[Tensor | SparseFeatures, tuple[str, ...]]:
    """Features, and the names of their columns; those of the identity are the nodes', those of degrees have none."""
    columns = feature_columns(nodes)
    if kind is None:
        # as in section 4.1 of Kipf & Welling (2017), where X is the identity; which says nothing of another graph's nodes
        kind = "table" if columns else "degree" if "graph" in nodes.columns else "identity"
    if kind == "identity":
        return identity_features(adjacency.num_nodes), nodes.text("id")
    if kind == "degree":
        return degree_features(adjacency), ()
    if kind != "table":
        raise unknown("kind of features", kind, ["table", "identity", "degree"])
    if not columns:
        raise DataError(
            f"{nodes.path} has no column of features: add some, or give features=identity or features=degree"
        )
    return attributes_of(nodes), columns


def numbered_ids(nodes: Table) -> dict[str, int]:
    """The row of each `id`; one that is there twice is a `DataError`, which names the line."""
    ids = nodes.text("id")
    number = dict(zip(ids, range(len(ids))))
    if len(number) < len(ids):
        place = next(k for k, name in enumerate(ids) if number[name] != k)
        raise DataError(
            f"{nodes.at(place)}: the id {ids[place]!r} appears again: give each node its own, also if they are of several graphs"
        )
    return number


def feature_columns(nodes: Table) -> tuple[str, ...]:
    """The columns of numbers: all but those that have a meaning of their own."""
    return tuple(column for column in nodes.columns if column not in _NOT_FEATURES)


def attributes_of(nodes: Table) -> Tensor:
    """(rows, columns) the columns of numbers; the message of a `DataError` names file, line and column."""
    columns = feature_columns(nodes)
    if not columns:
        raise DataError(f"{nodes.path} has no column of attributes: add one, a number in each row")
    for column in columns:
        if column.lower().removesuffix("_mask") in SPLITS and set(nodes.numbers(column)) <= {0.0, 1.0}:
            raise DataError(
                f"{nodes.path} has the column {column!r} of 0 and 1, which would be a feature: name the part of each node in one column "
                "'split' (train, validation or test); or give a feature another name"
            )
    return torch.from_numpy(np.stack([nodes.numbers(column) for column in columns], 1)).float()


@dataclass(frozen=True)
class Table:
    """The columns of a file by name, and where each row is in it.

    Args:
        path: of the file.
        columns: cells by name.
        lines: where the rows are.
        unit: what those are numbers of.
    """

    path: Path
    columns: dict[str, tuple[str, ...] | parquet.Column]
    lines: Sequence[int]
    unit: str = "line"

    @classmethod
    def read(cls, path: Path, required: Sequence[str]) -> Table:
        """The table of a .csv or .parquet file; the message of a `DataError` names the file and the line."""
        if not path.is_file():
            raise DataError(f"the file {str(path)!r} {'is a folder' if path.is_dir() else 'does not exist'}")
        if path.suffix.lower() in (".parquet", ".pq"):
            found = parquet.read(path)
            columns: dict[str, tuple[str, ...] | parquet.Column] = dict(
                zip(_header(path, list(found), required), found.values())
            )
            return cls(path, columns, range(1, 1 + len(next(iter(found.values())))), "row")
        try:
            with path.open(newline="", encoding="utf-8-sig") as stream:
                first = stream.readline()
                delimiter = max(",;\t", key=first.count)
                stream.seek(0)
                reader = csv.reader(stream, delimiter=delimiter, strict=True)
                rows = [(reader.line_num, row) for row in reader if row]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{path} cannot be read as a table in UTF-8: {error}") from error
        if not rows:
            raise DataError(f"{path} is empty: its first line must name the columns ({', '.join(required)}, …)")
        header = _header(path, rows[0][1], required)
        wrong = next((line for line, row in rows[1:] if len(row) != len(header)), None)
        if wrong is not None:
            raise DataError(f"{path}, line {wrong}: the number of values is not {len(header)}, that of the header")
        body = [row for _, row in rows[1:]]
        cells = [tuple(map(str.strip, column)) for column in zip(*body)] if body else [() for _ in header]
        return cls(path, dict(zip(header, cells)), tuple(line for line, _ in rows[1:]))

    def take(self, rows: NDArray[np.int64]) -> Table:
        """Some rows in an order, each with the line where it is."""
        places = rows.tolist()
        columns = {
            name: cells.take(rows) if isinstance(cells, parquet.Column) else tuple(cells[place] for place in places)
            for name, cells in self.columns.items()
        }
        return Table(self.path, columns, [self.lines[place] for place in places], self.unit)

    def at(self, row: int) -> str:
        """Where a row is, for a message."""
        return f"{self.path}, {self.unit} {self.lines[row]}"

    def text(self, column: str) -> tuple[str, ...]:
        """A column as text."""
        cells = self.columns[column]
        found = cells.text() if isinstance(cells, parquet.Column) else cells
        if column in ("id", "source", "target") and "" in found:
            raise DataError(
                f"{self.at(found.index(''))}: the {column} is empty: give each row one, or take the row out"
            )
        return found

    def splits(self, empty: bool = False) -> list[str]:
        """The column `split`: train, validation or test; "" where a row has none.

        Args:
            empty: whether a row may have none.

        Raises:
            DataError: another word; the message names the line.
        """
        cells = [cell.lower() for cell in self.text("split")]
        for row, cell in enumerate(cells):
            if cell not in SPLITS and (cell or not empty):
                raise DataError(f"{self.at(row)}: {unknown('split', cell, SPLITS)}")
        return [SPLITS.get(cell, "") for cell in cells]

    def numbers(self, column: str) -> NDArray[np.float64]:
        """A column as numbers, all finite."""
        cells = self.columns[column]
        values = cells.numbers() if isinstance(cells, parquet.Column) else None
        if values is None:
            values = self._parsed(column)
        finite = np.isfinite(values)
        if not finite.all():
            row = int(finite.argmin())
            shown = self.text(column)[row] or "a missing value"
            raise DataError(f"{self.at(row)}: {shown!r} in the column {column!r} is not finite: replace it")
        large = np.abs(values) > np.finfo(np.float32).max
        if large.any():
            row = int(large.argmax())
            raise DataError(
                f"{self.at(row)}: {self.text(column)[row]!r} in the column {column!r} is too large for single precision, which ends at 3.4e38: scale it"
            )
        return values

    def _parsed(self, column: str) -> NDArray[np.float64]:
        cells = self.text(column)
        try:
            return np.array(cells, dtype=np.float64)
        except ValueError:
            row = next(k for k, cell in enumerate(cells) if not _is_number(cell))
            raise DataError(f"{self.at(row)}: {cells[row]!r} in the column {column!r} is not a number") from None


def _header(path: Path, names: Sequence[str], required: Sequence[str]) -> list[str]:
    header = [name.strip() for name in names]
    header = [name.lower() if name.lower() in _OWN_NAMES else name for name in header]
    for column in required:
        if column not in header:
            raise DataError(f"{path} has the columns {header}: the column {column!r} is missing")
    if len(set(header)) < len(header):
        raise DataError(f"{path} names a column twice: {header}")
    return header


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _two_paths(path: str) -> tuple[Path, Path]:
    """The two files, at whichever comma leaves two that exist; file names may hold commas themselves."""
    commas = [place for place, letter in enumerate(path) if letter == ","]
    pairs = [(Path(path[:k].strip()).expanduser(), Path(path[k + 1 :].strip()).expanduser()) for k in commas]
    if not pairs:
        raise DataError(f"'graph:{path}' names one file: write graph:EDGES.csv,NODES.csv")
    return next((pair for pair in pairs if pair[0].is_file() and pair[1].is_file()), pairs[0])


def adjacency_of(edges: Table, number: dict[str, int], nodes_path: Path, directed: bool) -> Adjacency:
    """The edges of a table without types between nodes that are numbered by their ids, each once."""
    if "relation" in edges.columns:
        raise DataError(
            f"{edges.path} has the column 'relation': edges of several types are read of one graph in two tables, "
            "graph:EDGES.csv,NODES.csv; leave it out here"
        )
    return typed_edges(edges, number, nodes_path, directed)[0]


def typed_edges(
    edges: Table, number: dict[str, int], nodes_path: Path, directed: bool
) -> tuple[Adjacency, Tensor | None, tuple[str, ...]]:
    """The edges of a table between nodes that are numbered by their ids, each once for each relation that it is of.

    Returns:
        The edges; the relation (edges,) of each, in their order, and the relations' names by number, sorted as classes are: None and none without that column.
    """
    mend = "or make a NodeData in Python whose graph has edge_features"
    checked_columns(edges.path, edges.columns, _OF_EDGES, "edges", mend)
    relation, relations = _relation(edges)
    ends: list[NDArray[np.int64]] = []
    for column in ("source", "target"):
        names = edges.text(column)
        found = list(map(number.get, names))
        if None in found:
            row = found.index(None)
            name = names[row]
            raise DataError(
                f"{edges.at(row)}: the {column} {name!r} is not an id in {nodes_path}: correct it or add the node"
            )
        ends.append(np.array(found, dtype=np.int64))
    source, target = ends
    weight = edges.numbers("weight") if "weight" in edges.columns else None
    if not directed:
        source, target = np.concatenate([source, target]), np.concatenate([target, source])
        weight = None if weight is None else np.concatenate([weight, weight])
        relation = np.concatenate([relation, relation])
    place = (target * max(len(number), 1) + source) * max(len(relations), 1) + relation
    _, first, group = np.unique(place, return_index=True, return_inverse=True)
    if weight is not None:
        differs = weight != weight[first][group]
        if differs.any():
            row = int(differs.argmax()) % len(edges.lines)
            raise DataError(f"{edges.at(row)}: this edge has another weight elsewhere in the file: keep one")
        weight = weight[first]
    # in the adjacency's order already
    adjacency = Adjacency.from_edges(
        torch.from_numpy(source[first]),
        torch.from_numpy(target[first]),
        len(number),
        None if weight is None else torch.from_numpy(weight).float(),
    )
    return adjacency, torch.from_numpy(relation[first]) if "relation" in edges.columns else None, relations


def _relation(edges: Table) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The relation of each row, 0 for all without that column, and the names."""
    if "relation" not in edges.columns:
        return np.zeros(len(edges.lines), dtype=np.int64), ()
    cells = edges.text("relation")
    if "" in cells:
        raise DataError(
            f"{edges.at(cells.index(''))}: the edge has no relation: name it, or leave the column 'relation' out"
        )
    relation, relations = labels_of(cells)
    return relation.numpy(), relations


def undirected_count(adjacency: Adjacency) -> int:
    """Edges of a graph that has both directions of each."""
    loops = int((adjacency.source == adjacency.target).sum())
    return (adjacency.num_edges - loops) // 2 + loops


def labels_of(cells: Sequence[str]) -> tuple[Tensor, tuple[str, ...]]:
    """Numbers of classes, -1 where empty; and their names, sorted as numbers if they all are whole numbers."""
    found = {cell for cell in cells if cell}
    whole = all(cell.removeprefix("-").isdecimal() for cell in found)
    classes = tuple(sorted(found, key=int) if whole else sorted(found))
    number = {"": -1, **dict(zip(classes, range(len(classes))))}
    return torch.tensor([number[cell] for cell in cells], dtype=torch.int64), classes
