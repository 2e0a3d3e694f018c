"""Classification of whole graphs: each of many has one class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.errors import DataError, UsageError, unknown
from renote.graph.batch import pick
from renote.graph.graph import Graph
from renote.graph.task.node import groups_of, in_precision_of, numbers_of
from renote.nets.evaluation import evaluation

_CHUNK_NODES = 20_000


class GraphClassification(nn.Module):
    """Mean cross-entropy of graphs, - 1/n Σ_g ln softmax(Z_g)_{y_g}, and the network's penalty if it has one.

    The graphs and their labels follow the module to a device or precision; they are not part of its state.

    Args:
        network: `network(graph)` gives logits (graphs, classes) of a batch; or a pair, these and a penalty that is added to the loss, mean over the graphs.
        graphs: all of them as one disjoint union; features are taken in the precision of the network's weights.
        labels: (graphs,) int64; -1 where unknown.
        splits: name → numbers of graphs, `"train"` among them; masks are accepted too.
    """

    def __init__(self, network: nn.Module, graphs: Graph, labels: Tensor, splits: Mapping[str, Tensor]) -> None:
        super().__init__()
        if labels.shape != (graphs.num_graphs,) or labels.is_floating_point():
            raise DataError(
                f"labels of shape {tuple(labels.shape)} and {labels.dtype} for {graphs.num_graphs} graphs: one integer each"
            )
        if "train" not in splits:
            raise DataError(f"no split named 'train' among {sorted(splits)}")
        if graphs.x is None:
            raise UsageError(
                "the graphs have no node features: give their nodes some, e.g. graph.with_x(degree_features(graph.adjacency))"
            )
        self.network = network
        self.graphs = in_precision_of(network, graphs)
        self.labels = labels.long()
        self.splits = {name: numbers_of(name, split, self.labels, "graph") for name, split in splits.items()}

    def forward(self, batch: Mapping[str, Tensor] | None = None) -> Tensor:
        """The loss of a batch, `{"graph": numbers}`, or of all training graphs."""
        numbers = batch["graph"] if batch else self.splits["train"]
        found = self.network(pick(self.graphs, numbers))
        logits, penalty = found if isinstance(found, tuple) else (found, None)
        loss = functional.cross_entropy(logits, self.labels.index_select(0, numbers))
        return loss if penalty is None else loss + penalty

    def logits(self, numbers: Tensor | None = None) -> Tensor:
        """(n, classes) of some graphs, or of all, without dropout, so many at a time that their nodes are not too many."""
        if numbers is None:
            numbers = torch.arange(self.graphs.num_graphs, device=self.labels.device)
        with evaluation(self.network):
            nodes = self.graphs.members.count.index_select(0, numbers).long().cumsum(0) // _CHUNK_NODES
            sizes = [size for size in torch.bincount(nodes).tolist() if size] or [0]
            parts = [self.network(pick(self.graphs, part)) for part in torch.split(numbers, sizes)]
        return torch.cat([part[0] if isinstance(part, tuple) else part for part in parts])

    def accuracy(self, split: str, logits: Tensor | None = None) -> float:
        """Share of a split's graphs whose largest logit is their label's; `logits` of all graphs, if they are there."""
        if split not in self.splits:
            raise unknown("split", split, self.splits)
        numbers = self.splits[split]
        return _share(self.logits(numbers) if logits is None else logits[numbers], self.labels[numbers])

    def validate(self, split: str = "validation") -> dict[str, float]:
        """Cross-entropy and accuracy on a split; empty if there is no such split."""
        if split not in self.splits:
            return {}
        numbers = self.splits[split]
        logits, labels = self.logits(numbers), self.labels[numbers]
        return {"loss": float(functional.cross_entropy(logits, labels)), "accuracy": _share(logits, labels)}

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The network's own groups if it has any, else all parameters alike."""
        return groups_of(self.network, weight_decay)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> GraphClassification:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.graphs = self.graphs.map(fn)
        self.labels = fn(self.labels)
        self.splits = {name: fn(numbers) for name, numbers in self.splits.items()}
        return self


def _share(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(1) == labels).double().mean())
