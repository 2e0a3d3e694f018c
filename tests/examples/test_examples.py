"""Every example runs, and so does every example within a docstring."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import renote
from renote import systems
from renote.cli import run_command
from renote.errors import UsageError

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_example(example: Path, tmp_path: Path) -> None:
    arguments = ["3"] if example.stem == "generate_digits" else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(example), *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_an_own_corruption_is_known_to_every_command(tmp_path: Path) -> None:
    example = ROOT / "examples" / "own_corruption.py"
    assert len(example.read_text().splitlines()) < 60
    small = ["--preset", "small", "--steps", "2", "--channels", "8", "--multipliers", "1", "2", "--attention", "2"]
    for arguments in (
        ["train", "cold-diffusion", "--degradation", "curtain", "--data", "digits", "--out", "run", *small],
        ["sample", "run", "-n", "3", "--out", "samples.npy", "--film", "way.png", "--option", "algorithm=naive"],
        ["evaluate", "run", "--samples", "8", "--json"],
    ):
        command = [sys.executable, str(example), *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert '"system": "cold-diffusion"' in done.stdout
    assert (tmp_path / "samples.npy").exists()
    assert (tmp_path / "way.png").exists()
    # without the file nobody knows what a curtain is, but where it was is told
    for command in (["sample", "run"], ["evaluate", "run"], ["restore", "run"]):
        with pytest.raises(UsageError, match=r"'curtain' is of your own code, which was in own_corruption.py: import"):
            run_command([command[0], str(tmp_path / command[1])])
    with pytest.raises(UsageError, match="Known: animorph"):
        systems.get("cold-diffusion").train("digits", preset="small", degradation="curtains", progress=False)


def test_an_own_corruption_is_compared_resumed_and_restores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whoever imported its file, as a module."""
    from renote import experiment
    from renote.diffusion.process import OPERATORS

    monkeypatch.setattr("renote.diffusion.process.OPERATORS", known := dict(OPERATORS))
    monkeypatch.syspath_prepend(ROOT / "examples")
    module = importlib.import_module("own_corruption")
    assert known["curtain"] is module.Curtain
    small: dict[str, Any] = {"channels": 8, "multipliers": (1, 2), "attention": (2,), "degradation": "curtain"}
    cold = systems.get("cold-diffusion")
    row = experiment.compare([cold], "digits", 2, preset="small", samples=8, steps=1, **small)["rows"][0]
    assert row["name"] == "cold-diffusion"
    assert len(row["values"]) == 2
    for steps in (1, 2):
        run = cold.train("digits", tmp_path / "run", preset="small", progress=False, resume=True, steps=steps, **small)
    assert run.trained is not None
    assert run.trained.step == 2
    again = systems.load_run(tmp_path / "run")
    assert again.config.degradation_file == "own_corruption.py"
    assert torch.equal(again.sample(2), run.sample(2))
    run_command(
        ["restore", str(tmp_path / "run"), "-n", "2", "--strength", "0.6", "--out", str(tmp_path / "pairs.npy")]
    )
    clean, degraded, _ = np.load(tmp_path / "pairs.npy")
    # at 0.6 the curtain hides four of eight rows and most of the fifth; the others are as they were
    assert np.array_equal(clean[:, :, 5:], degraded[:, :, 5:])
    assert not np.array_equal(clean[:, :, :4], degraded[:, :, :4])
    del sys.modules["own_corruption"]


def modules() -> list[str]:
    return [module.name for module in pkgutil.walk_packages(renote.__path__, "renote.")]


@pytest.mark.parametrize("name", modules())
def test_docstrings(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0


OCTAHEDRON = """OFF
6 8 0
1 0 0
-1 0 0
0 1 0
0 -1 0
0 0 1
0 0 -1
3 0 2 4
3 2 1 4
3 1 3 4
3 3 0 4
3 2 0 5
3 1 2 5
3 3 1 5
3 0 3 5
"""


def test_the_python_of_the_page_of_graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its snippets run one after the other, with a surface and features for the one that has none."""
    import torch

    page = (ROOT / "docs" / "pages" / "graphs.md").read_text()
    snippets = [part.split("```")[0] for part in page.split("```python\n")[1:]]
    assert len(snippets) >= 11
    (tmp_path / "one.off").write_text(OCTAHEDRON)
    monkeypatch.chdir(tmp_path)
    names = {"features": torch.zeros(6, 16), "__name__": "page"}
    for snippet in snippets:
        exec(snippet, names)


def test_the_python_of_the_page_of_diffusion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its snippets run each on its own, with a denoiser for the one that has none, and short trainings of narrow networks."""
    from renote.diffusion.process import OPERATORS, TRANSITIONS

    page = (ROOT / "docs" / "pages" / "diffusion.md").read_text()
    snippets = [part.split("```")[0] for part in page.split("```python\n")[1:]]
    assert len(snippets) == 3
    monkeypatch.setitem(OPERATORS, "fade", None)
    monkeypatch.setitem(TRANSITIONS, "rising", None)
    short = {"steps": 1, "batch_size": 4, "channels": 8, "blocks": 1, "attention": (), "head_channels": 8}
    for name, preset in (("cold-diffusion", "small"), ("d3pm", "digits")):
        presets = systems.get(name).presets
        monkeypatch.setitem(presets, preset, presets[preset] | short)
    runs = []
    for snippet in snippets:
        names: dict[str, Any] = {"denoiser": lambda noisy, t, condition: 0 * noisy, "__name__": "page"}
        exec(snippet, names)
        runs.append(names.get("run"))
    assert [run and run.sample(2, steps=2).shape for run in runs] == [None, (2, 1, 8, 8), (2, 1, 8, 8)]
    assert "Jumps(17)" in repr(runs[2].module.process)


def test_the_page_of_the_users_own_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands do what it says, on the tables that come with it; those of several graphs, which have none, have a test of their own."""
    page = (ROOT / "docs" / "pages" / "own-graph.md").read_text().partition("\n## Several graphs\n")[0]
    for table in (ROOT / "examples").glob("*.csv"):
        shutil.copy(table, tmp_path)
    monkeypatch.chdir(tmp_path)
    commands = [line for line in page.splitlines() if line.startswith("renote ")]
    assert len(commands) == 10
    for command in commands:
        run_command(
            [*shlex.split(command)[1:], *(["--epochs", "1"] if command.startswith("renote train seal") else [])]
        )
    assert (tmp_path / "likely.csv").read_text().startswith("source,target,score\n")
    for picture in ("likely.png", "club.png"):
        assert (tmp_path / picture).stat().st_size > 10_000


def test_several_graphs_on_the_page_of_the_users_own_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands do what it says, on small tables of the columns that it shows; with a few steps."""
    page = (ROOT / "docs" / "pages" / "own-graph.md").read_text().partition("\n## Several graphs\n")[2]
    monkeypatch.chdir(tmp_path)
    parts = {"Bern": "train", "Chur": "train", "Genf": "validation", "Thun": "test"}
    for prefix, header in (("", "id,graph,label,split,width,lanes"), ("new_", "id,graph,width,lanes")):
        nodes, edges = [header], ["source,target"]
        for town, part in parts.items():
            for k in range(6):
                told = f"{'square' if k % 2 else 'street'},{part}," if not prefix else ""
                nodes.append(f"{town}-{k},{town},{told}{6 + 5 * (k % 2)}.5,{1 + k % 2}")
                edges.append(f"{town}-{k},{town}-{(k + 1) % 6}")
        Path(f"{prefix}nodes.csv").write_text("\n".join(nodes))
        Path(f"{prefix}edges.csv").write_text("\n".join(edges))
    commands = [line for line in page.splitlines() if line.startswith("renote ")]
    assert [command.split()[1] for command in commands] == ["train", "evaluate", "predict", "compare"]
    for command in commands:
        given = shlex.split(command, comments=True)[1:]
        run_command([*given, *(["--steps", "3"] if given[0] in ("train", "compare") else [])])
    found = Path("predictions.csv").read_text().splitlines()
    assert len(found) == 1 + 24
    assert found[1].startswith("Bern-0,")


def test_the_page_of_the_users_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands do what it says, on the files that its example writes; with a few steps."""
    page = (ROOT / "docs" / "pages" / "own-files.md").read_text()
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, str(ROOT / "examples" / "own_files.py")], check=True, capture_output=True)
    commands = [line for line in page.splitlines() if line.startswith("renote ")]
    graphs, ratings = ["data", "train", "evaluate", "predict", "show"], ["train", "evaluate", "recommend", "show"]
    assert [command.split()[1] for command in commands] == [*graphs, *ratings]
    for command in commands:
        given = shlex.split(command, comments=True)[1:]
        run_command([*given, *(["--steps", "20"] if given[0] == "train" else [])])
    towns = (tmp_path / "towns.csv").read_text().splitlines()
    assert towns[0] == "graph,class,probability"
    assert len(towns) == 1 + 120
    books = (tmp_path / "books.csv").read_text().splitlines()
    assert books[0] == "user,rank,item,score"
    assert [row.split(",")[0] for row in books[1:]] == ["reader007"] * 5 + ["reader042"] * 5
    for picture in ("towns.png", "books.png"):
        assert (tmp_path / picture).stat().st_size > 10_000


def test_the_page_of_the_users_own_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands do what it says, on the files that its example writes; with a few steps."""
    page = (ROOT / "docs" / "pages" / "own-facts.md").read_text()
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, str(ROOT / "examples" / "own_facts.py")], check=True, capture_output=True)
    assert all(line in Path("films.tsv").read_text() for line in page.splitlines() if "\t" in line)
    commands = [line for line in page.splitlines() if line.startswith("renote ")]
    assert [command.split()[1] for command in commands] == [
        "data",
        "train",
        "evaluate",
        "complete",
        "complete",
        "predict",
        "show",
    ]
    for command in commands:
        run_command([*shlex.split(command)[1:], *(["--steps", "50"] if command.startswith("renote train") else [])])
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 1 + 3 * 60
    assert (tmp_path / "missing.csv").read_text().startswith("head,relation,tail,probability\n")
    assert (tmp_path / "films.png").stat().st_size > 10_000


def test_the_page_of_the_users_own_surfaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands do what it says, on the files that its example writes; with a few steps."""
    pytest.importorskip("trimesh")
    page = (ROOT / "docs" / "pages" / "own-meshes.md").read_text()
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, str(ROOT / "examples" / "own_meshes.py")], check=True, capture_output=True)
    for pose in sorted(Path("poses").iterdir())[12:]:
        pose.unlink()
    commands = [line for line in page.splitlines() if line.startswith("renote ")]
    assert [command.split()[1] for command in commands] == ["data", "train", "evaluate", "correspond"]
    for command in commands:
        run_command([*shlex.split(command)[1:], *(["--steps", "20"] if command.startswith("renote train") else [])])
    assert (tmp_path / "pairs.csv").read_text().startswith("vertex,matched,reference,probability\n")
    assert (tmp_path / "pairs.png").stat().st_size > 10_000
