"""A swiss roll so thin that its density reaches several bits, with its exact density."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

THICKNESS = 0.003
"""Standard deviation across the roll, which has about unit variance an axis."""


def spiral(angle: Tensor) -> Tensor:
    """(r cos r, r sin r) / 7, the middle of `toy-swiss-roll`: (n,) → (n, 2)."""
    return angle[:, None] * torch.stack([angle.cos(), angle.sin()], 1) / 7


def write(path: Path, n: int = 12_000, seed: int = 0) -> Path:
    """A file of points (n, 2) under `x`, unless it is there."""
    if not path.exists():
        generator = torch.Generator().manual_seed(seed)
        points = spiral(math.pi * (1.5 + 3 * torch.rand(n, generator=generator)))
        points = points + THICKNESS * torch.randn(n, 2, generator=generator)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, x=points.numpy())
    return path


def log_density(points: Tensor, thickness: float = THICKNESS, grid: int = 100_001) -> Tensor:
    """Log₂ of the density at points (n, 2), the mean of Gaussians along the spiral: (n,) float64."""
    centres = spiral(_angles(grid))
    parts = []
    for part in torch.split(points.double(), 50):
        squares = (part[:, None] - centres).square().sum(-1) / thickness**2
        parts.append(torch.logsumexp(-squares / 2, 1) - math.log(2 * math.pi * thickness**2 * grid))
    return torch.cat(parts) / math.log(2)


def distance(points: Tensor, grid: int = 10_001) -> Tensor:
    """From points (n, 2) to the spiral, (n,)."""
    return torch.cdist(points.double(), spiral(_angles(grid))).amin(1)


def _angles(grid: int) -> Tensor:
    return torch.linspace(1.5 * math.pi, 4.5 * math.pi, grid, dtype=torch.float64)
