"""Classification of graphs as an experiment: a batch is a few of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from renote.data import GraphData
from renote.errors import UsageError
from renote.experiment.predictions import write_table
from renote.experiment.run import Run
from renote.graph import GraphClassification, pick, unbatch
from renote.train.learner import Batch, PlainLearner
from renote.train.options import TrainOptions
from renote.train.order import EpochOrder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DRAWN = 12


class GraphLearner(PlainLearner):
    """A classifier of graphs; weights are selected by validation loss.

    Args:
        task: network, graphs, labels and splits.
        config: batch size and seed.

    Raises:
        UsageError: there are no graphs to train on.
    """

    module: GraphClassification

    def __init__(self, task: GraphClassification, config: TrainOptions) -> None:
        self.module, self._train = task, task.splits["train"].cpu()
        self.order = EpochOrder(max(1, len(self._train)), config.batch_size or max(1, len(self._train)), config.seed)
        self.metric = "loss" if task.splits.get("validation", torch.empty(0)).numel() else None

    def batch(self, step: int, generator: torch.Generator) -> Batch | None:
        """The numbers of the step's graphs."""
        if not len(self._train):
            raise UsageError("the split 'train' is empty: there are no graphs to train on")
        return {"graph": self._train[self.order.indices(step)]}

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The network's own."""
        return self.module.parameter_groups(weight_decay)

    def validate(self) -> Mapping[str, float]:
        """Loss and accuracy on the validation graphs."""
        return self.module.validate()


class GraphRun(Run):
    """A trained classifier of graphs."""

    module: GraphClassification
    data: GraphData

    def probabilities(self) -> Tensor:
        """Probability of each class for each graph, (graphs, classes)."""
        return self.module.logits().softmax(1)

    def predict(self) -> Tensor:
        """The most probable class of each graph, (graphs,) int64."""
        return self.module.logits().argmax(1)

    def write_predictions(self, path: Path) -> int:
        """Write a table with a row a graph: graph, class, probability.

        Args:
            path: of the .csv file.

        Returns:
            The number of rows.
        """
        return write_table(path, "graph", self.probabilities(), self.data.classes)

    def picture(self, node: int | None = None) -> Figure:
        """A dozen graphs with their predicted classes.

        Args:
            node: number of the graph to begin with; None takes those that are tested on.

        Raises:
            UsageError: there is no such graph, or none at all.
        """
        from renote.evaluate import draw_graphs

        count = self.data.num_graphs
        if not 0 <= (node or 0) < count:
            raise UsageError(f"node = {node}: it is the graph to begin with, and there are {count}, from 0")
        numbers = self.data.test if node is None and len(self.data.test) else torch.arange(node or 0, count)
        numbers = numbers[:_DRAWN]
        shares, found = self.module.logits(numbers.to(self.module.labels.device)).softmax(1).cpu().max(1)
        graphs = unbatch(pick(self.data.graphs, numbers))
        title = f"{self.system.name} on {self.data.name}: predicted classes"
        return draw_graphs(graphs, found, shares, self.data.labels[numbers], self.data.classes, title)

    def evaluate(self) -> dict[str, Any]:
        """Accuracy, in percent, on each part of the split."""
        logits = self.module.logits()
        return {
            f"{split}_accuracy": 100 * self.module.accuracy(split, logits)
            for split, numbers in self.module.splits.items()
            if numbers.numel()
        }
