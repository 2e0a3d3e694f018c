"""Clustering as an experiment: the graph is the batch, and labels are not looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from renote.data import NodeData
from renote.errors import UsageError
from renote.experiment.predictions import write_values
from renote.experiment.run import Run
from renote.graph import NodeClustering, conductance, matched_f1, modularity, mutual_information, pairwise_f1
from renote.train.learner import Batch, PlainLearner

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ClusterLearner(PlainLearner):
    """Clusters of one graph; as there are no labels, the last weights are kept.

    Args:
        task: network and graph.
    """

    module: NodeClustering

    def __init__(self, task: NodeClustering) -> None:
        self.module = task

    def batch(self, step: int, generator: torch.Generator) -> Batch | None:
        """None: the module holds the graph."""
        return None

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The network's own."""
        return self.module.parameter_groups(weight_decay)


class ClusterRun(Run):
    """A graph whose nodes were put into clusters."""

    module: NodeClustering
    data: NodeData

    def probabilities(self) -> Tensor:
        """Share of each cluster in each node, (nodes, clusters)."""
        return self.module.shares()

    def predict(self) -> Tensor:
        """(nodes,) int64 the cluster of each node, that of its largest share."""
        return self.probabilities().argmax(1)

    def write_predictions(self, path: Path) -> int:
        """Write a table with a row a node: node, cluster, share.

        Args:
            path: of the .csv file.

        Returns:
            The number of rows.
        """
        share, cluster = self.probabilities().max(1)
        nodes = self.data.names or range(len(share))
        return write_values(path, {"node": nodes, "cluster": cluster.tolist()}, ["share"], share[:, None])

    def picture(self, node: int | None = None) -> Figure:
        """The graph coloured by cluster, at the data's positions or where springs put the nodes.

        Args:
            node: must be None: the picture is of all nodes.
        """
        from renote.evaluate import draw_graph, force_layout

        if node is not None:
            raise UsageError(f"node = {node}: the picture of clusters is of all nodes; leave node out")
        graph = self.data.graph
        positions = self.data.positions if self.data.positions is not None else force_layout(graph.adjacency)
        clusters = self.predict().cpu()
        found, number = torch.unique(clusters, return_inverse=True)
        names = [f"cluster {k}" for k in found.tolist()]
        title = f"{self.system.name} on {self.data.name}: {len(names)} clusters"
        return draw_graph(graph, number, positions, names, title=title)

    def evaluate(self) -> dict[str, Any]:
        """Conductance and modularity of the clusters, their number; where labels are known, what they say of each other; in percent.

        `pairwise_f1` counts all pairs of nodes; `matched_f1` counts as the code of Tsitsulin et al. (2020) does, and is the F1 of the claim of dmon.
        """
        clusters, edges = self.predict().cpu(), self.data.graph.adjacency
        measures: dict[str, Any] = {
            "conductance": 100 * conductance(edges, clusters),
            "modularity": 100 * modularity(edges, clusters),
            "clusters": len(torch.unique(clusters)),
        }
        if self.data.labels.dim() == 1 and bool((self.data.labels >= 0).any()):
            known = self.data.labels >= 0
            labels, found = self.data.labels[known], clusters[known]
            measures["nmi"] = 100 * mutual_information(labels, found)
            measures["pairwise_f1"] = 100 * pairwise_f1(labels, found)
            measures["matched_f1"] = 100 * matched_f1(labels, found)
        return measures
