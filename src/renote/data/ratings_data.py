"""What users took: pairs of a user and an item, in three parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from renote.data.card import Card
from renote.data.fingerprint import fingerprint
from renote.data.tuples import checked_tuples


@dataclass(frozen=True)
class RatingData:
    """Users, items, and which user took which item.

    Args:
        name: what it was loaded as.
        card: where it is from.
        users: their names by number.
        items: their names by number.
        train: (training pairs, 2) integers, user and item; the interactions that are learned from. Users without any are `untrained`: they get no recommendations and are not measured.
        validation: (validation pairs, 2).
        test: (test pairs, 2).

    Raises:
        DataError: a part has another shape or type, a number out of range, or a pair that is there twice.
    """

    name: str
    card: Card
    users: tuple[str, ...]
    items: tuple[str, ...]
    train: Tensor
    validation: Tensor
    test: Tensor
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        columns = (("user", self.users), ("item", self.items))
        for name, part in checked_tuples(self.parts, "pair", columns).items():
            object.__setattr__(self, name, part)

    @property
    def num_users(self) -> int:
        """Number of users, with or without items."""
        return len(self.users)

    @property
    def num_items(self) -> int:
        """Number of items, with or without users."""
        return len(self.items)

    @property
    def untrained(self) -> Tensor:
        """(n,) int64 the users without a training item, of whom nothing can be learned, in order."""
        return (torch.bincount(self.train[:, 0], minlength=self.num_users) == 0).nonzero().squeeze(1)

    @property
    def parts(self) -> Mapping[str, Tensor]:
        """The parts by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def fingerprint(self) -> str:
        """Of names, pairs and parts: vectors that were learned from these mean nothing to others."""
        return fingerprint((self.users, self.items), self.parts)
