"""DCNN: features diffused over the graph for 0 … H steps, one weight a step and feature.

Atwood & Towsley, "Diffusion-Convolutional Neural Networks", NeurIPS 2016, arXiv:1511.02136. Node classification.

    Z_ijk = f(W_jk Σ_l P*_ijl X_lk),  P*_i = (I, P, P², …)_i,  P = D⁻¹ A,  f = tanh        (1)
    P(Y | X) = softmax(Wᵈ Z)                                                              (3)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from renote.experiment import Claim, NodeOptions, NodeSystem, Outcome, Paper
from renote.train.options import Optimizer

if TYPE_CHECKING:
    from renote.data import NodeData
    from renote.experiment import Lab
    from renote.graph import PrecomputedNodeClassification


@dataclass(frozen=True, kw_only=True)
class Config(NodeOptions):
    """The paper's section 4 and its authors' code: AdaGrad on batches of 10 nodes, ended when the validation loss no longer falls."""

    unused = ("hidden", "layers")

    steps: int = 2700
    batch_size: int = 10
    optimizer: Optimizer = "adagrad"
    learning_rate: float = 0.05
    weight_decay: float = 0.0
    validate_every: int = 90
    log_every: int = 90
    patience: int = 5
    dropout: float = 0.0
    hops: int = 2
    """Steps of the random walk, H."""


def build(config: Config, data: NodeData) -> PrecomputedNodeClassification:
    """A diffusion convolution over precomputed signals, tanh, one dense layer; the hinge loss."""
    from renote import graph

    network = graph.DCNN(data.graph.num_features, data.num_classes, config.hops, config.dropout)
    return graph.PrecomputedNodeClassification(network, data.graph, data.labels, data.splits, graph.hinge)


PUBLISHED = {"cora": 86.77, "pubmed": 89.76}


def accuracy(lab: Lab) -> Outcome:
    """Test accuracy over random splits in thirds, beside the features alone (no hops) and GCN."""
    from renote import evaluate, experiment, systems

    seeds = tuple(range(10 if lab.laptop else 30))
    rows: dict[str, dict[str, list[float]]] = {}
    variants: dict[str, tuple[str, dict[str, Any]]] = {
        "dcnn": ("dcnn", {}),
        "no hops": ("dcnn", {"hops": 0}),
        "gcn": ("gcn", {}),
    }

    def one(name: str, data: str, seed: int) -> float:
        system, changes = variants[name]
        # binary words, as the paper's features are
        loaded = lab.data(data, split="random", seed=seed, normalize=name == "gcn")
        preset = data if system == "dcnn" and data == "pubmed" else "laptop"
        config = systems.get(system).configure(preset, seed=seed, **changes)
        run = experiment.train(systems.get(system), loaded, config, progress=False)
        return float(run.evaluate()["test_accuracy"])

    for data in PUBLISHED:
        rows[data] = {
            name: [lab.measure(f"{data} {name}, split {seed}", partial(one, name, data, seed)) for seed in seeds]
            for name in variants
        }
    measured = experiment.summary(rows)
    holds = all(
        measured[f"{data} dcnn"]["mean"] >= PUBLISHED[data] - measured[f"{data} dcnn"]["std"]
        and measured[f"{data} dcnn"]["mean"] > measured[f"{data} no hops"]["mean"]
        for data in PUBLISHED
    )
    figure = evaluate.draw_comparison(rows, PUBLISHED, "test accuracy (%)")
    note = "Random thirds of each class to train, validate and test, a new split a seed; weights selected by validation loss."
    return Outcome(measured, holds, figure, seeds, note)


SYSTEM = NodeSystem(
    name="dcnn",
    title="Diffusion-convolutional neural networks",
    paper=Paper(
        "Atwood & Towsley", "Diffusion-Convolutional Neural Networks", 2016, "NeurIPS 2016", "arXiv:1511.02136"
    ),
    parts=("powers of the random walk, made once", "weights by hop and feature", "hinge loss", "AdaGrad"),
    data="cora",
    config=Config,
    build=build,
    presets={"laptop": {}, "pubmed": {"steps": 19_710, "validate_every": 657, "log_every": 657}},
    claims=(
        Claim(
            "accuracy",
            "Features diffused over the citation graph classify its nodes as well as published when a third of the labels is known, "
            "and better than without diffusion.",
            "Table 1",
            PUBLISHED,
            accuracy,
        ),
    ),
    notes="Thirty epochs of the training nodes and a look at the validation nodes after each, on either graph: the preset pubmed. With as many steps as Cora has, four epochs, Pubmed came to "
    "86.6 ± 0.3 % over the same ten splits; the preset was made after that was seen, by the validation accuracy of another split. Measured: Cora is within its deviation of the published figure, "
    "Pubmed (89.18 ± 0.21) 0.6 points below it, so the claim does not hold there; validation was still rising a little after thirty epochs.",
)
