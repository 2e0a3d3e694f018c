"""Node classification by what a network reads in each node's context, after pre-training without labels if asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from renote.errors import UsageError, unknown
from renote.graph.adjacency import Adjacency
from renote.graph.bert import GraphBERT
from renote.graph.context import Contexts
from renote.graph.graph import Graph
from renote.graph.network import features_of
from renote.graph.sparse import SparseFeatures
from renote.graph.task.node import NodeClassification
from renote.nets.evaluation import evaluation

Pretraining = Literal["none", "attributes", "structure", "both"]
# nodes that are read at once where no gradient is asked for, so that memory does not grow with the graph
_AT_ONCE = 4096


class ContextNodeClassification(NodeClassification):
    """Node classification whose nodes are read one by one, each with its context.

        attributes     mean over nodes of |x_i - x̂_i|² / features,  x̂_i = z_i W
        structure      mean over pairs of (S_ij - cos(z_i, z_j))²

    The structure's pairs are among the nodes of a step and their contexts; S is 0 there but for each node itself and its context.

    Args:
        network: a `GraphBERT`, which `reconstructs` where attributes are asked for.
        graph: the one graph.
        labels: (nodes,) int64; -1 where unknown.
        splits: as `NodeClassification`.
        contexts: `intimate_contexts(graph.adjacency, k)`.
        pretraining: what the first steps are for.
        pretrain_steps: how many.
        pretrain_nodes: nodes of each.

    Source:
        Zhang et al. (2020), section 3.5; pairs are drawn there from all, which a large graph forbids.
    """

    network: GraphBERT
    needs_whole = "reads each node with a context that was found in the whole graph"

    def __init__(
        self,
        network: GraphBERT,
        graph: Graph,
        labels: Tensor,
        splits: Mapping[str, Tensor],
        contexts: Contexts,
        pretraining: Pretraining = "none",
        pretrain_steps: int = 200,
        pretrain_nodes: int = 256,
    ) -> None:
        super().__init__(network, graph, labels, splits)
        if pretraining not in get_args(Pretraining):
            raise unknown("pretraining", pretraining, get_args(Pretraining))
        if pretraining in ("attributes", "both") and network.reconstruct is None:
            raise UsageError(f"pretraining is {pretraining!r}: then the network must be made with reconstructs=True")
        self.contexts, self.pretraining = contexts, pretraining
        self.pretrain_steps = 0 if pretraining == "none" else pretrain_steps
        self.pretrain_nodes = pretrain_nodes

    def forward(self, batch: Mapping[str, Tensor] | None = None) -> Tensor:
        """The loss on the training nodes or those of a batch; of `{"pretrain": numbers}` the losses that need no labels."""
        if not batch or "pretrain" not in batch:
            return super().forward(batch)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            # the labels' part of the network has no gradient then, for which every process would wait
            raise UsageError("pre-training works in one process: set pretraining = none, or start without torchrun")
        nodes = batch["pretrain"]
        if self.pretraining == "attributes":
            return self.attribute_loss(nodes)
        if self.pretraining == "structure":
            return self.structure_loss(nodes)
        return self.attribute_loss(nodes) + self.structure_loss(nodes)

    def scores(self, nodes: Tensor | None = None) -> Tensor:
        """Logits (n, classes) of some nodes, or of all, as the network's mode makes them."""
        if torch.is_grad_enabled():
            return self.network(self.graph, self.contexts, nodes)  # type: ignore[no-any-return]
        every = torch.arange(self.graph.num_nodes, device=self.labels.device) if nodes is None else nodes
        return torch.cat([self.network(self.graph, self.contexts, part) for part in torch.split(every, _AT_ONCE)])

    @torch.no_grad()
    def attention(self) -> list[tuple[Adjacency, Tensor]]:
        """Of each layer: who is in whose context as edges to the node that reads it, itself among them, and shares (edges, heads), without dropout."""
        every = torch.arange(self.graph.num_nodes, device=self.labels.device)
        with evaluation(self.network):
            parts = [self.network.attention(self.graph, self.contexts, part) for part in torch.split(every, _AT_ONCE)]
        there = self.contexts.hops >= 0
        reader = every[:, None].expand_as(there)[there]
        edges = Adjacency.from_edges(self.contexts.node[there], reader, len(every))
        found = []
        for layer in zip(*parts, strict=True):
            shares = torch.cat(layer).transpose(1, 2)[there]
            found.append((edges, shares if edges.order is None else shares[edges.order]))
        return found

    def attribute_loss(self, nodes: Tensor) -> Tensor:
        """How far the features of some nodes (n,) are from what their fused states tell of them."""
        assert self.network.reconstruct is not None
        x = features_of(self.graph)
        wanted = x.select(nodes).to_dense() if isinstance(x, SparseFeatures) else x[nodes]
        found: Tensor = self.network.reconstruct(self.network.encode(self.graph, self.contexts, nodes))
        return functional.mse_loss(found, wanted)

    def structure_loss(self, nodes: Tensor) -> Tensor:
        """How far cosines of states are from intimacies, among some nodes (n,) and their contexts."""
        among = torch.unique(self.contexts.node[nodes])
        fused = functional.normalize(self.network.encode(self.graph, self.contexts, among), dim=1)
        there = self.contexts.hops[among] >= 0
        # nodes that are not among them go to one more column, which is cut off
        place = torch.full((self.graph.num_nodes,), len(among), device=among.device)
        place[among] = torch.arange(len(among), device=among.device)
        column = place[self.contexts.node[among]].where(there, len(among))
        wanted = fused.new_zeros(len(among), len(among) + 1)
        wanted.scatter_(1, column, self.contexts.intimacy[among].to(fused.dtype))
        return functional.mse_loss(fused @ fused.T, wanted[:, :-1])

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ContextNodeClassification:
        super()._apply(fn, recurse)
        self.contexts = self.contexts.map(fn)
        return self
