"""Byte-pair tokens: against the algorithm written plainly, and through the loader."""

import itertools
import re
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renote import data
from renote.data.pieces import encode, learn_pieces
from renote.errors import DataError

SONG = "low lower lowest\nnewer newest wider widest low low\n" * 3


def plainly(text, count):
    """Count all pairs anew after each merge."""
    words = [list(word) for word in re.findall(r"\n| ?[^\s]+|\s", text)]
    pieces = sorted(set(text))
    while len(pieces) < count:
        pairs = Counter(pair for word in words for pair in itertools.pairwise(word))
        pairs = {pair: times for pair, times in pairs.items() if times > 1}
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        for word in words:
            place = 0
            while place + 1 < len(word):
                if (word[place], word[place + 1]) == best:
                    word[place : place + 2] = ["".join(best)]
                place += 1
        if "".join(best) not in pieces:
            pieces.append("".join(best))
    return tuple(pieces)


@given(st.text(alphabet="ab \n", min_size=1, max_size=80), st.integers(0, 12))
@settings(max_examples=80, deadline=None)
def test_as_the_plain_algorithm(text, more):
    count = len(set(text)) + more
    pieces = learn_pieces(text, count)
    assert pieces == plainly(text, count)
    numbers = encode(text, pieces)
    assert "".join(pieces[i] for i in numbers) == text
    assert len(numbers) <= len(text)


def test_pieces_of_a_text():
    pieces = learn_pieces(SONG, 25)
    assert pieces == plainly(SONG, 25)
    assert " low" in pieces or "low" in pieces
    with pytest.raises(DataError, match="tokens is 3"):
        learn_pieces(SONG, 3)
    with pytest.raises(DataError, match=r"line 2, column 1: the character 'z' is no token"):
        encode("low\nzebra", pieces)


def test_text_in_tokens(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text(SONG * 10)
    loaded = data.load(str(path), length=6, tokens=24)
    assert isinstance(loaded.alphabet, tuple)
    assert loaded.levels == len(loaded.alphabet) == 24
    assert loaded.card.counts["tokens"] == 24
    assert loaded.text(loaded.train[:1])[0] == SONG[: len(loaded.text(loaded.train[:1])[0])]
    assert torch.equal(loaded.raw(loaded.clean(loaded.train[:50])), loaded.train[:50])
    values = loaded.template("low__")
    free = values.isnan()
    known = len(encode("low", loaded.alphabet))
    assert free.tolist() == [False] * known + [True] * (6 - known)
    with pytest.raises(DataError, match="tokens: samples of"):
        loaded.template("newest widest lower newest widest lower")
    with pytest.raises(DataError, match="give one of both"):
        data.load(str(path), tokens=30, alphabet="abc")
    with pytest.raises(DataError, match="tokens is 4"):
        data.load(str(path), tokens=4)
