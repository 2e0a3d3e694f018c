"""Every generative system of Gaussian diffusion: trained from the registry, kept, opened again, sampled, measured; on points and on colour pictures of any size."""

import numpy as np
import pytest
import torch
from PIL import Image

from renote import systems
from renote.diffusion import annealing
from renote.errors import UsageError

CLASSES = {"adm", "cfg", "classifier-guidance"}
GAUSSIAN = ["adm", "cfg", "classifier-guidance", "ddim", "ddpm", "edm", "ncsn", "ncsnv2", "p2", "score-sde", "vdm"]
LANGEVIN = {"ncsn", "ncsnv2"}
TINY = {"steps": 2, "batch_size": 4, "channels": 8, "multipliers": (1, 2), "attention": (2,), "head_channels": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Colour pictures of 32 × 48 pixels in two classes."""
    root = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for kind in ("day", "night"):
        (root / kind).mkdir()
        for i in range(5):
            pixels = generator.integers(0, 255, (32, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / kind / f"{i}.png")
    return f"folder:{root}"


def train(name, data, out, **changes):
    tiny = {**TINY, **({"classifier_channels": 8} if name in ("adm", "classifier-guidance") else {})}
    return systems.get(name).train(data, out, preset="small", progress=False, **{**tiny, **changes})


@pytest.mark.parametrize("name", GAUSSIAN)
def test_colour_pictures_of_another_size(name, folder, tmp_path):
    train(name, folder, tmp_path / "run", blocks=1)
    run = systems.load_run(tmp_path / "run")
    options = {"repeats": 2} if name in LANGEVIN else {}
    samples = run.sample(3, steps=2, **options)
    assert samples.shape == (3, 3, 32, 48)
    assert samples.dtype == torch.uint8
    torch.testing.assert_close(run.sample(1, seed=2, steps=2, **options), samples[2:], rtol=0, atol=1)


@pytest.mark.parametrize(("name", "changes"), [("dpm", {"num_train_steps": 3}), ("diffflow", {"num_steps": 2})])
def test_colour_pictures_where_points_are_usual(name, changes, folder, tmp_path):
    few = {"steps": 2, "batch_size": 4, "channels": 8, **changes}
    systems.get(name).train(folder, tmp_path / "run", progress=False, **few)
    assert systems.load_run(tmp_path / "run").sample(3).shape == (3, 3, 32, 48)


@pytest.mark.parametrize("name", GAUSSIAN)
def test_points(name, tmp_path):
    data = "toy-gaussian-mixture" if name in CLASSES else "toy-swiss-roll"
    run = train(name, data, None, blocks=1)
    assert run.sample(5, steps=3, **({"repeats": 2} if name in LANGEVIN else {})).shape == (5, 2)


@pytest.mark.parametrize("name", [name for name in GAUSSIAN if name != "score-sde"])
@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "heun", "dpm-solver", "unipc", "euler-maruyama"])
def test_every_sampler_serves_every_system(name, sampler):
    run = train(name, "digits", None)
    samples = run.sample(2, sampler=sampler, steps=3, spacing="log-snr")
    assert samples.shape == (2, 1, 8, 8)


@pytest.mark.parametrize("name", ["adm", "ddpm", "edm", "score-sde", "vdm"])
def test_bits_of_held_out_pictures(name):
    run = train(name, "digits", None, **({"num_train_steps": 20} if name in ("adm", "ddpm") else {}))
    found = run.bits(4)
    assert found["samples"] == 4
    assert found["split"] == "test"
    # a network that says nothing leaves eight bits a pixel, and what its own noise costs
    assert 3 < found["bits_per_dimension"] < 40


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_classes_are_needed(name):
    with pytest.raises(UsageError, match="classes"):
        train(name, "toy-swiss-roll", None)


def test_learned_variance_is_an_option_of_all(tmp_path):
    run = train("ddpm", "digits", tmp_path / "run", learned_variance=True)
    assert run.module.denoiser.learned_variance
    assert systems.load_run(tmp_path / "run").sample(2, steps=2, variance="learned").shape == (2, 1, 8, 8)


def test_ncsnv2_measures_its_levels_on_the_data_and_keeps_them(tmp_path):
    """Techniques 1, 2 and 4 in the run folder; what is given stays."""
    run = train("ncsnv2", "digits", tmp_path / "run")
    clean = run.data.clean(run.data.train).flatten(1).double()
    config, largest = run.config, float(torch.cdist(clean, clean).max()) / 2
    assert config.sigma_max == pytest.approx(largest, rel=1e-5)
    again = systems.load_run(tmp_path / "run")
    assert again.config == config
    assert torch.equal(again.sample(2), run.sample(2))
    schedule, levels = again.module.process.schedule, config.num_train_steps
    sigma = schedule.sigma(torch.arange(1, levels + 1, dtype=torch.float64) / levels)
    assert float(sigma[-1]) == pytest.approx(2 * largest, rel=1e-5)
    assert float(sigma[0]) == pytest.approx(0.02, rel=1e-9)
    ratio = float(sigma[1] / sigma[0])
    assert annealing.overlap(ratio, 64) >= 0.5 > annealing.overlap(ratio ** ((levels - 1) / (levels - 2)), 64)
    assert config.step_size == pytest.approx(annealing.langevin_step_size(0.02, ratio, 5))
    assert [state.t for state in again.states(1)] == [i / levels for i in range(levels, 0, -1)]
    settled = systems.get("ncsnv2").settle(config, run.data)
    assert settled == config
    # each technique on its own can be switched off
    plain = {"sigma_max": 1.0, "num_train_steps": 10, "step_size": 4e-5, "parameterization": "noise", "ema_decay": 0.0}
    for name, value in plain.items():
        off = train("ncsnv2", "digits", None, **{name: value}).config
        assert getattr(off, name) == value
        kept = [other for other in ("sigma_max", "parameterization", "ema_decay") if other != name]
        assert all(getattr(off, other) == getattr(config, other) for other in kept)
    assert train("ncsnv2", "digits", None, num_train_steps=10).config.sampling_steps == 10


def test_ncsnv2s_network_is_not_told_the_noise_level():
    run = train("ncsnv2", "digits", None)
    noisy = torch.randn(2, 1, 8, 8)
    low, high = (run.module.denoiser.output(noisy, torch.full((2,), t))[0] for t in (0.2, 0.9))
    assert torch.equal(low, high)


def test_ncsnv2_denoises_its_last_state():
    run = train("ncsnv2", "digits", None)
    *_, last = run.states(2)
    assert torch.equal(last.noisy, last.estimate)
    *_, last = run.states(2, denoise=False)
    assert not torch.equal(last.noisy, last.estimate)


@pytest.mark.parametrize("steps", [0, 10])
def test_vdm_keeps_its_schedule_with_its_weights(tmp_path, steps):
    run = train("vdm", "digits", tmp_path / "run", num_train_steps=steps, learning_rate=0.1, warmup_steps=0)
    schedule, again = run.module.schedule, systems.load_run(tmp_path / "run")
    assert again.module.process.schedule is again.module.denoiser.schedule
    t = torch.linspace(0, 1, 9)
    torch.testing.assert_close(again.module.schedule.log_snr(t), schedule.log_snr(t), rtol=0, atol=0)
    assert abs(float(schedule.log_snr(t)[-1].detach()) + 5.0) > 1e-3
    assert again.bits(3) == run.bits(3)
    assert again.config.exponents == (3, 4)


def test_vdm_goes_on_bit_for_bit(tmp_path):
    options = {"learning_rate": 0.01, "learning_rate_schedule": "constant", "schedule_units": 16}
    whole = train("vdm", "digits", None, steps=5, **options)
    train("vdm", "digits", tmp_path / "run", steps=2, **options)
    resumed = train("vdm", "digits", tmp_path / "run", steps=5, resume=True, **options)
    for name, value in whole.module.state_dict().items():
        assert torch.equal(resumed.module.state_dict()[name], value), name


def test_vdm_fits_its_features_to_the_data():
    """Two exponents by the smallest step of the data's values, none for densities, or those that are asked for."""
    assert train("vdm", "digits", None, exponents=(1, 2, 3)).config.exponents == (1, 2, 3)
    assert train("vdm", "toy-swiss-roll", None).config.exponents == ()
    assert train("vdm", "heartbeat", None).config.exponents == (-1, 0)
    plain = train("vdm", "digits", None, fourier=False)
    assert plain.config.exponents == ()
    assert plain.module.denoiser.network.in_channels == 1
    assert systems.get("vdm").settle(plain.config, plain.data) == plain.config


def test_vdms_fixed_schedule_stays_as_it_is():
    run = train("vdm", "digits", None, schedule_units=0, learned_ends=False, learning_rate=0.1, warmup_steps=0)
    t = torch.tensor([0.25, 1.0])
    torch.testing.assert_close(run.module.schedule.log_snr(t), 13.3 - 18.3 * t, rtol=1e-6, atol=1e-5)


def test_classifier_guidance_raises_the_share_of_the_class():
    """A classifier that is sure of itself, and a denoiser that gives what it sees, scaled: samples go where the class lies."""
    run = train(
        "classifier-guidance",
        "toy-gaussian-mixture",
        None,
        steps=400,
        batch_size=128,
        channels=32,
        classifier_channels=32,
        learning_rate=3e-3,
    )
    means = torch.tensor([[2**0.5 * np.cos(np.pi * k / 4), 2**0.5 * np.sin(np.pi * k / 4)] for k in range(8)])

    def share(scale):
        samples = run.sample(100, label=3, steps=30, sampler="ddim", classifier_scale=scale)
        return float((torch.cdist(samples.double(), means.double()).argmin(1) == 3).double().mean())

    assert share(0.0) < 0.4
    assert share(2.0) > 0.7


def test_bad_options():
    for name, changes in [
        ("ddpm", {"num_train_steps": -1}),
        ("ddpm", {"sampling_steps": 0}),
        ("ddpm", {"parameterization": "velocity", "schedule": "ve"}),
        ("edm", {"sigma_min": 100.0}),
        ("ncsn", {"num_train_steps": 1}),
        ("score-sde", {"snr": 0.0}),
        ("classifier-guidance", {"classifier_scale": -1.0}),
        ("p2", {"gamma": -1.0}),
        ("ncsnv2", {"num_train_steps": 1}),
        ("ncsnv2", {"repeats": 0}),
        ("ncsnv2", {"sigma_max": 0.005}),
        ("ncsnv2", {"sigma_min": 10.0}),
        ("ncsnv2", {"step_size": -1.0}),
        ("vdm", {"schedule": "cosine"}),
        ("vdm", {"first_log_snr": -6.0}),
        ("vdm", {"weighting": "simple"}),
        ("vdm", {"learned_variance": True}),
        ("vdm", {"times": "log-normal"}),
        ("ddpm", {"schedule": "learned"}),
    ]:
        with pytest.raises(UsageError):
            train(name, "digits", None, **changes)
    run = train("ddpm", "digits", None)
    for options in ({"steps": 0}, {"spacing": "even"}, {"churn": 3}, {"guidance_scale": 2.0}, {"sampler": "magic"}):
        with pytest.raises(UsageError):
            run.sample(1, **{"steps": 2, **options})
