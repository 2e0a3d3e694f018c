"""Ratings: the published sets, the user's own table, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from renote import data
from renote.data import Card, RatingData
from renote.data.card import File
from renote.data.ratings import split_pairs
from renote.data.store import _told
from renote.errors import DataError, UsageError


def load(path: Path, text: str, **options: Any) -> RatingData:
    path.write_text(text)
    found = data.load(f"ratings:{path}", **options)
    assert isinstance(found, RatingData)
    return found


def pairs_of(found: RatingData) -> set[tuple[str, str]]:
    return {(found.users[u], found.items[i]) for part in found.parts.values() for u, i in part.tolist()}


def test_movielens_is_the_published_one(mirror: Path) -> None:
    found = data.load("movielens-100k")
    assert isinstance(found, RatingData)
    assert (found.num_users, found.num_items) == data.cards()["movielens-100k"].shape
    assert sum(map(len, found.parts.values())) == 100_000
    liked = data.load("movielens-100k", least=4)
    assert isinstance(liked, RatingData)
    assert sum(map(len, liked.parts.values())) == 34_174 + 21_201
    with pytest.raises(UsageError, match="1 to 5"):
        data.load("movielens-100k", least=6)


def test_gowalla_is_the_published_one(mirror: Path) -> None:
    found = data.load("gowalla", validation_fraction=0.1)
    assert isinstance(found, RatingData)
    sizes = {name: len(part) for name, part in found.parts.items()}
    assert sizes["train"] + sizes["validation"] == 810_128
    assert sizes["test"] == 217_242
    assert len(found.train[:, 0].unique()) == 29_858
    assert int(found.parts["test"][:, 1].max()) < found.num_items == 40_981


def test_lines_of_numbers_are_checked_whatever_their_order() -> None:
    file = File("x.txt", "", "", sets=True)
    assert _told(b"0 5 3 4\n1 2\n", file) == _told(b"0 3 4 5 \n\n1 2", file) != _told(b"5 0 3 4\n1 2\n", file)


def test_a_table_of_ratings(tmp_path: Path) -> None:
    text = "User,Item,Rating\nanna,tea,5\nanna,milk,2\nbert,tea,4\nanna,coffee,4\nbert,juice,3\n"
    found = load(tmp_path / "r.csv", text)
    assert found.users == ("anna", "bert")
    assert found.items == ("coffee", "juice", "milk", "tea")
    assert len(pairs_of(found)) == 5
    liked = load(tmp_path / "r.csv", text, least=4)
    assert pairs_of(liked) == {("anna", "tea"), ("bert", "tea"), ("anna", "coffee")}
    assert liked.card.counts["below"] == 2
    # a plain path is enough where the header names user and item
    assert isinstance(data.load(tmp_path / "r.csv"), RatingData)


def test_names_that_are_numbers_are_in_their_order(tmp_path: Path) -> None:
    assert load(tmp_path / "r.csv", "user,item\n10,7\n9,7\n9,100\n").users == ("9", "10")


def test_a_pair_that_is_there_again_counts_once_with_its_highest_rating(tmp_path: Path) -> None:
    text = "user,item,rating,split\na,x,1,train\na,x,5,test\na,x,2,train\nb,x,3,train\n"
    found = load(tmp_path / "r.csv", text)
    assert found.card.counts["repeated"] == 2
    assert found.test.tolist() == [[0, 0]]
    assert found.train.tolist() == [[1, 0]]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), unique=True), st.floats(0, 0.45), st.floats(0, 0.5))
def test_a_split_keeps_each_pair_once_and_an_item_of_each_user(
    given_pairs: list[tuple[int, int]], validation: float, test: float
) -> None:
    pairs = torch.tensor(given_pairs).reshape(-1, 2).long()
    parts = split_pairs(pairs, validation, test, 3)
    joined = torch.cat(parts).tolist()
    assert sorted(joined) == sorted(pairs.tolist())
    train, held_out, tested = parts
    for user in pairs[:, 0].unique().tolist():
        count = int((pairs[:, 0] == user).sum())
        assert int((train[:, 0] == user).sum()) >= 1
        assert int((tested[:, 0] == user).sum()) == int(count * test + 1e-9)
        assert int((held_out[:, 0] == user).sum()) <= int(count * validation + 1e-9)


WRONG = {
    "no column": ("user,thing\na,x\n", {}, "column 'item' is missing"),
    "empty user": ("user,item\na,x\n,y\n", {}, "line 3: the user is empty"),
    "not a number": ("user,item,rating\na,x,good\n", {}, "line 2: 'good' in the column 'rating' is not a number"),
    "nothing": ("user,item\n", {}, "has no ratings"),
    "none so high": ("user,item,rating\na,x,3\n", {"least": 9}, "the highest is 3"),
    "no rating to ask for": ("user,item\na,x\n", {"least": 3}, "no column 'rating'"),
    "unknown split": ("user,item,split\na,x,trian\n", {}, "Did you mean train"),
    "no train": ("user,item,split\na,x,test\n", {}, "no rating has the split 'train'"),
    "too much": ("user,item\na,x\n", {"validation_fraction": 0.6, "test_fraction": 0.5}, "nothing is left"),
    "out of range": ("user,item\na,x\n", {"test_fraction": 1.5}, "must lie in"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(name: str, tmp_path: Path) -> None:
    text, options, message = WRONG[name]
    with pytest.raises(UsageError, match=message):
        load(tmp_path / "r.csv", text, **options)


def test_a_pair_in_two_parts_is_refused() -> None:
    card = Card("own", "", "ratings", 2, (2, 2), (), "", "")
    parts = [torch.tensor(part).reshape(-1, 2).long() for part in ([[0, 1]], [], [[0, 1]])]
    with pytest.raises(DataError, match=r"the pair \(a, y\) is there 2 times"):
        RatingData("own", card, ("a", "b"), ("x", "y"), *parts)
    with pytest.raises(DataError, match="names the user 2"):
        RatingData("own", card, ("a", "b"), ("x", "y"), torch.tensor([[2, 0]]), parts[1], parts[1])
    with pytest.raises(DataError, match=r"must be \(pairs, 2\)"):
        RatingData("own", card, ("a", "b"), ("x", "y"), torch.zeros(3), parts[1], parts[1])
