"""DMoN: clusters of a graph's nodes by modularity, without labels.

Tsitsulin, Palowitch, Perozzi & Müller, "Graph Clustering with Graph Neural Networks", 2020, arXiv:2006.16904, JMLR 24, 2023.

    X^(t+1) = SeLU(Ã X^t W + X^t W W_skip)                                              section 4.1
    C = softmax(dropout(X W'))
    L = - 1/2m Tr(Cᵀ B C) + λ (√k / n |Σ_i C_i|₂ - 1),  B = A - d dᵀ / 2m               eq. 6
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from renote.errors import UsageError
from renote.experiment import Claim, ClusterSystem, Outcome, Paper
from renote.train.options import TrainOptions

if TYPE_CHECKING:
    from renote.data import NodeData
    from renote.experiment import Lab
    from renote.graph import NodeClustering


@dataclass(frozen=True, kw_only=True)
class Config(TrainOptions):
    """Tsitsulin et al. (2020), section 5 and their code: 1000 epochs of the whole graph, 16 clusters."""

    from_one = ("hidden", "layers")
    from_zero = ("collapse",)
    rates = ("dropout",)

    steps: int = 1000
    batch_size: int = 0
    learning_rate: float = 1e-3
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    hidden: int = 64
    """Width of the convolutions."""
    layers: int = 1
    """Number of convolutions."""
    clusters: int = 16
    """Clusters at most; some may stay empty."""
    collapse: float = 1.0
    """Weight of the loss that keeps clusters from falling into one, λ."""
    dropout: float = 0.5
    """Probability of dropout on the scores of the clusters."""

    def __post_init__(self) -> None:
        """Refuse values that make no network."""
        super().__post_init__()
        if self.clusters < 2:
            raise UsageError(f"clusters = {self.clusters}: there must be at least 2")


def build(config: Config, data: NodeData) -> NodeClustering:
    """Convolutions with a skip of each node's own, and scores of the clusters."""
    from renote import graph

    widths = (data.graph.num_features, *[config.hidden] * config.layers)
    network = graph.ClusterScores(widths, config.clusters, config.dropout)
    return graph.NodeClustering(network, data.graph, config.collapse)


PUBLISHED = {
    "cora": {"conductance": 12.2, "modularity": 76.5, "nmi": 48.8, "f1": 48.8},
    "citeseer": {"conductance": 5.1, "modularity": 79.3, "nmi": 33.7, "f1": 43.2},
    "pubmed": {"conductance": 17.7, "modularity": 65.4, "nmi": 29.8, "f1": 33.9},
}


COLLAPSE, CHOICE = (0.1, 0.2, 0.3, 1.0), 1000
"""Weights of the collapse loss to choose among, and the seed of the runs that choose."""


def table(lab: Lab) -> Outcome:
    """Conductance, modularity, NMI and F1 on the citation graphs over ten seeds."""
    import statistics

    from renote import evaluate

    seeds = tuple(range(10))
    tried = lab.measure_all(
        {f"{data}, λ {w}": (measures, (lab, data, CHOICE, w)) for data in PUBLISHED for w in COLLAPSE}
    )
    chosen = {
        data: max(COLLAPSE, key=lambda w, data=data: tried[f"{data}, λ {w}"]["modularity"])  # type: ignore[misc]
        for data in PUBLISHED
    }
    cells = {(data, seed): f"{data}, λ {weight}, seed {seed}" for data, weight in chosen.items() for seed in seeds}
    done = lab.measure_all({key: (measures, (lab, data, seed, chosen[data])) for (data, seed), key in cells.items()})
    rows = {data: [done[cells[data, seed]] for seed in seeds] for data in PUBLISHED}
    measured, near = {}, []
    for data, published in PUBLISHED.items():
        for name, value in published.items():
            values = [row[name] for row in rows[data]]
            mean = statistics.fmean(values)
            measured[f"{name} on {data}"] = {"mean": mean, "std": statistics.stdev(values)}
            near.append(abs(mean - value) <= 2 or (mean < value if name == "conductance" else mean > value))
        values = [row["pairwise_f1"] for row in rows[data]]
        measured[f"f1 of all pairs on {data}"] = {
            "mean": statistics.fmean(values),
            "std": statistics.stdev(values),
        }
    note = (
        f"16 clusters, one convolution of {lab.system.configure(_preset(lab)).hidden}, dropout 0.5 on the scores, 1000 epochs. "  # type: ignore[attr-defined]
        f"The weight of the collapse loss is chosen among {', '.join(map(str, COLLAPSE))} by the modularity of a run with another seed, without labels: "
        f"{', '.join(f'{data} {weight}' for data, weight in chosen.items())}. Holds if all twelve means are at most 2 points worse than the paper's. Its figures are from memory, "
        "unverified, but those of Cora. F1 counts as the paper's code does; that of all pairs is beside it."
    )
    shown = {data: {name: [row[name] for row in found] for name in PUBLISHED[data]} for data, found in rows.items()}
    figure = evaluate.draw_comparison(shown, {}, "percent")
    return Outcome(measured, all(near), figure, seeds, note)


def _preset(lab: Lab) -> str:
    return "laptop" if lab.laptop else "wide"


def measures(lab: Lab, data: str, seed: int, collapse: float) -> dict[str, float]:
    """What is measured of one seed, in percent; f1 is `matched_f1`, as the paper counts it."""
    run = lab.train(data, f"{data}-{collapse}-{seed}", preset=_preset(lab), seed=seed, collapse=collapse)
    found = {name: float(value) for name, value in run.evaluate().items()}
    return found | {"f1": found["matched_f1"]}


SYSTEM = ClusterSystem(
    name="dmon",
    title="Deep modularity networks",
    paper=Paper(
        "Tsitsulin, Palowitch, Perozzi & Müller",
        "Graph Clustering with Graph Neural Networks",
        2020,
        "JMLR 24, 2023",
        "arXiv:2006.16904",
    ),
    parts=("skip convolution", "spectral modularity", "collapse regularization", "clustering"),
    data="cora",
    config=Config,
    build=build,
    # the paper's learning rate needs some thousand epochs before the clusters stand
    presets={
        "laptop": {"hidden": 128, "learning_rate": 3e-3},
        "wide": {"hidden": 512, "learning_rate": 3e-3},
    },
    claims=(
        Claim(
            "table",
            "Clusters by modularity are dense within and agree with the classes, without labels: conductance, modularity, NMI and F1 of Cora, Citeseer and Pubmed.",
            "Table 2",
            {f"{name} on {data}": value for data, row in PUBLISHED.items() for name, value in row.items()},
            table,
        ),
    ),
    notes="In the claim f1 is what renote evaluate calls matched_f1, by which the paper's code counts, and f1 of all pairs its pairwise_f1; they are not alike. The claim does not hold. Cora is within two points on all four; on Citeseer and Pubmed modularity is above the paper's (80.9 and 65.9), while conductance (8.6 and 24.4), NMI (29.7 and 24.5) and F1 (32.0 and 22.6) miss. "
    "There modularity chooses weights of the collapse loss that keep all 16 clusters, which a small weight does not: in the single run that chooses, 0.1 left 15 clusters on Pubmed with conductance 18.6 and F1 33.4, and 11 on Citeseer with 4.1 and 43.8, close to what is published, "
    "but with modularity 66.0 and 72.3. What is best by classes cannot be chosen without looking at them, so this claim does not.",
)
