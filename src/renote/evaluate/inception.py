"""The inception score: how sure a classifier is of each sample, and how many classes the samples have together.

Salimans et al., "Improved Techniques for Training GANs", 2016, sec. 4. The classifier here is the data set's own, so a
score cannot be compared with those of the Inception network that gave the score its name.
"""

from __future__ import annotations

import torch
from torch import Tensor

from renote.errors import UsageError


def inception_score(probabilities: Tensor, splits: int = 10) -> tuple[float, float]:
    """exp(1/n Σ_i KL(p(y|x_i) ‖ p(y))),   p(y) = 1/n Σ_i p(y|x_i)

    Args:
        probabilities: p(y|x) (n, classes) of samples in random order.
        splits: parts, each of consecutive samples, that are scored for themselves; the score is too low where these hold few samples of a class.

    Returns:
        Mean and standard deviation over the parts; a score lies between 1 and the number of classes.

    Raises:
        UsageError: if rows are no probabilities, or there are fewer samples than splits.
    """
    p = probabilities.detach().to("cpu", torch.float64)
    if p.ndim != 2 or bool((p < 0).any()) or not bool(((p.sum(1) - 1).abs() < 1e-4).all()):
        raise UsageError(f"probabilities must be (n, classes), each row ≥ 0 with sum 1: {tuple(p.shape)} are not")
    if not 1 <= splits <= len(p):
        raise UsageError(f"splits = {splits}: {len(p)} samples make from 1 to {len(p)} parts")
    scores = torch.stack([_score(part) for part in p.tensor_split(splits)])
    return float(scores.mean()), float(scores.std(correction=0))


def _score(p: Tensor) -> Tensor:
    # KL(p ‖ q) averaged = entropy of the mean less the mean entropy
    score: Tensor = (torch.special.entr(p.mean(0)).sum() - torch.special.entr(p).sum(1).mean()).exp()
    return score
