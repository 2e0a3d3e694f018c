"""Largest singular values of many layers, followed over training by power iteration.

    v ← normalize(Wᵀ u),  u ← normalize(W v),  s = uᵀ W v

A layer's matrix W has a row an output and a column for each input and place of its kernel. s is differentiable in W; u and v are kept from step to step, so that
few iterations a step suffice.

Yoshida & Miyato 2017, arXiv:1705.10941; Vahdat & Kautz 2020, section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional


class SpectralNorms(nn.Module):
    """s of each layer.

    Args:
        layers: convolutions and linear layers, whose `weight` is looked at; they stay their owner's.
        iterations: power iterations a step.
    """

    renewed: Tensor

    def __init__(self, layers: Iterable[nn.Module], iterations: int = 4) -> None:
        super().__init__()
        self.iterations = iterations
        # equal shapes go through in one product
        shapes: dict[torch.Size, list[nn.Module]] = {}
        for layer in layers:
            shapes.setdefault(_matrix(layer).shape, []).append(layer)
        self._groups = tuple(tuple(group) for group in shapes.values())
        for i, (shape, group) in enumerate(shapes.items()):
            start = functional.normalize(torch.randn(len(group), shape[0], 1), dim=1)
            self.register_buffer(f"left{i}", start)
            self.register_buffer(f"right{i}", torch.zeros(len(group), shape[1], 1))
        self.register_buffer("renewed", torch.tensor(-1))

    def forward(self, step: int | None = None) -> Tensor:
        """(layers,) estimates, a shape after the other.

        Args:
            step: number of the optimizer step: the iterations are done once for each; None does them now.
        """
        renew = step is None or step != int(self.renewed)
        if step is not None:
            self.renewed.fill_(step)
        found = []
        for i, group in enumerate(self._groups):
            weight = torch.stack([_matrix(layer) for layer in group])
            left, right = self.get_buffer(f"left{i}"), self.get_buffer(f"right{i}")
            if renew:
                with torch.no_grad():
                    for _ in range(self.iterations):
                        right.copy_(functional.normalize(weight.mT @ left, dim=1))
                        left.copy_(functional.normalize(weight @ right, dim=1))
            # the buffers move on, and the gradient needs them as they are now
            found.append((left.clone().mT @ weight @ right.clone()).flatten())
        return torch.cat(found)


def _matrix(layer: nn.Module) -> Tensor:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight.flatten(1)
