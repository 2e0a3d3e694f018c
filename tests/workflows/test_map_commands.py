"""Label maps on the command line: from a folder of indexed pictures to a picture in their colours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from command_line import within
from PIL import Image

PALETTE = ((10, 20, 30), (200, 0, 0), (0, 200, 0))


def test_label_maps_from_a_folder_to_a_picture(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    random = np.random.default_rng(0)
    for i in range(12):
        picture = Image.fromarray(random.integers(0, 3, (8, 8), dtype=np.uint8), "P")
        picture.putpalette([value for colour in PALETTE for value in colour])
        picture.save(tmp_path / "maps" / f"{i}.png")
    run, out = str(tmp_path / "run"), tmp_path / "samples.png"
    small = ["--channels", "8", "--head-channels", "8", "--num-train-steps", "4", "--steps", "2", "--batch-size", "4"]
    arguments = ["train", "multinomial-diffusion", "--preset", "maps", "--data", f"maps:{tmp_path / 'maps'}", *small]
    within(*arguments, "--out", run, "--device", "cpu")
    within("sample", run, "-n", "4", "--out", str(out))
    pixels = np.asarray(Image.open(out).convert("RGB")).reshape(-1, 3)
    assert {tuple(map(int, row)) for row in np.unique(pixels, axis=0)} == {
        *PALETTE,
        (255, 255, 255),
    }  # white between them
    within("sample", run, "-n", "4", "--out", str(tmp_path / "numbers.npy"))
    kept = np.load(tmp_path / "numbers.npy")
    assert (kept.shape, int(kept.max())) == ((4, 1, 8, 8), 2)
    measures = json.loads(within("evaluate", run, "--samples", "4", "--json")[0])["measures"]
    assert "neighbours" in measures
    Image.fromarray(np.full((8, 8), 7, np.uint8)).save(tmp_path / "maps" / "wrong.png")
    _, error = within(*arguments, "--data-option", "categories=3", "--out", run + "2", status=2)
    assert "wrong.png has category 7 at row 0, column 0" in error
