"""Node classification as an experiment: the graph is the batch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from renote.data import NodeData
from renote.errors import UsageError
from renote.experiment.run import Run
from renote.graph import Adjacency, NodeClassification
from renote.train.checkpoint import write_atomic
from renote.train.learner import Batch
from renote.train.order import EpochOrder

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image


class NodeLearner:
    """A node classifier; weights are selected by validation loss.

    Args:
        task: network, graph, labels and splits.
        batch_size: training nodes of a step; 0 takes all of them.
        seed: of the order of the training nodes.
    """

    def __init__(self, task: NodeClassification, batch_size: int = 0, seed: int = 0) -> None:
        self.module = task
        self._train = task.splits["train"].cpu()
        self._order = EpochOrder(len(self._train), batch_size, seed) if batch_size else None
        self.metric: str | None = "loss" if task.splits.get("validation", torch.empty(0)).numel() else None

    def batch(self, step: int, generator: torch.Generator) -> Batch | None:
        """The numbers of the step's nodes; None for all: the module holds the graph."""
        if step < self.module.pretrain_steps:
            order = torch.randperm(self.module.graph.num_nodes, generator=generator)
            return {"pretrain": order[: self.module.pretrain_nodes]}
        return None if self._order is None else {"node": self._train[self._order.indices(step)]}

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The network's own."""
        return self.module.parameter_groups(weight_decay)

    def validate(self) -> Mapping[str, float]:
        """Loss and accuracy on the validation nodes."""
        return self.module.validate()

    def preview(self) -> Image | None:
        """None: a graph is drawn when training is over."""
        return None


class NodeRun(Run):
    """A trained node classifier."""

    module: NodeClassification
    data: NodeData

    def probabilities(self) -> Tensor:
        """Probability of each class for each node, (nodes, classes)."""
        return self.module.logits().softmax(1)

    def predict(self) -> Tensor:
        """The most probable class of each node, (nodes,) int64."""
        return self.module.logits().argmax(1)

    def attention(self) -> list[tuple[Adjacency, Tensor]]:
        """Of each layer that attends over edges: those edges, and the share (edges, heads) of each in its receiver's sum.

        Raises:
            UsageError: no layer does.
        """
        found: list[tuple[Adjacency, Tensor]] = []

        def read(layer: Any, given: tuple[Any, ...]) -> None:
            found.append(layer.attention(*given))

        hooks = [m.register_forward_pre_hook(read) for m in self.module.modules() if hasattr(m, "attention")]
        try:
            self.module.logits()
        finally:
            for hook in hooks:
                hook.remove()
        if not found:
            raise UsageError(f"{self.system.name} attends over no edges: there are no weights to draw. gat and gaan do")
        return found

    def draw_attention(self, node: int | None = None) -> Figure:
        """How evenly each layer's heads attend, and to whom one node does.

        Args:
            node: its number; the first test node by default.

        Raises:
            UsageError: the system attends over no edges, or there is no such node.
        """
        from renote.evaluate import draw_attention

        if node is None:
            node = int(self.data.test[0]) if self.data.test.numel() else 0
        if not 0 <= node < self.data.graph.num_nodes:
            raise UsageError(
                f"node = {node}: the nodes of {self.data.name} go from 0 to {self.data.graph.num_nodes - 1}"
            )
        return draw_attention(self.attention(), node, self.data.labels, self.data.classes)

    def write_predictions(self, path: Path) -> None:
        """Write a table with a row a node: node, class, probability.

        Args:
            path: of the .csv file.
        """
        highest, classes = self.probabilities().cpu().max(1)
        names = self.data.classes
        rows = [
            f"{node},{names[number]},{share:.4f}"
            for node, (number, share) in enumerate(zip(classes.tolist(), highest.tolist()))
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, ("\n".join(["node,class,probability", *rows]) + "\n").encode())

    def draw(self) -> Figure:
        """The graph coloured by predicted class, wrong test nodes ringed.

        Raises:
            UsageError: if the data has no positions for its nodes.
        """
        from renote.evaluate import draw_graph

        if self.data.positions is None:
            raise UsageError(f"{self.data.name} has no positions for its nodes: there is nothing to draw them at")
        predicted = self.predict().cpu()
        wrong = torch.zeros(len(predicted), dtype=torch.bool)
        wrong[self.data.test] = predicted[self.data.test] != self.data.labels[self.data.test]
        title = f"{self.system.name} on {self.data.name}: predicted classes"
        return draw_graph(self.data.graph, predicted, self.data.positions, self.data.classes, wrong, title)

    def evaluate(self) -> dict[str, Any]:
        """Accuracy, in percent, on each part of the split, and macro-averaged F1 on the test nodes."""
        from sklearn.metrics import f1_score

        logits = self.module.logits()
        measures: dict[str, Any] = {
            f"{split}_accuracy": 100 * self.module.accuracy(split, logits)
            for split, nodes in self.module.splits.items()
            if nodes.numel()
        }
        test = self.module.splits.get("test")
        if test is not None and test.numel():
            truth, predicted = self.module.labels[test].cpu(), logits[test].argmax(1).cpu()
            measures["test_macro_f1"] = 100 * float(f1_score(truth, predicted, average="macro"))
        return measures
