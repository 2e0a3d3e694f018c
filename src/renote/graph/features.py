"""Features for nodes that come without any, and the scale of those that are there."""

from __future__ import annotations

import torch
from torch import Tensor

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.pattern import Pattern
from renote.graph.sparse import SparseFeatures


def identity_features(num_nodes: int) -> SparseFeatures:
    """X = I: the first linear map of a network, X W, is then a table of learned vectors, one a node.

    What is learned of one graph says nothing of another.

    Args:
        num_nodes: number of nodes, and of features.

    Source:
        Kipf & Welling (2017), section 4.1.
    """
    return _one_hot(torch.arange(num_nodes), num_nodes)


def degree_features(adjacency: Adjacency, highest: int = 255) -> SparseFeatures:
    """x_i = the unit vector of min(d_i, highest), d_i the number of edges that arrive.

    Args:
        adjacency: the edges; duplicates and loops count, weights do not.
        highest: degrees from here on share a feature; there are highest + 1 in all.

    Raises:
        UsageError: highest is negative.

    Source:
        Xu et al. (2019), "How Powerful are Graph Neural Networks?", section 7, for graphs without features.
    """
    if highest < 0:
        raise UsageError(f"highest is {highest}: the highest degree with a feature of its own is 0 or more")
    return _one_hot(adjacency.pattern.count.long().clamp(max=highest), highest + 1)


def unit_scale(x: Tensor | SparseFeatures) -> Tensor | SparseFeatures:
    """x / √(mean of x²): numbers of the size that initializations of networks take for granted; zeros stay zeros.

    Args:
        x: (nodes, features), of any type; the mean is over all of it, zeros included.

    Returns:
        The same in the default precision.
    """
    size = max(1, x.shape[0] * x.shape[1])
    values = x.values if isinstance(x, SparseFeatures) else x
    if not values.is_complex():
        values = values.to(torch.get_default_dtype())
    rms = (values.abs().double().square().sum() / size).sqrt()
    scale = torch.where(rms > 0, rms.reciprocal(), 1.0).to(values.dtype)
    return SparseFeatures(x.pattern, values * scale) if isinstance(x, SparseFeatures) else values * scale


def _one_hot(column: Tensor, width: int) -> SparseFeatures:
    row = torch.arange(len(column), device=column.device)
    pattern, _ = Pattern.from_pairs(row, column, len(column), width)
    return SparseFeatures(pattern, torch.ones(len(column), device=column.device))
