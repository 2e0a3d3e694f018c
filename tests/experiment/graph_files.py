"""Small sets of graphs with classes, in memory and as the user's own folder."""

from __future__ import annotations

from pathlib import Path

import torch

from renote.data import Card, GraphData
from renote.graph import Adjacency, Graph, batch


def told(count: int = 40) -> GraphData:
    """One node each, whose feature is the class."""
    labels = torch.arange(count) % 2
    graphs = batch([Graph(torch.eye(2)[[label]], Adjacency.from_edges([], [], 1)) for label in labels.tolist()])
    nothing = torch.empty(0, dtype=torch.long)
    card = Card("told", "", "graphs", count, (2,), ("a", "b"), "", "")
    return GraphData("told", card, graphs, labels, nothing, nothing, nothing, ("a", "b"))


def write_graphs(folder: Path, count: int = 24) -> Path:
    """Paths and stars, with classes, as the user's own folder of tables."""
    folder.mkdir()
    rows = ["graph,label"]
    for k in range(count):
        size, name = 4 + k % 5, f"g{k}"
        edges = [(0, j) if k % 2 else (j - 1, j) for j in range(1, size)]
        (folder / f"{name}.csv").write_text("source,target\n" + "".join(f"{a},{b}\n" for a, b in edges))
        rows.append(f"{name},{'star' if k % 2 else 'path'}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder
