"""Correspondence: which point of a reference surface each vertex of others is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.errors import DataError, UsageError
from renote.graph.geometry.heat import HeatGeodesics
from renote.graph.geometry.mesh import Mesh
from renote.graph.geometry.patch import Patches
from renote.graph.task.node import groups_of, numbers_of
from renote.nets.evaluation import evaluation

Seen = tuple[Tensor, Patches]
"""What is known of a surface: (vertices, features) that describe each vertex, and its patches."""

_BLOCK = 256
"""Sources of distances at once."""


class Correspondence(nn.Module):
    """Mean cross-entropy over vertices, - 1/n Σ_x ln softmax(Z_x)_{y_x}, where y_x is the reference's vertex that x is.

    Surfaces are looked at when they are first asked for, and kept; they follow the module to a device, and are not part of its state.

    Args:
        network: `network(features, patches)` gives (vertices, reference's vertices).
        look: `look(number)` gives what is known of a surface.
        labels: of each surface (vertices,) int64; -1 where unknown.
        splits: name → numbers of surfaces, `"train"` among them.

    Source:
        Boscaini et al. (2016), section 4; Monti et al. (2017), section 5.3.
    """

    def __init__(
        self, network: nn.Module, look: Callable[[int], Seen], labels: Sequence[Tensor], splits: Mapping[str, Tensor]
    ) -> None:
        super().__init__()
        if "train" not in splits:
            raise DataError(f"no split named 'train' among {sorted(splits)}")
        self.network, self.labels = network, [label.long() for label in labels]
        known = torch.tensor([0 if bool((label >= 0).any()) else -1 for label in labels], dtype=torch.long)
        self.splits = {name: numbers_of(name, split, known, "mesh") for name, split in splits.items()}
        self._look, self._seen = look, dict[int, Seen]()
        self._move: list[Callable[[Tensor], Tensor]] = []

    def seen(self, number: int) -> Seen:
        """What is known of a surface."""
        if number not in self._seen:
            features, patches = self._look(number)
            for move in self._move:
                features, patches = move(features), patches.map(move)
            self._seen[number] = features, patches
        return self._seen[number]

    def forward(self, batch: Mapping[str, Tensor] | None = None) -> Tensor:
        """The loss of the surfaces of a batch, `{"mesh": numbers}`, or of all that are trained on."""
        numbers = (batch["mesh"] if batch else self.splits["train"]).tolist()
        return self._loss(self._outputs(numbers), torch.cat([self.labels[number] for number in numbers]))

    def logits(self, number: int) -> Tensor:
        """(vertices, reference's vertices) of a surface, without dropout."""
        with evaluation(self.network):
            return self._outputs([number])

    def predict(self, number: int) -> Tensor:
        """(vertices,) the reference's vertex that each most probably is."""
        return self.logits(number).argmax(1)

    def validate(self, split: str = "validation") -> dict[str, float]:
        """Mean cross-entropy and accuracy over the surfaces of a split; empty if it has none."""
        numbers = self.splits.get(split, torch.empty(0)).tolist()
        if not numbers:
            return {}
        losses, right = [], []
        for number in numbers:
            logits, labels = self.logits(number), self.labels[number]
            losses.append(float(self._loss(logits, labels)))
            known = labels >= 0
            right.append(float((logits.argmax(1) == labels)[known].double().mean()))
        return {"loss": sum(losses) / len(losses), "accuracy": sum(right) / len(right)}

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The network's own groups if it has any, else all parameters alike."""
        return groups_of(self.network, weight_decay)

    def _outputs(self, numbers: Sequence[int]) -> Tensor:
        seen = [self.seen(number) for number in numbers]
        out: Tensor = self.network(torch.cat([each[0] for each in seen]), Patches.union([each[1] for each in seen]))
        return out

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels, ignore_index=-1)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Correspondence:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._move.append(fn)
        self._seen = {number: (fn(x), patches.map(fn)) for number, (x, patches) in self._seen.items()}
        self.labels = [fn(label) for label in self.labels]
        self.splits = {name: fn(numbers) for name, numbers in self.splits.items()}
        return self


def geodesic_errors(predicted: Tensor, truth: Tensor, distances: Tensor) -> Tensor:
    """ε_x = d(f(x), y_x) / √area, distances along the reference over the root of its area: the Princeton benchmark's.

    Args:
        predicted: (vertices,) the reference's vertices f(x).
        truth: (vertices,) those that they are, y_x; -1 where unknown.
        distances: (reference's vertices, reference's vertices) over √area, as `reference_distances`.

    Returns:
        (known vertices,).

    Source:
        Kim, Lipman & Funkhouser (2011), "Blended intrinsic maps", section 8.
    """
    known = truth >= 0
    return distances[truth[known], predicted[known]]


def reference_distances(mesh: Mesh) -> Tensor:
    """(vertices, vertices) float32 distances along a surface over the root of its area, by the heat method, from each vertex; the mean of both directions, 0 on the diagonal."""

    def make() -> Tensor:
        count = len(mesh.vertices)
        heat, found = HeatGeodesics(mesh), np.empty((count, count), np.float32)
        for start in range(0, count, _BLOCK):
            some = np.arange(start, min(start + _BLOCK, count))
            found[some] = heat.distances(some)
        found /= np.sqrt(mesh.area)
        distances = torch.from_numpy((found + found.T) / 2)
        return distances.fill_diagonal_(0.0)

    return mesh.once("distances", make)  # type: ignore[no-any-return]


def error_curve(errors: Tensor, radii: Tensor) -> Tensor:
    """(radii,) share of the errors that are at most each radius; the first, at 0, is the share of exact matches."""
    if not len(errors):
        raise UsageError("there are no errors to count")
    return (errors[:, None] <= radii).double().mean(0)


def match(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """For each vertex of one surface that of another which is most likely the same: argmax_j Σ_r p_i(r) q_j(r).

    Args:
        first: (n, reference's vertices) logits.
        second: (m, reference's vertices) logits.

    Returns:
        (n,) numbers of the second's vertices; (n,) Σ_r p_i(r) q_j(r), the probability that both are the same vertex of the reference.
    """
    likely = second.softmax(1).t()
    parts = [(part.softmax(1) @ likely).max(1) for part in first.split(_BLOCK)]  # type: ignore[no-untyped-call]
    return torch.cat([part.indices for part in parts]), torch.cat([part.values for part in parts])
