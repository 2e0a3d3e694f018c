"""Links taken out and pairs drawn without one; the user's own lists; what is wrong in them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renote import data
from renote.data import Card, LinkData, split_links
from renote.data.links import decode, encode
from renote.errors import DataError, UsageError
from renote.graph import Adjacency, Graph, has_link

CARD = Card("own", "", "links", 0, (), ("no link", "link"), "", "")


def ring(nodes: int) -> torch.Tensor:
    return torch.stack([torch.arange(nodes), (torch.arange(nodes) + 1) % nodes], 1)


@given(st.integers(2, 10**9), st.integers(0, 10**9))
def test_pairs_are_numbered_without_gaps(high: int, low: int) -> None:
    pair = torch.tensor([[low % high, high]])
    assert torch.equal(decode(encode(pair)), pair)
    assert torch.equal(encode(pair.flip(1)), encode(pair))
    first = torch.tensor(list(itertools.combinations(range(6), 2)))
    assert sorted(encode(first).tolist()) == list(range(15))


@settings(max_examples=40)
@given(nodes=st.integers(6, 30), test=st.floats(0, 0.6), validation=st.floats(0, 0.6), seed=st.integers(0, 10**6))
def test_parts_of_a_split(nodes: int, test: float, validation: float, seed: int) -> None:
    links = torch.cat([ring(nodes), ring(nodes).flip(1), torch.tensor([[1, 1]])])
    whole = Adjacency.from_edges(links[:, 0], links[:, 1], nodes)
    found = split_links(CARD, links, [str(k) for k in range(nodes)], test, validation, 0.4, 5, seed)
    linked = has_link(whole, found.pairs)
    assert bool((linked == (found.labels == 1)).all())
    there = has_link(found.graph.adjacency, found.pairs)
    assert not bool(there[found.test].any())
    seen = torch.cat([found.train, found.validation])
    assert torch.equal(there[seen], linked[seen])
    positive = {name: int((found.labels[part] == 1).sum()) for name, part in found.splits.items()}
    assert sum(positive.values()) == nodes
    assert positive["test"] == nodes - -int(-round(nodes * (1 - test), 6) // 1)
    assert found.graph.num_edges == 2 * (nodes - positive["test"])
    again = split_links(CARD, links, [str(k) for k in range(nodes)], test, validation, 0.4, 5, seed)
    assert torch.equal(again.pairs, found.pairs)
    asked = found.pairs[found.labels < 0]
    apart = (asked[:, 0] - asked[:, 1]).abs()
    assert bool((torch.minimum(apart, nodes - apart) == 2).all())  # two hops of the ring


def test_negatives_are_all_pairs_alike() -> None:
    """Few of many are drawn by rejection, many of few by listing: both are uniform."""
    for nodes, negatives in ((7, 1.0), (20, 0.2)):
        count = torch.zeros(nodes * (nodes - 1) // 2)
        draws = 300 if nodes == 7 else 1000
        for seed in range(draws):
            found = split_links(CARD, ring(nodes), [""] * nodes, 0.0, 0.0, negatives, 0, seed)
            count[encode(found.pairs[found.labels == 0])] += 1
        count = count[count > 0]
        assert len(count) == nodes * (nodes - 3) // 2
        expected = float(count.mean())
        assert float((count - expected).square().mean()) < 2 * expected


def test_what_cannot_be_split() -> None:
    full = torch.tensor(list(itertools.combinations(range(5), 2)))
    names = list("abcde")
    told = "own: beside its links 10 pairs without one are wanted, and 0 of 10 can be drawn, as 10 have a link: the graph is"
    with pytest.raises(DataError, match=told):
        split_links(CARD, full, names)
    # what is told to be enough is
    for links, test_fraction, fits in ((8, 0.0, 0.25), (7, 0.3, 0.28), (9, 0.0, 0.11)):
        told = (
            f"{links} pairs without one are wanted, and {10 - links} of 10 can be drawn.*: lower negatives, to {fits}$"
        )
        with pytest.raises(DataError, match=told):
            split_links(CARD, full[:links], names, test_fraction)
        found = split_links(CARD, full[:links], names, test_fraction, negatives=fits)
        assert int((found.labels == 0).sum()) == 10 - links
    with pytest.raises(DataError, match="test_fraction is 1"):
        split_links(CARD, ring(5), names, 1)
    with pytest.raises(DataError, match="negatives is 0"):
        split_links(CARD, ring(5), names, negatives=0)
    with pytest.raises(DataError, match="none is left to train on"):
        split_links(CARD, ring(5)[:0], names)
    with pytest.raises(DataError, match="candidates is -1"):
        split_links(CARD, ring(5), names, candidates=-1)


def own(**changes: Any) -> LinkData:
    a = Adjacency.from_edges([0, 1, 1, 2], [1, 0, 2, 1], 4)
    none = torch.empty(0, dtype=torch.long)
    fields: dict[str, Any] = {
        "graph": Graph(None, a),
        "pairs": torch.tensor([[0, 1], [0, 3], [2, 3]]),
        "labels": torch.tensor([1, 0, 1]),
        "train": torch.tensor([0, 1]),
        "validation": none,
        "test": torch.tensor([2]),
        "names": ("a", "b", "c", "d"),
    }
    return LinkData("own", CARD, **{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": torch.tensor([0, 0, 1])}, r"pair 0 \('a', 'b'\) is said to have no link, but the graph has it"),
        ({"test": torch.tensor([2, 0]), "train": torch.tensor([1])}, r"pair 0 .* is tested on, but the graph has it"),
        ({"pairs": torch.tensor([[0, 1], [3, 3], [2, 3]])}, r"pair 1 \('d', 'd'\) is of one node"),
        ({"pairs": torch.tensor([[0, 1], [0, 3], [1, 0]])}, "pair 2 .* is listed twice"),
        (
            {"pairs": torch.tensor([[0, 1], [0, 4], [2, 3]])},
            r"pair 1 \(0, 4\) names a node that is not there: there are 4",
        ),
        ({"pairs": torch.rand(3, 2)}, "pairs of shape"),
        ({"labels": torch.tensor([1, 0, 2])}, "pair 2 has the label 2"),
        ({"test": torch.tensor([1])}, "pair 1 is 2 times in the split"),
        ({"names": ("a",)}, "1 names for 4 nodes"),
        ({"graph": Graph(None, Adjacency.from_edges([0], [1], 4))}, "links in one direction only"),
    ],
)
def test_pairs_that_contradict_the_graph(changes: dict[str, Any], message: str) -> None:
    assert own().named(2) == "c"
    with pytest.raises(DataError, match=message):
        own(**changes)


def test_own_files(tmp_path: Path) -> None:
    edges = tmp_path / "friends.csv"
    edges.write_text("source,target\n" + "".join(f"p{a},p{(a + d) % 12}\n" for a in range(12) for d in (1, 2)))
    found = data.load(f"links:{edges}", seed=1)
    assert isinstance(found, LinkData)
    assert found.card.counts["links"] == 24
    assert found.graph.num_nodes == 12
    assert int((found.labels < 0).sum()) > 0
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("source,target\np0,p5\np3,p9\n")
    asked = data.load(f"links:{edges}", pairs=str(pairs))
    assert isinstance(asked, LinkData)
    named = [[asked.named(n) for n in pair] for pair in asked.pairs[asked.labels < 0].tolist()]
    assert named == [["p0", "p5"], ["p3", "p9"]]
    pairs.write_text("source,target,label\np0,p5,1\np3,p9,0\np4,p10,\n")
    tested = data.load(f"links:{edges}", pairs=str(pairs))
    assert isinstance(tested, LinkData)
    assert tested.labels[tested.test].tolist() == [1, 0]
    assert tested.graph.num_edges == 48
    for text, message in (
        ("source,target,label\np0,p1,0\n", r"line 2: the pair is said to have no link, but .*friends.csv has it"),
        ("source,target,label\np0,p5,maybe\n", r"line 2: the label 'maybe' is neither 1"),
        ("source,target\np0,p0\n", "line 2: the pair is of one node"),
        ("source,target\np1,p0\n", r"line 2: the pair is a link in .*friends.csv already"),
        (
            "source,target\np0,p5\np3,p9\np5,p0\n",
            r"pairs.csv, line 4: the pair of 'p5' and 'p0' is listed before: list each",
        ),
        ("source,target\np0,q\n", "line 2: the target 'q' has no link in"),
        (
            "source,target,lable\np0,p5,1\n",
            r"pairs.csv has the columns \['lable'\], which are not read: pairs have source",
        ),
    ):
        pairs.write_text(text)
        with pytest.raises(DataError, match=message):
            data.load(f"links:{edges}", pairs=str(pairs))
    with pytest.raises(UsageError, match="names no path: write links:EDGES.csv"):
        data.load("links:")


def test_pairs_of_a_small_dense_graph_leave_too_few_without_a_link(tmp_path: Path) -> None:
    edges, pairs = tmp_path / "friends.csv", tmp_path / "pairs.csv"
    full = list(itertools.combinations("abcde", 2))
    edges.write_text("source,target\n" + "".join(f"{a},{b}\n" for a, b in full[:5]))
    pairs.write_text("source,target\n" + "".join(f"{a},{b}\n" for a, b in full[5:9]))
    told = (
        "friends.csv: beside its links 5 pairs without one are wanted, and 1 of 10 can be drawn, as 5 have a link "
        "and 4 more stand in the table of pairs: lower negatives, to 0.2, or take some out of that table"
    )
    with pytest.raises(DataError, match=told):
        data.load(f"links:{edges}", pairs=str(pairs), test_fraction=0)
    pairs.write_text("source,target\n" + "".join(f"{a},{b}\n" for a, b in full[5:]))
    with pytest.raises(DataError, match="1 pair without one is wanted, and 0 of .*: take some out of that table$"):
        data.load(f"links:{edges}", pairs=str(pairs), test_fraction=0, negatives=0.2)


def test_columns_of_links_that_nobody_reads_are_refused(tmp_path: Path) -> None:
    edges = tmp_path / "friends.csv"
    edges.write_text("source,target,Weight,since\na,b,2,1999\n")
    told = r"friends.csv has the columns \['weight', 'since'\], which are not read: links have source, target; take the others out, or"
    with pytest.raises(DataError, match=told):
        data.load(f"links:{edges}")


def test_attributes_of_the_users_nodes(tmp_path: Path) -> None:
    edges, nodes = tmp_path / "friends.csv", tmp_path / "people.csv"
    edges.write_text("source,target\n" + "".join(f"p{a},p{(a + d) % 12}\n" for a in range(12) for d in (1, 2)))
    rows = [f"p{k},{k},{-k}" for k in range(12)]
    nodes.write_text("\n".join(["id,age,height", *reversed(rows), "zoe,70,1.5"]))
    found = data.load(f"links:{edges}", nodes=str(nodes))
    assert isinstance(found, LinkData)
    assert found.names[-1] == "zoe"
    assert isinstance(found.graph.x, torch.Tensor)
    assert found.graph.x[-1].tolist() == [70.0, 1.5]
    assert [f"p{age:.0f}" for age in found.graph.x[:-1, 0].tolist()] == list(found.names[:-1])
    for text, message in (
        ("id,age\np0,1\n", r"friends.csv, line 4: the source 'p1' is not an id in .*people.csv"),
        ("\n".join(["id,age", *(f"p{k},1" for k in range(12)), "p3,2"]), "the id 'p3' appears again"),
        ("\n".join(["id", *(f"p{k}" for k in range(12))]), "has no column of attributes"),
        ("\n".join(["id,age", *(f"p{k},old" for k in range(12))]), "line 2: 'old' in the column 'age' is not a number"),
    ):
        nodes.write_text(text)
        with pytest.raises(DataError, match=message):
            data.load(f"links:{edges}", nodes=str(nodes))


def test_named_graphs(mirror: Path) -> None:
    for name, card in data.cards().items():
        if card.folder == "seal":
            found = data.load(name, seed=3)
            assert isinstance(found, LinkData)
            assert found.card.counts["links"] == card.counts["links"]
            assert found.graph.num_nodes == card.size
            assert len(found.test) == 2 * (card.counts["links"] // 10)
