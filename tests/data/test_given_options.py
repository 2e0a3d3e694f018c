"""Options of loaders: of the type that the loader says, or refused by name."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from renote import data
from renote.data import registry
from renote.data.given_options import checked_options
from renote.errors import DataError


def loader(
    argument: str,
    *,
    directed: bool = False,
    folds: int = 0,
    share: float = 0.1,
    kind: Literal["a", "b"] = "a",
    size: int | Sequence[int] | None = None,
    target: str = "x",
) -> None:
    """Takes everything."""


@pytest.mark.parametrize(
    ("word", "meant"), [("False", False), ("no", False), ("TRUE", True), ("yes", True), (True, True)]
)
def test_true_and_false_in_words(word: Any, meant: bool) -> None:
    assert checked_options(loader, "x", {"directed": word}) == {"directed": meant}


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("directed", "maybe", "true or false"),
        ("directed", 1, "true or false"),
        ("folds", 2.5, "a whole number"),
        ("folds", "x", "a whole number"),
        ("folds", True, "a whole number"),
        ("share", float("nan"), "a finite number"),
        ("share", "x", "a finite number"),
        ("kind", 1, "'a', 'b'"),
        ("size", "x", "a whole number or several or nothing"),
    ],
)
def test_other_types_are_refused_by_name(option: str, value: Any, wanted: str) -> None:
    with pytest.raises(DataError, match=f"^{option} = .* of the data set 'x': give {wanted}$"):
        checked_options(loader, "x", {option: value})


def test_what_fits_stays_as_it_is() -> None:
    given = {"folds": np.int64(3), "share": 1, "kind": "b", "size": [2, 3], "target": 123, "directed": False}
    assert checked_options(loader, "x", given) == given
    assert checked_options(loader, "x", {"size": None}) == {"size": None}


def test_every_loader_takes_its_own_defaults() -> None:
    for name in [*registry.names(), *(f"{word}:x" for word in registry.OWN if word not in ("npz", "text"))]:
        found, _ = registry._loader(name)
        defaults = {p.name: p.default for p in inspect.signature(found).parameters.values() if p.kind is p.KEYWORD_ONLY}
        defaults = {option: value for option, value in defaults.items() if value is not inspect.Parameter.empty}
        assert checked_options(found, name, defaults) == defaults


def test_tables_with_empty_names_are_refused(tmp_path: Path) -> None:
    edges, nodes = tmp_path / "edges.csv", tmp_path / "nodes.csv"
    edges.write_text("source,target\na,b\n,b\n")
    nodes.write_text("id,label\na,x\n,y\n")
    with pytest.raises(DataError, match=r"edges.csv, line 3: the source is empty"):
        data.load(f"links:{edges}")
    with pytest.raises(DataError, match=r"nodes.csv, line 3: the id is empty"):
        data.load(f"graph:{edges},{nodes}")
