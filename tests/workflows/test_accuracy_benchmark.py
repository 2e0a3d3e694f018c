"""The benchmark of accuracy in small: the peers have the systems' sizes, both are trained, and it goes on from what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks import accuracy

from renote import data as data_sets
from renote import systems
from renote.data import NodeData


@pytest.fixture(scope="module")
def digits() -> NodeData:
    loaded = data_sets.load("digits-knn")
    assert isinstance(loaded, NodeData)
    return loaded


def few(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", accuracy.SYSTEMS)
def test_peers_have_the_size_of_the_systems(name: str, digits: NodeData) -> None:
    config = systems.get(name).configure("laptop")
    ours, theirs = systems.get(name).build(config, digits), accuracy.peer(name, config, digits)
    # biases in more places, a slope that is learned, or an origin of the coordinates
    assert few(theirs) == pytest.approx(few(ours), rel=0.03)
    logits = theirs.eval()(ours.graph)
    assert logits.shape == (digits.graph.num_nodes, digits.num_classes)
    decayed = [
        sum(p.numel() for group in of for p in group["params"] if group["weight_decay"])
        for of in (ours.parameter_groups(0.1), theirs.parameter_groups(0.1))  # type: ignore[operator]
    ]
    assert decayed[1] == pytest.approx(decayed[0], rel=0.03)


def of_monet(network: Any) -> dict[str, torch.Tensor]:
    found = {}
    for number, layer in enumerate(network.convolutions):
        own = {"g": layer.weight, "mu": layer.center, "sigma": layer.inverse_deviation.reciprocal(), "bias": layer.bias}
        found |= {f"layers.{number}.convolution.{key}": value for key, value in own.items()}
        found |= {f"layers.{number}.project.{key}": value for key, value in layer.project.named_parameters()}
    return found


def of_sign(network: Any) -> dict[str, torch.Tensor]:
    weight, bias = network.convolution.weight, network.convolution.bias
    found = {f"maps.{number}.weight": of.T for number, of in enumerate(weight)}
    found |= {f"maps.{number}.bias": of for number, of in enumerate(bias)}
    for kind in ("dense", "activations"):
        found |= {f"{kind}.{key}": value for key, value in getattr(network, kind).named_parameters()}
    return found


def of_graphsage(network: Any) -> dict[str, torch.Tensor]:
    found = {f"head.{key}": value for key, value in network.head.named_parameters()}
    for number, layer in enumerate(network.convolutions):
        own, around = layer.weight_self.T, layer.weight_neighbors.T
        maps = {"lin_r.weight": own, "lin_l.weight": around, "lin_l.bias": layer.bias}
        found |= {f"layers.{number}.{key}": value for key, value in maps.items()}
    return found


@pytest.mark.parametrize("of", [of_monet, of_sign, of_graphsage])
def test_peers_with_the_same_weights_are_the_systems(of: Any, digits: NodeData) -> None:
    name = of.__name__.removeprefix("of_")
    config = systems.get(name).configure("laptop")
    ours, theirs = systems.get(name).build(config, digits).eval(), accuracy.peer(name, config, digits).eval()
    with torch.no_grad():
        for parameter in ours.network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)  # biases begin at zero, slopes at one number
        theirs.load_state_dict(of(ours.network))
        torch.testing.assert_close(theirs(ours.graph), ours.network(ours.graph), rtol=1e-3, atol=1e-4)


def test_it_goes_on_from_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: NodeData) -> None:
    system = systems.get("gcn")
    short: Any = lambda preset, **changes: system.configure(preset, steps=20, **changes)  # noqa: E731

    class Short:
        configure, build = staticmethod(short), system.build

    monkeypatch.setattr(accuracy.systems, "get", lambda name: Short)
    place = (tmp_path / "work", tmp_path / "out")
    first = accuracy.compare(["gcn"], ["digits-knn"], range(1), *place)
    both = accuracy.compare(["gcn"], ["digits-knn"], range(2), *place)
    (row,) = both["rows"]
    for library in ("renote", "pyg"):
        assert len(row[library]["values"]) == 2
        assert row[library]["values"][0] == first["rows"][0][library]["values"][0]
        assert row[library]["mean"] > 30  # of ten classes
        assert row[library]["steps"] == 20
    monkeypatch.setattr(accuracy, "trained", None)  # nothing is left to train
    assert accuracy.compare(["gcn"], ["digits-knn"], range(2), *place)["rows"] == both["rows"]
