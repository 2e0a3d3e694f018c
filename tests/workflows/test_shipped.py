"""Small checkpoints: made of a run, checked when read, and those that come with the package."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from command_line import TINY, within
from PIL import Image

import renote as package
from renote import systems
from renote.data import SampleData, load
from renote.errors import CheckpointError, UsageError
from renote.evaluate.classifier import data_digest
from renote.experiment import SampleRun, ship, shipped

NAMES = shipped.names()


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "mine"
    within("train", "edm", "--data", "digits", "--class-conditional", "--out", str(out), "--steps", "4", *TINY)
    return out


@pytest.fixture(scope="module")
def checkpoint(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "small"
    _, err = within("ship", str(run_folder), "--out", str(out), "--samples", "20")
    assert "MB; Fréchet distance" in err
    return out


@pytest.fixture
def library(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that comes with one small checkpoint."""
    shutil.copytree(checkpoint, tmp_path / "library" / "small")
    monkeypatch.setattr(shipped, "library", lambda: tmp_path / "library")
    return tmp_path / "library" / "small"


def generative(run: str | Path) -> SampleRun:
    loaded = package.load_run(run)
    assert isinstance(loaded, SampleRun)
    return loaded


def test_a_checkpoint_says_where_it_is_from_and_is_small(run_folder: Path, checkpoint: Path) -> None:
    assert sorted(path.name for path in checkpoint.iterdir()) == ["card.json", "config.json", "weights.safetensors"]
    card = json.loads((checkpoint / "card.json").read_text())
    for name, digest in card["files"].items():
        assert hashlib.sha256((checkpoint / name).read_bytes()).hexdigest() == digest
    assert (checkpoint / "config.json").read_bytes() == (run_folder / "config.json").read_bytes()
    assert card["name"] == "small"
    assert card["command"] == json.loads((run_folder / "environment.json").read_text())["command"]
    data = load("digits")
    assert isinstance(data, SampleData)
    assert card["data_sha256"] == data_digest(data)
    assert card["measures"]["samples"] == card["measures_before"]["samples"] == 20
    weights = safetensors.torch.load_file(checkpoint / "weights.safetensors")
    assert {tensor.dtype for tensor in weights.values() if tensor.is_floating_point()} == {torch.float16}
    # the moving average, not the last weights
    (average,) = run_folder.glob("checkpoints/step-00000004/ema.safetensors")
    for name, tensor in safetensors.torch.load_file(average).items():
        assert torch.equal(weights[name], tensor.to(weights[name].dtype))
    sizes = [sum(p.stat().st_size for p in folder.rglob("*.safetensors")) for folder in (checkpoint, run_folder)]
    assert sizes[0] < sizes[1] / 6


def test_a_checkpoint_stands_where_a_run_folder_does(run_folder: Path, checkpoint: Path, tmp_path: Path) -> None:
    common = ["-n", "5", "--class", "3"]
    for name, folder in (("run", run_folder), ("small", checkpoint)):
        within("sample", str(folder), *common, "--out", str(tmp_path / f"{name}.npy"))
    one, other = (np.load(tmp_path / f"{name}.npy").astype(int) for name in ("run", "small"))
    assert np.abs(one - other).max() <= 2
    out, _ = within("evaluate", str(checkpoint), "--samples", "20", "--json")
    measures = json.loads(out)["measures"]
    kept = json.loads((checkpoint / "card.json").read_text())["measures"]
    assert measures["frechet_distance"] == pytest.approx(kept["frechet_distance"], rel=1e-3)
    train = ["train", "edm", "--data", "digits", "--class-conditional", "--steps", "4", *TINY]
    _, err = within(*train, "--out", str(checkpoint), "--resume", status=2)
    assert "cannot be trained on" in err


@pytest.mark.parametrize("file", ["config.json", "weights.safetensors", "card.json"])
@pytest.mark.parametrize("damage", ["change", "cut", "remove"])
def test_a_damaged_checkpoint_is_refused(library: Path, file: str, damage: str) -> None:
    content = (library / file).read_bytes()
    if damage == "remove":
        (library / file).unlink()
    else:
        middle = len(content) // 2
        changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        (library / file).write_bytes(changed if damage == "change" else content[:-3])
    if (file, damage) == ("card.json", "remove"):
        # without its card it is no checkpoint, and no run folder either
        with pytest.raises(UsageError, match="unknown run"):
            package.load_run("small")
        with pytest.raises(CheckpointError, match="holds no checkpoint"):
            package.load_run(library)
        return
    if (file, damage) == ("card.json", "change"):
        card = json.loads(content)
        card["files"]["weights.safetensors"] = "0" * 64
        (library / file).write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match=r"is not the one that was released|is damaged") as found:
        package.load_run("small")
    assert "Install renote again" in str(found.value)
    assert file.partition(".")[0] in str(found.value) or file == "card.json"


def test_a_folder_of_the_same_name_wins(
    library: Path, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert generative("small").folder == library
    shutil.copytree(run_folder, tmp_path / "small")
    assert generative("small").folder == Path("small")
    (tmp_path / "small" / "config.json").unlink()
    with pytest.raises(CheckpointError, match="is not a run folder"):
        package.load_run("small")


def test_neither_folder_nor_checkpoint(library: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean small"):
        package.load_run("smal")
    with pytest.raises(UsageError, match="renote checkpoints"):
        package.load_run(tmp_path / "nothing" / "there")


def test_what_cannot_be_shipped(
    run_folder: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = generative(run_folder)
    with pytest.raises(UsageError, match="something else"):
        ship(run, run_folder, 20)
    with pytest.raises(UsageError, match="in a folder"):
        ship(generative(checkpoint), tmp_path / "again", 20)
    unfinished = tmp_path / "unfinished"
    shutil.copytree(run_folder, unfinished)
    config = json.loads((unfinished / "config.json").read_text())
    config["config"]["steps"] = 9
    (unfinished / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match="at step 4 of 9"):
        ship(generative(unfinished), tmp_path / "again", 20)
    distances = iter([1.0, 1.02])
    monkeypatch.setattr(run, "evaluate", lambda n, **_: {"frechet_distance": next(distances)})
    with pytest.raises(UsageError, match=r"makes samples worse \(Fréchet distance 1.02, before 1\)"):
        ship(run, tmp_path / "again", 20)
    monkeypatch.undo()
    with torch.no_grad():
        next(run.module.parameters()).mul_(1e7)
    with pytest.raises(UsageError, match="precision = float16 cannot hold"):
        ship(run, tmp_path / "again", 20)
    assert not (tmp_path / "again").exists()
    gcn = tmp_path / "gcn"
    systems.get("gcn").train("digits-knn", gcn, progress=False, steps=1)
    _, err = within("ship", str(gcn), "--out", str(tmp_path / "x"), status=2)
    assert "makes no samples" in err


SIZES = {"num-train-steps": 4, "width": 8, "edge-width": 8, "global-width": 8, "layers": 1, "channels": 4}
SMALL_GRAPHS = [f"--{name}={value}" for name, value in SIZES.items()]


@pytest.mark.parametrize(
    ("system", "data", "options", "told"),
    [
        ("graph-diffusion", "molecules:made.csv", SMALL_GRAPHS, "share that is no molecule"),
        ("graph-diffusion", "small-communities", SMALL_GRAPHS, "MMD² of degrees"),
        ("d3pm", "made.txt", ["--preset", "small", "--num-train-steps", "4", "--data-option", "length=16"], "divergence of pairs of characters"),
        ("multinomial-diffusion", "digit-maps", ["--preset", "maps", "--num-train-steps", "4"], "divergence of neighbouring labels"),
    ],
)  # fmt: skip
def test_models_of_what_is_no_picture_are_measured_by_what_they_make(
    system: str, data: str, options: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("made.csv").write_text("smiles\n" + "CCO\nCCN\nCOC\nCC\nCCC\nNCC\n" * 3)
    Path("made.txt").write_text("to be or not to be, that is the question. " * 40)
    within("train", system, "--data", data, "--out", "run", "--steps", "2", "--batch-size", "4", *options)
    # of a dozen samples one that half precision turns is too many, which says nothing of what is tested
    _, err = within("ship", "run", "--out", "small", "--samples", "12", "--precision", "float32")
    assert f"MB; {told}" in err
    card = shipped.read_card(Path("small"))
    assert shipped.told(card)
    assert card["measures"] == card["measures_before"]
    assert shipped.flaw(card["measures"])[1] >= 0
    once, again = (generative(path).sample(3, seed=1) for path in ("small", "small"))
    assert torch.equal(once, again)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_package_comes_with_works_and_holds_what_its_card_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    card = shipped.read_card(shipped.library() / name)
    assert card["name"] == name
    assert card["command"].startswith(f"renote train {card['system']} ")
    assert not shipped.worse(card["measures"], card["measures_before"])
    of_class = ["--class", "3"] if card["classes"] else []
    within("sample", name, "-n", "9", *of_class, "--steps", "4", "--out", "grid.png")
    assert Image.open("grid.png").size[0] > 64
    run = generative(name)
    assert run.parameters == card["parameters"]
    if card["data"] != "digits":
        request.getfixturevalue("mirror")
    assert card["data_sha256"] == data_digest(run.training_data())
    # few evaluations where samples are dear
    few = {
        "digits-edm": {},
        "fashion-mnist-edm": {"sampler": "unipc", "steps": 10, "spacing": "log-snr"},
        "qm9-molecules": {"steps": 100},
    }[name]
    count = 100 if name == "digits-edm" else 40
    measures = run.evaluate(count, **few)
    share, found = (
        m["class_accuracy"] / 100 if "class_accuracy" in m else m["validity"] for m in (card["measures"], measures)
    )
    # four standard deviations of a share
    assert found > share - 4 * max(0.01, (share * (1 - share) / count) ** 0.5)
    assert share > 0.85


def test_all_checkpoints_together_are_small_and_listed() -> None:
    assert "digits-edm" in NAMES
    assert sum(path.stat().st_size for path in shipped.library().rglob("*") if path.is_file()) <= 12e6
    listed = json.loads(within("checkpoints", "--json")[0])
    assert [card["name"] for card in listed] == NAMES
    out, _ = within("checkpoints")
    helped, _ = within("sample", "--help")
    assert all(name in out and name in helped for name in NAMES)
