"""How likely two nodes are linked, by what is around them: the scores that learned link predictors are measured against.

    common neighbours           |N_u ∩ N_v|                     Jaccard                 |N_u ∩ N_v| / |N_u ∪ N_v|
    preferential attachment     d_u d_v                         Adamic-Adar             Σ_{z in N_u ∩ N_v} 1 / ln d_z
    resource allocation         Σ_{z in N_u ∩ N_v} 1 / d_z      Katz                    Σ_{l ≥ 1} β^l (A^l)_uv
    rooted PageRank             π_u(v) + π_v(u), π_u = (1 - α) e_u + α Aᵀ D⁻¹ π_u
    SimRank                     S_uu = 1, S_uv = γ / (d_u d_v) Σ_{a in N_u, b in N_v} S_ab

Each takes pairs at once: shared neighbours are looked up in the sorted links, the others are sparse products with many columns. The graph is simple and undirected: loops, duplicates and
weights are not looked at.

Liben-Nowell & Kleinberg (2007), "The link-prediction problem for social networks", section 3; Zhou, Lü & Zhang (2009); Jeh & Widom (2002).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from renote.errors import DataError, UsageError, unknown
from renote.graph.adjacency import Adjacency
from renote.graph.graph import Graph
from renote.graph.pattern import repeated
from renote.graph.segment import spmm

_CHUNK_ENTRIES = 1 << 22
_MOST_NODES = 20_000
_ROUNDS = 1000


def simple(adjacency: Adjacency) -> Adjacency:
    """The links in both directions, once, without loops and weights; made once."""

    def make() -> Adjacency:
        ends, nodes = adjacency.edge_index(), max(adjacency.num_nodes, 1)
        source, target = torch.cat([ends, ends.flip(0)], 1)
        source, target = source[source != target], target[source != target]
        key = torch.unique(target * nodes + source)
        return Adjacency.from_edges(key % nodes, key // nodes, adjacency.num_nodes)

    made = adjacency.keep("simple", make)
    assert isinstance(made, Adjacency)
    return made


def has_link(adjacency: Adjacency, pairs: Tensor) -> Tensor:
    """(n,) bool: whether an edge goes from one node of a pair to the other, in either direction.

    Args:
        adjacency: the links.
        pairs: (n, 2) int64.
    """
    ends, nodes = _checked(adjacency, pairs), max(adjacency.num_nodes, 1)
    key = _keys(simple(adjacency))
    return among(key, ends[:, 0] * nodes + ends[:, 1])


def common_neighbors(adjacency: Adjacency, pairs: Tensor) -> Tensor:
    """|N_u ∩ N_v|, (n,) double.

    Args:
        adjacency: the links.
        pairs: (n, 2) int64; here and below.
    """
    return _shared(adjacency, pairs, _degree(adjacency) * 0 + 1)


def jaccard(adjacency: Adjacency, pairs: Tensor) -> Tensor:
    """|N_u ∩ N_v| / |N_u ∪ N_v|; 0 where both have no neighbours."""
    shared, degree = common_neighbors(adjacency, pairs), _degree(adjacency)
    return shared / (degree[pairs].sum(1) - shared).clamp(min=1)


def preferential_attachment(adjacency: Adjacency, pairs: Tensor) -> Tensor:
    """d_u d_v."""
    return _degree(adjacency)[_checked(adjacency, pairs)].prod(1)


def adamic_adar(adjacency: Adjacency, pairs: Tensor) -> Tensor:
    """Σ_{z in N_u ∩ N_v} 1 / ln d_z. Who is a neighbour of two has a degree of at least 2, so that its logarithm is positive."""
    return _shared(adjacency, pairs, _degree(adjacency).clamp(min=2).log().reciprocal())


def resource_allocation(adjacency: Adjacency, pairs: Tensor) -> Tensor:
    """Σ_{z in N_u ∩ N_v} 1 / d_z."""
    return _shared(adjacency, pairs, _degree(adjacency).clamp(min=1).reciprocal())


def katz(adjacency: Adjacency, pairs: Tensor, beta: float = 0.001) -> Tensor:
    """Σ_{l ≥ 1} β^l (A^l)_uv: all walks, shorter ones count more.

    Args:
        adjacency: the links.
        pairs: (n, 2) int64.
        beta: β, above 0 and below 1 / the largest eigenvalue of A, which is at most the largest degree.

    Raises:
        UsageError: the sum has no end.
    """
    if not beta > 0:
        raise UsageError(f"beta is {beta}: the weight of a step must be positive")
    plain, ends = simple(adjacency), _checked(adjacency, pairs)

    def walks(start: Tensor) -> Tensor:
        total, step = torch.zeros_like(start), start
        for _ in range(_ROUNDS):
            step = beta * spmm(plain, step)
            total = total + step
            # relative, so that nodes far apart are told from each other too
            if bool((step <= 1e-10 * total).all()):
                return total
            if float(step.amax()) > 1e100:
                break
        raise UsageError(
            f"beta is {beta}: the sum over all walks has no end, or not for long; take one below 1 / largest eigenvalue, "
            f"e.g. {0.5 / max(1.0, float(_degree(adjacency).amax())):.2g}"
        )

    return _from_roots(plain.num_nodes, ends, walks)


def rooted_pagerank(adjacency: Adjacency, pairs: Tensor, damping: float = 0.85) -> Tensor:
    """π_u(v) + π_v(u), π_u where a walk is that goes back to u with probability 1 - α at each step.

    A walk on an undirected graph can be turned round, π_v(u) = π_u(v) d_u / d_v, so that one root a pair is enough.

    Args:
        adjacency: the links.
        pairs: (n, 2) int64.
        damping: α, in [0, 1).

    Raises:
        UsageError: α is out of range.
    """
    if not 0 <= damping < 1:
        raise UsageError(f"damping is {damping}: it must lie in [0, 1)")
    plain, ends = simple(adjacency), _checked(adjacency, pairs)
    degree = _degree(adjacency).clamp(min=1)

    def visits(start: Tensor) -> Tensor:
        total = step = (1 - damping) * start
        for _ in range(_ROUNDS):
            step = damping * spmm(plain, step / degree[:, None])
            total = total + step
            if bool((step.sum(0) <= 1e-12).all()):
                break
        return total

    return _from_roots(plain.num_nodes, ends, visits) * (1 + degree[ends[:, 0]] / degree[ends[:, 1]])


def simrank(adjacency: Adjacency, pairs: Tensor, decay: float = 0.8, rounds: int = 100) -> Tensor:
    """S_uu = 1, S_uv = γ / (d_u d_v) Σ_{a in N_u, b in N_v} S_ab, by iteration from S = I.

    Keeps similarities of all nodes to all, in single precision: for graphs of up to some thousand nodes.

    Args:
        adjacency: the links.
        pairs: (n, 2) int64.
        decay: γ, in (0, 1).
        rounds: of the iteration, at most; it ends when no similarity moves by more than a thousandth of itself.

    Raises:
        UsageError: γ is out of range, or there are too many nodes.
    """
    if not 0 < decay < 1:
        raise UsageError(f"decay is {decay}: it must lie in (0, 1)")
    ends, nodes = _checked(adjacency, pairs), adjacency.num_nodes
    if nodes > _MOST_NODES:
        raise UsageError(
            f"SimRank keeps {nodes} × {nodes} similarities, too many from {_MOST_NODES} nodes on: take rooted-pagerank"
        )
    walk = simple(adjacency).random_walk()
    same = torch.eye(nodes, device=adjacency.device)
    for _ in range(rounds):
        before = same
        same = decay * spmm(walk, spmm(walk, before).T.contiguous())
        same.fill_diagonal_(1.0)
        if bool((same - before <= 1e-3 * same).all()):  # similarities only grow
            break
    return same[ends[:, 0], ends[:, 1]].double()


def _shared(adjacency: Adjacency, pairs: Tensor, weight: Tensor) -> Tensor:
    """Σ_{z in N_u ∩ N_v} weight_z: each neighbour of the end that has fewer is looked up among the other's."""
    ends, plain = _checked(adjacency, pairs), simple(adjacency)
    pattern, nodes, key = plain.pattern, max(plain.num_nodes, 1), _keys(plain)
    count = pattern.count.long()
    fewer = count[ends].argmin(1, keepdim=True)
    first, second = ends.gather(1, fewer).squeeze(1), ends.gather(1, 1 - fewer).squeeze(1)
    found = torch.zeros(len(ends), dtype=torch.float64, device=ends.device)
    for part in chunks(count[first], _CHUNK_ENTRIES):
        near = pattern.column.long().index_select(0, pattern.entries_of(first[part]))
        owner = repeated(torch.arange(part.stop - part.start, device=ends.device), count[first[part]])
        both = among(key, second[part][owner] * nodes + near)
        value = weight.index_select(0, near[both])
        found[part] = found.new_zeros(part.stop - part.start).index_add_(0, owner[both], value)
    return found


def chunks(sizes: Tensor, most: int) -> list[slice]:
    """Runs of things whose sizes add up to about `most` each."""
    if not len(sizes):
        return []
    number = sizes.cumsum(0) // max(1, most)
    lengths = torch.unique_consecutive(number, return_counts=True)[1]
    ends = lengths.cumsum(0).tolist()
    return [slice(a, b) for a, b in zip([0, *ends], ends)]


def among(key: Tensor, asked: Tensor) -> Tensor:
    """Whether each number that is asked for is one of the keys, which never fall."""
    if not len(key):
        return torch.zeros(asked.shape, dtype=torch.bool, device=asked.device)
    return key[torch.searchsorted(key, asked).clamp(max=len(key) - 1)] == asked


def _from_roots(nodes: int, ends: Tensor, spread: Callable[[Tensor], Tensor]) -> Tensor:
    """`spread` of unit columns at each first end, read at the second; some roots at a time."""
    roots, number = torch.unique(ends[:, 0], return_inverse=True)
    found = torch.zeros(len(ends), dtype=torch.float64, device=ends.device)
    width = max(1, _CHUNK_ENTRIES // max(1, nodes))
    for first in range(0, len(roots), width):
        part = roots[first : first + width]
        start = torch.zeros(nodes, len(part), dtype=torch.float64, device=ends.device)
        start[part, torch.arange(len(part), device=ends.device)] = 1.0
        here = ((number >= first) & (number < first + width)).nonzero().squeeze(1)
        found[here] = spread(start)[ends[here, 1], number[here] - first]
    return found


class LinkHeuristic(nn.Module):
    """A score in the place of a network: `heuristic(graph, pairs)`.

    Args:
        name: of `HEURISTICS`.
        options: of it.

    Raises:
        UsageError: there is none of that name.
    """

    def __init__(self, name: str, **options: float) -> None:
        super().__init__()
        if name not in HEURISTICS:
            raise unknown("heuristic", name, HEURISTICS)
        self.name, self.options = name, options

    def forward(self, graph: Graph, pairs: Tensor) -> Tensor:
        """(n,) double."""
        return HEURISTICS[self.name](graph.adjacency, pairs, **self.options)


HEURISTICS: dict[str, Callable[..., Tensor]] = {
    "common-neighbors": common_neighbors,
    "jaccard": jaccard,
    "preferential-attachment": preferential_attachment,
    "adamic-adar": adamic_adar,
    "resource-allocation": resource_allocation,
    "katz": katz,
    "rooted-pagerank": rooted_pagerank,
    "simrank": simrank,
}
"""Name → `score(adjacency, pairs)`."""


def _degree(adjacency: Adjacency) -> Tensor:
    return simple(adjacency).pattern.count.double()


def _keys(plain: Adjacency) -> Tensor:
    """(links,) receiver · nodes + source, which never falls."""
    made = plain.keep("keys", lambda: plain.target.long() * max(plain.num_nodes, 1) + plain.source.long())
    assert isinstance(made, Tensor)
    return made


def _checked(adjacency: Adjacency, pairs: Tensor) -> Tensor:
    if pairs.dim() != 2 or pairs.shape[1] != 2 or pairs.is_floating_point() or pairs.dtype == torch.bool:
        raise UsageError(f"pairs of shape {tuple(pairs.shape)} and {pairs.dtype}: give two node numbers a row")
    if pairs.numel() and not 0 <= int(pairs.min()) <= int(pairs.max()) < adjacency.num_nodes:
        wrong = int(pairs.min()) if int(pairs.min()) < 0 else int(pairs.max())
        raise DataError(f"there is no node {wrong}: the graph has {adjacency.num_nodes}")
    return pairs.long()
