"""GraphSAGE: sample and aggregate, full batch.

Hamilton, Ying & Leskovec, "Inductive Representation Learning on Large Graphs", NeurIPS 2017, arXiv:1706.02216.

    h_N(v) = AGGREGATE({h_u, u in N(v)})                                         algorithm 1, line 4
    h_v = σ(W (h_v ‖ h_N(v))),  h_v ← h_v / |h_v|                                algorithm 1, lines 5 and 7

AGGREGATE is the mean, an LSTM over a random order, or max_u σ(W_pool h_u + b) (3); "gcn" is the mean over v too, without h_v ‖ (2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from renote.experiment import Claim, NodeOptions, NodeSystem, Outcome, Paper

if TYPE_CHECKING:
    from renote.data import NodeData
    from renote.experiment import Lab
    from renote.graph import NodeClassification


@dataclass(frozen=True, kw_only=True)
class Config(NodeOptions):
    """Hamilton et al. (2017), section 4: two layers, a linear map to the classes; narrower and with dropout, for small graphs."""

    patience: int = 50
    hidden: int = 64
    aggregation: Literal["gcn", "mean", "pool", "lstm", "max"] = "mean"
    """How the neighbours become one vector."""
    aggregated: int = 64
    """Width of what pool and lstm give."""


def build(config: Config, data: NodeData) -> NodeClassification:
    """Layers with unit length outputs, and a linear map."""
    import itertools

    from torch import nn

    from renote import graph

    widths = [data.graph.num_features, *[config.hidden] * config.layers]
    convolutions = (
        graph.SAGEConvolution(i, o, config.aggregation, config.aggregated, activation="relu", normalize=True)
        for i, o in itertools.pairwise(widths)
    )
    head = nn.Linear(config.hidden, data.num_classes)
    network = graph.NodeNetwork(convolutions, config.dropout, activation=None, head=head)
    return graph.NodeClassification(network, data.graph, data.labels, data.splits)


DATA = ("cora", "citeseer", "digits-knn")
AGGREGATIONS = ("gcn", "mean", "pool", "lstm")


def aggregations(lab: Lab) -> Outcome:
    """Test accuracy of each aggregation on random splits of 60, 20 and 20 %, beside the features alone."""
    from renote import data, evaluate, experiment, systems

    seeds = tuple(range(10 if lab.laptop else 50))
    candidates: dict[str, experiment.Candidate] = {
        name: (None, "laptop", {"aggregation": name}) for name in AGGREGATIONS
    }
    candidates["mlp"] = (systems.get("mlp"), "laptop", {"hidden": 64, "patience": 50})
    rows = {name: experiment.accuracies(lab, name, candidates, seeds, data.split_nodes) for name in DATA}
    measured = experiment.summary(rows)
    mean = {name: sum(measured[f"{of} {name}"]["mean"] for of in DATA) / len(DATA) for name in candidates}
    holds = all(mean[name] > max(mean["gcn"], mean["mlp"]) for name in AGGREGATIONS[1:])
    figure = evaluate.draw_comparison(rows, {}, "test accuracy (%)")
    note = (
        "Full batch. Random splits of 60, 20 and 20 % of each class, one a seed; weights selected by validation loss. The paper's data are larger and "
        "inductive. Holds if, on average over the data sets, mean, pool and lstm are each above gcn and above the features alone."
    )
    return Outcome(measured | {f"average {name}": value for name, value in mean.items()}, holds, figure, seeds, note)


SYSTEM = NodeSystem(
    name="graphsage",
    title="GraphSAGE: aggregators of neighbours",
    paper=Paper(
        "Hamilton, Ying & Leskovec",
        "Inductive Representation Learning on Large Graphs",
        2017,
        "NeurIPS 2017",
        "arXiv:1706.02216",
    ),
    parts=(
        "mean, max-pool and LSTM aggregation",
        "concatenation with the node itself",
        "unit length",
        "node classification",
    ),
    data="cora",
    config=Config,
    build=build,
    claims=(
        Claim(
            "aggregations",
            "A node that keeps itself apart from what it aggregates is classified better than by the averaging of a graph convolution, "
            "with each aggregation, and better than by its features alone.",
            "Table 1, micro-F1 on PPI, supervised",
            {"gcn": 0.500, "mean": 0.598, "pool": 0.600, "lstm": 0.612},
            aggregations,
        ),
    ),
    notes="Full batch: the sampling of neighbours, and with it training on graphs that are never seen whole, is not here yet.",
)
