"""nvae and lvae as systems: any data, kept and opened again; warm-up and batch statistics over resumption and parts."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from PIL import Image

from renote import data, systems
from renote.data import SampleData
from renote.diffusion.decoder import BitDecoder, DensityDecoder, ValueDecoder
from renote.errors import UsageError
from renote.train import checkpoint as checkpoints

TINY = {
    "nvae": {"channels": 4, "latents": 2, "components": 2, "multipliers": (1, 1, 1), "levels": (1, 2)},
    "lvae": {"latents": (6, 3), "hidden": (16, 8)},
}
NAMES = sorted(TINY)


def train(name, on, out=None, **changes):
    options = {"steps": 3, "batch_size": 6, "device": "cpu", "preview_every": 0, **TINY[name], **changes}
    return systems.get(name).train(on, out, preset="small", progress=False, **options)


@pytest.mark.parametrize("name", NAMES)
def test_colour_pictures_of_another_size(name, tmp_path):
    generator = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for i in range(30):
        pixels = generator.integers(0, 255, (32, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{i}.png")
    train(name, f"folder:{tmp_path / 'pictures'}", tmp_path / "run")
    run = systems.load_run(tmp_path / "run")
    samples = run.sample(3)
    assert samples.shape == (3, 3, 32, 48)
    assert samples.dtype == torch.uint8
    torch.testing.assert_close(run.sample(1, seed=2), samples[2:], rtol=0, atol=1)
    assert [frame.shape for frame in run.film(2)] == [(2, 3, 32, 48)] * 2
    found = run.bits()
    assert found["samples"] == 3
    assert 4 < found["bits_per_dimension"] < 20
    assert run.bits(draws=5)["bits_per_dimension"] < found["bits_per_dimension"] + 0.05
    assert run.sample(2, temperature=0.5).shape == (2, 3, 32, 48)
    with pytest.raises(UsageError, match="leave it out"):
        run.sample(2, steps=5)


@pytest.mark.parametrize("name", NAMES)
def test_digits_have_seventeen_values_also_when_the_run_is_opened_again(name, tmp_path):
    run = train(name, "digits", tmp_path / "run")
    opened = systems.load_run(tmp_path / "run")
    assert int(run.module.decoder.levels) == int(opened.module.decoder.levels) == 17
    assert opened.bits(20) == run.bits(20)
    assert run.bits(20)["bits_per_dimension"] < 6
    assert set(opened.sample(20).unique().tolist()) <= set(data.load("digits").train.unique().tolist())
    assert 0 <= run.evaluate(200)["recall"] <= 1


@pytest.mark.parametrize("name", NAMES)
def test_points_signals_and_volumes(name, tmp_path):
    np.savez(tmp_path / "table.npz", x=np.random.default_rng(0).normal(size=(50, 3)))
    run = train(name, str(tmp_path / "table.npz"))
    assert isinstance(run.module.decoder, DensityDecoder)
    assert run.sample(5).shape == (5, 3)
    assert math.isfinite(run.bits()["bits_per_dimension"])
    np.savez(tmp_path / "volumes.npz", x=np.random.default_rng(0).normal(size=(20, 1, 3, 4, 5)).astype("float32"))
    assert train(name, str(tmp_path / "volumes.npz")).sample(2).shape == (2, 1, 3, 4, 5)
    beats = train(name, data.load("heartbeat", n=100, test=10))
    assert isinstance(beats.module.decoder, BitDecoder)
    assert set(beats.sample(9).unique().tolist()) == {0, 1}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(name, average, tmp_path):
    """With warm-up under way, running statistics, and singular values that are followed."""
    options = {"kl_warmup_steps": 8, "ema_decay": average, "learning_rate_schedule": "constant"}
    train(name, "digits", tmp_path / "whole", steps=7, **options)
    train(name, "digits", tmp_path / "parts", steps=4, **options)
    systems.get(name).train(
        "digits", tmp_path / "parts", preset="small", resume=True, progress=False, device="cpu", preview_every=0,
        **{**TINY[name], **options, "steps": 7, "batch_size": 6},
    )  # fmt: skip
    saved = [checkpoints.load(checkpoints.latest(tmp_path / part / "checkpoints")) for part in ("whole", "parts")]
    for stem in ("weights", "optimizer", *(["ema"] if average else [])):
        first, second = (checkpoint.tensors[stem] for checkpoint in saved)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first), stem


def test_accumulated_parts_give_the_whole_batch_while_warming_up():
    options = {"batch_norm": False, "kl_warmup_steps": 40, "steps": 6, "batch_size": 12}
    whole, split = (train("lvae", "digits", accumulate=parts, **options) for parts in (1, 3))
    late = train("lvae", "digits", **{**options, "kl_warmup_steps": 2})
    for (name, one), (_, other) in zip(whole.module.named_parameters(), split.module.named_parameters()):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5, msg=name)
    assert not all(torch.equal(a, b) for a, b in zip(whole.module.parameters(), late.module.parameters()))


def test_singular_values_are_followed_once_a_step_however_many_parts():
    whole, split = (train("nvae", "digits", accumulate=parts, learning_rate=1e-9, batch_size=12) for parts in (1, 3))
    for (name, one), (_, other) in zip(whole.module.named_buffers(), split.module.named_buffers()):
        if "spectral" in name:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5, msg=name)


def test_averaged_weights_have_averaged_statistics():
    """The average's running statistics must be near those that its own weights have."""
    run = train("lvae", "digits", steps=400, batch_size=64, ema_decay=0.98, kl_warmup_steps=100)
    model, clean = run.module, run.data.clean(run.data.train)
    before = float(model.bits(clean, seed=0).mean())
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm1d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over what follows
        norm.train()
    with torch.no_grad():
        for _ in range(3):
            model(model.draw(clean, None, torch.Generator().manual_seed(0)))
    model.eval()
    assert float(model.bits(clean, seed=0).mean()) == pytest.approx(before, abs=0.05)


def samples(train_values, dtype=torch.uint8, limits=(0.0, 255.0)):
    x = torch.as_tensor(train_values, dtype=dtype).reshape(-1, 1, 1, 1)
    return SampleData("mine", data.load("digits").card, x, None, x, None, (), limits)


def test_the_number_of_values_is_found_in_the_data():
    assert samples(range(256)).levels == 256
    assert samples([0, 255, 255]).levels == 2
    assert samples([0, 128, 255]).levels == 3
    assert samples([0, 100, 255]).levels == 256
    assert samples([7, 7]).levels == 256
    assert samples(range(0, 256, 17)).levels == 16
    assert samples([3, 4, 5], torch.int64, (3.0, 5.0)).levels == 3
    assert data.load("digits").levels == 17


def test_the_likelihood_follows_from_the_form_of_the_data():
    lvae = systems.get("lvae")

    def decoder(on, **changes):
        return lvae.build(lvae.configure("small", **changes), on).decoder

    assert isinstance(decoder(samples(range(9))), ValueDecoder)
    assert isinstance(decoder(samples([0, 1], limits=(0.0, 1.0))), BitDecoder)
    assert not decoder(samples([0, 1], limits=(0.0, 1.0))).chance
    assert decoder(samples(range(9)), likelihood="bits").chance
    with pytest.raises(UsageError, match="density"):
        decoder(samples([0.5], torch.float32, None), likelihood="values")
    with pytest.raises(UsageError, match="no range"):
        decoder(samples([0.5], torch.float32, None), likelihood="bits")
    with pytest.raises(UsageError, match="whole values"):
        decoder(samples(range(9)), likelihood="density")


def test_other_values_than_those_trained_on_are_refused():
    run = train("nvae", "digits")
    other = dataclasses.replace(run.data, test=run.data.test // 2)
    run.data = other
    with pytest.raises(UsageError, match="17 equally spaced"):
        run.bits(5)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("nvae", {"levels": (1, 1, 1, 1)}),
        ("nvae", {"smoothness": -1.0}),
        ("nvae", {"components": 0}),
        ("nvae", {"cells": 0}),
        ("lvae", {"hidden": (4,)}),
        ("lvae", {"kl_warmup_steps": -1}),
        ("lvae", {"temperature": -0.1}),
        ("lvae", {"batch_size": 1}),
        ("lvae", {"accumulate": 4}),
    ],
)
def test_bad_options(name, changes):
    with pytest.raises(UsageError):
        train(name, "digits", **changes)
