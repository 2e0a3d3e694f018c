"""The network on the whole graph, layer by layer, the rows of each in chunks: what training by mini-batches is validated and used with.

After the inference of Hamilton et al. (2017) and later libraries: each layer is taken of all nodes before the next, so nothing is computed twice, however
deep the network.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.graph import Graph
from renote.graph.network import NodeNetwork, features_of
from renote.graph.sparse import SparseFeatures
from renote.graph.subgraph import neighborhood, rows_of


@torch.no_grad()
def layerwise(network: nn.Module, graph: Graph, megabytes: float = 1024.0) -> Tensor:
    """`network(graph)` without dropout, with the nodes' rows of every convolution taken in chunks.

    Beyond the input and the output of a layer, which are there whole, memory stays about within the budget; a single node needs what it needs. A convolution that
    is not of one hop (`one_hop`), and a network that is no `NodeNetwork`, is applied at once.

    Args:
        network: any; in the mode of evaluation.
        graph: the whole.
        megabytes: for what a chunk needs: the rows it reads, what it makes of them, its edges.

    Returns:
        (nodes, classes), equal to `network(graph)` but for rounding.

    Raises:
        UsageError: the network is in the mode of training, or the budget is not positive.

    Example:
        >>> import torch
        >>> from renote.graph import GCN, Adjacency, Graph, layerwise
        >>> graph = Graph(torch.ones(3, 4), Adjacency.from_edges([0, 1], [1, 2], num_nodes=3))
        >>> network = GCN(features=4, classes=2).eval()
        >>> torch.allclose(layerwise(network, graph, megabytes=1e-4), network(graph))
        True
    """
    if network.training:
        raise UsageError("the network is in the mode of training: call network.eval() first")
    if not megabytes > 0:
        raise UsageError(f"megabytes is {megabytes}: it must be positive")
    if not isinstance(network, NodeNetwork):
        out: Tensor = network(graph)
        return out

    def convolve(convolution: nn.Module, x: Tensor | SparseFeatures) -> Tensor:
        if not getattr(convolution, "one_hop", False):
            whole: Tensor = convolution(x, graph.adjacency)
            return whole
        return _in_chunks(convolution, x, graph.adjacency, 1e6 * megabytes)

    return network.run(features_of(graph), convolve)


def _in_chunks(convolution: nn.Module, x: Tensor | SparseFeatures, adjacency: Adjacency, budget: float) -> Tensor:
    chunks = list(_chunks(adjacency, *_bytes(convolution, x), budget))
    if len(chunks) < 2:
        whole: Tensor = convolution(x, adjacency)
        return whole
    given = Graph(None, adjacency)
    out: Tensor | None = None
    for first, end in chunks:
        part = neighborhood(given, torch.arange(first, end, device=adjacency.device), [-1])
        made: Tensor = convolution(rows_of(x, part.node), part.graph.adjacency).index_select(0, part.asked)
        out = made.new_empty(adjacency.num_nodes, *made.shape[1:]) if out is None else out
        out[first:end] = made
    assert out is not None
    return out


def _bytes(convolution: nn.Module, x: Tensor | SparseFeatures) -> tuple[int, int]:
    """About what a node that is read takes, its row and what is made of it by matrices; and an edge, indices, a value and shares of heads."""
    width = max(1, x.shape[1])
    made = sum(parameter.numel() for parameter in convolution.parameters()) // width
    read = 2 * x.pattern.num_entries // max(1, x.shape[0]) if isinstance(x, SparseFeatures) else width
    return 2 * x.dtype.itemsize * (read + made), 32 + 4 * x.dtype.itemsize * int(getattr(convolution, "heads", 0))


def _chunks(adjacency: Adjacency, node: int, edge: int, budget: float) -> Iterator[tuple[int, int]]:
    """Runs of nodes whose neighbourhoods fit into the budget of bytes, at least one node each; at worst every edge reads another node."""
    nodes = adjacency.num_nodes
    if nodes * node + adjacency.num_edges * edge <= budget:
        yield 0, nodes
        return
    total = (node + adjacency.pattern.count.double() * (node + edge)).cumsum(0).cpu()
    first = 0
    while first < nodes:
        before = float(total[first - 1]) if first else 0.0
        end = max(int(torch.searchsorted(total, before + budget, right=True)), first + 1)
        yield first, end
        first = end
