"""SAGPool: self-attention graph pooling.

Lee, Lee & Kang, "Self-Attention Graph Pooling", ICML 2019, arXiv:1904.08082.

    Z = σ(D̃^-½ Ã D̃^-½ X Θ)                                                            (3)
    idx = top-rank(Z, ⌈kN⌉),  X' = X_idx ⊙ Z_idx,  A' = A_idx,idx                     (4), (5)

The score is a graph convolution, so that it sees features and topology both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from renote.experiment import GraphOptions, GraphSystem, Paper

if TYPE_CHECKING:
    from renote.data import GraphData
    from renote.graph import GraphTask


@dataclass(frozen=True, kw_only=True)
class Config(GraphOptions):
    """Lee et al. (2019), section 4.3: three convolutions of 128 features, half of the nodes kept, batches of 128, Adam at 5e-4."""

    steps: int = 4000
    batch_size: int = 128
    learning_rate: float = 5e-4
    weight_decay: float = 1e-4
    hidden: int = 128
    ratio: float = 0.5
    """Share of the nodes that a pool keeps."""
    hierarchical: bool = True
    """Whether there is a pool after each convolution, else one after all."""


def build(config: Config, data: GraphData) -> GraphTask:
    """Kipf convolutions with self-attention pools, mean and maximum of what is left, three dense layers."""
    from renote import graph

    width = 2 * config.hidden * (1 if config.hierarchical else config.layers)
    head = graph.Perceptron([width, config.hidden, max(1, config.hidden // 2), data.outputs], config.dropout)
    network = graph.AttentionPoolNetwork(
        data.graphs.num_features, config.hidden, head, config.layers, config.ratio, config.hierarchical
    )
    return graph.graph_task(network, data)


SYSTEM = GraphSystem(
    name="sagpool",
    title="Self-attention graph pooling",
    paper=Paper("Lee, Lee & Kang", "Self-Attention Graph Pooling", 2019, "ICML 2019", "arXiv:1904.08082"),
    parts=("Kipf convolution", "scores by a convolution", "top-k selection", "mean and maximum readout"),
    data="proteins",
    config=Config,
    build=build,
    notes="What it reaches under the fair protocol is the claim fair of errica.",
    presets={"laptop": {"steps": 1500, "hidden": 64, "batch_size": 64, "learning_rate": 1e-3, "patience": 10}},
)
