"""Enclosing subgraphs of pairs beside PyTorch Geometric, as its own example of SEAL makes them (examples/seal_link_pred.py): pair by pair, from `k_hop_subgraph` to the labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import row_with_memory
from renote.data import LinkData
from renote.errors import DataError
from renote.graph import Adjacency, dmon_pool, enclosing_subgraphs, with_label_features
from renote.graph.graph import Graph

LABELS = 64


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Rows of the table: subgraphs of one and of two hops on a graph of the SEAL paper or one of its size; DMoN's pool."""
    adjacency, pairs, name = _links(20 if quick else 300)
    rows = []
    for hops in (1, 2):
        note = f"{enclosing_subgraphs(adjacency, pairs, hops).num_edges / len(pairs):.0f} edges a pair; labels and one-hot features included"
        rows.append(
            row_with_memory(
                f"enclosing subgraphs of {len(pairs)} pairs, {hops} hop{'s' * (hops > 1)} ({name})",
                lambda hops=hops: with_label_features(enclosing_subgraphs(adjacency, pairs, hops), LABELS),  # type: ignore[misc]
                lambda hops=hops: _peer(adjacency.edge_index(), pairs, hops, adjacency.num_nodes),  # type: ignore[misc]
                2 if quick else 7,
                note,
            )
        )
    return [*rows, _dmon(quick)]


def _links(count: int) -> tuple[Adjacency, Tensor, str]:
    from renote import data

    try:
        found = data.load("yeast")
        assert isinstance(found, LinkData)
        return found.graph.adjacency, found.pairs[found.test][:: max(1, len(found.test) // count)][:count], "Yeast"
    except DataError:
        generator = torch.Generator().manual_seed(0)
        ends = torch.randint(2375, (2, 10_500), generator=generator)
        pairs = torch.randint(2374, (count, 2), generator=generator)
        pairs[:, 1] = (pairs[:, 0] + 1 + pairs[:, 1] % 2374) % 2375
        both = torch.cat([ends, ends.flip(0)], 1)
        return Adjacency.from_edges(both[0], both[1], 2375), pairs, "drawn graph of Yeast's size"


def _peer(index: Tensor, pairs: Tensor, hops: int, nodes: int) -> list[Any]:
    """What its example does for each pair: the nodes, the edges without the pair's own, two searches by SciPy, the labels."""
    from scipy.sparse.csgraph import shortest_path
    from torch_geometric.data import Batch, Data
    from torch_geometric.utils import k_hop_subgraph, to_scipy_sparse_matrix

    made = []
    for x, y in pairs.tolist():
        node, edges, place, _ = k_hop_subgraph([x, y], hops, index, relabel_nodes=True, num_nodes=nodes)
        a, b = place.tolist()
        own = ((edges[0] == a) & (edges[1] == b)) | ((edges[0] == b) & (edges[1] == a))
        edges = edges[:, ~own]
        low, high = min(a, b), max(a, b)
        matrix = to_scipy_sparse_matrix(edges, num_nodes=node.numel()).tocsr()
        without_high = np.r_[:high, high + 1 : matrix.shape[0]]
        to_low = shortest_path(matrix[without_high][:, without_high], directed=False, unweighted=True, indices=low)
        to_low = torch.from_numpy(np.insert(to_low, high, 0))
        without_low = np.r_[:low, low + 1 : matrix.shape[0]]
        to_high = shortest_path(matrix[without_low][:, without_low], directed=False, unweighted=True, indices=high - 1)
        to_high = torch.from_numpy(np.insert(to_high, low, 0))
        distance = to_low + to_high
        half = torch.div(distance, 2, rounding_mode="floor")
        label = 1 + torch.minimum(to_low, to_high) + half * (half + distance % 2 - 1)
        label[low] = label[high] = 1
        label[label.isnan() | label.isinf()] = 0
        features = torch.nn.functional.one_hot(label.long().clamp(max=LABELS), LABELS + 1).float()
        made.append(Data(x=features, edge_index=edges, num_nodes=node.numel()))
    batch: list[Any] = Batch.from_data_list(made)
    return batch


def _dmon(quick: bool) -> dict[str, Any]:
    """A pool of one graph, forward and backward; the peer's takes dense matrices."""
    from torch_geometric.nn import DMoNPooling

    nodes, degree, width, clusters = (300, 6, 16, 8) if quick else (4000, 10, 64, 16)
    generator = torch.Generator().manual_seed(0)
    ends = torch.randint(nodes, (2, nodes * degree // 2), generator=generator)
    both = torch.unique(torch.cat([ends, ends.flip(0)], 1), dim=1)
    adjacency = Adjacency.from_edges(both[0], both[1], nodes)
    x = torch.randn(nodes, width, generator=generator)
    graph, dense = Graph(x, adjacency), adjacency.to_dense(torch.float32)[None]
    layer, scores = DMoNPooling(width, clusters), torch.nn.Linear(width, clusters)

    def ours() -> None:
        found = dmon_pool(graph, x, scores(x))
        (found.spectral + found.collapse + found.graphs.x.sum()).backward()

    def theirs() -> None:
        _, out, _, spectral, _, collapse = layer(x[None], dense)
        (spectral + collapse + out.sum()).backward()

    return row_with_memory(
        f"DMoN pool, forward + backward ({nodes:,} nodes, {adjacency.num_edges:,} edges, {clusters} clusters)",
        ours,
        theirs,
        2 if quick else 9,
        f"the peer's matrix of nodes × nodes is {dense.numel() * 4 / 1e6:.0f} MB more, made before; here there is none",
    )
