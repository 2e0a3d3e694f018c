"""What is known of a data set before any of it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class File:
    """One official file.

    Args:
        name: its name in the cache, in a mirror and at its address.
        sha256: of its content; of the *unpacked* content if the name ends in `.gz`, since copies of one file are packed
            in different ways; of `arrays` or `members` alone if there are any.
        url: the official address; empty where there is none.
        arrays: names of the whole-number arrays of an `.npz` file which are read: copies of it differ in packing, in the
            width of their numbers and in what else they hold.
        members: names of the files of a `.zip` which are read, for the same reason.
        sets: whether the checksum is of lines of whole numbers with those after the first sorted, since copies differ in their order.
    """

    name: str
    sha256: str
    url: str
    arrays: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    sets: bool = False

    @property
    def packed(self) -> bool:
        """Whether the content is compressed with gzip."""
        return self.name.endswith(".gz")


@dataclass(frozen=True)
class Card:
    """A data set's name plate.

    Args:
        name: what `renote.data.load` takes.
        title: one line.
        kind: `"samples"`: things to generate; `"nodes"`: a graph whose nodes have classes; `"graphs"`: many graphs, with a class or values each, or neither; `"ratings"`: which user took which item; `"links"`: a graph whose missing links are looked for; `"meshes"`: surfaces whose vertices correspond; `"facts"`: a knowledge graph whose missing facts are looked for.
        size: number of samples, of nodes, of graphs, of ratings, of facts, or of meshes.
        shape: of one sample (channels, *space), or (features,) of one node; (users, items) of ratings; (entities, relations) of facts; (vertices, 3) of the reference mesh.
        classes: names of the classes in the order of their numbers; empty if there are none.
        source: who made it and where it is described.
        licence: as its source states it.
        files: official files; empty if nothing has to be fetched.
        folder: where the files lie under the cache or a mirror.
        counts: further figures: the parts of the split, edges.
    """

    name: str
    title: str
    kind: Literal["samples", "nodes", "graphs", "ratings", "links", "meshes", "facts"]
    size: int
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    source: str
    licence: str
    files: tuple[File, ...] = ()
    folder: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON takes it."""
        return {
            "name": self.name,
            "title": self.title,
            "kind": self.kind,
            "size": self.size,
            "shape": list(self.shape),
            "classes": list(self.classes),
            "counts": dict(self.counts),
            "source": self.source,
            "licence": self.licence,
            "files": [{"name": file.name, "sha256": file.sha256, "url": file.url} for file in self.files],
        }
