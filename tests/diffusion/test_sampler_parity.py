"""The same walk as diffusers' schedulers, from the same network outputs and the same noise."""

import pytest
import torch

from renote.diffusion import DDIM, Ancestral, Denoiser, GaussianProcess, LinearSchedule, grid

diffusers = pytest.importorskip("diffusers")


class Fake(torch.nn.Module):
    def forward(self, x, time, label):
        return torch.sin(1.3 * x + time.reshape(-1, 1, 1, 1) / 400) + 0.2 * x


class OneGenerator:
    def __init__(self, n):
        self.n, self.generator = n, torch.Generator().manual_seed(7)

    def normal(self, shape, out=None):
        return torch.randn((self.n, *shape), generator=self.generator, dtype=torch.float64)


PREDICTION = {"noise": "epsilon", "clean": "sample", "velocity": "v_prediction"}


def theirs(kind, steps, noisy, parameterization, spacing, step_options=(), **options):
    scheduler = kind(
        1000, clip_sample=False, prediction_type=PREDICTION[parameterization], timestep_spacing=spacing, **options
    )
    # its table is single precision, whose rounding alone would be 1e-4 of sigma at the last steps
    scheduler.alphas_cumprod = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(7)
    for t in scheduler.timesteps:
        # its steps are numbered from 0, those of the paper from 1
        output = Fake()(noisy, (t + 1).double().expand(len(noisy)), None)
        noisy = scheduler.step(output, int(t), noisy, generator=generator, **dict(step_options)).prev_sample
        yield noisy


def ours(sampler, steps, noisy, parameterization, spacing):
    schedule = LinearSchedule()
    denoiser = Denoiser(Fake(), schedule, parameterization)
    pairs = grid.subsequence(1000, steps, spacing)
    return sampler(denoiser, GaussianProcess(schedule), noisy, pairs, OneGenerator(len(noisy)))


@pytest.fixture
def noisy():
    return torch.randn(2, 1, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("spacing", ["trailing", "leading"])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("parameterization", list(PREDICTION))
def test_ddim(noisy, parameterization, eta, spacing):
    reference = theirs(diffusers.DDIMScheduler, 20, noisy, parameterization, spacing, [("eta", eta)])
    for state, expected in zip(ours(DDIM(eta), 20, noisy, parameterization, spacing), reference, strict=True):
        torch.testing.assert_close(state.noisy, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("variance", "spacing", "steps"),
    [
        ("small", "trailing", 20),
        ("small", "leading", 20),
        ("large", "leading", 20),
        ("large", "leading", 1000),
        ("small", "trailing", 1000),
    ],
)
@pytest.mark.parametrize("parameterization", list(PREDICTION))
def test_ddpm(noisy, parameterization, variance, spacing, steps):
    # with the large variance and trailing steps diffusers adds noise to the finished sample, which DDPM does not
    reference = theirs(
        diffusers.DDPMScheduler, steps, noisy, parameterization, spacing, variance_type=f"fixed_{variance}"
    )
    for state, expected in zip(
        ours(Ancestral(variance), steps, noisy, parameterization, spacing), reference, strict=True
    ):
        torch.testing.assert_close(state.noisy, expected, rtol=1e-5, atol=1e-5)
