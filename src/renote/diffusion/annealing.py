"""How annealed Langevin dynamics is set up for a data set: its noise levels and its step size, by formulas.

Song & Ermon 2020, "Improved Techniques for Training Score-Based Generative Models", techniques 1, 2 and 4, for D dimensions:

    σ_1 = max |x_i - x_j|                                                                    chains reach every sample from every other
    Φ(√(2D) (γ - 1) + 3γ) - Φ(√(2D) (γ - 1) - 3γ) = 1/2,  γ = σ_{i-1} / σ_i                   half of a level lies where the one before did
    |(1 - η)^2T (γ² - c) + c - 1| least, η = ε / σ_L², c = 2η / (1 - (1 - η)²)                  T steps bring the variance from γ² to about 1
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from renote.errors import UsageError

MOST_SAMPLES = 10_000
CHUNK = 1000


def largest_distance(samples: Tensor) -> float:
    """max |x_i - x_j|, over at most 10,000 samples, evenly spaced.

    Args:
        samples: (n, …), at least two.

    Raises:
        UsageError: if no two of them differ.

    Source: Song & Ermon 2020, technique 1.
    """
    n = min(len(samples), MOST_SAMPLES)
    flat = samples[torch.arange(n) * len(samples) // max(1, n)].flatten(1)
    largest = max(float(torch.cdist(part, flat).amax()) for part in torch.split(flat, CHUNK)) if n else 0.0
    if not largest > 0:
        raise UsageError(
            f"{len(samples)} samples, no two of which differ, have no distance: give the noise level itself"
        )
    return largest


def overlap(ratio: float, dimensions: int) -> float:
    """Φ(√(2D) (γ - 1) + 3γ) - Φ(√(2D) (γ - 1) - 3γ): how much of a level lies where the one before did.

    A Gaussian's radius is about N(√D σ, σ²/2); this is the share of level i's that lies within three deviations of level i - 1's.

    Args:
        ratio: γ, at least 1.
        dimensions: D.

    Source: Song & Ermon 2020, technique 2.
    """
    away = math.sqrt(2 * dimensions) * (ratio - 1)
    return _normal(away + 3 * ratio) - _normal(away - 3 * ratio)


def level_ratio(dimensions: int, wanted: float = 0.5, most: float = 2.0) -> float:
    """γ for which the overlap is as wanted.

    Args:
        dimensions: D.
        wanted: overlap, between 0 and 0.99.
        most: the largest ratio: in few dimensions, where a radius is not nearly normal, the rule would skip levels that matter, or has no solution.

    Raises:
        UsageError: for numbers out of range.

    Source: Song & Ermon 2020, technique 2.
    """
    if dimensions < 1 or not 0 < wanted < 0.99 or not most > 1:
        raise UsageError(
            f"dimensions = {dimensions}, wanted = {wanted}, most = {most}: needs dimensions >= 1, 0 < wanted < 0.99, most > 1"
        )
    low, high = 1.0, most
    if overlap(high, dimensions) > wanted:
        return most
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if overlap(middle, dimensions) > wanted else (low, middle)
    return high


def number_of_levels(first: float, last: float, ratio: float) -> int:
    """The fewest levels, at least 2, from σ_1 to σ_L whose ratio is not above this one.

    Args:
        first: σ_1.
        last: σ_L.
        ratio: γ.

    Raises:
        UsageError: if not σ_L < σ_1 and γ > 1.
    """
    if not 0 < last < first < math.inf or not ratio > 1:
        raise UsageError(f"first = {first}, last = {last}, ratio = {ratio}: needs 0 < last < first and ratio > 1")
    return max(2, 1 + math.ceil(math.log(first / last) / math.log(ratio) - 1e-9))


def langevin_variance(relative_step: float, repeats: int, ratio: float) -> float:
    """Variance after T steps x ← (1 - η) x + √(2η) ε, from γ², in units of the level's: (1 - η)^2T (γ² - c) + c, c = 2η / (1 - (1 - η)²).

    Args:
        relative_step: η = ε / σ_L², between 0 and 2.
        repeats: T.
        ratio: γ.

    Source: Song & Ermon 2020, equation 6: Langevin dynamics at level i on noise of level i - 1, of data that is one point.
    """
    kept = (1 - relative_step) ** (2 * repeats)
    limit = 2 / (2 - relative_step)
    return kept * (ratio**2 - limit) + limit


def langevin_step_size(last: float, ratio: float, repeats: int) -> float:
    """ε = η σ_L² for which T steps leave the variance nearest to the level's own.

    Args:
        last: σ_L.
        ratio: γ.
        repeats: T.

    Raises:
        UsageError: for numbers out of range.

    Source: Song & Ermon 2020, technique 4.
    """
    if not last > 0 or not ratio > 1 or repeats < 1:
        raise UsageError(
            f"last = {last}, ratio = {ratio}, repeats = {repeats}: needs last > 0, ratio > 1, repeats >= 1"
        )
    # both γ² and c are above 1, so that the variance is, too: it falls with η, and rises again with c
    low, high = 0.0, 1.0
    for _ in range(200):
        third = (high - low) / 3
        left, right = low + third, high - third
        if langevin_variance(left, repeats, ratio) < langevin_variance(right, repeats, ratio):
            high = right
        else:
            low = left
    return (low + high) / 2 * last**2


def _normal(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2
