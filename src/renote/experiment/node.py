"""Node classification as an experiment: the graph is the batch, or a part of it is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from renote.data import NodeData
from renote.errors import DataError, UsageError
from renote.experiment.filters import filter_picture
from renote.experiment.node_options import NodeOptions
from renote.experiment.predictions import write_table
from renote.experiment.run import Run
from renote.graph import (
    Adjacency,
    ClusterSampling,
    ContextNodeClassification,
    NeighborSampling,
    NodeClassification,
    NodeNetwork,
    Sampling,
    partition,
)
from renote.nets import listening
from renote.train.learner import Batch
from renote.train.options import TrainOptions
from renote.train.order import EpochOrder, mixed_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image


class NodeLearner:
    """A node classifier; weights are selected by validation loss.

    Args:
        task: network, graph, labels and splits.
        batch_size: training nodes of a step; 0 takes all of them. With clusters, how many of those.
        seed: of the order of the training nodes or clusters, and of the neighbours that are drawn.
        sampling: how a step's part of the graph is made; None looks at the whole.

    Raises:
        UsageError: a part is to be made of a graph that the system must see whole.
    """

    def __init__(
        self, task: NodeClassification, batch_size: int = 0, seed: int = 0, sampling: Sampling | None = None
    ) -> None:
        if sampling is not None:
            _check_parts(task, "neighbors" if isinstance(sampling, NeighborSampling) else "clusters")
        self.module = task
        task.sampling = sampling
        self.batch_size, self._seed, self._train = batch_size, seed, task.splits["train"].cpu()
        self.metric: str | None = "loss" if task.splits.get("validation", torch.empty(0)).numel() else None

    def batch(self, step: int, generator: torch.Generator) -> Batch | None:
        """The numbers of the step's nodes or clusters; None for all: the module holds the graph."""
        if step < self.module.pretrain_steps:
            order = torch.randperm(self.module.graph.num_nodes, generator=generator)
            return {"pretrain": order[: self.module.pretrain_nodes]}
        sampling = self.module.sampling
        if sampling is None and not self.batch_size:
            return None
        chosen = self._order.indices(step)
        if isinstance(sampling, ClusterSampling):
            chosen = torch.unique(chosen)  # where two epochs meet, both may have drawn the same
            training = int(self._training.index_select(0, chosen).sum())
            # of the whole step, so that a part of it knows what its sum is divided by
            step_of = {"clusters": len(chosen), "training": training}
            return {"cluster": chosen, **{name: torch.full_like(chosen, count) for name, count in step_of.items()}}
        nodes = self._train[chosen]
        if sampling is None:
            return {"node": nodes}
        return {"node": nodes, "seed": torch.full_like(nodes, mixed_seed(self._seed, 4, step))}

    @cached_property
    def _order(self) -> EpochOrder:
        # made when training begins: a run that is only used needs no clusters
        sampling = self.module.sampling
        count = sampling.num_clusters if isinstance(sampling, ClusterSampling) else len(self._train)
        return EpochOrder(count, self.batch_size or count, self._seed)

    @cached_property
    def _training(self) -> Tensor:
        """(clusters,) training nodes of each."""
        sampling = self.module.sampling
        assert isinstance(sampling, ClusterSampling)
        return sampling.count(self._train)

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The network's own."""
        return self.module.parameter_groups(weight_decay)

    def validate(self) -> Mapping[str, float]:
        """Loss and accuracy on the validation nodes."""
        return self.module.validate()

    def preview(self) -> Image | None:
        """None: a graph is drawn when training is over."""
        return None


def node_learner(task: NodeClassification, config: TrainOptions) -> NodeLearner:
    """The task with the batches that its configuration asks for.

    Raises:
        UsageError: if the task cannot be cut into such batches.
    """
    if not isinstance(config, NodeOptions) or config.batches == "full":
        return NodeLearner(task, config.batch_size, config.seed)
    _check_parts(task, config.batches)
    task.megabytes = config.inference_megabytes
    if config.batches == "clusters":
        cut = partial(partition, task.graph.adjacency, config.clusters, config.partition, config.seed)
        return NodeLearner(task, config.clusters_per_batch, config.seed, ClusterSampling(cut))
    network = task.network
    if not isinstance(network, NodeNetwork) or not all(getattr(c, "one_hop", False) for c in network.convolutions):
        raise UsageError(
            "batches = neighbors is for layers that read a node and its neighbours and nothing else, and not all of this system do: use batches = clusters"
        )
    sampling = NeighborSampling(config.fan_outs, config.sample_with_replacement, config.sample_by_weight)
    return NodeLearner(task, config.batch_size, config.seed, sampling)


def check_training(config: TrainOptions, data: NodeData) -> None:
    """What a training on these nodes needs, and a prediction of theirs does not.

    Raises:
        DataError: no node is trained on.
        UsageError: there are fewer nodes than clusters, or no weights that neighbours could be drawn by.
    """
    if not len(data.train):
        raise DataError(f"the split 'train' is empty: there are no nodes of {data.name} to train on")
    if not isinstance(config, NodeOptions):
        return
    if config.batches == "clusters":
        check_clusters(config.clusters, data)
    if config.batches == "neighbors" and config.sample_by_weight and data.graph.adjacency.weight is None:
        raise UsageError(
            "sample_by_weight, but the edges of this graph have no weights: leave it out, or give them some"
        )


def check_clusters(clusters: int, data: NodeData) -> None:
    """A graph is cut into no more clusters than it has nodes.

    Raises:
        UsageError: it would be.
    """
    if clusters > data.graph.num_nodes:
        raise UsageError(
            f"clusters = {clusters} of {data.graph.num_nodes} nodes: there cannot be more; give a smaller number"
        )


def _check_parts(task: NodeClassification, batches: str) -> None:
    why = task.needs_whole or getattr(task.network, "needs_whole", None)
    if why:
        raise UsageError(
            f"batches = {batches}, but this system {why}: use batches = full; batch_size alone makes steps of some training nodes"
        )


_ATTEND = "gat, gaan, dual-primal and graph-bert"


class NodeRun(Run):
    """A trained node classifier."""

    module: NodeClassification
    data: NodeData

    def probabilities(self) -> Tensor:
        """Probability of each class for each node, (nodes, classes); each by itself where nodes are of several."""
        logits = self.module.logits()
        return logits.sigmoid() if self.module.several else logits.softmax(1)

    def predict(self) -> Tensor:
        """The most probable class of each node, (nodes,) int64; where nodes are of several, whether each is, (nodes, classes) bool."""
        logits = self.module.logits()
        return logits > 0 if self.module.several else logits.argmax(1)

    def attention(self) -> list[tuple[Adjacency, Tensor]]:
        """Of each layer that attends over edges: those edges, and the share (edges, heads) of each in its receiver's sum.

        Raises:
            UsageError: no layer does.
        """
        if isinstance(self.module, ContextNodeClassification):
            return self.module.attention()
        found: list[tuple[Adjacency, Tensor]] = []

        def read(layer: Any, given: tuple[Any, ...]) -> None:
            found.append(layer.attention(*given))

        with listening(self._attending(), read):
            self.module.logits()
        if not found:
            raise UsageError(f"{self.system.name} attends over no edges: there are no weights to draw. {_ATTEND} do")
        return found

    def picture(self, node: int | None = None) -> Figure:
        """Where it attends, as `draw_attention`; of networks that do not, their filters or windows.

        Args:
            node: number of the node whose attention is drawn; the first test node by default. Filters are the same at all nodes.

        Raises:
            UsageError: the network has neither, there is no such node, or a node is asked for and there are filters alone.
        """
        if self._attends:
            return self.draw_attention(node)
        figure = filter_picture(self.module, f"{self.system.name} on {self.data.name}", self.module.logits)
        if figure is None:
            raise UsageError(
                f"{self.system.name} has neither attention nor filters to draw: use renote {self.next_command}. {_ATTEND} attend, "
                "chebnet has filters, monet windows"
            )
        if node is not None:
            given = self.data.names[node] if 0 <= node < len(self.data.names) else node
            raise UsageError(f"node = {given}: filters are the same at all nodes; leave it out")
        return figure

    @property
    def _attends(self) -> bool:
        return isinstance(self.module, ContextNodeClassification) or bool(self._attending())

    def _attending(self) -> list[nn.Module]:
        """The layers that attend over edges."""
        return [module for module in self.module.modules() if hasattr(module, "attention")]

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
        labels = torch.full((len(self.data.labels),), -1) if self.data.several else self.data.labels
        name = self.data.names[node] if self.data.names else ""
        return draw_attention(self.attention(), node, labels, self.data.classes, name)

    def write_predictions(self, path: Path) -> int:
        """Write a table with a row a node: node (its name, if it has one), class, probability; or the probability of each class, where nodes are of several.

        Args:
            path: of the .csv file.

        Returns:
            The number of rows.
        """
        names = self.data.names or None
        return write_table(path, "node", self.probabilities(), self.data.classes, self.module.several, names)

    def draw(self) -> Figure:
        """The graph coloured by predicted class, wrong test nodes ringed.

        Raises:
            UsageError: if the data has no positions for its nodes, or nodes are of several classes.
        """
        from renote.evaluate import draw_graph

        if self.data.several:
            raise UsageError(
                f"the nodes of {self.data.name} are of several classes each: there is no one colour for each"
            )
        if self.data.positions is None:
            raise UsageError(f"{self.data.name} has no positions for its nodes: there is nothing to draw them at")
        predicted = self.predict().cpu()
        wrong = torch.zeros(len(predicted), dtype=torch.bool)
        wrong[self.data.test] = predicted[self.data.test] != self.data.labels[self.data.test]
        title = f"{self.system.name} on {self.data.name}: predicted classes"
        return draw_graph(self.data.graph, predicted, self.data.positions, self.data.classes, wrong, title)

    def evaluate(self) -> dict[str, Any]:
        """Accuracy, in percent, on each part of the split, micro-F1 where nodes are of several classes; and macro-averaged F1 on the test nodes.

        Raises:
            DataError: no node has a label.
        """
        if not any(nodes.numel() for nodes in self.module.splits.values()):
            raise DataError(
                f"{self.data.name}: no node has a label to measure with; add the column {'labels' if self.module.several else 'label'!r} where it is known"
            )
        from sklearn.metrics import f1_score

        logits, several = self.module.logits(), self.module.several
        score = self.module.micro_f1 if several else self.module.accuracy
        measures: dict[str, Any] = {
            f"{split}_{'micro_f1' if several else 'accuracy'}": 100 * score(split, logits)
            for split, nodes in self.module.splits.items()
            if nodes.numel()
        }
        test = self.module.splits.get("test")
        if test is not None and test.numel():
            truth, predicted = self.module.labels[test].cpu(), (logits > 0 if several else logits.argmax(1))[test].cpu()
            measures["test_macro_f1"] = 100 * float(f1_score(truth, predicted, average="macro", zero_division=0.0))
        return measures
