"""Small graphs to generate, drawn when loaded: two communities, and planar ones.

    communities    halves of 6 to 10 nodes each; an edge within a half with probability 0.7, and 0.05 n between the halves, at least one
    planar         Delaunay's triangulation of points drawn evenly from a square

As the sets of graph generators: You et al. 2018 (GraphRNN, "community-small"), Martinkus et al. 2022 (SPECTRE, "planar").
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from renote.data.card import Card
from renote.data.form import GraphForm
from renote.data.types import SampleData
from renote.errors import DataError
from renote.graph.row import node_pairs, sites_there

EDGES = ("none", "edge")


def load(
    card: Card, *, graphs: int = 1200, least: int = 12, most: int = 20, test_fraction: float = 0.2, seed: int = 0
) -> SampleData:
    """Graphs as rows (n, sites).

    Args:
        card: of `small-communities` or `small-planar`.
        graphs: how many.
        least: nodes of the smallest.
        most: nodes of the largest.
        test_fraction: share to hold out.
        seed: of everything.

    Raises:
        DataError: an option out of its range.
    """
    if graphs < 2 or not 4 <= least <= most or not 0 <= test_fraction < 1:
        raise DataError(
            f"graphs is {graphs}, least {least}, most {most} and test_fraction {test_fraction}: "
            "needs graphs >= 2, 4 <= least <= most and 0 <= test_fraction < 1"
        )
    generator = torch.Generator().manual_seed(seed)
    size = torch.randint(least, most + 1, (graphs,), generator=generator)
    joined = (_communities if card.name == "small-communities" else _planar)(size, most, generator)
    i, j = node_pairs(most)
    form = GraphForm(most, ("node",), EDGES)
    row = torch.cat([torch.zeros(graphs, most, dtype=torch.bool), joined[:, i, j]], 1).to(torch.uint8)
    row = row.where(sites_there(most)[size - 1], form.absent)
    held = round(test_fraction * graphs)
    counts = {"train": graphs - held, "test": held, "nodes": most}
    card = dataclasses.replace(card, size=graphs, shape=(row.shape[1],), counts=counts)
    return SampleData(card.name, card, row[held:], None, row[:held], None, range=(0.0, float(form.absent)), graphs=form)


def _communities(size: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """(graphs, N, N) bool: the first half of the nodes is one community."""
    place = torch.arange(most)
    half = (size // 2)[:, None]
    second = place >= half
    same = second[:, :, None] == second[:, None]
    drawn = torch.rand(len(size), most, most, generator=generator)
    # of the pairs between halves, as many are joined on average as the graph has twentieths of nodes; the first pair of them surely is
    between = 0.05 * size / (half[:, 0] * (size - half[:, 0]))
    joined = drawn < torch.where(same, torch.tensor(0.7), between[:, None, None])
    graph = torch.arange(len(size))
    joined[graph, 0, half[:, 0]] = True
    upper = joined.triu(1)
    return upper | upper.mT


def _planar(size: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """(graphs, N, N) bool."""
    from scipy.spatial import Delaunay

    points = torch.rand(len(size), most, 2, generator=generator, dtype=torch.float64).numpy()
    joined = np.zeros((len(size), most, most), bool)
    for graph, count in enumerate(size.tolist()):
        corners = Delaunay(points[graph, :count]).simplices
        for a, b in ((0, 1), (1, 2), (0, 2)):
            joined[graph, corners[:, a], corners[:, b]] = joined[graph, corners[:, b], corners[:, a]] = True
    return torch.from_numpy(joined)
