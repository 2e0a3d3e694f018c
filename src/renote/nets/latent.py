"""Normal latents in levels, from the top down, and what the networks of hierarchical autoencoders have in common.

    p(z) = p(z_1) Π_l p(z_l | z_<l),    q(z | x) = Π_l q(z_l | z_<l, x)    or, from the bottom up,    q(z_L | x) Π_l q(z_l | z_{l+1})

Levels are counted from the top, as samples are drawn; the ladder's paper counts them from the data.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class Normal(NamedTuple):
    """N(mean, exp(log_std)²), each number on its own; shapes alike."""

    mean: Tensor
    log_std: Tensor

    def draw(self, noise: Tensor) -> Tensor:
        """mean + std ε."""
        return self.mean + self.log_std.exp() * noise

    def log_density(self, z: Tensor) -> Tensor:
        """Log N(z; mean, std²) of each number."""
        standard = (z - self.mean) * torch.exp(-self.log_std)
        return -standard.square() / 2 - self.log_std - math.log(2 * math.pi) / 2


def divergence(q: Normal, p: Normal) -> Tensor:
    """KL(q || p) = ½ (Δ² / σ_p² + σ² - log σ² - 1), Δ = μ_q - μ_p and σ = σ_q / σ_p, of each number.

    Source: Vahdat & Kautz 2020, equation 2.
    """
    shift = (q.mean - p.mean) * torch.exp(-p.log_std)
    log_scale = q.log_std - p.log_std
    return (shift.square() + torch.expm1(2 * log_scale)) / 2 - log_scale


def residual(prior: Normal, shift: Tensor, log_scale: Tensor) -> Normal:
    """N(μ_p + Δμ, (σ_p Δσ)²): where the prior moves, this moves with it.

    Source: Vahdat & Kautz 2020, section 3.2.
    """
    return Normal(prior.mean + shift, prior.log_std + log_scale)


def merge(a: Normal, b: Normal) -> Normal:
    """The product of both densities, normalized: precisions add, and weigh the means.

        μ = (μ_a / σ_a² + μ_b / σ_b²) / (1 / σ_a² + 1 / σ_b²),    1 / σ² = 1 / σ_a² + 1 / σ_b²

    Source: Sønderby et al. 2016, section 2.2.
    """
    log_precision = torch.logaddexp(-2 * a.log_std, -2 * b.log_std)
    share = torch.exp(-2 * a.log_std - log_precision)
    return Normal(b.mean + share * (a.mean - b.mean), -log_precision / 2)


class Level(NamedTuple):
    """One level as inference saw it: its two distributions and the draw z, all (n, *shape)."""

    prior: Normal
    posterior: Normal
    z: Tensor


class Hierarchy(nn.Module):
    """A network for latents in levels.

    Args:
        shapes: of one sample's latents at each level, from the top.
        groups: how many levels form each group, from the top.
        top_down: whether q draws a level knowing those above it, as p does, so that its divergence has a closed form.
    """

    def __init__(self, shapes: Sequence[Sequence[int]], groups: Sequence[int], top_down: bool = True) -> None:
        super().__init__()
        self.shapes = tuple(tuple(shape) for shape in shapes)
        self.groups, self.top_down = tuple(groups), top_down

    @abstractmethod
    def infer(self, x: Tensor, noise: Sequence[Tensor]) -> tuple[Tensor, list[Level]]:
        """A draw of q(z | x), and what the decoder makes of it.

        Args:
            x: (n, *shape) data.
            noise: standard normal numbers (n, *shape of the level), from the top.

        Returns:
            The decoder's numbers (n, …), and the levels from the top.
        """

    @abstractmethod
    def generate(self, noise: Sequence[Tensor]) -> Tensor:
        """The decoder's numbers (n, …) for a draw of p(z).

        Args:
            noise: as for `infer`, of the first levels, at least one; the others are at their mean.
        """

    def penalty(self, step: int | None = None) -> Tensor:
        """What the network is to keep small beside the bound; nothing here.

        Args:
            step: number of the optimizer step, so that what is tracked over steps moves once a step.
        """
        return torch.zeros(())

    def start(self, like: Tensor) -> Normal:
        """p(z_1) = N(0, I), as `like` (n, *shape of the first level)."""
        zeros = torch.zeros_like(like)
        return Normal(zeros, zeros)


def positive_normal(mean: Tensor, raw: Tensor, least: float = 1e-4) -> Normal:
    """Of variance softplus(raw), at least `least`.

    Source: Sønderby et al. 2016, section 2.1.
    """
    return Normal(wide(mean), (functional.softplus(wide(raw)) + least).log() / 2)


def wide(x: Tensor) -> Tensor:
    """In single precision at least: divergences are small differences."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
