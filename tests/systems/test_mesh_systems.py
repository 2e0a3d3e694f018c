"""Every system for correspondence: it learns the points of a surface, is kept and resumed, and serves the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from renote import data, systems
from renote.cli import run_command
from renote.data import MeshData
from renote.errors import DataError, UsageError
from renote.experiment import Lab, MeshRun, compare, train
from renote.experiment.correspondence import BASELINES, nearest_errors, side_by_side
from renote.graph.geometry.mesh import Mesh

NAMES = [name for name in systems.names() if systems.get(name).kind == "meshes"]
each = pytest.mark.parametrize("name", NAMES)
SMALL: dict[str, Any] = {
    "steps": 60, "features": (16, 16), "first": 8, "hidden": 32, "radius": 0.3, "angles": 4, "learning_rate": 0.01,
    "validate_every": 20, "pairs": 40, "learning_rate_schedule": "constant",
}  # fmt: skip
# times of heat, or distances of a patch
PLACES = {"anisotropic-cnn": {"times": 2, "kernel_pairs": 60}}
FEW = {"train": 5, "validation": 1, "test": 2, "shapes": 2, "subdivisions": 0}


def small(name: str, **changes: Any) -> dict[str, Any]:
    return {**SMALL, **PLACES.get(name, {"rings": 2}), **changes}


def options(name: str) -> list[str]:
    found = []
    for key, value in small(name, steps=6).items():
        found += [f"--{key.replace('_', '-')}", *(map(str, value) if isinstance(value, tuple) else [str(value)])]
    return found


def table(path: str) -> list[dict[str, str]]:
    with Path(path).open() as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def figures() -> MeshData:
    loaded = data.load("figures", **FEW)
    assert isinstance(loaded, MeshData)
    return loaded


def test_there_are_three() -> None:
    assert NAMES == ["anisotropic-cnn", "geodesic-cnn", "monet-mesh"]


@each
def test_it_learns_the_points_of_a_figure(name: str, figures: MeshData) -> None:
    system = systems.get(name)
    run = train(system, figures, system.configure(**small(name)), progress=False)
    assert isinstance(run, MeshRun)
    measures = run.evaluate()
    # one of 128 would be right by chance
    assert measures["train_accuracy"] > 12
    assert measures["test_accuracy"] > 8
    assert measures["test_accuracy"] <= measures["test_accuracy@0.05"] <= measures["test_accuracy@0.1"]
    assert 0 < measures["test_error"] < 40
    for number in (0, 7):
        assert run.predict(number).shape == (len(figures.meshes[number].vertices),)


@each
def test_it_goes_on_as_if_it_had_never_stopped(name: str, figures: MeshData, tmp_path: Path) -> None:
    system = systems.get(name)
    options = small(name, steps=6, validate_every=3)
    whole = train(system, figures, system.configure(**options), progress=False)
    train(system, figures, system.configure(**{**options, "steps": 3}), tmp_path / "run", progress=False)
    resumed = train(system, figures, system.configure(**options), tmp_path / "run", resume=True, progress=False)
    for key, value in whole.module.state_dict().items():
        assert torch.equal(value, resumed.module.state_dict()[key]), key


@each
def test_batches_of_several_meshes_are_the_mean_over_their_vertices(name: str, figures: MeshData) -> None:
    system = systems.get(name)
    run = train(system, figures, system.configure(**small(name, steps=2)), progress=False)
    task = run.module.eval()
    alone = [task({"mesh": torch.tensor([number])}) for number in (0, 3)]
    torch.testing.assert_close(task({"mesh": torch.tensor([0, 3])}), (alone[0] + alone[1]) / 2)


@each
def test_it_serves_the_command_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    trimesh = pytest.importorskip("trimesh")
    monkeypatch.chdir(tmp_path)
    figures = data.load("figures", **FEW)
    Path("poses").mkdir()
    for number, mesh in enumerate(figures.meshes):
        trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(f"poses/pose{number}.off")
    run_command(["train", name, "--data", "meshes:poses", "--out", "run", *options(name)])
    assert "next: renote correspond run A B, or renote predict run" in capsys.readouterr().err
    run_command(["evaluate", "run", "--json"])
    measures = json.loads(capsys.readouterr().out)["measures"]
    assert {"train_accuracy", "test_accuracy", "test_accuracy@0.05", "test_error"} <= set(measures)
    run_command(["predict", "run", "--out", "points.csv"])
    rows = table("points.csv")
    assert len(rows) == 2 * 128
    assert set(rows[0]) == {"mesh", "vertex", "reference", "probability"}
    run_command(["show", "run", "--out", "points.png"])
    # a mesh of another number of vertices is told as well
    cut = figures.meshes[1]
    trimesh.Trimesh(cut.vertices, cut.faces, process=False).subdivide().export("finer.ply")
    run_command(["correspond", "run", "finer.ply", "poses/pose6.off", "--out", "pairs.csv", "--picture", "pairs.png"])
    rows = table("pairs.csv")
    assert len(rows) > 128
    assert all(0 <= int(row["matched"]) < 128 and 0 <= float(row["probability"]) <= 1 for row in rows)
    assert Path("points.png").stat().st_size > 10_000
    assert Path("pairs.png").stat().st_size > 10_000
    Path("others").mkdir()
    Path("finer.ply").rename("others/finer.ply")
    run_command(["predict", "run", "--data", "meshes:others", "--out", "others.csv"])
    assert {row["mesh"] for row in table("others.csv")} == {"finer"}


def test_a_surface_corresponds_to_itself(figures: MeshData, tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    system = systems.get("geodesic-cnn")
    train(
        system, "figures", system.configure(**small("geodesic-cnn", steps=300)), tmp_path / "run", progress=False,
        data_options=FEW,
    )  # fmt: skip
    run = systems.load_run(tmp_path / "run")
    assert isinstance(run, MeshRun)
    mesh = figures.meshes[0]
    files = [tmp_path / f"{name}.off" for name in ("one", "other")]
    order = np.random.default_rng(0).permutation(len(mesh.vertices))
    for file, (vertices, faces) in zip(
        files, ((mesh.vertices, mesh.faces), (mesh.vertices[order], np.argsort(order)[mesh.faces]))
    ):
        trimesh.Trimesh(vertices, faces, process=False).export(file)
    pair = run.correspond(*files)
    right = pair.matched.numpy() == np.argsort(order)
    assert right.mean() > 0.6
    assert pair.probability.min() >= 0
    assert pair.probability.max() <= 1 + 1e-5


def test_nearest_signatures_are_exact_where_nothing_moved(figures: MeshData) -> None:
    reference = figures.reference
    whole = figures.with_meshes((reference,))
    same = MeshData("same", figures.card, whole.meshes, (torch.arange(128),), reference, *(torch.tensor([], dtype=torch.long),) * 2, torch.tensor([0]))  # fmt: skip
    assert nearest_errors(same, 16, 16).max() == 0
    moved = nearest_errors(figures, 16, 0)
    assert len(moved) == 2 * 128
    assert moved.mean() > 0.01


def test_claims_run_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim of all three on figures of 128 vertices, with a few steps: what it measures, what it keeps, what it draws."""
    lab = Lab(systems.get("monet-mesh"), "laptop", tmp_path, progress=False)
    load = lab.data
    monkeypatch.setattr(lab, "data", lambda name, **options: load(name, **{**options, **FEW}))
    candidates: dict[str, Any] = {}
    for name in NAMES:
        system = systems.get(name)
        preset = small(name, steps=8)
        candidates[name] = _with_preset(system, preset)
    outcome = side_by_side(lab, candidates, [(name, "geodesic-cnn") for name in BASELINES])
    assert set(outcome.measured) == {
        *(*BASELINES, *NAMES),
        *(f"{name}, mean error" for name in (*BASELINES, *NAMES)),
    }
    kept = json.loads((tmp_path / "measurements.json").read_text())
    assert len(kept) == 3 * (2 + 3) + 2 * 3
    assert outcome.seeds == (10, 11, 12)
    means = {name: outcome.measured[name]["mean"] for name in (*BASELINES, "geodesic-cnn")}
    assert outcome.holds == all(means[name] < means["geodesic-cnn"] for name in BASELINES)
    outcome.figure.savefig(tmp_path / "figure.png")


def _with_preset(system: Any, preset: dict[str, Any]) -> Any:
    import dataclasses

    return dataclasses.replace(system, presets={"laptop": preset})


def test_compare_tells_of_meshes(figures: MeshData) -> None:
    table = compare([systems.get("geodesic-cnn")], figures, 1, **small("geodesic-cnn", steps=2))
    assert "5 training, 1 validation, 2 test meshes" in table["protocol"]
    assert table["rows"][0]["metric"] == "test accuracy (%)"


@each
def test_wrong_options_are_told(name: str) -> None:
    system = systems.get(name)
    for change, message in (
        ({"radius": 0.0}, "radius = 0"),
        ({"features": ()}, "at least one convolution"),
        ({"angles": 0}, "angles = 0"),
        ({"heat": 0, "wave": 0}, "at least one signature"),
        ({"dropout": 1.0}, "dropout = 1"),
    ):
        with pytest.raises(UsageError, match=message):
            system.configure(**change)


def test_a_mesh_whose_faces_disagree_is_named(figures: MeshData) -> None:
    mesh = figures.meshes[0]
    faces = mesh.faces.copy()
    faces[3] = faces[3, ::-1]
    torn = figures.with_meshes((Mesh(mesh.vertices, faces),), ("torn",))
    system = systems.get("geodesic-cnn")
    run = train(system, figures, system.configure(**small("geodesic-cnn", steps=1)), progress=False)
    task = system.build(run.config, torn)
    with pytest.raises(DataError, match=r"mesh torn: faces \d+ and \d+ go round in opposite ways"):
        task.logits(0)


def test_other_systems_correspond_to_nothing(tmp_path: Path) -> None:
    from renote.experiment import train as train_any

    mlp = systems.get("mlp")
    train_any(mlp, "digits-knn", mlp.configure(steps=1), tmp_path / "mlp", progress=False)
    with pytest.raises(UsageError, match="knows no meshes"):
        run_command(["correspond", str(tmp_path / "mlp"), "a.off", "b.off"])
    with pytest.raises(UsageError, match="needs meshes whose vertices correspond"):
        systems.get("monet-mesh").train("digits-knn", steps=1, progress=False)
