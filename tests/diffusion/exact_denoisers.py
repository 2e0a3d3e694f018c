"""Data whose perfect denoiser E[x_0 | x_t] is known, and sources of noise that tests can see into."""

from __future__ import annotations

import torch

from renote.diffusion.schedule import broadcast


class GaussianDenoiser:
    """E[x_0 | x_t] for x_0 ~ N(mean, variance), each number on its own."""

    def __init__(self, schedule, mean, variance):
        self.schedule, self.mean, self.variance = schedule, mean, variance

    def __call__(self, noisy, t, condition=None):
        alpha, sigma = (broadcast(f(t.double()), noisy) for f in (self.schedule.alpha, self.schedule.sigma))
        gain = alpha * self.variance / (alpha**2 * self.variance + sigma**2)
        return self.mean + gain * (noisy - alpha * self.mean)


class MixtureDenoiser:
    """E[x_0 | x_t] for x_0 ~ Σ_k weight_k N(mean_k, variance), (modes, d) means."""

    def __init__(self, schedule, weights, means, variance):
        self.schedule, self.weights, self.means, self.variance = schedule, weights, means, variance

    def __call__(self, noisy, t, condition=None):
        alpha, sigma = (broadcast(f(t.double()), noisy) for f in (self.schedule.alpha, self.schedule.sigma))
        spread = alpha**2 * self.variance + sigma**2
        away = noisy[:, None] - alpha[:, None] * self.means
        logits = self.weights.log() - away.square().sum(-1) / (2 * spread)
        each = self.means + (alpha * self.variance / spread)[:, None] * away
        return (logits.softmax(1)[..., None] * each).sum(1)


class Shared:
    """Normal numbers for the whole batch from one generator: quick, where independence of samples does not matter."""

    def __init__(self, n, seed=0):
        self.n, self.generator = n, torch.Generator().manual_seed(seed)

    def normal(self, shape, out=None):
        return torch.randn((self.n, *shape), generator=self.generator, dtype=torch.float64)


class Impulses:
    """Zero, but 1 for sample `first + i` at the i-th call: what each draw does to the result."""

    def __init__(self, n, first):
        self.n, self.first, self.calls = n, first, 0

    def normal(self, shape, out=None):
        numbers = torch.zeros((self.n, *shape), dtype=torch.float64)
        numbers[self.first + self.calls] = 1
        self.calls += 1
        return numbers
