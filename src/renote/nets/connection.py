"""Connections around a layer, by which a deep network keeps hearing of what its layers were given.

He, Zhang, Ren & Sun (2016), "Deep residual learning for image recognition", arXiv 1512.03385.
Huang, Liu, van der Maaten & Weinberger (2017), "Densely connected convolutional networks", arXiv 1608.06993.
Srivastava, Greff & Schmidhuber (2015), "Highway networks", arXiv 1505.00387.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from renote.errors import UsageError, unknown


class PlainConnection(nn.Module):
    """y = h, what the layer made of x, without x: the base of the connections, each called as `connection(x, h)`.

    Args:
        before: width of x.
        after: width of h.

    Shapes:
        x: (items, before). h: (items, after). Output: (items, out_features).
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.out_features = after

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """Arguments as the class says."""
        return h


class ResidualConnection(PlainConnection):
    """y = h + x. Arguments as `PlainConnection`; both are as wide.

    Source:
        He et al. (2016), eq. 1; around a graph convolution Kipf & Welling (2017), eq. 14.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after)
        _same("residual", before, after)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """Arguments as the class says."""
        return h + x


class ConcatenationConnection(PlainConnection):
    """y = [x ‖ h]: layer by layer, all that was there before. Arguments as `PlainConnection`.

    Source:
        Huang et al. (2017), eq. 2.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after)
        self.out_features = before + after

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """Arguments as the class says."""
        return torch.cat([x, h], -1)


class HighwayConnection(PlainConnection):
    """y = α ∘ h + (1 - α) ∘ x, α = sigmoid(x W + b). Arguments as `PlainConnection`; both are as wide.

    Args:
        before: width of x.
        after: width of h.
        gate: where b starts; below 0 an item is at first handed on nearly as it is. W as in Glorot & Bengio (2010), uniform.

    Source:
        Srivastava et al. (2015), eq. 3.
    """

    def __init__(self, before: int, after: int, gate: float = -1.0) -> None:
        super().__init__(before, after)
        _same("highway", before, after)
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(before, after)))
        self.bias = nn.Parameter(torch.full((after,), gate))

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """Arguments as the class says."""
        return highway(x, h, torch.addmm(self.bias, x, self.weight))


CONNECTIONS: dict[str, type[PlainConnection]] = {
    "plain": PlainConnection,
    "residual": ResidualConnection,
    "concatenation": ConcatenationConnection,
    "highway": HighwayConnection,
}
"""By name."""


def connection(name: str, before: int, after: int) -> PlainConnection:
    """A connection by its name in `CONNECTIONS`, around a layer that takes `before` features to `after`."""
    if name not in CONNECTIONS:
        raise unknown("connection", name, CONNECTIONS)
    return CONNECTIONS[name](before, after)


def hidden_connections(name: str, width: int, layers: int) -> list[PlainConnection]:
    """One around each of `layers` layers: by its name around those that take a hidden width to the same, plain around the first and the last."""
    kinds = [name if 0 < number < layers - 1 else "plain" for number in range(layers)]
    return [connection(kind, width, width) for kind in kinds]


def highway(x: Tensor, h: Tensor, score: Tensor) -> Tensor:
    """α ∘ h + (1 - α) ∘ x, with α = sigmoid(score)."""
    # x + α (h - x), which is the same
    return torch.lerp(x, h, score.sigmoid())


def _same(name: str, before: int, after: int) -> None:
    if before != after:
        raise UsageError(
            f"a {name} connection around a layer from {before} to {after} features: it takes as many as it gives; "
            "a concatenation joins any"
        )
