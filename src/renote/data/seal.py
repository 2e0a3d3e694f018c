"""The graphs of the SEAL paper (Zhang & Chen 2018, "Link prediction based on graph neural networks", section 5): MATLAB files, `net` a symmetric matrix."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch

from renote.data import store
from renote.data.card import Card
from renote.data.links import LinkData, split_links
from renote.errors import DataError


def load(
    card: Card,
    *,
    test_fraction: float = 0.1,
    validation_fraction: float = 0.1,
    negatives: float = 1.0,
    candidates: int = 0,
    seed: int = 0,
) -> LinkData:
    """One of the graphs, its links split as the paper does.

    Args:
        card: with the file.
        test_fraction: share of the links that are taken out to be found again.
        validation_fraction: share of the pairs that would be trained on.
        negatives: pairs without a link for each with one.
        candidates: how many pairs that share neighbours, but no link, to score; the ones with most to share.
        seed: of what is drawn.

    Raises:
        DataError: the file is not the official one, or a share is out of range.
    """
    from scipy.io import loadmat

    # a MATLAB file of version 5 holds numbers, and no code
    file: Any = io.BytesIO(store.read(card, card.files[0]))
    net = loadmat(file, variable_names=["net"])["net"].tocoo()
    if net.shape != (card.size, card.size):
        raise DataError(f"{card.files[0].name} has a matrix of shape {net.shape}: {card.size} nodes were expected")
    links = torch.from_numpy(np.stack([net.row, net.col], 1).astype(np.int64))
    names = [str(k) for k in range(card.size)]
    return split_links(card, links, names, test_fraction, validation_fraction, negatives, candidates, seed)
