"""Samples of several parts with categories of their own, and of several sizes: the types of a graph's nodes and of its edges, for one.

    sites      part 1 | part 2 | …      along the last axis, each part with its own Q_p(a) over K_p categories
    absent     a category more, K = max K_p, that turns into nothing else and nothing else into it: Q(a) = diag(Q_p(a), 1)

A sample smaller than the largest has absent sites, which the process leaves as they are. Its size is all of the data that is left at t = 1:
x_1 ~ Π_sites m_p given the size, and the size by its frequency in the data (Vignac et al. 2023, "DiGress: Discrete Denoising Diffusion for Graph Generation",
arXiv:2209.14734, section 3.1 and appendix C). As an absent site is certain, posterior, bound and estimate need no mask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from renote.diffusion.noise import NormalSource
from renote.diffusion.process.categorical import CategoricalProcess, Kept, uniform_of
from renote.diffusion.process.check import check_whole
from renote.diffusion.process.transition import Transition, draw
from renote.errors import UsageError


class Parts(Transition):
    """Q(a) of each part on its own sites of the last axis; the last category is `absent`.

    Args:
        parts: how many sites, and their transition.

    Attributes:
        absent: the category of sites that are not there.
        mask: the state of what is masked, if any part masks.

    Raises:
        UsageError: without parts, or for a part without sites.

    Example:
        >>> import torch
        >>> from renote.diffusion.process import Parts, Uniform
        >>> Parts([(2, Uniform(4)), (1, Uniform(2))]).seen(torch.tensor([[0, 4, 1]]), torch.tensor([0.5]), torch.float64)[0, 2]
        tensor([0.2500, 0.7500, 0.0000, 0.0000, 0.0000], dtype=torch.float64)
    """

    def __init__(self, parts: Sequence[tuple[int, Transition]]) -> None:
        if not parts or any(sites < 1 for sites, _ in parts):
            raise UsageError("parts: give at least one, each with one site or more and its transition")
        self.absent = max(transition.categories for _, transition in parts)
        super().__init__(self.absent + 1)
        if any(transition.mask is not None for _, transition in parts):
            self.mask, self.states = self.categories, self.categories + 1
        self.dense = any(transition.dense for _, transition in parts)
        self.parts, self.sites, start = [], sum(sites for sites, _ in parts), 0
        for sites, transition in parts:
            self.parts.append((slice(start, start + sites), transition))
            start += sites
        self._counts = torch.tensor([of.categories for where, of in self.parts for _ in range(where.start, where.stop)])
        self._masked = torch.tensor(
            [of.mask is not None for where, of in self.parts for _ in range(where.start, where.stop)]
        )

    def __repr__(self) -> str:
        return f"Parts({', '.join(f'{where.stop - where.start} × {transition}' for where, transition in self.parts)})"

    def check(self, value: Tensor, *, corrupted: bool = False) -> None:
        """As for any transition, each part by its own categories.

        Raises:
            UsageError: for another number of sites, or naming the first value out of its part's range, and where it is.
        """
        if value.device.type != "cpu":
            return
        self._check(value.shape[-1])
        check_whole(value, f"those of the parts of {self}, and {self.absent} where a site is absent")
        fine = ((value >= 0) & (value < self._counts)) | (value == self.absent)
        if corrupted:
            fine |= self._masked & (value == self.categories)
        if not bool(fine.all()):
            place = (~fine).nonzero()[0].tolist()
            count = int(self._counts[place[-1]])
            raise UsageError(
                f"category {int(value[tuple(place)])} at {place}: categories of this part are numbered 0 to {count - 1}, "
                f"and {self.absent} is absent"
            )

    def drawn(self, state: Tensor, kept: Tensor, level: Tensor) -> Tensor:
        """Of each part its own; what is absent stays so."""
        found = [
            self._shown(transition, transition.drawn(self._own(transition, state[..., where]), kept, level[..., where]))
            for where, transition in self.parts
        ]
        return torch.cat(found, -1).where(state != self.absent, self.absent)

    def prior(self, level: Tensor) -> Tensor:
        """Of each part its own; nothing is absent."""
        return torch.cat([self._shown(of, of.prior(level[..., where])) for where, of in self.parts], -1)

    def seen(self, state: Tensor, kept: Tensor, dtype: torch.dtype) -> Tensor:
        """Of each part its own; absent are seen only those that are."""
        return self._laid(state, dtype, lambda transition, own: transition.seen(own, kept, dtype))

    def reached(self, clean: Tensor, kept: Tensor, dtype: torch.dtype) -> Tensor:
        """Of each part its own; what is absent stays so."""
        return self._laid(clean, dtype, lambda transition, own: transition.reached(own, kept, dtype))

    def spread(self, chances: Tensor, kept: Tensor) -> Tensor:
        """Of each part its own; the chance of absence stays as it is."""
        self._check(chances.shape[-2])
        pieces = []
        for where, transition in self.parts:
            count = transition.categories
            own = transition.spread(chances[..., where, :count], kept)
            short = own.new_zeros(*own.shape[:-1], self.absent - count)
            row = [own[..., :count], short, chances[..., where, self.absent :]]
            if self.mask is not None:
                row.append(own[..., count:] if transition.mask is not None else own.new_zeros(*own.shape[:-1], 1))
            pieces.append(torch.cat(row, -1))
        return torch.cat(pieces, -2)

    def _laid(self, state: Tensor, dtype: torch.dtype, chances: Callable[[Transition, Tensor], Tensor]) -> Tensor:
        """Chances of each part's own states in the places of all, (…, states)."""
        self._check(state.shape[-1])
        out = torch.zeros(*state.shape, self.states, dtype=dtype, device=state.device)
        for where, transition in self.parts:
            own, count = chances(transition, self._own(transition, state[..., where])), transition.categories
            out[..., where, :count] = own[..., :count]
            if transition.mask is not None:
                out[..., where, self.categories] = own[..., count]
        absent = (state == self.absent)[..., None]
        out.masked_fill_(absent, 0.0)
        out[..., self.absent] = absent[..., 0].to(dtype)
        return out

    def _own(self, transition: Transition, state: Tensor) -> Tensor:
        """States of all parts → those of one; what is absent counts as the first."""
        own = state.masked_fill(state == self.absent, 0)
        return own if transition.mask is None else own.masked_fill(state == self.categories, transition.mask)

    def _shown(self, transition: Transition, own: Tensor) -> Tensor:
        return own if transition.mask is None else own.masked_fill(own == transition.mask, self.categories)

    def _check(self, sites: int) -> None:
        if sites != self.sites:
            raise UsageError(f"{sites} sites: the parts of {self} have {self.sites}")


class SizedProcess(CategoricalProcess):
    """A categorical process on samples of several sizes, which it keeps.

    Args:
        transition: of the parts.
        there: (sizes, sites) bool, which sites a sample of each size has, another number for each.
        chances: (sizes,) frequency of each size, not negative.
        schedule: as for `CategoricalProcess`.

    Raises:
        UsageError: for sizes that do not fit the parts, or are not told apart by their number of sites.

    Example:
        >>> import torch
        >>> from renote.diffusion.process import Parts, SizedProcess, Uniform
        >>> there = torch.tensor([[True, False, False], [True, True, True]])
        >>> process = SizedProcess(Parts([(2, Uniform(4)), (1, Uniform(2))]), there, torch.tensor([0.25, 0.75]))
        >>> process.prior_surprise(torch.tensor([[3, 4, 4], [0, 1, 1]])).exp()
        tensor([4.0000, 1.3333], dtype=torch.float64)
    """

    def __init__(self, transition: Parts, there: Tensor, chances: Tensor, schedule: str | Kept = "cosine") -> None:
        super().__init__(transition, schedule)
        chances = torch.as_tensor(chances, dtype=torch.float64)
        if there.ndim != 2 or there.shape != (len(chances), transition.sites):
            raise UsageError(
                f"there of shape {tuple(there.shape)} for {len(chances)} sizes of {transition.sites} sites: give a row a size"
            )
        if not bool((chances >= 0).all()) or not float(chances.sum()) > 0:
            raise UsageError("chances of sizes: none is negative, and one positive")
        if len(set(there.sum(1).tolist())) != len(there):
            raise UsageError("there: two sizes have the same number of sites")
        self.there, self.chances, self.absent = there.bool(), chances / chances.sum(), transition.absent

    def prior(self, shape: Sequence[int], noise: NormalSource) -> Tensor:
        """A size by its chance, then each of its sites by the prior of its part.

        Args:
            shape: of one sample, (sites,).
            noise: gives one draw a site, and one for the size.
        """
        state = super().prior(shape, noise)
        level = uniform_of(noise.normal((1,)))[..., 0]
        size = draw(self.chances.to(level.device).expand(len(level), -1), level)
        return state.where(self.there.to(state.device)[size], self.absent)

    def prior_surprise(self, clean: Tensor) -> Tensor:
        """-log of the chance of each sample's size.

        Raises:
            UsageError: for a sample of another size, with other sites absent than those of its size, or what is no category of its part.
        """
        self.transition.check(clean)
        there = self.there.to(clean.device)
        same = ((clean != self.absent)[:, None] == there).all(-1)
        if not bool(same.any(1).all()):
            first = int((~same.any(1)).nonzero()[0])
            raise UsageError(
                f"sample {first} has {int((clean[first] != self.absent).sum())} sites in places that are no size's: "
                "absent sites are those that its size leaves out"
            )
        surprise: Tensor = -self.chances.to(clean.device)[same.long().argmax(1)].log()
        return surprise
