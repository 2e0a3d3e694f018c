"""GAT: graph attention networks.

Veličković, Cucurull, Casanova, Romero, Liò & Bengio, "Graph Attention Networks", ICLR 2018, arXiv:1710.10903.

    α_ij = softmax_j LeakyReLU(a · [W h_i ‖ W h_j])                              (3)
    h'_i = ‖_k ELU(Σ_j α^k_ij W^k h_j)                                           (5)
    Z = softmax(1/K Σ_k Σ_j α^k_ij W^k h_j)                                      (6)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from renote.experiment import (
    INDUCTIVE,
    PPI,
    SHCHUR,
    Claim,
    NodeOptions,
    NodeSystem,
    Outcome,
    Paper,
    shchur_claim,
    unseen_claim,
)
from renote.systems import get

if TYPE_CHECKING:
    from renote.data import NodeData
    from renote.experiment import Lab
    from renote.graph import NodeClassification


@dataclass(frozen=True, kw_only=True)
class Config(NodeOptions):
    """Veličković et al. (2018), section 3.3, for Cora and Citeseer."""

    from_one: ClassVar[tuple[str, ...]] = ("heads", "output_heads")
    rates: ClassVar[tuple[str, ...]] = ("attention_dropout",)

    steps: int = 1000
    patience: int = 100
    learning_rate: float = 0.005
    hidden: int = 8
    """Features of each head of a hidden layer."""
    dropout: float = 0.6
    heads: int = 8
    """Attention heads of each hidden layer, side by side."""
    output_heads: int = 1
    """Attention heads of the last layer, of which the mean is taken."""
    residual: bool = False
    """Whether hidden layers that follow a hidden layer add their input, as for the paper's protein graphs."""
    attention_dropout: float = 0.6
    """Probability with which an attention coefficient is dropped."""


def build(config: Config, data: NodeData) -> NodeClassification:
    """Attention layers with ELU between them; weight decay on all of it."""
    from torch.nn import functional

    from renote import graph, nets

    widths = [data.graph.num_features, *[config.heads * config.hidden] * (config.layers - 1)]
    convolutions = [
        graph.GATConvolution(width, config.hidden, config.heads, attention_dropout=config.attention_dropout)
        for width in widths[:-1]
    ]
    convolutions.append(
        graph.GATConvolution(widths[-1], data.num_classes, config.output_heads, False, config.attention_dropout)
    )
    around = nets.hidden_connections("residual" if config.residual else "plain", widths[-1], config.layers)
    network = graph.NodeNetwork(convolutions, config.dropout, functional.elu, connections=around)
    return graph.NodeClassification(network, data.graph, data.labels, data.splits)


PUBLISHED = {"cora": (83.0, 0.7), "citeseer": (72.5, 0.7), "pubmed": (79.0, 0.3)}


def accuracy(lab: Lab) -> Outcome:
    """Test accuracy on the public splits over seeds, beside GCN."""
    from renote import evaluate, experiment, systems

    seeds = tuple(range(10 if lab.laptop else 100))
    rows = {
        data: experiment.accuracies(
            lab,
            data,
            {"gat": (None, "pubmed" if data == "pubmed" else "laptop", {}), "gcn": (systems.get("gcn"), "laptop", {})},
            seeds,
        )
        for data in PUBLISHED
    }
    measured = experiment.summary(rows)
    holds = all(measured[f"{data} gat"]["mean"] >= mean - std for data, (mean, std) in PUBLISHED.items())
    published = {data: mean for data, (mean, _) in PUBLISHED.items()}
    figure = evaluate.draw_comparison(rows, published, "test accuracy (%)")
    note = "Public split, weights selected by validation loss; holds if no mean is below the published one by more than its deviation."
    return Outcome(measured, holds, figure, seeds, note)


SYSTEM = NodeSystem(
    name="gat",
    title="Graph attention networks",
    paper=Paper(
        "Veličković, Cucurull, Casanova, Romero, Liò & Bengio",
        "Graph Attention Networks",
        2018,
        "ICLR 2018",
        "arXiv:1710.10903",
    ),
    parts=("multi-head attention over edges", "attention dropout", "node classification"),
    data="cora",
    config=Config,
    build=build,
    presets={
        "laptop": {},
        "pubmed": {"output_heads": 8, "learning_rate": 0.01, "weight_decay": 1e-3},
        "shchur": {**SHCHUR},
        "inductive": {**INDUCTIVE, "hidden": 16, "heads": 4, "attention_dropout": 0.0},
        "ppi": {**PPI, "layers": 3, "heads": 4, "output_heads": 6, "attention_dropout": 0.0, "residual": True},
    },
    claims=(
        Claim(
            "accuracy",
            "Attention over neighbours classifies the nodes of the citation graphs as well as published.",
            "Table 2",
            {f"{data} {name}": value for data, row in PUBLISHED.items() for name, value in zip(("mean", "std"), row)},
            accuracy,
        ),
        shchur_claim(get, {"photo gat": 85.7, "computers gat": 78.0, "cs gat": 90.5}),
        unseen_claim(get, {"PPI, micro-F1": 97.3}, floor=97.0),
    ),
    notes="Measured over 10 seeds: Cora 83.2 and Pubmed 79.1 reach the published figures, Citeseer with 71.4 ± 0.5 is 1.1 points below, more than the published deviation "
    "of 0.7. The paper stops by validation loss and accuracy together; here the lowest validation loss selects. On Photo, Computers and CS with 20 labels a class 91.1, 83.8 and 90.4 % (three splits): as gcn on average (88.4), and the claim about them holds.",
)
