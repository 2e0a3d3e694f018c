"""Binary heartbeats: the five sequences of 20 bits in which every fifth bit is set."""

from __future__ import annotations

import torch

from renote.data.card import Card
from renote.data.types import SampleData
from renote.errors import DataError

LENGTH, PERIOD = 20, 5


def load(card: Card, *, n: int = 10_000, test: int = 2_000, seed: int = 0) -> SampleData:
    """Sequences (n, 20) uint8 of 0 and 1, their phase drawn uniformly; the label is the phase. Entropy log₂ 5 bits.

    Args:
        card: of `heartbeat`.
        n: number of training sequences.
        test: number of held-out sequences; they do not depend on n.
        seed: of all phases.

    Raises:
        DataError: a number of sequences is negative, or there is none to train on.
    """
    if n < 1 or test < 0:
        raise DataError(f"n is {n} and test is {test}: give at least 1 training sequence, and no negative number")
    generator = torch.Generator().manual_seed(seed)
    held_out = torch.randint(PERIOD, (test,), generator=generator)
    phase = torch.randint(PERIOD, (n,), generator=generator)
    every = (torch.arange(LENGTH) % PERIOD == torch.arange(PERIOD)[:, None]).to(torch.uint8)
    return SampleData(card.name, card, every[phase], phase, every[held_out], held_out, card.classes, (0.0, 1.0))
