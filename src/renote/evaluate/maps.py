"""Label maps that were made: whether a picture is of one thing, and how near its labels are to those of real maps."""

from __future__ import annotations

import torch
from torch import Tensor

from renote.data import SampleData


def map_measures(samples: Tensor, data: SampleData) -> dict[str, float]:
    """How near label maps are to those of a data set.

    Args:
        samples: (n, 1, height, width) numbers of labels, 0 the background.
        data: maps of the same labels.

    Returns:
        `purity`: of what is no background, the share that has the commonest label of its map, on average; `real purity`: the same of real maps;
        `labels`: Jensen-Shannon divergence in bits between the frequencies of labels; `neighbours`: the same of pairs of labels beside one another;
        `distinct`: share of maps unlike all others.
    """
    real = data.test if len(data.test) else data.train
    count = len(data.categories)
    return {
        "purity": _purity(samples, count),
        "real purity": _purity(real, count),
        "labels": _divergence(_counts(samples, count), _counts(real, count)),
        "neighbours": _divergence(_pairs(samples, count), _pairs(real, count)),
        "distinct": len(torch.unique(samples, dim=0)) / max(1, len(samples)),
    }


def _purity(maps: Tensor, count: int) -> float:
    each = torch.zeros(len(maps), count, dtype=torch.float64)
    flat = maps.flatten(1).long()
    each.scatter_add_(1, flat, torch.ones_like(flat, dtype=torch.float64))
    thing = each[:, 1:]
    some = thing.sum(1) > 0
    return float((thing.amax(1) / thing.sum(1))[some].mean()) if bool(some.any()) else 0.0


def _counts(maps: Tensor, count: int) -> Tensor:
    return torch.bincount(maps.flatten().long(), minlength=count).double()


def _pairs(maps: Tensor, count: int) -> Tensor:
    number = maps[:, 0].long()
    beside, below = number[:, :, :-1] * count + number[:, :, 1:], number[:, :-1] * count + number[:, 1:]
    return torch.bincount(torch.cat([beside.flatten(), below.flatten()]), minlength=count * count).double()


def _divergence(one: Tensor, other: Tensor) -> float:
    p, q = one / one.sum().clamp(min=1), other / other.sum().clamp(min=1)
    middle = (p + q) / 2
    nats = sum(float((torch.xlogy(x, x) - torch.xlogy(x, middle)).sum()) / 2 for x in (p, q))
    return nats / float(torch.log(torch.tensor(2.0)))
