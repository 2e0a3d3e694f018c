"""What is learned of whole graphs: each of many has one class, or values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.errors import DataError, UsageError, unknown
from renote.graph.batch import pick
from renote.graph.explain import occlusion
from renote.graph.graph import Graph
from renote.graph.task.node import groups_of, in_precision_of, numbers_of
from renote.nets.evaluation import evaluation

_CHUNK_NODES = 20_000


class GraphTask(nn.Module):
    """A network of whole graphs, all graphs, and which of them are in which part. Graphs follow the module to a device or precision; they are not part of its state.

    Args:
        network: `network(graph)` gives (graphs, outputs) of a batch; or a pair, these and a penalty that is added to the loss, mean over the graphs.
        graphs: all of them as one disjoint union; features are taken in the precision of the network's weights.
        known: (graphs,) integers; below 0 where a graph cannot be in a part.
        splits: name → numbers of graphs, `"train"` among them; masks are accepted too.
    """

    def __init__(self, network: nn.Module, graphs: Graph, known: Tensor, splits: Mapping[str, Tensor]) -> None:
        super().__init__()
        if "train" not in splits:
            raise DataError(f"no split named 'train' among {sorted(splits)}")
        if graphs.x is None:
            raise UsageError(
                "the graphs have no node features: give their nodes some, e.g. graph.with_x(degree_features(graph.adjacency))"
            )
        self.network = network
        self.graphs = in_precision_of(network, graphs)
        self.splits = {name: numbers_of(name, split, known, "graph") for name, split in splits.items()}

    def error(self, outputs: Tensor, numbers: Tensor) -> Tensor:
        """The mean loss of some graphs' outputs."""
        raise NotImplementedError

    def forward(self, batch: Mapping[str, Tensor] | None = None) -> Tensor:
        """The loss of a batch, `{"graph": numbers}`, or of all training graphs."""
        numbers = batch["graph"] if batch else self.splits["train"]
        found = self.network(pick(self.graphs, numbers))
        outputs, penalty = found if isinstance(found, tuple) else (found, None)
        loss = self.error(outputs, numbers)
        return loss if penalty is None else loss + penalty

    def outputs(self, numbers: Tensor | None = None) -> Tensor:
        """(n, outputs) of some graphs, or of all, without dropout, so many at a time that their nodes are not too many."""
        if numbers is None:
            numbers = torch.arange(self.graphs.num_graphs, device=self.splits["train"].device)
        with evaluation(self.network):
            nodes = self.graphs.members.count.index_select(0, numbers).long().cumsum(0) // _CHUNK_NODES
            sizes = [size for size in torch.bincount(nodes).tolist() if size] or [0]
            parts = [self.network(pick(self.graphs, part)) for part in torch.split(numbers, sizes)]
        return torch.cat([part[0] if isinstance(part, tuple) else part for part in parts])

    def contributions(self, numbers: Tensor | None = None) -> Tensor:
        """What each node adds to the outputs of its graph, by `occlusion`: (nodes of these graphs, outputs)."""
        graphs = self.graphs if numbers is None else pick(self.graphs, numbers)

        def outputs(batch: Graph) -> Tensor:
            found = self.network(batch)
            only: Tensor = found[0] if isinstance(found, tuple) else found
            return only

        with evaluation(self.network):
            return occlusion(outputs, graphs)

    def numbers(self, split: str) -> Tensor:
        """The graphs of a part."""
        if split not in self.splits:
            raise unknown("split", split, self.splits)
        return self.splits[split]

    def validate(self, split: str = "validation") -> dict[str, float]:
        """Loss and measures on a split; empty if there is no such split."""
        raise NotImplementedError

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The network's own groups if it has any, else all parameters alike."""
        return groups_of(self.network, weight_decay)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> GraphTask:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.graphs = self.graphs.map(fn)
        self.splits = {name: fn(numbers) for name, numbers in self.splits.items()}
        return self


class GraphClassification(GraphTask):
    """Mean cross-entropy of graphs, - 1/n Σ_g ln softmax(Z_g)_{y_g}, and the network's penalty if it has one.

    Args:
        network: as `GraphTask`; it gives logits (graphs, classes).
        graphs: all of them as one disjoint union.
        labels: (graphs,) int64; -1 where unknown.
        splits: as `GraphTask`.
    """

    def __init__(self, network: nn.Module, graphs: Graph, labels: Tensor, splits: Mapping[str, Tensor]) -> None:
        if labels.shape != (graphs.num_graphs,) or labels.is_floating_point():
            raise DataError(
                f"labels of shape {tuple(labels.shape)} and {labels.dtype} for {graphs.num_graphs} graphs: one integer each"
            )
        super().__init__(network, graphs, labels.long(), splits)
        self.labels = labels.long()

    def error(self, outputs: Tensor, numbers: Tensor) -> Tensor:
        """Cross-entropy."""
        return functional.cross_entropy(outputs, self.labels.index_select(0, numbers))

    def logits(self, numbers: Tensor | None = None) -> Tensor:
        """(n, classes) of some graphs, or of all, without dropout."""
        return self.outputs(numbers)

    def accuracy(self, split: str, logits: Tensor | None = None) -> float:
        """Share of a split's graphs whose largest logit is their label's; `logits` of all graphs, if they are there."""
        numbers = self.numbers(split)
        return _share(self.logits(numbers) if logits is None else logits[numbers], self.labels[numbers])

    def validate(self, split: str = "validation") -> dict[str, float]:
        """Cross-entropy and accuracy on a split; empty if there is no such split."""
        if split not in self.splits:
            return {}
        numbers = self.splits[split]
        logits = self.logits(numbers)
        return {"loss": float(self.error(logits, numbers)), "accuracy": _share(logits, self.labels[numbers])}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> GraphClassification:
        super()._apply(fn, recurse)
        self.labels = fn(self.labels)
        return self


class GraphRegression(GraphTask):
    """Mean squared error of standardized values, 1/(n t) Σ_g |Z_g - (y_g - μ) / σ|², and the network's penalty if it has one.

    μ and σ are mean and deviation of each target over the training graphs; they are part of the state, so that trained weights predict in the targets' units anywhere.

    Args:
        network: as `GraphTask`; it gives standardized values (graphs, targets).
        graphs: all of them as one disjoint union.
        values: (graphs, targets) of floating point; NaN where unknown. A target that does not vary has σ = 1.
        splits: as `GraphTask`; a graph in one knows all its values.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, graphs: Graph, values: Tensor, splits: Mapping[str, Tensor]) -> None:
        if values.dim() != 2 or len(values) != graphs.num_graphs or not values.is_floating_point():
            raise DataError(
                f"values of shape {tuple(values.shape)} and {values.dtype} for {graphs.num_graphs} graphs: a row of numbers each"
            )
        super().__init__(network, graphs, (~values.isnan().any(1)).long() - 1, splits)
        self.values = values.double()
        train = self.values[self.splits["train"]]
        none = torch.zeros(values.shape[1], dtype=torch.float64)
        deviation = train.std(0, correction=0) if len(train) else none
        self.register_buffer("center", (train.mean(0) if len(train) else none).float())
        self.register_buffer("scale", torch.where(deviation > 0, deviation, 1.0).float())

    def error(self, outputs: Tensor, numbers: Tensor) -> Tensor:
        """Mean squared error of standardized values."""
        target = (self.values.index_select(0, numbers) - self.center) / self.scale
        return functional.mse_loss(outputs, target.to(outputs.dtype))

    def predict(self, numbers: Tensor | None = None) -> Tensor:
        """(n, targets) in the targets' units, of some graphs or of all."""
        return self.outputs(numbers) * self.scale + self.center

    def contributions(self, numbers: Tensor | None = None) -> Tensor:
        """As `GraphTask`, in the targets' units."""
        return super().contributions(numbers) * self.scale

    def errors(self, split: str, predicted: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Root mean square and mean absolute error of each target on a split, (targets,) each; `predicted` of all graphs, if it is there."""
        numbers = self.numbers(split)
        away = (self.predict(numbers) if predicted is None else predicted[numbers]) - self.values[numbers]
        return away.square().mean(0).sqrt(), away.abs().mean(0)

    def validate(self, split: str = "validation") -> dict[str, float]:
        """Loss, and both errors as means over targets, on a split; empty if there is no such split."""
        if split not in self.splits:
            return {}
        numbers = self.splits[split]
        outputs = self.outputs(numbers)
        away = outputs * self.scale + self.center - self.values[numbers]
        squared, absolute = away.square().mean(0).sqrt().mean(), away.abs().mean()
        return {"loss": float(self.error(outputs, numbers)), "rmse": float(squared), "mae": float(absolute)}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> GraphRegression:
        super()._apply(fn, recurse)
        self.values = fn(self.values)
        return self


class WithGraphs(Protocol):
    """Graphs with labels or values and their parts, as `renote.data.GraphData`."""

    @property
    def graphs(self) -> Graph:
        """All of them."""

    @property
    def labels(self) -> Tensor:
        """(graphs,)."""

    @property
    def values(self) -> Tensor | None:
        """(graphs, targets), or None."""

    @property
    def splits(self) -> dict[str, Tensor]:
        """The parts by name."""


def graph_task(
    network: nn.Module, data: WithGraphs, graphs: Graph | None = None
) -> GraphClassification | GraphRegression:
    """What is to be learned of a data set of graphs: their values if they have some, else their classes.

    Args:
        network: gives `data.outputs` numbers a graph.
        data: graphs with labels or values.
        graphs: in the place of the data's own, e.g. with other edges.
    """
    chosen = data.graphs if graphs is None else graphs
    if data.values is not None:
        return GraphRegression(network, chosen, data.values, data.splits)
    return GraphClassification(network, chosen, data.labels, data.splits)


def _share(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(1) == labels).double().mean())
