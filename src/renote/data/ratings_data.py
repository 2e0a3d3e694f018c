"""What users took: pairs of a user and an item, in three parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from renote.data.card import Card
from renote.data.fingerprint import fingerprint
from renote.errors import DataError


@dataclass(frozen=True)
class RatingData:
    """Users, items, and which user took which item.

    Args:
        name: what it was loaded as.
        card: where it is from.
        users: their names by number.
        items: their names by number.
        train: (training pairs, 2) integers, user and item; the interactions that are learned from.
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
        keys = []
        for name, part in self.parts.items():
            if part.dim() != 2 or part.shape[1] != 2 or part.is_floating_point() or part.dtype == torch.bool:
                raise DataError(
                    f"the part {name!r} has shape {tuple(part.shape)} and {part.dtype}: it must be (pairs, 2) integers, a user and an item each"
                )
            part = part.long()
            for column, (what, count) in enumerate((("user", self.num_users), ("item", self.num_items))):
                outside = (part[:, column] < 0) | (part[:, column] >= count)
                if bool(outside.any()):
                    row = int(outside.nonzero()[0])
                    raise DataError(
                        f"pair {row} of the part {name!r} names the {what} {int(part[row, column])}, but there are {count}"
                    )
            object.__setattr__(self, name, part)
            keys.append(part[:, 0] * max(1, self.num_items) + part[:, 1])
        distinct, times = torch.unique(torch.cat(keys), return_counts=True)
        if len(times) and int(times.max()) > 1:
            user, item = divmod(int(distinct[times.argmax()]), max(1, self.num_items))
            raise DataError(
                f"the pair of user {self.users[user]!r} and item {self.items[item]!r} is there {int(times.max())} times: keep it once, in one part"
            )

    @property
    def num_users(self) -> int:
        """Number of users, with or without items."""
        return len(self.users)

    @property
    def num_items(self) -> int:
        """Number of items, with or without users."""
        return len(self.items)

    @property
    def parts(self) -> Mapping[str, Tensor]:
        """The parts by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def fingerprint(self) -> str:
        """Of names, pairs and parts: vectors that were learned from these mean nothing to others."""
        return fingerprint((self.users, self.items), self.parts)
