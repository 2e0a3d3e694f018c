"""Classification of signals on a graph as an experiment: a batch is a few of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from renote.data import SampleData
from renote.data.split import stratified
from renote.errors import UsageError
from renote.experiment.filters import filter_picture
from renote.experiment.predictions import write_table
from renote.experiment.run import Run, reload_data
from renote.experiment.signal_options import SignalOptions
from renote.graph import SignalClassification
from renote.train.learner import Batch, PlainLearner
from renote.train.order import EpochOrder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class SignalLearner(PlainLearner):
    """A classifier of signals; weights are selected by the loss on training samples that are held out.

    Args:
        task: the network and its loss.
        data: samples with labels.
        config: batch size, seed, and how many are held out.
    """

    module: SignalClassification

    def __init__(self, task: SignalClassification, data: SampleData, config: SignalOptions) -> None:
        self.module, self.data = task, data
        labels = data.train_labels
        if labels is None:
            if len(data.train):
                raise UsageError(f"the samples of {data.name} have no labels to learn from")
            labels = torch.empty(0, dtype=torch.long)
        self.labels = labels
        generator = torch.Generator().manual_seed(config.seed)
        self.train, self.validation = stratified(labels, config.validation_fraction, generator)
        size = max(1, len(self.train))
        self.order = EpochOrder(size, config.batch_size or size, config.seed)
        self.metric = "loss" if len(self.validation) else None

    def batch(self, step: int, generator: torch.Generator) -> Batch | None:
        """The step's signals and their labels."""
        chosen = self.train[self.order.indices(step)]
        return {"signal": signals(self.data, self.data.train[chosen]), "label": self.labels[chosen]}

    def validate(self) -> Mapping[str, float]:
        """Loss and accuracy on the held-out training samples."""
        return self.module.validate(signals(self.data, self.data.train[self.validation]), self.labels[self.validation])


class SignalRun(Run):
    """A trained classifier of signals."""

    module: SignalClassification
    data: SampleData

    def probabilities(self, samples: Tensor) -> Tensor:
        """Probability of each class, (n, classes), for samples (n, channels, *space) in the data's own units."""
        return self.module.logits(signals(self.data, samples)).softmax(1)

    def predict(self, samples: Tensor) -> Tensor:
        """The most probable class of each sample, (n,) int64."""
        return self.probabilities(samples).argmax(1)

    def write_predictions(self, path: Path) -> int:
        """Write a table with a row for each held-out sample: sample, class, probability.

        Args:
            path: of the .csv file.

        Returns:
            The number of rows.

        Raises:
            UsageError: there are no held-out samples.
        """
        held_out = self._all_data().test
        if not len(held_out):
            raise UsageError(f"{self.data.name} has no held-out samples to predict: load it with a test part")
        return write_table(path, "sample", self.probabilities(held_out), self.data.classes)

    def picture(self, node: int | None = None) -> Figure:
        """The filters of each graph layer: f(λ) over the frequencies of its graph.

        Args:
            node: must be None: a filter is the same at all nodes.

        Raises:
            UsageError: a node is asked for, or there are no graph layers.
        """
        if node is not None:
            raise UsageError(f"node = {node}: filters are the same at all nodes; leave it out")
        figure = filter_picture(self.module, f"{self.system.name} on {self.data.name}")
        if figure is None:
            raise UsageError(
                f"{self.folder} has no graph layers, so no filters to draw: use renote {self.next_command}"
            )
        return figure

    def evaluate(self) -> dict[str, Any]:
        """Accuracy in percent on held-out samples, or on the training samples where none are held out."""
        data = self._all_data()
        split, samples, labels = "test", data.test, data.test_labels
        if not len(samples) or labels is None:
            split, samples, labels = "train", data.train, data.train_labels
        if labels is None:
            raise UsageError(f"the samples of {data.name} have no labels to compare with")
        right = self.predict(samples) == labels
        return {f"{split}_accuracy": 100 * float(right.double().mean()), "samples": len(samples)}

    def _all_data(self) -> SampleData:
        """The data with its samples, which are read again if the run was loaded without them."""
        if len(self.data.train) or len(self.data.test) or self.folder is None:
            return self.data
        loaded = reload_data(self.folder)
        assert isinstance(loaded, SampleData)
        return loaded


def signals(data: SampleData, raw: Tensor) -> Tensor:
    """Raw (n, channels, *space) → clean (n, channels, places)."""
    return data.clean(raw).flatten(2)
