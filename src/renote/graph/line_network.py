"""A network for nodes that convolves on the line graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.conv.spatial import KipfConvolution
from renote.graph.dropout import dropout
from renote.graph.graph import Graph
from renote.graph.line import LineGraph, is_symmetric, line_graph
from renote.graph.network import drop_features, features_of, first_decayed


def lines_of(adjacency: Adjacency) -> LineGraph:
    """The line graph, made once: without direction if each edge is there in both, else of directed edges."""
    made: LineGraph = adjacency.keep("line graph", lambda: line_graph(adjacency, not is_symmetric(adjacency)))
    return made


class LineGraphNetwork(nn.Module):
    """h = ReLU(X W + b), e⁰ = mean of h over an edge's ends, e^l = ReLU(Â_L e^(l-1) W^l), Z = (h ‖ mean of e^L over a node's edges) V + c.

    Â_L is Kipf's normalization of the line graph, of directed edges where the graph's are not there in both directions.

    Args:
        features: a node comes with.
        hidden: width of h and of all e^l.
        classes: width of the output.
        layers: L, convolutions on the line graph.
        dropout: probability, before each map.

    Source:
        The line graph is Whitney's (1932), the convolution that of Kipf & Welling (2017), eq. 2.

    Example:
        >>> import torch
        >>> from renote.graph import Adjacency, Graph, LineGraphNetwork
        >>> graph = Graph(torch.ones(3, 4), Adjacency.from_edges([0, 1, 1, 2], [1, 0, 2, 1], num_nodes=3))
        >>> LineGraphNetwork(features=4, classes=2)(graph).shape
        torch.Size([3, 2])
    """

    def __init__(
        self, features: int, hidden: int = 16, classes: int = 2, layers: int = 1, dropout: float = 0.5
    ) -> None:
        super().__init__()
        if layers < 1:
            raise UsageError(f"layers is {layers}: a network has at least one")
        self.dropout = dropout
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(features, hidden)))
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.convolutions = nn.ModuleList(KipfConvolution(hidden, hidden) for _ in range(layers))
        self.head = nn.Linear(2 * hidden, classes)

    def forward(self, graph: Graph) -> Tensor:
        """Logits (nodes, classes)."""
        lines = lines_of(graph.adjacency)
        own = (drop_features(features_of(graph), self.dropout, self.training) @ self.weight + self.bias).relu()
        on_edges = lines.to_edges(own)
        for convolution in self.convolutions:
            on_edges = convolution(dropout(on_edges, self.dropout, self.training), lines.adjacency).relu()
        both = torch.cat([own, lines.to_nodes(on_edges)], 1)
        logits: Tensor = self.head(dropout(both, self.dropout, self.training))
        return logits

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Weight decay on the first map only, as for `GCN`."""
        return first_decayed(nn.ParameterList([self.weight, self.bias]), self, weight_decay)
