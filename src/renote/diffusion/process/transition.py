"""How one category turns into another: families of transition matrices in closed form, of which none is ever stored for each time.

    Q(a), a the share that is kept:    Q(1) = I,  Q(a) Q(b) = Q(a b),  every row of Q(0) is the prior

    uniform      Q(a) = a I + (1 - a) 1 1ᵀ / K                           Hoogeboom et al. 2021, section 4; Austin et al. 2021, A.2.1
    marginal     Q(a) = a I + (1 - a) 1 mᵀ, m the data's frequencies     Vignac et al. 2023, section 4.1
    absorbing    Q(a) = a I + (1 - a) 1 e_mᵀ, m a state more             Austin et al. 2021, A.2.2
    jumps        in `jumps.py`: by distance between ordered categories, or by any rates that balance

Each costs O(K) a site; for jumps that holds of what is drawn, and `spread` costs K².
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn import functional

from renote.diffusion.process.check import check_categories, check_count
from renote.diffusion.schedule import broadcast
from renote.errors import UsageError

TINY = 1e-300


class Transition(ABC):
    """Q(a) for categories 0 … K - 1. A family of one's own gives `drawn`, `prior`, `seen` and `spread`, for shares (n,) and for one of all, (1,); one whose `spread` costs K² says `dense` and gives
    `reached` too.

    Args:
        categories: K ≥ 2.

    Attributes:
        states: of x_t: K, or K + 1 with a mask.
        mask: the state K of what is masked; None where nothing is.
        dense: whether `spread` costs K² a site, so that whoever draws does better with a row of Q(a) than with a sum of all.

    Raises:
        UsageError: for fewer than 2 categories.
    """

    mask: int | None = None
    dense: bool = False

    def __init__(self, categories: int) -> None:
        check_count(categories)
        self.categories = self.states = categories

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.categories})"

    def check(self, value: Tensor, *, corrupted: bool = False) -> None:
        """Refuse what is no category; not looked into on a GPU, which would have to be waited for.

        Args:
            value: (n, …) numbers.
            corrupted: whether they are states x_t, which may be masked, and not clean.

        Raises:
            UsageError: naming the first value out of range, and where it is.
        """
        if value.device.type == "cpu":
            check_categories(value, self.categories, self.mask if corrupted else None)

    @abstractmethod
    def drawn(self, state: Tensor, kept: Tensor, level: Tensor) -> Tensor:
        """The first state j with Σ_{i ≤ j} Q(a)[x, i] > u.

        Args:
            state: (n, …) int64 x.
            kept: (n,) float64 a, or (1,) for all; so below.
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

    def reached(self, clean: Tensor, kept: Tensor, dtype: torch.dtype) -> Tensor:
        """Q(a)[x, j] for every j: how likely a category becomes each state; of a dense family in O(K).

        Args:
            clean: (n, …) int64 categories x.
            kept: (n,) float64 a.
            dtype: of the result.

        Returns:
            (n, …, states).
        """
        return self.spread(functional.one_hot(clean, self.categories).to(dtype), kept)


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


def draw(chances: Tensor, level: Tensor) -> Tensor:
    """The first category j with Σ_{i ≤ j} p_i > u Σp; never one whose chance is 0.

    Args:
        chances: (…, K) p, not negative, of any positive sum.
        level: (…) u in [0, 1].
    """
    return _draw(chances.cumsum(-1), level)


def draw_and_rest(chances: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """As `draw`, and what u still tells: (u Σp - Σ_{i < j} p_i) / p_j, which is uniform whatever j is, in float64.

    Args:
        chances: (…, K) p, not negative, of any positive sum.
        level: (…) u in [0, 1].
    """
    cumulative = chances.double().cumsum(-1)
    category = _draw(cumulative, level)
    above = cumulative.gather(-1, category[..., None])[..., 0]
    share = chances.gather(-1, category[..., None])[..., 0].double()
    return category, (1 - (above - level * cumulative[..., -1]) / share.clamp(min=TINY)).clamp(0, 1)


def _draw(cumulative: Tensor, level: Tensor) -> Tensor:
    total = cumulative[..., -1:]
    level = level.to(cumulative.dtype)[..., None]
    below = torch.minimum(level * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, below, right=True)[..., 0].clamp(max=cumulative.shape[-1] - 1)
