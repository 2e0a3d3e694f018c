"""The kernel distance between two sets of features: their squared maximum mean discrepancy, without bias.

Bińkowski et al., "Demystifying MMD GANs", 2018; the estimator is that of Gretton et al., "A Kernel Two-Sample Test", 2012,
Lemma 6.
"""

from __future__ import annotations

import torch
from torch import Tensor

from renote.errors import UsageError


def polynomial_kernel(first: Tensor, second: Tensor) -> Tensor:
    """k(x, y) = (x·y / d + 1)³

    Args:
        first: features (n, d).
        second: features (m, d).

    Returns:
        (n, m).
    """
    kernel: Tensor = (first @ second.T / first.shape[1] + 1) ** 3
    return kernel


def kernel_distance(first: Tensor, second: Tensor, chunk: int = 1000) -> float:
    """1/(n(n-1)) Σ_{i≠j} k(x_i, x_j) + 1/(m(m-1)) Σ_{i≠j} k(y_i, y_j) - 2/(nm) Σ_{i,j} k(x_i, y_j)

    Args:
        first: features x (n, d).
        second: features y (m, d).
        chunk: rows of the kernel's matrix that are in memory at once.

    Returns:
        The squared distance; 0 on average for equal distributions, so it may be negative.

    Raises:
        UsageError: for fewer than two samples, other shapes, or values that are not finite.
    """
    x, y = comparable(first, second)
    n, m = len(x), len(y)
    within = _sum(x, x, chunk, diagonal=False) / (n * (n - 1)) + _sum(y, y, chunk, diagonal=False) / (m * (m - 1))
    return within - 2 * _sum(x, y, chunk) / (n * m)


def kernel_distance_blocks(
    first: Tensor, second: Tensor, blocks: int = 100, block_size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Mean and standard deviation of `kernel_distance` over random blocks, each of as many samples of either set.

    Args:
        first: features (n, d).
        second: features (m, d).
        blocks: how many.
        block_size: samples in one; at most half of the smaller set, because equal blocks would feign certainty.
        seed: of the choice.

    Raises:
        UsageError: as `kernel_distance`, or for fewer than four samples or one block.
    """
    first, second = comparable(first, second, least=4)
    if blocks < 1 or block_size < 2:
        raise UsageError(f"blocks = {blocks}, block_size = {block_size}: at least one block of two samples")
    size = min(block_size, len(first) // 2, len(second) // 2)
    generator = torch.Generator().manual_seed(seed)

    def some(features: Tensor) -> Tensor:
        return features[torch.randperm(len(features), generator=generator)[:size]]

    values = torch.tensor([kernel_distance(some(first), some(second)) for _ in range(blocks)], dtype=torch.float64)
    return float(values.mean()), float(values.std(correction=0))


def comparable(first: Tensor, second: Tensor, least: int = 2) -> tuple[Tensor, Tensor]:
    """Two sets of features in float64 on the processor.

    Args:
        first: features (n, d).
        second: features (m, d).
        least: samples that either must have.

    Raises:
        UsageError: for fewer samples, other shapes, or values that are not finite.
    """
    sets = [features.detach().to("cpu", torch.float64) for features in (first, second)]
    if any(features.ndim != 2 for features in sets) or sets[0].shape[1] != sets[1].shape[1]:
        raise UsageError(f"features must be (n, d) and (m, d), not {tuple(first.shape)} and {tuple(second.shape)}")
    for features in sets:
        if len(features) < least:
            raise UsageError(f"this measure needs at least {least} samples, not {len(features)}: ask for more")
        if not bool(features.isfinite().all()):
            raise UsageError("features are not finite: the samples hold NaN or infinity")
    return sets[0], sets[1]


def _sum(x: Tensor, y: Tensor, chunk: int, diagonal: bool = True) -> float:
    total = 0.0
    for rows in x.split(chunk):  # type: ignore[no-untyped-call]
        total += float(polynomial_kernel(rows, y).sum())
    if not diagonal:
        total -= float((((x * x).sum(1) / x.shape[1] + 1) ** 3).sum())
    return total
