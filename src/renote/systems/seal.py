"""SEAL: whether two nodes have a link, told by a network that looks at what surrounds both.

Zhang & Chen, "Link Prediction Based on Graph Neural Networks", NeurIPS 2018, arXiv:1802.09691.

    the subgraph of all nodes within h hops of x or y, without the link of x and y              definition 1
    f(i) = 1 + min(d_x, d_y) + (d / 2) [(d / 2) + (d % 2) - 1],  d = d_x + d_y                  double-radius labels
    z = DGCNN(subgraph, one-hot f)

h is 2 where Adamic-Adar tells links of the validation part at least as well as common neighbours do, to a thousandth, else 1. Neither embeddings nor attributes of the nodes are read unless asked for, as in the paper's comparison with heuristics.
A spectral embedding is of the graph with the training pairs that have no link joined as well (negative injection, section 4), or it would tell which have one.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from renote.errors import UsageError
from renote.experiment import Claim, LinkSystem, Outcome, Paper
from renote.systems.link_baselines import GRAPHS, PUBLISHED, areas, runs
from renote.train.options import TrainOptions

if TYPE_CHECKING:
    from torch import Tensor

    from renote.data import LinkData
    from renote.experiment import Lab
    from renote.graph import EnclosedLinkPrediction


@dataclass(frozen=True, kw_only=True)
class Config(TrainOptions):
    """Zhang & Chen (2018), section 5: 50 epochs of DGCNN with its own settings, batches of 50."""

    from_one = ("hidden", "layers", "embedding_size")
    from_zero = ("epochs", "hops", "max_nodes_per_hop", "labels")
    rates = ("dropout",)
    only_with: ClassVar = {"embedding_size": ("embeddings", ("spectral",))}

    batch_size: int = 50
    learning_rate: float = 1e-4
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    epochs: int = 50
    """Passes over the training pairs, with a validation after each, unless steps are given; 0 leaves steps and validate_every as they are."""
    hops: int = 0
    """How far the subgraph reaches from either node; 0 chooses 1 or 2 by heuristics."""
    max_nodes_per_hop: int = 0
    """Nodes of a hop that are kept, drawn for each pair; 0 keeps all."""
    hidden: int = 32
    """Width of the graph convolutions before the last, which has one feature."""
    layers: int = 3
    """Number of graph convolutions before the last."""
    k: int = 0
    """Nodes of a subgraph that are kept by SortPool; 0 for the size that a share `exceed` of the training subgraphs exceeds, at least 10."""
    exceed: float = 0.4
    """Share of the training subgraphs that have more than k nodes, if k is 0; with the paper's code 60 % have at most k."""
    labels: int = 0
    """Labels that have a feature of their own; 0 for those that training subgraphs have."""
    embeddings: Literal["none", "spectral", "attributes"] = "none"
    """What stands beside a node's label: nothing; its place in the smoothest eigenvectors of the graph's Laplacian; or the attributes that the data have of it, each column centred and of deviation 1."""
    embedding_size: int = 32
    """Of embeddings = spectral: how many eigenvectors."""
    dropout: float = 0.5
    """Probability of dropout before the last map."""

    def __post_init__(self) -> None:
        """Refuse values that make no network."""
        super().__post_init__()
        if self.k and self.k < 10:
            raise UsageError(f"k = {self.k}: at least 10 nodes must be kept, for the convolutions that read them; or 0")
        if not 0 < self.exceed < 1:
            raise UsageError(f"exceed = {self.exceed} must lie in (0, 1)")


LOOKED_AT = 2000
"""Training subgraphs whose sizes and labels settle k and the labels."""


def settle(config: Config, data: LinkData) -> Config:
    """Hops by heuristics, k and labels by training subgraphs, steps by epochs."""
    import torch

    from renote import graph

    steps = max(1, -(-len(data.train) // (config.batch_size or max(1, len(data.train)))))
    if config.epochs and config.steps == Config.steps:
        config = dataclasses.replace(config, steps=config.epochs * steps, validate_every=steps)
    if not config.hops:
        config = dataclasses.replace(config, hops=_hops(data))
    if len(data.train) and not (config.k and config.labels):
        looked = data.pairs[data.train[torch.linspace(0, len(data.train) - 1, min(LOOKED_AT, len(data.train))).long()]]
        found = graph.enclosing_subgraphs(
            data.graph.adjacency, looked, config.hops, config.max_nodes_per_hop, config.seed
        )
        sizes = found.members.count.sort().values
        k = config.k or max(10, int(sizes[int((1 - config.exceed) * (len(sizes) - 1))]))
        config = dataclasses.replace(config, k=k, labels=config.labels or int(found["label"].max()))
    return config


def _hops(data: LinkData) -> int:
    """2 where second-order heuristics tell no less than first-order ones, on the validation pairs, or the training pairs without those."""
    from renote import graph

    part = data.validation if len(data.validation) else data.train
    labels = data.labels[part] == 1
    if not bool(labels.any()) or bool(labels.all()):
        return 1
    # neither score of a pair looks at a link between the two
    areas = [
        graph.area_under_curve(score(data.graph.adjacency, data.pairs[part]), labels)
        for score in (graph.common_neighbors, graph.adamic_adar)
    ]
    # where few nodes share neighbours both tell nearly nothing, and a pair more or less decides: that is no reason to look at less
    return 2 if areas[1] >= areas[0] - 1e-3 else 1


def build(config: Config, data: LinkData) -> EnclosedLinkPrediction:
    """Convolutions with tanh over each subgraph, SortPool, convolutions over the line."""
    from renote import graph

    widths = (*[config.hidden] * config.layers, 1)
    labels, rows = config.labels or 1, _rows(config, data)
    features = labels + 1 + (0 if rows is None else rows.shape[1])
    network = graph.SortNetwork(features, 1, config.k or 10, widths, dropout=config.dropout)
    return graph.EnclosedLinkPrediction(
        network,
        data.graph,
        data.pairs,
        data.labels,
        data.splits,
        config.hops or 1,
        labels,
        config.max_nodes_per_hop,
        config.seed,
        rows,
    )


def _rows(config: Config, data: LinkData) -> Tensor | None:
    """What stands beside the labels, (nodes, features)."""
    import torch

    from renote import graph

    if config.embeddings == "none":
        return None
    if config.embeddings == "attributes":
        x = data.graph.x
        if x is None:
            raise UsageError(
                f"embeddings = attributes, and {data.name} has no attributes of its nodes: give links: a table of them by "
                "--data-option nodes=NODES.csv, or take embeddings = spectral"
            )
        # columns are of units that have nothing to do with each other
        columns = (x.to_dense() if isinstance(x, graph.SparseFeatures) else x).double()
        centred = columns - columns.mean(0)
        deviation = centred.square().mean(0).sqrt()
        return torch.where(deviation > 1e-9 * columns.abs().amax(0), centred / deviation, 0.0).to(
            torch.get_default_dtype()
        )
    if config.embedding_size > data.graph.num_nodes:
        raise UsageError(
            f"embedding_size = {config.embedding_size} eigenvectors of {data.graph.num_nodes} nodes: at most as many as nodes"
        )
    seen = torch.cat([data.train, data.validation])
    injected = data.pairs[seen[data.labels[seen] == 0]].T
    ends = torch.cat([data.graph.adjacency.edge_index(), injected, injected.flip(0)], 1)
    joined = graph.Adjacency.from_edges(ends[0], ends[1], data.graph.num_nodes)
    return graph.spectral_embedding(joined, config.embedding_size)


AUC = (96.62, 98.85, 94.72, 97.91, 90.30, 87.61, 96.38, 97.64)
SPREAD = (0.72, 0.47, 0.46, 0.52, 1.35, 1.57, 1.45, 0.22)
"""Mean and standard deviation of table 1, in the order of `GRAPHS`."""


def auc(lab: Lab) -> Outcome:
    """Area under the curve of SEAL and of every heuristic, on the same splits of eight graphs."""
    import statistics

    from renote import evaluate

    names = (*PUBLISHED, "seal")
    cells = {data: [(f"{data}, split {seed}", seed) for seed in range(runs(data))] for data in GRAPHS}
    done = lab.measure_all(
        {
            f"{key}, {what}": (function, (lab, data, seed))
            for data, row in cells.items()
            for key, seed in row
            for what, function in (("heuristics", areas), ("seal", _area))
        }
    )
    rows: dict[str, dict[str, list[float]]] = {data: {} for data in GRAPHS}
    for data, row in cells.items():
        found = [done[f"{key}, heuristics"] | {"seal": done[f"{key}, seal"]} for key, _ in row]
        rows[data] = {name: [one[name] for one in found] for name in names}
    mean = {data: {name: statistics.fmean(values) for name, values in row.items()} for data, row in rows.items()}
    good = []
    measured: dict[str, Any] = {}
    for data, published, spread in zip(GRAPHS, AUC, SPREAD):
        best = max(PUBLISHED, key=lambda name, data=data: mean[data][name])  # type: ignore[misc]
        ours = mean[data]["seal"]
        measured[data] = {"mean": ours, "std": statistics.stdev(rows[data]["seal"])}
        measured[f"best heuristic on {data}"] = f"{best} {mean[data][best]:.2f}"
        good += [data] if ours >= published - spread and ours > mean[data][best] else []
    measured["graphs within a deviation and above every heuristic"] = len(good)
    note = (
        "A tenth of the links taken out, as many pairs without a link drawn, ten splits of the four smallest graphs, three of the others; of what is trained on a tenth selects the weights. No embeddings, as "
        "in table 1. One hop on pb and ecoli, as in the paper. k is that of the paper's code, which was taken after a smaller one had failed on the first split of router. Holds if on at least six of the eight graphs the mean is at most one published deviation below the paper's, and above every heuristic on the same "
        f"splits: {', '.join(good) or 'none'}. The means are those of the paper, its deviations are from memory, unverified."
    )
    shown = {data: {name: rows[data][name] for name in names} for data in GRAPHS}
    figure = evaluate.draw_comparison(shown, dict(zip(GRAPHS, AUC)), "AUC (%)")
    return Outcome(measured, len(good) >= 6, figure, tuple(range(10)), note)


ONE_HOP = ("pb", "ecoli")


def _area(lab: Lab, data: str, seed: int) -> float:
    changes: dict[str, Any] = {"hops": 1} if data in ONE_HOP else {}
    run = lab.train(data, f"{data}-{seed}", preset=lab.preset, data_options={"seed": seed}, seed=seed, **changes)
    return float(run.evaluate()["test_auc"])


SYSTEM = LinkSystem(
    name="seal",
    title="Learning from enclosing subgraphs (SEAL)",
    paper=Paper(
        "Zhang & Chen",
        "Link Prediction Based on Graph Neural Networks",
        2018,
        "NeurIPS 2018",
        "arXiv:1802.09691",
    ),
    parts=("enclosing subgraphs", "double-radius labels", "random-walk convolution", "SortPool", "1-D convolutions"),
    data="usair",
    config=Config,
    build=build,
    settle=settle,
    claims=(
        Claim(
            "auc",
            "A network that reads enclosing subgraphs predicts links better than every heuristic, on graphs of all kinds.",
            "Table 1",
            dict(zip(GRAPHS, AUC)),
            auc,
        ),
    ),
    notes="Measured: above every heuristic on seven graphs; on celegans rooted PageRank is ahead (90.97 against 90.35 ± 1.52). Not more than a published deviation below the paper on five: usair, ns, yeast, router and celegans. "
    "Below it by little are power (86.02 against 86.04) and ecoli (97.38 against 97.42), and pb (94.04 against 94.26). So the claim, which asks for both on six graphs, holds on four. Trainings are of 15 epochs with a step size of 1e-3, "
    "where the paper has 50 with 1e-4; longer ones were not measured. On router the ten splits fall in two groups, around 93 and 97.",
    presets={"laptop": {"epochs": 15, "learning_rate": 1e-3, "max_nodes_per_hop": 100}},
)
