"""From a name or a path to data.

Names, cards and paths are looked at without importing torch or NumPy; a loader is imported when it is called.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renote.data.card import Card
from renote.data.catalog import CARDS
from renote.data.catalog_molecules import MOLECULES
from renote.data.given_options import checked_options
from renote.errors import DataError, unknown

if TYPE_CHECKING:
    from renote.data.forms import Data

_LOADERS = {
    "digits": ("digits", "load"),
    "digit-maps": ("digits", "load_maps"),
    "digits-knn": ("digits", "load_graph"),
    "mnist": ("idx", "load"),
    "fashion-mnist": ("idx", "load"),
    "cora": ("planetoid", "load"),
    "citeseer": ("planetoid", "load"),
    "pubmed": ("planetoid", "load"),
    "amazon-photo": ("gnn_benchmark", "load"),
    "amazon-computers": ("gnn_benchmark", "load"),
    "coauthor-cs": ("gnn_benchmark", "load"),
    **{name: ("tu", "load") for name, card in CARDS.items() if card.folder == "tu"},
    **{name: ("seal", "load") for name, card in CARDS.items() if card.folder == "seal"},
    "folder": ("images", "load"),
    "maps": ("maps", "load"),
    "graph": ("table", "load"),
    "graphs": ("graph_folder", "load"),
    "molecules": ("molecule_sets", "load"),
    **dict.fromkeys(MOLECULES, ("molecule_sets", "load")),
    "ratings": ("ratings", "load"),
    "movielens-100k": ("ratings", "load_movielens"),
    "gowalla": ("ratings", "load_gowalla"),
    "links": ("links", "load"),
    "facts": ("facts", "load"),
    **dict.fromkeys(("umls", "kinship", "wn18rr", "fb15k-237"), ("facts", "load_named")),
    "aifb": ("rdf", "load"),
    "mutag-rdf": ("rdf", "load"),
    "superpixels": ("superpixels", "load"),
    "meshes": ("mesh_sets", "load"),
    "figures": ("figures", "load"),
    "tosca-cat": ("mesh_sets", "load_cats"),
    "npz": ("arrays", "load"),
    "heartbeat": ("heartbeat", "load"),
    "power-law": ("power_law", "load"),
    "communities-many": ("communities", "load"),
    "ppi": ("ppi", "load"),
    "small-communities": ("small_graphs", "load"),
    "small-planar": ("small_graphs", "load"),
    "text": ("text", "load"),
    "tinyshakespeare": ("text", "load"),
    **{name: ("toy", "load") for name in CARDS if name.startswith("toy-")},
}

OWN: dict[str, tuple[str, str]] = {
    "folder": ("folder:PATH", "a folder of images"),
    "maps": ("maps:PATH", "a folder of label maps, indexed or grey pictures, or a .npz file of them"),
    "npz": ("FILE.npz", "arrays"),
    "text": ("FILE.txt", "text"),
    "graph": ("graph:EDGES.csv,NODES.csv", "tables of edges and of nodes, .parquet too"),
    "graphs": ("graphs:PATH", "a folder of tables of edges and labels.csv"),
    "molecules": ("molecules:FILE.csv", "a table with a column of SMILES"),
    "superpixels": ("superpixels:IMAGES", "graphs of the regions of images"),
    "meshes": ("meshes:PATH", "a folder of meshes (.off, .obj, .ply) whose vertices correspond"),
    "links": ("links:EDGES.csv", "a table of edges, whose missing links are looked for"),
    "facts": ("facts:FILE.tsv", "lines of head, relation and tail, whose missing facts are looked for"),
    "ratings": ("ratings:FILE.csv", "a table with the columns user and item"),
}
"""The user's own data, by the word before the colon: how it is written, and what is there."""


def is_own(name: str) -> bool:
    """Whether data of this name are the user's own in one of the forms of `OWN` that have a colon: their files may change, those of data sets cannot."""
    word, colon, _ = name.partition(":")
    return bool(colon) and word in OWN


def names() -> list[str]:
    """Every name that `load` knows, in the order of a list."""
    return list(CARDS)


def cards() -> dict[str, Card]:
    """The card of each named data set."""
    return dict(CARDS)


def load(name: str | os.PathLike[str], **options: Any) -> Data:
    """Reads a data set by name, or the user's own by path.

    Args:
        name: one of `names()`, a folder of images, a `.npz` or `.txt` file, or another form of `OWN`.
        options: of the loader, e.g. `size=14` for images, `n=1000` for toy points, `seed` of a split.

    Raises:
        UsageError: no such name or option; the message has the nearest.
        DataError: files that are missing, damaged or do not mean what they should.

    Example:
        >>> from renote import data
        >>> graph = data.load("digits-knn").graph
        >>> graph.num_nodes, graph.num_edges // 2
        (1797, 9929)
    """
    loader, argument = _loader(name)
    known = _options(loader)
    for option in options:
        if option not in known:
            raise unknown(f"option of the data set {os.fspath(name)!r}:", option, known)
    loaded: Data = loader(argument, **checked_options(loader, os.fspath(name), options))
    return loaded


def options_of(name: str | os.PathLike[str]) -> list[str]:
    """The options that `load` takes for a data set.

    Args:
        name: as for `load`.

    Raises:
        UsageError: as `load`.
    """
    return _options(_loader(name)[0])


def describe(name: str | os.PathLike[str]) -> dict[str, Any]:
    """The card as JSON takes it, with counts; the user's own data is read for it.

    Args:
        name: as for `load`.

    Raises:
        UsageError: as `load`.
    """
    _, argument = _resolve(os.fspath(name))
    return (argument if isinstance(argument, Card) else load(name).card).to_dict()


def fetch(name: str) -> list[Path]:
    """Makes sure that the official files of a named set are on this machine, and says where.

    Args:
        name: one of `names()`.

    Returns:
        A verified file each; none for sets that need no files.

    Raises:
        UsageError: no such name.
        DataError: a file could not be had, or is not the official one.
    """
    card = CARDS.get(_canonical(name))
    if card is None:
        raise unknown("data set", name, CARDS)
    if not card.files:
        return []
    store = importlib.import_module("renote.data.store")
    return [store.locate(card, file) for file in card.files]


def _loader(name: str | os.PathLike[str]) -> tuple[Callable[..., Data], Card | str]:
    """The loader, and what it is given."""
    kind, argument = _resolve(os.fspath(name))
    module, function = _LOADERS[kind]
    return getattr(importlib.import_module(f"renote.data.{module}"), function), argument


def _options(loader: Callable[..., Data]) -> list[str]:
    return [p.name for p in inspect.signature(loader).parameters.values() if p.kind is p.KEYWORD_ONLY]


def _canonical(name: str) -> str:
    plain = name.strip().lower().replace("_", "-")
    if plain == "toy-2d":
        return "toy-swiss-roll"
    return plain.replace("toy-2d:", "toy-", 1)


def _resolve(name: str) -> tuple[str, Card | str]:
    """The loader's key, and what it is given: a card, or a path."""
    canonical = _canonical(name)
    if canonical in CARDS:
        return canonical, CARDS[canonical]
    if canonical.startswith("toy-"):
        raise unknown("data set", name, CARDS)
    form, colon, path = name.partition(":")
    if colon and form in OWN:
        if not path:
            raise DataError(f"{name!r} names no path: write {OWN[form][0]}")
        return form, path
    if name.lower().endswith((".npz", ".txt")):
        return "npz" if name.lower().endswith(".npz") else "text", name
    if Path(name).expanduser().is_dir():
        return "folder", name
    if name.lower().endswith((".csv", ".tsv")) and _is_of_ratings(Path(name).expanduser()):
        return "ratings", name
    if name.lower().endswith((".csv", ".parquet", ".pq")):
        raise DataError(
            f"{name!r}: a graph needs two tables; write graph:EDGES.csv,NODES.csv (or .parquet), or links:{name} to predict links. Ratings have the columns user and item: ratings:{name}"
        )
    if "/" in name or os.sep in name or Path(name).suffix:
        there = "is not data of a known form" if Path(name).expanduser().exists() else "does not exist"
        raise DataError(f"{name!r} {there}: give a data set's name, or {', '.join(form for form, _ in OWN.values())}")
    raise unknown("data set", name, CARDS)


def _is_of_ratings(path: Path) -> bool:
    """Whether a table's first line names users and items."""
    if not path.is_file():
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        first = stream.readline().lower()
    columns = {cell.strip().strip('"') for cell in first.split(max(",;\t", key=first.count))}
    return {"user", "item"} <= columns
