"""Node classification: some nodes of one graph have labels, and the others' are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.errors import DataError, UsageError, unknown
from renote.graph.graph import Graph
from renote.graph.inference import layerwise
from renote.graph.minibatch import Sampling
from renote.graph.precomputed import PrecomputedNetwork
from renote.nets.evaluation import evaluation


class NodeClassification(nn.Module):
    """Mean cross-entropy over the training nodes, - 1/|L| Σ_{i in L} ln softmax(Z_i)_{y_i}.

    Where a node may be of several classes, of each class by itself: - 1/(|L| C) Σ_{i in L} Σ_c ln σ(± Z_ic), + where i is of c.

    The graph and the labels follow the module to a device or precision; they are not part of its state.

    Args:
        network: `network(graph)` gives logits (nodes, classes).
        graph: the one graph; its features are taken in the precision of the network's weights, be they wider, narrower or whole numbers.
        labels: (nodes,) int64; -1 where unknown. Or (nodes, classes) bool, whether a node is of a class.
        splits: name → numbers of nodes, `"train"` among them; masks are accepted too.
        loss: `loss(logits, labels)` in the place of the cross-entropy, e.g. `hinge`.

    Attributes:
        several: whether a node may be of several classes.
        sampling: None trains on the whole graph; else each step's loss is made on a part of it, and logits layer by layer.
        megabytes: for the chunks of a layer then.
        pretrain_steps: steps at the beginning whose batch is `{"pretrain": numbers}`, of nodes whether or not they have labels; 0 here.
        pretrain_nodes: nodes of such a step.
        needs_whole: why no part of the graph is enough for a step, as the end of a sentence; None if one is.

    Source:
        Kipf & Welling (2017), eq. 10.
    """

    pretrain_steps: int = 0
    pretrain_nodes: int = 0
    needs_whole: str | None = None

    def __init__(
        self,
        network: nn.Module,
        graph: Graph,
        labels: Tensor,
        splits: Mapping[str, Tensor],
        loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.several = labels.dim() == 2 and labels.dtype == torch.bool and len(labels) == graph.num_nodes
        if not self.several and (labels.shape != (graph.num_nodes,) or labels.is_floating_point()):
            raise DataError(
                f"labels of shape {tuple(labels.shape)} and {labels.dtype} for {graph.num_nodes} nodes: one integer each, or (nodes, classes) bool"
            )
        if "train" not in splits:
            raise DataError(f"no split named 'train' among {sorted(splits)}")
        self.network = network
        self.graph = in_precision_of(network, graph)
        self.labels = labels if self.several else labels.long()
        self.loss = loss or (binary_cross_entropy if self.several else functional.cross_entropy)
        self.splits = {name: numbers_of(name, split, self.labels) for name, split in splits.items()}
        self.sampling: Sampling | None = None
        self.megabytes = 1024.0

    def forward(self, batch: Mapping[str, Tensor] | None = None) -> Tensor:
        """The loss on the training nodes, or on those of a batch: `{"node": numbers}`, or as the sampling says.

        Raises:
            DataError: there are no training nodes.
        """
        if not self.splits["train"].numel():
            raise DataError("the split 'train' is empty: the loss is a mean over its nodes")
        if batch and self.sampling is not None:
            part = self.sampling.part(self.graph, batch, self.splits["train"])
            logits: Tensor = self.network(part.graph).index_select(0, part.asked)
            return self._loss(logits, part.node.index_select(0, part.asked)) * _weight_of(batch, len(logits))
        nodes = batch["node"] if batch else self.splits["train"]
        return self._loss(self.scores(nodes), nodes)

    def scores(self, nodes: Tensor | None = None) -> Tensor:
        """Logits (n, classes) of some nodes, or of all, as the network's mode makes them."""
        by_layer = self.sampling is not None and not self.network.training
        logits: Tensor = layerwise(self.network, self.graph, self.megabytes) if by_layer else self.network(self.graph)
        return logits if nodes is None else logits.index_select(0, nodes)

    def logits(self, nodes: Tensor | None = None) -> Tensor:
        """(n, classes) of some nodes, or of all, without dropout."""
        with evaluation(self.network):
            return self.scores(nodes)

    def accuracy(self, split: str, logits: Tensor | None = None) -> float:
        """Share of a split's nodes whose largest logit is their label's; `logits` of all nodes, if they are there.

        Raises:
            UsageError: nodes are of several classes.
        """
        if self.several:
            raise UsageError("nodes are of several classes: ask for micro_f1")
        nodes = self._split(split)
        return self._share(self.logits(nodes) if logits is None else logits[nodes], nodes)

    def micro_f1(self, split: str, logits: Tensor | None = None) -> float:
        """2 TP / (2 TP + FP + FN) over all pairs of a split's node and a class, which is predicted where its logit is positive; `logits` of all nodes, if they are there.

        Raises:
            UsageError: each node is of one class, where this is the accuracy.
        """
        if not self.several:
            raise UsageError("each node is of one class: there micro-F1 is the accuracy")
        nodes = self._split(split)
        return self._share(self.logits(nodes) if logits is None else logits[nodes], nodes)

    def validate(self, split: str = "validation") -> dict[str, float]:
        """Loss and accuracy on a split, micro-F1 where nodes are of several classes; empty if there is no such split."""
        if split not in self.splits:
            return {}
        nodes = self.splits[split]
        logits = self.logits(nodes)
        measure = "micro_f1" if self.several else "accuracy"
        return {"loss": float(self._loss(logits, nodes)), measure: self._share(logits, nodes)}

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The network's own groups if it has any, else all parameters alike."""
        return groups_of(self.network, weight_decay)

    def _loss(self, logits: Tensor, nodes: Tensor) -> Tensor:
        if not len(logits):
            # a part without training nodes has nothing to say, and a loss of 0 that has a gradient
            return logits.sum()
        return self.loss(logits, self.labels.index_select(0, nodes))

    def _share(self, logits: Tensor, nodes: Tensor) -> float:
        if not self.several:
            return float((logits.argmax(1) == self.labels[nodes]).double().mean())
        predicted, known = logits > 0, self.labels[nodes]
        found, all_of_both = int((predicted & known).sum()), int(predicted.sum()) + int(known.sum())
        return 2.0 * found / all_of_both if all_of_both else 0.0

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


class PrecomputedNodeClassification(NodeClassification):
    """Node classification whose graph is read once: `signals(graph)` is kept, and each step reads the rows of its nodes alone.

    Args:
        network: a `PrecomputedNetwork`.
        graph: the one graph.
        labels: as `NodeClassification`.
        splits: as `NodeClassification`.
        loss: as `NodeClassification`.
    """

    network: PrecomputedNetwork
    needs_whole = "reads its graph once, before training"

    def __init__(
        self,
        network: PrecomputedNetwork,
        graph: Graph,
        labels: Tensor,
        splits: Mapping[str, Tensor],
        loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(network, graph, labels, splits, loss)
        self.signals = network.signals(self.graph)
        self._rows: dict[str, Tensor] = {}

    def scores(self, nodes: Tensor | None = None) -> Tensor:
        """Logits (n, classes) of some nodes, or of all, as the network's mode makes them."""
        return self.network.weigh(self.signals if nodes is None else self._of(nodes))

    def _of(self, nodes: Tensor) -> Tensor:
        # To gather the rows of a split at every step takes longer than to use them.
        for name in ("train", "validation"):
            if nodes is self.splits.get(name):
                if name not in self._rows:
                    self._rows[name] = self.signals.index_select(0, nodes)
                return self._rows[name]
        return self.signals.index_select(0, nodes)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PrecomputedNodeClassification:
        super()._apply(fn, recurse)
        self.signals, self._rows = fn(self.signals), {}
        return self


def _weight_of(batch: Mapping[str, Tensor], nodes: int) -> Tensor | float:
    """What the mean over a part's training nodes counts, its share of the step's clusters aside, so that it is the step's mean that is summed; 1 if nothing was cut."""
    if not nodes or "training" not in batch:
        return 1.0
    return nodes * batch["clusters"][0] / (batch["training"][0] * len(batch["cluster"]))


def binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of - ln σ(± z), + where a node is of the class: logits (n, classes), labels (n, classes) bool."""
    return functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


def hinge(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of max(0, 1 - p_y + max_{c ≠ y} p_c), p = softmax(logits). Of labels that are a matrix, each class is such a pair, p and 1 - p with p = σ(logit).

    Args:
        logits: (n, classes), at least two classes.
        labels: (n,) int64, or (n, classes) bool.

    Source:
        The multiclass hinge loss of Crammer & Singer (2001), on probabilities as in Atwood & Towsley's code.
    """
    if labels.dim() == 2:
        lead = torch.where(labels, 1.0, -1.0) * (2.0 * logits.sigmoid() - 1.0)
        return functional.relu(1.0 - lead).mean()
    share = logits.softmax(1)
    own = share.gather(1, labels[:, None]).squeeze(1)
    others = share.scatter(1, labels[:, None], -torch.inf).max(1).values
    return functional.relu(1.0 - own + others).mean()


def numbers_of(name: str, split: Tensor, labels: Tensor, what: str = "node") -> Tensor:
    """Numbers of a split's nodes, each of which has a label.

    Args:
        name: of the split.
        split: (n,) numbers, or a mask (nodes,).
        labels: (nodes,) integers; below 0 where unknown. Or (nodes, classes) bool.
        what: they are, for the message, if not nodes.

    Raises:
        DataError: it is of another type or shape, or names a node that is not there or has no label.
    """
    if split.dim() != 1:
        raise DataError(
            f"the split {name!r} has shape {tuple(split.shape)}: it must be (n,) numbers or a mask ({what}s,)"
        )
    if split.is_floating_point() or split.is_complex():
        raise DataError(f"the split {name!r} is of {split.dtype}: it must be {what} numbers or a mask")
    if split.dtype == torch.bool and split.shape != labels.shape[:1]:
        raise DataError(f"the split {name!r} is a mask of shape {tuple(split.shape)} for {labels.shape[0]} {what}s")
    nodes = split.nonzero().squeeze(1) if split.dtype == torch.bool else split.long()
    if nodes.numel() and not 0 <= int(nodes.min()) <= int(nodes.max()) < labels.shape[0]:
        raise DataError(f"the split {name!r} names {what}s outside 0 … {labels.shape[0] - 1}")
    unlabelled = nodes[labels[nodes] < 0] if labels.dim() == 1 else nodes[:0]
    if unlabelled.numel():
        raise DataError(f"{what} {int(unlabelled[0])} of the split {name!r} has no label")
    return nodes


def groups_of(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters for the optimizer: the network's own groups if it has any, else all alike."""
    own: Callable[[float], list[dict[str, Any]]] | None = getattr(network, "parameter_groups", None)
    return [{"params": list(network.parameters()), "weight_decay": weight_decay}] if own is None else own(weight_decay)


def in_precision_of(network: nn.Module, graph: Graph) -> Graph:
    """The graph with features in the precision of the network's weights; complex ones are refused."""
    x = graph.x
    if x is None:
        return graph
    if x.dtype.is_complex:
        raise DataError(f"the node features are of {x.dtype}: give real numbers, e.g. their real and imaginary parts")
    weights = (parameter.dtype for parameter in network.parameters() if parameter.dtype.is_floating_point)
    kept = x.dtype if x.dtype.is_floating_point else torch.get_default_dtype()
    precision = next(weights, kept)
    return graph if x.dtype == precision else graph.with_x(x.to(precision))
