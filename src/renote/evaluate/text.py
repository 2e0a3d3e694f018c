"""Samples of text: as a file, and how near they are to the text that they learned from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from renote.data import SampleData
from renote.errors import UsageError
from renote.train.checkpoint import write_atomic


def write_texts(texts: Sequence[str], path: Path) -> None:
    """Write samples below one another, each under a line with its number.

    Raises:
        UsageError: for another ending than .txt.
    """
    if path.suffix.lower() != ".txt":
        raise UsageError(
            f"out = {path}: samples of text go to a .txt file, or an array (.npy) of numbers of characters"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, "".join(f"[sample {i}]\n{text}\n\n" for i, text in enumerate(texts)).encode())


def text_measures(samples: Tensor, data: SampleData) -> dict[str, float]:
    """How near texts are to those of a data set.

    Args:
        samples: (n, length) numbers of characters.
        data: text of that alphabet.

    Returns:
        `known_words`: share of whole words that the training text has; `pair_divergence`: Jensen-Shannon divergence in bits between the frequencies of two
        characters after one another; `distinct`: share of samples that are unlike all others.
    """
    written = data.text(_apart(data.train))
    vocabulary = {word for text in written for word in _words(text)}
    words = [word for text in data.text(samples) for word in _words(text)]
    divergence = pair_divergence(samples, _apart(data.train), len(data.alphabet))
    return {
        "known_words": sum(word in vocabulary for word in words) / max(1, len(words)),
        "pair_divergence": divergence,
        "distinct": len(torch.unique(samples, dim=0)) / max(1, len(samples)),
    }


def pair_divergence(one: Tensor, other: Tensor, count: int) -> float:
    """Jensen-Shannon divergence in bits between the frequencies of two symbols after one another; of K² pairs only those that occur are counted.

    Args:
        one: (n, length) numbers of symbols.
        other: (m, length), likewise.
        count: K, how many symbols there are.
    """
    (ours, p), (theirs, q) = _pairs(one, count), _pairs(other, count)
    every = torch.unique(torch.cat([ours, theirs]))
    shares = torch.zeros(2, len(every), dtype=torch.float64)
    shares[0, torch.searchsorted(every, ours)], shares[1, torch.searchsorted(every, theirs)] = p, q
    middle = shares.mean(0)
    nats = sum(float((torch.xlogy(share, share) - torch.xlogy(share, middle)).sum()) / 2 for share in shares)
    return nats / float(torch.log(torch.tensor(2.0)))


def _apart(crops: Tensor) -> Tensor:
    """Crops that do not overlap, of those that begin at every character."""
    return crops[:: max(1, crops.shape[1])]


def _words(text: str) -> list[str]:
    """Whole words: those at the ends of a crop may be cut."""
    return re.findall(r"(?<=[^\w'])[\w']+(?=[^\w'])", text.lower())


def _pairs(samples: Tensor, count: int) -> tuple[Tensor, Tensor]:
    pair = samples[:, :-1].long() * count + samples[:, 1:].long()
    there, times = torch.unique(pair, return_counts=True)
    return there, times.double() / max(1, pair.numel())
