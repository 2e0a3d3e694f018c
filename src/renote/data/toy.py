"""Points in the plane, drawn from distributions that a picture shows at once. Each has about unit variance an axis."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from renote.data.card import Card
from renote.data.types import SampleData
from renote.errors import DataError

MIXTURE_MEANS = tuple(
    (math.sqrt(2.0) * math.cos(math.pi * k / 4), math.sqrt(2.0) * math.sin(math.pi * k / 4)) for k in range(8)
)
"""The modes of `toy-gaussian-mixture`, equally likely."""

MIXTURE_STD = 0.1
"""Standard deviation an axis of each mode."""

Drawn = tuple[Tensor, Tensor | None]


def load(card: Card, *, n: int = 10_000, test: int = 2_000, seed: int = 0) -> SampleData:
    """Fresh points (n, 2) float32.

    Args:
        card: of a `toy-…` set.
        n: number of training points.
        test: number of held-out points; they do not depend on n.
        seed: of all points.

    Raises:
        DataError: a number of points is negative, or there is none to train on.
    """
    if n < 1 or test < 0:
        raise DataError(f"n is {n} and test is {test}: give at least 1 training point, and no negative number")
    generator = torch.Generator().manual_seed(seed)
    draw = SHAPES[card.name]
    held_out, held_out_labels = draw(test, generator)
    train, train_labels = draw(n, generator)
    return SampleData(card.name, card, train, train_labels, held_out, held_out_labels, card.classes)


def swiss_roll(n: int, generator: Generator) -> Drawn:
    """(r cos r, r sin r) / 7 + noise, r uniform in [1.5 π, 4.5 π]: a spiral of one and a half turns."""
    angle = math.pi * (1.5 + 3.0 * _uniform(n, generator))
    spiral = angle.unsqueeze(1) * torch.stack([angle.cos(), angle.sin()], dim=1)
    return (spiral + 0.4 * torch.randn(n, 2, generator=generator)) / 7.0, None


def checkerboard(n: int, generator: Generator) -> Drawn:
    """Uniform on the black squares of a 4 × 4 board on [-2, 2]², scaled to unit variance."""
    square = torch.randint(8, (n,), generator=generator)
    row = square // 2
    column = 2 * (square % 2) + row % 2
    corner = torch.stack([column, row], dim=1).float() - 2.0
    return (corner + torch.rand(n, 2, generator=generator)) / math.sqrt(4.0 / 3.0), None


def gaussian_mixture(n: int, generator: Generator) -> Drawn:
    """Eight Gaussians on a circle, `MIXTURE_MEANS` and `MIXTURE_STD`; the label is the mode."""
    mode = torch.randint(len(MIXTURE_MEANS), (n,), generator=generator)
    means = torch.tensor(MIXTURE_MEANS)
    return means[mode] + MIXTURE_STD * torch.randn(n, 2, generator=generator), mode


def moons(n: int, generator: Generator) -> Drawn:
    """Two interleaved half circles with noise; the label is the moon."""
    moon = torch.randint(2, (n,), generator=generator)
    angle = math.pi * _uniform(n, generator)
    sign = 1.0 - 2.0 * moon
    arc = torch.stack([angle.cos() * sign + moon - 0.5, angle.sin() * sign + 0.5 * moon - 0.25], dim=1)
    return (arc + 0.05 * torch.randn(n, 2, generator=generator)) * torch.tensor([1.15, 2.0]), moon


def rings(n: int, generator: Generator) -> Drawn:
    """Two circles of radius 0.7 and 1.9 with noise; the label is the ring."""
    ring = torch.randint(2, (n,), generator=generator)
    angle = 2.0 * math.pi * _uniform(n, generator)
    radius = (0.7 + 1.2 * ring).unsqueeze(1)
    return radius * torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * torch.randn(n, 2, generator=generator), ring


SHAPES: dict[str, Callable[[int, Generator], Drawn]] = {
    "toy-swiss-roll": swiss_roll,
    "toy-checkerboard": checkerboard,
    "toy-gaussian-mixture": gaussian_mixture,
    "toy-moons": moons,
    "toy-rings": rings,
}
"""Card name → generator of points and labels."""


def _uniform(n: int, generator: Generator) -> Tensor:
    return torch.rand(n, generator=generator)
