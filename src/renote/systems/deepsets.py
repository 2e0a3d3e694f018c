"""Deep Sets: functions of sets as a sum over their members.

Zaheer, Kottur, Ravanbakhsh, Póczos, Salakhutdinov & Smola, "Deep Sets", NeurIPS 2017, arXiv:1703.06114.

    f(X) = ρ(Σ_{x in X} φ(x))                                                          theorem 2

A graph's nodes are a set; its edges are not looked at.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from renote.experiment import Claim, GraphOptions, GraphSystem, Outcome, Paper

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from renote.data import GraphData
    from renote.experiment import Lab
    from renote.graph import GraphTask, SetRegression


@dataclass(frozen=True, kw_only=True)
class Config(GraphOptions):
    """Zaheer et al. (2017), section 2: φ of `layers` maps, ρ of two."""

    steps: int = 4000
    layers: int = 2


def build(config: Config, data: GraphData) -> GraphTask:
    """A sum over the nodes of what each says alone."""
    from renote import graph

    *inner, last = itertools.pairwise([data.graphs.num_features, *[config.hidden] * config.layers])
    head = graph.Perceptron([config.hidden, data.outputs], config.dropout)
    network = graph.GraphNetwork([graph.NodeMap(i, o) for i, o in inner], [graph.DeepSetsAggregation(*last)], head)
    return graph.graph_task(network, data)


READERS = ("deepsets", "lstm", "gru")
SIZES = (5, 10, 20, 30, 50, 75, 100)
LARGEST, STEPS = 10, 3000


def sums(lab: Lab) -> Outcome:
    """Mean absolute error of sums of digits that pictures show, by the size of the set, after training on sets of at most ten."""
    import statistics

    from renote import evaluate

    seeds = tuple(range(3))
    found: dict[str, dict[int, list[float]]] = {name: {size: [] for size in SIZES} for name in READERS}
    for seed in seeds:
        for name in READERS:
            errors = lab.measure(f"sums, {name}, seed {seed}", partial(_errors, lab, name, seed))
            for size in SIZES:
                found[name][size].append(errors[str(size)])
    mean = {name: {size: statistics.fmean(values) for size, values in row.items()} for name, row in found.items()}
    large = [size for size in SIZES if size > LARGEST]
    holds = all(mean["deepsets"][size] < min(mean["lstm"][size], mean["gru"][size]) for size in large)
    measured = {
        f"error on sets of {size}, {name}": {"mean": mean[name][size], "std": statistics.stdev(found[name][size])}
        for name in READERS
        for size in (LARGEST, SIZES[-1])
    }
    note = (
        "Sets of 1 to 10 pictures of MNIST's training part, drawn at each step; tested on 500 sets of each size of its test part. φ has 300, 100 and 30 features in all three, then a sum, "
        "an LSTM of 50 or a GRU of 80, then a linear map. Holds if Deep Sets has the smallest mean error at every size above 10."
    )
    figure = evaluate.draw_curves({"sums of digits": found}, "pictures in a set", "mean absolute error")
    return Outcome(measured, holds, figure, seeds, note)


def _errors(lab: Lab, name: str, seed: int) -> dict[str, float]:
    import torch

    from renote.experiment.sets import learn_sets
    from renote.train import TrainOptions

    data = lab.data("mnist")
    clean = data.clean(data.train).flatten(1)

    def draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        size = int(torch.randint(1, LARGEST + 1, (1,), generator=generator))
        chosen = torch.randint(len(clean), (n, size), generator=generator)
        return clean[chosen], data.train_labels[chosen].sum(1).float()

    steps = STEPS if lab.laptop else 10 * STEPS
    options = TrainOptions(
        steps=steps, batch_size=64, learning_rate=1e-3, learning_rate_schedule="cosine", precision="fp32", seed=seed
    )
    module = learn_sets(partial(reader, name, clean.shape[1]), draw, options)
    test, generator = data.clean(data.test).flatten(1), torch.Generator().manual_seed(seed)
    errors = {}
    for size in SIZES:
        chosen = torch.randint(len(test), (500, size), generator=generator)
        away = module.predict(test[chosen]) - data.test_labels[chosen].sum(1)
        errors[str(size)] = float(away.abs().mean())
    return errors


def reader(name: str, features: int) -> SetRegression:
    """φ of three layers, the way in which a set is read, and a linear map.

    Args:
        name: one of `READERS`.
        features: of a member.
    """
    from torch import nn

    from renote import graph

    member = nn.Sequential(
        nn.Linear(features, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 30), nn.Tanh()
    )
    if name == "deepsets":
        return graph.SetRegression(member, graph.SumAggregation(30), nn.Linear(30, 1))
    kind, width = (nn.LSTM, 50) if name == "lstm" else (nn.GRU, 80)
    return graph.SetRegression(member, kind(30, width, batch_first=True), nn.Linear(width, 1))


SYSTEM = GraphSystem(
    name="deepsets",
    title="Deep Sets",
    paper=Paper(
        "Zaheer, Kottur, Ravanbakhsh, Póczos, Salakhutdinov & Smola",
        "Deep Sets",
        2017,
        "NeurIPS 2017",
        "arXiv:1703.06114",
    ),
    parts=("sum over a set", "φ and ρ", "graph classification"),
    data="proteins",
    config=Config,
    build=build,
    claims=(
        Claim(
            "sums",
            "Trained on sums of at most 10 pictured digits, Deep Sets add up to 100 of them with less error than an LSTM or a GRU that read them.",
            "Figure 1",
            {},
            sums,
        ),
    ),
    presets={"laptop": {"steps": 1500, "learning_rate": 1e-3, "patience": 10}},
)
