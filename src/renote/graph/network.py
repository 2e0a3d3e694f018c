"""Networks that read a graph and give logits for each node."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.errors import UsageError, unknown
from renote.graph.conv.spatial import KipfConvolution
from renote.graph.dropout import dropout
from renote.graph.graph import Graph
from renote.graph.sparse import SparseFeatures
from renote.nets.connection import CONNECTIONS, PlainConnection
from renote.nets.connection import connection as connect

Convolve = Callable[[nn.Module, "Tensor | SparseFeatures"], Tensor]


def _widths(features: int, hidden: int, classes: int, layers: int) -> list[int]:
    if layers < 1:
        raise UsageError(f"layers is {layers}: a network has at least one")
    return [features, *[hidden] * (layers - 1), classes]


def drop_features(x: Tensor | SparseFeatures, probability: float, training: bool) -> Tensor | SparseFeatures:
    """Dropout, on the non-zeros of sparse features."""
    if isinstance(x, SparseFeatures):
        return x.dropout(probability, training)
    return dropout(x, probability, training)


def features_of(graph: Graph) -> Tensor | SparseFeatures:
    """The node features, which must be there."""
    if graph.x is None:
        raise UsageError(
            "the graph has no node features: give each node some, e.g. graph.with_x(identity_features(graph.num_nodes)) "
            "or graph.with_x(degree_features(graph.adjacency))"
        )
    return graph.x


def first_decayed(first: nn.Module, module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Groups for the optimizer: weight decay on the parameters of `first` alone, of those of `module`."""
    decayed = list(first.parameters())
    kept = {id(parameter) for parameter in decayed}
    rest = [parameter for parameter in module.parameters() if id(parameter) not in kept]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


class NodeNetwork(nn.Module):
    """h⁰ = x, h^l = connection_l(h^(l-1), act(conv_l(dropout(h^(l-1)), edges))), Z = h^L: convolutions one after the other.

    The connections are plain, h^l what the convolution made, unless others are given. The last convolution is not activated, unless something follows: a jump
    takes h¹ … h^L to one representation, a head maps what there is, with dropout before it, to the classes.

    Args:
        convolutions: each is called as `convolution(x, adjacency)`.
        dropout: probability, on the input of every layer; on sparse features it falls on the non-zeros.
        activation: act; None if the convolutions have their own.
        inner_dropout: whether the layers between the first and the last have dropout too.
        connections: one around each convolution, called as `connection(h^(l-1), what it made)`, e.g. those that `nets.connection` makes by name: plain, residual,
            concatenation, highway. None for plain ones.
        jump: over the outputs of all convolutions, e.g. a `JumpingKnowledge`.
        head: of nodes alone, e.g. an `nn.Linear`.

    Example:
        >>> import torch
        >>> from renote.graph import Adjacency, GATConvolution, Graph, NodeNetwork
        >>> graph = Graph(torch.ones(3, 4), Adjacency.from_edges([0, 1], [1, 2], num_nodes=3))
        >>> network = NodeNetwork([GATConvolution(4, 8, heads=2), GATConvolution(16, 2)])
        >>> network(graph).shape
        torch.Size([3, 2])
    """

    def __init__(
        self,
        convolutions: Iterable[nn.Module],
        dropout: float = 0.5,
        activation: Callable[[Tensor], Tensor] | None = functional.relu,
        *,
        inner_dropout: bool = True,
        connections: Iterable[nn.Module] | None = None,
        jump: nn.Module | None = None,
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(convolutions)
        self.dropout, self.inner_dropout = dropout, inner_dropout
        self.activation, self.jump, self.head = activation, jump, head
        if not len(self.convolutions):
            raise UsageError("no convolution: a network has at least one layer")
        plain = (PlainConnection(0, 0) for _ in self.convolutions)
        self.connections = nn.ModuleList(plain if connections is None else connections)
        if len(self.connections) != len(self.convolutions):
            raise UsageError(
                f"{len(self.connections)} connections around {len(self.convolutions)} convolutions: give one around each"
            )

    def forward(self, graph: Graph) -> Tensor:
        """Logits (nodes, classes)."""
        return self.run(features_of(graph), lambda convolution, x: convolution(x, graph.adjacency))

    def run(self, x: Tensor | SparseFeatures, convolve: Convolve) -> Tensor:
        """Logits (nodes, classes) of the features, each layer's output being `convolve(convolution, its input)`."""
        hidden: list[Tensor] = []
        last = len(self.convolutions) - 1
        for number, (convolution, connection) in enumerate(zip(self.convolutions, self.connections, strict=True)):
            drops = self.inner_dropout or number in (0, last)
            out = convolve(convolution, drop_features(x, self.dropout, self.training) if drops else x)
            if number < last or self.jump is not None or self.head is not None:
                out = out if self.activation is None else self.activation(out)
            if type(connection) is not PlainConnection:
                out = connection(x if isinstance(x, Tensor) else x.to_dense(), out)
            x = out
            if self.jump is not None:
                hidden.append(x)
        if self.jump is not None:
            x = self.jump(hidden)
        if self.head is not None:
            x = self.head(drop_features(x, self.dropout, self.training))
        assert isinstance(x, Tensor)
        return x


class ConvolutionNetwork(NodeNetwork):
    """H^{l+1} = connection_l(H^l, ReLU(conv_l(H^l, A))), the last layer without ReLU; dropout before each.

    Args:
        convolution: `convolution(in_features, out_features)` makes a layer, which is called with (x, adjacency).
        features: features a node comes with.
        hidden: width of every hidden layer.
        classes: width of the output.
        layers: number of convolutions.
        dropout: probability, on the input of every layer; on sparse features it falls on the non-zeros.
        inner_dropout: whether the layers between the first and the last have it too.
        connection: a name in `nets.CONNECTIONS`: what is around each hidden layer that follows a hidden layer; with a concatenation what layers read grows by `hidden` a layer.

    Source:
        Kipf & Welling (2017), eq. 9; with residual connections eq. 14 there.
    """

    def __init__(
        self,
        convolution: Callable[[int, int], nn.Module],
        features: int,
        hidden: int = 16,
        classes: int = 2,
        layers: int = 2,
        dropout: float = 0.5,
        *,
        inner_dropout: bool = True,
        connection: str = "plain",
    ) -> None:
        if connection not in CONNECTIONS:
            raise unknown("connection", connection, CONNECTIONS)
        widths = _widths(features, hidden, classes, layers)
        convolutions: list[nn.Module] = []
        connections: list[PlainConnection] = []
        width = features
        for number, out in enumerate(widths[1:]):
            convolutions.append(convolution(width, out))
            connections.append(connect(connection if 0 < number < layers - 1 else "plain", width, out))
            width = connections[-1].out_features
        super().__init__(convolutions, dropout, inner_dropout=inner_dropout, connections=connections)

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Weight decay on the first layer only, as in the paper's section 5.2."""
        return first_decayed(self.convolutions[0], self, weight_decay)


class GCN(ConvolutionNetwork):
    """Z = Â ReLU(Â X W⁰) W¹ for two layers; dropout before each.

    Args:
        features: features a node comes with.
        hidden: width of every hidden layer.
        classes: width of the output.
        layers: number of convolutions.
        dropout: probability, on the input of every layer; on sparse features it falls on the non-zeros.
        inner_dropout: as `ConvolutionNetwork`.
        connection: as `ConvolutionNetwork`.

    Source:
        Kipf & Welling (2017), eq. 9.

    Example:
        >>> import torch
        >>> from renote.graph import GCN, Adjacency, Graph
        >>> graph = Graph(torch.ones(3, 4), Adjacency.from_edges([0, 1], [1, 2], num_nodes=3))
        >>> GCN(features=4, classes=2)(graph).shape
        torch.Size([3, 2])
    """

    def __init__(
        self,
        features: int,
        hidden: int = 16,
        classes: int = 2,
        layers: int = 2,
        dropout: float = 0.5,
        *,
        inner_dropout: bool = True,
        connection: str = "plain",
    ) -> None:
        shape = (features, hidden, classes, layers, dropout)
        super().__init__(KipfConvolution, *shape, inner_dropout=inner_dropout, connection=connection)


class MLP(nn.Module):
    """Z = ReLU(X W⁰ + b⁰) W¹ + b¹ for two layers: what the features alone tell, without the edges.

    Args:
        features: features a node comes with.
        hidden: width of every hidden layer.
        classes: width of the output.
        layers: number of linear maps.
        dropout: probability, on the input of every layer; on sparse features it falls on the non-zeros.

    Source:
        The baseline of Kipf & Welling (2017), table 3.
    """

    def __init__(
        self, features: int, hidden: int = 16, classes: int = 2, layers: int = 2, dropout: float = 0.5
    ) -> None:
        super().__init__()
        widths = _widths(features, hidden, classes, layers)
        self.weights = nn.ParameterList(torch.empty(i, o) for i, o in itertools.pairwise(widths))
        self.biases = nn.ParameterList(torch.zeros(o) for o in widths[1:])
        self.dropout = dropout
        for weight in self.weights:
            nn.init.xavier_uniform_(weight)

    def forward(self, graph: Graph) -> Tensor:
        """Logits (nodes, classes)."""
        x = features_of(graph)
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            x = functional.relu(x) if number and isinstance(x, Tensor) else x
            x = drop_features(x, self.dropout, self.training) @ weight + bias
        assert isinstance(x, Tensor)
        return x

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Weight decay on the first layer only, as for `GCN`."""
        first = nn.ParameterList([self.weights[0], self.biases[0]])
        return first_decayed(first, self, weight_decay)
