"""Convolutions that name what a neighbour sends, how it is aggregated, and how the node takes it.

Hamilton, Ying & Leskovec (2017), "Inductive representation learning on large graphs", arXiv 1706.02216.
Monti, Boscaini, Masci, Rodolà, Svoboda & Bronstein (2017), "Geometric deep learning on graphs and manifolds using mixture model CNNs", arXiv 1611.08402.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.errors import UsageError, unknown
from renote.graph.adjacency import Adjacency
from renote.graph.aggregate import Aggregation, MeanAggregation, check_width
from renote.graph.aggregations import AGGREGATIONS, aggregation
from renote.graph.attend import attend, by_head
from renote.graph.sparse import SparseFeatures


class SAGEConvolution(nn.Module):
    """y_i = act([x_i ‖ AGG_j x_j] W + b), over i's neighbours j; y_i / |y_i| if asked.

    `"gcn"` in the place of an aggregation is the paper's variant without concatenation, y_i = act(mean_{j or i} x_j W + b).

    Args:
        in_features: features a node comes with.
        out_features: features it leaves with.
        aggregation: a name in `AGGREGATIONS`, an `Aggregation`, or `"gcn"`.
        aggregated: width that those give which look at x through a matrix, e.g. pool, lstm and janossy; `in_features` by default.
        activation: the paper's σ, which comes before the length is set to 1; None leaves it to the network.
        normalize: whether each y_i is divided by its length; a zero stays zero.
        bias: whether b is there; it starts at zero, W as in Glorot & Bengio (2010), uniform.

    Shapes:
        x: (nodes, in_features), dense or `SparseFeatures`. Output: (nodes, out_features).

    Source:
        Hamilton et al. (2017), algorithm 1, lines 4, 5 and 7, and eq. 2.
    """

    one_hop = True
    """Whether a row of the output reads the node, what arrives at it, and no normalization but Kipf's or its own."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        aggregation: str | Aggregation = "mean",
        aggregated: int | None = None,
        activation: Literal["relu"] | None = None,
        normalize: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features, self.normalize = in_features, out_features, normalize
        self.activation = activation
        self.concat = aggregation != "gcn"
        self.aggregate = _aggregate(aggregation, in_features, aggregated)
        width = self.aggregate.out_features or in_features
        both = nn.init.xavier_uniform_(torch.empty(width + in_features * self.concat, out_features))
        self.weight_neighbors = nn.Parameter(both[:width].clone())
        self.weight_self = nn.Parameter(both[width:].clone()) if self.concat else None
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    def forward(self, x: Tensor | SparseFeatures, adjacency: Adjacency) -> Tensor:
        """One hop; arguments as the class says."""
        check_width(x, self.in_features, "convolution")
        over = adjacency if self.concat else adjacency.with_self_loops()
        if self.aggregate.linear and (isinstance(x, SparseFeatures) or self.out_features < self.in_features):
            out: Tensor = self.aggregate(x @ self.weight_neighbors, over)
        else:
            dense = isinstance(x, Tensor) or self.aggregate.projects
            out = self.aggregate(x if dense else x.to_dense(), over) @ self.weight_neighbors
        if self.weight_self is not None:
            out = out + x @ self.weight_self
        if self.bias is not None:
            out = out + self.bias
        out = out.relu() if self.activation == "relu" else out
        return functional.normalize(out, dim=1) if self.normalize else out

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.in_features}, {self.out_features}, normalize={self.normalize}"


class MixtureConvolution(nn.Module):
    """Y_i = Σ_k Σ_j w_ij g_k(u_ij) x_j Θ_k + b: a patch of K Gaussian windows over the neighbours' pseudo-coordinates.

        g_k(u) = exp(-½ |S_k (p(u) - μ_k)|²)        p(u) = tanh(u P + q), or u

    The K windows are K sparse products with the values w g_k, made as one; no message is made.

    Args:
        in_features: features a node comes with.
        out_features: features it leaves with.
        kernels: windows K.
        coordinates: number of pseudo-coordinates an edge.
        projected: number of those after p, which starts as P = I, q = 0; None takes u as it is.
        centers: between which numbers each coordinate of μ starts.
        inverse_deviation: at which S starts.
        period: of each coordinate after p, 0 where it has none: u - μ is taken on its shorter way round, as of angles.
        bias: whether b is there; it starts at zero, Θ as in Glorot & Bengio (2010), uniform.

    Shapes:
        x: (nodes, in_features), dense or `SparseFeatures`. coordinates: (edges, coordinates) in the adjacency's order; by default
        `degree_coordinates`, of which there are two. Output: (nodes, out_features).

    Source:
        Monti et al. (2017), eqs. 9 to 11 and section 5.2 for p; S_k, the inverse deviations, are diagonal.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernels: int = 3,
        coordinates: int = 2,
        projected: int | None = None,
        centers: tuple[float, float] = (0.0, 1.0),
        inverse_deviation: float = 2.5,
        period: Sequence[float] | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if kernels < 1:
            raise UsageError(f"kernels is {kernels}: there is at least one window")
        if period is not None and (len(period) != (projected or coordinates) or min(period) < 0):
            raise UsageError(f"period = {period} of {projected or coordinates} coordinates: one each, 0 for none")
        self.in_features, self.out_features, self.kernels, self.coordinates = (
            in_features,
            out_features,
            kernels,
            coordinates,
        )
        dimensions = projected or coordinates
        self.project = nn.Linear(coordinates, dimensions) if projected else None
        self.weight = nn.Parameter(torch.empty(in_features, kernels * out_features))
        self.center = nn.Parameter(torch.empty(kernels, dimensions).uniform_(*centers))
        self.inverse_deviation = nn.Parameter(torch.full((kernels, dimensions), inverse_deviation))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        self.period: Tensor | None
        self.register_buffer("period", None if period is None else torch.tensor(period), persistent=False)
        nn.init.xavier_uniform_(self.weight)
        if self.project is not None:
            nn.init.eye_(self.project.weight)
            nn.init.zeros_(self.project.bias)

    def windows(self, coordinates: Tensor) -> Tensor:
        """g, (edges, kernels), of (edges, coordinates)."""
        place = coordinates if self.project is None else self.project(coordinates).tanh()
        away = place[:, None, :] - self.center
        if self.period is not None:
            away = away - self.period * (away.detach() / self.period.clamp(min=1e-30)).round().where(self.period > 0, 0)
        return (-0.5 * (away * self.inverse_deviation).square().sum(-1)).exp()

    def forward(self, x: Tensor | SparseFeatures, adjacency: Adjacency, coordinates: Tensor | None = None) -> Tensor:
        """One hop; arguments as the class says."""
        check_width(x, self.in_features, "convolution")
        if coordinates is None:
            coordinates = degree_coordinates(adjacency, self.weight.dtype)
        if coordinates.shape != (adjacency.num_edges, self.coordinates):
            raise UsageError(
                f"coordinates of shape {tuple(coordinates.shape)} for {adjacency.num_edges} edges and windows over "
                f"{self.coordinates}: give one row an edge"
            )
        windows = self.windows(coordinates)
        if adjacency.weight is not None:
            windows = windows * adjacency.values(windows.dtype)[:, None]
        if isinstance(x, Tensor) and self.in_features < self.out_features:
            patches = attend(adjacency.pattern, windows, x[:, None, :].expand(-1, self.kernels, -1))
            weight = by_head(self.weight, self.kernels).transpose(0, 1)
            out = patches.flatten(1) @ weight.flatten(0, 1)
        else:
            mapped = by_head(x @ self.weight, self.kernels)
            out = attend(adjacency.pattern, windows, mapped).sum(1)
        return out if self.bias is None else out + self.bias

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.in_features}, {self.out_features}, kernels={self.kernels}, coordinates={self.coordinates}"


def degree_coordinates(adjacency: Adjacency, dtype: torch.dtype | None = None) -> Tensor:
    """u_ij = (1/√d_i, 1/√d_j) for the edge j → i, with d_i = Σ_j |w_ij|; 0 for a node at which no edge arrives; (edges, 2).

    Source:
        Monti et al. (2017), section 5.2.
    """
    degree = adjacency.in_degree(weighted=True).to(dtype or torch.get_default_dtype())
    scale = degree.rsqrt().masked_fill(degree == 0, 0.0)
    return torch.stack([scale.index_select(0, adjacency.target), scale.index_select(0, adjacency.source)], 1)


def _aggregate(given: str | Aggregation, features: int, aggregated: int | None) -> Aggregation:
    if isinstance(given, Aggregation):
        return given
    if given == "gcn":
        return MeanAggregation(features)
    if given not in AGGREGATIONS:
        raise unknown("aggregation", given, ["gcn", *AGGREGATIONS])
    return aggregation(given, features, aggregated)
