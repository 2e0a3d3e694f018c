"""R-GCN: graph convolutions with weights for each relation.

Schlichtkrull, Kipf, Bloem, van den Berg, Titov & Welling, "Modeling Relational Data with Graph Convolutional Networks", ESWC 2018, arXiv:1703.06103.

    h_i' = σ( W_0 h_i + Σ_r Σ_{j in N_r(i)} W_r h_j / |N_r(i)| )     (2)
    W_r = Σ_b a_rb V_b                                              (3)

Each statement is an edge of its relation and one of the inverse relation. Nodes have no features, so the first layer looks its weights up by node.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from renote.experiment import Claim, NodeOptions, NodeSystem, Outcome, Paper

if TYPE_CHECKING:
    from renote.data import NodeData
    from renote.experiment import Lab
    from renote.graph import NodeClassification


@dataclass(frozen=True, kw_only=True)
class Config(NodeOptions):
    """Schlichtkrull et al. (2018), section 5.1 and appendix A, for AIFB."""

    from_zero = ("bases",)

    steps: int = 50
    weight_decay: float = 0.0
    dropout: float = 0.0
    bases: int = 0
    """Matrices that the relations of a layer share; 0 gives each relation its own."""


def build(config: Config, data: NodeData) -> NodeClassification:
    """Relational convolutions over the graph's relations."""
    from renote import graph

    network = graph.RelationalNetwork(
        data.graph.num_features,
        data.graph.num_nodes,
        data.num_classes,
        data.num_relations,
        config.hidden,
        config.layers,
        config.bases,
        config.dropout,
    )
    return graph.NodeClassification(network, data.graph, data.labels, data.splits)


SETTINGS: dict[str, dict[str, Any]] = {"aifb": {}, "mutag-rdf": {"bases": 30, "weight_decay": 5e-4}}
PUBLISHED = {"aifb": (95.83, 0.62), "mutag-rdf": (73.23, 0.48)}
SEEDS = tuple(range(10))
BASES = {"aifb": (0, 40, 20, 10, 5), "mutag-rdf": (0, 40, 30, 20, 10)}


def entities(lab: Lab) -> Outcome:
    """Test accuracy with the paper's settings, ten trainings each."""
    from renote import evaluate
    from renote.experiment import contrast

    rows: dict[str, dict[str, list[float]]] = {}
    for data, changes in SETTINGS.items():
        runs = contrast.trained(lab, data, {data: (None, changes)}, SEEDS, "paper")
        rows[data] = {"rgcn": contrast.test_accuracies(lab, runs)[data]}
    measured = {data: contrast.spread(row["rgcn"]) for data, row in rows.items()}
    holds = all(measured[data]["mean"] >= mean - std for data, (mean, std) in PUBLISHED.items())
    note = (
        "The paper's split, all training nodes, 50 epochs, the last weights; no bases on AIFB, 30 and weight decay 0.0005 in the first layer on MUTAG, which are the paper's choices. "
        "Holds if no mean is below the published one by more than its deviation."
    )
    figure = evaluate.draw_comparison(rows, {d: mean for d, (mean, _) in PUBLISHED.items()}, "test accuracy (%)")
    return Outcome(measured, holds, figure, SEEDS, note)


def bases(lab: Lab) -> Outcome:
    """Accuracy and weights over the number of bases."""
    from renote import evaluate
    from renote.experiment import contrast

    seeds = SEEDS[:5] if lab.laptop else SEEDS
    curves: dict[str, dict[str, dict[int, list[float]]]] = {}
    measured: dict[str, Any] = {}
    holds = True
    for data, numbers in BASES.items():
        decay = {"weight_decay": SETTINGS[data].get("weight_decay", 0.0)}
        variants: dict[str, contrast.Variant] = {f"{data} {n} bases": (None, decay | {"bases": n}) for n in numbers}
        runs = contrast.trained(lab, data, variants, seeds, "paper")
        found = contrast.test_accuracies(lab, runs)
        sizes = {name: int(of[0].parameters) for name, of in runs.items()}
        whole, *shared = variants
        for name in variants:
            measured[f"{name}, accuracy (%)"] = contrast.spread(found[name])
            measured[f"{name}, weights"] = sizes[name]
        mean = {name: statistics.fmean(values) for name, values in found.items()}
        # at most two thirds of the weights, at most two points below
        holds &= any(3 * sizes[name] <= 2 * sizes[whole] and mean[name] >= mean[whole] - 2 for name in shared)
        curves[data] = {"rgcn": {sizes[name]: found[name] for name in sorted(variants, key=sizes.__getitem__)}}
    note = (
        f"The paper's split and epochs, {len(seeds)} trainings each. Holds if on both some number of bases has at most two thirds of the weights of matrices "
        "for each relation and a mean at most two points lower."
    )
    return Outcome(measured, holds, evaluate.draw_curves(curves, "weights", "test accuracy (%)"), seeds, note)


SYSTEM = NodeSystem(
    name="rgcn",
    reads_features=False,
    title="Relational graph convolutional networks",
    paper=Paper(
        "Schlichtkrull, Kipf, Bloem, van den Berg, Titov & Welling",
        "Modeling Relational Data with Graph Convolutional Networks",
        2018,
        "ESWC 2018",
        "arXiv:1703.06103",
    ),
    parts=("weights for each relation", "means by relation", "basis decomposition", "weights looked up by node"),
    data="aifb",
    config=Config,
    build=build,
    presets={"laptop": {}, "mutag": SETTINGS["mutag-rdf"]},
    claims=(
        Claim(
            "entities",
            "Weights for each relation classify the resources of knowledge graphs as well as published.",
            "Table 2",
            {f"{data} {kind}": value for data, of in PUBLISHED.items() for kind, value in zip(("mean", "std"), of)},
            entities,
        ),
        Claim(
            "bases",
            "Matrices that relations share cut the number of weights at little cost.",
            "Section 2.2",
            {},
            bases,
        ),
    ),
    notes="Measured: AIFB 96.11 is above the published 95.83; MUTAG 71.91 ± 2.24 is a node of 68 below what is asked for (72.75), so the claim does not hold there. "
    "Without bases MUTAG has 74.12 in five trainings. The published deviations are much smaller than those of trainings here; whether they are of means was not looked up. "
    "On AIFB 5 bases lose half a point with a fifteenth of the weights, and 10 to 40 lose 4 to 7 points: more bases are not better there.",
)
