"""SortPool: the nodes of a graph in an order of their own, so that a convolution over a line can read them.

Zhang, Cui, Neumann & Chen (2018), "An end-to-end deep learning architecture for graph classification", AAAI 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor

from renote.errors import UsageError
from renote.graph.pattern import Pattern


def sort_pool(x: Tensor, members: Pattern, k: int) -> Tensor:
    """The k first nodes of each graph by falling last feature, of equal ones by the one before it, and so on; zeros where there are fewer.

    Args:
        x: (nodes, features).
        members: graphs × nodes, as `graph.members`.
        k: how many are kept.

    Returns:
        (graphs, k, features).

    Source:
        Zhang et al. (2018), section 3.2.
    """
    if k < 1:
        raise UsageError(f"k is {k}: at least one node must be kept")
    graph = members.row.long()
    order = falling(x.detach(), graph)
    rank = torch.arange(len(order), device=x.device) - members.rowptr.long().index_select(0, graph)
    place = graph * k + rank
    chosen = rank < k
    out = x.new_zeros(members.num_rows * k, x.shape[1])
    out = out.index_copy(0, place[chosen], x.index_select(0, order[chosen]))
    return out.view(members.num_rows, k, x.shape[1])


def falling(x: Tensor, graph: Tensor) -> Tensor:
    """(nodes,) the order by graph, then falling last feature, then the one before where these are equal, and so on."""
    order = _falling(x[:, -1], graph)
    # where each run of nodes that are equal so far begins
    run = _runs(graph[order], x[:, -1][order])
    place = torch.arange(len(x), device=x.device)
    while True:
        tied = place[:-1][run[place[1:]] == run[place[:-1]]]
        differ = x[order[tied]] != x[order[tied + 1]]
        columns = differ.any(0).nonzero()
        # nodes that are equal in all may stand in any order
        if not len(columns):
            return order
        column = int(columns[-1])
        open_runs = run.new_zeros(len(x), dtype=torch.bool).index_fill_(0, run[tied[differ.any(1)]], True)
        place = open_runs[run].nonzero().squeeze(1)
        nodes, within = order[place], run[place]
        sooner = _falling(x[nodes, column], within)
        order[place] = nodes[sooner]
        run[place] = place[_runs(within, x[order[place], column])]


def _falling(value: Tensor, group: Tensor) -> Tensor:
    """The order by group, then falling value, then place."""
    order = value.argsort(descending=True, stable=True)
    return order[group[order].argsort(stable=True)]


def _runs(group: Tensor, value: Tensor) -> Tensor:
    """Of each of these, which lie in order, the place of the first that has its group and value."""
    place = torch.arange(len(group), device=group.device)
    first = torch.ones_like(group, dtype=torch.bool)
    first[1:] = (group[1:] != group[:-1]) | (value[1:] != value[:-1])
    return torch.where(first, place, 0).cummax(0).values
