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
    rank = graph
    order = torch.arange(len(x), device=x.device)
    for column in reversed(range(x.shape[1])):
        _, value = torch.unique(-x[:, column], return_inverse=True)
        _, rank = torch.unique(rank * max(len(x), 1) + value, return_inverse=True)
        order = rank.argsort(stable=True)
        tied = rank[order][1:] == rank[order][:-1]
        # nodes that are equal in all may stand in any order
        if not bool((x[order][1:][tied] != x[order][:-1][tied]).any()):
            break
    return order
