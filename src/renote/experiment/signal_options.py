"""The network that a data set's grid asks for, as a graph, and its options. Light: building is what imports the networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from renote.errors import UsageError
from renote.train.options import TrainOptions

if TYPE_CHECKING:
    from renote.data import SampleData
    from renote.graph import Level, SignalClassification, SignalLayer

MakeLayer = Callable[["Level", int, int, int], "SignalLayer"]
"""`make(level, in_features, out_features, pool)`: a layer on the slots of a level."""


@dataclass(frozen=True, kw_only=True)
class SignalOptions(TrainOptions):
    """Signals on the places of a grid, each joined to its nearest, or on a graph of one's own; graph layers with pooling, then dense layers."""

    from_one: ClassVar[tuple[str, ...]] = ("neighbors", "features", "hidden")
    from_zero: ClassVar[tuple[str, ...]] = ("nodes", "graph_seed")
    rates: ClassVar[tuple[str, ...]] = ("validation_fraction", "dropout")

    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    validation_fraction: float = 1 / 12
    """Share of each class of the training samples that weights are selected on."""
    nodes: int = 0
    """How many of a signal's places to see, chosen at random; 0 for all."""
    neighbors: int = 8
    """Nearest places that each names."""
    edges: str = ""
    """A table of edges between places in the place of the grid's: columns source, target and weight, places numbered from 0 row by row."""
    graph_seed: int = 0
    """Of the places that are seen, and of the coarser graphs."""
    features: tuple[int, ...] = (32, 64)
    """Features after each graph layer; none at all leaves a fully connected network."""
    pooling: tuple[int, ...] = (4, 4)
    """Of how many places one is left after each graph layer: 1, 2, 4, …"""
    hidden: tuple[int, ...] = (512,)
    """Widths of the dense layers before the last."""
    dropout: float = 0.5
    """Probability of dropout before the last dense layer."""

    def __post_init__(self) -> None:
        """Refuse values that make no network."""
        super().__post_init__()
        if len(self.pooling) != len(self.features):
            raise UsageError(f"pooling = {self.pooling} for features = {self.features}: give one number a graph layer")
        if any(factor < 1 or factor & (factor - 1) for factor in self.pooling):
            raise UsageError(f"pooling = {self.pooling}: powers of 2 only, as each halves a binary tree")


def signal_classifier(config: SignalOptions, data: SampleData, make: MakeLayer) -> SignalClassification:
    """A classifier of samples as signals on the graph of their grid's places.

    Args:
        config: its size.
        data: samples (channels, *space) with classes.
        make: of a graph layer.

    Raises:
        UsageError: the samples have no grid or no classes, or there are not as many places as `nodes`.
    """
    import torch

    from renote import graph
    from renote.data import grid_points, place_graph, similarity_graph

    if len(data.shape) < 2:
        raise UsageError(
            f"samples of {data.name} have the shape {data.shape}: a grid of places is needed, as pictures have"
        )
    if data.num_classes < 2:
        raise UsageError(f"{data.name} has no classes to tell apart: give samples with labels of at least two")
    points = grid_points(data.shape[1:])
    chosen = torch.arange(len(points))
    if config.nodes:
        if config.nodes > len(points):
            raise UsageError(f"nodes = {config.nodes}, but a sample of {data.name} has {len(points)} places")
        generator = torch.Generator().manual_seed(config.graph_seed)
        chosen = torch.randperm(len(points), generator=generator)[: config.nodes].sort().values
    if config.edges:
        whole = graph.Graph(None, place_graph(config.edges, len(points)))
        adjacency = graph.induced(whole, chosen).graph.adjacency
    else:
        adjacency = similarity_graph(points[chosen.numpy()], config.neighbors)
    steps = [factor.bit_length() - 1 for factor in config.pooling]
    levels = graph.coarsen(adjacency, sum(steps), config.graph_seed)
    layers, width, depth = [], data.shape[0], 0
    for features, pool, step in zip(config.features, config.pooling, steps):
        layers.append(make(levels[depth], width, features, pool))
        width, depth = features, depth + step
    network = graph.SignalNetwork(
        levels, layers, width, data.num_classes, config.hidden, config.dropout, chosen if config.nodes else None
    )
    return graph.SignalClassification(network)
