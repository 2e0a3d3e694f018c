"""A ladder of dense layers: up without chance, then down, where what the data says meets what the level above expects.

    d_i = MLP(d_{i-1}),  μ̂_i = W d_i,  σ̂_i² = softplus(W d_i),  d_0 = x                      up
    q(z_i | z_{i+1}, x) ∝ N(z_i; μ̂_i, σ̂_i²) p(z_i | z_{i+1})                                 down, i counted from the data

Sønderby, Raiko, Maaløe, Sønderby & Winther, "Ladder Variational Autoencoders", NeurIPS 2016, arXiv:1602.02282, section 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from renote.errors import UsageError
from renote.nets.latent import Hierarchy, Level, Normal, merge, positive_normal


def _mlp(inputs: int, outputs: int, normalize: bool) -> nn.Sequential:
    """Two layers with leaky rectifiers, each normalized over the batch if asked."""
    layers: list[nn.Module] = []
    for width in (inputs, outputs):
        norm = [nn.BatchNorm1d(outputs)] if normalize else []
        layers += [nn.Linear(width, outputs), *norm, nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers)


class _Head(nn.Module):
    """A normal distribution from features."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mean, self.variance = nn.Linear(inputs, outputs), nn.Linear(inputs, outputs)

    def forward(self, features: Tensor) -> Normal:
        return positive_normal(self.mean(features), self.variance(features))


class Ladder(Hierarchy):
    """The ladder, or the same levels without it: q(z_1 | x) Π_i q(z_i | z_{i-1}), from the bottom up.

    Args:
        inputs: numbers in a sample.
        outputs: numbers that the decoder gives.
        latents: of each level, beginning at the data as in the paper.
        hidden: width of the networks below each level; one a level.
        ladder: False for the plain hierarchy.
        normalize: whether the dense layers are normalized over the batch.

    Raises:
        UsageError: for sizes that make no network.

    Example:
        >>> import torch
        >>> network = Ladder(9, 9, latents=(4, 2), hidden=(16, 8)).eval()
        >>> out, levels = network.infer(torch.zeros(3, 1, 3, 3), [torch.zeros(3, 2), torch.zeros(3, 4)])
        >>> out.shape, [level.z.shape[1] for level in levels]
        (torch.Size([3, 9]), [2, 4])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        latents: Sequence[int] = (64, 32, 16, 8, 4),
        hidden: Sequence[int] = (512, 256, 128, 64, 32),
        ladder: bool = True,
        normalize: bool = True,
    ) -> None:
        if not latents or len(latents) != len(hidden) or min(*latents, *hidden, inputs, outputs) < 1:
            raise UsageError(f"latents = {tuple(latents)}, hidden = {tuple(hidden)}: give each level its two sizes")
        super().__init__([(size,) for size in reversed(latents)], [1] * len(latents), top_down=ladder)
        self.inputs, self.ladder, self.normalize = inputs, ladder, normalize
        below = [inputs, *(hidden if ladder else latents)]
        self.up = nn.ModuleList(_mlp(b, h, normalize) for b, h in zip(below, hidden))
        self.posterior = nn.ModuleList(_Head(h, z) for h, z in zip(hidden, latents))
        self.down = nn.ModuleList(_mlp(z, h, normalize) for z, h in zip(latents[1:], hidden[1:]))
        self.prior = nn.ModuleList(_Head(h, z) for h, z in zip(hidden[1:], latents))
        self.decoder = nn.Sequential(_mlp(latents[0], hidden[0], normalize), nn.Linear(hidden[0], outputs))

    def infer(self, x: Tensor, noise: Sequence[Tensor]) -> tuple[Tensor, list[Level]]:
        """The decoder's numbers (n, outputs), and the levels from the top; `x` of any shape (n, …)."""
        if math.prod(x.shape[1:]) != self.inputs:
            raise UsageError(f"input of shape {tuple(x.shape)}: this ladder takes {self.inputs} numbers a sample")
        if self.training and self.normalize and len(x) < 2:
            raise UsageError(
                "a part of a batch has 1 sample, over which nothing can be normalized: raise batch_size or lower accumulate"
            )
        levels = self._ladder(x.flatten(1), noise) if self.ladder else self._plain(x.flatten(1), noise)
        out: Tensor = self.decoder(levels[-1].z)
        return out, levels

    def generate(self, noise: Sequence[Tensor]) -> Tensor:
        """The decoder's numbers (n, outputs)."""
        z = noise[0]
        for i in range(len(self.shapes) - 2, -1, -1):
            place, prior = len(self.shapes) - 1 - i, self._prior(i, z)
            z = prior.draw(noise[place]) if place < len(noise) else prior.mean
        out: Tensor = self.decoder(z)
        return out

    def _prior(self, i: int, above: Tensor) -> Normal:
        prior: Normal = self.prior[i](self.down[i](above))
        return prior

    def _ladder(self, x: Tensor, noise: Sequence[Tensor]) -> list[Level]:
        seen = []
        for up, head in zip(self.up, self.posterior):
            x = up(x)
            seen.append(head(x))
        levels: list[Level] = []
        for i, drawn in zip(reversed(range(len(seen))), noise):
            prior = self._prior(i, levels[-1].z) if levels else self.start(drawn)
            posterior = merge(seen[i], prior) if levels else seen[i]
            levels.append(Level(prior, posterior, posterior.draw(drawn)))
        return levels

    def _plain(self, x: Tensor, noise: Sequence[Tensor]) -> list[Level]:
        drawn: list[tuple[Normal, Tensor]] = []
        for up, head, fresh in zip(self.up, self.posterior, reversed(noise)):
            posterior = head(up(x))
            x = posterior.draw(fresh)
            drawn.append((posterior, x))
        levels: list[Level] = []
        for i, (posterior, z) in reversed(list(enumerate(drawn))):
            prior = self._prior(i, levels[-1].z) if levels else self.start(z)
            levels.append(Level(prior, posterior, z))
        return levels
