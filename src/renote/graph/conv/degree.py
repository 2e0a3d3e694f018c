"""Convolutions whose weights are chosen by a node's degree.

Duvenaud, Maclaurin, Aguilera-Iparraguirre, Gómez-Bombarelli, Hirzel, Aspuru-Guzik & Adams (2015), "Convolutional networks on graphs for learning molecular
fingerprints", arXiv 1509.09292.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.aggregate import check_width
from renote.graph.segment import product, segment_sum


class DegreeConvolution(nn.Module):
    """y_i = x_i W_d + Σ_j [x_j ‖ e_ij] V_d + b_d, with d the number of edges that arrive at i.

    Nodes of one degree are one matrix product; the sum over neighbours is a sparse one. Weights of edges are not looked at.

    Args:
        in_features: features a node comes with.
        out_features: features it leaves with.
        edge_features: features e of an edge; 0 if there are none.
        max_degree: nodes of a higher degree share its weights.
        bias: whether b is there; it starts at zero, the weights of each degree as in Glorot & Bengio (2010), uniform.

    Shapes:
        x: (nodes, in_features). edge_features: (edges, edge_features) in the adjacency's order. Output: (nodes, out_features).

    Source:
        Duvenaud et al. (2015), algorithm 2, lines 7 to 9, where W_d = V_d; their code has the two apart.
    """

    def __init__(
        self, in_features: int, out_features: int, edge_features: int = 0, max_degree: int = 6, bias: bool = True
    ) -> None:
        super().__init__()
        if max_degree < 0:
            raise UsageError(f"max_degree is {max_degree}: it must be 0 or more")
        self.in_features, self.out_features, self.edge_features = in_features, out_features, edge_features
        self.max_degree = max_degree
        self.weight = nn.Parameter(torch.empty(max_degree + 1, 2 * in_features + edge_features, out_features))
        self.bias = nn.Parameter(torch.zeros(max_degree + 1, out_features)) if bias else None
        with torch.no_grad():
            for weight in self.weight:
                nn.init.xavier_uniform_(weight)

    def forward(self, x: Tensor, adjacency: Adjacency, edge_features: Tensor | None = None) -> Tensor:
        """One hop; arguments as the class says."""
        check_width(x, self.in_features, "convolution")
        pattern = adjacency.pattern
        parts = [x, product(pattern, None, x)]
        if self.edge_features:
            if edge_features is None or edge_features.shape != (adjacency.num_edges, self.edge_features):
                raise UsageError(
                    f"edge_features of shape {None if edge_features is None else tuple(edge_features.shape)} for {adjacency.num_edges} edges and a convolution "
                    f"of {self.edge_features}: give one row an edge"
                )
            parts.append(segment_sum(edge_features.to(x.dtype), pattern.by_row))
        seen = torch.cat(parts, 1)
        degree = pattern.count.long().clamp(max=self.max_degree)
        order = torch.argsort(degree, stable=True)
        sizes = torch.bincount(degree, minlength=self.max_degree + 1).tolist()
        pieces = []
        for number, part in enumerate(torch.split(seen.index_select(0, order), sizes)):
            mapped = part @ self.weight[number]
            pieces.append(mapped if self.bias is None else mapped + self.bias[number])
        return torch.cat(pieces).index_select(0, torch.argsort(order))

    def extra_repr(self) -> str:
        """What `print` shows."""
        return (
            f"{self.in_features}, {self.out_features}, edge_features={self.edge_features}, max_degree={self.max_degree}"
        )
