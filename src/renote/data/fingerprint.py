"""What a run that knows things by their numbers must find again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from torch import Tensor


def fingerprint(names: Sequence[Sequence[str]], parts: Mapping[str, Tensor]) -> str:
    """Of names and parts, each in their order: vectors that were learned from these mean nothing to others.

    Args:
        names: of each kind of thing.
        parts: rows of numbers by name.
    """
    found = hashlib.sha256(repr(tuple(map(tuple, names))).encode())
    for name, part in parts.items():
        found.update(f"{name} {len(part)}".encode())
        found.update(part.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
