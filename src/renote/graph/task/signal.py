"""Classification of signals: each is one number or more for every node of the same graph, and has a class."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.nets.evaluation import evaluation

_CHUNK = 500


class SignalClassification(nn.Module):
    """Mean cross-entropy of signals, - 1/n Σ_i ln softmax(Z_i)_{y_i}.

    Args:
        network: `network(signals)` gives logits (n, classes) of signals (n, features, nodes).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The loss of a batch, `{"signal": (n, features, nodes), "label": (n,)}`."""
        return functional.cross_entropy(self.network(batch["signal"]).float(), batch["label"])

    def logits(self, signals: Tensor) -> Tensor:
        """(n, classes) on the CPU, without dropout, a few hundred signals at a time."""
        device = next(self.parameters()).device
        with evaluation(self.network):
            parts = [self.network(part.to(device)).float().cpu() for part in torch.split(signals, _CHUNK)]
        return torch.cat(parts)

    def validate(self, signals: Tensor, labels: Tensor) -> dict[str, float]:
        """Loss and share of signals whose largest logit is their label's."""
        logits = self.logits(signals)
        share = float((logits.argmax(1) == labels).double().mean())
        return {"loss": float(functional.cross_entropy(logits, labels)), "accuracy": share}
