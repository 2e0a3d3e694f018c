"""Facts of a knowledge graph: a head, a relation and a tail each, in three parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from renote.data.card import Card
from renote.data.fingerprint import fingerprint
from renote.data.tuples import checked_tuples


@dataclass(frozen=True)
class FactData:
    """Entities, relations, and which entity is in which relation to which.

    Args:
        name: what it was loaded as.
        card: where it is from.
        entities: their names by number.
        relations: their names by number.
        train: (training facts, 3) integers, head, relation and tail; what is learned from.
        validation: (validation facts, 3).
        test: (test facts, 3).

    Raises:
        DataError: a part has another shape or type, a number out of range, or a fact that is there twice.
    """

    name: str
    card: Card
    entities: tuple[str, ...]
    relations: tuple[str, ...]
    train: Tensor
    validation: Tensor
    test: Tensor
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        columns = (("head", self.entities), ("relation", self.relations), ("tail", self.entities))
        for name, part in checked_tuples(self.parts, "fact", columns).items():
            object.__setattr__(self, name, part)

    @property
    def num_entities(self) -> int:
        """Number of entities, with or without facts to train on."""
        return len(self.entities)

    @property
    def num_relations(self) -> int:
        """Number of relations."""
        return len(self.relations)

    @property
    def parts(self) -> Mapping[str, Tensor]:
        """The parts by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def facts(self) -> Tensor:
        """(facts, 3) of all parts."""
        return torch.cat(list(self.parts.values()))

    @property
    def fingerprint(self) -> str:
        """Of names, facts and parts: vectors that were learned from these mean nothing to others."""
        return fingerprint((self.entities, self.relations), self.parts)
