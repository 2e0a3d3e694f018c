"""Correspondence of surfaces as an experiment: a batch is a few of them, all their vertices."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from renote.data import MeshData, load_mesh
from renote.errors import UsageError
from renote.experiment.predictions import write_rows
from renote.experiment.run import Run, open_run, read_config
from renote.graph import Correspondence, error_curve, geodesic_errors, match, reference_distances
from renote.train.learner import Batch, PlainLearner
from renote.train.options import TrainOptions
from renote.train.order import EpochOrder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from renote.graph.geometry.mesh import Mesh

_DRAWN = 3
_RADII = (0.05, 0.1)
"""Errors that are still counted as near, in roots of the reference's area."""


class MeshLearner(PlainLearner):
    """Correspondences to a reference; weights are selected by validation loss.

    Args:
        task: network and surfaces.
        config: batch size and seed.
    """

    module: Correspondence

    def __init__(self, task: Correspondence, config: TrainOptions) -> None:
        self.module, self._train = task, task.splits["train"].cpu()
        self.order = EpochOrder(max(1, len(self._train)), config.batch_size or max(1, len(self._train)), config.seed)
        self.metric = "loss" if task.splits.get("validation", torch.empty(0)).numel() else None

    def batch(self, step: int, generator: torch.Generator) -> Batch | None:
        """The numbers of the step's surfaces.

        Raises:
            UsageError: there are no surfaces to train on.
        """
        if not len(self._train):
            raise UsageError("the split 'train' is empty: there are no meshes to train on")
        return {"mesh": self._train[self.order.indices(step)]}

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The network's own."""
        return self.module.parameter_groups(weight_decay)

    def validate(self) -> Mapping[str, float]:
        """Loss and accuracy on the validation surfaces."""
        return self.module.validate()


class MeshRun(Run):
    """A trained network that knows the points of a reference on other surfaces."""

    instead: ClassVar[str] = "correspond"

    module: Correspondence
    data: MeshData

    @property
    def next_command(self) -> str:
        """Vertices of one mesh on another, or of the reference on each."""
        return f"correspond {self.folder} A B, or renote {super().next_command}"

    def predict(self, number: int) -> Tensor:
        """(vertices,) the reference's vertex that each vertex of a mesh most probably is."""
        return self.module.predict(number).cpu()

    def errors(self, split: str = "test") -> Tensor:
        """(known vertices,) geodesic errors over all meshes of a split, in roots of the reference's area."""
        distances = reference_distances(self.data.reference)
        numbers = self.module.splits[split].tolist()
        found = [geodesic_errors(self.predict(n), self.data.labels[n], distances) for n in numbers]
        return torch.cat(found) if found else torch.empty(0)

    def evaluate(self) -> dict[str, Any]:
        """For each part of the split: share of exact vertices and of those within 5 and 10 % of the root of the area, in percent; mean error in percent of that root."""
        measures: dict[str, Any] = {}
        for split, numbers in self.module.splits.items():
            if not numbers.numel():
                continue
            errors = self.errors(split)
            shares = 100 * error_curve(errors, torch.tensor([0.0, *_RADII]))
            measures[f"{split}_accuracy"] = float(shares[0])
            measures |= {f"{split}_accuracy@{r:g}": float(s) for r, s in zip(_RADII, shares[1:])}
            measures[f"{split}_error"] = 100 * float(errors.double().mean())
        return measures

    def write_predictions(self, path: Path) -> int:
        """Write a table with a row a vertex: mesh, vertex, reference's vertex, probability; of the test meshes, or of all if there are none.

        Args:
            path: of the .csv file.

        Returns:
            The number of rows.
        """
        numbers = self.data.test.tolist() or range(len(self.data.meshes))
        rows = []
        for number in numbers:
            share, vertex = self.module.logits(number).softmax(1).cpu().max(1)
            name = self.data.name_of(number)
            rows += [[name, k, v, f"{s:.4f}"] for k, (v, s) in enumerate(zip(vertex.tolist(), share.tolist()))]
        return write_rows(path, ["mesh", "vertex", "reference", "probability"], rows)

    def picture(self, node: int | None = None) -> Figure:
        """The reference, and three meshes coloured by where on it their vertices are predicted to be.

        Args:
            node: number of the mesh to begin with; None takes those that are tested on.

        Raises:
            UsageError: there is no such mesh.
        """
        from renote.evaluate import draw_meshes

        count = len(self.data.meshes)
        if not 0 <= (node or 0) < count:
            raise UsageError(f"node = {node}: it is the mesh to begin with, and there are {count}, from 0")
        numbers = self.data.test.tolist() if node is None else []
        numbers = (numbers or list(range(node or 0, count)))[:_DRAWN]
        places = self.data.reference.vertices
        drawn = [("reference", self.data.reference, places)]
        drawn += [(self.data.name_of(n), self.data.meshes[n], places[self.predict(n).numpy()]) for n in numbers]
        return draw_meshes(drawn, f"{self.system.name} on {self.data.name}: points of the reference")

    def correspond(self, first: str | os.PathLike[str], second: str | os.PathLike[str]) -> Pair:
        """What corresponds on two surfaces of the user's: each vertex of the first to one of the second.

        Args:
            first: a mesh's file.
            second: another's.

        Raises:
            DataError: a file is no mesh.
            UsageError: the run is in no folder.
        """
        if self.folder is None:
            raise UsageError("this run was not kept: train with a folder (out), and load it from there")
        meshes = load_mesh(first), load_mesh(second)
        names = Path(first).stem, Path(second).stem
        run = open_run(self.system, self.folder, read_config(self.folder), self.data.with_meshes(meshes, names))
        assert isinstance(run, MeshRun)
        logits = run.module.logits(0), run.module.logits(1)
        found, probability = match(*logits)
        return Pair(self.system.name, meshes, names, found.cpu(), logits[0].argmax(1).cpu(), probability.cpu())


class Pair:
    """Two surfaces, and for each vertex of the first the vertex of the second that it is.

    Args:
        system: what told it.
        meshes: both.
        names: of both.
        matched: (vertices of the first,) numbers of vertices of the second.
        reference: (vertices of the first,) the reference's vertex that each most probably is.
        probability: (vertices of the first,) that both are the same vertex of the reference.
    """

    def __init__(
        self,
        system: str,
        meshes: tuple[Mesh, Mesh],
        names: tuple[str, str],
        matched: Tensor,
        reference: Tensor,
        probability: Tensor,
    ) -> None:
        self.system, self.meshes, self.names = system, meshes, names
        self.matched, self.reference, self.probability = matched, reference, probability

    def write(self, path: Path) -> int:
        """Write a table with a row a vertex of the first: its number, the second's, the reference's, probability.

        Args:
            path: of the .csv file.

        Returns:
            The number of rows.
        """
        columns = self.matched.tolist(), self.reference.tolist(), self.probability.tolist()
        rows = [[k, v, r, f"{p:.4f}"] for k, (v, r, p) in enumerate(zip(*columns))]
        return write_rows(path, ["vertex", "matched", "reference", "probability"], rows)

    def draw(self) -> Figure:
        """The second in colours by place, and the first in those of what its vertices are matched with."""
        from renote.evaluate import draw_meshes

        (first, second), places = self.meshes, self.meshes[1].vertices
        drawn = [(self.names[1], second, places), (self.names[0], first, places[self.matched.numpy()])]
        return draw_meshes(drawn, f"{self.system}: points of {self.names[0]} on {self.names[1]}")
