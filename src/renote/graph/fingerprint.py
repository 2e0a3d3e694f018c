"""Neural graph fingerprints: what each node says at each depth is written into one vector of its graph, softly.

Duvenaud et al. (2015), arXiv 1509.09292, algorithm 2.
"""

from __future__ import annotations

import dataclasses
import itertools

from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.conv.degree import DegreeConvolution
from renote.graph.conv.isomorphism import NodeNorm
from renote.graph.graph import Field, Graph
from renote.graph.segment import segment_sum
from renote.graph.sparse import SparseFeatures


class NeuralFingerprint(nn.Module):
    """f = Σ_l Σ_i softmax(h_i^l O_l + c_l), h^(l+1) = σ(norm(DegreeConvolution(h^l))), h^0 = x; Z = head(f).

    Args:
        features: a node comes with.
        head: from the fingerprint to the outputs.
        hidden: width of h^1 … h^L.
        length: of the fingerprint.
        layers: L.
        edge_features: features of an edge; 0 for none.
        max_degree: as `DegreeConvolution`.

    Source:
        Duvenaud et al. (2015), algorithm 2; the normalization over the batch and σ = ReLU are their code's.
    """

    def __init__(
        self,
        features: int,
        head: nn.Module,
        hidden: int = 20,
        length: int = 512,
        layers: int = 4,
        edge_features: int = 0,
        max_degree: int = 6,
    ) -> None:
        super().__init__()
        if layers < 0:
            raise UsageError(f"layers is {layers}: it must be 0 or more")
        widths = [features, *[hidden] * layers]
        self.convolutions = nn.ModuleList(
            DegreeConvolution(i, o, edge_features, max_degree) for i, o in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList(NodeNorm(width) for width in widths[1:])
        self.write = nn.ModuleList(nn.Linear(width, length) for width in widths)
        self.head = head

    def fingerprint(self, graph: Graph) -> Tensor:
        """(graphs, length); each row adds up to nodes · (layers + 1)."""
        x = dense_of(graph)
        written = self.write[0](x).softmax(1)
        for convolution, norm, write in zip(self.convolutions, self.norms, self.write[1:]):
            x = norm(convolution(x, graph.adjacency, graph.edge_features)).relu()
            written = written + write(x).softmax(1)
        return segment_sum(written, graph.members)

    def forward(self, graph: Graph) -> Tensor:
        """(graphs, outputs)."""
        out: Tensor = self.head(self.fingerprint(graph))
        return out


class ReadField(nn.Module):
    """Z = head(graph[name]): a field of graphs, such as fixed fingerprints, is read in the place of their nodes.

    Args:
        name: of the field, (graphs, features).
        head: from that to the outputs.
    """

    def __init__(self, name: str, head: nn.Module) -> None:
        super().__init__()
        self.name, self.head = name, head

    def forward(self, graph: Graph) -> Tensor:
        """(graphs, outputs)."""
        weight = next(self.head.parameters())
        out: Tensor = self.head(graph[self.name].to(weight.dtype))
        return out


def dense_of(graph: Graph) -> Tensor:
    """The node features, dense.

    Raises:
        UsageError: there are none.
    """
    if graph.x is None:
        raise UsageError("the graph has no node features: give its nodes some")
    return graph.x.to_dense() if isinstance(graph.x, SparseFeatures) else graph.x


def edge_width(graph: Graph) -> int:
    """Features of an edge; 0 if there are none."""
    return 0 if graph.edge_features is None else graph.edge_features.shape[1]


def with_field(graph: Graph, name: str, value: Tensor) -> Graph:
    """The same graphs with a field of graphs more."""
    return dataclasses.replace(graph, fields={**graph.fields, name: Field("graph", value)})
