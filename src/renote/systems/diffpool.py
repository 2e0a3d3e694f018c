"""DiffPool: hierarchical pooling by learned soft clusters.

Ying, You, Morris, Ren, Hamilton & Leskovec, "Hierarchical Graph Representation Learning with Differentiable Pooling", NeurIPS 2018, arXiv:1806.08804.

    X' = Sᵀ Z                                                                          (3)
    A' = Sᵀ A S                                                                        (4)
    Z = GNN_embed(A, X),  S = softmax(GNN_pool(A, X))                                  (5), (6)
    L = cross-entropy + |A - S Sᵀ|_F + 1/n Σ_i H(S_i)                                  section 3.3
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from renote.experiment import GraphOptions, GraphSystem, Paper

if TYPE_CHECKING:
    from renote.data import GraphData
    from renote.graph import GraphTask


@dataclass(frozen=True, kw_only=True)
class Config(GraphOptions):
    """Ying et al. (2018), section 4: GraphSAGE layers of 64 features, normalized, one pooling to a tenth of the largest graph, batches of 20, gradients clipped at 2."""

    from_one = ("clusters", "poolings")

    steps: int = 10_000
    batch_size: int = 20
    gradient_clip: float = 2.0
    clusters: tuple[int, ...] = ()
    """Clusters of each pooling; none given: those that `ratio` makes."""
    poolings: int = 1
    """Number of poolings, if clusters are not given."""
    ratio: float = 0.1
    """Clusters for each node before, if clusters are not given; the paper takes 0.25 for each of two poolings."""
    of: Literal["largest", "mean"] = "largest"
    """Size of a training graph that the ratio is of."""
    link: float = 1.0
    """Weight of the link loss."""
    entropy: float = 1.0
    """Weight of the entropy of the assignments."""


def settle(config: Config, data: GraphData) -> Config:
    """Clusters by the size of the training graphs."""
    sizes = data.graphs.members.count[data.train].double()
    if config.clusters or not len(sizes):
        return config
    size = float(sizes.max() if config.of == "largest" else sizes.mean())
    clusters = tuple(max(1, round(size * config.ratio ** (k + 1))) for k in range(config.poolings))
    return dataclasses.replace(config, clusters=clusters)


def build(config: Config, data: GraphData) -> GraphTask:
    """GraphSAGE stacks that embed and assign, DiffPool between them, a maximum of each level."""
    from renote import graph

    clusters = config.clusters or (1,) * config.poolings
    head = graph.Perceptron([config.hidden * (len(clusters) + 1), config.hidden, data.outputs], config.dropout)
    network = graph.ClusterNetwork(
        lambda i, o: graph.SAGEConvolution(i, o, "mean"),
        data.graphs.num_features,
        config.hidden,
        clusters,
        head,
        config.layers,
        config.link,
        config.entropy,
    )
    return graph.graph_task(network, data)


SYSTEM = GraphSystem(
    name="diffpool",
    title="Differentiable pooling",
    paper=Paper(
        "Ying, You, Morris, Ren, Hamilton & Leskovec",
        "Hierarchical Graph Representation Learning with Differentiable Pooling",
        2018,
        "NeurIPS 2018",
        "arXiv:1806.08804",
    ),
    parts=("GraphSAGE convolution", "soft clusters", "link loss", "entropy loss", "maximum readout of every level"),
    data="proteins",
    config=Config,
    build=build,
    settle=settle,
    measured_by=("errica", "fair"),
    notes="The link loss is divided by n², so that it does not grow with the graph. Layers are normalized as in the paper; its code also reads the layers of a stack side by side, which is not done here. "
    "At laptop size clusters are a quarter of the mean size of a graph. What it reaches under the fair protocol is the claim fair of errica.",
    presets={"laptop": {"steps": 1500, "hidden": 32, "ratio": 0.25, "of": "mean", "patience": 10}},
)
