"""Prediction of links as an experiment: a batch is a few pairs of nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from renote.data import LinkData
from renote.errors import UsageError, counted
from renote.experiment.predictions import write_values
from renote.experiment.run import Run
from renote.graph import LinkPrediction
from renote.train.learner import Batch, PlainLearner
from renote.train.options import TrainOptions
from renote.train.order import EpochOrder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DRAWN = 30


class LinkLearner(PlainLearner):
    """A predictor of links; weights are selected by validation loss.

    Args:
        task: network, graph, pairs, labels and splits.
        config: batch size and seed.
    """

    module: LinkPrediction

    def __init__(self, task: LinkPrediction, config: TrainOptions) -> None:
        self.module, self._train = task, task.splits["train"].cpu()
        self.order = EpochOrder(max(1, len(self._train)), config.batch_size or max(1, len(self._train)), config.seed)
        self.metric = "loss" if task.splits.get("validation", torch.empty(0)).numel() else None

    def batch(self, step: int, generator: torch.Generator) -> Batch | None:
        """The numbers of the step's pairs."""
        if not len(self._train):
            raise UsageError("the split 'train' is empty: there are no pairs to train on")
        return {"link": self._train[self.order.indices(step)]}

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The network's own."""
        return self.module.parameter_groups(weight_decay)

    def validate(self) -> Mapping[str, float]:
        """Loss and area under the curve on the validation pairs."""
        return self.module.validate()


class LinkRun(Run):
    """A predictor of links that was trained, or that has nothing to train."""

    module: LinkPrediction
    data: LinkData

    def scores(self, numbers: Tensor | None = None) -> Tensor:
        """(n,) how likely each pair has a link: a probability if it was learned, else the heuristic's own number."""
        scores = self.module.scores(numbers)
        return scores.sigmoid() if self.parameters else scores

    def asked(self) -> Tensor:
        """The pairs with unknown label, or those to test on if there are none; the likeliest first."""
        unknown = (self.data.labels < 0).nonzero().squeeze(1)
        chosen = unknown if len(unknown) else self.data.test
        scores = self.scores(chosen.to(self.module.pairs.device)).cpu()
        return chosen[scores.sort(descending=True, stable=True).indices]

    def write_predictions(self, path: Path) -> int:
        """Write a table with a row a pair, the likeliest first: source, target, score.

        Args:
            path: of the .csv file.

        Returns:
            The number of rows.
        """
        numbers = self.asked()
        scores = self.scores(numbers.to(self.module.pairs.device))
        ends = [[self.data.named(node) for node in end] for end in self.data.pairs[numbers].T.tolist()]
        return write_values(path, {"source": ends[0], "target": ends[1]}, ["score"], scores[:, None])

    def picture(self, node: int | None = None) -> Figure:
        """The graph, and the likeliest of the pairs that were asked for as dashed lines; of one node, if one is named.

        Args:
            node: its number; None draws pairs of all.

        Raises:
            UsageError: there is no such node, or no pair of it was asked for.
        """
        from renote.evaluate import draw_links

        numbers = self.asked()
        if node is not None:
            if not 0 <= node < self.data.graph.num_nodes:
                raise UsageError(
                    f"node = {node}: the nodes of {self.data.name} go from 0 to {self.data.graph.num_nodes - 1}"
                )
            numbers = numbers[(self.data.pairs[numbers] == node).any(1)]
        if not len(numbers):
            of = "" if node is None else f" of node {node}"
            raise UsageError(f"{self.data.name} asks for no pairs{of}: there is no link to draw")
        numbers = numbers[:_DRAWN]
        scores = self.scores(numbers.to(self.module.pairs.device)).cpu()
        title = f"{self.system.name} on {self.data.name}: the {counted(len(numbers), 'likeliest link')}"
        names = [self.data.named(k) for k in range(self.data.graph.num_nodes)]
        return draw_links(self.data.graph, self.data.pairs[numbers], scores, names, title)

    def evaluate(self, hits: Sequence[int] = ()) -> dict[str, Any]:
        """Area under the curve, average precision and hits, in percent, on the test pairs; on the validation pairs where something was learned.

        Args:
            hits: as `LinkPrediction.measures`.

        Raises:
            UsageError: one of them is below 1, or above the number of pairs without a link.
        """
        measures: dict[str, Any] = {}
        # what is not learned has seen the links that would be validated on
        for split in ("validation", "test") if self.parameters else ("test",):
            found = self.module.measures(split, hits)
            measures |= {f"{split}_{name}": 100 * value for name, value in found.items()}
        return measures
