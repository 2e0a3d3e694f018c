"""Knowledge graphs: the usual four, the user's own, splits that leave nothing unknown, and what is wrong with a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from renote import data
from renote.data import Card, FactData
from renote.data.facts import split_facts
from renote.errors import DataError, UsageError

mirror = pytest.mark.skipif(not os.environ.get("RENOTE_MIRROR"), reason="needs the official files")


@mirror
@pytest.mark.parametrize("name", ["umls", "kinship", "wn18rr", "fb15k-237"])
def test_the_usual_ones_have_their_sizes(name: str) -> None:
    loaded = data.load(name)
    assert isinstance(loaded, FactData)
    card = data.cards()[name]
    assert (loaded.num_entities, loaded.num_relations) == card.shape
    assert {part: len(facts) for part, facts in loaded.parts.items()} == {
        part: card.counts[part] for part in ("train", "validation", "test")
    }
    trained = torch.unique(loaded.train[:, [0, 2]])
    assert loaded.num_entities - len(trained) == card.counts["untrained"]


@mirror
def test_the_first_test_fact_is_the_files() -> None:
    umls = data.load("umls")
    assert isinstance(umls, FactData)
    head, relation, tail = umls.test[0].tolist()
    told = umls.entities[head], umls.relations[relation], umls.entities[tail]
    assert told == ("steroid", "interacts_with", "eicosanoid")


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return f"facts:{path}"


def test_lines_and_tables_are_the_same(tmp_path: Path) -> None:
    rows = [("ann", "parent", "bob"), ("bob", "parent", "cy"), ("ann", "sister", "dee"), ("ann", "parent", "bob")]
    lines = data.load(write(tmp_path / "a.tsv", "\n".join("\t".join(row) for row in rows) + "\n\n"))
    table = data.load(write(tmp_path / "a.csv", "head,relation,tail\n" + "\n".join(",".join(row) for row in rows)))
    assert isinstance(lines, FactData)
    assert isinstance(table, FactData)
    assert lines.entities == table.entities == ("ann", "bob", "cy", "dee")
    assert lines.relations == ("parent", "sister")
    assert lines.card.counts == {"relations": 2, "repeated": 1}
    assert torch.equal(lines.facts, table.facts)
    assert len(lines.facts) == 3
    split = "head,relation,tail,split\nann,parent,bob,train\nbob,parent,cy,valid\nann,sister,dee,test\n"
    given = data.load(write(tmp_path / "s.csv", split))
    assert isinstance(given, FactData)
    assert [part.tolist() for part in given.parts.values()] == [[[0, 0, 1]], [[1, 0, 2]], [[0, 1, 3]]]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_columns_may_stand_in_any_order_and_case(mark: str, tmp_path: Path) -> None:
    text = "Tail,HEAD,relation\nbob,ann,parent\n".replace(",", mark)
    loaded = data.load(write(tmp_path / "a.csv", text))
    assert isinstance(loaded, FactData)
    assert (loaded.entities, loaded.facts.tolist()) == (("ann", "bob"), [[0, 0, 1]])


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=40, unique=True),
    st.sampled_from([0.0, 0.1, 0.4]),
    st.sampled_from([0.0, 0.2, 0.5]),
    st.integers(0, 5),
)
def test_nothing_is_only_held_out(rows: list[tuple[int, int, int]], held: float, tested: float, seed: int) -> None:
    facts = torch.tensor(rows)
    parts = split_facts(facts, 10, 3, held, tested, seed)
    assert sorted(map(tuple, torch.cat(parts).tolist())) == sorted(rows)
    for columns in ([0, 2], [1]):
        assert set(facts[:, columns].flatten().tolist()) == set(parts[0][:, columns].flatten().tolist())
    assert len(parts[1]) <= held * len(rows) + 1e-9
    assert len(parts[2]) <= tested * len(rows) + 1e-9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tr\tb\na\tr\n", "line 2: .* is no fact"),
        ("a\tr\tb\tc\n", "line 1: .* is no fact"),
        ("a\t\tb\n", "line 1: .* is no fact"),
        ("\n\n", "has no facts"),
        ("head,relation,tail\na,,b\n", "line 2: the relation is empty"),
        ("head,relation,tail,split\na,r,b,often\n", "line 2: .*split"),
        ("head,relation,tail,split\na,r,b,test\n", "no fact has the split 'train'"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        data.load(write(tmp_path / "f.tsv", text))


def test_files_and_shares_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        data.load(f"facts:{tmp_path / 'none.tsv'}")
    (tmp_path / "latin.tsv").write_bytes("é\tr\tb\n".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        data.load(f"facts:{tmp_path / 'latin.tsv'}")
    name = write(tmp_path / "f.tsv", "a\tr\tb\n")
    with pytest.raises(UsageError, match="test_fraction = 1.0"):
        data.load(name, test_fraction=1.0)
    with pytest.raises(UsageError, match="nothing is left to train on"):
        data.load(name, test_fraction=0.5, validation_fraction=0.5)


def test_wrong_facts_in_memory() -> None:
    card = Card("x", "", "facts", 1, (2, 1), (), "", "")
    none = torch.zeros(0, 3, dtype=torch.long)

    def made(train: torch.Tensor, test: torch.Tensor = none) -> FactData:
        return FactData("x", card, ("a", "b"), ("r",), train, none, test)

    with pytest.raises(DataError, match=r"must be \(facts, 3\) integers"):
        made(torch.zeros(2, 2, dtype=torch.long))
    with pytest.raises(DataError, match="names the tail 2, but there are 2"):
        made(torch.tensor([[0, 0, 2]]))
    with pytest.raises(DataError, match=r"\(a, r, b\) is there 2 times"):
        made(torch.tensor([[0, 0, 1]]), torch.tensor([[0, 0, 1]]))
