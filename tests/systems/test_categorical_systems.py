"""Systems of categories: trained on text and pictures from the registry, kept, opened again, sampled, measured."""

import importlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from renote import data, systems
from renote.cli import run_command
from renote.diffusion import process as processes
from renote.diffusion.process import Uniform
from renote.errors import DataError, UsageError
from renote.experiment import SampleRun

TINY = {"steps": 3, "batch_size": 8, "channels": 8, "layers": 1, "head_channels": 8, "num_train_steps": 6}
PICTURES = TINY | {"multipliers": (1, 2), "blocks": 1}
TRANSITIONS = ["absorbing", "uniform", "gaussian", "nearest"]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "own.txt"
    path.write_text("the cat sat on the mat\n" * 100)
    return str(path)


def train(name, given, out=None, preset="laptop", **changes):
    return systems.get(name).train(given, out, preset=preset, progress=False, **changes)


@pytest.mark.parametrize("name", ["d3pm", "multinomial-diffusion"])
def test_text_from_training_to_samples(name, text, tmp_path):
    run = train(name, text, tmp_path / "run", **TINY)
    assert run.config.categories == 11
    again = systems.load_run(tmp_path / "run")
    assert isinstance(again, SampleRun)
    samples = again.sample(5, steps=4)
    assert samples.shape == (5, 128)
    assert torch.equal(samples, run.sample(5, steps=4))
    assert torch.equal(again.sample(2, seed=3, steps=4), samples[3:])
    assert set("".join(again.data.text(samples))) <= set(run.data.alphabet)
    found = again.bits(1)
    assert found["split"] == "test"
    assert 2 < found["bits_per_dimension"] < 8
    assert set(again.evaluate(4)) == {"known_words", "pair_divergence", "distinct"}


class Leap(Uniform):
    """A transition of one's own."""


@pytest.mark.parametrize("name", ["d3pm", "multinomial-diffusion"])
def test_a_transition_of_ones_own_by_its_name(name, tmp_path, monkeypatch):
    monkeypatch.setitem(processes.TRANSITIONS, "leap", Leap)
    run = train(name, "digits", tmp_path / "run", "digits", **PICTURES, transition="leap")
    again = systems.load_run(tmp_path / "run")
    assert repr(again.module.process.transition) == "Leap(17)"
    assert again.config.transition_file == Path(__file__).name
    with monkeypatch.context() as elsewhere:
        elsewhere.delitem(processes.TRANSITIONS, "leap")
        with pytest.raises(
            UsageError,
            match="transition 'leap' is of your own code, which was in test_categorical_systems.py: import that file",
        ):
            systems.load_run(tmp_path / "run")
    assert torch.equal(again.sample(2, steps=2), run.sample(2, steps=2))
    # options of the configuration go to families that have them
    monkeypatch.setitem(processes.TRANSITIONS, "far", lambda k, reach: processes.nearest_jumps(k, reach + 1))
    run = train(name, "digits", None, "digits", **PICTURES, transition="far", reach=2)
    kept = torch.tensor([0.5])
    wanted = processes.nearest_jumps(17, 3).matrix(kept)
    assert torch.equal(run.module.process.transition.matrix(kept), wanted)
    with pytest.raises(UsageError, match="leap"):
        train(name, "digits", None, "digits", **PICTURES, transition="leep")


@pytest.mark.parametrize("transition", TRANSITIONS)
@pytest.mark.parametrize("output", ["logits", "logistic"])
def test_pictures_by_every_transition(transition, output, tmp_path):
    changes = {**PICTURES, "transition": transition, "output": output}
    run = train("d3pm", "digits", tmp_path / "run", "digits", **changes)
    again = systems.load_run(tmp_path / "run")
    assert again.config.categories == 17
    samples = again.sample(4, steps=5)
    assert (samples.shape, samples.dtype) == ((4, 1, 8, 8), torch.uint8)
    assert torch.equal(samples, run.sample(4, steps=5))
    # nothing but the grey levels of the data
    assert set(samples.unique().tolist()) <= {round(i * 255 / 16) for i in range(17)}
    assert len(again.film(2, frames=4)) == 4
    assert 3 < again.bits(20)["bits_per_dimension"] < 8


def test_learning_lowers_the_bits_of_text(text):
    """From log₂ 11 for a network that knows nothing, to less than the entropy of single characters."""
    crops = data.load(text, length=23)
    before = train("d3pm", crops, **{**TINY, "steps": 1, "learning_rate": 1e-9}).bits()["bits_per_dimension"]
    run = train(
        "d3pm",
        crops,
        **{**TINY, "steps": 150, "batch_size": 32, "channels": 32, "warmup_steps": 10, "learning_rate": 3e-3},
    )
    shares = torch.bincount(crops.train.flatten().long()).double() / crops.train.numel()
    entropy = -float((shares * shares.log2()).sum())
    assert before == pytest.approx(math.log2(11), abs=0.2)
    assert run.bits()["bits_per_dimension"] < 0.5 * entropy


def test_characters_that_are_given_stay(text):
    run = train("d3pm", text, **TINY)
    for sample in run.data.text(run.sample(3, given="the ___ sat")):
        assert sample[:4] == "the "
        assert sample[7:11] == " sat"
    with pytest.raises(DataError, match="'z' is not in the alphabet"):
        run.sample(1, given="zoo")
    with pytest.raises(UsageError, match="only a process with a mask"):
        train("d3pm", text, **TINY, transition="uniform").sample(1, given="the")


def test_bad_options(text):
    for changes in (
        {"num_train_steps": 1},
        {"hybrid": -1.0},
        {"sampling_steps": 7},
        {"transition": "mask"},
        {"output": "logistic"},
        {"categories": 5},
    ):
        with pytest.raises(UsageError):
            train("d3pm", text, **{**TINY, **changes})
    with pytest.raises(UsageError, match="no categories but densities"):
        train("d3pm", "toy-swiss-roll", **TINY)
    with pytest.raises(UsageError, match="d3pm has the others"):
        train("multinomial-diffusion", text, **TINY, transition="absorbing")
    with pytest.raises(UsageError, match="width"):
        train("d3pm", "digits", preset="digits", **PICTURES, width=0.0)
    run = train("d3pm", text, **TINY)
    for options in ({"steps": 7}, {"sampler": "ddim"}, {"label": 1}):
        with pytest.raises(UsageError):
            run.sample(1, **options)


def test_a_number_of_categories_that_the_data_do_not_have(text, tmp_path):
    """Refused before anything is written; 256 hold all levels of 8 bits."""
    for wrong in (1, -3):
        with pytest.raises(UsageError, match=f"categories = {wrong}: give at least 2, or 0 for those of the data"):
            systems.get("d3pm").configure(categories=wrong)
    (tmp_path / "maps").mkdir()
    for i in range(10):
        labels = np.arange(i, i + 64, dtype=np.uint8).reshape(8, 8) % 3
        Image.fromarray(labels).save(tmp_path / "maps" / f"{i}.png")
    for given, found in ((text, 11), (f"maps:{tmp_path / 'maps'}", 3), ("digits", 17), ("digit-maps", 11)):
        for name in ("d3pm", "multinomial-diffusion"):
            with pytest.raises(UsageError, match=rf"categories = 5: .* has {found} .*; give {found}, or leave"):
                train(name, given, tmp_path / "run", **TINY, categories=5)
    assert not (tmp_path / "run").exists()
    train("d3pm", "digits", tmp_path / "run", "digits", **PICTURES, categories=256)
    assert systems.load_run(tmp_path / "run").module.chances == 256


@pytest.mark.parametrize("name", ["d3pm", "multinomial-diffusion"])
def test_graphs_are_left_to_the_system_of_graphs(name, tmp_path):
    graphs = data.load("small-planar", graphs=20, least=5, most=6)
    for model in ({}, {"model": "argmax-flow"}) if name == "multinomial-diffusion" else ({},):
        with pytest.raises(UsageError, match="small-planar has graphs.*: take graph-diffusion"):
            train(name, graphs, tmp_path / "run", **TINY, **model)
    assert not (tmp_path / "run").exists()


def test_argmax_flows_of_text(text, tmp_path):
    system = systems.get("multinomial-diffusion")
    run = system.train(text, tmp_path / "run", progress=False, **TINY, model="argmax-flow", couplings=2, device="cpu")
    run = systems.load_run(tmp_path / "run")
    assert run.data.text(run.sample(3))[0] != ""
    assert 0 < run.bits(4)["bits_per_dimension"] < 20
    with pytest.raises(UsageError, match="digits is no text"):
        system.train("digits", preset="digits", progress=False, model="argmax-flow", steps=1)
    with pytest.raises(UsageError, match="couplings = 0"):
        system.configure(couplings=0)


@pytest.mark.parametrize(
    ("name", "changes"),
    [("d3pm", {}), ("multinomial-diffusion", {"model": "argmax-flow", "couplings": 2})],
    ids=["d3pm", "argmax flow"],
)
def test_bits_by_a_method_that_is_not_there(name, changes, text, tmp_path):
    """A bound is not given out for what the probability flow says."""
    run = train(name, text, tmp_path / "run", **TINY, **changes, device="cpu")
    assert run.bits(2)["method"] == "bound"
    for method in ("ode", "bond"):
        with pytest.raises(UsageError, match=f"method = '{method}': bits of this {name} are measured by bound"):
            run.bits(2, method=method)
    with pytest.raises(UsageError, match="method = 'ode'"):
        run_command(["evaluate", str(tmp_path / "run"), "--samples", "2", "--bits", "ode"])


def test_bits_of_one_sample_have_no_deviation(text, recwarn):
    run = train("d3pm", data.load(text, length=16), **TINY)
    one, two = run.bits(1), run.bits(2)
    assert one["standard_error"] is None
    assert two["standard_error"] > 0
    assert not [w for w in recwarn if "degrees of freedom" in str(w.message)]


def test_many_categories_are_held_in_small_numbers(tmp_path, monkeypatch):
    """The network's chances of 3000 characters stay within what is allowed, and no sample depends on how many are held."""
    from renote.experiment import sample

    path = tmp_path / "signs.txt"
    path.write_text("".join(chr(0x4E00 + i) for i in range(3000)) * 2)
    crops = data.load(path, length=16, test_fraction=0.1)
    run = train("d3pm", crops, **TINY | {"steps": 1, "num_train_steps": 2}, device="cpu")
    whole, bits = run.sample(11), run.bits(11)["bits_per_dimension"]
    # 65 characters are held as many at a time as they were without a limit
    monkeypatch.setattr(run.module, "chances", 65)
    assert run._chunk(500) == 500
    monkeypatch.undo()
    held = []
    run.module.denoiser.network.register_forward_hook(lambda module, inputs, out: held.append(out.numel()))
    monkeypatch.setattr(sample, "MOST_NUMBERS", 5 * 16 * 3000 + 1)
    assert torch.equal(run.sample(11), whole)
    assert run.bits(11)["bits_per_dimension"] == pytest.approx(bits, rel=1e-6)
    assert max(held) == 5 * 16 * 3000


def test_pairs_of_many_symbols_are_counted_where_they_occur():
    from renote.evaluate.text import pair_divergence

    one, other = (torch.randint(0, 40, (50, 9), generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    dense = []
    for samples in (one, other):
        pair = samples[:, :-1] * 40 + samples[:, 1:]
        dense.append(torch.bincount(pair.flatten(), minlength=1600).double() / pair.numel())
    middle = (dense[0] + dense[1]) / 2
    nats = sum(float((torch.xlogy(p, p) - torch.xlogy(p, middle)).sum()) / 2 for p in dense)
    assert pair_divergence(one, other, 40) == pytest.approx(nats / math.log(2), rel=1e-6)
    # as numbers of fifty thousand symbols, whose table of pairs would take twenty gigabytes
    assert pair_divergence(one * 1200, other * 1200, 50_000) == pytest.approx(nats / math.log(2), rel=1e-6)
    assert pair_divergence(one, one, 40) == 0
    assert pair_divergence(one, one + 40, 80) == pytest.approx(1)


def test_label_maps(tmp_path):
    from renote import evaluate

    maps = data.load("digit-maps")
    assert maps.levels == len(maps.categories) == 11
    assert torch.equal(maps.raw(maps.clean(maps.train)), maps.train)
    real = evaluate.map_measures(maps.test, maps)
    assert real["purity"] == real["real purity"] == 1
    assert real["labels"] == real["neighbours"] == pytest.approx(0)
    noise = torch.randint(0, 11, maps.test.shape, dtype=torch.uint8)
    found = evaluate.map_measures(noise, maps)
    assert found["purity"] < 0.4 < 1 == found["real purity"]
    assert found["neighbours"] > 0.3
    # one label of a map changed: 1 of its inked pixels
    one = maps.test[:1].clone()
    place = one.nonzero()[0]
    ink = int((one > 0).sum())
    one[tuple(place)] = one.max() % 10 + 1
    assert evaluate.map_measures(one, maps)["purity"] == pytest.approx((ink - 1) / ink)
    shown = maps.shown(maps.test[:2])
    assert shown.shape == (2, 3, 8, 8)
    assert (shown.movedim(1, -1)[maps.test[:2, 0] == 0] == 255).all()
    run = systems.get("multinomial-diffusion").train(
        "digit-maps", tmp_path / "run", preset="digits", progress=False, **PICTURES, device="cpu"
    )
    run = systems.load_run(tmp_path / "run")
    assert set(run.evaluate(20)) == set(real)
    # labels have no order: another numbering of them is only another numbering of the network's input
    network = run.module.denoiser.network
    assert network.unordered
    seen = []
    network.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    states = maps.test[:2].long()
    network(states, torch.ones(2))
    assert seen[0].shape == (2, 11, 8, 8)
    assert torch.equal(seen[0].argmax(1), states[:, 0])
    masked = systems.get("d3pm").train("digit-maps", preset="digits", progress=False, **PICTURES, device="cpu")
    assert masked.sample(2).shape == (2, 1, 8, 8)
    with pytest.raises(UsageError, match="have no order"):
        systems.get("d3pm").train("digit-maps", preset="digits", progress=False, **PICTURES, output="logistic")


def test_the_film_of_label_maps_shows_what_is_masked(tmp_path):
    """In grey, and in the array as a number more, which no label has."""
    changes = {**PICTURES, "transition": "absorbing", "device": "cpu"}
    run = train("d3pm", "digit-maps", tmp_path / "run", "digits", **changes)
    for name in ("way.png", "way.npy"):
        target = str(tmp_path / name)
        command = ["sample", str(tmp_path / "run"), "-n", "2", "--out", str(tmp_path / "out.npy"), "--film", target]
        run_command(command)
    way, drawn = np.load(tmp_path / "way.npy"), np.asarray(Image.open(tmp_path / "way.png"))
    frames = run.clean_film(2)
    masked = torch.stack(frames, 1).flatten(0, 1).isnan()
    assert 0 < masked.double().mean() < 1
    assert np.array_equal(way == 11, masked.numpy())
    assert np.array_equal(way.reshape(2, -1, 1, 8, 8)[:, -1], np.load(tmp_path / "out.npy"))
    # eight pixels a pixel, one between two maps
    grey = (drawn[4::8, 4::8] == 221).all(-1)
    wanted = np.zeros((17, 9 * len(frames) - 1), bool)
    for index, each in enumerate(masked[:, 0].numpy()):
        top, left = (9 * place for place in divmod(index, len(frames)))
        wanted[top : top + 8, left : left + 8] = each
    assert np.array_equal(grey, wanted)


@pytest.mark.parametrize("claim", ["text", "maps"])
def test_claims_of_multinomial_diffusion_run(claim, tmp_path, monkeypatch, text):
    from renote.experiment import Lab

    module = importlib.import_module("renote.systems.multinomial_diffusion")
    for preset in ("small", "maps"):
        changes = (TINY if preset == "small" else PICTURES) | {"steps": 12, "device": "cpu", "layers": 2}
        monkeypatch.setitem(module.SYSTEM.presets, preset, module.SYSTEM.presets[preset] | changes)
    lab = Lab(module.SYSTEM, "laptop", tmp_path, progress=False)
    if claim == "text":
        monkeypatch.setattr(lab, "data", lambda name, **options: data.load(text, length=16))
        monkeypatch.setattr(module, "_bits", lambda run, count: run.bits(8))
    outcome = module.SYSTEM.claim(claim).experiment(lab)
    assert outcome.seeds == (0, 1, 2)
    assert isinstance(outcome.holds, bool)
    assert all(isinstance(value, float | dict) for value in outcome.measured.values())


@pytest.mark.parametrize("claim", ["text", "images"])
def test_claims_of_d3pm_run(claim, tmp_path, monkeypatch, text):
    """Each as it is, on little for a few steps."""
    from renote import evaluate
    from renote.experiment import Lab

    module = importlib.import_module("renote.systems.d3pm")
    for preset in ("small", "digits"):
        changes = (TINY if preset == "small" else PICTURES) | {"device": "cpu"}
        monkeypatch.setitem(module.SYSTEM.presets, preset, module.SYSTEM.presets[preset] | changes)
    lab = Lab(module.SYSTEM, "laptop", tmp_path, progress=False)
    bits, measured = module._bits, module.contrast.measured
    draws = 4 if claim == "text" else None
    monkeypatch.setattr(module, "_bits", lambda lab, runs, *_: bits(lab, runs, 8, draws))
    monkeypatch.setattr(module.contrast, "measured", lambda lab, runs, n: measured(lab, runs, 20))
    if claim == "text":
        monkeypatch.setattr(lab, "data", lambda name, **options: data.load(text, length=16))
    outcome = module.SYSTEM.claim(claim).experiment(lab)
    assert outcome.seeds == (0, 1, 2)
    assert isinstance(outcome.holds, bool)
    published = [name.partition(": ")[2] for name in module.SYSTEM.claim(claim).published]
    assert {name.rpartition(": ")[2] for name in outcome.measured} == {*published, "uniform"}
    assert all(value["mean"] > 0 or "words" in name for name, value in outcome.measured.items())
    evaluate.save_figure(outcome.figure, tmp_path / "figure.png")
