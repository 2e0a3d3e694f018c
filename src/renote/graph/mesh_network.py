"""Networks that read patches of surfaces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from renote.graph.dropout import dropout
from renote.graph.geometry.patch import Patches


class MeshNetwork(nn.Module):
    """h = ReLU(W (log x - m) / s), then convolutions over patches with ReLU, then two maps: as Boscaini et al. and Monti et al. have it.

    Args:
        convolutions: each is called as `convolution(x, patches)`, the first with `first` features.
        features: numbers that describe a vertex, which are positive.
        first: width of the first map.
        last: features that the last convolution gives.
        hidden: width of the map before the last.
        outputs: numbers that are given for a vertex.
        center: m, (features,); 0 by default.
        scale: s, (features,); 1 by default.
        norm: widths of the convolutions' outputs where each is to be normalized over the vertices of a batch; empty for none.
        dropout: probability before the last map.
    """

    def __init__(
        self,
        convolutions: Iterable[nn.Module],
        features: int,
        first: int,
        last: int,
        hidden: int,
        outputs: int,
        center: Tensor | None = None,
        scale: Tensor | None = None,
        norm: Sequence[int] = (),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.center: Tensor
        self.scale: Tensor
        self.register_buffer("center", torch.zeros(features) if center is None else center)
        self.register_buffer("scale", torch.ones(features) if scale is None else scale)
        self.first = nn.Linear(features, first)
        self.convolutions = nn.ModuleList(convolutions)
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in norm)
        self.hidden, self.last, self.dropout = nn.Linear(last, hidden), nn.Linear(hidden, outputs), dropout

    def forward(self, x: Tensor, patches: Patches) -> Tensor:
        """(vertices, outputs) of (vertices, features)."""
        h = self.first((x.log() - self.center) / self.scale).relu()
        for number, convolution in enumerate(self.convolutions):
            h = convolution(h, patches)
            h = (self.norms[number](h) if self.norms else h).relu()
        h = self.hidden(h).relu()
        out: Tensor = self.last(dropout(h, self.dropout, self.training) if self.dropout else h)
        return out
