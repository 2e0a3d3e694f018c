"""What a node is told of its surroundings when it is to be read without edges: its most intimate nodes, and where they stand.

Zhang, Zhang, Xia & Sun (2020), "Graph-Bert: Only Attention is Needed for Learning Graph Representations", sections 3.1 and 3.2. All of it is found for
blocks of nodes at once by products with the adjacency; nothing of size nodes × nodes is ever kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.operator import Operator, random_walk, symmetric
from renote.graph.segment import spmm
from renote.graph.spectrum import PersonalizedPageRank, pagerank_series

# nodes × edges that an exact S is made for: about half an hour of one processor
_LARGEST = 2e11
# numbers of a block, so that it stays near the processor
_BLOCK = 1 << 19


@dataclass(frozen=True, eq=False)
class Contexts:
    """For each node itself and the k most intimate others, the most intimate first.

    Args:
        node: (nodes, k + 1) numbers of nodes; first the node itself. Where there are fewer than k that it is connected to, itself again.
        intimacy: (nodes, k + 1) S; 0 where there is none.
        hops: (nodes, k + 1) edges on the shortest way; -1 where there is none, which is how such a place is told.
        role: (nodes,) number of the node's Weisfeiler-Lehman colour.
    """

    node: Tensor
    intimacy: Tensor
    hops: Tensor
    role: Tensor

    def map(self, function: Callable[[Tensor], Tensor]) -> Contexts:
        """The same with each tensor passed through a function, e.g. to another device."""
        return Contexts(*map(function, (self.node, self.intimacy, self.hops, self.role)))


def intimate_contexts(
    adjacency: Adjacency, count: int, restart: float = 0.15, role_rounds: int = 1, tolerance: float = 1e-6
) -> Contexts:
    """S = α (I - (1 - α) Ā)^-1 with Ā = A D^-1; a node i's context are the `count` others with the largest S_ij.

    S_ij is the share of walks from j, which end with probability α at each step, that end at i. Nodes whose S_ij is not above the tolerance
    are in no context; those that differ by less than it may come in either order. Made once for each graph and choice.

    Args:
        adjacency: the edges; weights must not be negative. An edge list that is not symmetric takes a slower series.
        count: k, nodes of a context beside the node itself.
        restart: α.
        role_rounds: as `weisfeiler_lehman`.
        tolerance: error of S, relative to √(d_i / d_j).

    Raises:
        UsageError: a number is out of range, a weight is negative, or the graph is so large that it would take hours.

    Source:
        Zhang et al. (2020), eq. 1 and definition 1.
    """
    if count < 0:
        raise UsageError(f"count is {count}: a context has 0 or more nodes")
    if adjacency.num_nodes * adjacency.num_edges > _LARGEST:
        raise UsageError(
            f"a graph of {adjacency.num_nodes} nodes and {adjacency.num_edges} edges: the intimacy of all nodes takes time in proportion to "
            f"nodes × edges, and is made up to {_LARGEST:.0e}. Take a part of the graph, or a system that reads edges, e.g. sign"
        )
    if adjacency.weight is not None and bool((adjacency.weight < 0).any()):
        raise UsageError("intimacy is a share of random walks: give edges without negative weights")
    made: Contexts = adjacency.keep(
        f"contexts {count} {restart!r} {role_rounds} {tolerance!r}",
        lambda: _contexts(adjacency, count, restart, role_rounds, tolerance),
    )
    return made


@torch.no_grad()
def _contexts(adjacency: Adjacency, count: int, restart: float, role_rounds: int, tolerance: float) -> Contexts:
    rows, scale = _rows_of_intimacy(adjacency, restart, tolerance)
    nodes, device = adjacency.num_nodes, adjacency.device
    backward = Adjacency(adjacency.transpose().pattern)
    kept = min(count, max(nodes - 1, 0))
    shape = (nodes, count + 1)
    node = torch.arange(nodes, device=device)[:, None].repeat(1, count + 1)
    intimacy, hops = torch.zeros(shape, device=device), torch.full(shape, -1, dtype=torch.long, device=device)
    for block in torch.split(node[:, 0], max(1, _BLOCK // max(nodes, 1))):
        here = torch.arange(len(block), device=device)
        start = torch.zeros(nodes, len(block), device=device)
        start[block, here] = 1.0
        share = rows @ start  # (j, i)
        own = share[block, here]
        share[block, here] = -1.0
        if scale is not None:
            share.div_(scale[:, None])
        best, chosen = (found.T for found in share.topk(kept, 0))
        if scale is not None:
            best = best * scale[block, None]
        there = best > tolerance
        intimacy[block, 0], intimacy[block, 1 : kept + 1] = own, torch.where(there, best, 0.0)
        node[block, 1 : kept + 1] = torch.where(there, chosen, block[:, None])
        hops[block, 0], hops[block, 1 : kept + 1] = 0, _distances(backward, start, chosen, there)
    return Contexts(node, intimacy, hops, weisfeiler_lehman(adjacency, role_rounds))


def _rows_of_intimacy(adjacency: Adjacency, restart: float, tolerance: float) -> tuple[Operator, Tensor | None]:
    """An operator whose column i is row i of S, times d_j and over d_i if d is returned: √degree, 1 where it is 0."""
    walk = symmetric(adjacency)
    drawn = torch.from_numpy(np.random.default_rng(0).standard_normal(adjacency.num_nodes)).to(adjacency.device)
    undirected = torch.allclose(walk @ drawn, walk.T @ drawn, rtol=1e-9, atol=1e-9)
    if undirected:
        degree = adjacency.in_degree(weighted=True).float()
        return pagerank_series(walk, restart, tolerance), torch.where(degree > 0, degree, 1.0).sqrt()
    # A D^-1 with D the edges that leave, so that every column is a distribution; its transpose is a random walk on the edges turned round
    steps = int(np.ceil(np.log(tolerance / 2.0) / np.log1p(-restart))) if restart < 1.0 else 1
    return PersonalizedPageRank(random_walk(adjacency.transpose()), restart, steps), None


def _distances(backward: Adjacency, start: Tensor, chosen: Tensor, wanted: Tensor) -> Tensor:
    """(b, k) edges on the shortest way from each chosen node to the block's, by one product a step for all; -1 where none is wanted."""
    found = torch.full(chosen.shape, -1, dtype=torch.long, device=chosen.device)
    column = torch.arange(len(chosen), device=chosen.device)[:, None]
    reached, step = start, 0
    while bool((wanted & (found < 0)).any()):
        reached, step = (reached + spmm(backward, reached)).clamp_(max=1.0), step + 1
        found = torch.where(wanted & (found < 0) & (reached[chosen, column] > 0), step, found)
    return found


def weisfeiler_lehman(adjacency: Adjacency, rounds: int = 1) -> Tensor:
    """c_i ← number of (c_i, {{c_j : j → i}}), from c = 0: nodes with the same surroundings get the same colour.

    Colours are numbered by a fixed hash, so that they do not depend on the order of the nodes.

    Args:
        adjacency: the edges; duplicates count, weights do not.
        rounds: how far the surroundings reach; one round tells degrees apart. It ends early where no colour splits any more.

    Returns:
        (nodes,) int64, from 0 without gaps.

    Raises:
        UsageError: rounds is negative.

    Source:
        Weisfeiler & Lehman (1968); Zhang et al. (2020), section 3.2.2.
    """
    if rounds < 0:
        raise UsageError(f"rounds is {rounds}: colours are refined 0 times or more")
    pattern = adjacency.pattern
    pointers, source = pattern.rowptr.cpu().numpy().astype(np.int64), pattern.column.cpu().numpy()
    colour = np.zeros(adjacency.num_nodes, np.uint64)
    number = np.zeros(adjacency.num_nodes, np.int64)
    for _ in range(rounds):
        # Sums of hashes modulo 2⁶⁴ tell multisets apart but for chances of about nodes² / 2⁶⁴; of running sums the differences are exact there.
        running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_hashed(colour)[source], dtype=np.uint64)])
        colour = _hashed(_hashed(colour) * np.uint64(3) + (running[pointers[1:]] - running[pointers[:-1]]))
        distinct, refined = np.unique(colour, return_inverse=True)
        settled, number = len(distinct) == number.max(initial=-1) + 1, refined.reshape(-1)
        if settled:
            break
    return torch.from_numpy(number.astype(np.int64)).to(adjacency.device)


def _hashed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64 of each number (Steele, Lea & Flood 2014)."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    out: NDArray[np.uint64] = value ^ (value >> np.uint64(31))
    return out
