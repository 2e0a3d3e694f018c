"""The systems for nodes: what they build, that they train, and how their experiments select and resume."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from renote import data, systems
from renote.cli import run_command
from renote.errors import DataError, UsageError
from renote.evaluate import draw_curves
from renote.experiment import Lab, NodeRun, accuracies, summary, train
from renote.graph import (
    AGGREGATIONS,
    Adjacency,
    Aggregation,
    Field,
    GaANConvolution,
    GATConvolution,
    Graph,
    JumpingKnowledge,
    KipfConvolution,
    MixtureConvolution,
    NodeNetwork,
    SAGEConvolution,
    SparseFeatures,
    attend,
    segment_sum,
)
from renote.nets import connection

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("gat", {}),
    ("gaan", {}),
    ("gaan", {"gates": False}),
    ("monet", {}),
    *(("graphsage", {"aggregation": name}) for name in ("gcn", "mean", "pool", "max")),
    ("graphsage", {"aggregation": "lstm", "hidden": 32, "aggregated": 32, "steps": 120}),
    *(
        ("column-network", changes)
        for changes in ({"steps": 90}, {"gated": False, "layers": 2}, {"shared": False, "layers": 3})
    ),
    *(("gresnet", {"residual": name}) for name in ("none", "naive", "graph-naive", "raw", "graph-raw")),
    ("gresnet", {"convolution": "attention", "layers": 2, "dropout": 0.3}),
    *(
        ("gresnet", {"convolution": "loopy", "residual": name, "layers": 2, "steps": 60})
        for name in ("none", "graph-raw")
    ),
    *(("graph-bert", {"residual": name}) for name in ("none", "raw", "graph-raw")),
    *(("jk-net", {"jump": name, "layers": 3}) for name in ("concat", "max", "lstm", "none")),
]


@pytest.mark.parametrize(("name", "changes"), VARIANTS)
def test_it_learns_digits_from_few_labels(name: str, changes: dict[str, Any]) -> None:
    system = systems.get(name)
    config = system.configure(**{"steps": 30, "learning_rate": 0.01, "validate_every": 10, **changes})
    run = train(system, data.load("digits-knn"), config, progress=False)
    assert run.evaluate()["test_accuracy"] > 75


@pytest.mark.parametrize("name", ["deepsets", "janossy", "permutations"])
def test_neighbours_as_a_set_from_the_command_line(name: str, tmp_path: Path) -> None:
    tables = [Path(__file__).parents[2] / "examples" / f"club_{what}.csv" for what in ("friends", "members")]
    line = ["train", "graphsage", "--data", f"graph:{tables[0]},{tables[1]}", "--out", str(tmp_path / "run")]
    run_command([*line, "--aggregation", name, "--steps", "5", "--hidden", "4", "--aggregated", "3"])
    found = systems.load_run(tmp_path / "run")
    kinds = [module for module in found.module.modules() if isinstance(module, Aggregation)]
    assert [type(kind) for kind in kinds] == [AGGREGATIONS[name]] * 2
    assert [kind.out_features for kind in kinds] == [3, 3]
    assert "test_accuracy" in found.evaluate()


TRAINED = [name for name in systems.names() if systems.get(name).kind == "nodes" and name != "label-propagation"]


NEIGHBORS = {"batches": "neighbors", "batch_size": 32, "fan_outs": (5, 5)}
CLUSTERS = {"batches": "clusters", "clusters": 8, "clusters_per_batch": 3, "partition": "random"}
SEEDED: list[tuple[str, bool, dict[str, Any]]] = [
    *((name, False, {}) for name in TRAINED),
    *((name, True, {}) for name in ("gcn", "gat", "chebnet", "graphsage")),
    *(("graphsage", False, {"aggregation": name, "hidden": 16, "aggregated": 16}) for name in ("lstm", "pool")),
    *(("graphsage", sparse, NEIGHBORS) for sparse in (False, True)),
    ("graphsage", False, {"aggregation": "lstm", "hidden": 16, "aggregated": 16, **NEIGHBORS}),
    *(("cluster-gcn", sparse, CLUSTERS) for sparse in (False, True)),
]


@pytest.mark.parametrize(("name", "sparse", "changes"), SEEDED)
def test_the_same_seed_gives_the_same_bits(name: str, sparse: bool, changes: dict[str, Any]) -> None:
    system, known = systems.get(name), data.load("digits-knn")
    assert isinstance(known, data.NodeData)
    if sparse:
        assert isinstance(known.graph.x, Tensor)
        known = dataclasses.replace(known, graph=known.graph.with_x(SparseFeatures.from_dense(known.graph.x)))

    def weights(seed: int) -> list[Tensor]:
        config = system.configure(**{"steps": 3, "seed": seed, **changes})
        return [p.detach() for p in train(system, known, config, progress=False).module.parameters()]

    first, again, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def network(name: str, **changes: Any) -> NodeNetwork:
    system = systems.get(name)
    task = system.build(system.configure(**changes), data.load("digits-knn"))
    assert isinstance(task.network, NodeNetwork)
    return task.network


def test_gat_is_the_papers() -> None:
    first, last = network("gat").convolutions
    assert isinstance(first, GATConvolution)
    assert isinstance(last, GATConvolution)
    assert (first.heads, first.out_features, first.concat, first.attention_dropout) == (8, 8, True, 0.6)
    assert (last.heads, last.out_features, last.concat) == (1, 10, False)
    assert network("gat").activation is functional.elu
    assert network("gat", output_heads=8).convolutions[1].heads == 8
    pubmed = systems.get("gat").configure("pubmed")
    assert (pubmed.learning_rate, pubmed.weight_decay) == (0.01, 1e-3)


@pytest.mark.parametrize("name", ["gat", "dual-primal"])
def test_hidden_layers_of_attention_may_add_their_input(name: str) -> None:
    kinds = [type(around).__name__ for around in network(name, layers=4, residual=True).connections]
    assert kinds == ["PlainConnection", "ResidualConnection", "ResidualConnection", "PlainConnection"]
    assert not [around for around in network(name, layers=4).connections if type(around).__name__ != "PlainConnection"]


def test_the_others_are_made_of_their_convolutions() -> None:
    kinds = {
        "gaan": GaANConvolution,
        "monet": MixtureConvolution,
        "graphsage": SAGEConvolution,
        "jk-net": KipfConvolution,
    }
    for name, kind in kinds.items():
        assert all(isinstance(convolution, kind) for convolution in network(name).convolutions)
    sage = network("graphsage")
    hidden = sage.convolutions[0](torch.rand(3, 64), Adjacency.from_edges([0], [1], 3))
    torch.testing.assert_close(hidden.norm(dim=1), torch.ones(3))
    assert isinstance(network("jk-net", layers=4, jump="concat").head, nn.Linear)
    assert network("jk-net", layers=4, jump="concat").head.in_features == 4 * 32  # type: ignore[union-attr]


class Shift(nn.Module):
    """x + 1."""

    def forward(self, x: Tensor, adjacency: Adjacency) -> Tensor:
        return x + 1


def test_what_a_network_does_between_its_convolutions() -> None:
    graph = Graph(torch.tensor([[-3.0], [1.0]]), Adjacency.from_edges([], [], 2))
    layers = [Shift(), Shift()]
    assert NodeNetwork(layers, 0.0)(graph).tolist() == [[1.0], [3.0]]
    assert NodeNetwork(layers, 0.0, activation=None)(graph).tolist() == [[-1.0], [3.0]]
    double = nn.Linear(2, 1, bias=False)
    nn.init.constant_(double.weight, 2.0)
    jumped = NodeNetwork(layers, 0.0, jump=JumpingKnowledge("concat", 1, 2), head=double)
    assert jumped(graph).tolist() == [[2.0], [10.0]]
    around = [connection(name, 1, 1) for name in ("plain", "residual", "plain")]
    assert NodeNetwork([*layers, Shift()], 0.0, connections=around)(graph).tolist() == [[2.0], [6.0]]
    with pytest.raises(UsageError, match="no convolution"):
        NodeNetwork([])


def test_other_edges_leave_behind_what_belongs_to_edges() -> None:
    fields = {"age": Field("node", torch.ones(2)), "length": Field("edge", torch.ones(1))}
    graph = Graph(torch.ones(2, 1), Adjacency.from_edges([0], [1], 2), edge_features=torch.ones(1, 3), fields=fields)
    other = graph.with_adjacency(graph.adjacency.with_self_loops())
    assert other.num_edges == 3
    assert other.edge_features is None
    assert set(other.fields) == {"age"}
    with pytest.raises(DataError, match="x has shape"):
        graph.with_adjacency(Adjacency.from_edges([], [], 3))


def test_loops_are_made_once() -> None:
    adjacency = Adjacency.from_edges([0], [1], 2)
    assert adjacency.with_self_loops() is adjacency.with_self_loops()
    assert adjacency.with_self_loops(2.0) is not adjacency.with_self_loops()


def test_nodes_are_split_anew_class_by_class() -> None:
    digits = data.load("digits-knn")
    assert isinstance(digits, data.NodeData)
    one, again, other = (data.split_nodes(digits, seed) for seed in (0, 0, 1))
    assert torch.equal(one.test, again.test)
    assert not torch.equal(one.test, other.test)
    everything = torch.cat([one.train, one.validation, one.test])
    assert torch.equal(everything.sort().values, (digits.labels >= 0).nonzero().squeeze(1))
    share = torch.bincount(digits.labels[one.test]) / torch.bincount(digits.labels[digits.labels >= 0])
    assert float((share - 0.2).abs().max()) < 0.01
    with pytest.raises(DataError, match="below 1"):
        data.split_nodes(digits, 0, 0.5, 0.5)


def test_candidates_are_measured_once_a_seed_and_kept(tmp_path: Path) -> None:
    lab = Lab(systems.get("jk-net"), "laptop", tmp_path, progress=False)
    candidates = {
        "shallow": (None, "laptop", {"layers": 1, "steps": 3}),
        "mlp": (systems.get("mlp"), "laptop", {"steps": 3}),
    }
    found = accuracies(lab, "digits-knn", candidates, (0, 1), data.split_nodes)
    assert {name: len(values) for name, values in found.items()} == {"shallow": 2, "mlp": 2}
    assert found["mlp"][0] != found["mlp"][1]
    again = Lab(systems.get("jk-net"), "laptop", tmp_path, progress=False)
    again.data = None  # type: ignore[assignment, method-assign]
    assert accuracies(again, "digits-knn", candidates, (0, 1), data.split_nodes) == found
    row = summary({"digits": found})["digits mlp"]
    assert row["mean"] == pytest.approx(sum(found["mlp"]) / 2)
    figure = draw_curves({"title": {"none": {1: [1.0, 2.0], 2: [3.0, 5.0]}}}, "layers", "accuracy")
    assert figure.axes[0].get_title() == "title"


def test_the_claim_of_gresnet_asks_for_all_of_it() -> None:
    from renote.systems.gresnet import revived

    good = {"graph-raw": {2: [80.0], 10: [79.0], 50: [77.0]}, "none": {2: [81.0], 10: [60.0], 50: [15.0]}}
    assert revived(good)
    assert not revived({**good, "none": {2: [81.0], 10: [70.0], 50: [68.0]}})
    assert not revived({**good, "graph-raw": {2: [85.0], 10: [79.0], 50: [77.0]}})
    assert not revived({**good, "graph-raw": {2: [60.0], 10: [59.0], 50: [58.0]}})


@pytest.mark.parametrize(("name", "heads"), [("gat", [8, 1]), ("gaan", [8, 8])])
def test_attention_is_read_off_as_it_is_used(name: str, heads: list[int]) -> None:
    digits = data.load("digits-knn")
    system = systems.get(name)
    run = train(system, digits, system.configure(steps=2), progress=False)
    assert isinstance(run, NodeRun)
    before = run.module.logits()
    found = run.attention()
    assert [shares.shape[1] for _, shares in found] == heads
    for edges, shares in found:
        total = segment_sum(shares, edges.target.long(), digits.graph.num_nodes)
        torch.testing.assert_close(total, torch.ones_like(total))
    # the first layer, put together from these shares, is the layer
    first = run.module.network.convolutions[0]
    if isinstance(first, GATConvolution):
        edges, shares = found[0]
        values = (digits.graph.x @ first.weight).view(-1, 8, 8)
        made = attend(edges.pattern, shares, values).flatten(1) + first.bias
        torch.testing.assert_close(made, first(digits.graph.x, digits.graph.adjacency))
    assert torch.equal(run.module.logits(), before)
    assert not any(module._forward_pre_hooks for module in run.module.modules())
    assert len(run.draw_attention().axes) == 4
    with pytest.raises(UsageError, match="node = 1797: the nodes of digits-knn go from 0 to 1796"):
        run.draw_attention(1797)
    plain = systems.get("gcn")
    with pytest.raises(UsageError, match=r"gcn attends over no edges: .* gat, gaan, dual-primal and graph-bert do"):
        train(plain, digits, plain.configure(steps=1), progress=False).attention()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "panels"), [("chebnet", 2), ("monet", 7), ("dual-primal", 4), ("graph-bert", 4)])
def test_what_was_learned_is_drawn(name: str, panels: int, tmp_path: Path) -> None:
    """Through the command line: filters, windows and a bar for their colours, or attention above and below."""
    out = str(tmp_path / "run")
    small = ["--steps", "1", "--layers", "2"]
    run_command(["train", name, "--data", "digits-knn", "--out", out, *small])
    run_command(["show", out, "--out", str(tmp_path / "found.png")])
    assert min(Image.open(tmp_path / "found.png").size) > 300
    run: Any = systems.load_run(out)
    axes = run.picture().axes
    assert len(axes) == panels
    if name == "monet":
        assert axes[0].get_xlabel() == "1 / √(degree, loops counted) of the receiver"
    if panels in (2, 7):
        with pytest.raises(UsageError, match="node = 3: filters are the same at all nodes"):
            run.picture(3)


def test_of_a_network_without_attention_and_filters_nothing_is_drawn(tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    run_command(["train", "gcn", "--data", "digits-knn", "--out", out, "--steps", "1"])
    with pytest.raises(
        UsageError, match=r"gcn has neither attention nor filters to draw: use renote predict .*run --out"
    ):
        systems.load_run(out).picture()
