"""Feature networks: shipped, trained, kept in the cache; and all measures at once."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest
import torch
from torch import Tensor

from renote import data, evaluate
from renote.errors import CheckpointError, UsageError
from renote.evaluate import classifier, ship
from renote.evaluate.classifier import data_digest, read_classifier

WEIGHTS = Path(str(resources.files("renote.evaluate"))) / "weights"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RENOTE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture(scope="module")
def digits() -> data.SampleData:
    loaded = data.load("digits")
    assert isinstance(loaded, data.SampleData)
    return loaded


@pytest.fixture(scope="module")
def few(digits: data.SampleData) -> data.SampleData:
    """Data that no shipped classifier was trained on."""
    assert digits.train_labels is not None
    return replace(digits, name="few", train=digits.train[:200], train_labels=digits.train_labels[:200])


@pytest.fixture
def counted(few: data.SampleData, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the data sets that classifiers are trained of, each for a few steps."""
    trained = []
    train = classifier.train_classifier

    def brief(sample_data: data.SampleData) -> bytes:
        trained.append(sample_data.name)
        return train(sample_data, 20)

    monkeypatch.setattr(classifier, "train_classifier", brief)
    return trained


def test_index_lists_what_is_shipped(digits: data.SampleData) -> None:
    index = json.loads((WEIGHTS / "index.json").read_text())
    assert sorted(path.name for path in WEIGHTS.iterdir()) == sorted(
        ["index.json", *(f"{n}.safetensors" for n in index)]
    )
    assert index["digits"]["data_sha256"] == data_digest(digits)
    for name, entry in index.items():
        trained = read_classifier((WEIGHTS / f"{name}.safetensors").read_bytes(), name)[1]
        assert (trained.data, trained.test_accuracy) == (name, entry["test_accuracy"])
        assert entry["command"].startswith(f"python -m renote.evaluate.ship {name} ")
    assert index["digits"]["test_accuracy"] >= 98
    assert index["fashion-mnist"]["test_accuracy"] >= 91


def test_shipped_classifier_is_as_accurate_as_its_index_says(
    cache: Path, digits: data.SampleData, counted: list[str]
) -> None:
    found = evaluate.features(digits)
    assert found.name == "digits classifier features"
    assert found.classify is not None
    assert digits.test_labels is not None
    accuracy = 100 * float((found.classify(digits.test) == digits.test_labels).double().mean())
    assert accuracy == pytest.approx(
        json.loads((WEIGHTS / "index.json").read_text())["digits"]["test_accuracy"], abs=0.4
    )
    assert not counted


@pytest.mark.parametrize("damage", ["change", "cut", "remove"])
def test_tampered_weights_are_refused(
    cache: Path, digits: data.SampleData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    shutil.copytree(WEIGHTS, tmp_path / "weights")
    file = tmp_path / "weights" / "digits.safetensors"
    content = file.read_bytes()
    if damage == "remove":
        file.unlink()
    else:
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if damage == "change" else content[:-1])
    monkeypatch.setattr(classifier.resources, "files", lambda package: tmp_path)
    with pytest.raises(CheckpointError, match="not the one that was released"):
        evaluate.features(digits)


def test_other_data_trains_its_own_once(cache: Path, few: data.SampleData, counted: list[str]) -> None:
    first = evaluate.features(few)
    assert len(list(cache.iterdir())) == 2
    second = evaluate.features(few)
    assert counted == ["few"]
    assert torch.equal(first.reference, second.reference)
    assert torch.equal(first.extract(few.test), second.extract(few.test))


def test_cached_reference_is_the_fresh_one(
    cache: Path, digits: data.SampleData, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = evaluate.features(digits)
    assert torch.equal(fresh.reference, fresh.extract(digits.train))
    calls = []
    embed = classifier.Classifier.embed
    monkeypatch.setattr(classifier.Classifier, "embed", lambda self, x: calls.append(len(x)) or embed(self, x))
    assert torch.equal(evaluate.features(digits).reference, fresh.reference)
    assert not calls
    (kept,) = cache.glob("*-reference.safetensors")
    kept.write_bytes(kept.read_bytes()[:100])
    assert torch.equal(evaluate.features(digits).reference, fresh.reference)
    assert sum(calls) == len(digits.train)


def test_damaged_cache_is_made_anew(cache: Path, few: data.SampleData, counted: list[str]) -> None:
    first = evaluate.features(few)
    for path in cache.iterdir():
        path.write_bytes(b"")
    second = evaluate.features(few)
    assert counted == ["few", "few"]
    assert torch.equal(first.reference, second.reference)


def test_a_file_of_the_ship_command_gives_features_to_other_data(
    cache: Path,
    few: data.SampleData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(ship.data, "load", lambda name: few)
    out = tmp_path / "made" / "few.safetensors"
    ship.main(["few", "--out", str(out), "--steps", "5"])
    assert "% of the held-out samples right" in capsys.readouterr().out
    first = out.read_bytes()
    ship.main(["few", "--out", str(out), "--steps", "5"])
    assert out.read_bytes() == first
    entry = json.loads(out.with_name("index.json").read_text())["few"]
    assert entry["data_sha256"] == data_digest(few)
    assert entry["command"] == "python -m renote.evaluate.ship few --out few.safetensors --steps 5"

    other = replace(few, name="other", classes=tuple("abcdefghij"))
    found = evaluate.features(other, network=out)
    assert found.name == f"few classifier features, few.safetensors {entry['sha256'][:8]}"
    assert found.classify is None  # its classes are not those of the data
    measures = found.measures(other.test[:50], torch.zeros(50))
    assert "inception_score" in measures
    assert "class_accuracy" not in measures


def test_ship_says_what_it_cannot_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["digits", "--out", "digits.pt"], ["toy-2d", "--out", str(tmp_path / "t.safetensors")]):
        with pytest.raises(SystemExit) as caught:
            ship.main(arguments)
        assert caught.value.code == 2
        assert capsys.readouterr().err.startswith("renote: ")


def test_files_that_are_no_classifier_are_refused(cache: Path, few: data.SampleData, tmp_path: Path) -> None:
    good = (WEIGHTS / "digits.safetensors").read_bytes()
    older = good.replace(b'\\"version\\": 2', b'\\"version\\": 1')
    assert older != good
    path = tmp_path / "w.safetensors"
    for content, message in ((b"", "damaged"), (b"x" * 100, "damaged"), (good[:-4], "damaged"), (older, "version 1")):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            evaluate.features(few, network=path)
    with pytest.raises(CheckpointError, match="cannot read"):
        evaluate.features(few, network=tmp_path / "none")
    colored = replace(few, train=few.train.repeat(1, 3, 1, 1))
    with pytest.raises(UsageError, match="1 channels"):
        evaluate.features(colored, network=WEIGHTS / "digits.safetensors")


def test_a_function_gives_features(few: data.SampleData) -> None:
    def corners(clean: Tensor) -> Tensor:
        assert clean.min() >= -1
        return clean[:, 0, :2, 2:4].flatten(1)

    found = evaluate.features(few, network=corners)
    assert found.name.startswith("features of ")
    assert found.name.endswith("corners")
    assert found.reference.shape == (200, 4)
    assert evaluate.features(few, network=corners, name="corners").measures(few.test)["features"] == "corners"


def test_measures_tell_data_from_noise_and_from_one_class(cache: Path, digits: data.SampleData) -> None:
    found = evaluate.features(digits)
    assert digits.test_labels is not None
    good = found.measures(digits.test, digits.test_labels)
    noise = torch.randint(0, 256, digits.test.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    bad = found.measures(noise)
    assert digits.train_labels is not None
    threes = found.measures(digits.train[digits.train_labels == 3])
    assert good["features"] == "digits classifier features"
    assert good["samples"] == len(digits.test)
    for other in (bad, threes):
        assert good["frechet_distance"] < 0.2 * other["frechet_distance"]
        assert good["kernel_distance"] < 0.2 * other["kernel_distance"]
        assert good["coverage"] > 2 * other["coverage"]
        assert good["inception_score"] > 2 * other["inception_score"]
    assert good["precision"] > 0.8
    assert good["recall"] > 0.8
    assert good["density"] == pytest.approx(1, abs=0.3)
    assert bad["precision"] < 0.2
    # one class is faithful and not diverse
    assert threes["precision"] > 0.8
    assert threes["recall"] < 0.3
    assert good["class_accuracy"] > 97
    assert "class_accuracy" not in bad


def test_measures_are_as_documented(cache: Path, digits: data.SampleData) -> None:
    found = evaluate.features(digits)
    measures = found.measures(digits.test)
    # against as many real ones, evenly spaced
    real = found.reference[torch.arange(297) * 1500 // 297]
    assert (measures["precision"], measures["recall"]) == evaluate.precision_recall(real, found.extract(digits.test))
    assert measures["frechet_distance"] == found.distance(digits.test)
    assert found.measures(digits.test) == measures
    assert "inception_score_std" not in measures
    assert "inception_score_std" in found.measures(digits.test.repeat(8, 1, 1, 1))


def test_few_samples_leave_measures_out(cache: Path, digits: data.SampleData) -> None:
    found = evaluate.features(digits)
    assert "kernel_distance" not in found.measures(digits.test[:3])
    assert "precision" not in found.measures(digits.test[:5])
    assert "coverage" in found.measures(digits.test[:6])
    with pytest.raises(UsageError, match="at least 2 samples"):
        found.measures(digits.test[:1])
    with pytest.raises(UsageError, match="needs \\(n, 1, 8, 8\\)"):
        found.measures(digits.test[:, :, :4])


def test_points_and_unlabelled_images_are_measured_too(digits: data.SampleData) -> None:
    points = data.load("toy-2d", n=500)
    assert isinstance(points, data.SampleData)
    found = evaluate.features(points)
    measures = found.measures(points.train)
    assert measures["precision"] == measures["recall"] == measures["coverage"] == 1
    assert "inception_score" not in measures
    assert found.name == "toy-swiss-roll coordinates"
    plain = replace(digits, name="plain", train_labels=None, test_labels=None, classes=())
    measures = evaluate.features(plain).measures(plain.test)
    assert measures["features"] == "plain pixel components"
    assert measures["precision"] > 0.5
    with pytest.raises(UsageError, match="not finite"):
        found.measures(points.train * float("nan"))


def test_shifts_move_whole_images() -> None:
    images = torch.zeros(64, 2, 9, 9)
    images[:, :, 4, 4] = 1
    moved = classifier._shifted(images, torch.Generator().manual_seed(0))
    assert moved.shape == images.shape
    assert torch.equal(moved.sum((1, 2, 3)), torch.full((64,), 2.0))
    assert torch.equal(moved[:, 0], moved[:, 1])
    assert moved.mean(0)[0, 3:6, 3:6].gt(0).all()


def test_features_of_training_samples_have_mean_square_one(
    cache: Path, few: data.SampleData, counted: list[str]
) -> None:
    for sample_data in (few, data.load("digits")):
        assert float(evaluate.features(sample_data).reference.square().mean()) == pytest.approx(1, abs=1e-4)
