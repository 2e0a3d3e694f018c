"""Drawing of some of the edges that arrive at each node, all nodes side by side.

What is drawn at a node is a function of (seed, node) alone: the same in any set of nodes, and on any machine. So no generator is passed along; the
numbers come from a counter that is mixed (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", the finalizer of SplitMix64).
"""

from __future__ import annotations

import torch
from torch import Tensor

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency

ALL = -1
"""The fan-out that takes every edge."""

_STEP = 0x9E3779B97F4A7C15 - 2**64  # the golden ratio's fraction, as a signed number
_MIX = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)


def uniform(seed: int, node: Tensor, draw: Tensor) -> Tensor:
    """Numbers in [0, 1) of double precision, each a function of seed, node and number of the draw.

    Args:
        seed: at least 0, below 2⁶³.
        node: int64.
        draw: int64, of a shape that fits `node`'s.
    """
    start = _mixed(_mixed(torch.tensor(seed, device=node.device)) + node * _STEP)
    return (_mixed(start + draw * _STEP) >> 11 & 2**53 - 1).double() * 2.0**-53


def _mixed(state: Tensor) -> Tensor:
    """A permutation of the 64-bit numbers in which every bit depends on every other."""
    # products wrap around; a shift drags the sign along, which the mask takes away
    state = (state ^ (state >> 30 & 2**34 - 1)) * _MIX[0]
    state = (state ^ (state >> 27 & 2**37 - 1)) * _MIX[1]
    return state ^ (state >> 31 & 2**33 - 1)


def sample_neighbors(
    adjacency: Adjacency, nodes: Tensor, fan_out: int, seed: int = 0, *, replace: bool = False, weighted: bool = False
) -> tuple[Tensor, Tensor]:
    """At most `fan_out` of the edges that arrive at each node, drawn at random.

    Uniform: without replacement every set of `fan_out` edges is equally likely, by Floyd's algorithm, whose work does not grow with the degree; with
    replacement each draw is any edge. Weighted: in proportion to the weights, without replacement one after the other among those that
    are left, by the keys of Efraimidis & Spirakis; an edge of weight 0 is never drawn.

    Args:
        adjacency: of the whole graph.
        nodes: (n,) distinct.
        fan_out: edges a node; -1 takes all that there are.
        seed: of the draws.
        replace: whether an edge can be drawn again; then each node with an edge gets exactly `fan_out`.
        weighted: whether edges are drawn by their weight.

    Returns:
        The numbers of the drawn edges, int64, increasing for nodes that increase; and (n,) how many each node has.

    Raises:
        UsageError: a fan-out below -1 or of 0, or `weighted` without weights.
        DataError: a negative weight among those that are looked at.

    Source:
        Bentley & Floyd (1987), "A sample of brilliance"; Efraimidis & Spirakis (2006), "Weighted random sampling with a reservoir".

    Example:
        >>> import torch
        >>> from renote.graph import Adjacency, sample_neighbors
        >>> star = Adjacency.from_edges([1, 2, 3], [0, 0, 0], num_nodes=4)
        >>> edge, count = sample_neighbors(star, torch.tensor([0, 1]), 2)
        >>> len(edge), count.tolist()
        (2, [2, 0])
    """
    if fan_out == 0 or fan_out < ALL:
        raise UsageError(f"fan_out is {fan_out}: it is a number of edges, at least 1, or -1 for all of them")
    if weighted:
        return sample_by_weight(adjacency, nodes, fan_out, seed, replace)[:2]
    nodes = nodes.long()
    degree = adjacency.pattern.count.index_select(0, nodes).long()
    if fan_out == ALL:
        return adjacency.pattern.select(nodes)[1], degree
    first = adjacency.pattern.rowptr.index_select(0, nodes).long()
    drawing = degree > (0 if replace else fan_out)
    place = torch.arange(fan_out, device=nodes.device)
    number = uniform(seed, nodes[drawing][:, None], place)
    size = degree[drawing][:, None]
    drawn = (number * size).long() if replace else _floyd(number, size)
    drawn = first[drawing][:, None] + drawn
    if replace:
        return drawn.sort(1).values.flatten(), drawing * fan_out
    whole = adjacency.pattern.select(nodes[~drawing])[1]
    return torch.cat([drawn.flatten(), whole]).sort().values, degree.clamp(max=fan_out)


def _floyd(number: Tensor, size: Tensor) -> Tensor:
    """(n, k) distinct numbers below size (n, 1), from as many in [0, 1): an answer that is there already gives way to the highest possible."""
    chosen = torch.empty_like(number, dtype=torch.long)
    for place in range(number.shape[1]):
        highest = size[:, 0] - number.shape[1] + place
        answer = (number[:, place] * (highest + 1)).long()
        again = (chosen[:, :place] == answer[:, None]).any(1)
        chosen[:, place] = torch.where(again, highest, answer)
    return chosen


def sample_by_weight(
    adjacency: Adjacency, nodes: Tensor, fan_out: int, seed: int = 0, replace: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """`sample_neighbors` by weight, with what each drawn edge weighs in a sum over them, whose expectation is the weighted sum over all.

        with replacement       Σ_l w_l / k, in each of the k draws
        without                w_e / (1 - exp(-w_e τ)), the keys being E_e ~ Exp(w_e), the k smallest drawn, and τ the next; w_e where all are drawn

    Args:
        adjacency: of the whole graph.
        nodes: (n,) distinct.
        fan_out: edges k a node; -1 takes all that there are.
        seed: of the draws.
        replace: whether an edge can be drawn again.

    Returns:
        Edges and counts as `sample_neighbors`; and (drawn,) the weights in double precision.

    Raises:
        UsageError: the edges have no weights.
        DataError: a negative weight among those that are looked at.

    Source:
        Cohen & Kaplan (2007), "Summarizing data using bottom-k sketches": the weights without replacement, by rank conditioning.
    """
    if adjacency.weight is None:
        raise UsageError("weighted sampling of a graph without weights: leave weighted out, or give the edges weights")
    nodes = nodes.long()
    if fan_out == ALL:
        pattern, edge = adjacency.pattern.select(nodes)
        return edge, pattern.count.long(), adjacency.values(torch.float64).index_select(0, edge)
    draw = _by_weight_again if replace else _by_weight
    return draw(adjacency, nodes, fan_out, seed)


def _by_weight(adjacency: Adjacency, nodes: Tensor, fan_out: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    pattern, edge = adjacency.pattern.select(nodes)
    weight = adjacency.values(adjacency.cumulative.dtype).index_select(0, edge)
    row = pattern.row.long()
    place = torch.arange(len(edge), device=edge.device) - pattern.rowptr.index_select(0, row)
    # ln u / w is the largest for the first to be drawn; 1 - u is never 0
    key = torch.log1p(-uniform(seed, nodes.index_select(0, row), place)) / weight
    key = key.masked_fill(weight == 0, -torch.inf)
    order = key.argsort(descending=True, stable=True)
    order = order[row.index_select(0, order).argsort(stable=True)]
    rank = torch.arange(len(edge), device=edge.device) - pattern.rowptr.index_select(0, row)
    positive = key.index_select(0, order) > -torch.inf
    kept = order[(rank < fan_out) & positive]
    following = order[(rank == fan_out) & positive]
    count = torch.bincount(row.index_select(0, kept), minlength=len(nodes))
    threshold = weight.new_full((len(nodes),), torch.inf)
    threshold[row.index_select(0, following)] = -key.index_select(0, following)
    number, order = edge.index_select(0, kept).sort()
    kept = kept.index_select(0, order)
    weight = weight.index_select(0, kept)
    return number, count, weight / -torch.expm1(-weight * threshold.index_select(0, row.index_select(0, kept)))


def _by_weight_again(adjacency: Adjacency, nodes: Tensor, fan_out: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    total = adjacency.cumulative
    rowptr = adjacency.pattern.rowptr.long()
    low, high = (total.index_select(0, rowptr.index_select(0, ends)) for ends in (nodes, nodes + 1))
    drawing = high > low
    place = torch.arange(fan_out, device=nodes.device)
    low, high = low[drawing][:, None], high[drawing][:, None]
    point = low + uniform(seed, nodes[drawing][:, None], place) * (high - low)
    # rounding must not lead to the edge after the last
    point = torch.minimum(point, torch.nextafter(high, low))
    drawn = torch.searchsorted(total, point, right=True) - 1
    each = ((high - low) / fan_out).expand(-1, fan_out)
    number, order = drawn.flatten().sort()
    return number, drawing * fan_out, each.flatten().index_select(0, order)
