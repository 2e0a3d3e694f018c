"""Text on the command line: from a user's file to samples in a text file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import within

from renote import systems
from renote.cli import run_command
from renote.errors import DataError, UsageError


def test_text_from_a_file_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("the cat sat on the mat\n" * 60)
    small = ["--channels", "8", "--layers", "1", "--head-channels", "8", "--num-train-steps", "5", "--steps", "3"]
    arguments = ["train", "d3pm", "--data", str(tmp_path / "own.txt"), "--data-option", "length=20", *small]
    run, out = str(tmp_path / "run"), tmp_path / "samples.txt"
    said = within(*arguments, "--out", run, "--batch-size", "4", "--device", "cpu")[1]
    assert f"next: renote sample {run} --out samples.txt, or renote evaluate {run}" in said
    within("sample", run, "-n", "3", "--out", str(out), "--option", "given=the ___")
    texts = out.read_text().split("[sample ")[1:]
    assert [text[:2] for text in texts] == ["0]", "1]", "2]"]
    assert all(text[3:7] == "the " and len(text[3:].removesuffix("\n\n")) == 20 for text in texts)
    within("sample", run, "-n", "2", "--out", str(tmp_path / "numbers.npy"))
    assert np.load(tmp_path / "numbers.npy").shape == (2, 20)
    within("sample", run, "-n", "2", "--out", str(out), "--film", str(tmp_path / "way.html"))
    assert (tmp_path / "way.html").read_text().count("<tr>") == 10  # two samples in five steps
    within("sample", run, "-n", "2", "--out", str(out), "--film", str(tmp_path / "way.txt"))
    frames = (tmp_path / "way.txt").read_text().split("--- ")[1:6]
    hidden = [frame.count("_") for frame in frames]
    assert hidden == sorted(hidden, reverse=True)
    assert hidden[0] > 0 == hidden[-1]
    measures = json.loads(within("evaluate", run, "--samples", "4", "--bits", "bound", "--json")[0])["measures"]
    assert {"known_words", "pair_divergence", "distinct", "bits"} == set(measures)
    for wrong, message in (
        (["--out", str(tmp_path / "samples.png")], ".txt file"),
        (["--film", "way.png"], "a page (.html)"),
        (["--option", "given=zebra"], "is not in the alphabet"),
        (["--class", "3"], "without classes"),
    ):
        assert message in within("sample", run, "-n", "1", *wrong, status=2, cwd=tmp_path)[1]
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 " * 50)
    _, error = within("train", "d3pm", "--data", str(tmp_path / "latin.txt"), "--out", run + "2", status=2)
    assert "is not UTF-8: byte 3 (line 1)" in error


def test_text_that_looks_like_numbers_stays_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.txt").write_text('12345"3 null [1]' * 60)
    small = ["--channels", "8", "--layers", "1", "--head-channels", "8", "--num-train-steps", "2", "--steps", "1"]
    run_command(["train", "d3pm", "--data", "own.txt", "--data-option", "length=8", *small, "--out", "run"])
    for given in ("123", "null", '"3"', "1", "[1]"):
        run_command(["sample", "run", "-n", "2", "--out", "samples.txt", "--option", f"given={given}"])
        texts = Path("samples.txt").read_text().split("[sample ")[1:]
        assert all(text[3:].startswith(given) for text in texts)
    with pytest.raises(UsageError, match="given = 123: give a text with _"):
        systems.load_run("run").sample(1, given=123)
    with pytest.raises(DataError, match="alphabet"):
        run_command(["train", "d3pm", "--data", "own.txt", "--data-option", "alphabet=123", *small, "--out", "run2"])


def test_byte_pair_tokens_from_a_file_to_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Learned in training, kept in the run folder, and what samples, blanks and bits are told in."""
    monkeypatch.chdir(tmp_path)
    Path("own.txt").write_text("the cat sat on the mat and the cat ate\n" * 60)
    small = ["--channels", "8", "--layers", "1", "--head-channels", "8", "--num-train-steps", "5", "--steps", "3"]
    arguments = ["train", "d3pm", "--data", "own.txt", "--data-option", "length=12", "tokens=18", *small]
    run_command([*arguments, "--out", "run", "--batch-size", "4", "--device", "cpu"])
    run = systems.load_run("run")
    tokens = run.data.alphabet
    assert isinstance(tokens, tuple)
    assert len(tokens) == run.config.categories == 18
    assert max(map(len, tokens)) > 1
    run_command(["sample", "run", "-n", "3", "--out", "samples.txt", "--option", "given=the cat _", "--seed", "5"])
    written = Path("samples.txt").read_text().split("[sample ")[1:]
    texts = [text.partition("]\n")[2].removesuffix("\n\n") for text in written]
    assert texts == run.data.text(run.sample(3, seed=5, given="the cat _"))
    assert all(text.startswith("the cat ") for text in texts)
    assert len({len(text) for text in texts}) > 1  # as many tokens, but not as many characters
    with pytest.raises(DataError, match="the character 'z' is no token"):
        run_command(["sample", "run", "-n", "1", "--option", "given=zoo"])
    # bits of all tokens over the characters that they write
    found, data = run.bits(5), run.training_data()
    bits = run.module.bits(data.clean(data.test[:5]))
    characters = len("".join(data.text(data.test[:5])))
    assert characters > 5 * 12
    assert found["bits_per_character"] == pytest.approx(float(bits.sum()) * 12 / characters)
    assert found["bits_per_dimension"] == pytest.approx(float(bits.mean()))
