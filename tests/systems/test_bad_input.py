"""Graphs at the edge of what a graph is, and data that is wrong: every system for nodes works on it or says what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from renote import systems
from renote.data import Card, NodeData
from renote.errors import DataError, RenoteError, UsageError
from renote.experiment import NodeRun, train
from renote.graph import Adjacency, Graph, SparseFeatures, degree_features, identity_features

NAMES = [name for name in systems.names() if systems.get(name).kind == "nodes"]
READERS = [name for name in NAMES if systems.get(name).reads_features]
NONE = torch.empty(0, dtype=torch.long)
ONE_CLUSTER = {"clusters": 1, "clusters_per_batch": 1}  # the systems' own number is more than the nodes here
# narrow, so that a million nodes are no matter
NARROW: dict[str, dict[str, Any]] = {"gaan": {"heads": 1, "key_features": 4, "value_features": 4, "pool_features": 4}}


def drawn(nodes: int, width: int = 3) -> Tensor:
    return torch.randn(nodes, width, generator=torch.Generator().manual_seed(0))


def own(
    nodes: int, edges: list[tuple[int, int]] | Adjacency = (), *, x: Any = "drawn", classes: int = 2, **changes: Any
) -> NodeData:
    """Labels by turns, and every third node to train, to validate, to test."""
    adjacency = edges if isinstance(edges, Adjacency) else Adjacency.from_edge_list(edges, nodes, layout="pairs")
    names = tuple("abcdefgh"[:classes])
    parts = {name: torch.arange(nodes)[first::3] for first, name in enumerate(("train", "validation", "test"))}
    fields = {"labels": torch.arange(nodes) % 2, **parts, **changes}
    graph = Graph(drawn(nodes) if isinstance(x, str) else x, adjacency)
    card = Card("own", "", "nodes", nodes, (graph.num_features,), names, "", "")
    return NodeData(name="own", card=card, graph=graph, classes=names, **fields)


def trained(name: str, given: NodeData, **changes: Any) -> NodeRun:
    system = systems.get(name)
    known = {
        key: value
        for key, value in system.config.used({"hidden": 4, "steps": 2, **ONE_CLUSTER, **changes}).items()
        if hasattr(system.configure(), key)
    }
    run = train(system, given, system.configure(**known), progress=False)
    assert isinstance(run, NodeRun)
    shares = run.probabilities()
    assert shares.shape == (given.graph.num_nodes, given.num_classes)
    assert bool(torch.isfinite(shares).all())
    torch.testing.assert_close(shares.sum(1), torch.ones(len(shares), dtype=shares.dtype))
    return run


BOTH = [(0, 1), (1, 0), (1, 2), (2, 1), (4, 5), (5, 4)]


@pytest.mark.parametrize("name", NAMES)
def test_edges_that_leave_nodes_apart(name: str) -> None:
    for edges in (BOTH, [], [(3, 3)], BOTH * 2):
        run = trained(name, own(9, edges))
        assert 0 <= run.evaluate()["test_accuracy"] <= 100


@pytest.mark.parametrize("name", NAMES)
def test_one_node(name: str) -> None:
    alone = {"train": torch.tensor([0]), "validation": NONE, "test": NONE}
    for edges in ([], [(0, 0)]):
        assert trained(name, own(1, edges, **alone)).evaluate().keys() == {"train_accuracy"}
    assert trained(name, own(1, classes=1, **alone)).predict().tolist() == [0]


@pytest.fixture(scope="module")
def star() -> NodeData:
    """A hub that a million nodes point at, and that points at them."""
    leaves = torch.arange(1, 1_000_001)
    hub = torch.zeros_like(leaves)
    adjacency = Adjacency.from_edges(torch.cat([leaves, hub]), torch.cat([hub, leaves]), 1_000_001)
    parts = {"train": torch.arange(9), "validation": torch.arange(9, 20), "test": torch.arange(20, 40)}
    return own(1_000_001, adjacency, **parts)


@pytest.mark.parametrize("name", NAMES)
def test_a_hub_of_a_million_neighbours(name: str, star: NodeData) -> None:
    if name == "graph-bert":
        with pytest.raises(UsageError, match="1000001 nodes and 2000000 edges.*Take a part of the graph"):
            trained(name, star)
        return
    if name in ("line-graph", "dual-primal"):
        with pytest.raises(DataError, match="node 0 alone has 1,000,00. edges, each of which meets all the others"):
            trained(name, star, steps=1)
        return
    if name == "graph-unet":
        with pytest.raises(UsageError, match=r"two hops join nodes in 1e\+12 ways.*lower squares"):
            trained(name, star, steps=1)
        trained(name, star, steps=1, squares=0, layers=1, ratio=0.01)
        return
    trained(name, star, **{"steps": 1, "heads": 1, **NARROW.get(name, {})})


@pytest.mark.parametrize("name", READERS)
def test_features_are_taken_in_the_precision_of_the_weights(name: str) -> None:
    whole = torch.tensor([[4, 0, 2], [0, 8, 1], [1, 4, 0]]).repeat(3, 1)
    expected = trained(name, own(9, BOTH, x=whole.float())).probabilities()
    for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8):
        found = trained(name, own(9, BOTH, x=whole.to(dtype))).probabilities()
        assert torch.equal(found, expected), dtype
    sparse = SparseFeatures.from_dense(whole.double())
    trained(name, own(9, BOTH, x=sparse))
    with pytest.raises(DataError, match=r"torch.complex64: give real numbers"):
        trained(name, own(9, BOTH, x=whole.to(torch.complex64)))


@pytest.mark.parametrize("name", NAMES)
def test_a_class_without_a_node_is_a_class(name: str) -> None:
    run = trained(name, own(9, BOTH, labels=(torch.arange(9) % 2) * 3, classes=5))
    assert run.probabilities().shape[1] == 5
    assert set(run.predict().tolist()) <= set(range(5))


@pytest.mark.parametrize("name", READERS)
def test_nodes_without_features_are_offered_some(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} needs.*identity_features.*degree_features"):
        trained(name, own(9, BOTH, x=None))
    bare = own(9, BOTH, x=None).graph
    for x in (identity_features(9), degree_features(bare.adjacency)):
        trained(name, own(9, BOTH, x=x))


def test_label_propagation_needs_no_features() -> None:
    assert trained("label-propagation", own(9, BOTH, x=None)).predict().shape == (9,)


def test_features_that_stand_in() -> None:
    adjacency = Adjacency.from_edges([0, 1, 1, 2, 2, 2], [1, 0, 0, 0, 3, 3], 5)
    assert torch.equal(identity_features(3).to_dense(), torch.eye(3))
    assert torch.equal(degree_features(adjacency, 2).to_dense(), torch.eye(3)[[2, 1, 0, 2, 0]])
    assert degree_features(adjacency).shape == (5, 256)
    with pytest.raises(UsageError, match="highest is -1"):
        degree_features(adjacency, -1)
    # X W with X = I is a table of vectors, each with its own gradient
    table = torch.randn(3, 2, requires_grad=True)
    (identity_features(3) @ table)[1].sum().backward()
    assert table.grad is not None
    assert table.grad.tolist() == [[0, 0], [1, 1], [0, 0]]


MASK = torch.arange(9) < 3


def test_masks_are_numbers_of_nodes() -> None:
    parts = {"train": MASK, "validation": torch.arange(9) == 4, "test": torch.arange(9) > 5}
    given = own(9, BOTH, labels=(torch.arange(9) % 2).to(torch.uint8), **parts)
    assert (given.train.tolist(), given.validation.tolist(), given.test.tolist()) == ([0, 1, 2], [4], [6, 7, 8])
    assert given.labels.dtype == torch.int64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": torch.zeros(9)}, r"labels of shape \(9,\) and torch.float32 for 9 nodes"),
        ({"labels": torch.zeros(8, dtype=torch.long)}, r"labels of shape \(8,\)"),
        ({"labels": torch.arange(9) % 4}, "node 3 has the label 3 and there are 2 names of classes.*without gaps"),
        ({"validation": torch.tensor([1, 3])}, r"node 3 is 2 times in the split \(train and validation\)"),
        ({"train": torch.tensor([0, 3, 3])}, r"node 3 is 2 times in the split \(train\)"),
        ({"train": MASK, "validation": MASK, "test": NONE}, r"node 0 is 2 times in the split \(train and validation\)"),
        ({"test": torch.tensor([9])}, "'test' names nodes outside 0 … 8"),
        ({"test": torch.tensor([2.0])}, "'test' is of torch.float32"),
        ({"test": MASK[:4]}, r"'test' is a mask of shape \(4,\) for 9 nodes"),
        ({"test": torch.tensor([[2]])}, r"'test' has shape \(1, 1\)"),
        ({"labels": torch.tensor([0, 1, -1, 1, 0, 1, 0, 1, 0])}, "node 2 of the split 'test' has no label"),
    ],
)
def test_wrong_labels_and_parts_are_named(changes: dict[str, Tensor], message: str) -> None:
    with pytest.raises(DataError, match=message):
        own(9, BOTH, **changes)


def test_a_training_part_without_nodes_is_refused() -> None:
    with pytest.raises(RenoteError, match="'train' is empty"):
        trained("gcn", own(9, BOTH, train=NONE))
