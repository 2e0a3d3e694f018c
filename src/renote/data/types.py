"""What a loader returns: samples to generate, a graph whose nodes have classes, or graphs with a class each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from renote.data.card import Card
from renote.data.checked import checked_features, checked_labels, checked_parts
from renote.data.colours import COLOURS, UNKNOWN, Colour
from renote.data.fingerprint import fingerprint
from renote.data.form import GraphForm
from renote.data.pieces import encode
from renote.errors import DataError
from renote.graph import Graph


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
        alphabet: of text, (samples, length) numbers of characters in it, or of tokens, of several characters each, in a tuple; empty for other data.
        categories: of maps, the names of what a pixel's number says; empty for other data.
        palette: of maps, a colour for each category; empty for those of the house.
        graphs: of graphs, what the types of their nodes and pairs (samples, sites) mean; None for other data.

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
    alphabet: str | tuple[str, ...] = ""
    categories: tuple[str, ...] = ()
    graphs: GraphForm | None = None
    palette: tuple[Colour, ...] = ()

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
        if self.graphs is not None:
            return self.graphs.absent + 1
        if self.categories:
            return len(self.categories)
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
        """The inverse of `clean`, clamped to the range, in the dtype of `train`; where nothing is known (NaN) the middle of it."""
        if self.range is None:
            return clean.to(self.train.dtype)
        low, high = self.range
        value = (clean.float().nan_to_num(0.0).clamp(-1.0, 1.0) + 1.0) * ((high - low) / 2.0) + low
        return value.round().to(self.train.dtype) if not self.train.is_floating_point() else value.to(self.train.dtype)

    @property
    def blank(self) -> str:
        """What stands for a character that is not known, in `template`: _, or ▁ where the alphabet has that."""
        return "▁" if any("_" in symbol for symbol in self.alphabet) else "_"

    def text(self, raw: Tensor, hidden: Tensor | None = None) -> list[str]:
        """Raw (n, length) → n texts, with blanks where `hidden` (n, length) is set."""
        symbols = [*self.alphabet, self.blank]
        numbers = raw.long() if hidden is None else raw.long().masked_fill(hidden, len(self.alphabet))
        return ["".join(symbols[i] for i in row) for row in numbers.tolist()]

    def shown(self, raw: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Raw samples as they are drawn: label maps in colours, (n, 3, height, width) uint8, grey where `hidden` (n, 1, height, width) is set; all others as they are."""
        if not self.categories:
            return raw
        colours = torch.tensor(self.palette or COLOURS, dtype=torch.uint8)
        drawn = colours[raw[:, 0].long() % len(colours)]
        if hidden is not None:
            drawn = drawn.where(~hidden[:, 0, ..., None], torch.tensor(UNKNOWN, dtype=torch.uint8))
        return drawn.movedim(-1, 1)

    def template(self, text: str) -> Tensor:
        """Text with blanks, each for a character or token → (length,) clean values, NaN at blanks and after its end.

        Raises:
            DataError: for data without an alphabet, a character that it lacks, or a text that is too long.
        """
        if not self.alphabet:
            raise DataError(f"{self.name} is no text: only text can be given characters")
        (length,) = self.shape
        numbers, free = self._numbers(text)
        if len(numbers) > length:
            what = "characters" if isinstance(self.alphabet, str) else "tokens"
            raise DataError(f"a text of {len(numbers)} {what}: samples of {self.name} have {length}")
        free = functional.pad(free, (0, length - len(free)), value=True)
        values = self.clean(functional.pad(numbers, (0, length - len(numbers)))[None])[0]
        return values.masked_fill(free, float("nan"))

    def _numbers(self, text: str) -> tuple[Tensor, Tensor]:
        """Numbers of characters or tokens (n,) of a text, and which are blanks."""
        if isinstance(self.alphabet, str):
            whole = text.replace(self.blank, self.alphabet[0])
            free = torch.tensor([symbol == self.blank for symbol in text], dtype=torch.bool)
            return numbers_of_characters(whole, self.alphabet, "the given text"), free
        parts = [encode(part, self.alphabet).long() for part in text.split(self.blank)]
        blank, some = torch.zeros(1, dtype=torch.long), torch.ones(1, dtype=torch.bool)
        numbers, hidden = [parts[0]], [torch.zeros(len(parts[0]), dtype=torch.bool)]
        for part in parts[1:]:
            numbers += [blank, part]
            hidden += [some, torch.zeros(len(part), dtype=torch.bool)]
        return torch.cat(numbers), torch.cat(hidden)


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
    """One graph, of whose nodes some have known classes; or many as one in parts, which may be trained on, validated on or tested on whole.

    Args:
        name: what it was loaded as.
        card: where it is from.
        graph: features (nodes, features) and edges.
        labels: (nodes,) integers in [0, classes); -1 where unknown. A class may have no node. Where a node may be of several classes: (nodes, classes) of 0 and 1, which become bool.
        train: (training nodes,) numbers of nodes; a mask (nodes,) is taken too, here and below, and becomes numbers.
        validation: (validation nodes,) int64.
        test: (test nodes,) int64.
        classes: their names by number.
        positions: (nodes, 2) float32 for drawing, or None.
        names: of the nodes by number; empty if they have none.
        relations: names of `graph.relation`'s numbers; empty if they have none.
        features: names of the columns of `graph.x`, each once; empty if they have none.

    Raises:
        DataError: labels or a part are of another type or shape, or out of range; a part has a node without label; a node is in two parts; features are not as many as columns.
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
    names: tuple[str, ...] = ()
    relations: tuple[str, ...] = ()
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checked_features(self.features, self.graph.num_features)
        if self.labels.dim() == 2:
            labels = self._several_checked()
        else:
            labels = checked_labels(self.labels, self.graph.num_nodes, self.num_classes, "node")
        object.__setattr__(self, "labels", labels)
        for name, numbers in checked_parts(self.splits, labels, "node").items():
            object.__setattr__(self, name, numbers)

    def _several_checked(self) -> Tensor:
        labels, wanted = self.labels, (self.graph.num_nodes, self.num_classes)
        if labels.shape != wanted:
            raise DataError(f"labels of shape {tuple(labels.shape)}, but nodes and classes are {wanted}: a row a node")
        if labels.dtype != torch.bool:
            wrong = ((labels != 0) & (labels != 1)).nonzero()
            if wrong.numel():
                node, label = wrong[0].tolist()
                raise DataError(
                    f"labels[{node}, {label}] is {labels[node, label].item()}: write 1 where a node is of a class, else 0"
                )
        return labels.bool()

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def num_relations(self) -> int:
        """Number of relations, be it that no edge is of the last ones that have names."""
        return max(len(self.relations), self.graph.num_relations)

    @property
    def several(self) -> bool:
        """Whether a node may be of several classes."""
        return self.labels.dim() == 2

    @property
    def fingerprint(self) -> str:
        """Of ids, classes and parts: what was measured on these tells nothing of others."""
        labels = {"labels": self.labels.to(torch.int64)}
        return fingerprint((self.names, self.classes), labels | self.splits)

    @property
    def inductive(self) -> bool:
        """Whether some test nodes are in graphs of which no node is trained on."""
        graph_of_node = self.graph.graph_of_node
        if graph_of_node is None:
            return False
        return not bool(torch.isin(graph_of_node[self.test], graph_of_node[self.train]).all())

    @property
    def splits(self) -> dict[str, Tensor]:
        """The parts by name, as `NodeClassification` takes them."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


@dataclass(frozen=True)
class GraphData:
    """Many graphs, of which each has a class, or values, or neither.

    Args:
        name: what it was loaded as.
        card: where it is from.
        graphs: all of them as one disjoint union, in order.
        labels: (graphs,) integers in [0, classes); -1 where unknown. A class may have no graph.
        train: (training graphs,) numbers of graphs; a mask (graphs,) is taken too, here and below, and becomes numbers.
        validation: (validation graphs,) int64.
        test: (test graphs,) int64.
        classes: their names by number.
        folds: the test part of each fold of a cross-validation; empty if there is none.
        values: (graphs, targets) of floating point, which becomes float64, NaN where unknown; then there are no classes. None if there are none.
        targets: names of the values' columns.
        units: that each is measured in, maybe empty.
        names: of the graphs by number; empty if they have none.
        features: names of the columns of `graphs.x`, each once; empty if they have none.

    Raises:
        DataError: as `NodeData`; names are not as many as graphs; values of another shape or type, with classes, or unknown in a part; or a fold lacks a class that is there, or has a graph of another fold.
    """

    name: str
    card: Card
    graphs: Graph
    labels: Tensor
    train: Tensor
    validation: Tensor
    test: Tensor
    classes: tuple[str, ...]
    folds: tuple[Tensor, ...] = ()
    values: Tensor | None = None
    targets: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checked_features(self.features, self.graphs.num_features)
        if self.names and len(self.names) != self.num_graphs:
            raise DataError(f"{len(self.names)} names for {self.num_graphs} graphs: give each one")
        labels = checked_labels(self.labels, self.num_graphs, self.num_classes, "graph")
        object.__setattr__(self, "labels", labels)
        known = labels if self.values is None else self._values_checked()
        for name, numbers in checked_parts(self.splits, known, "graph").items():
            object.__setattr__(self, name, numbers)
        folds = checked_parts({f"fold {k}": part for k, part in enumerate(self.folds, 1)}, labels, "graph")
        object.__setattr__(self, "folds", tuple(folds.values()))
        known = torch.unique(labels[labels >= 0]).tolist()
        for name, numbers in folds.items():
            missing = sorted(set(known) - set(labels[numbers].tolist()))
            if missing:
                raise DataError(
                    f"{name} of {self.name} has no graph of the class {self.classes[missing[0]]!r}: what is measured there would not tell of it; "
                    "make fewer folds, or put graphs of each class in all of them"
                )

    def _values_checked(self) -> Tensor:
        """Of float64; and 0 where all values of a graph are known, else -1."""
        values, wanted = self.values, (self.num_graphs, len(self.targets))
        assert values is not None
        if values.shape != wanted or not values.is_floating_point() or not self.targets:
            raise DataError(
                f"values of shape {tuple(values.shape)} and {values.dtype}, but graphs and targets are {wanted}: give numbers, a row a graph"
            )
        if self.classes:
            raise DataError(f"{self.name} has classes and values: give one of both")
        if bool(values.isinf().any()):
            raise DataError(f"the values of graph {int(values.isinf().any(1).nonzero()[0])} are not finite")
        units = self.units or ("",) * len(self.targets)
        if len(units) != len(self.targets):
            raise DataError(f"units are {self.units} for the targets {self.targets}: give one each")
        object.__setattr__(self, "values", values.double())
        object.__setattr__(self, "units", units)
        return (~values.isnan().any(1)).long() - 1

    @property
    def num_graphs(self) -> int:
        """Number of graphs."""
        return self.graphs.num_graphs

    @property
    def fingerprint(self) -> str:
        """Of names, classes, labels, values and parts: what was measured on these tells nothing of others."""
        values = {} if self.values is None else {"values": self.values}
        names = [self.names] if self.names else []  # what has none is told as it always was
        return fingerprint((self.classes, self.targets, *names), {"labels": self.labels} | values | self.splits)

    @property
    def contents(self) -> str:
        """The fingerprint with folds, features and edges: of all that a training depends on."""
        x, pattern, weight = self.graphs.x, self.graphs.adjacency.pattern, self.graphs.adjacency.weight
        tensors = {"rowptr": pattern.rowptr, "column": pattern.column, "graph": self.graphs.graph_of_node}
        tensors |= {f"fold {number}": part for number, part in enumerate(self.folds)}
        tensors |= {"x": x if isinstance(x, Tensor) else x.to_dense()} if x is not None else {}
        tensors |= {"weight": weight} if weight is not None else {}
        return fingerprint((self.fingerprint,), {name: value for name, value in tensors.items() if value is not None})

    @property
    def outputs(self) -> int:
        """Numbers that a network gives for a graph: one a target, or one a class."""
        return len(self.targets) if self.values is not None else self.num_classes

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def splits(self) -> dict[str, Tensor]:
        """The parts by name, as `GraphClassification` takes them."""
        return {"train": self.train, "validation": self.validation, "test": self.test}
