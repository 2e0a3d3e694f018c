"""Weave: nodes and pairs of nodes speak to each other in all four directions.

Kearnes, McCloskey, Berndl, Pande & Riley (2016), "Molecular graph convolutions: moving beyond fingerprints", arXiv 1603.00856.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.aggregate import check_width
from renote.graph.attend import on_columns, on_rows
from renote.graph.conv.isomorphism import NodeNorm
from renote.graph.fingerprint import dense_of
from renote.graph.graph import Graph
from renote.graph.pattern import Pattern
from renote.graph.segment import segment_sum
from renote.graph.weave_pairs import pair_graph


class WeaveConvolution(nn.Module):
    """x'_i = f([f_AA(x_i) ‖ Σ_j f_PA(p_ij)]),  p'_ij = g([f_AP(x_i ‖ x_j) + f_AP(x_j ‖ x_i) ‖ f_PP(p_ij)]), each map linear, then ReLU.

    f_AP of both orders, so that a pair of either order says the same if it was the same before; x_i and x_j are mapped before they are put to pairs.

    Args:
        features: of a node.
        pair_features: of a pair.
        out_features: of a node afterwards.
        out_pair_features: of a pair afterwards; 0 where nothing reads pairs again.
        hidden: width of the four maps inside.

    Shapes:
        x: (nodes, features). pairs: an adjacency whose edges j → i are the pairs (i, j). p: (pairs, pair_features) in its order. Output: (nodes, out_features), and
        (pairs, out_pair_features) or None.

    Source:
        Kearnes et al. (2016), section 2.2 and figure 2.
    """

    def __init__(
        self, features: int, pair_features: int, out_features: int, out_pair_features: int, hidden: int = 50
    ) -> None:
        super().__init__()
        self.features, self.pair_features = features, pair_features
        self.node_node, self.pair_node = nn.Linear(features, hidden), nn.Linear(pair_features, hidden)
        self.node_out = nn.Linear(2 * hidden, out_features)
        self.updates_pairs = out_pair_features > 0
        if self.updates_pairs:
            # the two halves of the map of [x_i ‖ x_j], side by side
            self.node_pair = nn.Linear(features, 2 * hidden, bias=False)
            self.node_pair_bias = nn.Parameter(torch.zeros(hidden))
            self.pair_pair = nn.Linear(pair_features, hidden)
            self.pair_out = nn.Linear(2 * hidden, out_pair_features)

    def forward(self, x: Tensor, pairs: Adjacency, p: Tensor) -> tuple[Tensor, Tensor | None]:
        """Nodes and pairs anew; arguments as the class says."""
        check_width(x, self.features, "convolution")
        if p.shape != (pairs.num_edges, self.pair_features):
            raise UsageError(
                f"pair features of shape {tuple(p.shape)} for {pairs.num_edges} pairs and a convolution of {self.pair_features}: give one row a pair"
            )
        pattern = pairs.pattern
        told = segment_sum(self.pair_node(p).relu(), pattern.by_row)
        out: Tensor = self.node_out(torch.cat([self.node_node(x).relu(), told], 1)).relu()
        if not self.updates_pairs:
            return out, None
        first, second = self.node_pair(x).chunk(2, 1)
        one, other = torch.cat([first, second], 1), torch.cat([second, first], 1)
        # (i's first + j's second | i's second + j's first): both orders at once
        both = on_rows(pattern, one) + on_columns(pattern, other)
        ordered = both.view(len(p), 2, both.shape[1] // 2) + self.node_pair_bias
        joined = torch.cat([ordered.relu().sum(1), self.pair_pair(p).relu()], 1)
        return out, self.pair_out(joined).relu()

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.features}, {self.pair_features}, updates_pairs={self.updates_pairs}"


_BINS = (
    (-1.645, 0.283),
    (-1.080, 0.170),
    (-0.739, 0.134),
    (-0.468, 0.118),
    (-0.228, 0.114),
    (0.0, 0.114),
    (0.228, 0.114),
    (0.468, 0.118),
    (0.739, 0.134),
    (1.080, 0.170),
    (1.645, 0.283),
)


class GaussianHistogram(nn.Module):
    """y = Σ_i [m_1(x_i) ‖ … ‖ m_11(x_i)], m_k(x) = N_k(x) / Σ_l N_l(x): each feature's soft histogram over the nodes, eleven Gaussian bins of the standard normal.

    N_k has its maximum at 1, as the paper's figure and the code of DeepChem have it.

    Shapes:
        x: (nodes, features), of about mean 0 and deviation 1. members: graphs × nodes. Output: (graphs, 11 · features).

    Source:
        Kearnes et al. (2016), section 2.3.
    """

    center: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        bins = torch.tensor(_BINS)
        self.register_buffer("center", bins[:, 0], persistent=False)
        self.register_buffer("deviation", bins[:, 1], persistent=False)

    def forward(self, x: Tensor, members: Pattern) -> Tensor:
        """Arguments as the class says."""
        score = -0.5 * ((x[:, :, None] - self.center.to(x.dtype)) / self.deviation.to(x.dtype)).square()
        return segment_sum(score.softmax(2).flatten(1), members)


class WeaveNetwork(nn.Module):
    """Weave convolutions, a map to `width` with normalization and tanh, the histogram of it over each graph, and a head.

    Args:
        features: of a node.
        edge_features: of an edge; 0 for none.
        head: from 11 · width to the outputs.
        distance: of the nodes of a pair, at most.
        layers: weave convolutions.
        hidden: width of nodes and pairs between them.
        width: before the histogram.

    Source:
        Kearnes et al. (2016), sections 2.2 to 3; layers of 50 and a last width of 128 are theirs. Normalization over the batch as in their appendix.
    """

    def __init__(
        self,
        features: int,
        edge_features: int,
        head: nn.Module,
        distance: int = 2,
        layers: int = 2,
        hidden: int = 50,
        width: int = 128,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise UsageError(f"layers is {layers}: there is at least one")
        nodes: Sequence[int] = [features, *[hidden] * layers]
        pairs: Sequence[int] = [edge_features + distance + 1, *[hidden] * (layers - 1), 0]
        self.convolutions = nn.ModuleList(
            WeaveConvolution(nodes[k], pairs[k], nodes[k + 1], pairs[k + 1], hidden) for k in range(layers)
        )
        self.distance = distance
        self.map, self.norm = nn.Linear(hidden, width), NodeNorm(width)
        self.readout, self.head = GaussianHistogram(), head

    def forward(self, graph: Graph) -> Tensor:
        """(graphs, outputs); what `pair_graph` gave is taken as it is, of other graphs the pairs are made here."""
        if "pair_distance" not in graph.fields:
            graph = pair_graph(graph, self.distance)
        x, p = dense_of(graph), graph.edge_features
        assert p is not None
        p = p.to(x.dtype)
        for convolution in self.convolutions:
            x, p = convolution(x, graph.adjacency, p)
        # tanh first, so that what the normalization gives fits the bins
        out: Tensor = self.head(self.readout(self.norm(self.map(x).tanh()), graph.members))
        return out
