"""Convolutions that apply one fixed operator on node signals.

Kipf & Welling (2017), "Semi-supervised classification with graph convolutional networks", arXiv 1609.02907.
Chiang et al. (2019), "Cluster-GCN", arXiv 1905.07953. Zhang & Meng (2019), "GResNet", arXiv 1909.05729, for LoopyNet's sum.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.segment import spmm
from renote.graph.sparse import SparseFeatures


class KipfConvolution(nn.Module):
    """Y = Â X W + b, with Â = D^-1/2 (A + I) D^-1/2.

    The product is taken in the cheaper order: X W first where the output is narrower, else Â X first. Where both are as wide, that leaves the bias to
    the matrix product, and no sparse product for the backward pass if X needs no gradient.

    Args:
        in_features: features a node comes with.
        out_features: features it leaves with.
        bias: whether b is there; it starts at zero, W as in Glorot & Bengio (2010), uniform.

    Shapes:
        x: (nodes, in_features), dense or `SparseFeatures`. Output: (nodes, out_features).

    Source:
        Kipf & Welling (2017), eq. 2 with the renormalization of section 2.2.
    """

    one_hop = True
    """Whether a row of the output reads the node, what arrives at it, and no normalization but Kipf's or its own."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = nn.Parameter(torch.empty(in_features, out_features))
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot uniform weights, zero bias."""
        nn.init.xavier_uniform_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor | SparseFeatures, adjacency: Adjacency) -> Tensor:
        """One hop; arguments as the class says."""
        if x.shape[-1] != self.in_features:
            raise UsageError(f"x has {x.shape[-1]} features a node and the convolution takes {self.in_features}")
        operator = self.operator(adjacency)
        if isinstance(x, Tensor) and self.in_features <= self.out_features:
            signal = spmm(operator, x)
            return signal @ self.weight if self.bias is None else torch.addmm(self.bias, signal, self.weight)
        out = spmm(operator, x @ self.weight)
        return out if self.bias is None else out.add_(self.bias)

    def operator(self, adjacency: Adjacency) -> Adjacency:
        """Â."""
        return adjacency.kipf()

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


class ScoreConvolution(KipfConvolution):
    """y = D^-1/2 (A + I) D^-1/2 X w + b, one number a node: `KipfConvolution` to one feature, without a normalized matrix.

    For one feature the matrix costs ten times its product, and batches of graphs are often met once. So what is normalized is X w, before the sum over
    neighbours and after, where edges have no weights.

    Args:
        in_features: features a node comes with.
        bias: whether b is there.

    Shapes:
        x: (nodes, in_features), dense or `SparseFeatures`. Output: (nodes, 1).

    Source:
        Kipf & Welling (2017), eq. 2 with the renormalization of section 2.2.
    """

    def __init__(self, in_features: int, bias: bool = True) -> None:
        super().__init__(in_features, 1, bias)

    def forward(self, x: Tensor | SparseFeatures, adjacency: Adjacency) -> Tensor:
        """One hop; arguments as the class says."""
        if not self.fits(adjacency) or x.shape[-1] != self.in_features:
            return super().forward(x, adjacency)
        signal = x @ self.weight.squeeze(1) if isinstance(x, Tensor) else (x @ self.weight).squeeze(1)
        out = self.smoothing(adjacency, signal.dtype)(signal)
        return (out if self.bias is None else out + self.bias)[:, None]

    @staticmethod
    def fits(adjacency: Adjacency) -> bool:
        """Whether `smoothing` is for this graph."""
        # on a GPU sums over edges in place have no fixed order
        return adjacency.weight is None and adjacency.whole is None and adjacency.device.type == "cpu"

    @staticmethod
    def smoothing(adjacency: Adjacency, dtype: torch.dtype) -> Callable[..., Tensor]:
        """s ↦ D^-1/2 (A + I) D^-1/2 s for (nodes,) signals s, of a graph that `fits`; called with `turned=True`, its transpose."""
        pattern, degree = adjacency.pattern, adjacency.looped_degree
        scale = degree.rsqrt().to(dtype)
        # loops are among the messages, and a node counts once in all
        own = None if adjacency.loops is None else (degree - pattern.count).to(dtype)

        def smooth(signal: Tensor, turned: bool = False) -> Tensor:
            ends = adjacency.source, adjacency.target
            # where both are the same, sums go to receivers, which are in order
            source, target = reversed(ends) if turned and not pattern.known_symmetric else ends
            signal = signal * scale
            kept = signal if own is None else signal * own
            return kept.index_add(0, target, signal.index_select(0, source)) * scale

        return smooth


class EnhancedConvolution(KipfConvolution):
    """Y = (Ã + λ diag Ã) X W + b, with Ã = (D + I)⁻¹ (A + I): a node counts 1 + λ times in the mean over its neighbours and itself.

    Args:
        in_features: features a node comes with.
        out_features: features it leaves with.
        strength: λ; 0 is the mean itself.
        bias: whether b is there; it starts at zero, W as in Glorot & Bengio (2010), uniform.

    Shapes:
        x: (nodes, in_features), dense or `SparseFeatures`. Output: (nodes, out_features).

    Source:
        Chiang et al. (2019), "Cluster-GCN", eqs. 10 and 11.
    """

    def __init__(self, in_features: int, out_features: int, strength: float = 1.0, bias: bool = True) -> None:
        super().__init__(in_features, out_features, bias)
        self.strength = strength

    def operator(self, adjacency: Adjacency) -> Adjacency:
        """Ã + λ diag Ã."""
        return adjacency.enhanced(self.strength)

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{super().extra_repr()}, strength={self.strength}"


class ImprovedConvolution(KipfConvolution):
    """Y = D^-1/2 (A + w I) D^-1/2 X W + b, D_ii = Σ_j |A + w I|_ij: a node counts w times beside each of its neighbours.

    Args:
        in_features: features a node comes with.
        out_features: features it leaves with.
        loop: w.
        bias: whether b is there; it starts at zero, W as in Glorot & Bengio (2010), uniform.

    Shapes:
        x: (nodes, in_features), dense or `SparseFeatures`. Output: (nodes, out_features).

    Source:
        Gao & Ji (2019), "Graph U-Nets", section 3.5, with w = 2.
    """

    one_hop = False

    def __init__(self, in_features: int, out_features: int, loop: float = 2.0, bias: bool = True) -> None:
        super().__init__(in_features, out_features, bias)
        self.loop = loop

    def operator(self, adjacency: Adjacency) -> Adjacency:
        """D^-1/2 (A + w I) D^-1/2."""
        return adjacency.with_self_loops(self.loop).symmetric()

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{super().extra_repr()}, loop={self.loop}"


class LoopyConvolution(KipfConvolution):
    """Y = A X W + b: the sum over the neighbours, without the node itself and without a mean; LoopyNet hears of the node by its raw features.

    Args:
        in_features: features a node comes with.
        out_features: features it leaves with.
        bias: whether b is there; it starts at zero, W as in Glorot & Bengio (2010), uniform.

    Shapes:
        x: (nodes, in_features), dense or `SparseFeatures`. Output: (nodes, out_features).

    Source:
        Zhang (2018), "Deep loopy neural network model for graph structured data representation learning", arXiv 1805.07504, as in the code of GResNet, where A is not normalized.
    """

    def operator(self, adjacency: Adjacency) -> Adjacency:
        """A, of drawn edges in expectation."""
        return adjacency.expected


class SkipConvolution(KipfConvolution):
    """Y = Â X W + (X W) ∘ s + b: beside the mean over a node and its neighbours, the node itself, each feature with a weight of its own.

    Args:
        in_features: features a node comes with.
        out_features: features it leaves with.
        bias: whether b is there; it starts at zero, W and s as in Glorot & Bengio (2010), uniform.

    Shapes:
        x: (nodes, in_features), dense or `SparseFeatures`. Output: (nodes, out_features).

    Source:
        Tsitsulin et al. (2020), section 4.1, and their code, where W_skip is diagonal and on X W.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__(in_features, out_features, bias)
        self.skip = nn.Parameter(torch.empty(out_features))
        limit = (3.0 / out_features) ** 0.5
        nn.init.uniform_(self.skip, -limit, limit)

    def forward(self, x: Tensor | SparseFeatures, adjacency: Adjacency) -> Tensor:
        """One hop; arguments as the class says."""
        if x.shape[-1] != self.in_features:
            raise UsageError(f"x has {x.shape[-1]} features a node and the convolution takes {self.in_features}")
        projected = x @ self.weight
        out = spmm(self.operator(adjacency), projected) + projected * self.skip
        return out if self.bias is None else out + self.bias
