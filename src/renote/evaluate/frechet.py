"""The Fréchet distance between two sets of features, each taken for a Gaussian.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", 2017, eq. 6.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from renote.errors import UsageError

Moments = tuple[NDArray[np.float64], NDArray[np.float64]]


def moments(features: Tensor) -> Moments:
    """Mean (d,) and covariance (d, d) of features (n, d), in float64.

    Raises:
        UsageError: for fewer than two samples.
    """
    if len(features) < 2:
        raise UsageError(f"a Fréchet distance needs at least two samples, not {len(features)}: ask for more")
    values = features.detach().to("cpu", torch.float64).numpy()
    return values.mean(0), np.atleast_2d(np.cov(values, rowvar=False))


def frechet_distance(first: Tensor | Moments, second: Tensor | Moments) -> float:
    """|m₁ - m₂|² + tr(C₁ + C₂ - 2 (C₁^½ C₂ C₁^½)^½)

    Args:
        first: features (n, d), or their moments.
        second: likewise.

    Returns:
        The squared distance, ≥ 0; its bias falls as 1/n, so compare equal numbers of samples only.
    """
    mean_1, covariance_1 = moments(first) if isinstance(first, Tensor) else first
    mean_2, covariance_2 = moments(second) if isinstance(second, Tensor) else second
    values, vectors = np.linalg.eigh(covariance_1)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    # eigenvalues of a symmetric product: exact for singular covariances, where a general matrix root fails
    cross = np.sqrt(np.linalg.eigvalsh(root @ covariance_2 @ root).clip(0)).sum()
    difference = mean_1 - mean_2
    return float(max(0.0, difference @ difference + np.trace(covariance_1) + np.trace(covariance_2) - 2 * cross))
