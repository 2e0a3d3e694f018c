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
    ours, theirs = (_pairs(value, len(data.alphabet)) for value in (samples, _apart(data.train)))
    middle = (ours + theirs) / 2
    divergence = sum(float((torch.xlogy(p, p) - torch.xlogy(p, middle)).sum()) / 2 for p in (ours, theirs))
    return {
        "known_words": sum(word in vocabulary for word in words) / max(1, len(words)),
        "pair_divergence": divergence / float(torch.log(torch.tensor(2.0))),
        "distinct": len(torch.unique(samples, dim=0)) / max(1, len(samples)),
    }


def _apart(crops: Tensor) -> Tensor:
    """Crops that do not overlap, of those that begin at every character."""
    return crops[:: max(1, crops.shape[1])]


def _words(text: str) -> list[str]:
    """Whole words: those at the ends of a crop may be cut."""
    return re.findall(r"(?<=[^\w'])[\w']+(?=[^\w'])", text.lower())


def _pairs(samples: Tensor, count: int) -> Tensor:
    pair = samples[:, :-1].long() * count + samples[:, 1:].long()
    frequency = torch.bincount(pair.flatten(), minlength=count * count).double()
    return frequency / frequency.sum().clamp(min=1)
