"""Convolutions whose sparse part has nothing to learn: it is made once, and what is trained is dense.

`signals` reads the graph, `weigh` reads its rows alone, so a mini-batch is any set of nodes, and the graph is not needed for it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.operator import kipf, powers, random_walk
from renote.graph.sparse import SparseFeatures
from renote.graph.spectrum import PersonalizedPageRank, pagerank_steps
from renote.graph.triangle import triangles

LARGEST = 4 * 2**30
"""Bytes of the signals of sparse features at most: they are dense, so that the identity of n nodes becomes n² numbers a term."""


class PrecomputedConvolution(nn.Module):
    """Y = weigh(signals(X, A)).

    Args:
        in_features: features a node comes with.
    """

    terms = 1

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.in_features = in_features

    def signals(self, x: Tensor | SparseFeatures, adjacency: Adjacency) -> Tensor:
        """(nodes, terms, in_features) what the dense part reads; without parameters.

        Raises:
            UsageError: features of another width, or sparse ones that would become more than `LARGEST`.
        """
        if x.shape[-1] != self.in_features:
            raise UsageError(f"x has {x.shape[-1]} features a node and the convolution takes {self.in_features}")
        size = 4 * x.shape[0] * x.shape[1] * self.terms
        if not isinstance(x, Tensor) and size > LARGEST:
            raise UsageError(
                f"{x.shape[1]} features of {x.shape[0]} nodes in {self.terms} terms are {size / 2**30:.0f} GiB as dense numbers, and at most "
                f"{LARGEST / 2**30:.0f} are made: take fewer features, for a graph without any features=degree, or gcn, which keeps them sparse"
            )
        return torch.stack(list(self._terms(x if isinstance(x, Tensor) else x.to_dense(), adjacency)), 1)

    def weigh(self, signals: Tensor) -> Tensor:
        """(n, out) of (n, terms, in_features), each node for itself."""
        raise NotImplementedError

    def forward(self, x: Tensor | SparseFeatures, adjacency: Adjacency) -> Tensor:
        """Both at once."""
        return self.weigh(self.signals(x, adjacency))

    def _terms(self, x: Tensor, adjacency: Adjacency) -> Iterator[Tensor]:
        raise NotImplementedError


class SimplifiedConvolution(PrecomputedConvolution):
    """Y = Âᴷ X W + b, with  = D̃^-1/2 (A + I) D̃^-1/2.

    Args:
        in_features: features a node comes with.
        out_features: features it leaves with.
        hops: K.
        bias: whether b is there; it starts at zero, W as in Glorot & Bengio (2010), uniform.

    Shapes:
        x: (nodes, in_features), dense or `SparseFeatures`. Output: (nodes, out_features).

    Source:
        Wu et al. (2019), "Simplifying graph convolutional networks", eq. 8.
    """

    def __init__(self, in_features: int, out_features: int, hops: int = 2, bias: bool = True) -> None:
        super().__init__(in_features)
        _check_hops(hops=hops)
        self.out_features, self.hops = out_features, hops
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(in_features, out_features)))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    def weigh(self, signals: Tensor) -> Tensor:
        """(n, out_features) of (n, 1, in_features)."""
        out = signals[:, 0] @ self.weight
        return out if self.bias is None else out + self.bias

    def forward(self, x: Tensor | SparseFeatures, adjacency: Adjacency) -> Tensor:
        """Both at once, X W first where the output is narrower."""
        if (isinstance(x, Tensor) and self.in_features <= self.out_features) or x.shape[-1] != self.in_features:
            return super().forward(x, adjacency)
        out = kipf(adjacency) ** self.hops @ (x @ self.weight)
        return out if self.bias is None else out + self.bias

    def _terms(self, x: Tensor, adjacency: Adjacency) -> Iterator[Tensor]:
        yield kipf(adjacency) ** self.hops @ x

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.in_features}, {self.out_features}, hops={self.hops}, bias={self.bias is not None}"


class InceptionConvolution(PrecomputedConvolution):
    """Y = [X Θ_0 + b_0 | A_1 X Θ_1 + b_1 | … | A_r X Θ_r + b_r], the A_i powers of up to three operators.

    Args:
        in_features: features a node comes with.
        out_features: features of each term; a node leaves with (1 + hops + pagerank_hops + triangle_hops) times as many.
        hops: powers of Â, Kipf's normalized adjacency; the paper's p.
        pagerank_hops: powers of the personalized PageRank on Â; the paper's s.
        triangle_hops: powers of the random walk that takes an edge as often as it is in triangles; the paper's t.
        restart: α of the PageRank, whose iteration goes on until 1e-7 of its first error is left.

    Shapes:
        x: (nodes, in_features), dense or `SparseFeatures`. Output: (nodes, terms * out_features).

    Source:
        Rossi et al. (2020), "SIGN: scalable inception graph neural networks", eq. 4 and section 3.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hops: int = 2,
        pagerank_hops: int = 0,
        triangle_hops: int = 0,
        restart: float = 0.1,
    ) -> None:
        super().__init__(in_features)
        _check_hops(hops=hops, pagerank_hops=pagerank_hops, triangle_hops=triangle_hops)
        if not 0.0 < restart <= 1.0:
            raise UsageError(f"restart is {restart}: it must be above 0 and at most 1")
        self.out_features, self.restart = out_features, restart
        self.hops, self.pagerank_hops, self.triangle_hops = hops, pagerank_hops, triangle_hops
        self.terms = 1 + hops + pagerank_hops + triangle_hops
        self.weight = nn.Parameter(torch.empty(self.terms, in_features, out_features))
        self.bias = nn.Parameter(torch.zeros(self.terms, out_features))
        for weight in self.weight:
            nn.init.xavier_uniform_(weight)

    def weigh(self, signals: Tensor) -> Tensor:
        """(n, terms * out_features) of (n, terms, in_features)."""
        out = torch.baddbmm(self.bias[:, None], signals.transpose(0, 1), self.weight)
        return out.transpose(0, 1).flatten(1)

    def _terms(self, x: Tensor, adjacency: Adjacency) -> Iterator[Tensor]:
        operator = kipf(adjacency)
        yield from powers(operator, x, self.hops)
        if self.pagerank_hops:
            pagerank = PersonalizedPageRank(operator, self.restart, pagerank_steps(self.restart))
            yield from list(powers(pagerank, x, self.pagerank_hops))[1:]
        if self.triangle_hops:
            yield from list(powers(random_walk(triangles(adjacency)), x, self.triangle_hops))[1:]

    def extra_repr(self) -> str:
        """What `print` shows."""
        reach = f"hops={self.hops}, pagerank_hops={self.pagerank_hops}, triangle_hops={self.triangle_hops}"
        return f"{self.in_features}, {self.out_features}, {reach}"


class DiffusionConvolution(PrecomputedConvolution):
    """Z_ijk = W_jk (Pʲ X)_ik for j = 0 … hops, with the random walk P = D⁻¹ A: one weight a hop and feature.

    Args:
        in_features: features a node comes with; it leaves with (hops + 1) times as many.
        hops: the highest power.

    Shapes:
        x: (nodes, in_features), dense or `SparseFeatures`. Output: (nodes, (hops + 1) * in_features), hop by hop.

    Source:
        Atwood & Towsley (2016), "Diffusion-convolutional neural networks", eq. 1; weights begin normal with deviation 0.01, as in the authors' code.
    """

    def __init__(self, in_features: int, hops: int = 2) -> None:
        super().__init__(in_features)
        _check_hops(hops=hops)
        self.hops, self.terms = hops, hops + 1
        self.weight = nn.Parameter(0.01 * torch.randn(hops + 1, in_features))

    def weigh(self, signals: Tensor) -> Tensor:
        """(n, (hops + 1) * in_features) of (n, hops + 1, in_features)."""
        return (signals * self.weight).flatten(1)

    def _terms(self, x: Tensor, adjacency: Adjacency) -> Iterator[Tensor]:
        yield from powers(random_walk(adjacency), x, self.hops)

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.in_features}, hops={self.hops}"


def _check_hops(**hops: int) -> None:
    for name, number in hops.items():
        if number < 0:
            raise UsageError(f"{name} is {number}: it must be 0 or more")
