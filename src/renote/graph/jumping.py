"""Jumping knowledge: each node chooses among what all layers say of it.

Xu, Li, Tian, Sonobe, Kawarabayashi & Jegelka (2018), "Representation learning on graphs with jumping knowledge networks", arXiv 1806.03536.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from renote.errors import UsageError, unknown

Jump = Literal["concat", "max", "lstm"]


class JumpingKnowledge(nn.Module):
    """The last representation of a node, of those of all layers h¹ … h^L.

        concat   h¹ ‖ … ‖ h^L
        max      max_l h^l per feature
        lstm     Σ_l s_l h^l, s = softmax_l((f_l ‖ b_l) · a + c), with f, b the states of an LSTM that reads forwards, and one backwards

    Args:
        mode: `"concat"`, `"max"` or `"lstm"`.
        features: of each layer.
        layers: number of layers L.

    Shapes:
        A list of L tensors (nodes, features). Output: (nodes, out_features).

    Source:
        Xu et al. (2018), section 4.1; the LSTM's states are L · features / 2 wide, as in PyTorch Geometric.
    """

    def __init__(self, mode: Jump, features: int, layers: int) -> None:
        super().__init__()
        if mode not in get_args(Jump):
            raise unknown("mode of jumping", mode, get_args(Jump))
        if layers < 1:
            raise UsageError(f"layers is {layers}: there is at least one to jump from")
        self.mode, self.features, self.layers = mode, features, layers
        self.out_features = features * layers if mode == "concat" else features
        state = max(1, layers * features // 2)
        self.lstm = nn.LSTM(features, state, bidirectional=True, batch_first=True) if mode == "lstm" else None
        self.score = nn.Linear(2 * state, 1) if mode == "lstm" else None

    def forward(self, hidden: Sequence[Tensor]) -> Tensor:
        """Arguments as the class says."""
        if len(hidden) != self.layers or any(h.shape[-1] != self.features for h in hidden):
            shapes = [tuple(h.shape) for h in hidden]
            raise UsageError(f"layers of shapes {shapes}: {self.layers} of {self.features} features are jumped from")
        if self.mode == "concat":
            return torch.cat(list(hidden), -1)
        stacked = torch.stack(list(hidden), 1)
        if self.lstm is None or self.score is None:
            return stacked.amax(1)
        if not len(stacked):
            return stacked.new_zeros(0, self.features)
        shares = self.score(self.lstm(stacked)[0]).softmax(1)
        out: Tensor = (shares * stacked).sum(1)
        return out

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.mode}, {self.features}, layers={self.layers}"
