"""Prediction of links from what surrounds a pair: a classifier of its enclosing subgraph."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from renote.errors import DataError
from renote.graph.batch import pick
from renote.graph.enclosing import enclosing_subgraphs, with_label_features, with_node_rows
from renote.graph.graph import Graph
from renote.graph.task.link import LinkPrediction

_CHUNK = 512


class EnclosedLinkPrediction(LinkPrediction):
    """Mean of - ln σ(± z), z = network(enclosing subgraph of the pair, its nodes by their labels, and by rows of their own where these are given).

    The subgraphs of the pairs that are trained and validated on are made at once when training begins, and kept; those of others when they are asked for.

    Args:
        network: `network(graph)` gives logits (graphs, 1) of a batch.
        graph: as `LinkPrediction`.
        pairs: as there.
        labels: as there.
        splits: as there.
        hops: of `enclosing_subgraphs`.
        highest: label from which on labels share a feature.
        max_nodes_per_hop: of `enclosing_subgraphs`.
        seed: of the nodes that are drawn, if they are.
        rows: (nodes, features) beside the labels, an embedding or attributes of the graph's nodes; part of the module's state, for an embedding need not come out the same twice.

    Raises:
        DataError: there is not one row a node.
    """

    rows: Tensor | None

    def __init__(
        self,
        network: nn.Module,
        graph: Graph,
        pairs: Tensor,
        labels: Tensor,
        splits: Mapping[str, Tensor],
        hops: int,
        highest: int,
        max_nodes_per_hop: int = 0,
        seed: int = 0,
        rows: Tensor | None = None,
    ) -> None:
        super().__init__(network, graph, pairs, labels, splits)
        if rows is not None and (rows.dim() != 2 or len(rows) != graph.num_nodes):
            raise DataError(f"rows of shape {tuple(rows.shape)} for {graph.num_nodes} nodes: give one each")
        self.register_buffer("rows", rows)
        self.hops, self.highest, self.max_nodes_per_hop, self.seed = hops, highest, max_nodes_per_hop, seed
        self._kept: tuple[Tensor, Graph] | None = None

    def forward(self, batch: Mapping[str, Tensor] | None = None) -> Tensor:
        """The loss of a batch, `{"link": numbers}`, or of all training pairs."""
        if self._kept is None:
            seen = torch.cat([self.splits[name] for name in ("train", "validation") if name in self.splits])
            place = torch.full((len(self.pairs),), -1, device=self.pairs.device)
            place[seen] = torch.arange(len(seen), device=seen.device)
            self._kept = place, self.subgraphs(seen)
        return super().forward(batch)

    def subgraphs(self, numbers: Tensor) -> Graph:
        """The enclosing subgraphs of some pairs, with their labels as features, where the pairs are."""
        found = enclosing_subgraphs(
            self.graph.adjacency, self.pairs.index_select(0, numbers), self.hops, self.max_nodes_per_hop, self.seed
        )
        return with_label_features(found, self.highest).to(self.pairs.device)

    def of(self, numbers: Tensor) -> Tensor:
        """Logits (n,) of some pairs, as the network's mode makes them."""
        graphs: Graph | None = None
        if self._kept is not None:
            place = self._kept[0].index_select(0, numbers)
            graphs = pick(self._kept[1], place) if bool((place >= 0).all()) else None
        graphs = self.subgraphs(numbers) if graphs is None else graphs
        # rows are taken here, so that a node's are not kept once a subgraph
        logits: Tensor = self.network(graphs if self.rows is None else with_node_rows(graphs, self.rows))
        return logits.squeeze(1)

    @property
    def _chunk(self) -> int:
        return _CHUNK

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> EnclosedLinkPrediction:
        super()._apply(fn, recurse)
        if self._kept is not None:
            self._kept = fn(self._kept[0]), self._kept[1].map(fn)
        return self
