"""Text, character by character or in byte-pair tokens: the user's own file, or one with a name. Samples are crops of one length."""

from __future__ import annotations

from pathlib import Path

import torch

from renote.data.card import Card
from renote.data.pieces import encode, learn_pieces
from renote.data.types import SampleData, numbers_of_characters
from renote.errors import DataError


def load(
    source: Card | str,
    *,
    length: int = 128,
    test_fraction: float = 0.1,
    stride: int = 1,
    alphabet: str | tuple[str, ...] = "",
    tokens: int = 0,
) -> SampleData:
    """Crops (n, length) of numbers of characters or tokens, which overlap to train, as they begin anywhere, and do not in the held-out end of the text.

    Args:
        source: a card, or the path of a text file in UTF-8.
        length: characters, or tokens, of a crop.
        test_fraction: share of the text that is held out, at its end.
        stride: characters or tokens between the beginnings of training crops.
        alphabet: the characters that may occur, in the order of their numbers; by default those of the file, sorted. Or byte-pair tokens that were learned before,
            in a tuple.
        tokens: how many byte-pair tokens to learn from the part that is trained on, characters included; 0 takes characters.

    Raises:
        DataError: the file is missing, no UTF-8, too short, or has a character that is not in the alphabet; an option is out of range.
    """
    if length < 1 or stride < 1 or not 0.0 <= test_fraction < 1.0:
        raise DataError(
            f"length is {length}, stride {stride} and test_fraction {test_fraction}: needs length >= 1, stride >= 1 and 0 <= test_fraction < 1"
        )
    name = source.name if isinstance(source, Card) else source
    text = _read(source)
    symbols = alphabet or "".join(sorted(set(text)))
    if len(set(symbols)) != len(symbols):
        twice = next(c for i, c in enumerate(symbols) if c in symbols[:i])
        raise DataError(f"the alphabet has {twice!r} twice: name each once")
    if len(symbols) < 2:
        raise DataError(f"{name} has {len(symbols)} different characters: text has at least 2")
    known = symbols
    if tokens:
        if alphabet:
            raise DataError(f"alphabet and tokens = {tokens}: give one of both, as tokens are learned from the file")
        # characters of the held-out end are tokens too, but what is merged is learned from the rest
        learned = learn_pieces(text[: len(text) - round(test_fraction * len(text))], max(tokens, len(symbols)))
        pieces = tuple(dict.fromkeys([*symbols, *(piece for piece in learned if len(piece) > 1)]))
        if tokens < len(symbols):
            raise DataError(
                f"tokens is {tokens}: {name} has {len(symbols)} different characters, which are tokens already"
            )
        numbers, known = encode(text, pieces[:tokens]), pieces[:tokens]
    elif isinstance(symbols, str):
        numbers = numbers_of_characters(text, symbols, name)
    else:
        numbers = encode(text, symbols, name)
    unit = "characters" if isinstance(known, str) else "tokens"
    numbers = numbers.to(torch.uint8 if len(known) <= 256 else torch.int32)
    held = round(test_fraction * len(numbers))
    train, test = numbers[: len(numbers) - held], numbers[len(numbers) - held :]
    if len(train) < length:
        raise DataError(
            f"{name} has {len(train)} {unit} to train on: a crop has {length}. Lower length or test_fraction"
        )
    # views: a million crops take the memory of the text
    crops = train.unfold(0, length, stride)
    held_out = test.unfold(0, length, length) if held >= length else test.new_empty(0, length)
    counts = {unit: len(known), "train": len(crops), "test": len(held_out)}
    card = (
        source
        if isinstance(source, Card)
        else Card(
            name,
            f"{unit.capitalize()} of the file {Path(name).name}",
            "samples",
            len(numbers),
            (length,),
            (),
            name,
            "the owner's",
            counts=counts,
        )
    )
    ends = (0.0, float(len(known) - 1))
    return SampleData(name, card, crops, None, held_out, None, range=ends, alphabet=known)


def _read(source: Card | str) -> str:
    if isinstance(source, Card):
        from renote.data import store

        (file,) = source.files
        return store.read(source, file).decode()
    path = Path(source).expanduser()
    if not path.is_file():
        raise DataError(f"the file {str(path)!r} {'is a folder' if path.is_dir() else 'does not exist'}")
    try:
        content = path.read_bytes()
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path} is not UTF-8: byte {error.start} (line {line}) is {content[error.start]:#04x}. Save it as UTF-8"
        ) from error
