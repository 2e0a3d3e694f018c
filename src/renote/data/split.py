"""Which labelled things are trained on, and which are held out."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from renote.data.types import NodeData
from renote.errors import UsageError


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


def split_nodes(data: NodeData, seed: int, validation: float = 0.2, test: float = 0.2) -> NodeData:
    """The same graph with its labelled nodes split anew, class by class.

    Args:
        data: of whose nodes.
        seed: of the split.
        validation: share of each class to validate on.
        test: share of each class to test on; the rest is trained on.
    """
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise UsageError(f"validation = {validation} and test = {test}: shares from 0 that leave some to train on")
    generator = torch.Generator().manual_seed(seed)
    known = (data.labels >= 0).nonzero().squeeze(1)
    rest, tested = stratified(data.labels[known], test, generator)
    trained, validated = stratified(data.labels[known[rest]], validation / (1 - test), generator)
    train, held = known[rest[trained]], known[rest[validated]]
    return dataclasses.replace(data, train=train, validation=held, test=known[tested])
