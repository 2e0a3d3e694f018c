"""Byte-pair tokens: the pieces of a text that occur together most often, found once and kept as text.

Sennrich, Haddow & Birch, "Neural Machine Translation of Rare Words with Subword Units", ACL 2016, arXiv:1508.07909, algorithm 1; here over characters of Unicode, within words
that keep the space before them, so that every text of the alphabet can be written and read back.

    pieces ← characters;  repeat: the most frequent pair of pieces after one another, within a word, becomes a piece
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from renote.errors import DataError

_WORD = re.compile(r"\n| ?[^\s]+|\s")


def learn_pieces(text: str, count: int) -> tuple[str, ...]:
    """The pieces of a text: its characters in order, then merged ones, the most frequent first.

    Args:
        text: to learn from.
        count: of pieces, at least that of characters.

    Raises:
        DataError: for fewer pieces than characters.
    """
    pieces = sorted(set(text))
    if count < len(pieces):
        raise DataError(f"tokens is {count}: the text has {len(pieces)} different characters, which are tokens already")
    words = [(list(word), times) for word, times in Counter(_WORD.findall(text)).items()]
    pairs: Counter[tuple[str, str]] = Counter()
    where: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for number, (parts, times) in enumerate(words):
        for pair in itertools.pairwise(parts):
            pairs[pair] += times
            where[pair].add(number)
    known = set(pieces)
    while len(pieces) < count and pairs:
        # of pairs as frequent the first in order, so that the same text gives the same pieces
        best, times = min(pairs.items(), key=lambda item: (-item[1], item[0]))
        if times < 2:
            break
        merged = "".join(best)
        for number in where.pop(best):
            parts, times = words[number]
            for pair in itertools.pairwise(parts):
                pairs[pair] -= times
                if pairs[pair] <= 0:
                    del pairs[pair]
            parts = _merged(parts, best, merged)
            words[number] = (parts, times)
            for pair in itertools.pairwise(parts):
                pairs[pair] += times
                where[pair].add(number)
        pairs.pop(best, None)
        if merged not in known:  # two ways may lead to one piece
            known.add(merged)
            pieces.append(merged)
    return tuple(pieces)


def encode(text: str, pieces: Sequence[str], what: str = "the given text") -> Tensor:
    """(tokens,) int32 numbers of pieces: within each word the earliest of the learned pieces is put together first.

    Args:
        text: what to write.
        pieces: as `learn_pieces` gives them.
        what: it is called in an error.

    Raises:
        DataError: for a character that is no piece, saying where it is.
    """
    rank = {piece: number for number, piece in enumerate(pieces)}
    kept: dict[str, list[int]] = {}
    numbers: list[int] = []
    for match in _WORD.finditer(text):
        word = match[0]
        if word not in kept:  # each word once
            try:
                kept[word] = [rank[part] for part in _split(word, rank)]
            except KeyError as error:
                place = text.index(error.args[0])
                line, column = text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place)
                raise DataError(
                    f"{what}, line {line}, column {column}: the character {error.args[0]!r} is no token"
                ) from None
        numbers += kept[word]
    return torch.tensor(numbers, dtype=torch.int32)


def _split(word: str, rank: dict[str, int]) -> list[str]:
    parts = list(word)
    while len(parts) > 1:
        found = [(rank[a + b], a, b) for a, b in itertools.pairwise(parts) if a + b in rank]
        if not found:
            break
        _, a, b = min(found)
        parts = _merged(parts, (a, b), a + b)
    return parts


def _merged(parts: list[str], pair: tuple[str, str], merged: str) -> list[str]:
    out: list[str] = []
    place = 0
    while place < len(parts):
        if place + 1 < len(parts) and (parts[place], parts[place + 1]) == pair:
            out.append(merged)
            place += 2
        else:
            out.append(parts[place])
            place += 1
    return out
