"""What surrounds a pair of nodes: its enclosing subgraph, all nodes within some hops of either, each labelled by its two distances. Of many pairs at once.

    f(i) = 1 + min(d_x, d_y) + (d / 2) [(d / 2) + (d % 2) - 1],  d = d_x + d_y             (double-radius label, division rounding down)

d_x is the distance to x in the subgraph without y, d_y that to y without x. Both targets have label 1, a node that one of them cannot reach has 0. The link of the pair itself is taken out.

Pairs go through in blocks: a block is a disjoint union from the start, in which node v of pair b has the key b · nodes + v, and a hop, a search and the edges inside are each one gather over
all its pairs.

Zhang & Chen (2018), "Link prediction based on graph neural networks", arXiv 1802.09691, section 3 and appendix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.features import _one_hot
from renote.graph.graph import Field, Graph
from renote.graph.heuristic import _checked, simple
from renote.graph.pattern import Pattern, repeated
from renote.graph.sparse import SparseFeatures

Ints = NDArray[np.int64]
_TABLE = 1 << 23
_BLOCK_PAIRS = 2048
_MOST_EDGES = 1 << 30


@dataclass(frozen=True)
class _Part:
    """A block of pairs: `count` nodes of each pair, `degree` edges that arrive at each node, where they come from within the block."""

    node: Ints
    label: Ints
    count: Ints
    degree: Ints
    source: NDArray[np.int32]


def enclosing_subgraphs(
    adjacency: Adjacency, pairs: Tensor, hops: int = 1, max_nodes_per_hop: int = 0, seed: int = 0
) -> Graph:
    """The enclosing subgraphs of pairs, as a batch.

    Args:
        adjacency: the links; loops, duplicates, directions and weights are not looked at.
        pairs: (n, 2) int64 two different nodes each.
        hops: how far from either target.
        max_nodes_per_hop: how many of the nodes that a hop reaches are kept, drawn for each pair; 0 keeps all.
        seed: of that draw, which is a function of it, the pair and the node.

    Returns:
        A graph each, nodes in their order; fields of kind node: `label`, the double-radius label, and `node`, the number in the whole. There are no features.

    Raises:
        UsageError: hops or the number of nodes is out of range, a pair is of one node, or there would be too many edges.
        DataError: there is no such node.

    Example:
        >>> import torch
        >>> from renote.graph import Adjacency, enclosing_subgraphs
        >>> square = Adjacency.from_edges([0, 1, 2, 3, 1, 2, 3, 0], [1, 2, 3, 0, 0, 1, 2, 3], num_nodes=4)
        >>> enclosing_subgraphs(square, torch.tensor([[0, 2]]))["label"].tolist()
        [1, 2, 1, 2]
    """
    ends = _checked(adjacency, pairs).cpu().numpy()
    if hops < 1:
        raise UsageError(f"hops is {hops}: at least one")
    if max_nodes_per_hop < 0:
        raise UsageError(f"max_nodes_per_hop is {max_nodes_per_hop}: 0 for all, or how many")
    if bool((ends[:, 0] == ends[:, 1]).any()):
        raise UsageError("a pair is of one node twice: only two nodes have a link")
    pattern, nodes = simple(adjacency).pattern, max(adjacency.num_nodes, 1)
    rowptr, column = pattern.rowptr.cpu().numpy().astype(np.int64), pattern.column.cpu().numpy().astype(np.int64)
    width = max(1, min(_BLOCK_PAIRS, _TABLE // nodes, max(1, len(ends))))
    table = np.full(width * nodes, -1, np.int32)
    parts: list[_Part] = []
    edges = 0
    for first in range(0, len(ends), width):
        part = _block(rowptr, column, ends[first : first + width], hops, max_nodes_per_hop, seed, table, nodes)
        edges += len(part.source)
        if edges > _MOST_EDGES:
            raise UsageError(
                f"the subgraphs of {first + width} of {len(ends)} pairs have {edges:.3g} edges, which is too many to keep: "
                "lower hops, or set max_nodes_per_hop, e.g. 100"
            )
        parts.append(part)
    return _joined(parts, len(ends))


def with_label_features(graph: Graph, highest: int) -> Graph:
    """The batch with the unit vector of min(label, highest) as a node's features, (nodes, highest + 1) sparse.

    Args:
        graph: of `enclosing_subgraphs`.
        highest: labels from here on share a feature.
    """
    return graph.with_x(_one_hot(graph["label"].clamp(max=highest), highest + 1))


def with_node_rows(graph: Graph, rows: Tensor) -> Graph:
    """The batch with each node's row beside its features, [x_i | r_node(i)], dense.

    Args:
        graph: of `with_label_features`.
        rows: (nodes of the whole, features), e.g. an embedding of the graph that the subgraphs are of.
    """
    x = graph.x.to_dense() if isinstance(graph.x, SparseFeatures) else graph.x
    own = rows.index_select(0, graph["node"])
    return graph.with_x(own if x is None else torch.cat([x.to(own.dtype), own], 1))


def _block(
    rowptr: Ints, column: Ints, ends: Ints, hops: int, most: int, seed: int, table: NDArray[np.int32], nodes: int
) -> _Part:
    start = np.arange(len(ends), dtype=np.int64)[:, None] * nodes + ends
    reached = [start.ravel()]
    table[reached[0]] = 0
    for hop in range(hops):
        key = reached[-1]
        near, owner = _neighbors(rowptr, column, key % nodes)
        asked = (key // nodes)[owner] * nodes + near
        asked = _first(asked[table[asked] < 0], table)
        if most:
            table[asked] = -1
            asked = _drawn(asked, nodes, most, seed + hop, ends)
        table[asked] = 0
        reached.append(asked)
    key = np.sort(np.concatenate(reached))
    table[key] = np.arange(len(key), dtype=np.int32)
    pair = key // nodes
    near, owner = _neighbors(rowptr, column, key % nodes)
    source = table[pair[owner] * nodes + near]
    x, y = table[start[:, 0]].astype(np.int64), table[start[:, 1]].astype(np.int64)
    table[key] = -1
    other = np.full(len(key), -1, np.int32)
    other[x], other[y] = y, x
    inside = (source >= 0) & (source != other[owner])
    source, owner = source[inside], owner[inside]
    degree = np.bincount(owner, minlength=len(key))
    starts = np.concatenate([[0], degree.cumsum()])
    far = [_distance(starts, source.astype(np.int64), root, blocked) for root, blocked in ((x, y), (y, x))]
    label = double_radius_labels(*far)
    label[x] = label[y] = 1
    return _Part(key % nodes, label, np.bincount(pair, minlength=len(ends)), degree, source)


def double_radius_labels(first: Ints, second: Ints) -> Ints:
    """f of two distances, 0 where one is below 0, which stands for no way.

    Args:
        first: (n,) d_x.
        second: (n,) d_y.

    Source:
        Zhang & Chen (2018), eq. 3.
    """
    half, odd = np.divmod(first + second, 2)
    label = 1 + np.minimum(first, second) + half * (half + odd - 1)
    return np.where((first < 0) | (second < 0), 0, label)


def _neighbors(rowptr: Ints, column: Ints, node: Ints) -> tuple[Ints, Ints]:
    """The neighbours of each of some nodes, and which of these they are of."""
    count = rowptr[node + 1] - rowptr[node]
    owner = np.repeat(np.arange(len(node)), count)
    begin = rowptr[node] - np.concatenate([[0], count.cumsum()[:-1]]) if len(node) else rowptr[:0]
    return column[np.arange(len(owner)) + begin[owner]], owner


def _first(key: Ints, table: NDArray[Any]) -> Ints:
    """Each key once, without a sort: of equal ones the one that is written last."""
    number = np.arange(len(key), dtype=table.dtype)
    table[key] = number
    kept: Ints = key[table[key] == number]
    return kept


def _drawn(key: Ints, nodes: int, most: int, seed: int, ends: Ints) -> Ints:
    """At most so many keys of each pair, those with the smallest of random numbers that are functions of seed, pair and node."""
    pair = key // nodes
    number = ends.astype(np.uint64)[pair]
    chance = _mixed(
        number.min(1) * np.uint64(nodes) + number.max(1) + np.uint64(0x9E3779B97F4A7C15 * (seed + 1) % 2**64)
    )
    chance = _mixed(chance + (key % nodes).astype(np.uint64))
    order = np.lexsort((chance, pair))
    ranked = pair[order]
    rank = np.arange(len(ranked)) - np.searchsorted(ranked, ranked)
    return key[order[rank < most]]


def _mixed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of SplitMix64."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = value ^ (value >> np.uint64(31))
    return mixed


def _distance(starts: Ints, source: Ints, root: Ints, blocked: Ints) -> Ints:
    """Steps from each pair's root to every node of its subgraph, not by its blocked node; -1 where there is no way. All pairs go on in step."""
    found = np.full(len(starts) - 1, -1, np.int64)
    found[blocked] = -2
    found[root] = 0
    frontier, step = root, 0
    scratch = np.empty(len(found), np.int64)
    while len(frontier):
        step += 1
        near, _ = _neighbors(starts, source, frontier)
        near = near[found[near] == -1]
        frontier = _first(near, scratch)
        found[frontier] = step
    found[blocked] = -1
    return found


def _joined(parts: list[_Part], pairs: int) -> Graph:
    def cat(name: str) -> Tensor:
        arrays = [getattr(part, name) for part in parts]
        return torch.from_numpy(np.concatenate(arrays)) if arrays else torch.empty(0, dtype=torch.long)

    count, degree = cat("count").long(), cat("degree")
    nodes = int(count.sum())
    index = torch.int32 if max(nodes, int(degree.sum())) < 2**31 - 1 else torch.int64
    firsts = np.concatenate([[0], np.cumsum([len(part.node) for part in parts])]) if parts else np.zeros(1)
    sources = [torch.from_numpy(part.source).to(index) + int(first) for part, first in zip(parts, firsts)]
    rowptr = torch.zeros(nodes + 1, dtype=index)
    rowptr[1:] = degree.cumsum(0)
    pattern = Pattern(rowptr, torch.cat(sources) if sources else torch.empty(0, dtype=index), nodes)
    fields = {name: Field("node", cat(name).long()) for name in ("label", "node")}
    owner = repeated(torch.arange(pairs), count)
    return Graph(None, Adjacency(pattern), graph_of_node=owner, num_graphs=pairs, fields=fields)
