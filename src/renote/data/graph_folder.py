"""The user's own graphs with a class each: `graphs:PATH`, a folder of tables of edges with a table of labels.

    PATH/labels.csv     columns `graph` and `label`, optionally `split` or `fold`; an empty label is unknown
    PATH/NAME.csv       the edges of the graph NAME: `source`, `target`, optionally `weight`, in all of them or in none
    PATH/nodes.csv      optional: `graph`, `id`, and every other column a feature

Each may be a .tsv or .parquet file in its place. Without a table of nodes, those of a graph are the ends of its edges, and their degrees are their features: a column for each up to 254, and one
for 255 and more; fewer where no degree is as high.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from renote.data.card import Card
from renote.data.split import partition, split_fold, stratified_folds
from renote.data.table import Table, adjacency_of, attributes_of, feature_columns, labels_of, undirected_count
from renote.data.table_split import given_split
from renote.data.types import GraphData
from renote.errors import DataError, counted
from renote.graph import Graph, batch, degree_features

_ENDINGS = (".csv", ".tsv", ".parquet", ".pq")
_OWN = ("labels", "nodes")
_MOST_DEGREES = 255
_NOT_OF_NODES = ("label", "labels", "split")


def load(
    path: str,
    *,
    directed: bool = False,
    folds: int = 0,
    fold: int | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
    degrees: int | None = None,
) -> GraphData:
    """Graphs with classes.

    Args:
        path: the folder.
        directed: messages go from source to target only; else in both directions.
        folds: of a cross-validation, each class in all of them, if the labels have no column `fold`; 0 for none.
        fold: which is tested on, from 1; None for the first, if there are folds.
        validation_fraction: share of each class, of what is not tested on if there are folds; unless the labels have a column `split`.
        test_fraction: share of each class, if there are neither folds nor a column `split`.
        seed: of what is drawn.
        degrees: where degrees are the features, that from which on they share a column; None for the highest there is, 255 at most.

    Raises:
        DataError: a file, column or value is missing or wrong, a graph has no row in the table of labels or a row no graph; the message names it.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise DataError(f"the folder {str(folder)!r} {'is a file' if folder.is_file() else 'does not exist'}")
    files = _files(folder)
    if "labels" not in files:
        raise DataError(f"{folder} has no labels.csv: it must give each graph's name and label (columns graph, label)")
    table = Table.read(files["labels"], required=("graph", "label"))
    names = table.text("graph")
    for row, name in enumerate(names):
        if name in _OWN or name not in files:
            raise DataError(f"{table.at(row)}: there is no table of edges {name}.csv in {folder}")
        if name in names[:row]:
            raise DataError(f"{table.at(row)}: the graph {name!r} appears before")
    without = sorted(set(files) - {*names, *_OWN})
    if without:
        raise DataError(
            f"{files[without[0]]} has no row in {files['labels']}: give the graph {without[0]!r} a label there, or an empty one if it is unknown"
        )
    if not names:
        raise DataError(f"{files['labels']} names no graph")
    labels, classes = labels_of(table.text("label"))
    _check_parts(table, folds, fold)
    nodes, features = _nodes(files["nodes"], names) if "nodes" in files else (None, ())
    each = [_graph(files[name], None if nodes is None else nodes[name], directed) for name in names]
    weighted = [graph.adjacency.weight is not None for graph in each]
    if any(weighted) and not all(weighted):
        there, missing = (files[names[weighted.index(which)]].name for which in (True, False))
        raise DataError(
            f"{folder}: the edges of {there} have the column 'weight', those of {missing} have none: give all tables of edges one, or none"
        )
    graphs = batch(each)
    if graphs.x is None:
        highest = int(graphs.adjacency.pattern.count.max()) if graphs.num_nodes else 0
        highest = min(highest, _MOST_DEGREES) if degrees is None else degrees
        graphs = graphs.with_x(degree_features(graphs.adjacency, highest).to_dense())
        features = degree_names(highest)
    card = Card(
        name=f"graphs:{path}",
        title=f"Graphs of the folder {folder.name}",
        kind="graphs",
        size=len(names),
        shape=(graphs.num_features,),
        classes=classes,
        source=path,
        licence="the owner's",
        counts={
            "nodes": graphs.num_nodes,
            "edges": graphs.num_edges if directed else undirected_count(graphs.adjacency),
        },
    )
    nothing = torch.empty(0, dtype=torch.long)
    if "split" in table.columns:
        parts = given_split(table, labels, "graph")
        return GraphData(card.name, card, graphs, labels, *parts, classes, names=names, features=features)
    given = _given_folds(table, labels) if "fold" in table.columns else ()
    if folds and not given:
        given = stratified_folds(labels, folds, seed, classes)
    if given:
        data = GraphData(
            card.name, card, graphs, labels, nothing, nothing, nothing, classes, given, names=names, features=features
        )
        return split_fold(data, 1 if fold is None else fold, seed, validation_fraction)
    parts = partition(labels, validation_fraction, test_fraction, seed) if classes else (nothing,) * 3
    return GraphData(card.name, card, graphs, labels, *parts, classes, names=names, features=features)


def degree_names(highest: int) -> tuple[str, ...]:
    """Names of the columns of degrees, the last for all from `highest` on."""
    return (*(f"degree {degree}" for degree in range(highest)), f"degree {highest} or more")


def _files(folder: Path) -> dict[str, Path]:
    """The tables of a folder by their names without the ending, each once."""
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in _ENDINGS:
            continue
        if file.stem in files:
            raise DataError(
                f"{folder} has {files[file.stem].name} and {file.name}: both would be {file.stem!r}; keep one, or give it another name"
            )
        files[file.stem] = file
    return files


def _check_parts(table: Table, folds: int, fold: int | None) -> None:
    """What tells the parts is told in one way, and a fold is only asked for where there are folds."""
    given = [column for column in ("split", "fold") if column in table.columns]
    if len(given) > 1:
        raise DataError(
            f"{table.path} has the columns 'split' and 'fold': keep 'split' for the parts, 'fold' for cross-validation"
        )
    if folds and given == ["split"]:
        raise DataError(f"folds = {folds}, but {table.path} has a column 'split', which tells the parts: leave one out")
    if fold is not None and not folds and given != ["fold"]:
        raise DataError(
            f"fold = {fold}, but the graphs have no folds: give folds=10 or so, or a column 'fold' in {table.path}"
        )


def _nodes(path: Path, names: tuple[str, ...]) -> tuple[dict[str, tuple[dict[str, int], Tensor]], tuple[str, ...]]:
    """For each graph the numbers of its nodes by id, and their features; and the names of these."""
    table = Table.read(path, required=("graph", "id"))
    for column in _NOT_OF_NODES:
        if column in table.columns:
            raise DataError(
                f"{path} has the column {column!r}, which is not read here: graphs have classes and parts, told in the table of labels; "
                "take it out, or give a feature another name"
            )
    columns = feature_columns(table)
    if not columns:
        raise DataError(f"{path} has no column of features: add some, or leave the file out and degrees are taken")
    values = attributes_of(table)
    ids: dict[str, dict[str, int]] = {name: {} for name in names}
    rows: dict[str, list[int]] = {name: [] for name in names}
    for row, (graph, node) in enumerate(zip(table.text("graph"), table.text("id"))):
        if graph not in ids:
            raise DataError(f"{table.at(row)}: the graph {graph!r} has no row in the table of labels")
        if node in ids[graph]:
            raise DataError(f"{table.at(row)}: the node {node!r} of the graph {graph!r} appears before")
        ids[graph][node] = len(ids[graph])
        rows[graph].append(row)
    return {name: (ids[name], values[torch.tensor(rows[name]).long()]) for name in names}, tuple(columns)


def _graph(path: Path, nodes: tuple[dict[str, int], Tensor] | None, directed: bool) -> Graph:
    edges = Table.read(path, required=("source", "target"))
    if nodes is None:
        ends = sorted({*edges.text("source"), *edges.text("target")})
        return Graph(None, adjacency_of(edges, {name: k for k, name in enumerate(ends)}, path, directed))
    return Graph(nodes[1], adjacency_of(edges, nodes[0], path.with_name("nodes.csv"), directed))


def _given_folds(table: Table, labels: Tensor) -> tuple[Tensor, ...]:
    cells = table.text("fold")
    for row, cell in enumerate(cells):
        if cell and not cell.isdecimal():
            raise DataError(f"{table.at(row)}: the fold {cell!r} is not a whole number")
        if cell and labels[row] < 0:
            raise DataError(f"{table.at(row)}: the graph is in the fold {cell} and has no label")
    numbers = sorted({int(cell) for cell in cells if cell})
    if len(numbers) < 2:
        raise DataError(f"{table.path} names {counted(len(numbers), 'fold')}: there must be at least two")
    return tuple(torch.tensor([r for r, cell in enumerate(cells) if cell and int(cell) == k]) for k in numbers)
