"""Relational graph convolutional networks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.errors import UsageError
from renote.graph.conv.relational import RelationalConvolution
from renote.graph.graph import Graph
from renote.graph.network import drop_features, first_decayed
from renote.graph.typed import TypedEdges


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

    @property
    def needs_whole(self) -> str | None:
        """Why a part of the graph is not enough, if it is not."""
        return None if self.features else "knows nodes without features by their numbers in the whole graph"

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


class RelationalEncoder(nn.Module):
    """A vector for each entity of a knowledge graph, from learned ones and who is in which relation to whom.

    h^l = ReLU(relational convolution of h^(l-1) + W_0 h^(l-1)), the last layer without ReLU.

    Args:
        nodes: entities.
        relations: of the edges; facts and their inverses are two each.
        features: width of all vectors.
        layers: number of convolutions; 0 leaves the learned vectors.
        bases: matrices that the relations of a layer share; 0 for none.
        blocks: of each relation's matrix along its diagonal; 0 for whole ones.
        own_dropout: probability with which a node does not see itself in a layer.

    Shape:
        edges: with such relations. Output: (nodes, features).

    Source:
        Schlichtkrull et al. (2018), sections 2 and 4.
    """

    def __init__(
        self,
        nodes: int,
        relations: int,
        features: int,
        layers: int = 2,
        bases: int = 0,
        blocks: int = 0,
        own_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.own_dropout = own_dropout
        self.vector = nn.Parameter(torch.empty(nodes, features))
        nn.init.xavier_uniform_(self.vector)
        self.convolutions = nn.ModuleList(
            RelationalConvolution(features, features, relations, bases, blocks, own=False) for _ in range(layers)
        )
        self.own = nn.ModuleList(nn.Linear(features, features, bias=False) for _ in range(layers))

    def forward(self, edges: TypedEdges | None) -> Tensor:
        """Vectors of all entities."""
        x: Tensor = self.vector
        for number, (convolution, own) in enumerate(zip(self.convolutions, self.own, strict=True)):
            seen = functional.dropout(x.new_ones(len(x), 1), self.own_dropout, self.training)
            x = convolution(x, edges) + own(x) * seen
            if number < len(self.convolutions) - 1:
                x = x.relu()
        return x
