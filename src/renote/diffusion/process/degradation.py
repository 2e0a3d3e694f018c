"""The degradation process: no noise, but any deterministic corruption of known strength.

    corrupt     x_t = D(x_0, t)                                                              Bansal et al. 2022, section 3
    naive       x_s = D(x̂, s)                                                                algorithm 1
    improved    x_s = x_t - D(x̂, t) + D(x̂, s)                                                algorithm 2

Where D(x, t) = x + t e, the improved step gives D(x_0, s) for any estimate x̂, however wrong; where D is smooth in t that holds to first order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor, nn

from renote.diffusion.noise import NormalSource
from renote.diffusion.process.check import check_step
from renote.diffusion.process.operators import Operator
from renote.errors import UsageError, unknown

Algorithm = Literal["improved", "naive"]


class DegradationProcess(nn.Module):
    """Corruption by an operator, and its undoing when the clean data is known.

    Args:
        operator: D.
        algorithm: the reverse step, `"improved"` or `"naive"`.

    Raises:
        UsageError: for an unknown algorithm.

    Example:
        >>> import torch
        >>> from renote.diffusion.process import Blur, DegradationProcess
        >>> process = DegradationProcess(Blur(1))
        >>> picture, noise = torch.rand(1, 1, 8, 8), torch.randn(1, 1, 8, 8)
        >>> blurred = process.corrupt(picture, torch.tensor([1.0]), noise)
        >>> back = process.reverse(blurred, picture, 1.0, 0.0, noise)
        >>> torch.allclose(back, picture, atol=1e-5)
        True
    """

    keeps_noise = True
    """The noise of a sample says what its degradation is like, so it is the same over the whole way."""
    adjacent_only = False

    def __init__(self, operator: Operator, algorithm: Algorithm = "improved") -> None:
        super().__init__()
        _check_algorithm(algorithm)
        self.operator, self.algorithm = operator, algorithm

    def fit(self, clean: Tensor) -> DegradationProcess:
        """Learn the end of the way from training data (samples, *shape).

        Returns:
            Itself.
        """
        self.operator.fit(clean)
        return self

    def corrupt(self, clean: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t = D(x_0, t; ε).

        Args:
            clean: (n, *shape) x_0.
            t: (n,) times, which are strengths.
            noise: (n, *shape) standard normal ε: what is random of each sample's degradation.

        Raises:
            UsageError: for a strength outside [0, 1].
        """
        out: Tensor = self.operator(clean, t, noise)
        return out

    def prior(self, shape: Sequence[int], noise: NormalSource) -> Tensor:
        """A draw of fully degraded data.

        Args:
            shape: of one sample.
            noise: gives each sample's numbers, the same as at every step.

        Returns:
            (n, *shape).

        Raises:
            UsageError: if something of the data is left at the end, and neither `fit` nor weights that are loaded have told what.
        """
        return self.operator.end(noise.normal(shape))

    def target(self, clean: Tensor, t: Tensor) -> Tensor:
        """What an estimate at times t (n,) is to be: the clean data."""
        return clean

    def reverse(
        self,
        noisy: Tensor,
        estimate: Tensor,
        t: float | Tensor,
        s: float | Tensor,
        noise: Tensor | None = None,
        *,
        algorithm: Algorithm | None = None,
    ) -> Tensor:
        """One step from t to s, s < t, by algorithm 1 or 2.

        Args:
            noisy: (n, *shape) x_t.
            estimate: (n, *shape) x̂, of the clean data.
            t: strength of `noisy`, one for all or (n,).
            s: strength to go to, one for all or (n,).
            noise: (n, *shape) the ε that the samples were degraded with.
            algorithm: `"improved"` or `"naive"`; None for the process's own.

        Returns:
            (n, *shape) x_s.

        Raises:
            UsageError: for numbers s ≥ t, a strength outside [0, 1], an unknown algorithm, or without noise.
        """
        check_step(t, s)
        algorithm = algorithm or self.algorithm
        _check_algorithm(algorithm)
        if noise is None:
            raise UsageError("a degradation is undone with the noise that it was made with: give it")
        later: Tensor = self.operator(estimate, s, noise)
        if algorithm == "naive":
            return later
        now: Tensor = self.operator(estimate, t, noise)
        return noisy - now + later


def _check_algorithm(algorithm: str) -> None:
    if algorithm not in get_args(Algorithm):
        raise unknown("algorithm", algorithm, get_args(Algorithm))
