"""Which labelled things are trained on, and which are held out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from renote.data.types import GraphData, NodeData
from renote.errors import DataError, UsageError, counted


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


def partition(
    labels: Tensor, validation_fraction: float, test_fraction: float, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Training, validation and test parts, each with its share of every class.

    Args:
        labels: (n,) int64; what has the label -1 is in no part.
        validation_fraction: share of each class that is validated on.
        test_fraction: share of each class that is tested on.
        seed: of the order.

    Returns:
        Three index tensors, increasing.

    Raises:
        DataError: a share is negative, or nothing is left to train on.
    """
    if validation_fraction < 0 or test_fraction < 0 or validation_fraction + test_fraction >= 1:
        raise DataError(
            f"validation_fraction is {validation_fraction} and test_fraction {test_fraction}: "
            "together they must stay below 1, and neither below 0"
        )
    generator = torch.Generator().manual_seed(seed)
    known = (labels >= 0).nonzero().squeeze(1)
    rest, test = stratified(labels[known], test_fraction, generator)
    rest, test = known[rest], known[test]
    train, validation = stratified(labels[rest], validation_fraction / (1.0 - test_fraction), generator)
    return rest[train], rest[validation], test


def per_class(
    labels: Tensor, train_per_class: int, validation_per_class: int, seed: int, classes: Sequence[str] = ()
) -> tuple[Tensor, Tensor, Tensor]:
    """As many training nodes of each class, as many validation nodes, and all others to test.

    Args:
        labels: (n,) int64; what has the label -1 is in no part.
        train_per_class: of each class, at least 1.
        validation_per_class: of each class.
        seed: of the order.
        classes: names of the classes, for messages.

    Returns:
        Three index tensors, increasing.

    Raises:
        DataError: a number is too small, or a class has too few members to have any left to test.

    Source:
        Shchur et al. (2018), "Pitfalls of Graph Neural Network Evaluation", section 3: 20 and 30.
    """
    if train_per_class < 1 or validation_per_class < 0:
        raise DataError(
            f"train_per_class is {train_per_class} and validation_per_class {validation_per_class}: at least 1 and 0"
        )
    known = (labels >= 0).nonzero().squeeze(1)
    counts = torch.bincount(labels[known])
    needed = train_per_class + validation_per_class
    scarce = ((counts > 0) & (counts <= needed)).nonzero().squeeze(1)
    if scarce.numel():
        number = int(scarce[0])
        raise DataError(
            f"class {repr(classes[number]) if classes else number} has {counted(int(counts[number]), 'labelled node')}: {train_per_class} to train and "
            f"{validation_per_class} to validate leave none to test. Split at random instead (--split random, or a loader's split=random), or lower "
            "train_per_class or validation_per_class where the loader has them"
        )
    order = known[torch.randperm(known.shape[0], generator=torch.Generator().manual_seed(seed))]
    rank = rank_in_class(labels[order])
    parts = (rank < train_per_class, (rank >= train_per_class) & (rank < needed), rank >= needed)
    train, validation, test = (order[part].sort().values for part in parts)
    return train, validation, test


def folds(count: int, number: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Cross-validation: a random cut into `number` parts, each of which is the test part once.

    Args:
        count: of things.
        number: of parts.
        seed: of the order.

    Returns:
        A pair of index tensors a fold, increasing: the rest, and the part.
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    parts = order.tensor_split(number)
    return [
        (torch.cat([*parts[:fold], *parts[fold + 1 :]]).sort().values, part.sort().values)
        for fold, part in enumerate(parts)
    ]


def stratified_folds(labels: Tensor, number: int, seed: int, classes: Sequence[str] = ()) -> tuple[Tensor, ...]:
    """Cross-validation: the test part of each fold, in which each class has its share.

    Args:
        labels: (n,) int64; what has the label -1 is in no part.
        number: of folds.
        seed: of the order.
        classes: names of the classes, for messages.

    Returns:
        An index tensor a fold, increasing.

    Raises:
        DataError: fewer than two folds, or a class with fewer members than folds.
    """
    if number < 2:
        raise DataError(f"folds is {number}: there must be at least two")
    known = (labels >= 0).nonzero().squeeze(1)
    counts = torch.bincount(labels[known])
    scarce = ((counts > 0) & (counts < number)).nonzero().squeeze(1)
    if scarce.numel():
        label, count = int(scarce[0]), int(counts[scarce[0]])
        raise DataError(
            f"class {repr(classes[label]) if classes else label} has {counted(count, 'member')} for {number} folds: each needs one; make fewer folds"
        )
    order = known[torch.randperm(len(known), generator=torch.Generator().manual_seed(seed))]
    # classes one after the other, so that what is left over of each does not always go to the first fold
    by_class = order[torch.argsort(labels[order], stable=True)]
    return tuple(by_class[fold::number].sort().values for fold in range(number))


def rank_in_class(labels: Tensor) -> Tensor:
    """(n,) for each entry how many earlier entries have the same label."""
    by_class = torch.argsort(labels, stable=True)
    sorted_labels = labels[by_class]
    place = torch.arange(labels.shape[0])
    first = torch.searchsorted(sorted_labels, sorted_labels)
    rank = torch.empty_like(place)
    rank[by_class] = place - first
    return rank


def split_nodes(data: NodeData, seed: int, validation_fraction: float = 0.2, test_fraction: float = 0.2) -> NodeData:
    """The same graph with its labelled nodes split anew; arguments as `partition`.

    Raises:
        DataError: a share is negative, nothing is left to train on, nodes are of several classes, or the parts are whole graphs.
    """
    _refuse_own_split(data)
    train, validation, test = partition(data.labels, validation_fraction, test_fraction, seed)
    return dataclasses.replace(data, train=train, validation=validation, test=test)


def split_per_class(data: NodeData, seed: int, train_per_class: int = 20, validation_per_class: int = 30) -> NodeData:
    """The same graph, split anew by `per_class`.

    Raises:
        DataError: as there, nodes are of several classes, or the parts are whole graphs.
    """
    _refuse_own_split(data)
    train, validation, test = per_class(data.labels, train_per_class, validation_per_class, seed, data.classes)
    return dataclasses.replace(data, train=train, validation=validation, test=test)


def split_fold(data: GraphData, fold: int, seed: int = 0, validation_fraction: float = 0.1) -> GraphData:
    """The same graphs with one fold to test on, and the others' split at random, by class, into those to train and to validate on.

    Args:
        data: with folds.
        fold: which, from 1.
        seed: of the validation part.
        validation_fraction: share of each class of the other folds.

    Raises:
        DataError: there is no such fold, or nothing is left to train on.
    """
    if not 1 <= fold <= len(data.folds):
        raise DataError(
            f"fold is {fold}: {data.name} has {len(data.folds) or 'no'} folds{', numbered from 1' * bool(data.folds)}"
        )
    if not 0 <= validation_fraction < 1:
        raise DataError(f"validation_fraction is {validation_fraction}: it must be at least 0 and below 1")
    test = data.folds[fold - 1]
    known = data.labels >= 0
    known[test] = False
    rest = known.nonzero().squeeze(1)
    train, validation = stratified(data.labels[rest], validation_fraction, torch.Generator().manual_seed(seed))
    return dataclasses.replace(data, train=rest[train], validation=rest[validation], test=test)


def with_folds(data: GraphData, folds: tuple[Tensor, ...]) -> GraphData:
    """The same graphs with other folds, and nothing in the parts until one is chosen by `split_fold`.

    Args:
        data: graphs.
        folds: the test part of each.
    """
    nothing = torch.empty(0, dtype=torch.long)
    return dataclasses.replace(data, folds=folds, train=nothing, validation=nothing, test=nothing)


def split_graphs(graph_of_node: Tensor, graphs: int) -> dict[str, Tensor]:
    """Whole graphs: the last fifth of them to test, the fifth before to validate, the others to train.

    Args:
        graph_of_node: (nodes,) int64, never decreasing.
        graphs: number of graphs, at least 3.

    Returns:
        Numbers of nodes by the name of their part.
    """
    fifth = max(1, graphs // 5)
    last = graphs - graph_of_node  # 1 for the last
    parts = {
        "train": last > 2 * fifth,
        "validation": (last > fifth) & (last <= 2 * fifth),
        "test": last <= fifth,
    }
    return {name: part.nonzero().squeeze(1) for name, part in parts.items()}


def _refuse_own_split(data: NodeData) -> None:
    if data.several:
        raise DataError(
            f"the nodes of {data.name} are of several classes each, so there is no share of each class: keep its own split"
        )
    if data.inductive:
        raise DataError(
            f"the parts of {data.name} are whole graphs, of which those that are tested on are never seen in training: keep its own split"
        )


def check_fractions(validation: float, test: float) -> None:
    """Refuse shares that leave nothing.

    Args:
        validation: share that is validated on.
        test: share that is tested on.

    Raises:
        UsageError: a share is outside [0, 1), or both together are 1 or more.
    """
    for name, share in {"validation_fraction": validation, "test_fraction": test}.items():
        if not 0.0 <= share < 1.0:
            raise UsageError(f"{name} = {share} must lie in [0, 1)")
    if validation + test >= 1.0:
        raise UsageError(f"validation_fraction + test_fraction = {validation + test}: nothing is left to train on")
