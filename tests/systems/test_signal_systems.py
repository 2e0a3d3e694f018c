"""The systems for signals: what they build, that they train, what is done with their runs, and how their experiments measure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from renote import commands, systems
from renote.cli import run_command
from renote.errors import DataError, UsageError
from renote.experiment import Lab, SignalRun, compare, train
from renote.graph import ChebyshevConvolution, FourierConvolution, SignalNetwork

SMALL: dict[str, Any] = {"nodes": 0, "steps": 150, "learning_rate": 0.01, "validate_every": 50}
NAMES = ("chebnet-signals", "smooth-spectral", "spectral-cnn")


def run_of(name: str, out: Path | None = None, **changes: Any) -> SignalRun:
    system = systems.get(name)
    run = train(system, "digits", system.configure(**{**SMALL, **changes}), out, progress=False)
    assert isinstance(run, SignalRun)
    return run


def network_of(run: SignalRun) -> SignalNetwork:
    network = run.module.network
    assert isinstance(network, SignalNetwork)
    return network


@pytest.mark.parametrize("name", NAMES)
def test_it_learns_digits(name: str) -> None:
    run = run_of(name)
    found = run.evaluate()
    assert found["samples"] == 297
    assert found["test_accuracy"] > 85


def test_what_they_are_made_of() -> None:
    paper = network_of(run_of("chebnet-signals", steps=1, order=24, features=(32, 64), hidden=(512,)))
    first, second = (layer.convolution for layer in paper.layers)  # type: ignore[union-attr]
    assert isinstance(first, ChebyshevConvolution)
    assert (first.in_features, first.out_features, first.order) == (1, 32, 24)
    assert (second.in_features, second.out_features) == (32, 64)  # type: ignore[union-attr]
    assert [layer.pool for layer in paper.layers] == [4, 4]  # type: ignore[union-attr]
    assert [dense.out_features for dense in paper.dense] == [512, 10]  # type: ignore[union-attr]
    free, smooth = (
        network_of(run_of(name, steps=1, frequencies=50)).layers[0].convolution  # type: ignore[union-attr]
        for name in ("spectral-cnn", "smooth-spectral")
    )
    assert isinstance(free, FourierConvolution)
    assert isinstance(smooth, FourierConvolution)
    assert free.weight.shape == (50, 1, 12)
    assert smooth.weight.shape == (20, 1, 12)
    assert smooth.responses().shape == (50, 1, 12)
    dense = network_of(run_of("spectral-cnn", steps=1, features=(), pooling=(), hidden=(8,)))
    assert [one.in_features for one in dense.dense] == [64, 8]  # type: ignore[union-attr]


def test_some_places_are_seen_and_always_the_same_ones() -> None:
    one, other = (network_of(run_of("spectral-cnn", steps=1, nodes=40, seed=seed)) for seed in (0, 1))
    assert len(one.place.unique()) == 40
    assert torch.equal(one.place, other.place)
    seen = torch.rand(2, 1, 64)
    unseen = seen.clone()
    unseen[:, :, [place for place in range(64) if place not in one.place.tolist()]] = 7.0
    torch.testing.assert_close(one.eval()(unseen), one(seen))


def test_a_run_is_kept_and_predicts(tmp_path: Path) -> None:
    run = run_of("chebnet-signals", tmp_path / "run")
    loaded = systems.load_run(tmp_path / "run")
    assert isinstance(loaded, SignalRun)
    assert loaded.evaluate() == run.evaluate()
    held_out = run.data.test
    torch.testing.assert_close(loaded.probabilities(held_out), run.probabilities(held_out))
    commands.predict(str(tmp_path / "run"), str(tmp_path / "table.csv"))
    rows = (tmp_path / "table.csv").read_text().splitlines()
    assert rows[0] == "sample,class,probability"
    assert [int(row.split(",")[1]) for row in rows[1:]] == run.predict(held_out).tolist()
    # weights are the best on the part of the training samples that is held out, each class with its share
    learner = run.system.learner(run.config, run.data)
    assert len(learner.validation) == pytest.approx(1500 / 12, abs=3)  # type: ignore[attr-defined]
    assert not set(learner.validation.tolist()) & set(learner.train.tolist())  # type: ignore[attr-defined]
    assert run.trained is not None
    assert run.trained.best_step in (50, 100, 150)


def test_they_are_compared_with_each_other_alone() -> None:
    chosen = [systems.get(name) for name in ("spectral-cnn", "smooth-spectral")]
    found = compare(chosen, "digits", 1, steps=20, nodes=30)
    assert [row["metric"] for row in found["rows"]] == ["test accuracy (%)"] * 2
    assert "1500 samples to train and select on, 297 test samples" in found["protocol"]
    with pytest.raises(UsageError, match="different tasks"):
        compare([chosen[0], systems.get("ddpm")], "digits", 1)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("digits", {"nodes": 65}, "nodes = 65, but a sample of digits has 64 places"),
        ("toy-moons", {}, "a grid of places is needed"),
        ("digits", {"pooling": (4,)}, "give one number a graph layer"),
        ("digits", {"pooling": (3, 4)}, "powers of 2 only"),
        ("digits", {"validation_fraction": 1.0}, "validation_fraction = 1.0"),
        ("digits", {"hidden": (0,)}, r"hidden = \(0,\): each must be at least 1"),
    ],
)
def test_what_makes_no_network_is_refused(name: str, changes: dict[str, Any], message: str) -> None:
    system = systems.get("chebnet-signals")
    with pytest.raises(UsageError, match=message):
        train(system, name, system.configure(**{**SMALL, **changes}), progress=False)


def test_pictures_without_classes_are_refused(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (20, 6, 6)).astype(np.uint8)
    np.savez(tmp_path / "plain.npz", images=pictures)
    system = systems.get("spectral-cnn")
    with pytest.raises(UsageError, match="no classes to tell apart"):
        train(system, str(tmp_path / "plain.npz"), system.configure(**SMALL), progress=False)


def test_spread_of_a_filter_is_measured_in_pixels(tmp_path: Path) -> None:
    """A filter that is 1 everywhere hands an impulse on: no spread. One that keeps the lowest frequency alone spreads it over all."""
    from renote.systems import smooth_spectral

    run = run_of("spectral-cnn", steps=1, frequencies=64, features=(2,))
    convolution: Any = network_of(run).layers[0].convolution  # type: ignore[union-attr]
    with torch.no_grad():
        convolution.weight.fill_(1.0)
    assert smooth_spectral._measures(run)["spread (pixels)"] == pytest.approx(0.0, abs=1e-5)
    with torch.no_grad():
        convolution.weight[1:] = 0.0
    assert smooth_spectral._measures(run)["spread (pixels)"] > 3.0


def test_costs_are_measured_over_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from renote.systems import spectral_cnn

    monkeypatch.setattr(spectral_cnn, "SIZES", (100, 200, 400))
    outcome = systems.get("spectral-cnn").claim("cost").experiment(Lab(systems.get("spectral-cnn"), "laptop", tmp_path))
    assert outcome.measured["seconds at 400 nodes, layer"] > 0
    assert outcome.figure.axes[0].get_xlabel() == "nodes"


@pytest.mark.parametrize("name", NAMES)
def test_filters_are_drawn(name: str, tmp_path: Path) -> None:
    """Through the command line; a panel a graph layer, over the eigenvalues of its graph."""
    out = str(tmp_path / "run")
    run_of(name, Path(out), steps=1)
    run_command(["show", out, "--out", str(tmp_path / "filters.png")])
    assert min(Image.open(tmp_path / "filters.png").size) > 300
    run: Any = systems.load_run(out)
    figure = run.picture()
    layers = [layer.convolution for layer in network_of(run).layers]  # type: ignore[union-attr]
    assert len(figure.axes) == len(layers)
    shown = dict(zip(("values", "heights"), figure.axes[0].get_lines()[0].get_data()))
    number = figure.axes[0].get_lines()[0].get_label()
    ins, outs = map(int, str(number).split(" → "))
    values = torch.as_tensor(shown["values"])
    filters = layers[0].responses(values.float()) if name == "chebnet-signals" else layers[0].responses()
    np.testing.assert_allclose(shown["heights"], filters[:, ins, outs].detach(), rtol=1e-5)
    with pytest.raises(UsageError, match="node = 3: filters are the same at all nodes"):
        run.picture(3)


def test_without_graph_layers_there_are_no_filters(tmp_path: Path) -> None:
    run = run_of("spectral-cnn", tmp_path / "run", steps=1, features=(), pooling=())
    with pytest.raises(UsageError, match=r"has no graph layers, so no filters to draw: use renote predict"):
        run.picture()


def sensors(tmp_path: Path) -> tuple[Path, Path]:
    """Noise that is smooth over a ring of twelve places in one class, and changes sign at every place in the other."""
    rng, place = np.random.default_rng(0), np.arange(12)
    label = np.arange(200) % 2
    phase = rng.uniform(0, 2 * np.pi, 200)
    smooth = np.cos(2 * np.pi * place / 12 + phase[:, None])
    signal = np.where(label[:, None] == 1, smooth * (-1.0) ** place, smooth) + rng.normal(0, 0.1, (200, 12))
    np.savez(tmp_path / "sensors.npz", images=signal[:, None].astype(np.float32), labels=label)
    ring = tmp_path / "edges.csv"
    ring.write_text("source,target,weight\n" + "".join(f"{k},{(k + 1) % 12},1.5\n" for k in place))
    return tmp_path / "sensors.npz", ring


OF_RING: dict[str, Any] = {
    "features": (8,),
    "pooling": (1,),
    "hidden": (16,),
    "dropout": 0.0,
    "steps": 150,
    "learning_rate": 0.01,
}


def test_signals_on_a_graph_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples, ring = sensors(tmp_path)
    run = systems.get("chebnet-signals").train(
        str(samples), tmp_path / "run", progress=False, edges=str(ring), order=3, **OF_RING
    )
    assert run.evaluate()["test_accuracy"] > 90  # type: ignore[attr-defined]
    (layer,) = network_of(run).layers  # type: ignore[arg-type]
    joined = layer.adjacency.to_dense()  # type: ignore[union-attr]
    assert torch.equal(joined, joined.T)
    assert joined.count_nonzero(1).tolist() == [2] * 12
    run_command(["evaluate", str(tmp_path / "run"), "--json"])
    assert '"test_accuracy"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("source,target\n0,12\n", r"edges.csv, line 2: the target '12' is no place: a sample has 12, from 0 to 11"),
        ("source,target\n-1,2\n", r"line 2: the source '-1' is no place"),
        ("source,target\n1,2\n01,3\n", "writes a place in two ways"),
        ("source,target,weight\n1,2,0\n", "weights that are not above 0"),
        ("source,other\n1,2\n", "the column 'target' is missing"),
    ],
)
def test_a_wrong_graph_of_places_is_told(tmp_path: Path, table: str, message: str) -> None:
    samples, ring = sensors(tmp_path)
    ring.write_text(table)
    with pytest.raises(DataError, match=message):
        systems.get("chebnet-signals").train(str(samples), progress=False, edges=str(ring), **{**OF_RING, "steps": 1})
