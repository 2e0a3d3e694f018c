"""Relational graph convolutional networks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.conv.relational import RelationalConvolution
from renote.graph.graph import Graph
from renote.graph.network import drop_features, first_decayed


class RelationalNetwork(nn.Module):
    """h⁰ = x, h^l = ReLU(relational convolution of h^(l-1)), the last layer without ReLU; dropout before each layer.

    Args:
        features: a node comes with; 0 for graphs without, whose nodes are told apart by their numbers.
        nodes: of the graph, which counts where there are no features.
        classes: width of the output.
        relations: of the graphs it will read.
        hidden: width between layers.
        layers: number of them.
        bases: matrices that the relations of a layer share; 0 for none.
        dropout: probability.

    Source:
        Schlichtkrull et al. (2018), section 3.
    """

    def __init__(
        self,
        features: int,
        nodes: int,
        classes: int,
        relations: int,
        hidden: int = 16,
        layers: int = 2,
        bases: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise UsageError(f"layers is {layers}: a network has at least one")
        self.features, self.nodes, self.dropout = features, nodes, dropout
        widths = [features or nodes, *[hidden] * (layers - 1), classes]
        self.convolutions = nn.ModuleList(
            RelationalConvolution(before, after, relations, bases) for before, after in pairwise(widths)
        )

    def forward(self, graph: Graph) -> Tensor:
        """Logits (nodes, classes)."""
        if not self.features and graph.num_nodes != self.nodes:
            raise UsageError(
                f"the network knows {self.nodes} nodes by their numbers, and the graph has {graph.num_nodes}: give nodes features to use it on other graphs"
            )
        x = graph.x if self.features else None
        for i, convolution in enumerate(self.convolutions):
            if x is not None:
                x = drop_features(x, self.dropout, self.training)
            x = convolution(x, graph.typed)
            if i < len(self.convolutions) - 1:
                x = x.relu()
        assert isinstance(x, Tensor)
        return x

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Weight decay on the first layer alone, as in the authors' code."""
        return first_decayed(self.convolutions[0], self, weight_decay)
