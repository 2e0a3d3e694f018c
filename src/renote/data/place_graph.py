"""Edges between the places of samples that are signals on one graph: sensors, regions, markers."""

from __future__ import annotations

from pathlib import Path

from renote.data.table import Table, adjacency_of
from renote.errors import DataError
from renote.graph import Adjacency


def place_graph(path: str, places: int) -> Adjacency:
    """The undirected graph of a table of edges.

    Args:
        path: a table with the columns `source` and `target`, numbers of places from 0, row by row in a sample; and `weight`, above 0, if edges have one.
        places: of a sample.

    Raises:
        DataError: a column or value is missing or wrong; the message names the file and the line.
    """
    edges = Table.read(Path(path).expanduser(), required=("source", "target"))
    for column in ("source", "target"):
        for row, cell in enumerate(edges.text(column)):
            if not (cell.isdecimal() and int(cell) < places):
                raise DataError(
                    f"{edges.at(row)}: the {column} {cell!r} is no place: a sample has {places}, from 0 to {places - 1}"
                )
    if "weight" in edges.columns and len(edges.lines) and edges.numbers("weight").min() <= 0:
        raise DataError(f"{edges.path} has weights that are not above 0: take these edges out")
    number = {cell: int(cell) for column in ("source", "target") for cell in edges.text(column)}
    number |= {str(place): place for place in range(places)}
    if len(number) > places:
        raise DataError(
            f"{edges.path} writes a place in two ways, as 07 and 7: write numbers without zeros before them"
        )
    return adjacency_of(edges, number, edges.path, directed=False)
