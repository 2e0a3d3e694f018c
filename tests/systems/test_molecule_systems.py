"""Every system for molecules: it learns values, predicts for tables without them, and serves the command line; what is refused."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from renote import commands, data, systems
from renote.cli import run_command
from renote.data import Card, GraphData
from renote.errors import UsageError
from renote.experiment import GraphValueRun, Lab, compare, train
from renote.graph import Adjacency, Graph, batch

pytest.importorskip("rdkit", reason="RDKit is not installed: pip install 'renote[molecules]'")

NAMES = ["circular-fingerprint", "neural-fingerprint", "weave", "mpnn"]
each = pytest.mark.parametrize("name", NAMES)
SMALL: dict[str, Any] = {"steps": 150, "hidden": 16, "batch_size": 16, "learning_rate": 0.01, "validate_every": 25}


def table(folder: Path, name: str = "mine.csv", header: str = "smiles,oxygens") -> str:
    """Chains of carbon with some oxygens, whose number is to be told, and a row that is none."""
    rows = [header]
    for length in range(3, 12):
        for oxygens in range(5):
            chain = "".join("CO" if k < oxygens else "C" for k in range(length))
            rows.append(f"{chain},{oxygens}" if "," in header else chain)
    rows.insert(3, "C(C,1" if "," in header else "C(C")
    (folder / name).write_text("\n".join(rows) + "\n")
    return f"molecules:{folder}/{name}"


@each
def test_it_learns_values_and_predicts_for_others(name: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = {"unit": "atoms", "seed": 1}
    run = train(
        systems.get(name),
        table(tmp_path),
        systems.get(name).configure(**SMALL),
        out,
        progress=False,
        data_options=options,
    )
    assert isinstance(run, GraphValueRun)
    found = run.evaluate()
    assert found["unit"] == "atoms"
    assert found["test_rmse"] < 0.8 < float(run.data.values.std())  # type: ignore[union-attr]
    assert 0 < found["test_mae"] <= found["test_rmse"]
    again = systems.load_run(out)
    torch.testing.assert_close(again.predict(), run.predict())  # type: ignore[attr-defined]
    assert again.data.units == ("atoms",)
    # a table without the target
    other = systems.load_run(out, table(tmp_path, "other.csv", "smiles"))
    assert (other.data.targets, other.data.units) == (("oxygens",), ("atoms",))
    commands.predict(str(out), str(tmp_path / "p.csv"), table(tmp_path, "other.csv", "smiles"))
    with (tmp_path / "p.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 45
    assert list(rows[0]) == ["row", "smiles", "oxygens"]
    assert [int(row["row"]) for row in rows[:4]] == [2, 3, 5, 6]
    assert [float(row["oxygens"]) for row in rows] == pytest.approx(run.predict().squeeze(1).tolist(), abs=1e-3)


def test_atoms_are_coloured_by_what_they_add(tmp_path: Path) -> None:
    run = systems.get("neural-fingerprint").train(table(tmp_path), tmp_path / "run", progress=False, **SMALL)
    (tmp_path / "n.csv").write_text("smiles\nCCCOC\nCCCCCC\nC(\nCOCC\n")
    line = ["predict", str(tmp_path / "run"), "--data", f"molecules:{tmp_path}/n.csv", "--out", str(tmp_path / "p.csv")]
    run_command([*line, "--picture", str(tmp_path / "atoms.svg"), "--molecules", "2"])
    assert (tmp_path / "atoms.svg").read_text().count("<image") >= 2
    run_command([*line, "--picture", str(tmp_path / "atoms.png")])
    assert (tmp_path / "atoms.png").stat().st_size > 10_000
    # the oxygen adds most to the number of oxygens
    other = systems.load_run(tmp_path / "run", f"molecules:{tmp_path}/n.csv")
    added = other.module.contributions().squeeze(1)  # type: ignore[operator]
    assert len(added) == 5 + 6 + 4
    assert int(added[:5].argmax()) == 3
    assert int(added[11:].argmax()) == 1
    with pytest.raises(UsageError, match="at least one"):
        run.draw_contributions(0)
    with pytest.raises(UsageError, match="unknown target"):
        run.draw_contributions(2, "oxygen")
    fixed = systems.get("circular-fingerprint").train(table(tmp_path), progress=False, **SMALL)
    with pytest.raises(UsageError, match="circular-fingerprint looks at no atoms"):
        fixed.draw_contributions()


def test_classes_of_molecules_are_kept_for_others(tmp_path: Path) -> None:
    rows = [f"{'C' * k}{end},{label}" for k in range(2, 22) for end, label in (("O", "alcohol"), ("N", "amine"))]
    (tmp_path / "c.csv").write_text("smiles,label\n" + "\n".join(rows) + "\n")
    out = str(tmp_path / "run")
    line = ["train", "neural-fingerprint", "--data", f"molecules:{tmp_path}/c.csv", "--out", out, "--steps", "60"]
    run_command([*line, "--learning-rate", "0.01", "--validate-every", "20"])
    # those of one class alone, and none at all
    (tmp_path / "one.csv").write_text("smiles,label\nCCCN,amine\n")
    one = systems.load_run(out, f"molecules:{tmp_path}/one.csv")
    assert one.data.classes == ("alcohol", "amine")
    assert one.data.labels.tolist() == [1]
    (tmp_path / "none.csv").write_text("smiles,other\nCCCN,x\nCCCCO,y\n")
    commands.predict(out, str(tmp_path / "p.csv"), f"molecules:{tmp_path}/none.csv")
    with pytest.raises(UsageError, match="only values of molecules are drawn"):
        commands.predict(out, str(tmp_path / "p.csv"), f"molecules:{tmp_path}/none.csv", str(tmp_path / "a.png"))
    told = [line.split(",")[1] for line in (tmp_path / "p.csv").read_text().splitlines()]
    assert told == ["class", "amine", "alcohol"]


def test_several_targets(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("smiles,a,b\n" + "\n".join(f"{'C' * k},{k},{-10 * k}" for k in range(1, 25)) + "\n")
    run = systems.get("mpnn").train(
        data.load(f"molecules:{tmp_path}/m.csv", target=["a", "b"]), progress=False, **{**SMALL, "distance": 2}
    )
    found = run.evaluate()
    assert run.predict().shape == (24, 2)
    assert found["test_rmse"] == pytest.approx((found["test_rmse_a"] + found["test_rmse_b"]) / 2)
    assert "unit" not in found


def test_other_systems_for_graphs_tell_values_too(mirror: Path) -> None:
    found = compare(
        [systems.get("gin"), systems.get("circular-fingerprint")], data.load("freesolv", n=120), 1, steps=20
    )
    assert [row["metric"] for row in found["rows"]] == ["test RMSE (kcal/mol)"] * 2
    assert all(row["mean"] > 0 for row in found["rows"])


def test_what_is_refused(tmp_path: Path, mirror: Path) -> None:
    with pytest.raises(UsageError, match="neither classes nor values"):
        systems.get("gin").train(data.load("qm9", n=10), progress=False)
    ring = Graph(torch.ones(3, 4), Adjacency.from_edges([0, 1, 2], [1, 2, 0], 3))
    card = Card("own", "", "graphs", 2, (4,), ("a", "b"), "", "")
    part = torch.tensor([0, 1]).split(1)
    plain = GraphData(
        "own", card, batch([ring, ring]), torch.tensor([0, 1]), *part, torch.tensor([]).long(), ("a", "b")
    )
    with pytest.raises(UsageError, match="reads SMILES, which own has not"):
        systems.get("circular-fingerprint").train(plain, progress=False)
    with pytest.raises(UsageError, match="distance = 0"):
        systems.get("mpnn").configure(distance=0)
    with pytest.raises(UsageError, match="distance = -1"):
        systems.get("weave").configure(distance=-1)
    with pytest.raises(UsageError, match="radius = -1"):
        systems.get("circular-fingerprint").configure(radius=-1)
    from renote.experiment import Protocol, fair

    with pytest.raises(UsageError, match="not graphs with a class each"):
        fair(Lab(systems.get("gin"), "laptop", tmp_path, progress=False), systems.get("gin"), "freesolv", Protocol())


@pytest.mark.parametrize("name", [name for name in NAMES if systems.get(name).claims])
def test_the_claim_runs(name: str, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from renote.experiment import molecules

    system = systems.get(name)
    lab = Lab(system, "laptop", tmp_path, progress=False)
    baseline = systems.get("circular-fingerprint")
    found = molecules.property_claim(
        lab, baseline, {"freesolv": (100.0, 1.0)}, steps=4, validate_every=2, batch_size=16
    )
    assert found.seeds == (0, 1, 2)
    assert set(found.measured) == {f"freesolv {name}", "freesolv circular-fingerprint"}
    better = found.measured[f"freesolv {name}"]["mean"] < found.measured["freesolv circular-fingerprint"]["mean"]
    assert found.holds is better
