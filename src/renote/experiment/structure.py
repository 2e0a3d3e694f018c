"""Systems for what one graph is made of: its links, its facts, and its clusters. Light, as `system`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from renote.errors import UsageError
from renote.experiment.system import System
from renote.train.options import TrainOptions

if TYPE_CHECKING:
    from renote.data import FactData, LinkData, NodeData
    from renote.experiment.cluster import ClusterRun
    from renote.experiment.fact import FactRun
    from renote.experiment.link import LinkRun
    from renote.train import Learner


@dataclass(frozen=True, kw_only=True)
class LinkSystem(System["LinkRun"]):
    """A system that tells which pairs of a graph's nodes have a link."""

    family: ClassVar[str] = "graph"
    task: ClassVar[str] = "link prediction"
    kind: ClassVar[str] = "links"

    def learner(self, config: TrainOptions, data: LinkData) -> Learner:
        """The predictor with batches of the training pairs."""
        from renote.experiment.link import LinkLearner

        return LinkLearner(self.build(config, data), config)

    def run(self, config: TrainOptions, data: LinkData, learner: Learner, folder: Path | None) -> LinkRun:
        """A run that can predict."""
        from renote.experiment.link import LinkRun

        return LinkRun(self, config, data, learner.module, folder)


@dataclass(frozen=True, kw_only=True)
class FactSystem(System["FactRun"]):
    """A system that tells which entity of a knowledge graph is in a relation to another."""

    family: ClassVar[str] = "graph"
    task: ClassVar[str] = "missing facts"
    kind: ClassVar[str] = "facts"

    def learner(self, config: Any, data: FactData) -> Learner:
        """The predictor with batches of the training facts."""
        from renote.experiment.fact import FactLearner

        return FactLearner(self.build(config, data), config)

    def run(self, config: TrainOptions, data: FactData, learner: Learner, folder: Path | None) -> FactRun:
        """A run that can answer."""
        from renote.experiment.fact import FactRun

        return FactRun(self, config, data, learner.module, folder)


@dataclass(frozen=True, kw_only=True)
class ClusterSystem(System["ClusterRun"]):
    """A system that puts a graph's nodes into clusters, without labels."""

    family: ClassVar[str] = "graph"
    task: ClassVar[str] = "clustering"
    kind: ClassVar[str] = "clusters"

    def learner(self, config: TrainOptions, data: NodeData) -> Learner:
        """The network on its graph.

        Raises:
            UsageError: the nodes have no features.
        """
        if data.graph.num_features == 0:
            raise UsageError(
                f"the nodes of {data.name} have no features, which {self.name} needs: give each node a vector that is learned "
                "(features=identity), or its degree (features=degree)"
            )
        from renote.experiment.cluster import ClusterLearner

        return ClusterLearner(self.build(config, data))

    def check(self, config: Any, data: NodeData) -> None:
        """There are no more clusters than nodes."""
        from renote.experiment.node import check_clusters

        check_clusters(config.clusters, data)

    def run(self, config: TrainOptions, data: NodeData, learner: Learner, folder: Path | None) -> ClusterRun:
        """A run that tells the clusters."""
        from renote.experiment.cluster import ClusterRun

        return ClusterRun(self, config, data, learner.module, folder)
