"""The same walk as diffusers' schedulers, from the same network outputs and the same noise."""

import pytest
import torch

from renote.diffusion import (
    DDIM,
    Ancestral,
    Denoiser,
    DPMSolver,
    EDMSchedule,
    Euler,
    GaussianProcess,
    Heun,
    LinearSchedule,
    UniPC,
    grid,
)

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


def multistep_pair(noisy, sampler, kind, **options):
    """Every state of both, on diffusers' own grid: its last but one time is its last training step, then sigma = 0."""
    scheduler = kind(1000, prediction_type="epsilon", final_sigmas_type="zero", timestep_spacing="trailing", **options)
    exact = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
    scheduler.alphas_cumprod = exact
    scheduler.set_timesteps(15)
    chosen = [int(t) + 1 for t in scheduler.timesteps] + [0]
    ratios = [float(((1 - exact[k - 1]) / exact[k - 1]).sqrt()) for k in chosen[:-1]]
    scheduler.sigmas = torch.tensor([*ratios, 0.0], dtype=torch.float64)
    x, expected = noisy, []
    for t in scheduler.timesteps:
        output = Fake()(x, (t + 1).double().expand(len(x)), None)
        x = scheduler.step(output, t, x).prev_sample
        expected.append(x)
    schedule = LinearSchedule()
    pairs = list(zip([k / 1000 for k in chosen[:-1]], [k / 1000 for k in chosen[1:]]))
    states = sampler(Denoiser(Fake(), schedule), GaussianProcess(schedule), noisy, pairs)
    return zip(states, expected, strict=True)


def test_dpm_solver(noisy):
    pairs = multistep_pair(noisy, DPMSolver(), diffusers.DPMSolverMultistepScheduler, algorithm_type="dpmsolver++")
    for state, expected in pairs:
        torch.testing.assert_close(state.noisy, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_unipc(noisy, order):
    pairs = multistep_pair(
        noisy, UniPC(order), diffusers.UniPCMultistepScheduler, solver_order=order, solver_type="bh2"
    )
    for state, expected in pairs:
        torch.testing.assert_close(state.noisy, expected, rtol=1e-4, atol=1e-4)


def by_level(sampler, kind, noisy, steps=12):
    """Samplers over the noise level, on the grid of Karras et al. 2022."""
    scheduler = kind(1000, use_karras_sigmas=True, prediction_type="sample", timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    sigmas = scheduler.sigmas.double()
    # every level once: Heun's are there twice
    levels = [float(s) for i, s in enumerate(sigmas) if i == 0 or s != sigmas[i - 1]]
    schedule = EDMSchedule(levels[0])

    def model(x, sigma):
        return torch.tanh(x / (1 + sigma)) * 0.7

    class Exact(torch.nn.Module):
        def forward(self, x, time, label):
            return model(x, schedule.sigma(time.double() / 1000).reshape(-1, 1, 1, 1))

    x = start = noisy * levels[0]
    expected = []
    scheduler._step_index = None
    for i, t in enumerate(scheduler.timesteps):
        sigma = float(scheduler.sigmas[i])
        x = scheduler.step(model(x, sigma), t, x).prev_sample
        expected.append(x)
    pairs = list(zip([s / levels[0] for s in levels[:-1]], [s / levels[0] for s in levels[1:]]))
    states = list(sampler(Denoiser(Exact(), schedule, "clean"), GaussianProcess(schedule), start, pairs))
    return states, expected


def test_euler(noisy):
    states, expected = by_level(Euler(), diffusers.EulerDiscreteScheduler, noisy)
    for state, theirs_ in zip(states, expected, strict=True):
        torch.testing.assert_close(state.noisy, theirs_.double(), rtol=1e-4, atol=1e-4)


def test_heun(noisy):
    states, expected = by_level(Heun(), diffusers.HeunDiscreteScheduler, noisy)
    # of its two states a step the second is the corrected one, and the last step has one
    for state, theirs_ in zip(states, [*expected[1:-1:2], expected[-1]], strict=True):
        torch.testing.assert_close(state.noisy, theirs_.double(), rtol=1e-4, atol=1e-4)
