"""The binomial process: bits are flipped little by little until they are fair coins.

    q(x_t | x_0) = B(ā_t x_0 + (1 - ā_t) / 2),  ā_t = 1 - t                              Sohl-Dickstein et al. 2015, table App.1
    q(x_s | x_t, x_0) ∝ q(x_t | x_s) q(x_s | x_0),  q(x_t | x_s) = B(ā_t / ā_s x_s + (1 - ā_t / ā_s) / 2)

A clean bit of which only P(x_0 = 1) is known is summed over. ā falls linearly, so each of T equal steps erases 1/T of the signal:
β_k = 1 / (T - k + 1), section 2.4.1. At t = 1 nothing of the data is left.

It is `CategoricalProcess(Uniform(2))`, draw for draw (tested); here a bit is a number and its chance one number too, so that networks read it as pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from renote.diffusion.noise import NormalSource
from renote.diffusion.process.check import check_bits, check_step, check_strength
from renote.diffusion.schedule import broadcast
from renote.errors import UsageError


class BinomialProcess:
    """Corruption of bits 0 and 1, and its undoing when the chance of each clean bit is known.

    Randomness comes as standard normal numbers ε: a bit of probability p is set where Φ(ε) < p.
    """

    def __repr__(self) -> str:
        return "BinomialProcess()"

    def corrupt(self, clean: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t = [Φ(ε) < ā_t x_0 + (1 - ā_t) / 2].

        Args:
            clean: (n, …) bits x_0.
            t: (n,) times.
            noise: (n, …) standard normal ε.

        Raises:
            UsageError: for what is no bit, or a time outside [0, 1] (looked at on processors only).
        """
        check_bits(clean)
        check_strength(t)
        return threshold(noise, _flipped(clean.double(), 1 - broadcast(t.double(), clean.double()))).to(clean.dtype)

    def prior(self, shape: Sequence[int], noise: NormalSource) -> Tensor:
        """A draw of q(x_1): fair coins.

        Args:
            shape: of one sample.
            noise: gives one draw a sample.

        Returns:
            (n, *shape) bits.
        """
        draw = noise.normal(shape)
        return (draw < 0).to(draw.dtype)

    def posterior(self, noisy: Tensor, estimate: Tensor, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """Σ_b q(x_s | x_t, x_0 = b) P(x_0 = b), of each bit on its own.

        Args:
            noisy: (n, …) bits x_t.
            estimate: (n, …) P(x_0 = 1), exactly 0 or 1 where the clean bit is known.
            t: (n,) times of `noisy`.
            s: (n,) times to go to, s < t.

        Returns:
            Probabilities of x_s = 1 and of x_s = 0, (n, …) float64. Both, as 1 - p has no digits where p is all but 1.

        Raises:
            UsageError: for what is no bit, or a time outside [0, 1] (looked at on processors only).
        """
        return self.mixture(noisy, estimate.double(), 1 - estimate.double(), t, s)

    def mixture(self, noisy: Tensor, one: Tensor, zero: Tensor, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """As `posterior`, for chances of x_0 = 1 and of x_0 = 0 that are given apart, (n, …) float64."""
        check_bits(noisy)
        check_strength(t)
        check_strength(s)
        noisy = noisy.double()
        kept_t, kept_s = (1 - broadcast(time.double(), noisy) for time in (t, s))
        after_one = _flipped(noisy, kept_t / kept_s)  # q(x_t | x_s = 1); q(x_t | x_s = 0) is 1 less it
        weights = []
        for bit, chance in ((1.0, one), (0.0, zero)):
            before = (1 + kept_s) / 2 if bit else (1 - kept_s) / 2  # q(x_s = 1 | x_0)
            seen = _flipped(noisy, kept_t) if bit else 1 - _flipped(noisy, kept_t)  # q(x_t | x_0)
            weights.append((before * after_one * chance / seen, (1 - before) * (1 - after_one) * chance / seen))
        return weights[0][0] + weights[1][0], weights[0][1] + weights[1][1]

    def reverse(
        self, noisy: Tensor, estimate: Tensor, t: float | Tensor, s: float | Tensor, noise: Tensor | None = None
    ) -> Tensor:
        """A draw of `posterior`, s < t.

        Args:
            noisy: (n, …) bits x_t.
            estimate: (n, …) P(x_0 = 1).
            t: time of `noisy`, one for all or (n,).
            s: time to go to, one for all or (n,).
            noise: (n, …) standard normal ε.

        Returns:
            (n, …) bits x_s.

        Raises:
            UsageError: for numbers s ≥ t, without noise, or as for `posterior`.
        """
        check_step(t, s)
        if noise is None:
            raise UsageError("a reverse step of bits is a draw: give it noise")
        t, s = (torch.as_tensor(time, dtype=torch.float64, device=noisy.device).expand(len(noisy)) for time in (t, s))
        return threshold(noise, self.posterior(noisy, estimate, t, s)[0]).to(noisy.dtype)


def threshold(noise: Tensor, probability: Tensor) -> Tensor:
    """Whether Φ(ε) < p, which has probability p for a standard normal ε."""
    below: Tensor = torch.special.ndtr(noise.double()) < probability
    return below


def _flipped(bit: Tensor, kept: Tensor) -> Tensor:
    return kept * bit + (1 - kept) / 2
