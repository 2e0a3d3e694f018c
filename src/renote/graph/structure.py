"""What small dense graphs look like, for networks that cannot count: cycles through each node, walks between two, pieces, the spectrum.

    c_3 = diag A³ / 2
    c_4 = (diag A⁴ - d (d - 1) - A d) / 2
    c_5 = (diag A⁵ - (2 d - 5) diag A³ - 2 (A ∘ A²) d - A diag A³) / 2   closed walks through a node, less those that turn back

Alon, Yuster & Zwick, "Finding and Counting Given Length Cycles", Algorithmica 1997; as inputs of a denoiser: Vignac et al. 2023, appendix B. Each is tested by
enumeration. Everything is a function of the graph alone, not of signs or bases of eigenvectors, so a network of it is equivariant.
"""

from __future__ import annotations

import torch
from torch import Tensor


def cycle_counts(adjacency: Tensor) -> Tensor:
    """Cycles of 3, 4 and 5 nodes through each node, (n, N, 3).

    Args:
        adjacency: (n, N, N) of 0 and 1, symmetric, zero on the diagonal, floating.
    """
    degree = adjacency.sum(-1)
    second = adjacency @ adjacency
    third = second @ adjacency
    closed_3, closed_4, closed_5 = (
        _diagonal(power, by) for power, by in ((second, adjacency), (second, second), (third, second))
    )
    near = (adjacency @ torch.stack([degree, closed_3], -1)).unbind(-1)
    four = closed_4 - degree * (degree - 1) - near[0]
    five = closed_5 - (2 * degree - 5) * closed_3 - 2 * (adjacency * second @ degree[..., None])[..., 0] - near[1]
    return torch.stack([closed_3, four, five], -1) / 2


def six_cycles(adjacency: Tensor) -> Tensor:
    """Cycles of 6 nodes in each graph, (n,): the trace of A⁶, less the closed walks on fewer nodes.

    Args:
        adjacency: as for `cycle_counts`.
    """
    second = adjacency @ adjacency
    third = second @ adjacency
    two, three = second.diagonal(dim1=-2, dim2=-1), third.diagonal(dim1=-2, dim2=-1)
    four = _diagonal(second, second)
    each = -3 * three**2 - 6 * two * four + 6 * four - 4 * three + 4 * two**3 - 12 * two**2 + 4 * two
    pairs = third * third.mT + 9 * adjacency * second**2 + 3 * third
    return (each.sum(-1) + pairs.sum((-2, -1))) / 12


def reachable(adjacency: Tensor, there: Tensor) -> Tensor:
    """Whether a path leads from one node to another, (n, N, N) bool; each node that is there reaches itself.

    Args:
        adjacency: as for `cycle_counts`.
        there: (n, N) bool.
    """
    nodes = adjacency.shape[-1]
    reach = adjacency + torch.diag_embed(there.to(adjacency))
    for _ in range(max(1, (nodes - 1).bit_length())):  # each squaring doubles the length of paths
        reach = (reach @ reach).clamp_(max=1)
    return reach > 0


def heat_signature(
    adjacency: Tensor, there: Tensor, times: tuple[float, ...] = (0.5, 2.0, 8.0)
) -> tuple[Tensor, Tensor]:
    """diag exp(-t L) of each node, (n, N, times), and the eigenvalues of L, rising, (n, N): 2 for nodes that are not there.

    L = I - D^-1/2 A D^-1/2, with L_ii = 0 where a node has no edges.

    Args:
        adjacency: as for `cycle_counts`.
        there: (n, N) bool.
        times: t.
    """
    degree = adjacency.sum(-1)
    root = degree.clamp(min=1).rsqrt()
    laplacian = -root[..., None] * adjacency * root[..., None, :]
    laplacian = laplacian + torch.diag_embed((degree > 0).to(root) + 2.0 * ~there)
    values, vectors = torch.linalg.eigh(laplacian.float())
    heat = torch.exp(-values[..., None] * torch.tensor(times, device=values.device))
    signature = (vectors**2 @ heat) * there[..., None]
    return signature.to(adjacency.dtype), values.clamp(0, 2).to(adjacency.dtype)


def _diagonal(left: Tensor, right: Tensor) -> Tensor:
    """diag(L R) of symmetric R."""
    return (left * right).sum(-1)
