"""Systems for surfaces: which point of one is which of another. Light, as `system`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from renote.experiment.system import System
from renote.train.options import TrainOptions

if TYPE_CHECKING:
    from renote.data import MeshData
    from renote.experiment.mesh import MeshRun
    from renote.train import Learner


@dataclass(frozen=True, kw_only=True)
class MeshSystem(System["MeshRun"]):
    """A system that tells which vertex of a reference each vertex of other surfaces is."""

    family: ClassVar[str] = "graph"
    task: ClassVar[str] = "correspondence"
    kind: ClassVar[str] = "meshes"

    def learner(self, config: Any, data: MeshData) -> Learner:
        """The network with batches of the training surfaces."""
        from renote.experiment.mesh import MeshLearner

        return MeshLearner(self.build(config, data), config)

    def run(self, config: TrainOptions, data: MeshData, learner: Learner, folder: Path | None) -> MeshRun:
        """A run that can tell what corresponds."""
        from renote.experiment.mesh import MeshRun

        return MeshRun(self, config, data, learner.module, folder)
