"""What a loader returns: samples to generate, or a graph whose nodes have classes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from renote.data.card import Card
from renote.errors import DataError
from renote.graph import Graph
from renote.graph.task.node import numbers_of


@dataclass(frozen=True)
class SampleData:
    """Samples of one shape: images, signals, points or text.

    clean = 2 (raw - low) / (high - low) - 1, for a range (low, high); the identity without one.

    Args:
        name: what it was loaded as.
        card: where it is from.
        train: (samples, channels, *space) uint8 or float32; points are (samples, features) float32.
        train_labels: (samples,) int64 in [0, classes), or None.
        test: (held-out samples, channels, *space); may be empty.
        test_labels: (held-out samples,) int64, or None.
        classes: their names by number; empty without labels.
        range: (low, high) of raw values, (0, 255) for uint8; None if they are used as they are.
        alphabet: of text, (samples, length) numbers of characters in it; empty for other data.

    Example:
        >>> from renote import data
        >>> digits = data.load("digits")
        >>> clean = digits.clean(digits.train)
        >>> float(clean.min()), float(clean.max())
        (-1.0, 1.0)
    """

    name: str
    card: Card
    train: Tensor
    train_labels: Tensor | None
    test: Tensor
    test_labels: Tensor | None
    classes: tuple[str, ...] = ()
    range: tuple[float, float] | None = None
    alphabet: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, *space) of one sample, or (features,)."""
        return tuple(self.train.shape[1:])

    @property
    def is_image(self) -> bool:
        """Whether a sample is (channels, height, width)."""
        return len(self.shape) == 3

    @property
    def num_classes(self) -> int:
        """Number of classes, 0 without labels."""
        return len(self.classes)

    @cached_property
    def levels(self) -> int | None:
        """How many equally spaced values a number can have: 256 for 8 bits, but 17 for the digits, which use no others. None where it has a density."""
        if self.alphabet:
            return len(self.alphabet)
        if self.range is None or self.train.is_floating_point():
            return None
        low, high = self.range
        most = round(high - low) + 1
        seen = torch.zeros(most, dtype=torch.bool)
        for part in torch.split(self.train, 4096):
            seen[part.flatten().long() - round(low)] = True
        count = int(seen.sum())
        if count < 2:
            return most
        evenly = torch.linspace(0, most - 1, count, dtype=torch.float64).round().long()
        return count if torch.equal(seen.nonzero()[:, 0], evenly) else most

    def clean(self, raw: Tensor) -> Tensor:
        """Raw (n, *shape) → float32 (n, *shape), in [-1, 1] where there is a range."""
        value = raw.float()
        if self.range is None:
            return value
        low, high = self.range
        return (value - low) * (2.0 / (high - low)) - 1.0

    def raw(self, clean: Tensor) -> Tensor:
        """The inverse of `clean`, clamped to the range, in the dtype of `train`."""
        if self.range is None:
            return clean.to(self.train.dtype)
        low, high = self.range
        value = (clean.float().clamp(-1.0, 1.0) + 1.0) * ((high - low) / 2.0) + low
        return value.round().to(self.train.dtype) if not self.train.is_floating_point() else value.to(self.train.dtype)

    @property
    def blank(self) -> str:
        """What stands for a character that is not known, in `template`: _, or ▁ where the alphabet has that."""
        return "▁" if "_" in self.alphabet else "_"

    def text(self, raw: Tensor) -> list[str]:
        """Raw (n, length) → n texts."""
        return ["".join(self.alphabet[i] for i in row) for row in raw.long().tolist()]

    def template(self, text: str) -> Tensor:
        """Text with blanks → (length,) clean values, NaN at blanks and after its end.

        Raises:
            DataError: for data without an alphabet, a character that it lacks, or a text that is too long.
        """
        if not self.alphabet:
            raise DataError(f"{self.name} is no text: only text can be given characters")
        (length,) = self.shape
        if len(text) > length:
            raise DataError(f"a text of {len(text)} characters: samples of {self.name} have {length}")
        numbers = numbers_of_characters(text.replace(self.blank, self.alphabet[0]), self.alphabet, "the given text")
        free = torch.tensor([c == self.blank for c in text] + [True] * (length - len(text)))
        values = self.clean(functional.pad(numbers, (0, length - len(text)))[None])[0]
        return values.masked_fill(free, float("nan"))


def numbers_of_characters(text: str, alphabet: str, what: str) -> Tensor:
    """(len(text),) int64 numbers of characters in an alphabet.

    Raises:
        DataError: for a character that it lacks, saying where it is.
    """
    number = {character: i for i, character in enumerate(alphabet)}
    try:
        return torch.tensor([number[character] for character in text], dtype=torch.int64)
    except KeyError as error:
        unknown = error.args[0]
        place = text.index(unknown)
        line, column = text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place)
        raise DataError(
            f"{what}, line {line}, column {column}: the character {unknown!r} is not in the alphabet {alphabet!r}"
        ) from None


@dataclass(frozen=True)
class NodeData:
    """One graph, of whose nodes some have known classes.

    Args:
        name: what it was loaded as.
        card: where it is from.
        graph: features (nodes, features) and edges.
        labels: (nodes,) integers in [0, classes); -1 where unknown. A class may have no node.
        train: (training nodes,) numbers of nodes; a mask (nodes,) is taken too, here and below, and becomes numbers.
        validation: (validation nodes,) int64.
        test: (test nodes,) int64.
        classes: their names by number.
        positions: (nodes, 2) float32 for drawing, or None.

    Raises:
        DataError: labels or a part are of another type or shape, or out of range; a part has a node without label; a node is in two parts.
    """

    name: str
    card: Card
    graph: Graph
    labels: Tensor
    train: Tensor
    validation: Tensor
    test: Tensor
    classes: tuple[str, ...]
    positions: Tensor | None = None

    def __post_init__(self) -> None:
        labels, nodes = self.labels, self.graph.num_nodes
        if labels.shape != (nodes,) or labels.dtype.is_floating_point or labels.dtype.is_complex:
            raise DataError(
                f"labels of shape {tuple(labels.shape)} and {labels.dtype} for {nodes} nodes: one integer each"
            )
        labels = labels.long()
        if nodes and int(labels.max()) >= self.num_classes:
            node = int(labels.argmax())
            raise DataError(
                f"node {node} has the label {int(labels[node])} and there are {self.num_classes} names of classes: "
                "give each number up to the largest a name, or number the classes without gaps"
            )
        object.__setattr__(self, "labels", labels)
        parts = torch.zeros(nodes, dtype=torch.long)
        for name in self.splits:
            numbers = numbers_of(name, getattr(self, name), labels)
            object.__setattr__(self, name, numbers)
            parts += torch.bincount(numbers, minlength=nodes)
        if nodes and int(parts.max()) > 1:
            node = int(parts.argmax())
            names = " and ".join(name for name, numbers in self.splits.items() if bool((numbers == node).any()))
            raise DataError(
                f"node {node} is {int(parts[node])} times in the split ({names}): put each node in one part, once"
            )

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def splits(self) -> dict[str, Tensor]:
        """The parts by name, as `NodeClassification` takes them."""
        return {"train": self.train, "validation": self.validation, "test": self.test}
