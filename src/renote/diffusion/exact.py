"""The perfect denoiser of a Gaussian mixture: what samplers, guidance and likelihoods can be held against."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from renote.diffusion.condition import Condition
from renote.diffusion.schedule import Schedule, broadcast


@dataclass(frozen=True)
class MixtureDenoiser:
    """E[x_0 | x_t] = Σ_k γ_k(x_t) (m_k + alpha v / (alpha² v + sigma²) (x_t - alpha m_k)) for x_0 ~ Σ_k w_k N(m_k, v I).

    γ_k ∝ w_k N(x_t; alpha m_k, (alpha² v + sigma²) I) is the probability of mode k.

    Args:
        schedule: alpha and sigma.
        weights: (modes,) w, that sum to 1.
        means: (modes, d) m.
        variance: v, the same for all modes and numbers.
    """

    schedule: Schedule
    weights: Tensor
    means: Tensor
    variance: float

    def __call__(self, noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """The estimate for points (n, d) at times t (n,); a label (n,) chooses the mode, -1 leaves it open."""
        time = t.double()
        alpha, sigma = broadcast(self.schedule.alpha(time), noisy), broadcast(self.schedule.sigma(time), noisy)
        means = self.means.to(noisy)
        spread = alpha**2 * self.variance + sigma**2
        away = noisy[:, None] - alpha[:, None] * means
        logits = self.weights.to(noisy).log() - away.square().sum(-1) / (2 * spread)
        if condition is not None and condition.label is not None:
            label = condition.label[:, None]
            other = label != label.new_tensor(range(len(means)))
            logits = logits.masked_fill(other & (label >= 0), -float("inf"))
        each = means + (alpha * self.variance / spread)[:, None] * away
        return (logits.softmax(1)[..., None] * each).sum(1)
