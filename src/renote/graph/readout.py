"""Networks that read a batch of graphs and give logits for each graph."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.aggregate import Aggregation
from renote.graph.conv.isomorphism import NodeNorm
from renote.graph.dropout import dropout
from renote.graph.graph import Graph
from renote.graph.network import features_of
from renote.graph.sparse import SparseFeatures


class Perceptron(nn.Module):
    """Linear maps with ReLU between them, and dropout before the last.

    Args:
        widths: of the input, of each hidden layer, of the output.
        dropout: probability.
    """

    def __init__(self, widths: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        if len(widths) < 2:
            raise UsageError(f"widths is {widths}: give those of the input and of the output at least")
        self.maps = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(widths))
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """(n, first width) → (n, last width)."""
        *inner, last = self.maps
        for linear in inner:
            x = linear(x).relu()
        out: Tensor = last(dropout(x, self.dropout, self.training))
        return out


class GraphNetwork(nn.Module):
    """h⁰ = x, h^l = ReLU(norm(conv_l(h^(l-1), edges))), Z = head([readout(h^l) of the layers that are read]).

    Args:
        convolutions: each is called as `convolution(x, adjacency)`; none at all reads the nodes alone.
        readouts: aggregations of a graph's nodes, whose outputs are put side by side; each one for all layers that are read, or a sequence with one for each.
        head: from that to the logits.
        widths: of each convolution's output, for its normalization; None for no normalization.
        every: whether h⁰ … h^L are read, else h^L alone.

    Example:
        >>> import torch
        >>> from renote.graph import Adjacency, Graph, GraphNetwork, KipfConvolution, SumAggregation, batch
        >>> path = Graph(torch.ones(3, 4), Adjacency.from_edges([0, 1], [1, 2], num_nodes=3))
        >>> network = GraphNetwork([KipfConvolution(4, 8)], [SumAggregation()], torch.nn.Linear(8, 2))
        >>> network(batch([path, path])).shape
        torch.Size([2, 2])
    """

    def __init__(
        self,
        convolutions: Iterable[nn.Module],
        readouts: Iterable[Aggregation | Sequence[Aggregation]],
        head: nn.Module,
        widths: Sequence[int] | None = None,
        every: bool = False,
    ) -> None:
        super().__init__()
        self.convolutions, self.head = nn.ModuleList(convolutions), head
        self.readouts = nn.ModuleList(item if isinstance(item, nn.Module) else nn.ModuleList(item) for item in readouts)
        norms = [nn.Identity() for _ in self.convolutions] if widths is None else [NodeNorm(width) for width in widths]
        if len(norms) != len(self.convolutions):
            raise UsageError(f"widths is {widths} for {len(self.convolutions)} convolutions: give one each")
        if not len(self.readouts):
            raise UsageError("no readout: a graph's nodes must become one vector")
        layers = 1 + len(self.convolutions) if every else 1
        for readout in self.readouts:
            if isinstance(readout, nn.ModuleList) and len(readout) != layers:
                raise UsageError(
                    f"{len(readout)} readouts for {layers} layers that are read: give one for all, or one each"
                )
        self.norms, self.every = nn.ModuleList(norms), every

    def forward(self, graph: Graph) -> Tensor:
        """Logits (graphs, classes)."""
        x = features_of(graph)
        hidden: list[Tensor | SparseFeatures] = [x]
        for convolution, norm in zip(self.convolutions, self.norms):
            x = norm(convolution(x, graph.adjacency)).relu()
            hidden.append(x)
        read = [
            (readout[number] if isinstance(readout, nn.ModuleList) else readout)(h, graph.members)
            for number, h in enumerate(hidden if self.every else hidden[-1:])
            for readout in self.readouts
        ]
        logits: Tensor = self.head(torch.cat(read, 1))
        return logits


class CoordinateNetwork(nn.Module):
    """As `GraphNetwork`, for convolutions that look at coordinates of edges: h^l = ReLU(norm(conv_l(h^(l-1), edges, u))).

    Args:
        convolutions: each is called as `convolution(x, adjacency, u)`; u are the features of the graph's edges, None if there are none.
        readout: called as `readout(x, members)`.
        head: from that to the outputs.
        widths: of each convolution's output.
    """

    def __init__(
        self, convolutions: Iterable[nn.Module], readout: nn.Module, head: nn.Module, widths: Sequence[int]
    ) -> None:
        super().__init__()
        self.convolutions, self.readout, self.head = nn.ModuleList(convolutions), readout, head
        self.norms = nn.ModuleList(NodeNorm(width) for width in widths)

    def forward(self, graph: Graph) -> Tensor:
        """(graphs, outputs)."""
        x = features_of(graph)
        coordinates = graph.edge_features
        if coordinates is not None:
            coordinates = coordinates.to(x.dtype)
        for convolution, norm in zip(self.convolutions, self.norms):
            x = norm(convolution(x, graph.adjacency, coordinates)).relu()
        out: Tensor = self.head(self.readout(x, graph.members))
        return out


class ReadNodes(nn.Module):
    """Z = head(readout(f(graph))), for a network f that gives each node a vector.

    Args:
        nodes: f, (nodes, features) of a graph.
        readout: called as `readout(x, members)`.
        head: from that to the logits.
    """

    def __init__(self, nodes: nn.Module, readout: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.nodes, self.readout, self.head = nodes, readout, head

    def forward(self, graph: Graph) -> Tensor:
        """Logits (graphs, classes)."""
        logits: Tensor = self.head(self.readout(self.nodes(graph), graph.members))
        return logits


class NodeMap(nn.Linear):
    """A linear map of each node alone, in the place of a convolution: the edges are not looked at."""

    def forward(self, x: Tensor, adjacency: Adjacency | None = None) -> Tensor:
        """(nodes, features in) → (nodes, features out)."""
        return super().forward(x)
