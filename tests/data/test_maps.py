"""The user's own label maps: numbers and colours as they were written, sizes by the nearest pixel, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from renote import data
from renote.data import SampleData
from renote.errors import DataError, UsageError

PALETTE = ((10, 20, 30), (200, 0, 0), (0, 200, 0), (0, 0, 200))


def indexed(path: Path, numbers: np.ndarray, palette: tuple[tuple[int, int, int], ...] = PALETTE) -> None:
    picture = Image.fromarray(numbers.astype(np.uint8), "P")
    picture.putpalette([value for colour in palette for value in colour])
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def loaded(name: str, **options: object) -> SampleData:
    found = data.load(name, **options)
    assert isinstance(found, SampleData)
    return found


def numbers(seed: int = 0, shape: tuple[int, int] = (6, 8), count: int = 4) -> np.ndarray:
    drawn = np.random.default_rng(seed).integers(0, count, shape)
    drawn.flat[:count] = np.arange(count)
    return drawn


def test_indexed_pictures_keep_their_numbers_and_colours(tmp_path: Path) -> None:
    for i in range(10):
        indexed(tmp_path / f"part{i % 2}" / f"{i}.png", numbers(i))
    maps = loaded(f"maps:{tmp_path}", test_fraction=0.0)
    written = [numbers(i) for i in (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)]  # by the names of folders and files
    assert torch.equal(maps.train[:, 0], torch.from_numpy(np.stack(written)).to(torch.uint8))
    assert (maps.levels, maps.categories, maps.range) == (4, ("0", "1", "2", "3"), (0.0, 3.0))
    assert torch.equal(maps.raw(maps.clean(maps.train)), maps.train)
    shown = maps.shown(maps.train).movedim(1, -1)
    assert torch.equal(shown, torch.tensor(PALETTE, dtype=torch.uint8)[maps.train[:, 0].long()])
    held = loaded(f"maps:{tmp_path}", test_fraction=0.3)
    assert (len(held.train), len(held.test)) == (7, 3)


def test_grey_pictures_and_arrays_are_the_same_maps(tmp_path: Path) -> None:
    every = np.stack([numbers(i) for i in range(4)])
    for i, each in enumerate(every):
        Image.fromarray(each.astype(np.uint8)).save(tmp_path / f"{i}.png")
    np.savez(tmp_path / "all.npz", maps=every, palette=np.array(PALETTE))
    np.savez(tmp_path / "one-channel.npz", maps=every[:, None].astype(np.uint8))
    grey, arrays = loaded(f"maps:{tmp_path}"), loaded(f"maps:{tmp_path / 'all.npz'}")
    assert torch.equal(grey.train, arrays.train)
    assert torch.equal(grey.train, loaded(f"maps:{tmp_path / 'one-channel.npz'}").train)
    assert (grey.palette, arrays.palette) == ((), PALETTE)
    assert grey.shown(grey.train).shape == (4, 3, 6, 8)  # in the colours of the house
    assert loaded(f"maps:{tmp_path}", categories=9).levels == 9


def test_numbers_are_taken_from_the_nearest_pixel(tmp_path: Path) -> None:
    block = numbers(0, (4, 4))
    Image.fromarray(np.kron(block, np.ones((3, 3))).astype(np.uint8)).save(tmp_path / "large.png")
    Image.fromarray(block.astype(np.uint8)).save(tmp_path / "small.png")
    maps = loaded(f"maps:{tmp_path}", size=4, test_fraction=0.0)
    assert torch.equal(maps.train[0], maps.train[1])
    assert torch.equal(maps.train[0, 0], torch.from_numpy(block).to(torch.uint8))
    grown = loaded(f"maps:{tmp_path}", size=8, test_fraction=0.0).train[1, 0]
    assert torch.equal(grown, maps.train[1, 0].repeat_interleave(2, 0).repeat_interleave(2, 1))
    # the middle of a wide map is kept, or all of it
    wide = numbers(1, (4, 12))
    np.savez(tmp_path / "wide.npz", maps=wide[None])
    for fit, expected in (("crop", wide[:, 4:8]), ("resize", wide[:, 1::3])):
        found = loaded(f"maps:{tmp_path / 'wide.npz'}", size=4, fit=fit, categories=4, test_fraction=0.0)
        assert torch.equal(found.train[0, 0], torch.from_numpy(expected).to(torch.uint8))


def test_masks_of_black_and_white_have_two_categories_when_asked(tmp_path: Path) -> None:
    mask = numbers(0, count=2) * 255
    Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "mask.png")
    maps = loaded(f"maps:{tmp_path}", renumber=True, test_fraction=0.0)
    assert (maps.levels, maps.categories) == (2, ("0", "255"))
    assert torch.equal(maps.train[0, 0], torch.from_numpy(mask // 255).to(torch.uint8))
    assert loaded(f"maps:{tmp_path}").levels == 256
    np.savez(tmp_path / "many.npz", maps=np.arange(400).reshape(1, 20, 20))
    many = loaded(f"maps:{tmp_path / 'many.npz'}", test_fraction=0.0)
    assert (many.levels, many.train.dtype, int(many.train.max())) == (400, torch.int32, 399)
    assert torch.equal(many.raw(many.clean(many.train)), many.train)


def test_what_is_no_label_map_is_named(tmp_path: Path) -> None:
    indexed(tmp_path / "good" / "a.png", numbers())
    indexed(tmp_path / "good" / "b.png", numbers(1))
    with pytest.raises(DataError, match=r"a\.png has category 3 at row 0, column 3: .* 0 to 2"):
        loaded(f"maps:{tmp_path / 'good'}", categories=3)
    indexed(tmp_path / "colours" / "a.png", numbers())
    indexed(tmp_path / "colours" / "b.png", numbers(), PALETTE[::-1])
    with pytest.raises(
        DataError, match=r"category 0 has the colour \(10, 20, 30\) in a\.png and \(0, 0, 200\) in b\.png"
    ):
        loaded(f"maps:{tmp_path / 'colours'}")
    indexed(tmp_path / "sizes" / "a.png", numbers())
    indexed(tmp_path / "sizes" / "b.png", numbers(0, (4, 4)))
    with pytest.raises(DataError, match="size=4|size=6"):
        loaded(f"maps:{tmp_path / 'sizes'}")
    for name, picture in {
        "rgb": Image.fromarray(np.zeros((4, 4, 3), np.uint8)),
        "alpha": Image.new("LA", (4, 4)),
    }.items():
        (tmp_path / name).mkdir()
        picture.save(tmp_path / name / "x.png")
        with pytest.raises(DataError, match=r"x\.png is a picture of mode .*indexed"):
            loaded(f"maps:{tmp_path / name}")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match=r"x\.png cannot be read"):
        loaded(f"maps:{tmp_path / 'damaged'}")
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "keys.npz", images=np.zeros((2, 4, 4), int))
    np.savez(tmp_path / "floats.npz", maps=np.zeros((2, 4, 4)))
    np.savez(tmp_path / "below.npz", maps=np.array([[[0, 1], [-1, 1]]]))
    np.savez(tmp_path / "same.npz", maps=np.zeros((2, 4, 4), int))
    np.savez(tmp_path / "palette.npz", maps=np.eye(4, dtype=int)[None], palette=np.zeros((2, 4)))
    for name, message in {
        "empty": "no label map",
        "nowhere": "does not exist",
        "keys.npz": "under 'maps'",
        "floats.npz": "whole numbers",
        "below.npz": "map 0 has category -1 at row 1, column 0",
        "same.npz": "every pixel",
        "palette.npz": "give colours",
    }.items():
        with pytest.raises(DataError, match=message):
            loaded(f"maps:{tmp_path / name}")
    for options, kind in (
        ({"categories": 1}, DataError),
        ({"test_fraction": 1.0}, DataError),
        ({"fit": "pad"}, UsageError),
    ):
        with pytest.raises(kind):
            loaded(f"maps:{tmp_path / 'good'}", **options)
