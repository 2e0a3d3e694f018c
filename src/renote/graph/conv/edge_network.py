"""Messages through a matrix that a network makes of the edge's features.

Gilmer, Schoenholz, Riley, Vinyals & Dahl (2017), "Neural message passing for quantum chemistry", arXiv 1704.01212.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.aggregate import check_width
from renote.graph.attend import attend


class EdgeNetworkConvolution(nn.Module):
    """y_i = Σ_j w_ij A(e_ij) x_j + b,  A(e) = B_0 + Σ_k h_k(e) B_k,  h(e) = ReLU(e U + c).

    A is a network with one hidden layer whose output is a matrix. That being linear in h, the sum over neighbours is K + 1 sparse products with the values w h_k, made as
    one, and no matrix is made for an edge: memory is nodes · K · features, where the matrices would take edges · features².

    Args:
        in_features: features a node comes with.
        out_features: features it leaves with.
        edge_features: features e of an edge; 0 if there are none, and A is B_0.
        hidden: K, width of the network's hidden layer.
        bias: whether b is there; it starts at zero.

    Shapes:
        x: (nodes, in_features). edge_features: (edges, edge_features) in the adjacency's order. Output: (nodes, out_features).

    Source:
        Gilmer et al. (2017), section 4.1, "edge network".
    """

    def __init__(
        self, in_features: int, out_features: int, edge_features: int, hidden: int = 16, bias: bool = True
    ) -> None:
        super().__init__()
        if edge_features and hidden < 1:
            raise UsageError(f"hidden is {hidden}: the network of an edge has at least one unit")
        self.in_features, self.out_features, self.edge_features = in_features, out_features, edge_features
        self.edge = nn.Linear(edge_features, hidden) if edge_features else None
        self.matrices = nn.Parameter(torch.empty(1 + (hidden if edge_features else 0), in_features, out_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        with torch.no_grad():
            for matrix in self.matrices:
                nn.init.xavier_uniform_(matrix)
            # of K + 1 terms as much as of one
            self.matrices.div_(len(self.matrices) ** 0.5)

    def shares(self, adjacency: Adjacency, edge_features: Tensor | None, dtype: torch.dtype) -> Tensor:
        """(edges, K + 1): w and w h_k."""
        ones = adjacency.values(dtype)[:, None]
        if self.edge is None:
            return ones
        if edge_features is None or edge_features.shape != (adjacency.num_edges, self.edge_features):
            raise UsageError(
                f"edge_features of shape {None if edge_features is None else tuple(edge_features.shape)} for {adjacency.num_edges} edges and a convolution "
                f"of {self.edge_features}: give one row an edge"
            )
        return torch.cat([ones, ones * self.edge(edge_features.to(dtype)).relu()], 1)

    def forward(
        self, x: Tensor, adjacency: Adjacency, edge_features: Tensor | None = None, shares: Tensor | None = None
    ) -> Tensor:
        """One hop; arguments as the class says. `shares`, of the method of that name, serve several hops with the same weights."""
        check_width(x, self.in_features, "convolution")
        if shares is None:
            shares = self.shares(adjacency, edge_features, x.dtype)
        told = attend(adjacency.pattern, shares, x[:, None, :].expand(-1, len(self.matrices), -1))
        out = told.flatten(1) @ self.matrices.flatten(0, 1)
        return out if self.bias is None else out + self.bias

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.in_features}, {self.out_features}, edge_features={self.edge_features}"
