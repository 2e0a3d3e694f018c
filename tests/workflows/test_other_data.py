"""`renote evaluate RUN --data OTHER`: each number means what it meant in training, or the command refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from renote import data, systems
from renote.cli import run_command
from renote.errors import DataError

TEXT = ["--channels", "8", "--layers", "1", "--head-channels", "8", "--num-train-steps", "5", "--steps", "2"]
TEXT += ["--batch-size", "4", "--device", "cpu"]
GRAPHS = ["--width", "8", "--edge-width", "8", "--global-width", "8", "--layers", "1", "--channels", "4"]
GRAPHS += ["--num-train-steps", "4", "--steps", "2", "--batch-size", "4", "--device", "cpu"]


def evaluated(run: Path, other: str, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, float]:
    capsys.readouterr()
    run_command(["evaluate", str(run), "--data", other, "--samples", "4", "--json", *more])
    found = json.loads(capsys.readouterr().out)
    assert found["data"] == other
    return dict(found["measures"])


def text(path: Path, content: str) -> str:
    path.write_text(content)
    return str(path)


@pytest.mark.parametrize("tokens", [[], ["tokens=14"]], ids=["characters", "tokens"])
def test_text_is_read_in_the_alphabet_of_the_run(
    tokens: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = text(tmp_path / "own.txt", "the cat sat on the mat\n" * 60)
    run = tmp_path / "run"
    run_command(["train", "d3pm", "--data", own, "--data-option", "length=12", *tokens, "--out", str(run), *TEXT])
    # the file that it was trained on, and one of fewer characters, which alone would be numbered otherwise
    assert evaluated(run, own, capsys, "--bits", "bound")["known_words"] >= 0
    other = text(tmp_path / "other.txt", "mat sat the\n" * 60)
    evaluated(run, other, capsys, "--bits", "bound")
    trained, read = systems.load_run(run, own).data, systems.load_run(run, other).data
    assert read.alphabet == trained.alphabet
    assert read.shape == (12,)
    assert data.load(other).alphabet != trained.alphabet
    assert read.text(read.train[:1])[0].startswith("mat sat the\n")
    # as many characters, but others
    unlike = text(tmp_path / "unlike.txt", "the dog sat on the mat\n" * 60)
    with pytest.raises(DataError, match=r"unlike.txt, line 1, column 5: the character 'd' is"):
        evaluated(run, unlike, capsys)
    with pytest.raises(DataError, match="digits has no text, but the run was trained on .*own.txt, which has text"):
        evaluated(run, "digits", capsys)
    with pytest.raises(DataError, match="digits-knn is a graph with node classes"):
        evaluated(run, "digits-knn", capsys)


def test_a_text_that_changed_since_keeps_its_alphabet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = text(tmp_path / "own.txt", "the cat sat on the mat\n" * 60)
    run = tmp_path / "run"
    run_command(["train", "d3pm", "--data", own, "--data-option", "length=12", "--out", str(run), *TEXT])
    text(tmp_path / "own.txt", "the cat sat on the rat\n" * 60)
    with pytest.raises(DataError, match=r"own.txt, line 1, column 20: the character 'r' is not in the alphabet"):
        run_command(["evaluate", str(run), "--samples", "4"])


def molecules(path: Path, smiles: list[str]) -> str:
    path.write_text("smiles\n" + "\n".join(smiles) + "\n")
    return f"molecules:{path}"


def test_molecules_are_read_in_the_types_of_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rdkit")
    own = molecules(tmp_path / "own.csv", ["CCO", "CCC", "C=O", "CCN", "C#N", "OCCO"] * 3)
    run = tmp_path / "run"
    run_command(["train", "graph-diffusion", "--data", own, "--out", str(run), *GRAPHS])
    assert "validity" in evaluated(run, own, capsys)
    # of another order of frequency, and smaller
    others = ["OO", "OCO", "NN"] * 4
    other = molecules(tmp_path / "other.csv", [*others, "C.[Na+]"])
    evaluated(run, other, capsys)
    loaded = systems.load_run(run, other).data
    form = systems.load_run(run).data.graphs
    assert loaded.graphs == form == systems.load_run(run, own).data.graphs
    assert data.rows_of(data.load(other)).graphs.node_types != form.node_types
    assert sorted(filter(None, data.row_smiles(torch.cat([loaded.train, loaded.test]), form))) == sorted(others)
    for unknown, message in (
        (["CCO", "CCF"], r"unknown.csv, molecule 2, 'CCF': its atom F is not in atom_types \['C', 'O', 'N'\]"),
        (["C[NH3+]"], r"molecule 1, 'C\[NH3\+\]': its atom N\+ is not in atom_types"),
        (["CCCCC"], "graphs of 5 to 5 nodes: here they have 1 to 4"),
    ):
        with pytest.raises(DataError, match=message):
            evaluated(run, molecules(tmp_path / "unknown.csv", unknown), capsys)
    with pytest.raises(DataError, match="small-planar has no molecules"):
        evaluated(run, "small-planar", capsys)
    with pytest.raises(DataError, match="digits has no graphs"):
        evaluated(run, "digits", capsys)


def test_graphs_are_read_in_the_form_of_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    size = ["--data-option", "graphs=20", "least=5", "most=6"]
    common = ["--preset", "graphs", "--out", str(run), *GRAPHS]
    run_command(["train", "graph-diffusion", "--data", "small-planar", *size, *common])
    assert "degree" in evaluated(run, "small-communities", capsys)
    assert systems.load_run(run, "small-communities").data.shape == (21,)
    with pytest.raises(DataError, match="small-planar has graphs of up to 7 nodes, small-planar of 6"):
        systems.load_run(run, data.load("small-planar", graphs=20, least=5, most=7))
    pytest.importorskip("rdkit")
    with pytest.raises(DataError, match="own.csv has molecules, where graphs of the types node are asked for"):
        evaluated(run, molecules(tmp_path / "own.csv", ["CCO"] * 4), capsys)


def test_samples_of_another_shape_or_meaning_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps, run = tmp_path / "maps", tmp_path / "run"
    tiny = ["--steps", "1", "--channels", "8", "--multipliers", "1", "--attention", "4", "--head-channels", "8"]
    tiny += ["--batch-size", "4", "--device", "cpu"]
    train = ["train", "multinomial-diffusion", "--preset", "maps", "--data", "digit-maps", "--num-train-steps", "4"]
    run_command([*train, "--out", str(maps), *tiny])
    with pytest.raises(DataError, match="digits has no label maps"):
        evaluated(maps, "digits", capsys)
    run_command(["train", "ddpm", "--data", "digits", "--out", str(run), "--num-train-steps", "4", *tiny])
    np.savez(tmp_path / "wide.npz", images=np.zeros((20, 8, 9), np.uint8))
    with pytest.raises(DataError, match=r"wide.npz have the shape \(1, 8, 9\), but .* of the shape \(1, 8, 8\)"):
        evaluated(run, str(tmp_path / "wide.npz"), capsys)
