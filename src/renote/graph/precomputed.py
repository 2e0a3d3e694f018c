"""Networks that read the graph once: `signals` is the sparse part, without parameters, `weigh` the dense one, node by node."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.conv.precomputed import (
    DiffusionConvolution,
    InceptionConvolution,
    PrecomputedConvolution,
    SimplifiedConvolution,
)
from renote.graph.dropout import dropout
from renote.graph.graph import Graph
from renote.graph.network import features_of, first_decayed
from renote.graph.segment import segment_mean


class PrecomputedNetwork(nn.Module):
    """Z = weigh(signals(graph)).

    Args:
        convolution: the first layer, the only one that reads the graph.
        dropout: probability, on the signals.
    """

    def __init__(self, convolution: PrecomputedConvolution, dropout: float) -> None:
        super().__init__()
        self.convolution = convolution
        self.dropout = dropout

    def signals(self, graph: Graph) -> Tensor:
        """(nodes, terms, features), the same at every step."""
        return self.convolution.signals(features_of(graph), graph.adjacency)

    def weigh(self, signals: Tensor) -> Tensor:
        """Logits (n, classes) of the signals (n, terms, features) of any nodes."""
        out: Tensor = self.convolution.weigh(dropout(signals, self.dropout, self.training))
        return out

    def forward(self, graph: Graph) -> Tensor:
        """Logits (nodes, classes)."""
        return self.weigh(self.signals(graph))

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Weight decay on the first layer only, as for `GCN`."""
        return first_decayed(self.convolution, self, weight_decay)


class SGC(PrecomputedNetwork):
    """Z = Âᴷ X W + b: logistic regression on smoothed features.

    Args:
        features: features a node comes with.
        classes: width of the output.
        hops: K.
        dropout: probability, on the smoothed features.

    Source:
        Wu et al. (2019), eq. 8.
    """

    def __init__(self, features: int, classes: int = 2, hops: int = 2, dropout: float = 0.0) -> None:
        super().__init__(SimplifiedConvolution(features, classes, hops), dropout)


class SIGN(PrecomputedNetwork):
    """Z = PReLU([X Θ_0 | A_1 X Θ_1 | … | A_r X Θ_r]) Ω + b, or more dense layers of PReLU.

    Args:
        features: features a node comes with.
        hidden: width of each term, and of further layers.
        classes: width of the output.
        layers: dense layers, the terms' one included; at least 2.
        dropout: probability, on the input of every layer but the first.
        input_dropout: probability, on the signals.
        hops: powers of Kipf's normalized adjacency; the paper's p.
        pagerank_hops: powers of personalized PageRank; the paper's s.
        triangle_hops: powers of the random walk over triangles; the paper's t.
        restart: of the PageRank.

    Source:
        Rossi et al. (2020), eq. 4.

    Example:
        >>> import torch
        >>> from renote.graph import SIGN, Adjacency, Graph
        >>> graph = Graph(torch.ones(3, 4), Adjacency.from_edges([0, 1], [1, 2], num_nodes=3))
        >>> network = SIGN(features=4, classes=2)
        >>> network.weigh(network.signals(graph)[:1]).shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        features: int,
        hidden: int = 16,
        classes: int = 2,
        layers: int = 2,
        dropout: float = 0.5,
        input_dropout: float = 0.0,
        hops: int = 2,
        pagerank_hops: int = 0,
        triangle_hops: int = 0,
        restart: float = 0.1,
    ) -> None:
        if layers < 2:
            raise UsageError(f"layers is {layers}: the inception's terms and the output are one each")
        inception = InceptionConvolution(features, hidden, hops, pagerank_hops, triangle_hops, restart)
        super().__init__(inception, input_dropout)
        self.hidden_dropout = dropout
        widths = [inception.terms * hidden, *[hidden] * (layers - 2), classes]
        self.activations = nn.ModuleList(nn.PReLU() for _ in widths[1:])
        self.dense = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(widths))
        for linear in self.dense:
            assert isinstance(linear, nn.Linear)
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def weigh(self, signals: Tensor) -> Tensor:
        """Logits (n, classes) of the signals (n, terms, features) of any nodes."""
        x = super().weigh(signals)
        for activation, linear in zip(self.activations, self.dense):
            x = linear(dropout(activation(x), self.hidden_dropout, self.training))
        return x


class DCNN(PrecomputedNetwork):
    """Z = tanh(W ⊙ P* X) Wᵈ + b, P* X the features after 0 … hops steps of the random walk.

    Args:
        features: features a node comes with.
        classes: width of the output.
        hops: steps of the walk.
        dropout: probability, on the signals.

    Source:
        Atwood & Towsley (2016), eq. 1 and 3.
    """

    def __init__(self, features: int, classes: int = 2, hops: int = 2, dropout: float = 0.0) -> None:
        super().__init__(DiffusionConvolution(features, hops), dropout)
        self.dense = nn.Linear((hops + 1) * features, classes)
        nn.init.xavier_uniform_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)

    def weigh(self, signals: Tensor) -> Tensor:
        """Logits (n, classes) of the signals (n, hops + 1, features) of any nodes."""
        out: Tensor = self.dense(torch.tanh(super().weigh(signals)))
        return out


class GraphDCNN(DCNN):
    """Z = tanh(W ⊙ 1/N Σ_i (P* X)_i) Wᵈ + b for each graph of N nodes; one without nodes has the mean 0.

    Args:
        features: features a node comes with.
        classes: width of the output.
        hops: steps of the walk.
        dropout: probability, on the means.

    Source:
        Atwood & Towsley (2016), section 2, graph classification.

    Example:
        >>> import torch
        >>> from renote.graph import Adjacency, Graph, GraphDCNN, batch
        >>> path = Graph(torch.ones(3, 4), Adjacency.from_edges([0, 1], [1, 2], num_nodes=3))
        >>> GraphDCNN(features=4, classes=2)(batch([path, path])).shape
        torch.Size([2, 2])
    """

    def forward(self, graph: Graph) -> Tensor:
        """Logits (graphs, classes)."""
        return self.weigh(segment_mean(self.signals(graph), graph.members))
