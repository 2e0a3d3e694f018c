"""Which labelled things are trained on, and which are held out."""

from __future__ import annotations

import torch
from torch import Tensor


def stratified(labels: Tensor, fraction: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A random part of each class.

    Args:
        labels: (n,) int64.
        fraction: share of each class, rounded to whole samples, that goes to the second part.
        generator: source of the order.

    Returns:
        Two index tensors, increasing: the rest, and the part.
    """
    order = torch.randperm(labels.shape[0], generator=generator)
    rank = rank_in_class(labels[order])
    counts = torch.bincount(labels, minlength=1) if labels.numel() else labels.new_zeros(1)
    quota = (counts.double() * fraction).round().long()
    taken = rank < quota[labels[order]]
    return order[~taken].sort().values, order[taken].sort().values


def rank_in_class(labels: Tensor) -> Tensor:
    """(n,) for each entry how many earlier entries have the same label."""
    by_class = torch.argsort(labels, stable=True)
    sorted_labels = labels[by_class]
    place = torch.arange(labels.shape[0])
    first = torch.searchsorted(sorted_labels, sorted_labels)
    rank = torch.empty_like(place)
    rank[by_class] = place - first
    return rank
