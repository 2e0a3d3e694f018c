"""Column networks: a highway network a node, joined layer by layer along relations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.conv.column import ColumnConvolution
from renote.graph.dropout import dropout
from renote.graph.graph import Graph
from renote.graph.network import drop_features, features_of


class ColumnNetwork(nn.Module):
    """h⁰ = ReLU(x W + b), h^l = column(h^(l-1)), Z = h^L W' + b'; dropout on x and before the last map.

    Args:
        features: features a node comes with.
        hidden: width of the columns.
        classes: width of the output.
        layers: number L of column layers.
        dropout: probability; on sparse features it falls on the non-zeros.
        relations: of the graphs it will read, which may lack the last ones, as parts do; 0 leaves their edges out.
        gated: whether layers are highways, or plain.
        shared: whether all layers are one and the same, so that depth costs no parameters.
        gate: where the gates' biases start; None for -L / 10.

    Source:
        Pham et al. (2017): sharing of parameters among layers; where gates start is their code's.

    Example:
        >>> import torch
        >>> from renote.graph import Adjacency, ColumnNetwork, Graph
        >>> graph = Graph(torch.ones(3, 4), Adjacency.from_edges([0, 1], [1, 2], num_nodes=3))
        >>> ColumnNetwork(features=4, classes=2)(graph).shape
        torch.Size([3, 2])
    """

    def __init__(
        self,
        features: int,
        hidden: int = 16,
        classes: int = 2,
        layers: int = 10,
        dropout: float = 0.5,
        relations: int = 1,
        gated: bool = True,
        shared: bool = True,
        gate: float | None = None,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise UsageError(f"layers is {layers}: a network has at least one")
        self.layers, self.dropout, self.relations = layers, dropout, relations
        start = -0.1 * layers if gate is None else gate
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(features, hidden)))
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.columns = nn.ModuleList(
            ColumnConvolution(hidden, relations, gated, start) for _ in range(1 if shared else layers)
        )
        self.head = nn.Linear(hidden, classes)

    def forward(self, graph: Graph) -> Tensor:
        """Logits (nodes, classes)."""
        joined = graph.relations
        untold = graph.relation is None and self.relations > 1
        if untold or (self.relations and len(joined) > self.relations):
            raise UsageError(f"the graph has {len(joined)} relations, and the network was made for {self.relations}")
        x = drop_features(features_of(graph), self.dropout, self.training) @ self.weight + self.bias
        x = x.relu()
        for layer in range(self.layers):
            x = self.columns[layer % len(self.columns)](x, joined)
        out: Tensor = self.head(dropout(x, self.dropout, self.training))
        return out
