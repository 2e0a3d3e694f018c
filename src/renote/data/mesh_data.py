"""Surfaces whose vertices are points of one reference surface."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from renote.data.card import Card
from renote.data.checked import checked_labels, checked_parts
from renote.errors import DataError
from renote.graph.geometry.mesh import Mesh


@dataclass(frozen=True)
class MeshData:
    """Meshes, and of each vertex the reference's vertex that it is.

    Args:
        name: what it was loaded as.
        card: where it is from.
        meshes: the surfaces.
        labels: of each a tensor (vertices,) of integers, the reference's vertex; -1 where unknown.
        reference: the surface that all are compared with.
        train: numbers of meshes to train on; a mask is taken too, here and below, and becomes numbers.
        validation: numbers of meshes.
        test: numbers of meshes.
        names: of the meshes; empty if they have none.

    Raises:
        DataError: labels of another number or type, or above the reference's vertices; a mesh is in two parts, or in one without any label.
    """

    name: str
    card: Card
    meshes: tuple[Mesh, ...]
    labels: tuple[Tensor, ...]
    reference: Mesh
    train: Tensor
    validation: Tensor
    test: Tensor
    names: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.meshes):
            raise DataError(f"{len(self.labels)} lists of labels for {len(self.meshes)} meshes: one each")
        labels = []
        for number, (mesh, label) in enumerate(zip(self.meshes, self.labels)):
            try:
                labels.append(checked_labels(label, len(mesh.vertices), len(self.reference.vertices), "vertex"))
            except DataError as error:
                raise DataError(f"mesh {self.names[number] if self.names else number}: {error}") from error
        object.__setattr__(self, "labels", tuple(labels))
        known = torch.tensor([0 if bool((label >= 0).any()) else -1 for label in labels], dtype=torch.long)
        for name, numbers in checked_parts(self.splits, known, "mesh").items():
            object.__setattr__(self, name, numbers)

    @property
    def num_classes(self) -> int:
        """How many vertices the reference has."""
        return len(self.reference.vertices)

    @property
    def splits(self) -> dict[str, Tensor]:
        """The parts by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def name_of(self, number: int) -> str:
        """Of a mesh: its own, or its number."""
        return self.names[number] if self.names else str(number)

    def with_meshes(self, meshes: tuple[Mesh, ...], names: tuple[str, ...] = ()) -> MeshData:
        """Other meshes, of which nothing is known, beside the same reference."""
        none = torch.empty(0, dtype=torch.long)
        labels = tuple(torch.full((len(mesh.vertices),), -1) for mesh in meshes)
        changes = {"meshes": meshes, "labels": labels, "names": names, "train": none, "validation": none, "test": none}
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]
