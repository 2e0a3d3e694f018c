"""Prediction of links: a pair of nodes has one or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.errors import DataError, UsageError, counted, unknown
from renote.graph.graph import Graph
from renote.graph.task.node import groups_of, in_precision_of, numbers_of
from renote.nets.evaluation import evaluation

HITS = (10, 50, 100)
"""Numbers of pairs without a link that hits are counted above, where there are so many."""
_CHUNK = 4096


class LinkPrediction(nn.Module):
    """Mean of - ln σ(± z_uv), + where u and v have a link.

    The graph, the pairs and their labels follow the module to a device or precision; they are not part of its state.

    Args:
        network: `network(graph, pairs)` gives a score a pair, (n,), its logit if it learns.
        graph: the known links, in both directions.
        pairs: (n, 2) int64 node numbers.
        labels: (n,) 1 for a link, 0 for none, -1 where unknown.
        splits: name → numbers of pairs, `"train"` among them; masks are accepted too.
    """

    def __init__(
        self, network: nn.Module, graph: Graph, pairs: Tensor, labels: Tensor, splits: Mapping[str, Tensor]
    ) -> None:
        super().__init__()
        if pairs.dim() != 2 or pairs.shape[1] != 2 or pairs.is_floating_point():
            raise DataError(f"pairs of shape {tuple(pairs.shape)} and {pairs.dtype}: give two node numbers each")
        if labels.shape != (len(pairs),) or labels.is_floating_point():
            raise DataError(
                f"labels of shape {tuple(labels.shape)} and {labels.dtype} for {len(pairs)} pairs: one each"
            )
        if "train" not in splits:
            raise DataError(f"no split named 'train' among {sorted(splits)}")
        self.network, self.graph = network, in_precision_of(network, graph)
        self.pairs, self.labels = pairs.long(), labels.long()
        self.splits = {name: numbers_of(name, split, self.labels, "pair") for name, split in splits.items()}

    def forward(self, batch: Mapping[str, Tensor] | None = None) -> Tensor:
        """The loss of a batch, `{"link": numbers}`, or of all training pairs."""
        numbers = batch["link"] if batch else self.splits["train"]
        return self._loss(self.of(numbers), numbers)

    def of(self, numbers: Tensor) -> Tensor:
        """Scores (n,) of some pairs, as the network's mode makes them."""
        scores: Tensor = self.network(self.graph, self.pairs.index_select(0, numbers))
        return scores

    def scores(self, numbers: Tensor | None = None) -> Tensor:
        """(n,) of some pairs, or of all, without dropout, some thousand at a time."""
        if numbers is None:
            numbers = torch.arange(len(self.pairs), device=self.pairs.device)
        with evaluation(self.network):
            return torch.cat([self.of(part) for part in torch.split(numbers, self._chunk)] or [self.labels[:0].float()])

    @property
    def _chunk(self) -> int:
        # without weights a score is of the graph alone, and pairs share what is made of it
        return _CHUNK if any(True for _ in self.parameters()) else max(1, len(self.pairs))

    def measures(self, split: str, hits: Sequence[int] = ()) -> dict[str, float]:
        """Area under the curve, average precision, hits, as shares; empty where a split lacks links or lacks pairs without.

        Args:
            split: its name.
            hits: the k of `hits_at`; none given: those of 10, 50 and 100 that the split has pairs without a link for, or 1 where it has fewer than 10.

        Raises:
            UsageError: there is no such split, or a k is out of range.
        """
        if split not in self.splits:
            raise unknown("split", split, self.splits)
        numbers = self.splits[split]
        labels = self.labels[numbers] == 1
        if not bool(labels.any()) or bool(labels.all()):
            return {}
        scores = self.scores(numbers)
        none = int((~labels).sum())
        hits = hits or [k for k in HITS if k <= none] or [1]
        found = {"auc": area_under_curve(scores, labels), "average_precision": average_precision(scores, labels)}
        return found | {f"hits_at_{k}": hits_at(scores, labels, k) for k in hits}

    def validate(self, split: str = "validation") -> dict[str, float]:
        """Loss on a split, and the area under its curve where it has links and pairs without; empty if there is no such split."""
        if split not in self.splits:
            return {}
        numbers = self.splits[split]
        scores, labels = self.scores(numbers), self.labels[numbers] == 1
        found = {"loss": float(self._loss(scores, numbers))}
        if bool(labels.any()) and not bool(labels.all()):
            found["auc"] = area_under_curve(scores, labels)
        return found

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The network's own groups if it has any, else all parameters alike."""
        return groups_of(self.network, weight_decay)

    def _loss(self, scores: Tensor, numbers: Tensor) -> Tensor:
        target = self.labels.index_select(0, numbers).to(scores.dtype)
        return functional.binary_cross_entropy_with_logits(scores, target)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LinkPrediction:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.graph = self.graph.map(fn)
        self.pairs, self.labels = fn(self.pairs), fn(self.labels)
        self.splits = {name: fn(numbers) for name, numbers in self.splits.items()}
        return self


def area_under_curve(scores: Tensor, labels: Tensor) -> float:
    """P(score of one with label > score of one without) + 1/2 P(equal): the area under the ROC curve.

    Args:
        scores: (n,), finite.
        labels: (n,) bool, some of each.

    Raises:
        UsageError: shapes differ, a score is no number, or all labels are alike.
    """
    labels = _checked(scores, labels)
    distinct, rank = torch.unique(scores, return_inverse=True)
    count = torch.bincount(rank, minlength=len(distinct)).double()
    mean_rank = count.cumsum(0) - (count - 1) / 2  # of equal scores, from 1
    positive = int(labels.sum())
    above = float(mean_rank[rank[labels]].sum()) - positive * (positive + 1) / 2
    return above / (positive * (len(labels) - positive))


def average_precision(scores: Tensor, labels: Tensor) -> float:
    """Σ_n (R_n - R_{n-1}) P_n over falling thresholds, precision P and recall R of those at or above; equal scores pass a threshold together.

    Args:
        scores: (n,), finite.
        labels: (n,) bool, some of each.

    Raises:
        UsageError: as `area_under_curve`.
    """
    labels = _checked(scores, labels)
    distinct, rank = torch.unique(scores, return_inverse=True)
    place = len(distinct) - 1 - rank
    hits = torch.bincount(place, labels.double(), minlength=len(distinct))
    precision = hits.cumsum(0) / torch.bincount(place, minlength=len(distinct)).cumsum(0)
    return float((hits * precision).sum() / hits.sum())


def hits_at(scores: Tensor, labels: Tensor, k: int) -> float:
    """The share of pairs with a link whose score is above that of the k-th best without one.

    Args:
        scores: (n,), finite.
        labels: (n,) bool, some of each.
        k: at most the number of pairs without a link.

    Raises:
        UsageError: as `area_under_curve`, or k is out of range.

    Source:
        Hu et al. (2020), "Open Graph Benchmark", section 5.
    """
    labels = _checked(scores, labels)
    none = scores[~labels]
    if not 1 <= k <= len(none):
        raise UsageError(f"k is {k}: hits are counted above the k-th of {counted(len(none), 'pair')} without a link")
    return float((scores[labels] > none.topk(k).values[-1]).double().mean())


def _checked(scores: Tensor, labels: Tensor) -> Tensor:
    if scores.dim() != 1 or scores.shape != labels.shape:
        raise UsageError(
            f"scores of shape {tuple(scores.shape)} and labels of {tuple(labels.shape)}: give one of each a pair"
        )
    if not bool(torch.isfinite(scores).all()):
        raise UsageError("a score is not a finite number: it cannot be ranked")
    labels = labels.bool()
    if not bool(labels.any()) or bool(labels.all()):
        raise UsageError("all pairs have a link, or none has: there is nothing to tell apart")
    return labels
