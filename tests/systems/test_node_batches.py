"""Which systems for nodes train on parts of a graph: each takes a kind of batch, or says what to take; the page's table says the same."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from renote import data, systems
from renote.data import NodeData
from renote.errors import UsageError
from renote.experiment import NodeLearner, NodeOptions, NodeRun, train
from renote.graph import Adjacency, ClusterSampling, ContextNodeClassification, Graph, NeighborSampling, induced
from renote.train.learner import slice_batch

SMALL: dict[str, dict[str, Any]] = {
    "neighbors": {"batches": "neighbors", "batch_size": 16, "fan_outs": (3, 3), "layers": 2},
    "clusters": {"batches": "clusters", "clusters": 4, "clusters_per_batch": 2, "partition": "random"},
}
NAMES = [
    name
    for name in systems.names()
    if systems.get(name).kind == "nodes" and issubclass(systems.get(name).config, NodeOptions)
]


def drawn(weighted: bool = False) -> NodeData:
    """A graph of 200 nodes."""
    made = data.load("power-law", nodes=200, features=4)
    assert isinstance(made, NodeData)
    if not weighted:
        return made
    adjacency = made.graph.adjacency
    weight = 0.1 + torch.rand(adjacency.num_edges, generator=torch.Generator().manual_seed(0))
    return dataclasses.replace(made, graph=Graph(made.graph.x, adjacency.with_weight(weight)))


def trained(name: str, given: NodeData, **changes: Any) -> NodeRun:
    config = systems.get(name).configure(**{"steps": 2, "validate_every": 2, "log_every": 1, "patience": 0, **changes})
    run = train(systems.get(name), given, config, progress=False)
    assert isinstance(run, NodeRun)
    return run


def takes(name: str, batches: str, given: NodeData) -> bool:
    """Whether two steps of such batches are taken; if not, the error must name the option."""
    try:
        run = trained(name, given, **SMALL[batches])
    except UsageError as error:
        assert f"batches = {batches}" in str(error)  # noqa: PT017
        return False
    assert run.trained is not None
    assert run.trained.step == 2
    assert bool(run.probabilities().isfinite().all())
    return True


def table() -> dict[str, dict[str, bool]]:
    """What the page says: system → kind of batch → whether it takes it."""
    page = (Path(__file__).parents[2] / "docs" / "pages" / "graphs.md").read_text()
    said: dict[str, dict[str, bool]] = {}
    for line in re.findall(r"^\| (`[a-z0-9-]+`(?:, `[a-z0-9-]+`)*) \| (yes|no) \| (yes|no) \|$", page, re.MULTILINE):
        for name in re.findall(r"`([a-z0-9-]+)`", line[0]):
            assert name not in said
            said[name] = {"neighbors": line[1] == "yes", "clusters": line[2] == "yes"}
    return said


@pytest.mark.parametrize("batches", SMALL)
@pytest.mark.parametrize("name", NAMES)
def test_it_trains_on_parts_or_says_that_it_cannot_as_the_page_does(name: str, batches: str) -> None:
    assert takes(name, batches, drawn()) == table()[name][batches]


def test_the_page_names_all_systems() -> None:
    assert set(table()) == set(NAMES)


def test_the_option_is_named_before_anything_is_drawn() -> None:
    given = drawn()
    task = systems.get("graph-bert").build(systems.get("graph-bert").configure(), given)
    assert isinstance(task, ContextNodeClassification)
    for sampling, named in (
        (NeighborSampling((2, 2)), "neighbors"),
        (ClusterSampling(torch.arange(200) % 4), "clusters"),
    ):
        with pytest.raises(UsageError, match=f"batches = {named}.*contexts?.*use batches = full; batch_size"):
            NodeLearner(task, sampling=sampling)
    assert trained("graph-bert", given, batch_size=16).trained is not None
    bare = dataclasses.replace(given, graph=Graph(None, given.graph.adjacency))
    with pytest.raises(
        UsageError, match="batches = clusters, but this system knows nodes without features by their numbers"
    ):
        trained("rgcn", bare, **SMALL["clusters"])
    with pytest.raises(UsageError, match="accumulate = 2"):
        systems.get("graph-bert").configure(pretraining="structure", pretrain_steps=2, patience=0, accumulate=2)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("name", ["gcn", "graphsage", "gat"])
def test_neighbours_are_drawn_as_the_options_say(name: str, again: bool) -> None:
    given = drawn(weighted=True)
    how = {"sample_by_weight": True, "sample_with_replacement": again}
    run = trained(name, given, **SMALL["neighbors"], **how)
    assert run.module.sampling == NeighborSampling((3, 3), replace=again, weighted=True)
    assert bool(run.probabilities().isfinite().all())
    plain, drawn_again = (trained(name, given, **SMALL["neighbors"], sample_with_replacement=b) for b in (False, True))
    assert drawn_again.module.sampling == NeighborSampling((3, 3), replace=True)
    weights = [torch.cat([p.detach().flatten() for p in r.module.parameters()]) for r in (run, plain, drawn_again)]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])


def test_options_of_draws_that_have_no_effect_are_refused() -> None:
    with pytest.raises(UsageError, match="sample_by_weight, but the edges of this graph have no weights"):
        trained("gcn", drawn(), **SMALL["neighbors"], sample_by_weight=True)
    for name in ("sample_by_weight", "sample_with_replacement"):
        with pytest.raises(UsageError, match=f"{name} says how neighbours are drawn.*set batches = neighbors"):
            systems.get("gcn").configure(**{name: True})


def blocks() -> NodeData:
    """The drawn graph without the edges between its first, second, … fifty nodes, of which other numbers are trained on."""
    given = drawn()
    source, target = given.graph.adjacency.edge_index()
    inside = source // 50 == target // 50
    adjacency = Adjacency.from_edges(source[inside], target[inside], 200)
    train = torch.tensor([0, 1, 2, 3, 4, 60, 110, 111])
    ends = {"validation": torch.tensor([5, 61]), "test": torch.tensor([6, 62])}
    return dataclasses.replace(given, graph=Graph(given.graph.x, adjacency), train=train, **ends)


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_clusters_cut_into_parts_are_the_step(parts: int) -> None:
    given = blocks()
    system = systems.get("cluster-gcn")
    task = system.build(system.configure(dropout=0.0), given)
    learner = NodeLearner(task, 4, 0, ClusterSampling(torch.arange(200) // 50))
    batch = learner.batch(0, torch.Generator())
    assert batch is not None
    assert batch["training"].tolist() == [8] * 4
    whole = task(batch)
    expected = torch.autograd.grad(whole, list(task.network.parameters()))
    torch.testing.assert_close(task({"cluster": batch["cluster"]}), whole, rtol=0, atol=0)
    sliced = [slice_batch(batch, part, parts) for part in range(parts)]
    loss = torch.stack([task(part) * share for part, share in sliced]).sum()
    torch.testing.assert_close(loss, whole)
    for found, exact in zip(torch.autograd.grad(loss, list(task.network.parameters())), expected, strict=True):
        torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-6)


def test_accumulated_clusters_train_as_the_step_does() -> None:
    how = {"batches": "clusters", "clusters": 5, "clusters_per_batch": 5, "partition": "random", "dropout": 0.0}
    runs = [trained("mlp", drawn(), optimizer="sgd", **how, accumulate=parts) for parts in (1, 4)]
    one, cut = (torch.cat([p.detach().flatten() for p in run.module.parameters()]) for run in runs)
    torch.testing.assert_close(cut, one, rtol=1e-4, atol=1e-6)


def related() -> NodeData:
    """The drawn graph with two relations, the second between the first two nodes alone."""
    given = drawn()
    source, target = given.graph.adjacency.edge_index()
    adjacency = Adjacency.from_edges(
        torch.cat([source, torch.tensor([0])]), torch.cat([target, torch.tensor([1])]), 200
    )
    rare = (adjacency.source == 0) & (adjacency.target == 1)
    return dataclasses.replace(given, graph=Graph(given.graph.x, adjacency, relation=rare.long()))


@pytest.mark.parametrize("name", ["column-network", "rgcn"])
def test_a_part_may_lack_the_last_relation(name: str) -> None:
    given = related()
    how = {**SMALL["clusters"], "clusters": 20, "clusters_per_batch": 1, "steps": 20, "validate_every": 20}
    assert bool(trained(name, given, **how).probabilities().isfinite().all())
    system = systems.get(name)
    network = system.build(system.configure(), given).network.eval()
    for nodes in (torch.arange(2, 60), torch.tensor([7])):
        part = induced(given.graph, nodes).graph
        assert part.num_relations < 2
        # as if the relation were there, without an edge
        full = torch.cat([torch.zeros(part.num_edges, dtype=torch.long), torch.ones(1, dtype=torch.long)])
        more = Adjacency.from_edges(
            torch.cat([part.adjacency.source.long(), torch.tensor([part.num_nodes])]),
            torch.cat([part.adjacency.target.long(), torch.tensor([part.num_nodes])]),
            part.num_nodes + 1,
        )
        assert isinstance(part.x, torch.Tensor)
        other = Graph(torch.cat([part.x, torch.zeros(1, part.x.shape[1])]), more, relation=full)
        torch.testing.assert_close(network(part), network(other)[:-1])
