"""The categorical process: each site changes its category at random, or loses it, on its own.

Austin, Johnson, Ho, Tarlow & van den Berg, "Structured Denoising Diffusion Models in Discrete State-Spaces", NeurIPS 2021, arXiv:2107.03006;
Hoogeboom, Nielsen, Jaini, Forré & Welling, "Argmax Flows and Multinomial Diffusion", NeurIPS 2021, arXiv:2102.05379.

    q(x_t | x_0) = Q(ā_t)[x_0, x_t],  q(x_t | x_s) = Q(ā_t / ā_s)[x_s, x_t]
    q(x_s | x_t, x_0) = Q(ā_t / ā_s)[x_s, x_t] Q(ā_s)[x_0, x_s] / Q(ā_t)[x_0, x_t]                                 Austin et al., (3)
    linear    ā_t = 1 - t, in T steps β_k = 1 / (T - k + 1): of a mask, information on the data falls linearly     A.7
    cosine    ā_t = cos²(π/2 (t + 0.008) / 1.008) / cos²(π/2 0.008 / 1.008)

A clean category of which only chances are known is summed over, or drawn and then known, where a step's draw is all that is asked and a sum costs more: the same distribution.
At t = 1 nothing of the data is left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from renote.diffusion.noise import NormalSource
from renote.diffusion.process.check import check_step, check_strength
from renote.diffusion.process.transition import TINY, Transition, draw, draw_and_rest
from renote.errors import UsageError, unknown

Kept = Callable[[Tensor], Tensor]


def _cosine(t: Tensor) -> Tensor:
    start = 0.008
    return (torch.cos((t + start) / (1 + start) * (math.pi / 2)) / math.cos(start / (1 + start) * math.pi / 2)) ** 2


KEPT: dict[str, Kept] = {"linear": lambda t: 1 - t, "cosine": _cosine}
"""Name → ā(t), the share that is kept."""


class CategoricalProcess:
    """Corruption of categories 0 … K - 1, and its undoing when the chances of each clean category are known.

    Randomness comes as standard normal numbers, one a site: of chances p, the first category j is drawn with p_0 + … + p_j > Φ(-ε). So two categories
    of the uniform family are the bits of `BinomialProcess`, draw for draw.

    Args:
        transition: the family of matrices.
        schedule: name of ā, or a function of float64 times that falls from 1 at t = 0 to 0 at t = 1.

    Raises:
        UsageError: for an unknown schedule, or one that does not fall from 1 to 0.

    Example:
        >>> import torch
        >>> from renote.diffusion.process import Absorbing, CategoricalProcess
        >>> process = CategoricalProcess(Absorbing(27))
        >>> process.corrupt(torch.tensor([[1, 2, 3]]), torch.tensor([1.0]), torch.zeros(1, 3))
        tensor([[27, 27, 27]])
    """

    def __init__(self, transition: Transition, schedule: str | Kept = "linear") -> None:
        if isinstance(schedule, str) and schedule not in KEPT:
            raise unknown("schedule", schedule, KEPT)
        self.transition, self.name = transition, schedule if isinstance(schedule, str) else "own"
        self._kept: Kept = KEPT[schedule] if isinstance(schedule, str) else schedule
        values = self._kept(torch.linspace(0, 1, 101, dtype=torch.float64))
        ends = float(values[0]), float(values[-1])
        if abs(ends[0] - 1) > 1e-9 or abs(ends[1]) > 1e-9 or not bool((values.diff() < 0).all()):
            raise UsageError(
                f"a schedule from {ends[0]:.4g} to {ends[1]:.4g}: the share that is kept falls from 1 to 0"
            )

    def __repr__(self) -> str:
        return f"CategoricalProcess({self.transition}, {self.name!r})"

    @property
    def categories(self) -> int:
        """K."""
        return self.transition.categories

    def kept(self, t: Tensor) -> Tensor:
        """ā_t in float64, (n,)."""
        return self._kept(t.double()).clamp(0, 1)

    def corrupt(self, clean: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """A draw of q(x_t | x_0).

        Args:
            clean: (n, …) int64 categories x_0.
            t: (n,) times, or (1,) for all.
            noise: (n, …) standard normal ε.

        Returns:
            (n, …) int64 states; the mask, if there is one, is K.

        Raises:
            UsageError: for what is no category, or a time outside [0, 1] (looked at on processors only).
        """
        self.transition.check(clean)
        check_strength(t)
        return self.transition.drawn(clean.long(), self.kept(t), uniform_of(noise))

    def prior(self, shape: Sequence[int], noise: NormalSource) -> Tensor:
        """A draw of q(x_1).

        Args:
            shape: of one sample.
            noise: gives one draw a sample.

        Returns:
            (n, *shape) int64.
        """
        return self.transition.prior(uniform_of(noise.normal(shape)))

    def prior_surprise(self, clean: Tensor) -> Tensor:
        """-log of the chance that the prior has of what is left of x_0 at t = 1, in nats, (n,) float64: 0, as nothing is left.

        Args:
            clean: (n, …) int64 categories x_0.

        Raises:
            UsageError: for what is no category (looked at on processors only).
        """
        self.transition.check(clean)
        return torch.zeros(len(clean), dtype=torch.float64, device=clean.device)

    def likelihood(self, noisy: Tensor, t: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """q(x_t | x_0 = c) for every category c, (n, …, K).

        Args:
            noisy: (n, …) int64 states x_t.
            t: (n,) times, or (1,) for all.
            dtype: of the result.

        Raises:
            UsageError: for what is no state, or a time outside [0, 1] (looked at on processors only).
        """
        self.transition.check(noisy, corrupted=True)
        check_strength(t)
        return self.transition.seen(noisy, self.kept(t), dtype)[..., : self.categories]

    def posterior(self, noisy: Tensor, estimate: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """Σ_c q(x_s | x_t, x_0 = c) P(x_0 = c), of each site on its own.

        Args:
            noisy: (n, …) int64 states x_t.
            estimate: (n, …, K) P(x_0 = c). Categories that x_t rules out are left out of the sum.
            t: (n,) times of `noisy`, or (1,) for all.
            s: (n,) times to go to, s < t, or (1,) for all.

        Returns:
            (n, …, states) chances of x_s, which sum to 1, in the dtype of `estimate`.

        Raises:
            UsageError: for an estimate of another number of categories; and, looked at on processors only, for what is no state, a time outside
                [0, 1], or an estimate that has chances only for what x_t rules out.
        """
        self._check_estimate(estimate, noisy)
        check_strength(s)
        kept_t, kept_s = self.kept(t), self.kept(s)
        likelihood = self.likelihood(noisy, t, estimate.dtype)
        possible = likelihood > 0
        # masked before the division, so that gradients are finite too
        weight = estimate * possible / likelihood.masked_fill(~possible, 1.0)
        chances = self.transition.spread(weight, kept_s) * self.transition.seen(noisy, kept_t / kept_s, estimate.dtype)
        return chances / _total(chances)

    def reverse(
        self, noisy: Tensor, estimate: Tensor, t: float | Tensor, s: float | Tensor, noise: Tensor | None = None
    ) -> Tensor:
        """A draw of `posterior`, s < t, O(K) a site.

        Args:
            noisy: (n, …) int64 states x_t.
            estimate: (n, …, K) P(x_0 = c).
            t: time of `noisy`, one for all or (n,).
            s: time to go to, one for all or (n,).
            noise: (n, …) standard normal ε.

        Returns:
            (n, …) int64 states x_s.

        Raises:
            UsageError: for numbers s ≥ t, without noise, or as for `posterior`.
        """
        check_step(t, s)
        if noise is None:
            raise UsageError("a reverse step of categories is a draw: give it noise")
        # one time stays one, so that what depends on it alone is made once
        t, s = (torch.as_tensor(time, dtype=torch.float64, device=noisy.device).reshape(-1) for time in (t, s))
        if not self.transition.dense:
            return draw(self.posterior(noisy, estimate, t, s), uniform_of(noise))
        return self._through_clean(noisy, estimate, t, s, uniform_of(noise))

    def _through_clean(self, noisy: Tensor, estimate: Tensor, t: Tensor, s: Tensor, level: Tensor) -> Tensor:
        """A draw of P(x_0), and with it one of q(x_s | x_t, x_0)."""
        self._check_estimate(estimate, noisy)
        check_strength(s)
        kept_t, kept_s = self.kept(t), self.kept(s)
        possible = estimate * (self.likelihood(noisy, t, estimate.dtype) > 0)
        _total(possible)
        clean, rest = draw_and_rest(possible, level)
        reached = self.transition.reached(clean, kept_s, torch.float64)
        chances = reached * self.transition.seen(noisy, kept_t / kept_s, torch.float64)
        # what rounding alone made possible may have no way through: then the state stays
        return draw(chances.scatter_add_(-1, noisy[..., None], torch.full_like(chances[..., :1], TINY)), rest)

    def _check_estimate(self, estimate: Tensor, noisy: Tensor) -> None:
        if estimate.shape != (*noisy.shape, self.categories):
            raise UsageError(
                f"an estimate of shape {tuple(estimate.shape)} for states of shape {tuple(noisy.shape)}: one chance for each of {self.categories} categories"
            )


def _total(chances: Tensor) -> Tensor:
    """Σp, (n, …, 1); that it is positive is looked at on processors alone, as elsewhere every step would have to wait for the answer."""
    total = chances.sum(-1, keepdim=True)
    if total.device.type == "cpu" and not bool((total > 0).all()):
        if not bool(total.isfinite().all()):
            raise UsageError(
                "the estimate is not a number: the network's weights have diverged; train with a lower learning rate, or clip gradients"
            )
        raise UsageError("the estimate has no chance for any category that x_t allows")
    return total


def uniform_of(noise: Tensor) -> Tensor:
    """Φ(-ε): uniform numbers in [0, 1] of standard normal ones, in float64."""
    level: Tensor = torch.special.ndtr(-noise.double())
    return level
