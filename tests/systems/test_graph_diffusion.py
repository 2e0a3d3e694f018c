"""Diffusion of graphs: settings, training, samples, and the whole way through the command line."""

import importlib
import json
import math

import pytest
import torch

from renote import data, evaluate, systems
from renote.cli import run_command
from renote.diffusion import process as processes
from renote.errors import UsageError
from renote.experiment import Lab
from renote.graph import matrices

SYSTEM = systems.get("graph-diffusion")
SMALL = {"width": 16, "edge_width": 8, "global_width": 8, "layers": 1, "channels": 4, "num_train_steps": 8}
MOLECULES = ["CCO", "CCN", "CC=O", "C1CC1", "C#CC", "OCCO", "NCC=O", "CCCC", "CN", "C"] * 3


@pytest.fixture
def molecules(tmp_path):
    pytest.importorskip("rdkit")
    path = tmp_path / "own.csv"
    path.write_text("smiles\n" + "\n".join(MOLECULES) + "\n")
    return f"molecules:{path}"


def test_frequencies_are_the_datas():
    loaded = data.load("small-communities", graphs=40, least=5, most=7)
    config = SYSTEM.settle(SYSTEM.configure(), loaded)
    edges = matrices(loaded.train.long())[1].triu(1)
    sizes = (loaded.train[:, :7] == 0).sum(1)
    joined = float((edges == 1).sum() / (sizes * (sizes - 1) / 2).sum())
    assert config.node_chances == (1.0,)
    assert config.edge_chances == pytest.approx((1 - joined, joined))
    assert config.size_chances == pytest.approx([float((sizes == n).double().mean()) for n in range(1, 8)])
    # what is given is kept
    given = SYSTEM.configure(edge_chances=(0.5, 0.5), size_chances=(0.0,) * 4 + (1.0,) * 3)
    assert SYSTEM.settle(given, loaded).size_chances == given.size_chances
    for wrong, said in (
        (
            {"node_chances": (0.5, 0.5)},
            r"node_chances = \(0.5, 0.5\): small-communities takes 1, one for each type of nodes; give",
        ),
        ({"edge_chances": (0.5,)}, "edge_chances = .* takes 2, one for each type of edges, none among them; give"),
        ({"size_chances": (1.0,)}, "size_chances = .* takes 7, one for each number of nodes, from 1; give"),
        (
            {"size_chances": (1.0, *(0.0,) * 6)},
            "size_chances = .*: small-communities has graphs of 5 nodes.* is 0; give",
        ),
        ({"edge_chances": (-1.0, 2.0)}, "edge_chances = .*: frequencies are finite, none is negative"),
        ({"edge_chances": (0.0, 0.0)}, "edge_chances = .*: frequencies .* and one positive"),
        ({"edge_chances": (math.nan, 1.0)}, "edge_chances = .*: frequencies are finite"),
    ):
        with pytest.raises(UsageError, match=said):
            SYSTEM.settle(SYSTEM.configure(**wrong), loaded)


class Leap(processes.Uniform):
    """A transition of one's own."""


def test_a_transition_of_ones_own_and_jumps(tmp_path, monkeypatch):
    monkeypatch.setitem(processes.TRANSITIONS, "leap", Leap)
    # one that needs what d3pm gives
    monkeypatch.setitem(processes.TRANSITIONS, "far", lambda k, reach: processes.nearest_jumps(k, reach))
    loaded = data.load("small-planar", graphs=20, least=5, most=6)
    for name, of in {"leap": "Leap(2)", "far": "Jumps(2)", "gaussian": "Jumps(2)", "nearest": "Jumps(2)"}.items():
        folder = tmp_path / name
        run = SYSTEM.train(loaded, folder, progress=False, preset="graphs", **SMALL, steps=1, transition=name)
        process = run.module.process
        assert repr(process.transition) == f"Parts(6 × Fixed(1), 15 × {of})"
        assert set((run.sample(20) == 2).sum(1).tolist()) == {0, 6}  # 5 nodes, and pairs, of 6
    assert repr(systems.load_run(tmp_path / "leap").module.process.transition).endswith("Leap(2))")
    for name, hint in {"leep": "leap", "margnal": "marginal"}.items():
        with pytest.raises(UsageError, match=f"unknown transition '{name}'. Did you mean {hint}"):
            SYSTEM.train(loaded, progress=False, preset="graphs", **SMALL, steps=1, transition=name)


@pytest.mark.parametrize("transition", ["marginal", "uniform", "absorbing"])
def test_training_learns_and_samples_are_graphs(transition):
    loaded = data.load("small-planar", graphs=60, least=5, most=6)
    changes = SMALL | {"steps": 60, "batch_size": 32, "transition": transition, "device": "cpu", "seed": 1}
    run = SYSTEM.train(loaded, progress=False, preset="graphs", **changes)
    untrained = SYSTEM.train(loaded, progress=False, preset="graphs", **{**changes, "steps": 1})
    assert run.bits(24)["bits_per_dimension"] < untrained.bits(24)["bits_per_dimension"] - 0.05
    samples = run.sample(30, seed=3)
    assert samples.shape == (30, 21)
    sizes = (samples[:, :6] == 0).sum(1)
    assert set(sizes.tolist()) == {5, 6}
    assert all(int((row[6:] == 2).sum()) == (0 if size == 6 else 5) for row, size in zip(samples, sizes))
    # sample i is the same in any batch
    assert torch.equal(run.sample(4, seed=5), samples[2:6])


@pytest.mark.parametrize("transition", ["marginal", "absorbing"])
def test_the_bound_as_objective(transition):
    loaded = data.load("small-planar", graphs=60, least=5, most=6)
    changes = SMALL | {"batch_size": 32, "transition": transition, "bound_weight": 1.0, "hybrid": 0.01, "device": "cpu"}
    before, after = (SYSTEM.train(loaded, progress=False, preset="graphs", **changes, steps=n) for n in (1, 60))
    assert after.bits(24)["bits_per_dimension"] < before.bits(24)["bits_per_dimension"] - 0.05
    with pytest.raises(UsageError, match="bound_weight = 0"):
        SYSTEM.train(loaded, progress=False, preset="graphs", bound_weight=0.0, hybrid=0.0, steps=1)


def test_not_for_other_data():
    run = SYSTEM.train(
        data.load("small-planar", graphs=20, least=5, most=6), progress=False, preset="graphs", **SMALL, steps=1
    )
    with pytest.raises(UsageError, match="method = 'ode': bits of this graph-diffusion are measured by bound"):
        run.bits(2, method="ode")
    with pytest.raises(UsageError, match="no graphs to generate"):
        SYSTEM.train("digits", progress=False, steps=1)
    with pytest.raises(UsageError, match="sampling_steps = 600"):
        SYSTEM.configure("paper", sampling_steps=600)


def test_the_claim_runs(tmp_path, molecules, monkeypatch):
    """The experiment as it is, on a few molecules for a few steps, twice: the second time everything is there."""
    module = importlib.import_module("renote.systems.graph_diffusion")
    monkeypatch.setitem(module.SYSTEM.presets, "laptop", module.LAPTOP | SMALL | {"steps": 60, "device": "cpu"})
    lab = Lab(SYSTEM, "laptop", tmp_path, progress=False)
    loaded = data.load(molecules, kekulize=True)
    monkeypatch.setattr(lab, "data", lambda name, **options: loaded)
    monkeypatch.setattr(
        "renote.experiment.sample.reload_data", lambda folder: pytest.fail("the run still has its data")
    )
    outcome = SYSTEM.claim("qm9").experiment(lab)
    assert outcome.seeds == (0, 1, 2)
    assert 0 < outcome.measured["validity, %"]["mean"] <= 100
    assert outcome.measured["validity, %"]["mean"] <= outcome.measured["sanitized, %"]["mean"]
    assert isinstance(outcome.holds, bool)
    evaluate.save_figure(outcome.figure, tmp_path / "figure.png")
    again = SYSTEM.claim("qm9").experiment(lab)
    assert again.measured == outcome.measured


def test_evaluate_draws_the_properties_of_molecules(tmp_path, molecules, monkeypatch, capsys):
    """By the command, beside the measures that it tells without a picture."""
    run, other, target = (str(tmp_path / name) for name in ("run", "other", "made.svg"))
    small = [f"--{key.replace('_', '-')}={value}" for key, value in SMALL.items()]
    run_command(["train", "graph-diffusion", "--data", molecules, "--out", run, "--steps", "60", *small])
    drawn, draw = [], evaluate.draw_properties
    monkeypatch.setattr(
        "renote.evaluate.molecules.draw_properties", lambda columns: drawn.append(columns) or draw(columns)
    )
    found = []
    for more in ([], ["--picture", target]):
        capsys.readouterr()
        run_command(["evaluate", run, "--samples", "30", "--json", *more])
        found.append(json.loads(capsys.readouterr().out)["measures"])
    assert found[0] == found[1]
    assert found[0]["validity"] > 0
    (columns,) = drawn
    assert list(columns) == ["held out", "made"]
    assert len(columns["made"]["atoms"]) == round(30 * found[0]["validity"])
    assert "polar surface" in (tmp_path / "made.svg").read_text()
    with pytest.raises(UsageError, match="write a picture"):
        run_command(["evaluate", run, "--picture", "made.gif"])
    SYSTEM.train(
        data.load("small-planar", graphs=20, least=5, most=6),
        other,
        progress=False,
        preset="graphs",
        **SMALL,
        steps=1,
    )
    with pytest.raises(UsageError, match="picture = made.png: only properties of molecules.* small-planar; leave"):
        run_command(["evaluate", other, "--picture", "made.png"])


def test_the_claim_of_small_graphs_runs(tmp_path, monkeypatch):
    """On a few graphs for a few steps: what is drawn at random has the data's sizes and density, and all is kept."""
    module = importlib.import_module("renote.systems.graph_diffusion")
    monkeypatch.setitem(module.SYSTEM.presets, "graphs", module.LAPTOP | SMALL | {"steps": 2, "device": "cpu"})
    lab = Lab(SYSTEM, "laptop", tmp_path, progress=False)
    monkeypatch.setattr(lab, "data", lambda name, **options: data.load(name, graphs=40, least=5, most=6))
    claims = importlib.import_module("renote.experiment.graph_claims")
    measure = claims._distances
    monkeypatch.setattr(claims, "_distances", lambda run, count, seed: measure(run, 12, seed))
    outcome = SYSTEM.claim("small-graphs").experiment(lab)
    assert outcome.seeds == (0, 1, 2)
    assert isinstance(outcome.holds, bool)
    for name in claims.SETS:
        for kind in claims.MEASURES:
            for whose in claims.WHOSE:
                assert 0 <= outcome.measured[f"{name}, {kind}, {whose}"]["mean"] < 2
    evaluate.save_figure(outcome.figure, tmp_path / "figure.png")
    run = SYSTEM.train(lab.data("small-planar"), progress=False, preset="graphs")
    rows = claims._random(run, 400, 0)
    sizes = (rows[:, :6] == 0).sum(1)
    assert set(sizes.tolist()) == {5, 6}
    joined = float((rows[:, 6:] == 1).sum() / (sizes * (sizes - 1) / 2).sum())
    assert joined == pytest.approx(run.config.edge_chances[1], abs=0.03)
