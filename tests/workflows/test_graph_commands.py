"""Molecules on the command line: from a user's table of SMILES to a file of new ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import within

SMALL = ["--width", "16", "--edge-width", "8", "--global-width", "8", "--layers", "1", "--channels", "4"]


def test_from_a_table_of_smiles_to_new_ones(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    table = tmp_path / "own.csv"
    table.write_text("smiles\n" + "\n".join(["CCO", "CCN", "CC=O", "C1CC1", "C#CC", "CCCC", "CN", "C"] * 3) + "\n")
    run, out = str(tmp_path / "run"), tmp_path / "made.smi"
    said = within(
        "train",
        "graph-diffusion",
        "--data",
        f"molecules:{table}",
        *SMALL,
        "--num-train-steps",
        "8",
        "--steps",
        "30",
        "--device",
        "cpu",
        "--out",
        run,
    )[1]
    assert f"next: renote sample {run} --out samples.smi" in said
    said = within("sample", run, "-n", "12", "--out", str(out), "--film", str(tmp_path / "way.png"))
    assert "made.smi and" in "".join(said)
    assert len(out.read_text().split("\n")) == 13
    assert (tmp_path / "made.png").exists()
    assert (tmp_path / "way.png").exists()
    within("sample", run, "-n", "12", "--out", str(tmp_path / "made.npy"), "--steps", "4")
    rows = np.load(tmp_path / "made.npy")
    assert rows.shape == (12, 10)
    measures = json.loads(within("evaluate", run, "--samples", "20", "--bits", "bound", "--json")[0])["measures"]
    assert {"validity", "sanitized", "uniqueness", "novelty", "bits"} < set(measures)
    _, error = within("sample", run, "-n", "2", "--out", str(tmp_path / "made.gif"), status=2)
    assert "SMILES (.smi)" in error
