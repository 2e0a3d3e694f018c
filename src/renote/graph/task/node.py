"""Node classification: some nodes of one graph have labels, and the others' are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.errors import DataError, unknown
from renote.graph.graph import Graph


class NodeClassification(nn.Module):
    """Mean cross-entropy over the training nodes, - 1/|L| Σ_{i in L} ln softmax(Z_i)_{y_i}, full batch.

    The graph and the labels follow the module to a device or precision; they are not part of its state.

    Args:
        network: `network(graph)` gives logits (nodes, classes).
        graph: the one graph.
        labels: (nodes,) int64; -1 where unknown.
        splits: name → numbers of nodes, `"train"` among them; masks are accepted too.

    Source:
        Kipf & Welling (2017), eq. 10.
    """

    def __init__(self, network: nn.Module, graph: Graph, labels: Tensor, splits: Mapping[str, Tensor]) -> None:
        super().__init__()
        if labels.shape != (graph.num_nodes,) or labels.is_floating_point():
            raise DataError(
                f"labels of shape {tuple(labels.shape)} and {labels.dtype} for {graph.num_nodes} nodes: one integer each"
            )
        if "train" not in splits:
            raise DataError(f"no split named 'train' among {sorted(splits)}")
        self.network = network
        self.graph = graph
        self.labels = labels.long()
        self.splits = {name: _nodes(name, split, self.labels) for name, split in splits.items()}
        if not self.splits["train"].numel():
            raise DataError("the split 'train' is empty: the loss is a mean over its nodes")

    def forward(self, batch: Mapping[str, Tensor] | None = None) -> Tensor:
        """The loss on the training nodes; `batch` is not needed, the module holds its data."""
        return self._loss(self.network(self.graph), "train")

    @torch.no_grad()
    def logits(self) -> Tensor:
        """(nodes, classes) without dropout."""
        training = self.network.training
        self.network.eval()
        try:
            out: Tensor = self.network(self.graph)
        finally:
            self.network.train(training)
        return out

    def accuracy(self, split: str, logits: Tensor | None = None) -> float:
        """Share of a split's nodes whose largest logit is their label's."""
        nodes = self._split(split)
        logits = self.logits() if logits is None else logits
        return float((logits[nodes].argmax(1) == self.labels[nodes]).double().mean())

    def validate(self, split: str = "validation") -> dict[str, float]:
        """Loss and accuracy on a split; empty if there is no such split."""
        if split not in self.splits:
            return {}
        logits = self.logits()
        return {"loss": float(self._loss(logits, split)), "accuracy": self.accuracy(split, logits)}

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The network's own groups if it has any, else all parameters alike."""
        own: Callable[[float], list[dict[str, Any]]] | None = getattr(self.network, "parameter_groups", None)
        if own is not None:
            return own(weight_decay)
        return [{"params": list(self.network.parameters()), "weight_decay": weight_decay}]

    def _loss(self, logits: Tensor, split: str) -> Tensor:
        nodes = self._split(split)
        return functional.cross_entropy(logits.index_select(0, nodes), self.labels.index_select(0, nodes))

    def _split(self, split: str) -> Tensor:
        if split not in self.splits:
            raise unknown("split", split, self.splits)
        return self.splits[split]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> NodeClassification:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.graph = self.graph.map(fn)
        self.labels = fn(self.labels)
        self.splits = {name: fn(nodes) for name, nodes in self.splits.items()}
        return self


def _nodes(name: str, split: Tensor, labels: Tensor) -> Tensor:
    if split.is_floating_point():
        raise DataError(f"the split {name!r} is of {split.dtype}: it must be node numbers or a mask")
    if split.dtype == torch.bool and split.shape != labels.shape:
        raise DataError(f"the split {name!r} is a mask of shape {tuple(split.shape)} for {labels.shape[0]} nodes")
    nodes = split.nonzero().squeeze(1) if split.dtype == torch.bool else split.long()
    if nodes.numel() and not 0 <= int(nodes.min()) <= int(nodes.max()) < labels.shape[0]:
        raise DataError(f"the split {name!r} names nodes outside 0 … {labels.shape[0] - 1}")
    unlabelled = nodes[labels[nodes] < 0]
    if unlabelled.numel():
        raise DataError(f"node {int(unlabelled[0])} of the split {name!r} has no label")
    return nodes
