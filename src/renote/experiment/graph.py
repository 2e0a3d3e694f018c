"""Classes or values of whole graphs as an experiment: a batch is a few of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from renote.data import GraphData, MoleculeData
from renote.errors import DataError, UsageError, unknown
from renote.experiment.predictions import write_table, write_values
from renote.experiment.run import Run
from renote.graph import GraphClassification, GraphRegression, GraphTask, pick, unbatch
from renote.train.learner import Batch, PlainLearner
from renote.train.options import TrainOptions
from renote.train.order import EpochOrder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DRAWN = 12


class GraphLearner(PlainLearner):
    """What tells classes or values of graphs; weights are selected by validation loss.

    Args:
        task: network, graphs, what they have, and splits.
        config: batch size and seed.
    """

    module: GraphTask

    def __init__(self, task: GraphTask, config: TrainOptions) -> None:
        self.module, self._train = task, task.splits["train"].cpu()
        self.order = EpochOrder(max(1, len(self._train)), config.batch_size or max(1, len(self._train)), config.seed)
        self.metric = "loss" if task.splits.get("validation", torch.empty(0)).numel() else None

    def batch(self, step: int, generator: torch.Generator) -> Batch | None:
        """The numbers of the step's graphs."""
        return {"graph": self._train[self.order.indices(step)]}

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The network's own."""
        return self.module.parameter_groups(weight_decay)

    def validate(self) -> Mapping[str, float]:
        """Loss and accuracy, or errors, on the validation graphs."""
        return self.module.validate()


def graph_learner(system: Any, config: TrainOptions, data: GraphData) -> GraphLearner:
    """The network of a system for graphs, with batches of the training graphs.

    Raises:
        UsageError: the graphs have neither classes nor values; or are no molecules, and the system looks at SMILES.
    """
    if not data.outputs:
        raise UsageError(
            f"the graphs of {data.name} have neither classes nor values to learn: choose other data, or for a table of molecules target=COLUMN"
        )
    if system.reads_smiles and not isinstance(data, MoleculeData):
        raise UsageError(f"{system.name} reads SMILES, which {data.name} has not: choose molecules, e.g. {system.data}")
    return GraphLearner(system.build(config, data), config)


def check_training(data: GraphData) -> None:
    """What a training on these graphs needs, and a prediction of theirs does not.

    Raises:
        DataError: no graph is trained on, or all of them are of one class.
    """
    if not len(data.train):
        raise DataError(f"the split 'train' is empty: there are no graphs of {data.name} to train on")
    found = torch.unique(data.labels[data.train])
    if data.values is None and len(found) < 2:
        raise DataError(
            f"all graphs in the split 'train' of {data.name} ({len(data.train)}) are of the class {data.classes[int(found[0])]!r}: there is nothing to tell apart; "
            "give graphs of at least two classes a label, and have some of each trained on"
        )


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
        """Write a table with a row a graph: graph (its name, if it has one), class, probability.

        Args:
            path: of the .csv file.

        Returns:
            The number of rows.
        """
        names = self.data.names or None
        return write_table(path, "graph", self.probabilities(), self.data.classes, names=names)

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


class GraphValueRun(Run):
    """Trained to tell values of graphs."""

    module: GraphRegression
    data: GraphData

    def predict(self) -> Tensor:
        """The values of each graph, (graphs, targets), in the targets' units."""
        return self.module.predict().cpu()

    def write_predictions(self, path: Path) -> int:
        """Write a table with a row a graph: its name, or its number where it has none, and its values; of molecules the line or row of their file and the SMILES before these.

        Args:
            path: of the .csv file.

        Returns:
            The number of rows.
        """
        data, values = self.data, self.predict()
        if isinstance(data, MoleculeData):
            return write_values(path, {"row": data.rows, "smiles": data.smiles}, data.targets, values)
        return write_values(path, {"graph": data.names or range(len(values))}, data.targets, values)

    def draw_contributions(self, most: int = 12, target: str | None = None) -> Figure:
        """Molecules with the values that are predicted, and their atoms coloured by what each adds: the prediction less that with the atom's features set to 0.

        Args:
            most: molecules that are drawn, the first ones.
            target: of several, which; the first by default.

        Raises:
            UsageError: the data are no molecules, the system looks at no atoms, or there is no such target.
        """
        from renote import evaluate

        data = self.data
        if not isinstance(data, MoleculeData) or getattr(self.system, "reads_smiles", False):
            why = "looks at no atoms" if isinstance(data, MoleculeData) else f"saw {data.name}, which are no molecules"
            raise UsageError(f"{self.system.name} {why}: atoms cannot be coloured")
        if most < 1:
            raise UsageError(f"{most} molecules to draw: at least one")
        if target is not None and target not in data.targets:
            raise unknown("target", target, data.targets)
        column = 0 if target is None else data.targets.index(target)
        numbers = torch.arange(min(most, data.num_graphs))
        chosen = numbers.to(self.module.center.device)
        values = self.module.predict(chosen)[:, column].tolist()
        added = self.module.contributions(chosen)[:, column].cpu()
        atoms = torch.split(added, data.graphs.members.count[numbers].tolist())
        unit = data.units[column]
        titles = [f"{value:.3g} {unit}".strip() for value in values]
        label = f"added to {data.targets[column]}{f' ({unit})' if unit else ''}"
        return evaluate.draw_molecules(data.smiles[: len(numbers)], atoms, titles, label)

    def evaluate(self) -> dict[str, Any]:
        """Root mean square and mean absolute error, in the target's unit, on each part of the split; of several targets one each, and their means."""
        predicted, found = self.module.predict(), dict[str, Any]()
        for split, numbers in self.module.splits.items():
            if not numbers.numel():
                continue
            for name, errors in zip(("rmse", "mae"), self.module.errors(split, predicted)):
                found[f"{split}_{name}"] = float(errors.mean())
                if len(errors) > 1:
                    by_target = zip(self.data.targets, errors.tolist())
                    found |= {f"{split}_{name}_{target}": error for target, error in by_target}
        if any(self.data.units):
            found["unit"] = ", ".join(self.data.units)
        return found


def graph_run(system: Any, config: TrainOptions, data: GraphData, task: Any, folder: Path | None) -> Run:
    """The run of a task: of values or of classes."""
    kind = GraphValueRun if isinstance(task, GraphRegression) else GraphRun
    return kind(system, config, data, task, folder)
