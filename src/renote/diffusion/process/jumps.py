"""Jumps between categories at given rates: a chain in continuous time, whose matrices have one eigenbasis.

    Q(a) = D^-½ U diag(a^λ) Uᵀ D^½,  D = diag π,  rates R = -D^-½ U diag(λ) Uᵀ D^½ with π_i R_ij = π_j R_ji, the least λ > 0 scaled to 1
    gaussian     R_ij ∝ exp(-(i - j)² / (2 w²)), w = width (K - 1), π uniform        as Austin et al. 2021, A.2.3
    nearest      R_ij ∝ 1 for |i - j| ≤ reach, π uniform                             as the band of ibid., A.2.5, (10); both numbers unverified

A reverse step draws a clean category and takes its row, O(K) a site; a bound or a loss multiplies chances by a matrix, K² a site. Each time costs K³ for the matrix, which all sites and samples of that time share. Jumps to the next category alone need no
decomposition, as U is the cosine basis. The jumps of Austin et al. have a table of T matrices, which do not commute; here one eigenbasis serves every pair of times.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from renote.diffusion.process.check import check_count
from renote.diffusion.process.heat import cosine_basis
from renote.diffusion.process.transition import TINY, Transition, draw
from renote.errors import UsageError


class Jumps(Transition):
    """Q(a) = D^-½ U diag(a^λ) Uᵀ D^½, D = diag π: jumps at given rates that balance, π_i R_ij = π_j R_ji, so that the prior is π.

    Args:
        rates: (K, K) R, not negative; the diagonal is ignored.
        chances: (K,) π, positive, of any sum; None for a uniform prior, for which rates are the same in both directions.

    Raises:
        UsageError: for rates or chances that are something else, or rates that never lead from some category to another.

    Example:
        >>> import torch
        >>> from renote.diffusion.process import Jumps
        >>> cycle = torch.eye(5).roll(1, 0) + torch.eye(5).roll(-1, 0)
        >>> Jumps(cycle).matrix(torch.tensor([0.5])).sum(-1).round(decimals=6).unique()
        tensor([1.], dtype=torch.float64)
        >>> weights = torch.tensor([1.0, 2.0, 1.0])
        >>> Jumps(torch.ones(3, 3) * weights, weights).matrix(torch.tensor([0.0]))[0, 0].round(decimals=6)  # as often as they weigh
        tensor([0.2500, 0.5000, 0.2500], dtype=torch.float64)
    """

    dense = True

    def __init__(self, rates: Tensor, chances: Tensor | None = None) -> None:
        rates = rates.double()
        if rates.ndim != 2 or rates.shape[0] != rates.shape[1]:
            raise UsageError(f"rates of shape {tuple(rates.shape)}: give a number for each pair of categories, (K, K)")
        super().__init__(len(rates))
        rates = rates - rates.diagonal().diag()
        if not bool(rates.isfinite().all()) or float(rates.min()) < 0:
            raise UsageError("rates must be finite and not negative")
        self._chances = None if chances is None else _positive(chances, self.categories)
        root = torch.ones(len(rates), dtype=torch.float64)
        if self._chances is not None:
            root = (self._chances * self.categories).sqrt()
        flow = rates * root[:, None] ** 2
        scaled = flow / flow.max().clamp(min=TINY)
        if not torch.allclose(scaled, scaled.mT):
            how = "the same from i to j as from j to i" if chances is None else "such that π_i R_ij = π_j R_ji"
            raise UsageError(f"rates must be {how}: only then is there one way back, with the prior that is given")
        # rates of few digits balance but roughly: what they are in the mean of both directions does exactly
        values, basis = _spectrum((flow + flow.mT) / 2, root)
        if not float(values[1]) > 1e-10 * float(values[-1]):
            raise UsageError("rates leave some categories out of reach of others: the prior would depend on the data")
        self._speeds = values.clamp(min=0) / values[1]
        self._speeds[0] = 0.0
        self._left, self._right = basis / root[:, None], basis * root[:, None]
        self._recent: list[tuple[Tensor, Tensor]] = []

    def matrix(self, kept: Tensor) -> Tensor:
        """Q(a) for every a (n,), (n, K, K) float64."""
        if self._speeds.device != kept.device:
            self._left, self._right, self._speeds = (
                part.to(kept.device) for part in (self._left, self._right, self._speeds)
            )
        powers = kept.double()[:, None] ** self._speeds
        matrix: Tensor = (self._left * powers[:, None]) @ self._right.mT
        # where all is kept, exactly all
        whole = torch.eye(self.categories, dtype=matrix.dtype, device=kept.device)
        return torch.where((kept == 1)[:, None, None], whole, matrix.clamp_(min=0))

    def drawn(self, state: Tensor, kept: Tensor, level: Tensor) -> Tensor:
        """By the rows of Q(a)."""
        matrices, which = self._matrices(kept)
        return draw(_rows(matrices, which, state), level)

    def prior(self, level: Tensor) -> Tensor:
        """By π; ⌊K u⌋ where it is uniform."""
        if self._chances is not None:
            return draw(self._chances.to(level.device).expand(*level.shape, -1), level)
        return (level * self.categories).floor().clamp(max=self.categories - 1).long()

    def seen(self, state: Tensor, kept: Tensor, dtype: torch.dtype) -> Tensor:
        """Column x of Q(a)."""
        matrices, which = self._matrices(kept)
        return _rows(matrices.mT.to(dtype), which, state)

    def spread(self, chances: Tensor, kept: Tensor) -> Tensor:
        """p Q(a)."""
        matrices, which = self._matrices(kept)
        matrices = matrices.to(chances.dtype)
        flat = chances.flatten(1, -2) if chances.ndim > 2 else chances[:, None]
        spread: Tensor = flat @ (matrices if len(matrices) == 1 else matrices[which])
        return spread.reshape(chances.shape)

    def reached(self, clean: Tensor, kept: Tensor, dtype: torch.dtype) -> Tensor:
        """Row x of Q(a)."""
        matrices, which = self._matrices(kept)
        return _rows(matrices.to(dtype), which, clean)

    def _matrices(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Q(a) of the different a, and which of them is each sample's, (n,) or (1,); on a GPU, which would have to be waited for, of all that are given."""
        if kept.device.type != "cpu":
            return self.matrix(kept), torch.arange(len(kept), device=kept.device)
        different, which = torch.unique(kept.double(), return_inverse=True)
        for known, matrices in self._recent:
            if torch.equal(known, different):
                return matrices, which
        matrices = self.matrix(different)
        # a step's likelihood, posterior and bound ask for the same three times again, and the next step for one of them
        self._recent = [*self._recent[-3:], (different, matrices)]
        return matrices, which


def gaussian_jumps(categories: int, width: float = 0.05) -> Jumps:
    """Jumps between ordered categories, as far as a Gaussian of this width goes.

    Args:
        categories: K.
        width: standard deviation as a share of the whole range; Austin et al.'s last step has √(0.02 / 8) = 0.05.

    Raises:
        UsageError: if the width is not positive.
    """
    if not width > 0:
        raise UsageError(f"width = {width}: a Gaussian's must be positive")
    check_count(categories)
    apart = torch.arange(categories, dtype=torch.float64)
    rates = torch.exp(-(((apart[:, None] - apart) / (width * max(1, categories - 1))) ** 2) / 2)
    # a narrow Gaussian reaches nobody: then the next category it is
    return Jumps(rates if float(rates.diagonal(1).min()) > TINY else nearest_rates(categories, 1))


def nearest_jumps(categories: int, reach: int = 1) -> Jumps:
    """Jumps to any of the `reach` next categories on either side: a band of the matrix.

    Args:
        categories: K.
        reach: how far a jump goes at most.

    Raises:
        UsageError: for a reach below 1.
    """
    if reach < 1:
        raise UsageError(f"reach = {reach}: a jump goes at least to the next category")
    check_count(categories)
    return Jumps(nearest_rates(categories, reach))


def nearest_rates(categories: int, reach: int) -> Tensor:
    """(K, K) ones where 0 < |i - j| ≤ reach."""
    place = torch.arange(categories)
    return ((place[:, None] - place).abs() <= reach).double()


def _positive(chances: Tensor, categories: int) -> Tensor:
    """Chances in float64, of sum 1."""
    chances = torch.as_tensor(chances, dtype=torch.float64)
    if chances.shape != (categories,) or not bool(chances.isfinite().all()) or not bool((chances > 0).all()):
        raise UsageError(
            f"chances of shape {tuple(chances.shape)}: give a positive, finite number for each of {categories} categories"
        )
    return chances / chances.sum()


def _spectrum(flow: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues of the symmetrized -R, rising, and its vectors; for jumps to neighbours alone λ_k = 4 r sin²(π k / 2 K), by cosines.

    Args:
        flow: (K, K) K π_i R_ij, symmetric.
        root: (K,) √(K π).
    """
    count = len(flow)
    path = nearest_rates(count, 1) - torch.eye(count)
    if bool((root == 1).all()) and torch.equal(flow, flow[0, 1] * path):
        waves = torch.sin(torch.arange(count, dtype=torch.float64) * (math.pi / (2 * count)))
        return 4 * flow[0, 1] * waves.square(), cosine_basis(count)
    leaving = (flow / root[:, None] ** 2).sum(1).diag()
    values, basis = torch.linalg.eigh(leaving - flow / (root[:, None] * root))
    return values, basis


def _rows(matrices: Tensor, which: Tensor, state: Tensor) -> Tensor:
    """(n, …, K) row x of each sample's matrix."""
    count = matrices.shape[-1]
    place = state + (which * count).reshape(-1, *(1,) * (state.ndim - 1))
    return matrices.reshape(-1, count).index_select(0, place.flatten()).reshape(*state.shape, count)
