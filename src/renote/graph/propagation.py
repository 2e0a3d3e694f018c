"""Labels that flow along edges: prediction without features and without training.

Zhu & Ghahramani (2002), "Learning from labeled and unlabeled data with label propagation"; Zhou, Bousquet, Lal, Weston & Schölkopf (2004),
"Learning with local and global consistency".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.graph import Graph
from renote.graph.operator import symmetric
from renote.graph.segment import spmm
from renote.graph.spectrum import PersonalizedPageRank


def label_propagation(
    adjacency: Adjacency,
    labels: Tensor,
    known: Tensor,
    num_classes: int,
    max_iterations: int = 1000,
    tolerance: float = 1e-6,
) -> Tensor:
    """F ← P F, then F_known ← Y_known, until it stands: F_u = (I - P_uu)⁻¹ P_uk Y_k.

    P = D⁻¹ A is the random walk: a node's row is the probability that a walk from it first meets each class.

    Args:
        adjacency: weights, if any, must not be negative.
        labels: (nodes,) int64; only those of known nodes are read.
        known: (k,) numbers of the nodes whose labels are known.
        num_classes: number of classes.
        max_iterations: steps at most.
        tolerance: stops when no score moves by more than this.

    Returns:
        Scores (nodes, num_classes); a row of zeros where no known node can be reached.

    Source:
        Zhu & Ghahramani (2002), section 2.2 and eq. 5 there.
    """
    walk = non_negative(adjacency).random_walk()
    scores, known = _one_hot(adjacency, labels, known, num_classes)
    clamped = scores[known]
    for _ in range(max_iterations):
        following = spmm(walk, scores).index_copy_(0, known, clamped)
        moved = float((following - scores).abs().max()) if scores.numel() else 0.0
        scores = following
        if moved <= tolerance:
            break
    return scores


def class_mass_normalization(scores: Tensor, labels: Tensor, known: Tensor) -> Tensor:
    """F_uc ← q_c F_uc / Σ_v F_vc over the nodes v that are not known, q_c the share of class c among the known.

    With few known labels a walk is likely to meet first whichever of them sits best connected, and most nodes go to its class; the
    normalization gives every class the mass that the known labels say it has.

    Args:
        scores: (nodes, classes), not negative.
        labels: (nodes,) int64; only those of known nodes are read.
        known: (k,) numbers of the nodes whose labels are known, or (nodes,) which they are.

    Returns:
        (nodes, classes) scores; those of known nodes as they were.

    Source:
        Zhu & Ghahramani (2002), section 2.4; Zhu, Ghahramani & Lafferty (2003), eq. 9.
    """
    mask = known if known.dtype == torch.bool else torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
    if known.dtype != torch.bool:
        mask[known] = True
    share = torch.bincount(labels[mask], minlength=scores.shape[1]).to(scores.dtype) / max(1, int(mask.sum()))
    mass = scores[~mask].sum(0)
    factor = torch.where(mass > 0, share / mass, 0.0)
    return torch.where(mask[:, None], scores, scores * factor)


def label_spreading(
    adjacency: Adjacency,
    labels: Tensor,
    known: Tensor,
    num_classes: int,
    alpha: float = 0.99,
    max_iterations: int = 1000,
    tolerance: float = 1e-6,
) -> Tensor:
    """F ← α S F + (1 - α) Y until it stands: F* = (1 - α) (I - α S)⁻¹ Y, with S = D^-1/2 A D^-1/2.

    Known labels are not clamped, so that wrong ones can be outvoted.

    Args:
        adjacency: weights, if any, must not be negative.
        labels: (nodes,) int64; only those of known nodes are read.
        known: (k,) numbers of the nodes whose labels are known.
        num_classes: number of classes.
        alpha: share that a node takes from its neighbours, in [0, 1).
        max_iterations: steps at most.
        tolerance: stops when no score moves by more than this.

    Returns:
        Scores (nodes, num_classes); a row of zeros where no known node can be reached.

    Source:
        Zhou et al. (2004), section 2 and eq. 3.
    """
    if not 0.0 <= alpha < 1.0:
        raise UsageError(f"alpha is {alpha}: it must be at least 0 and below 1")
    given, _ = _one_hot(adjacency, labels, known, num_classes)
    return PersonalizedPageRank(symmetric(non_negative(adjacency)), 1.0 - alpha, max_iterations, tolerance) @ given


class LabelPropagation(nn.Module):
    """`label_propagation` in the place of a network: logits are the logarithms of its scores.

    Args:
        labels: (nodes,) int64.
        known: (k,) numbers of the nodes whose labels are known.
        num_classes: number of classes.
        max_iterations: steps at most.
        tolerance: stops when no score moves by more than this.
        normalize: whether every class gets the mass that the known labels say it has (`class_mass_normalization`).
    """

    def __init__(
        self,
        labels: Tensor,
        known: Tensor,
        num_classes: int,
        max_iterations: int = 1000,
        tolerance: float = 1e-6,
        normalize: bool = False,
    ) -> None:
        super().__init__()
        self.labels, self.known, self.num_classes = labels, known, num_classes
        self.max_iterations, self.tolerance, self.normalize = max_iterations, tolerance, normalize

    def forward(self, graph: Graph) -> Tensor:
        """Logits (nodes, classes); all alike where no known node can be reached."""
        labels, known = self.labels.to(graph.adjacency.device), self.known.to(graph.adjacency.device)
        scores = label_propagation(
            graph.adjacency, labels, known, self.num_classes, self.max_iterations, self.tolerance
        )
        if self.normalize:
            scores = class_mass_normalization(scores, labels, known)
        return scores.clamp(min=torch.finfo(scores.dtype).tiny).log()


def non_negative(adjacency: Adjacency) -> Adjacency:
    """The edges, if labels can flow along them.

    Raises:
        UsageError: a weight is negative; the message names the edge.
    """
    if adjacency.weight is not None and bool((adjacency.weight < 0).any()):
        edge = int((adjacency.weight < 0).nonzero()[0])
        raise UsageError(
            f"the edge {int(adjacency.source[edge])} -> {int(adjacency.target[edge])} has a negative weight: "
            "labels flow along positive ones only"
        )
    return adjacency


def _one_hot(adjacency: Adjacency, labels: Tensor, known: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    known = known.nonzero().squeeze(1) if known.dtype == torch.bool else known.long()
    if labels.shape != (adjacency.num_nodes,):
        raise UsageError(f"labels of shape {tuple(labels.shape)} for {adjacency.num_nodes} nodes")
    outside = (known < 0) | (known >= adjacency.num_nodes)
    if bool(outside.any()):
        raise UsageError(
            f"known names the node {int(known[outside][0])}: there are {adjacency.num_nodes}, "
            f"from 0 to {adjacency.num_nodes - 1}"
        )
    wrong = (labels[known] < 0) | (labels[known] >= num_classes)
    if bool(wrong.any()):
        node = int(known[wrong.nonzero()[0, 0]])
        raise UsageError(f"node {node} has the label {int(labels[node])}: there are {num_classes} classes, from 0")
    dtype = torch.get_default_dtype() if adjacency.weight is None else adjacency.weight.dtype
    scores = torch.zeros(adjacency.num_nodes, num_classes, dtype=dtype, device=adjacency.device)
    scores[known, labels[known].long()] = 1.0
    return scores, known
