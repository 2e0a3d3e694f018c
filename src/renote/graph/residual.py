"""Residual terms of the graph, by which the layers of a deep network keep hearing of the nodes themselves.

Zhang & Meng (2019), "GResNet: graph residual network for reviving deep GNNs from suspended animation", arXiv 1909.05729.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.errors import UsageError, unknown
from renote.graph.graph import Graph
from renote.graph.network import drop_features, features_of
from renote.graph.segment import spmm
from renote.graph.sparse import SparseFeatures

Residual = Literal["none", "naive", "graph-naive", "raw", "graph-raw"]


class GraphResidualNetwork(nn.Module):
    """H^k = act(conv_k(dropout(H^(k-1)), edges) + R_k), the last layer without act; H⁰ = X.

        none           R_k = 0
        naive          R_k = H^(k-1)              graph-naive    R_k = Â H^(k-1)
        raw            R_k = X                    graph-raw      R_k = Â X

    Â is Kipf's normalized adjacency. Where a term is not as wide as its layer a matrix maps it: at the first and the last layer of the naive ones; the raw ones
    share one, X M, of which another makes the last. With `hears_raw` every layer adds X U besides, U another matrix at the last layer alone, as LoopyNet does. Dropout on X is drawn once, for the first layer and the raw terms alike.

    Args:
        convolutions: each is called as `convolution(x, adjacency)`.
        widths: features before the first and after each of them, all hidden ones alike.
        residual: which term.
        dropout: probability, on the input of every layer; on sparse features it falls on the non-zeros.
        activation: act.
        hears_raw: whether every layer adds X U.

    Source:
        Zhang & Meng (2019): the table of residual terms, and the section on dimensions; their code, for X U.
    """

    def __init__(
        self,
        convolutions: Iterable[nn.Module],
        widths: Iterable[int],
        residual: Residual = "graph-raw",
        dropout: float = 0.5,
        activation: Callable[[Tensor], Tensor] = functional.relu,
        hears_raw: bool = False,
    ) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(convolutions)
        if residual not in get_args(Residual):
            raise unknown("residual term", residual, get_args(Residual))
        sizes = list(widths)
        if not len(self.convolutions) or len(sizes) != len(self.convolutions) + 1 or len(set(sizes[1:-1])) > 1:
            raise UsageError(
                f"widths {sizes} for {len(self.convolutions)} convolutions: give one before the first and one after each, all hidden ones alike"
            )
        self.residual, self.dropout, self.activation = residual, dropout, activation
        ends = [] if residual == "none" else [(0, 1), (-2, -1)] if len(sizes) > 2 else [(0, 1)]
        self.maps = nn.ParameterList(torch.empty(sizes[i], sizes[o]) for i, o in ends)
        heard = [(sizes[0], width) for width in dict.fromkeys((1, -1) if len(sizes) > 2 else (1,))] if hears_raw else []
        self.heard = nn.ParameterList(torch.empty(i, sizes[o]) for i, o in heard)
        for matrix in (*self.maps, *self.heard):
            nn.init.xavier_uniform_(matrix)

    def forward(self, graph: Graph) -> Tensor:
        """Logits (nodes, classes)."""
        adjacency, last = graph.adjacency, len(self.convolutions) - 1
        x = drop_features(features_of(graph), self.dropout, self.training)
        term = self._hop(x @ self.maps[0], graph) if self.residual != "none" else None
        raw, heard = term, x @ self.heard[0] if len(self.heard) else None
        at_last = x @ self.heard[-1] if len(self.heard) > 1 else heard
        for number, convolution in enumerate(self.convolutions):
            if number:
                assert isinstance(x, Tensor)
                term = self._term(x, raw, graph, number == last)
                x = drop_features(x, self.dropout, self.training)
            out: Tensor = convolution(x, adjacency)
            for added in (term, at_last if number == last else heard):
                out = out if added is None else out + added
            x = out if number == last else self.activation(out)
        assert not isinstance(x, SparseFeatures)
        return x

    def _term(self, hidden: Tensor, raw: Tensor | None, graph: Graph, last: bool) -> Tensor | None:
        """R_k of a layer after the first."""
        if raw is None:
            return None
        if self.residual in ("raw", "graph-raw"):
            return raw @ self.maps[1] if last else raw  # Â is in it
        return self._hop(hidden @ self.maps[1] if last else hidden, graph)

    def _hop(self, x: Tensor, graph: Graph) -> Tensor:
        return spmm(graph.adjacency.kipf(), x) if self.residual.startswith("graph") else x
