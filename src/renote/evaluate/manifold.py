"""How faithful and how diverse samples are: balls around each feature that reach its k-th nearest neighbour.

Precision and recall: Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models", 2019,
eq. 1 and 2. Density and coverage: Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models", 2020.

All depend on the number of samples: compare equal numbers only. Other samples of the data, as many as those of the data
they are held against, have an expected density of 1 and an expected coverage of about 1 - 2⁻ᵏ.
"""

from __future__ import annotations

import torch
from torch import Tensor

from renote.errors import UsageError
from renote.evaluate.kernel import comparable


def nearest_radii(features: Tensor, k: int, chunk: int = 1000) -> Tensor:
    """r_i = distance of x_i to its k-th nearest other feature

    Args:
        features: x (n, d).
        k: from 1 to n - 1.
        chunk: rows of distances that are in memory at once.

    Returns:
        (n,) float64.

    Raises:
        UsageError: for another k.
    """
    if not 1 <= k < len(features):
        raise UsageError(f"k = {k}: {len(features)} samples have from 1 to {len(features) - 1} neighbours")
    x = features.detach().to("cpu", torch.float64)
    # x_i itself is the nearest, at 0: the k-th other one comes at place k
    parts = x.split(chunk)  # type: ignore[no-untyped-call]
    return torch.cat([_distances(rows, x).topk(k + 1, largest=False).values[:, k] for rows in parts])


def precision_recall(real: Tensor, fake: Tensor, k: int = 3, chunk: int = 1000) -> tuple[float, float]:
    """precision = 1/m Σ_j [some i: |y_j - x_i| ≤ r(x_i)],   recall = 1/n Σ_i [some j: |x_i - y_j| ≤ r(y_j)]

    Args:
        real: features x (n, d) of the data.
        fake: features y (m, d) of the samples.
        k: neighbours that a ball reaches.
        chunk: rows of distances that are in memory at once.

    Returns:
        Precision and recall, in [0, 1].

    Raises:
        UsageError: if k is no number of neighbours, for other shapes, or values that are not finite.
    """
    x, y = comparable(real, fake)
    x_radii, y_radii = nearest_radii(x, k, chunk), nearest_radii(y, k, chunk)
    precise, recalled = 0, torch.zeros(len(x), dtype=torch.bool)
    for rows, radii in zip(y.split(chunk), y_radii.split(chunk)):  # type: ignore[no-untyped-call]
        distances = _distances(rows, x)
        precise += int((distances <= x_radii).any(1).sum())
        recalled |= (distances <= radii[:, None]).any(0)
    return precise / len(y), float(recalled.double().mean())


def density_coverage(real: Tensor, fake: Tensor, k: int = 5, chunk: int = 1000) -> tuple[float, float]:
    """density = 1/(k m) Σ_j Σ_i [|y_j - x_i| ≤ r(x_i)],   coverage = 1/n Σ_i [some j: |y_j - x_i| ≤ r(x_i)]

    Args:
        real: features x (n, d) of the data.
        fake: features y (m, d) of the samples.
        k: neighbours that a ball reaches.
        chunk: rows of distances that are in memory at once.

    Returns:
        Density, ≥ 0 and possibly above 1, and coverage, in [0, 1].

    Raises:
        UsageError: as `precision_recall`.
    """
    x, y = comparable(real, fake)
    radii = nearest_radii(x, k, chunk)
    count, holds = 0, torch.zeros(len(x), dtype=torch.bool)
    for rows in y.split(chunk):  # type: ignore[no-untyped-call]
        inside = _distances(rows, x) <= radii
        count += int(inside.sum())
        holds |= inside.any(0)
    return count / (k * len(y)), float(holds.double().mean())


def _distances(first: Tensor, second: Tensor) -> Tensor:
    # by differences, because a ball's edge is a sample: by products, rounding would decide whether that is inside
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")
