"""What the systems for correspondence share. Light."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from renote.errors import UsageError
from renote.train.options import TrainOptions

if TYPE_CHECKING:
    from torch import nn

    from renote.data import MeshData
    from renote.graph import Correspondence
    from renote.graph.geometry.mesh import Mesh
    from renote.graph.geometry.patch import Patches


@dataclass(frozen=True, kw_only=True)
class MeshOptions(TrainOptions):
    """A map, convolutions over patches, two maps: each vertex is told from all of the reference. Weights are selected by validation loss."""

    from_one: ClassVar[tuple[str, ...]] = ("first", "features", "hidden")
    rates: ClassVar[tuple[str, ...]] = ("dropout",)

    steps: int = 10_000
    batch_size: int = 1
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    validate_every: int = 100
    heat: int = 8
    """Heat-kernel signatures that describe a vertex."""
    wave: int = 8
    """Wave-kernel signatures that describe it, beside these."""
    pairs: int = 60
    """Eigenpairs of the Laplacian that both are made of."""
    radius: float = 0.1
    """Radius of a patch, in roots of the surface's area."""
    first: int = 16
    """Width of the map before the convolutions."""
    features: tuple[int, ...] = (32, 64, 128)
    """Features after each convolution."""
    hidden: int = 256
    """Width of the map after them."""
    dropout: float = 0.0
    """Probability of dropout before the last map."""

    def __post_init__(self) -> None:
        """Refuse values that make no network."""
        super().__post_init__()
        if not self.features:
            raise UsageError(f"features = {self.features}: at least one convolution")
        if min(self.heat, self.wave) < 0 or self.heat + self.wave < 1 or self.pairs < 2:
            raise UsageError(
                f"heat = {self.heat}, wave = {self.wave}, pairs = {self.pairs}: at least one signature, of at least two eigenpairs"
            )
        if not 0 < self.radius <= 1:
            raise UsageError(f"radius = {self.radius}: in roots of the surface's area, above 0 and at most 1")


MESH_LAPTOP: dict[str, Any] = {
    "steps": 800,
    "learning_rate": 3e-3,
    "learning_rate_schedule": "cosine",
    "radius": 0.12,
    "features": (32, 32, 64),
    "hidden": 128,
    "angles": 8,
}
"""Of surfaces of about 500 vertices, where the radius is 2.5 edges."""
MESH_FULL: dict[str, Any] = {**MESH_LAPTOP, "steps": 4000, "radius": 0.06, "features": (32, 64, 128), "hidden": 256}
"""Of surfaces of about 2,000 vertices, likewise."""


def mesh_correspondence(
    config: MeshOptions,
    data: MeshData,
    convolution: Callable[[int, int], nn.Module],
    patches: Callable[[Mesh, float], Patches],
) -> Correspondence:
    """A network that tells each vertex from all of the reference, and the surfaces that it learns from.

    Args:
        config: widths, descriptors, radius.
        data: meshes with labels.
        convolution: `convolution(in_features, out_features)` makes one that is called as `convolution(x, patches)`.
        patches: `patches(mesh, radius)` makes what it reads, the radius in the mesh's unit.

    Raises:
        DataError: a mesh is too small to have a spectrum, or its triangles go round in several ways.
    """
    import itertools
    import math

    import torch

    from renote import graph
    from renote.errors import DataError
    from renote.graph.geometry.laplacian import descriptors

    def described(number: int) -> torch.Tensor:
        try:
            found = descriptors(data.meshes[number], config.heat, config.wave, config.pairs)
        except UsageError as error:
            raise DataError(f"mesh {data.name_of(number)}: {error}") from error
        # logarithms are read
        return torch.from_numpy(found).float().clamp(min=1e-6)

    def look(number: int) -> tuple[torch.Tensor, Patches]:
        mesh = data.meshes[number]
        try:
            return described(number), patches(mesh, config.radius * math.sqrt(mesh.area))
        except DataError as error:
            raise DataError(f"mesh {data.name_of(number)}: {error}") from error

    center = scale = None
    if len(data.train):
        known = torch.cat([described(number) for number in data.train.tolist()]).log()
        center, scale = known.mean(0), known.std(0).clamp(min=1e-3)
    widths = [config.first, *config.features]
    network = graph.MeshNetwork(
        [convolution(i, o) for i, o in itertools.pairwise(widths)],
        config.heat + config.wave,
        config.first,
        widths[-1],
        config.hidden,
        data.num_classes,
        center,
        scale,
        config.features,
        config.dropout,
    )
    return graph.Correspondence(network, look, data.labels, data.splits)
