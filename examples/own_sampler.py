"""A sampling loop is a generator of states: look at it, change it, stop it."""

import torch

from renote import diffusion

# data N(3, 0.5²): the best possible denoiser is known, so no training is needed
schedule = diffusion.CosineSchedule()


def exact(noisy: torch.Tensor, t: torch.Tensor, condition: object = None) -> torch.Tensor:
    alpha, sigma = schedule.alpha(t)[:, None], schedule.sigma(t)[:, None]
    gain = alpha * 0.25 / (alpha**2 * 0.25 + sigma**2)
    return 3 + gain * (noisy - alpha * 3)


process = diffusion.GaussianProcess(schedule)
noise = diffusion.NoiseSource(range(2000))
start = process.prior((1,), noise)
for state in diffusion.DDIM(eta=0)(exact, process, start, diffusion.grid.uniform(50), noise):
    if state.step % 10 == 9:
        print(f"t = {state.s:.1f}: mean {state.noisy.mean():.2f}, spread {state.noisy.std():.2f}")
