"""How one category turns into another: families of transition matrices in closed form, of which none is ever stored for each time.

    Q(a), a the share that is kept:    Q(1) = I,  Q(a) Q(b) = Q(a b),  every row of Q(0) is the prior

    uniform      Q(a) = a I + (1 - a) 1 1ᵀ / K                           Hoogeboom et al. 2021, section 4; Austin et al. 2021, A.2.1
    marginal     Q(a) = a I + (1 - a) 1 mᵀ, m the data's frequencies     Vignac et al. 2023, section 4.1
    absorbing    Q(a) = a I + (1 - a) 1 e_mᵀ, m a state more             Austin et al. 2021, A.2.2
    jumps        Q(a) = U diag(a^λ) Uᵀ, rates R = -U diag(λ) Uᵀ of jumps between categories, the least λ > 0 scaled to 1
        gaussian     R_ij ∝ exp(-(i - j)² / (2 w²)), w = width (K - 1)   as A.2.3
        nearest      R_ij ∝ 1 for |i - j| ≤ reach                        as A.2.4, neighbours by order

Uniform, marginal and absorbing cost O(K) a site, jumps one K × K matrix a sample. Those of Austin et al. for jumps have a table of T matrices, which do not commute; here one
process of jumps runs in continuous time, so that one eigenbasis serves every pair of times.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from renote.diffusion.schedule import broadcast
from renote.errors import UsageError

TINY = 1e-300


class Transition(ABC):
    """Q(a) for categories 0 … K - 1.

    Args:
        categories: K ≥ 2.

    Attributes:
        states: of x_t: K, or K + 1 with a mask.
        mask: the state K of what is masked; None where nothing is.

    Raises:
        UsageError: for fewer than 2 categories.
    """

    mask: int | None = None

    def __init__(self, categories: int) -> None:
        if categories < 2:
            raise UsageError(f"categories = {categories}: at least 2, or nothing is left to tell")
        self.categories = self.states = categories

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.categories})"

    @abstractmethod
    def drawn(self, state: Tensor, kept: Tensor, level: Tensor) -> Tensor:
        """The first state j with Σ_{i ≤ j} Q(a)[x, i] > u.

        Args:
            state: (n, …) int64 x.
            kept: (n,) float64 a.
            level: (n, …) float64 u in [0, 1].
        """

    @abstractmethod
    def prior(self, level: Tensor) -> Tensor:
        """As `drawn` with a = 0, where x does not matter."""

    @abstractmethod
    def seen(self, state: Tensor, kept: Tensor, dtype: torch.dtype) -> Tensor:
        """Q(a)[i, x] for every i: how likely each earlier state is to become x.

        Args:
            state: (n, …) int64 x.
            kept: (n,) float64 a.
            dtype: of the result.

        Returns:
            (n, …, states).
        """

    @abstractmethod
    def spread(self, chances: Tensor, kept: Tensor) -> Tensor:
        """p Q(a): chances of categories (n, …, K), after a share a (n,) was kept, (n, …, states)."""


class Fixed(Transition):
    """Q(a) = I over one category: of sites that say nothing but that they are there."""

    def __init__(self) -> None:
        self.categories = self.states = 1

    def drawn(self, state: Tensor, kept: Tensor, level: Tensor) -> Tensor:
        """x."""
        return state

    def prior(self, level: Tensor) -> Tensor:
        """0."""
        return torch.zeros(level.shape, dtype=torch.int64, device=level.device)

    def seen(self, state: Tensor, kept: Tensor, dtype: torch.dtype) -> Tensor:
        """1."""
        return torch.ones(*state.shape, 1, dtype=dtype, device=state.device)

    def spread(self, chances: Tensor, kept: Tensor) -> Tensor:
        """p."""
        return chances


class Uniform(Transition):
    """Q(a) = a I + (1 - a) 1 1ᵀ / K: what is not kept is any category."""

    def drawn(self, state: Tensor, kept: Tensor, level: Tensor) -> Tensor:
        """By the two straight pieces of the distribution function below and above x, without a table of categories."""
        kept = broadcast(kept, level)
        share = ((1 - kept) / self.categories).clamp(min=TINY)
        below, above = (level / share).floor(), ((level - kept) / share).floor()
        out = torch.where(below < state, below, torch.maximum(above, state.to(level.dtype)))
        return out.clamp(max=self.categories - 1).long()

    def prior(self, level: Tensor) -> Tensor:
        """⌊K u⌋."""
        return (level * self.categories).floor().clamp(max=self.categories - 1).long()

    def seen(self, state: Tensor, kept: Tensor, dtype: torch.dtype) -> Tensor:
        """(1 - a) / K, and a more at x."""
        kept = broadcast(kept.to(dtype), state[..., None].to(dtype)).expand(*state.shape, 1)
        out = ((1 - kept) / self.categories).repeat(*(1,) * state.ndim, self.categories)
        return out.scatter_add_(-1, state[..., None], kept)

    def spread(self, chances: Tensor, kept: Tensor) -> Tensor:
        """a p + (1 - a) Σp / K."""
        kept = broadcast(kept, chances)
        return kept * chances + (1 - kept) / self.categories * chances.sum(-1, keepdim=True)


class Marginal(Transition):
    """Q(a) = a I + (1 - a) 1 mᵀ: what is not kept is drawn anew by given chances.

    Args:
        chances: (K,) m, not negative, of any positive sum; the frequencies of the data, for one.

    Raises:
        UsageError: for numbers that are no chances.
    """

    def __init__(self, chances: Tensor) -> None:
        chances = torch.as_tensor(chances, dtype=torch.float64)
        if chances.ndim != 1 or not bool(chances.isfinite().all()) or bool((chances < 0).any()):
            raise UsageError("chances of categories: give a finite number for each, none negative, (K,)")
        super().__init__(len(chances))
        if not float(chances.sum()) > 0:
            raise UsageError("chances of categories: at least one is positive")
        self._chances = chances / chances.sum()

    def chances(self, like: Tensor, dtype: torch.dtype) -> Tensor:
        """m on the device of a tensor."""
        if self._chances.device != like.device:
            self._chances = self._chances.to(like.device)
        return self._chances.to(dtype)

    def drawn(self, state: Tensor, kept: Tensor, level: Tensor) -> Tensor:
        """By the row a e_x + (1 - a) m."""
        kept = broadcast(kept.double(), state[..., None].double())
        row = ((1 - kept) * self.chances(state, torch.float64)).expand(*state.shape, -1)
        return draw(row.scatter_add(-1, state[..., None], kept.expand(*state.shape, 1)), level)

    def prior(self, level: Tensor) -> Tensor:
        """By m."""
        return draw(self.chances(level, torch.float64).expand(*level.shape, -1), level)

    def seen(self, state: Tensor, kept: Tensor, dtype: torch.dtype) -> Tensor:
        """(1 - a) m_x, and a more at x."""
        kept = broadcast(kept.to(dtype), state[..., None].to(dtype)).expand(*state.shape, 1)
        out = ((1 - kept) * self.chances(state, dtype)[state][..., None]).repeat(*(1,) * state.ndim, self.categories)
        return out.scatter_add_(-1, state[..., None], kept)

    def spread(self, chances: Tensor, kept: Tensor) -> Tensor:
        """a p + (1 - a) m Σp."""
        kept = broadcast(kept.to(chances.dtype), chances)
        return kept * chances + (1 - kept) * self.chances(chances, chances.dtype) * chances.sum(-1, keepdim=True)


class Absorbing(Transition):
    """Q(a) = a I + (1 - a) 1 e_mᵀ: what is not kept is masked, m = K, and stays so."""

    def __init__(self, categories: int) -> None:
        super().__init__(categories)
        self.states, self.mask = categories + 1, categories

    def drawn(self, state: Tensor, kept: Tensor, level: Tensor) -> Tensor:
        """x where u < a, else the mask."""
        return torch.where(level < broadcast(kept, level), state, self.categories)

    def prior(self, level: Tensor) -> Tensor:
        """All masked."""
        return torch.full(level.shape, self.categories, device=level.device)

    def seen(self, state: Tensor, kept: Tensor, dtype: torch.dtype) -> Tensor:
        """Of the mask 1 - a from a category and 1 from the mask; of a category a from itself."""
        here, kept = state[..., None], broadcast(kept.to(dtype), state[..., None].to(dtype))
        masked = here == self.categories
        out = torch.where(masked, 1 - kept, 0.0).repeat(*(1,) * state.ndim, self.states)
        # what is seen at t = 1, where nothing is kept, was given from outside: it is taken as it is
        return out.scatter_(-1, here, torch.where(masked, 1.0, kept.clamp(min=torch.finfo(dtype).tiny)))

    def spread(self, chances: Tensor, kept: Tensor) -> Tensor:
        """a p, and (1 - a) Σp at the mask."""
        kept = broadcast(kept, chances)
        return torch.cat([kept * chances, (1 - kept) * chances.sum(-1, keepdim=True)], -1)


class Jumps(Transition):
    """Q(a) = U diag(a^λ) Uᵀ: jumps at given rates, in both directions alike, so that the prior is uniform.

    Args:
        rates: (K, K) symmetric, not negative; the diagonal is ignored.

    Raises:
        UsageError: for rates that are something else, or that never lead from some category to another.

    Example:
        >>> import torch
        >>> from renote.diffusion.process import Jumps
        >>> cycle = torch.eye(5).roll(1, 0) + torch.eye(5).roll(-1, 0)
        >>> Jumps(cycle).matrix(torch.tensor([0.5])).sum(-1).round(decimals=6).unique()
        tensor([1.], dtype=torch.float64)
    """

    def __init__(self, rates: Tensor) -> None:
        rates = rates.double()
        if rates.ndim != 2 or rates.shape[0] != rates.shape[1]:
            raise UsageError(f"rates of shape {tuple(rates.shape)}: give a number for each pair of categories, (K, K)")
        super().__init__(len(rates))
        rates = rates - rates.diagonal().diag()
        if not bool(rates.isfinite().all()) or float(rates.min()) < 0 or not torch.allclose(rates, rates.mT):
            raise UsageError("rates must be finite, not negative, and the same from i to j as from j to i")
        values, self._basis = torch.linalg.eigh(rates.sum(1).diag() - rates)
        if not float(values[1]) > 1e-10 * float(values[-1]):
            raise UsageError("rates leave some categories out of reach of others: the prior would depend on the data")
        self._speeds = values.clamp(min=0) / values[1]
        self._speeds[0] = 0.0

    def matrix(self, kept: Tensor) -> Tensor:
        """Q(a) for every a (n,), (n, K, K) float64."""
        basis, speeds = self._basis.to(kept.device), self._speeds.to(kept.device)
        powers = kept.double()[:, None] ** speeds
        matrix: Tensor = (basis * powers[:, None]) @ basis.mT
        return matrix.clamp_(min=0)

    def drawn(self, state: Tensor, kept: Tensor, level: Tensor) -> Tensor:
        """By the rows of Q(a)."""
        return draw(self.seen(state, kept, torch.float64), level)

    def prior(self, level: Tensor) -> Tensor:
        """⌊K u⌋."""
        return (level * self.categories).floor().clamp(max=self.categories - 1).long()

    def seen(self, state: Tensor, kept: Tensor, dtype: torch.dtype) -> Tensor:
        """Column x of Q(a), which is row x too."""
        matrix = self.matrix(kept).to(dtype)
        flat = state.flatten(1)[..., None].expand(-1, -1, self.categories)
        return matrix.gather(1, flat).reshape(*state.shape, self.categories)

    def spread(self, chances: Tensor, kept: Tensor) -> Tensor:
        """p Q(a)."""
        flat = chances.flatten(1, -2) if chances.ndim > 2 else chances[:, None]
        spread: Tensor = flat @ self.matrix(kept).to(chances.dtype)
        return spread.reshape(chances.shape)


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
    return Jumps(nearest_rates(categories, reach))


def nearest_rates(categories: int, reach: int) -> Tensor:
    """(K, K) ones where 0 < |i - j| ≤ reach."""
    place = torch.arange(categories)
    return ((place[:, None] - place).abs() <= reach).double()


def draw(chances: Tensor, level: Tensor) -> Tensor:
    """The first category j with Σ_{i ≤ j} p_i > u Σp; never one whose chance is 0.

    Args:
        chances: (…, K) p, not negative, of any positive sum.
        level: (…) u in [0, 1].
    """
    cumulative = chances.cumsum(-1)
    total = cumulative[..., -1:]
    below = torch.minimum(level.to(chances.dtype)[..., None] * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, below, right=True)[..., 0].clamp(max=chances.shape[-1] - 1)
