"""Text: crops of files, alphabets, templates, and what is wrong with a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from renote import data
from renote.data import SampleData
from renote.errors import DataError, UsageError
from renote.evaluate import text_measures, write_texts

LINES = "the cat sat\non the mat\n" * 20


def samples(path: Path | str, **options: object) -> SampleData:
    loaded = data.load(path, **options)
    assert isinstance(loaded, SampleData)
    return loaded


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "own.txt"
    path.write_text(LINES)
    return path


def test_crops_are_the_files_own_characters(file: Path) -> None:
    loaded = samples(file, length=10, test_fraction=0.25)
    held = round(0.25 * len(LINES))
    assert loaded.alphabet == "\n acehmnost"
    assert loaded.levels == 11
    assert loaded.train.shape == (len(LINES) - held - 9, 10)
    assert loaded.test.shape == (held // 10, 10)
    whole = "".join(loaded.text(loaded.train[::10]))
    assert LINES.startswith(whole)
    assert loaded.text(loaded.train[3:4]) == [LINES[3:13]]
    assert loaded.text(loaded.test[:1]) == [LINES[-held:][:10]]
    clean = loaded.clean(loaded.train)
    assert (float(clean.min()), float(clean.max())) == (-1.0, 1.0)
    assert torch.equal(loaded.raw(clean), loaded.train)
    assert samples(file, length=10, stride=5).train.shape[0] == len(samples(file, length=10).train[::5])
    assert torch.equal(samples(f"text:{file}", length=10).train, samples(file, length=10).train)


def test_many_characters_and_marks_of_files(tmp_path: Path) -> None:
    symbols = "".join(chr(0x4E00 + i) for i in range(700))
    (tmp_path / "han.txt").write_bytes(b"\xef\xbb\xbf" + (symbols * 2).encode())
    loaded = samples(tmp_path / "han.txt", length=8, test_fraction=0.0)
    assert (loaded.levels, loaded.train.dtype, len(loaded.test)) == (700, torch.int32, 0)
    assert torch.equal(loaded.raw(loaded.clean(loaded.train)), loaded.train)
    assert loaded.text(loaded.train[:1]) == [symbols[:8]]
    (tmp_path / "windows.txt").write_bytes(b"one\r\ntwo\r\n" * 5)
    assert samples(tmp_path / "windows.txt", length=4).alphabet == "\nenotw"


def test_an_alphabet_may_be_given(file: Path) -> None:
    wider = "abcdefghijklmnopqrstuvwxyz \n"
    loaded = samples(file, length=10, alphabet=wider)
    assert loaded.alphabet == wider
    assert loaded.text(loaded.train[:1]) == [LINES[:10]]
    with pytest.raises(DataError, match=r"line 1, column 4: the character ' ' is not in the alphabet"):
        data.load(file, alphabet="acehmnost\n")
    with pytest.raises(DataError, match="has 'a' twice"):
        data.load(file, alphabet="aab")


def test_templates_have_blanks(file: Path) -> None:
    loaded = samples(file, length=10)
    values = loaded.template("the ___ s")
    assert values.isnan().tolist() == [False] * 4 + [True] * 3 + [False] * 2 + [True]
    assert loaded.text(loaded.raw(values.nan_to_num(-1.0)[None])) == ["the \n\n\n s\n"]
    with pytest.raises(DataError, match="the given text, line 2, column 1: the character 'z'"):
        loaded.template("a\nzz")
    with pytest.raises(DataError, match="of 11 characters: samples of .* have 10"):
        loaded.template("the cat sat")
    with pytest.raises(DataError, match="digits is no text"):
        samples("digits").template("3")
    file.write_text("snake_case " * 30)
    assert samples(file, length=10).blank == "▁"


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"abc\nd\xe9f" * 20, {}, r"not UTF-8: byte 5 \(line 2\) is 0xe9"),
        (b"", {}, "0 different characters"),
        (b"aaaa" * 100, {}, "1 different characters"),
        (b"abcd", {"length": 10}, "4 characters to train on: a crop has 10"),
        (b"abcd" * 50, {"length": 0}, "length is 0"),
        (b"abcd" * 50, {"stride": 0}, "stride 0"),
        (b"abcd" * 50, {"test_fraction": 1.0}, "test_fraction 1.0"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    tmp_path: Path, content: bytes, options: dict[str, object], message: str
) -> None:
    (tmp_path / "bad.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        data.load(tmp_path / "bad.txt", **options)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        data.load(tmp_path / "none.txt")
    with pytest.raises(DataError, match="is a folder"):
        data.load(f"text:{tmp_path}")
    with pytest.raises(UsageError, match="Did you mean length"):
        data.load(f"text:{tmp_path}", lenght=3)


def test_tinyshakespeare_is_what_its_card_says(mirror: Path) -> None:
    loaded = samples("tinyshakespeare")
    assert (len(loaded.train), len(loaded.test), loaded.levels) == (
        loaded.card.counts["train"],
        loaded.card.counts["test"],
        loaded.card.counts["characters"],
    )
    assert loaded.shape == loaded.card.shape
    assert loaded.text(loaded.train[:1])[0].startswith("First Citizen:\nBefore we proceed")


def test_measures_of_text(file: Path, tmp_path: Path) -> None:
    loaded = samples(file, length=20, test_fraction=0.0)
    same = text_measures(loaded.train[::20], loaded)
    assert same["known_words"] == 1.0
    assert same["pair_divergence"] == pytest.approx(0.0, abs=1e-9)
    shuffled = loaded.train[::20].flatten()[torch.randperm(440)].reshape(22, 20)
    other = text_measures(shuffled, loaded)
    assert other["known_words"] < 0.7
    assert 0.1 < other["pair_divergence"] <= 1.0
    assert text_measures(loaded.train[:1].repeat(4, 1), loaded)["distinct"] == 0.25
    write_texts(loaded.text(loaded.train[:2]), tmp_path / "new" / "samples.txt")
    assert (
        tmp_path / "new" / "samples.txt"
    ).read_text() == f"[sample 0]\n{LINES[:20]}\n\n[sample 1]\n{LINES[1:21]}\n\n"
    with pytest.raises(UsageError, match=r"go to a \.txt file"):
        write_texts(["a"], tmp_path / "samples.png")
