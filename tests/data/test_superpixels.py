"""Superpixel graphs: regions by hand, touching by brute force, the cache, monet on them, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from renote import data, systems
from renote.data import GraphData
from renote.data.superpixels import _touching, superpixels
from renote.errors import DataError
from renote.experiment import Lab
from renote.graph import unbatch

pytest.importorskip("skimage", reason="scikit-image is not installed: pip install 'renote[superpixels]'")


def loaded(name: str = "superpixels:digits", **options: Any) -> GraphData:
    found = data.load(name, **options)
    assert isinstance(found, GraphData)
    return found


def test_two_halves_are_two_kinds_of_regions() -> None:
    image = np.zeros((12, 16, 1))
    image[:, 8:] = 1
    found = superpixels(image, 8, 0.05)
    assert set(np.unique(found["x"].round(12))) == {0, 1}
    for k in range(len(found["x"])):
        row, column = np.nonzero(found["region"] == k)
        assert found["position"][k] == pytest.approx([column.mean() / 15, row.mean() / 15])
        assert (column < 8).all() or (column >= 8).all()


def test_what_touches_is_joined_in_both_directions() -> None:
    region = np.random.default_rng(0).integers(0, 12, (7, 9))
    wanted = set()
    for row in range(7):
        for column in range(9):
            for i in range(max(0, row - 1), min(7, row + 2)):
                for j in range(max(0, column - 1), min(9, column + 2)):
                    if region[row, column] != region[i, j]:
                        wanted.add((int(region[row, column]), int(region[i, j])))
    found = _touching(region, 12)
    assert sorted(wanted) == [tuple(pair) for pair in found.tolist()]


def test_graphs_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RENOTE_CACHE", str(tmp_path))
    options = {"nodes": 12, "n": 30, "n_test": 10}
    found = loaded(**options)
    assert found.num_graphs == 40
    assert (len(found.train) + len(found.validation), found.test.tolist()) == (30, list(range(30, 40)))
    graphs = found.graphs
    assert graphs.edge_features is not None
    assert float(graphs.edge_features.norm(dim=1).max()) == pytest.approx(1)
    images = data.load("digits")
    for k, graph in ((0, unbatch(graphs)[0]), (33, unbatch(graphs)[33])):
        image = images.clean(images.train[k : k + 1] if k < 30 else images.test[k - 30 : k - 29])
        alone = superpixels(((image + 1) / 2).permute(0, 2, 3, 1).double().numpy()[0], 12)
        torch.testing.assert_close(graph.x, torch.from_numpy(alone["x"]).float())
        torch.testing.assert_close(graph["position"], torch.from_numpy(alone["position"]).float())
        ends = torch.stack([graph.adjacency.target, graph.adjacency.source], 1).long()
        assert torch.equal(ends, torch.from_numpy(alone["pairs"]))
        # the way of j → i is from i to j, whichever way round it is the same but for its sign
        way = graph["position"][ends[:, 1]] - graph["position"][ends[:, 0]]
        assert graph.edge_features is not None
        scale = float((way.norm(dim=1) / graph.edge_features.norm(dim=1)).mean())
        torch.testing.assert_close(way, scale * graph.edge_features)
    kept = sorted(tmp_path.rglob("*.npz"))
    assert len(kept) == 2
    again = loaded(**options)
    assert torch.equal(again.graphs.edge_features, graphs.edge_features)  # type: ignore[arg-type]
    kept[0].write_bytes(b"damaged")
    assert torch.equal(loaded(**options).graphs.adjacency.source, graphs.adjacency.source)


def test_colours_have_a_feature_each(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (12, 3, 10, 14), dtype=np.uint8)
    np.savez(tmp_path / "c.npz", images=images, labels=np.arange(12) % 2)
    found = loaded(f"superpixels:{tmp_path}/c.npz", nodes=9)
    assert found.graphs.num_features == 3
    assert 0 <= float(found.graphs.x.min()) <= float(found.graphs.x.max()) <= 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("superpixels:cora", {}, "no.* images with classes|not images with classes"),
        ("superpixels:toy-moons", {}, "not images with classes"),
        ("superpixels:digits", {"nodes": 1}, "nodes = 1"),
        ("superpixels:digits", {"compactness": 0}, "compactness = 0"),
        ("superpixels:digits", {"n": -1}, "n = -1"),
        ("superpixels:", {}, "names no path"),
    ],
)
def test_what_is_refused(name: str, options: dict[str, Any], message: str, mirror: Path) -> None:
    with pytest.raises(DataError, match=message):
        data.load(name, **options)


def test_mnist_has_about_seventy_five(mirror: Path) -> None:
    found = loaded("superpixels:mnist", n=20, n_test=2)
    assert 68 < found.graphs.num_nodes / 22 < 78


class Small(Lab):
    """On few images of digits."""

    def data(self, name: str, **options: Any) -> Any:
        assert name == "superpixels:mnist"
        return super().data("superpixels:digits", **{**options, "n": 60, "n_test": 20, "nodes": 16})


def test_the_claim_runs(tmp_path: Path) -> None:
    system = systems.get("monet-superpixels")
    tiny = {"steps": 4, "hidden": 4, "layers": 1, "kernels": 3, "batch_size": 8, "validate_every": 2}
    lab = Small(dataclasses.replace(system, presets={"laptop": tiny}), "laptop", tmp_path, progress=False)
    found = system.claims[0].experiment(lab)
    assert found.seeds == (0, 1, 2)
    better = found.measured["monet"]["mean"] > found.measured["one window"]["mean"]
    assert found.holds is better


def test_windows_learn_digits() -> None:
    found = loaded(nodes=30, n=250, n_test=100)
    run = systems.get("monet-superpixels").train(
        found,
        progress=False,
        steps=80,
        hidden=16,
        layers=2,
        kernels=6,
        dropout=0.0,
        learning_rate=0.01,
        validate_every=60,
    )
    assert run.evaluate()["test_accuracy"] > 50  # type: ignore[attr-defined]
