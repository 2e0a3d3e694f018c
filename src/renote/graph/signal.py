"""Networks that read signals on one fixed graph, as a convolutional network reads pictures on their grid."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.conv.fourier import FourierConvolution
from renote.graph.dropout import dropout
from renote.graph.operator import laplacian
from renote.graph.pool.tree import Level, tree_max
from renote.graph.spectrum import Eigenbasis, eigenbasis


class SignalLayer(nn.Module):
    """y = the maximum over each 1/pool of the slots of ReLU(conv(x)), 0 in fake slots.

    Args:
        convolution: called as `convolution(x, adjacency)` if there is one, else as `convolution(x)`.
        level: of the tree, on whose slots x lies.
        pool: slots of which one is left, a power of 2.
        adjacency: between the slots, e.g. `level.arranged`; None for a convolution that knows its graph.
    """

    real: Tensor

    def __init__(self, convolution: nn.Module, level: Level, pool: int = 1, adjacency: Adjacency | None = None) -> None:
        super().__init__()
        self.convolution, self.pool, self.adjacency = convolution, pool, adjacency
        self.register_buffer("real", level.real.view(-1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(slots, n, features) → (slots / pool, n, features of the convolution)."""
        out: Tensor = self.convolution(x) if self.adjacency is None else self.convolution(x, self.adjacency)
        # with 0 there, fakes never are the maximum of what is not negative
        return tree_max(out.relu() * self.real, self.pool)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SignalLayer:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.adjacency = None if self.adjacency is None else self.adjacency.map(fn)
        return self


def fourier_layer(
    level: Level, in_features: int, out_features: int, pool: int, frequencies: int, knots: int | None = None
) -> SignalLayer:
    """A `FourierConvolution` in the basis of a level's graph, as a layer.

    Args:
        level: of the tree.
        in_features: features a node comes with.
        out_features: features it leaves with.
        pool: as `SignalLayer`.
        frequencies: how many of the lowest are kept; all if there are not so many.
        knots: as `FourierConvolution`.
    """
    basis = eigenbasis(laplacian(level.adjacency), min(frequencies, level.adjacency.num_nodes))
    # fake slots belong to no eigenvector
    spread = Eigenbasis(basis.values, level.gather(basis.vectors))
    return SignalLayer(FourierConvolution(in_features, out_features, spread, knots), level, pool)


class SignalNetwork(nn.Module):
    """Graph layers with pooling, then dense layers: z = W_m … ReLU(W_1 [y of all nodes]) + b_m, with dropout before the last.

    Args:
        levels: the tree, the first with the graph of the signals.
        layers: `SignalLayer`s, one after the other; none leaves a fully connected network.
        features: of a node after the last of them, or in the signal if there is none.
        classes: width of the output.
        hidden: widths of the dense layers before.
        dropout: probability, before the last dense layer.
        nodes: (k,) int64, where the nodes of the graph are among those of a signal; None if they are the same.

    Shapes:
        x: (n, features in, nodes of a signal). Output: (n, classes).

    Source:
        Defferrard et al. (2016), section 5.1, after LeNet-5.
    """

    place: Tensor
    real: Tensor
    kept: Tensor

    def __init__(
        self,
        levels: Sequence[Level],
        layers: Sequence[SignalLayer],
        features: int,
        classes: int,
        hidden: Sequence[int] = (),
        dropout: float = 0.5,
        nodes: Tensor | None = None,
    ) -> None:
        super().__init__()
        # each pooling by 2 is a step along the tree
        depth = sum((layer.pool.bit_length() - 1) for layer in layers)
        if depth >= len(levels):
            raise UsageError(
                f"layers pool over {depth} levels, and the tree has {len(levels) - 1} below its first graph"
            )
        first, last = levels[0], levels[depth]
        self.layers, self.dropout = nn.ModuleList(layers), dropout
        place = first.place.clamp(min=0)
        self.register_buffer("place", place if nodes is None else nodes[place], persistent=False)
        self.register_buffer("real", first.real.view(-1, 1, 1), persistent=False)
        self.register_buffer("kept", last.real.nonzero().squeeze(1), persistent=False)
        widths = [features * last.adjacency.num_nodes, *hidden, classes]
        self.dense = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """Logits; arguments as the class says."""
        signal = x.permute(2, 0, 1).index_select(0, self.place) * self.real
        for layer in self.layers:
            signal = layer(signal)
        out = signal.index_select(0, self.kept).permute(1, 0, 2).flatten(1)
        *inner, last = self.dense
        for dense in inner:
            out = dense(out).relu()
        logits: Tensor = last(dropout(out, self.dropout, self.training) if inner else out)
        return logits
