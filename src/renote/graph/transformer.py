"""A transformer on small dense graphs that tells the types of nodes and of edges.

Vignac, Krawczuk, Siraudin, Wang, Cevher & Frossard, "DiGress: Discrete Denoising Diffusion for Graph Generation", ICLR 2023, arXiv:2209.14734, figure 2;
after Dwivedi & Bresson 2021.

    y_ijc = q_ic k_jc (1 + s_c(e_ij)) + b_c(e_ij)             attention of each channel, modulated by the edge
    x_i  ← x_i + W Σ_j softmax_j(y_ijc) v_jc
    e_ij ← e_ij + W y_ij,  g ← g + MLP(g, mean x, max x, mean e)
    x, e ← x + MLP(x), e + MLP(e)                             all of x, e normalized first, and scaled and shifted by g

Each channel c attends for width / C channels of the values; DiGress has C = width. Nothing depends on the order of the nodes.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.row import matrices, node_pairs, sites_of
from renote.graph.structure import cycle_counts, heat_signature, reachable, six_cycles
from renote.nets.embedding import check_each, sinusoidal

EIGENVALUES = 6


class GraphTransformerLayer(nn.Module):
    """One layer on nodes x (n, N, width), pairs e (n, N, N, edge_width) and the whole g (n, global_width).

    Args:
        width: of nodes.
        edge_width: of pairs.
        global_width: of the whole.
        channels: C of attention.
        dropout: probability, on what is added.
        last: whether no layer follows that the whole would be for.

    Raises:
        UsageError: the channels do not divide the width.
    """

    def __init__(
        self, width: int, edge_width: int, global_width: int, channels: int, dropout: float = 0.0, last: bool = False
    ) -> None:
        super().__init__()
        if channels < 1 or width % channels:
            raise UsageError(f"channels = {channels} of attention: they must divide the width, {width}")
        self.channels = channels
        self.split = [width, width, edge_width, edge_width, width, width]
        self.modulate = nn.Linear(global_width, sum(self.split))
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)
        self.norms = nn.ModuleDict(
            {
                name: nn.LayerNorm(size)
                for name, size in (
                    ("x", width),
                    ("e", edge_width),
                    ("fed_x", width),
                    ("fed_e", edge_width),
                    *(() if last else (("g", global_width),)),
                )
            }
        )
        self.qkv = nn.Linear(width, 2 * channels + width)
        self.of_edge = nn.Linear(edge_width, 2 * channels)
        self.to_node, self.to_edge = nn.Linear(width, width), nn.Linear(channels, edge_width)
        self.feed_node, self.feed_edge = _perceptron(width, 2), _perceptron(edge_width, 2)
        self.pooled = None if last else nn.Linear(2 * width + edge_width, global_width)
        self.feed_whole = None if last else _perceptron(global_width, 2)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, e: Tensor, g: Tensor, there: Tensor, both: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x, e, g → the same shapes.

        Args:
            x: of nodes.
            e: of pairs.
            g: of the whole.
            there: (n, N) bool, at least one node each.
            both: (n, N, N) bool, pairs of two nodes that are there.
        """
        s_x, b_x, s_e, b_e, s_f, b_f = (part[:, None] for part in self.modulate(g).split(self.split, -1))
        near = self.norms["e"](e) * (1 + s_e[:, None]) + b_e[:, None]
        mixing = self.qkv(self.norms["x"](x) * (1 + s_x) + b_x)
        query, key, value = mixing.split([self.channels, self.channels, x.shape[-1]], -1)
        scale, shift = self.of_edge(near).chunk(2, -1)
        score = query[:, :, None] * key[:, None] * (1 + scale) + shift
        share = score.masked_fill(~there[:, None, :, None], -torch.inf).softmax(2)
        mixed = share.permute(0, 3, 1, 2) @ value.unflatten(-1, (self.channels, -1)).transpose(1, 2).to(share.dtype)
        x = x + self.drop(self.to_node(mixed.transpose(1, 2).flatten(2)))
        e = e + self.drop(self.to_edge(score))
        x = x + self.drop(self.feed_node(self.norms["fed_x"](x) * (1 + s_f) + b_f))
        e = e + self.drop(self.feed_edge(self.norms["fed_e"](e)))
        if self.pooled is None or self.feed_whole is None:
            return x, e, g
        g = g + self.pooled(torch.cat(_pooled(x, e, there, both), -1))
        return x, e, g + self.feed_whole(self.norms["g"](g))


class GraphTransformer(nn.Module):
    """Rows of node and edge types (see `renote.graph.row`) at a time → logits of each.

    Args:
        nodes: N, most of a graph.
        node_types: how many types of nodes.
        edge_types: how many types of edges, 0 being none.
        states: that a site can be in; `max(node_types, edge_types)` is what is absent, and a mask may follow.
        categories: that it says the chances of.
        width: of nodes.
        edge_width: of pairs.
        global_width: of the whole.
        layers: number of `GraphTransformerLayer`s.
        channels: of attention.
        dropout: probability.
        spectral: whether it is shown the spectrum of the graph beside cycles, walks, pieces and degrees.

    Raises:
        UsageError: for numbers that make no network.
    """

    def __init__(
        self,
        nodes: int,
        node_types: int,
        edge_types: int,
        states: int,
        categories: int,
        width: int = 256,
        edge_width: int = 64,
        global_width: int = 64,
        layers: int = 9,
        channels: int = 64,
        dropout: float = 0.0,
        spectral: bool = True,
    ) -> None:
        super().__init__()
        for name, value in {"nodes": nodes, "width": width, "edge_width": edge_width, "layers": layers}.items():
            if value < 1:
                raise UsageError(f"{name} = {value}: must be at least 1")
        self.nodes, self.node_types, self.edge_types = nodes, node_types, edge_types
        self.absent, self.spectral, self.time_width = (
            max(node_types, edge_types),
            spectral,
            2 * ((global_width + 1) // 2),
        )
        self.node, self.edge = nn.Embedding(states, width), nn.Embedding(states, edge_width)
        of_node, of_whole = edge_types - 1 + 4, 3 + node_types + edge_types
        if spectral:
            of_node, of_whole = of_node + 3, of_whole + EIGENVALUES
        self.of_node, self.of_pair = nn.Linear(of_node, width), nn.Linear(3, edge_width)
        self.of_whole = nn.Linear(of_whole, global_width)
        self.embed = nn.Sequential(
            nn.Linear(self.time_width, global_width), nn.SiLU(), nn.Linear(global_width, global_width)
        )
        self.layers = nn.ModuleList(
            GraphTransformerLayer(width, edge_width, global_width, channels, dropout, last=k == layers - 1)
            for k in range(layers)
        )
        self.last_node = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, categories))
        self.last_edge = nn.Sequential(nn.LayerNorm(edge_width), nn.Linear(edge_width, categories))
        for last in (self.last_node, self.last_edge):
            nn.init.zeros_(cast(nn.Linear, last[1]).weight)
            nn.init.zeros_(cast(nn.Linear, last[1]).bias)

    def forward(self, row: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        """States (n, sites) int64 at times (n,) → logits (n, sites, categories); a label is not used.

        Raises:
            UsageError: for another number of sites or times.
        """
        if row.ndim != 2 or row.shape[1] != sites_of(self.nodes):
            raise UsageError(f"rows of shape {tuple(row.shape)}: this network takes (n, {sites_of(self.nodes)})")
        check_each(len(row), time, None)
        node, edge = matrices(row, self.absent)
        there = node != self.absent
        both = edge != self.absent
        of_node, of_pair, of_whole = self._features(node, edge, there, both)
        x = self.node(node) + self.of_node(of_node)
        e = self.edge(edge) + self.of_pair(of_pair)
        when = self.embed(sinusoidal(time, self.time_width).to(of_whole.dtype))
        g = (when + self.of_whole(of_whole)).to(x.dtype)  # sums over layers stay in single precision
        for layer in self.layers:
            x, e, g = layer(x, e, g, there, both)
        i, j = node_pairs(self.nodes, row.device)
        return torch.cat([self.last_node(x), self.last_edge(e[:, i, j] + e[:, j, i])], 1)

    def _features(self, node: Tensor, edge: Tensor, there: Tensor, both: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What a graph looks like: counts as log(1 + count), of nodes, of pairs, of the whole."""
        dtype = self.of_node.weight.dtype
        with torch.no_grad(), torch.autocast(node.device.type, enabled=False):
            kinds = torch.arange(1, self.edge_types, device=node.device)
            # edges of each type at each node; what is masked is of none
            degree = (edge[..., None] == kinds).sum(2).to(dtype)
            adjacency = ((edge > 0) & (edge < self.edge_types)).to(dtype)
            second = adjacency @ adjacency
            joined = reachable(adjacency, there).to(dtype)
            piece = joined.sum(-1, keepdim=True)
            counts = [degree, cycle_counts(adjacency), piece]
            walks = torch.stack([second, second @ adjacency, joined], -1)
            size = there.sum(1, keepdim=True).to(dtype)
            types = (node[..., None] == torch.arange(self.node_types, device=node.device)).sum(1).to(dtype)
            whole = [size / self.nodes, six_cycles(adjacency)[:, None].clamp(min=0).log1p(), types / size]
            whole += [(degree.sum(1) / size), both.sum((1, 2))[:, None].to(dtype) / self.nodes**2]
            whole.append((there[..., None] / piece.clamp(min=1)).sum(1).log())  # how many pieces
            of_node = torch.cat(counts, -1).clamp(min=0).log1p()
            if self.spectral:
                heat, values = heat_signature(adjacency, there)
                of_node = torch.cat([of_node, heat], -1)
                few = values[:, :EIGENVALUES]
                whole.append(nn.functional.pad(few, (0, EIGENVALUES - few.shape[1]), value=2.0))
            return of_node, walks.log1p(), torch.cat(whole, -1)


def _perceptron(width: int, times: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, times * width), nn.GELU(), nn.Linear(times * width, width))


def _pooled(x: Tensor, e: Tensor, there: Tensor, both: Tensor) -> list[Tensor]:
    """Mean and largest of nodes, mean of pairs."""
    node, pair = there[..., None].to(x.dtype), both.to(e.dtype)
    mean = (x * node).sum(1) / node.sum(1)
    largest = x.masked_fill(~there[..., None], -torch.inf).amax(1)
    of_pairs = (pair.flatten(1)[:, None] @ e.flatten(1, 2))[:, 0] / pair.sum((1, 2)).clamp(min=1)[:, None]
    return [mean, largest, of_pairs.to(x.dtype)]
