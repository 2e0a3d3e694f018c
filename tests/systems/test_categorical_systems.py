"""Systems of categories: trained on text and pictures from the registry, kept, opened again, sampled, measured."""

import math

import pytest
import torch

from renote import systems
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


def train(name, data, out=None, preset="laptop", **changes):
    return systems.get(name).train(data, out, preset=preset, progress=False, **changes)


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
    from renote import data

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


def test_bad_options(text, tmp_path):
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
    run = train("d3pm", text, tmp_path / "run", **TINY)
    for options in ({"steps": 7}, {"sampler": "ddim"}, {"label": 1}):
        with pytest.raises(UsageError):
            run.sample(1, **options)
    from renote.experiment import ship

    with pytest.raises(UsageError, match="is text"):
        ship(systems.load_run(tmp_path / "run"), tmp_path / "small")
