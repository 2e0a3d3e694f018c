"""A transformer that reads each node with its context, and no edge."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from renote.errors import UsageError, unknown
from renote.graph.adjacency import Adjacency
from renote.graph.context import Contexts
from renote.graph.graph import Graph
from renote.graph.network import drop_features, features_of
from renote.graph.segment import spmm
from renote.nets import TransformerLayer, listening, sinusoidal

Residual = Literal["none", "raw", "graph-raw"]


class GraphBERT(nn.Module):
    """z_i = mean over i and its context of h^L, and logits z W + residual.

        h⁰_j = norm(x_j W_x + e(role_j) + e(place of j) + e(hops from j to i)), e the sinusoidal embedding
        h^l = Transformer(h^(l-1)) + R_i, for every place alike

    The residual R is 0 (`"none"`), X W_r (`"raw"`) or Â X W_r (`"graph-raw"`, Kipf's normalized adjacency, which alone lets edges in); the logits have
    one of their own.

    Args:
        features: features a node comes with.
        classes: width of the output.
        hidden: width of every place.
        layers: transformer layers.
        heads: of each layer.
        inner: width inside each layer's feed-forward part; None takes `hidden`.
        dropout: probability, on the input and what each layer adds.
        attention_dropout: probability, on the shares of attention.
        input_dropout: probability, on the features; on sparse ones it falls on the non-zeros.
        residual: which.
        reconstructs: whether there is a map from z back to features.

    Raises:
        UsageError: an unknown residual, an odd width, or heads that do not divide it.

    Source:
        Zhang et al. (2020), sections 3.2 to 3.4; the residual of the logits is in the authors' code alone.
    """

    def __init__(
        self,
        features: int,
        classes: int,
        hidden: int = 32,
        layers: int = 2,
        heads: int = 2,
        inner: int | None = None,
        dropout: float = 0.5,
        attention_dropout: float = 0.3,
        input_dropout: float = 0.0,
        residual: Residual = "graph-raw",
        reconstructs: bool = False,
    ) -> None:
        super().__init__()
        if residual not in get_args(Residual):
            raise unknown("residual", residual, get_args(Residual))
        if hidden < 2 or hidden % 2:
            raise UsageError(f"hidden is {hidden}: half of it are sines, half cosines, so it must be even")
        self.hidden, self.residual, self.input_dropout = hidden, residual, input_dropout
        self.parts = [hidden] if residual == "none" else [hidden, hidden, classes]
        self.weight = nn.Parameter(torch.cat([_glorot(features, part) for part in self.parts], 1))
        self.bias = nn.Parameter(torch.zeros(sum(self.parts)))
        self.norm = nn.LayerNorm(hidden)
        self.drop = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            TransformerLayer(hidden, heads, inner or hidden, dropout, attention_dropout) for _ in range(layers)
        )
        self.classify = nn.Linear(hidden, classes)
        self.reconstruct = nn.Linear(hidden, features) if reconstructs else None

    def forward(self, graph: Graph, contexts: Contexts, nodes: Tensor | None = None) -> Tensor:
        """Logits (n, classes) of some nodes, or of all."""
        fused, residual = self._read(graph, contexts, nodes)
        logits: Tensor = self.classify(fused)
        return logits if residual is None else logits + residual

    def encode(self, graph: Graph, contexts: Contexts, nodes: Tensor | None = None) -> Tensor:
        """z (n, hidden) of some nodes, or of all."""
        return self._read(graph, contexts, nodes)[0]

    def attention(self, graph: Graph, contexts: Contexts, nodes: Tensor) -> list[Tensor]:
        """Of each layer (n, heads, places): how much of the layer's attention, the mean over the places of a node's context, goes to each place; 0 where there is none."""
        found: list[Tensor] = []
        there = contexts.hops[nodes] >= 0
        asking = (there.to(self.weight.dtype) / there.sum(1, keepdim=True))[:, None, :, None]

        def read(layer: Any, given: tuple[Any, ...]) -> None:
            found.append((layer.shares(*given) * asking).sum(2))

        with listening(self.layers, read):
            self.encode(graph, contexts, nodes)
        return found

    def _read(self, graph: Graph, contexts: Contexts, nodes: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if nodes is None:
            nodes = torch.arange(graph.num_nodes, device=self.weight.device)
        mapped = drop_features(features_of(graph), self.input_dropout, self.training) @ self.weight + self.bias
        raw, among = mapped[:, : self.hidden], contexts.node[nodes]
        x = raw[among] + self._places(contexts, nodes, among).to(raw.dtype)
        x = self.drop(self.norm(x))
        there = contexts.hops[nodes] >= 0
        inner, outer = self._residuals(mapped[:, self.hidden :], graph.adjacency, nodes)
        for layer in self.layers:
            x = layer(x, there)
            if inner is not None:
                x = x + inner[:, None]
        share = there.to(x.dtype) / there.sum(1, keepdim=True)
        return torch.einsum("np,npd->nd", share, x), outer

    def _places(self, contexts: Contexts, nodes: Tensor, among: Tensor) -> Tensor:
        role, hops = contexts.role[among], contexts.hops[nodes].clamp(min=0)
        place = torch.arange(among.shape[1], device=among.device)
        return self._embedded(role) + self._embedded(place) + self._embedded(hops)

    def _embedded(self, number: Tensor) -> Tensor:
        # a table with a row for each number there is takes less than the sines of each place
        rows = int(number.max()) + 1 if number.numel() else 0
        precision = torch.promote_types(self.weight.dtype, torch.float32)
        return sinusoidal(torch.arange(rows, dtype=precision, device=number.device), self.hidden)[number]

    def _residuals(self, mapped: Tensor, adjacency: Adjacency, nodes: Tensor) -> tuple[Tensor | None, Tensor | None]:
        if self.residual == "none":
            return None, None
        if self.residual == "graph-raw":
            mapped = spmm(adjacency.kipf(), mapped)
        inner, outer = torch.split(mapped[nodes], self.parts[1:], 1)
        return inner, outer


def _glorot(inputs: int, outputs: int) -> Tensor:
    return nn.init.xavier_uniform_(torch.empty(inputs, outputs))
