"""cold-diffusion and ihdm: trained from the registry, kept, opened again, sampled, measured; on digits and on colour pictures of any size."""

import dataclasses
import importlib
import math

import numpy as np
import pytest
import torch
from PIL import Image

from renote import data, evaluate, systems
from renote.cli import run_command
from renote.diffusion import NoiseSource
from renote.diffusion.process import OPERATORS, Operator
from renote.errors import RenoteError, UsageError
from renote.experiment import Lab
from renote.systems import cold_diffusion

TINY = {"steps": 4, "batch_size": 4, "channels": 8, "multipliers": (1, 2), "attention": (2,), "head_channels": 8}
TINY |= {"warmup_steps": 0, "learning_rate": 0.02}  # so that estimates are no longer the zeros of the start
COLD = [("cold-diffusion", {"degradation": name}) for name in OPERATORS]
SYSTEMS = [*COLD, ("ihdm", {"num_train_steps": 6, "prior_pictures": 7})]
IDS = [changes.get("degradation", name) for name, changes in SYSTEMS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Colour pictures of 32 × 48 pixels."""
    root = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for i in range(5):
        Image.fromarray(generator.integers(0, 255, (32, 48, 3), dtype=np.uint8)).save(root / f"{i}.png")
    return f"folder:{root}"


def train(name, given, out=None, **changes):
    return systems.get(name).train(given, out, preset="small", progress=False, **{**TINY, **changes})


class Towards(Operator):
    """(1 - t) x + t c, c the mean picture of the training data."""

    def __init__(self, centre):
        super().__init__(len(centre))
        self.register_buffer("centre", centre)

    @classmethod
    def from_data(cls, data, config):
        return cls(data.clean(data.train).mean(0) if len(data.train) else torch.zeros(data.shape))

    def degrade(self, clean, strength, noise):
        return torch.lerp(clean, self.centre.expand_as(clean), strength.to(clean).reshape(-1, 1, 1, 1))


def test_an_operator_of_ones_own_is_given_the_data(tmp_path, monkeypatch):
    monkeypatch.setitem(OPERATORS, "towards", Towards)
    run = train("cold-diffusion", "digits", tmp_path / "run", degradation="towards")
    digits = data.load("digits")
    centre = digits.clean(digits.train).mean(0)
    again = systems.load_run(tmp_path / "run")
    torch.testing.assert_close(again.module.process.operator.centre, centre)
    assert torch.equal(again.sample(2, steps=2), run.sample(2, steps=2))


@pytest.mark.parametrize(("name", "changes"), SYSTEMS, ids=IDS)
def test_colour_pictures_of_another_size(name, changes, folder, tmp_path):
    """A run folder is all that sampling needs: the end of the way is in its weights."""
    run = train(name, folder, tmp_path / "run", blocks=1, **changes)
    again = systems.load_run(tmp_path / "run")
    samples = again.sample(3)
    assert samples.shape == (3, 3, 32, 48)
    assert samples.dtype == torch.uint8
    assert torch.equal(samples, run.sample(3))
    assert len(samples.unique()) > 2
    torch.testing.assert_close(again.sample(1, seed=2), samples[2:], rtol=0, atol=1)
    film = again.film(2, frames=4)
    assert len(film) == 4
    assert film[0].shape == (2, 3, 32, 48)


@pytest.mark.parametrize(("name", "changes"), SYSTEMS, ids=IDS)
def test_digits_are_measured(name, changes):
    run = train(name, "digits", ema_decay=0.9, **changes)
    found = run.evaluate(8)
    assert found["samples"] == 8
    assert math.isfinite(found["frechet_distance"])
    with pytest.raises(UsageError, match="no likelihood"):
        run.bits(4)
    with pytest.raises(UsageError, match="without classes"):
        run.sample(2, label=1)


@pytest.mark.parametrize("name", ["cold-diffusion", "ihdm"])
def test_signals_and_points(name):
    signals = data.load("digits")
    flat = data.SampleData(
        "rows", signals.card, signals.train.flatten(2), None, signals.test.flatten(2), None, (), signals.range
    )
    assert train(name, flat).sample(2).shape == (2, 1, 64)
    with pytest.raises(UsageError, match="points"):
        train(name, "toy-swiss-roll")


def test_samples_begin_at_what_training_data_becomes():
    """The mean colour of digits for blur, blurred digits for heat, the other set's images for animorph."""
    blur = train("cold-diffusion", "digits")
    clean = blur.data.clean(blur.data.train)
    colours, ends = clean.flatten(1).mean(1), blur.module.process.operator.end(torch.randn(4000, 1, 8, 8))
    assert float(ends.std((1, 2, 3)).max()) < 0.01
    assert float(ends.mean()) == pytest.approx(float(colours.mean()), abs=0.01)
    assert float(ends.flatten(1).mean(1).std()) == pytest.approx(float(colours.std()), rel=0.05)
    heat = train("ihdm", "digits")
    assert heat.module.process.blur_max == 4.0
    assert heat.module.process.noise == pytest.approx(0.02)
    assert train("ihdm", "digits", blur_max=3.0, noise=0.05).module.process.noise == pytest.approx(0.1)
    animorph = train("cold-diffusion", "digits", degradation="animorph", other_count=9)
    others = animorph.module.process.operator.pictures
    torch.testing.assert_close(others, clean[:9])


def test_the_ways_back_are_options_of_sampling():
    run = train("cold-diffusion", "digits", degradation="mask")
    assert torch.equal(run.sample(3), run.sample(3, algorithm="improved"))
    assert not torch.equal(run.sample(3), run.sample(3, algorithm="naive"))
    naive = train("cold-diffusion", "digits", degradation="mask", algorithm="naive")
    assert torch.equal(naive.sample(3), run.sample(3, algorithm="naive"))
    heat = train("ihdm", "digits", delta=0.0)
    assert torch.equal(heat.sample(3), heat.sample(3, delta=0.0))
    assert not torch.equal(heat.sample(3), heat.sample(3, delta=2.0))


def test_restoration_begins_at_a_strength():
    model, clean = train("cold-diffusion", "digits", degradation="pixelate").module, torch.randn(3, 1, 8, 8)
    states = list(model.restorations(clean, strength=0.6))
    assert [round(20 * state.t) for state in states] == list(range(12, 0, -1))
    states = list(model.restorations(clean, strength=0.6, steps=3))
    assert [round(20 * state.t) for state in states] == [12, 8, 4]
    assert states[-1].s == 0
    for strength in (0.0, 1.1):
        with pytest.raises(UsageError, match="strength"):
            model.restorations(clean, strength=strength)
    heat = train("ihdm", "digits", num_train_steps=10).module
    assert len(list(heat.restorations(clean, strength=0.5))) == 5


def test_what_the_claim_compares_are_an_estimate_and_both_algorithms():
    run = train("cold-diffusion", "digits", degradation="snow")
    clean = run.data.clean(run.data.test[:5])
    found = cold_diffusion._images(run, clean)
    model, time = run.module, torch.full((5,), cold_diffusion.STRENGTH)
    with torch.no_grad():
        estimate = model.estimate(found["degraded"], time)
    torch.testing.assert_close(found["direct"], estimate, rtol=0, atol=1e-5)
    assert not torch.allclose(found["improved"], found["naive"], atol=1e-3)
    noise = NoiseSource(range(5)).normal(run.module.shape)
    torch.testing.assert_close(found["degraded"], model.process.corrupt(clean, time, noise), rtol=0, atol=1e-6)


def test_bad_options():
    for name, changes, message in [
        ("cold-diffusion", {"degradation": "blurr"}, "Did you mean blur"),
        ("cold-diffusion", {"algorithm": "best"}, "improved"),
        ("cold-diffusion", {"sampling_steps": 21}, "sampling_steps"),
        ("cold-diffusion", {"degradation": "animorph", "other_count": 0}, "other_count"),
        ("cold-diffusion", {"degradation": "animorph", "other": "toy-swiss-roll"}, "blends to images"),
        ("cold-diffusion", {"degradation": "animorph", "other": "cora-like"}, "cora"),
        ("ihdm", {"blur_min": 5.0}, "blur_min"),
        ("ihdm", {"blur_max": 0.2}, "blur_min"),
        ("ihdm", {"noise": -0.1}, "noise"),
        ("ihdm", {"delta": -1.0}, "delta"),
        ("ihdm", {"num_train_steps": 1}, "levels"),
        ("ihdm", {"prior_pictures": 0}, "pictures"),
    ]:
        with pytest.raises(RenoteError, match=message):
            train(name, "digits", **changes)
    run = train("ihdm", "digits")
    for options, message in [
        ({"steps": 3}, "leave steps out"),
        ({"eta": 1.0}, "delta"),
        ({"delta": -1.0}, "delta"),
        ({"delta": "nan"}, "delta = nan: a number"),
        ({"sampler": "ddim"}, "sampler"),
    ]:
        with pytest.raises(UsageError, match=message):
            run.sample(1, **options)


@pytest.mark.parametrize("name", ["cold-diffusion", "ihdm"])
def test_claims_run(name, tmp_path, monkeypatch):
    """Each as it is, on a few digits for a few steps."""
    system = systems.get(name)
    module = importlib.import_module(f"renote.systems.{name.replace('-', '_')}")
    lab = Lab(system, "laptop", tmp_path, progress=False)
    digits = data.load("digits")
    few = dataclasses.replace(digits, train=digits.train[:60], train_labels=None, test=digits.test[:9])
    monkeypatch.setattr(lab, "data", lambda name, **options: few)
    keep, fewer = lab.train, {"num_train_steps": 4} | ({"sampling_steps": 4} if name == "cold-diffusion" else {})
    monkeypatch.setattr(lab, "train", lambda *given, **changes: keep(*given, **changes | TINY | fewer))
    if name == "cold-diffusion":
        monkeypatch.setattr(module, "DEGRADATIONS", tuple(module.PUBLISHED))
    if name == "ihdm":
        monkeypatch.setattr(module, "DELTAS", (0.0, 1.25, 3.0))
        for function in ("_distance", "_prior"):
            whole = getattr(module, function)
            monkeypatch.setattr(module, function, lambda run, by, count, *rest, whole=whole: whole(run, by, 9, *rest))
    outcome = system.claim().experiment(lab)
    assert outcome.seeds == (0, 1, 2)
    assert isinstance(outcome.holds, bool)
    # what is published has something measured beside it, on other data
    for published in system.claim().published:
        assert outcome.measured[published.partition(", ")[2]]["mean"] > 0
    evaluate.save_figure(outcome.figure, tmp_path / "figure.png")


@pytest.mark.parametrize(
    ("name", "changes", "option"),
    [("cold-diffusion", {"degradation": "pixelate"}, "algorithm=naive"), ("ihdm", {"num_train_steps": 20}, "delta=0")],
    ids=["cold-diffusion", "ihdm"],
)
def test_held_out_data_are_restored_by_a_command(name, changes, option, tmp_path, capsys):
    out, run = str(tmp_path / "run"), train(name, "digits", tmp_path / "run", **changes)
    command = ["restore", out, "--strength", "0.6", "-n", "3"]
    run_command([*command, "--out", str(tmp_path / "pairs.npy")])
    clean, degraded, restored = np.load(tmp_path / "pairs.npy")
    held_out = data.load("digits").test[:3]
    assert np.array_equal(clean, held_out.numpy())
    frames = run.restore(run.data.clean(held_out), strength=0.6)
    assert np.array_equal(degraded, run.data.raw(frames[0]).numpy())
    assert np.array_equal(restored, run.data.raw(frames[-1]).numpy())
    torch.testing.assert_close(run.module.restored(run.data.clean(held_out), strength=0.6), frames[-1])
    assert "3 samples in" in capsys.readouterr().err
    run_command([*command, "--option", option, "--out", str(tmp_path / "other.npy")])
    other = np.load(tmp_path / "other.npy")
    assert np.array_equal(other[:2], np.stack([clean, degraded]))
    assert not np.array_equal(other[2], restored)
    run_command([*command, "--out", str(tmp_path / "pairs.png"), "--film", str(tmp_path / "way.png")])
    scale = 8
    assert Image.open(tmp_path / "pairs.png").size == (scale * (3 * 9 - 1), scale * (3 * 9 - 1))
    assert Image.open(tmp_path / "way.png").size == (scale * (10 * 9 - 1), scale * (3 * 9 - 1))


def test_a_strength_out_of_range_is_refused_by_the_command(tmp_path):
    out = str(tmp_path / "run")
    train("cold-diffusion", "digits", tmp_path / "run", degradation="mask")
    for strength in ("0", "1.1", "-0.5", "nan", "0.01"):
        with pytest.raises(UsageError, match=f"strength = {float(strength)}: it lies between 1/20"):
            run_command(["restore", out, "--strength", strength, "--out", str(tmp_path / "pairs.png")])
    for wrong, message in (
        (["--steps", "13", "--strength", "0.6"], "13"),
        (["--option", "eta=1"], "eta is no option"),
        (["-n", "0"], "n = 0"),
        (["--out", "pairs.gif"], "write a picture"),
        (["--seed", "-1"], "seed = -1"),
    ):
        with pytest.raises(UsageError, match=message):
            run_command(["restore", out, *wrong])
    systems.get("ddpm").train("digits", tmp_path / "ddpm", progress=False, **TINY, blocks=1)
    with pytest.raises(UsageError, match="ddpm makes samples and restores nothing: train cold-diffusion or ihdm"):
        run_command(["restore", str(tmp_path / "ddpm")])


def test_own_pictures_are_restored(folder, tmp_path):
    """All of them, though a share of them would be held out from training."""
    train("cold-diffusion", folder, tmp_path / "run", degradation="blur", blocks=1)
    other = tmp_path / "other"
    other.mkdir()
    for i in range(3):
        Image.fromarray(np.full((32, 48, 3), 80 * i, np.uint8)).save(other / f"{i}.png")
    run_command(
        ["restore", str(tmp_path / "run"), "--data", f"folder:{other}", "--out", str(tmp_path / "pairs.npy"), "-n", "5"]
    )
    found = np.load(tmp_path / "pairs.npy")
    assert found.shape == (3, 3, 3, 32, 48)
    assert set(found[0].reshape(-1).tolist()) == {0, 80, 160}
