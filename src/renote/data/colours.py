"""Colours of categories, where the data has none of its own."""

from __future__ import annotations

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

# white for the first, which is background mostly, then colours far from one another
COLOURS: tuple[Colour, ...] = (
    (255, 255, 255), (66, 105, 208), (239, 177, 24), (255, 114, 92), (108, 197, 176), (60, 169, 81), (255, 138, 183),
    (164, 99, 242), (151, 187, 245), (156, 107, 78), (40, 40, 40), (148, 152, 160),
)  # fmt: skip

UNKNOWN: Colour = (221, 221, 221)
"""Of what is not known yet: a light grey, which no category of the house has."""
