"""Every system for whole graphs: it learns, takes graphs at the edge of what a graph is, is kept, and serves the command line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from renote import commands, data, systems
from renote.cli import run_command
from renote.data import Card, GraphData
from renote.errors import CheckpointError, DataError, UsageError
from renote.experiment import GraphRun, compare, train
from renote.experiment.form import with_outputs
from renote.graph import AGGREGATIONS, Adjacency, Graph, batch, degree_features

NAMES = [name for name in systems.names() if systems.get(name).kind == "graphs" and not systems.get(name).reads_smiles]
each = pytest.mark.parametrize("name", NAMES)
SMALL: dict[str, Any] = {
    "steps": 60,
    "hidden": 16,
    "batch_size": 10,
    "learning_rate": 0.01,
    "validate_every": 20,
    "patience": 0,
}


def cycle(nodes: int) -> Graph:
    ring = torch.arange(nodes)
    return both(ring, (ring + 1) % nodes, nodes)


def star(nodes: int) -> Graph:
    return both(torch.zeros(nodes - 1, dtype=torch.long), torch.arange(1, nodes), nodes)


def both(source: torch.Tensor, target: torch.Tensor, nodes: int) -> Graph:
    adjacency = Adjacency.from_edges(torch.cat([source, target]), torch.cat([target, source]), nodes)
    return Graph(degree_features(adjacency, 3).to_dense(), adjacency)


def own(graphs: list[Graph], labels: list[int] | None = None, **changes: Any) -> GraphData:
    """Every fourth graph to validate and to test on, the others to train."""
    number = torch.arange(len(graphs))
    parts = {"train": number[number % 4 < 2], "validation": number[number % 4 == 2], "test": number[number % 4 == 3]}
    given = torch.tensor([k % 2 for k in range(len(graphs))] if labels is None else labels)
    card = Card("own", "", "graphs", len(graphs), (graphs[0].num_features,), ("ring", "star"), "", "")
    fields = {"labels": given, "classes": ("ring", "star"), **parts, **changes}
    return GraphData(name="own", card=card, graphs=batch(graphs), **fields)


RINGS_AND_STARS = own([make(5 + k // 2 % 7) for k in range(56) for make in (cycle, star)][:80])


def trained(name: str, given: GraphData, out: Path | None = None, **changes: Any) -> GraphRun:
    system = systems.get(name)
    run = train(system, given, system.configure(**system.config.used({**SMALL, **changes})), out, progress=False)
    assert isinstance(run, GraphRun)
    shares = run.probabilities()
    assert shares.shape == (given.num_graphs, given.num_classes)
    assert bool(torch.isfinite(shares).all())
    torch.testing.assert_close(shares.sum(1), torch.ones(len(shares)))
    return run


@each
def test_it_tells_rings_from_stars(name: str) -> None:
    assert trained(name, RINGS_AND_STARS).evaluate()["test_accuracy"] > 90


EMPTY = Graph(torch.zeros(0, 4), Adjacency.from_edges([], [], 0))
LONE = Graph(torch.eye(4)[:1], Adjacency.from_edges([], [], 1))
APART = Graph(torch.eye(4)[:3], Adjacency.from_edges([], [], 3))
LOOP = Graph(torch.eye(4)[1:2], Adjacency.from_edges([0], [0], 1))


@each
def test_graphs_without_nodes_or_edges(name: str) -> None:
    """Empty ones are anywhere, at the end too; a batch of one graph of one node is one that training may draw."""
    odd = [LONE, EMPTY, APART, LOOP, cycle(5), star(6), EMPTY, LONE, APART, EMPTY, LONE, EMPTY]
    for size in (1, 5):
        run = trained(name, own(odd), steps=8, batch_size=size, validate_every=4)
        assert run.evaluate().keys() == {"train_accuracy", "validation_accuracy", "test_accuracy"}
    run = trained(name, own([LONE] * 4), steps=2)
    run = trained(name, own([EMPTY] * 4), steps=2)


@each
def test_the_order_of_nodes_says_nothing(name: str) -> None:
    run = trained(name, RINGS_AND_STARS, steps=3)
    generator = torch.Generator().manual_seed(1)
    # no two nodes alike: a pool that keeps the highest scores has to choose among equals by their numbers
    graphs = [
        graph.with_x(torch.rand(graph.num_nodes, 4, generator=generator))
        for graph in (cycle(7), star(6), EMPTY, cycle(3), cycle(12))
    ]

    def shuffled(graph: Graph) -> Graph:
        order = torch.randperm(graph.num_nodes, generator=generator)
        place = torch.argsort(order)
        edges = graph.adjacency.edge_index()
        assert isinstance(graph.x, torch.Tensor)
        return Graph(graph.x[order], Adjacency.from_edges(place[edges[0]], place[edges[1]], graph.num_nodes))

    def logits(graphs: list[Graph]) -> torch.Tensor:
        found = run.module.network(batch(graphs))
        return found[0] if isinstance(found, tuple) else found

    with torch.no_grad():
        expected = logits(graphs)
        torch.testing.assert_close(logits([shuffled(graph) for graph in graphs]), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(torch.cat([logits([graph]) for graph in graphs]), expected, rtol=1e-4, atol=1e-5)


@each
def test_a_run_is_kept_goes_on_and_predicts_from_files(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    rows = ["graph,label"]
    for k in range(24):
        ends = (
            [(i, (i + 1) % (4 + k % 5)) for i in range(4 + k % 5)] if k % 2 else [(0, i) for i in range(1, 4 + k % 5)]
        )
        (folder / f"g{k}.csv").write_text("source,target\n" + "".join(f"n{a},n{b}\n" for a, b in ends))
        rows.append(f"g{k},{('star', 'ring')[k % 2] if k < 22 else ''}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    out, used = str(tmp_path / "run"), systems.get(name).config.used
    line = ["train", name, "--data", f"graphs:{folder}", "--out", out, "--batch-size", "6"]
    line += ["--hidden", "8"] if used({"hidden": 8}) else []
    line += ["--learning-rate-schedule", "constant"]  # another would know of the last step
    run_command([*line, "--steps", "4", "--validate-every", "2", "--patience", "0"])
    run_command([*line, "--steps", "8", "--validate-every", "2", "--patience", "0", "--resume"])
    run = systems.load_run(out)
    assert isinstance(run, GraphRun)
    commands.predict(out, str(tmp_path / "table.csv"))
    table = (tmp_path / "table.csv").read_text().splitlines()
    assert table[0] == "graph,class,probability"
    assert [row.split(",")[:2] for row in table[1:]] == [
        [f"g{k}", run.data.classes[c]] for k, c in enumerate(run.predict().tolist())
    ]
    assert len(table) == 25
    whole = systems.get(name).train(
        f"graphs:{folder}",
        progress=False,
        **used(
            {
                **SMALL,
                "hidden": 8,
                "batch_size": 6,
                "steps": 8,
                "validate_every": 2,
                "learning_rate": systems.get(name).configure().learning_rate,
                "learning_rate_schedule": "constant",
            }
        ),
    )
    torch.testing.assert_close(whole.probabilities(), run.probabilities())


def test_other_graphs_need_the_same_features(tmp_path: Path) -> None:
    trained("gin", RINGS_AND_STARS, tmp_path / "run", steps=2)
    other = own([Graph(torch.ones(2, 3), Adjacency.from_edges([], [], 2))] * 4)
    with pytest.raises(
        DataError, match="own, whose nodes have 4 features, those of own have 3. Give each node the feat"
    ):
        systems.load_run(tmp_path / "run", other)
    config = tmp_path / "run" / "config.json"
    saved = json.loads(config.read_text())
    # runs of before did not keep the number
    config.write_text(json.dumps({**saved, "data": {k: v for k, v in saved["data"].items() if k != "num_features"}}))
    with pytest.raises(CheckpointError):
        systems.load_run(tmp_path / "run", other)
    again = systems.load_run(tmp_path / "run", own([cycle(4), star(4)] * 4))
    assert len(again.predict()) == 8  # type: ignore[attr-defined]


@pytest.mark.parametrize("readout", AGGREGATIONS)
def test_gin_reads_by_any_aggregation(readout: str) -> None:
    run = trained("gin", RINGS_AND_STARS, steps=3, readout=readout)
    (read,) = run.module.network.readouts
    assert len(read) == 1 + run.config.layers
    assert all(type(each) is AGGREGATIONS[readout] for each in read)
    assert run.probabilities().isfinite().all()


def test_classes_of_other_graphs_are_those_of_the_run() -> None:
    saved: dict[str, Any] = {"data": {"name": "mine", "classes": ["tree", "star", "ring"]}}
    given = own([cycle(4), star(4)])
    found = with_outputs(saved, given, "graphs")
    assert isinstance(found, GraphData)
    assert found.labels.tolist() == [2, 1]
    saved["data"]["classes"] = ["ring", "tree"]
    with pytest.raises(DataError, match="own has the class 'star', but the run was trained on mine, which has"):
        with_outputs(saved, given, "graphs")


def test_graphs_of_one_class_teach_nothing(tmp_path: Path) -> None:
    told = "all graphs in the split 'train' of own \\(2\\) are of the class 'star': there is nothing to tell apart"
    with pytest.raises(DataError, match=told):
        trained("gin", own([star(4), star(5), cycle(4), star(6)], [1, 1, 0, 1]), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    # to predict, and to measure, graphs of one class are as good as any
    trained("gin", RINGS_AND_STARS, tmp_path / "run", steps=2)
    again: Any = systems.load_run(tmp_path / "run", own([star(4), star(5), star(6), star(7)], [1] * 4))
    assert again.evaluate().keys() == {"train_accuracy", "validation_accuracy", "test_accuracy"}
    # values are no classes, and may be alike
    values = own([star(4)] * 4, [-1] * 4, classes=(), values=torch.ones(4, 1).double(), targets=("size",))
    train(systems.get("gin"), values, systems.get("gin").configure(**{**SMALL, "steps": 2}), progress=False)


def test_what_cannot_be_trained_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the split 'train' is empty"):
        trained("gin", own([cycle(4), star(4)], train=torch.empty(0, dtype=torch.long)), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(
        UsageError, match="gin needs graphs with a class each, or values, but digits is samples to generate"
    ):
        train(systems.get("gin"), "digits", systems.get("gin").configure(), progress=False)
    with pytest.raises(UsageError, match="gcn needs a graph with node classes, but own is graphs with a class each"):
        train(systems.get("gcn"), RINGS_AND_STARS, systems.get("gcn").configure(), progress=False)
    with pytest.raises(UsageError, match="hidden = 0"):
        systems.get("gin").configure(hidden=0)
    with pytest.raises(UsageError, match="dropout = 1"):
        systems.get("gin").configure(dropout=1.0)


def test_they_are_compared(mirror: Path) -> None:
    found = compare([systems.get("gin")], data.load("mutag"), 2, steps=40)
    assert "153 training, 17 validation, 18 test graphs" in found["protocol"]
    assert found["rows"][0]["metric"] == "test accuracy (%)"


def test_graphs_are_told_by_their_names(tmp_path: Path) -> None:
    named = own([cycle(4), star(4)] * 4, names=tuple(f"town{k}" for k in range(8)))
    run = trained("gin", named, steps=2)
    assert (run.node_number("town3"), len(run.predict())) == (3, 8)
    with pytest.raises(UsageError, match="node = '3': no graph of own has this name; give one, such as 'town0'"):
        run.node_number("3")
    values = dataclasses.replace(
        named, classes=(), labels=torch.full((8,), -1), values=torch.ones(8, 1).double(), targets=("size",)
    )
    told = train(systems.get("gin"), values, systems.get("gin").configure(**{**SMALL, "steps": 2}), progress=False)
    for each, columns in ((run, ["graph", "class", "probability"]), (told, ["graph", "size"])):
        each.write_predictions(tmp_path / "table.csv")
        rows = [row.split(",") for row in (tmp_path / "table.csv").read_text().splitlines()]
        assert rows[0] == columns
        assert [row[0] for row in rows[1:]] == list(named.names)
        # without names the numbers
        each.data = dataclasses.replace(each.data, names=())
        each.write_predictions(tmp_path / "table.csv")
        assert (tmp_path / "table.csv").read_text().splitlines()[8].startswith("7,")


def test_a_picture_of_graphs_says_which_are_wrong() -> None:
    run = trained("gin", RINGS_AND_STARS, steps=10)
    panels = run.picture().axes
    assert len(panels) == 12
    tested = RINGS_AND_STARS.test[:12]
    wrong = run.predict()[tested] != RINGS_AND_STARS.labels[tested]
    assert ["\nis " in axes.get_title() for axes in panels] == wrong.tolist()
    lines, nodes = panels[0].collections
    first = RINGS_AND_STARS.graphs.members.count[tested[0]]
    assert len(nodes.get_offsets()) == int(first)
    assert len(lines.get_segments()) > 0
    assert len([axes for axes in run.picture(RINGS_AND_STARS.num_graphs - 2).axes if axes.get_title()]) == 2
    with pytest.raises(UsageError, match="there are 80"):
        run.picture(80)


def test_recurrent_janossy_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Orders are drawn at each step, and a prediction is a mean over more of them, the same each time."""
    folder, out = tmp_path / "graphs", str(tmp_path / "run")
    folder.mkdir()
    for k in range(12):
        ends = [(0, j) if k % 2 else (j - 1, j) for j in range(1, 5)]
        (folder / f"g{k}.csv").write_text("source,target\n" + "".join(f"{a},{b}\n" for a, b in ends))
    rows = [f"g{k},{'star' if k % 2 else 'path'}" for k in range(12)]
    (folder / "labels.csv").write_text("\n".join(["graph,label", *rows]))
    line = ["train", "janossy", "--data", f"graphs:{folder}", "--form", "recurrent", "--permutations-to-predict", "3"]
    run_command([*line, "--steps", "3", "--hidden", "4", "--out", out])
    (readout,) = systems.load_run(out).module.network.readouts  # type: ignore[union-attr]
    assert type(readout).__name__ == "PermutationAggregation"
    assert (readout.permutations, readout.to_predict) == (1, 3)
    tables = []
    for name in ("a.csv", "b.csv"):
        run_command(["predict", out, "--out", str(tmp_path / name)])
        tables.append((tmp_path / name).read_text())
    assert tables[0] == tables[1]
    with pytest.raises(UsageError, match="permutations = 0"):
        systems.get("janossy").configure(permutations=0)
