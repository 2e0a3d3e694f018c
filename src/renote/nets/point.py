"""A network for points: no space, only features."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from renote.errors import UsageError
from renote.nets.embedding import LabelEmbedding, check_each, sinusoidal


class PointNetwork(nn.Module):
    """h ← h + W₂ silu(W₁ silu(h) + V c), layer by layer, c an embedding of time and class.

    Args:
        features: of a point.
        hidden: width of h.
        layers: number of residual layers.
        num_classes: classes that it may be told; 0 for none.
        values: how many values it gives for each feature.
        inputs: how many values it is given for each feature.

    Raises:
        UsageError: for numbers that make no network.
    """

    def __init__(
        self,
        features: int,
        hidden: int = 128,
        layers: int = 3,
        num_classes: int = 0,
        values: int = 1,
        inputs: int = 1,
    ) -> None:
        super().__init__()
        counts = {"features": features, "hidden": hidden, "layers": layers, "values": values, "inputs": inputs}
        for name, value in counts.items():
            if value < 1:
                raise UsageError(f"{name} = {value}: must be at least 1")
        self.inputs, self.width = features * inputs, 2 * ((hidden + 1) // 2)
        self.embed = nn.Sequential(nn.Linear(self.width, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.label = LabelEmbedding(num_classes, hidden) if num_classes else None
        self.first = nn.Linear(self.inputs, hidden)
        self.inner = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers))
        self.shift = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers))
        self.outer = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers))
        self.last = nn.Linear(hidden, features * values)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        """Points (n, features * inputs) at times (n,), of classes (n,) int64, -1 for none, or None → (n, features * values).

        Raises:
            UsageError: for another number of features or times, or a class that does not exist.
        """
        if x.ndim != 2 or x.shape[1] != self.inputs:
            raise UsageError(f"points of shape {tuple(x.shape)}: this network takes (n, {self.inputs})")
        check_each(len(x), time, None if self.label is None else label)
        condition = self.embed(sinusoidal(time, self.width).to(x.dtype))
        if self.label is not None and label is not None:
            condition = condition + self.label(label)
        condition = functional.silu(condition)
        h = self.first(x)
        for inner, shift, outer in zip(self.inner, self.shift, self.outer):
            h = h + outer(functional.silu(inner(functional.silu(h)) + shift(condition)))
        out: Tensor = self.last(functional.silu(h))
        return out
