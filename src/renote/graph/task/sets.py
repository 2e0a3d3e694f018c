"""Numbers of sets: each set of things has one, such as the sum of what its pictures show."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from renote.graph.aggregate import Aggregation
from renote.graph.pattern import Pattern
from renote.nets.evaluation import evaluation


class SetRegression(nn.Module):
    """z = head(aggregation of φ(x_1), …, φ(x_m)), learned by the mean absolute or squared error of z · scale.

    Args:
        member: φ, of a batch of members (n, …) to (n, features).
        aggregation: of the members of each set; or a recurrent network, whose last state is taken when it has read them in their order.
        head: from its output to one number.
        squared: whether the error is squared.
        scale: what the targets are measured in.
    """

    def __init__(
        self,
        member: nn.Module,
        aggregation: Aggregation | nn.RNNBase,
        head: nn.Module,
        squared: bool = False,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.member, self.aggregation, self.head = member, aggregation, head
        self.squared, self.scale = squared, scale

    def scores(self, sets: Tensor) -> Tensor:
        """(n, m, …), n sets of m members in an order, → (n,)."""
        count, size = sets.shape[:2]
        members = self.member(sets.flatten(0, 1))
        if isinstance(self.aggregation, nn.RNNBase):
            read = self.aggregation(members.view(count, size, -1))[0][:, -1]
        else:
            owner = torch.arange(count, device=sets.device).repeat_interleave(size)
            read = self.aggregation(members, Pattern.from_segments(owner, count))
        found: Tensor = self.head(read).squeeze(1)
        return found * self.scale

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The loss of `{"set": (n, m, …), "target": (n,)}`."""
        away = (self.scores(batch["set"]) - batch["target"]) / self.scale
        return away.square().mean() if self.squared else away.abs().mean()

    def predict(self, sets: Tensor, chunk: int = 500) -> Tensor:
        """(n,) on the CPU, a few sets at a time."""
        device = next(self.parameters()).device
        with evaluation(self):
            found = [self.scores(part.to(device)).float().cpu() for part in torch.split(sets, chunk)]
        return torch.cat(found)
