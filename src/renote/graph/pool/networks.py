"""Networks for whole graphs that pool on the way: SortPool, SAGPool, DiffPool, Graph U-Net."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.aggregate import MaxAggregation, MeanAggregation
from renote.graph.conv.isomorphism import NodeNorm
from renote.graph.conv.spatial import EnhancedConvolution, ImprovedConvolution, KipfConvolution, SkipConvolution
from renote.graph.dropout import dropout
from renote.graph.graph import Graph
from renote.graph.network import drop_features, features_of
from renote.graph.pattern import Pattern
from renote.graph.pool.cluster import DenseGraphs, dense_diff_pool, diff_pool
from renote.graph.pool.keep import KeepAll, Kept, SAGPool, TopKPool
from renote.graph.pool.sort import sort_pool
from renote.graph.segment import squared


class SortNetwork(nn.Module):
    """Z = tanh convolutions side by side, its k first nodes in sorted order, read by convolutions over the line.

    Args:
        features: a node comes with.
        classes: width of the output.
        k: nodes that are kept, at least 10, as the line is halved and then read by a filter of 5.
        widths: of the graph convolutions, (D + I)⁻¹ (A + I) X W; the last sorts.
        channels: of the two convolutions over the line.
        hidden: width of the dense layer.
        dropout: probability, before the last map.

    Source:
        Zhang et al. (2018), section 3 and the settings of section 5.
    """

    def __init__(
        self,
        features: int,
        classes: int,
        k: int,
        widths: Sequence[int] = (32, 32, 32, 1),
        channels: tuple[int, int] = (16, 32),
        hidden: int = 128,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if k < 10:
            raise UsageError(f"k is {k}: at least 10 nodes must be kept, for the convolutions that read them")
        self.k, self.dropout, total = k, dropout, sum(widths)
        self.convolutions = nn.ModuleList(
            EnhancedConvolution(i, o, 0.0) for i, o in itertools.pairwise([features, *widths])
        )
        self.first, self.second = nn.Conv1d(1, channels[0], total, total), nn.Conv1d(channels[0], channels[1], 5)
        self.dense = nn.Linear(channels[1] * (k // 2 - 4), hidden)
        self.head = nn.Linear(hidden, classes)

    def forward(self, graph: Graph) -> Tensor:
        """Logits (graphs, classes)."""
        x, hidden = features_of(graph), []
        for convolution in self.convolutions:
            x = convolution(x, graph.adjacency).tanh()
            hidden.append(x)
        kept = sort_pool(torch.cat(hidden, 1), graph.members, self.k)
        # a filter that steps by its own width is a map of each node, whose gradient is five times faster as one
        each = functional.linear(kept, self.first.weight[:, 0], self.first.bias)
        read = functional.max_pool1d(each.relu().mT, 2)
        out = self.dense(self.second(read).relu().flatten(1)).relu()
        logits: Tensor = self.head(dropout(out, self.dropout, self.training))
        return logits


class MeanMax(nn.Module):
    """[mean of a graph's nodes | their maximum]."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([MeanAggregation(), MaxAggregation()])

    def forward(self, x: Tensor, members: Pattern) -> Tensor:
        """(nodes, features) → (graphs, 2 · features)."""
        return torch.cat([part(x, members) for part in self.parts], 1)


class AttentionPoolNetwork(nn.Module):
    """Kipf convolutions and SAGPool, once behind all of them or after each; mean and maximum of what is left, then dense layers.

    Args:
        features: a node comes with.
        hidden: width of the convolutions.
        head: from 2 · hidden, or 2 · layers · hidden where the pool is global, to the logits.
        layers: convolutions.
        ratio: of the nodes that a pool keeps.
        hierarchical: whether there is a pool after each convolution, and the readouts are added; else one reads all layers side by side.

    Source:
        Lee et al. (2019), section 3.3 and figure 2.
    """

    def __init__(
        self,
        features: int,
        hidden: int,
        head: nn.Module,
        layers: int = 3,
        ratio: float = 0.5,
        hierarchical: bool = True,
    ) -> None:
        super().__init__()
        widths = [features, *[hidden] * layers]
        self.convolutions = nn.ModuleList(KipfConvolution(i, o) for i, o in itertools.pairwise(widths))
        pools = [SAGPool(hidden, ratio) for _ in range(layers)] if hierarchical else [SAGPool(hidden * layers, ratio)]
        self.pools, self.head, self.readout = nn.ModuleList(pools), head, MeanMax()
        self.hierarchical = hierarchical

    def forward(self, graph: Graph) -> Tensor:
        """Logits (graphs, classes)."""
        read: list[Tensor] = []
        if self.hierarchical:
            for convolution, pool in zip(self.convolutions, self.pools):
                x = convolution(features_of(graph), graph.adjacency).relu()
                graph = pool(graph.with_x(x)).graph
                read.append(self.readout(features_of(graph), graph.members))
        else:
            x, hidden = features_of(graph), []
            for convolution in self.convolutions:
                x = convolution(x, graph.adjacency).relu()
                hidden.append(x)
            graph = self.pools[0](graph.with_x(torch.cat(hidden, 1))).graph
            read.append(self.readout(features_of(graph), graph.members))
        logits: Tensor = self.head(torch.stack(read).sum(0))
        return logits


class DenseConvolution(nn.Module):
    """Y = [X | A X / max(Σ_j |A_ij|, 10⁻⁶)] W + b for dense graphs: GraphSAGE's mean.

    Args:
        in_features: features a node comes with.
        out_features: features it leaves with.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.map = nn.Linear(2 * in_features, out_features)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """(graphs, n, features in) and (graphs, n, n) → (graphs, n, features out)."""
        degree = adjacency.abs().sum(2, keepdim=True)
        # the square of what a cluster without members receives would be nothing, and its slope infinite
        near = adjacency @ x / degree.clamp(min=1e-6)
        out: Tensor = self.map(torch.cat([x, near], 2))
        return out


class ConvolutionStack(nn.Module):
    """h' = norm(ReLU(unit(conv(h)))) layer by layer, unit(h_i) = h_i / |h_i|, norm a batch normalization over the nodes; the last layer has neither ReLU nor norm.

    Args:
        make: `make(in_features, out_features)` gives a layer, called with (h, adjacency).
        widths: features a node comes with, and of each layer.
        unit: whether the last layer's rows have length 1 too.

    Source:
        Ying et al. (2018), section 4: both normalizations, after every layer.
    """

    def __init__(self, make: Callable[[int, int], nn.Module], widths: Sequence[int], unit: bool = True) -> None:
        super().__init__()
        self.layers = nn.ModuleList(make(i, o) for i, o in itertools.pairwise(widths))
        self.norms = nn.ModuleList(NodeNorm(width) for width in widths[1:-1])
        self.unit = unit

    def forward(self, x: object, adjacency: object, there: Tensor | None = None) -> Tensor:
        """The last layer's h.

        Args:
            x: (nodes, features), or (graphs, n, features) where layers are for dense graphs.
            adjacency: what the layers take.
            there: (graphs, n) bool, the nodes of dense graphs that are there: others are in no mean of a normalization.
        """
        for layer, norm in itertools.zip_longest(self.layers, self.norms):
            out: Tensor = layer(x, adjacency)
            if norm is None:
                break
            out = functional.normalize(out, dim=-1).relu()
            x = norm(out) if there is None else torch.zeros_like(out).index_put((there,), norm(out[there]))
        return functional.normalize(out, dim=-1) if self.unit else out


class ClusterNetwork(nn.Module):
    """DiffPool after DiffPool: each level embeds its nodes by one stack of convolutions, assigns them to clusters by another, and is read by a maximum.

    Args:
        convolution: `convolution(in_features, out_features)` makes a layer of the first level, called with (x, adjacency).
        features: a node comes with.
        hidden: width of every layer.
        clusters: of each pooling.
        head: from (poolings + 1) · hidden to the logits.
        layers: convolutions of a stack.
        link: weight of the link loss in the penalty.
        entropy: weight of the entropy.

    Source:
        Ying et al. (2018), sections 3.2 and 4.
    """

    def __init__(
        self,
        convolution: Callable[[int, int], nn.Module],
        features: int,
        hidden: int,
        clusters: Sequence[int],
        head: nn.Module,
        layers: int = 3,
        link: float = 1.0,
        entropy: float = 1.0,
    ) -> None:
        super().__init__()
        if not clusters or min(clusters) < 1:
            raise UsageError(f"clusters is {tuple(clusters)}: give each pooling at least one")

        first = [features, *[hidden] * (layers - 1)]
        inner = [hidden] * layers
        self.embed = nn.ModuleList([ConvolutionStack(convolution, [*first, hidden])])
        self.assign = nn.ModuleList([ConvolutionStack(convolution, [*first, clusters[0]], unit=False)])
        for count in clusters[1:]:
            self.embed.append(ConvolutionStack(DenseConvolution, [*inner, hidden]))
            self.assign.append(ConvolutionStack(DenseConvolution, [*inner, count], unit=False))
        self.embed.append(ConvolutionStack(DenseConvolution, [*inner, hidden]))
        self.head, self.link, self.entropy, self.readout = head, link, entropy, MaxAggregation()

    def forward(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Logits (graphs, classes), and the penalty, the mean over poolings of the weighted link loss and entropy."""
        x = features_of(graph)
        hidden = self.embed[0](x, graph.adjacency)
        read = [self.readout(hidden, graph.members)]
        found = diff_pool(graph, hidden, self.assign[0](x, graph.adjacency))
        penalty = self.link * found.link + self.entropy * found.entropy
        for embed, assign in zip(self.embed[1:], [*self.assign[1:], None]):
            level = found.graphs
            there = level.mask.squeeze(2).bool()
            inside = embed(level.x, level.adjacency, there) * level.mask
            read.append(inside.amax(1))
            if assign is not None:
                scores = assign(level.x, level.adjacency, there)
                found = dense_diff_pool(DenseGraphs(inside, level.adjacency, level.count), scores)
                penalty = penalty + self.link * found.link + self.entropy * found.entropy
        logits: Tensor = self.head(torch.cat(read, 1))
        return logits, penalty / len(self.assign)


class GraphUNet(nn.Module):
    """Down: top-k pools between convolutions D^-1/2 (A + 2 I) D^-1/2 X W; up: unpooling, skip connections, convolutions; (nodes, hidden).

    Args:
        features: a node comes with.
        hidden: width of all layers.
        depth: number of pools.
        ratio: of the nodes that a pool keeps.
        dropout: probability, on what each convolution reads after the first.
        squares: how many pools, the first ones, connect nodes that two hops joined, so that what is left hangs together.
        pooling: whether nodes are dropped; if not, the same convolutions and skip connections work on the whole graph, `squares` having no place.

    Source:
        Gao & Ji (2019), sections 3.2 to 3.5; section 4.5 without pooling.
    """

    def __init__(
        self,
        features: int,
        hidden: int,
        depth: int = 3,
        ratio: float = 0.5,
        dropout: float = 0.0,
        squares: int = 1,
        pooling: bool = True,
    ) -> None:
        super().__init__()
        if depth < 1:
            raise UsageError(f"depth is {depth}: a U has at least one pool")
        self.first = ImprovedConvolution(features, hidden)
        self.pools = nn.ModuleList(TopKPool(hidden, ratio) if pooling else KeepAll() for _ in range(depth))
        self.down = nn.ModuleList(ImprovedConvolution(hidden, hidden) for _ in range(depth))
        self.up = nn.ModuleList(ImprovedConvolution(hidden, hidden) for _ in range(depth))
        self.dropout, self.squares = dropout, squares if pooling else 0

    def forward(self, graph: Graph) -> Tensor:
        """(nodes, hidden)."""
        x = self.first(features_of(graph), graph.adjacency).relu()
        graph, above = graph.with_x(x), []
        for number, (pool, convolution) in enumerate(zip(self.pools, self.down)):
            edges = graph.adjacency
            if number < self.squares:
                edges = edges.keep("two hops", partial(two_hops, edges))
            kept: Kept = pool(graph.with_adjacency(edges))
            above.append((graph, kept))
            x = convolution(self._dropped(features_of(kept.graph)), kept.graph.adjacency).relu()
            graph = kept.graph.with_x(x)
        for (finer, kept), convolution in zip(reversed(above), self.up):
            skip = features_of(finer)
            assert isinstance(skip, Tensor)
            x = convolution(self._dropped(skip + kept.unpool(x)), finer.adjacency).relu()
        assert isinstance(x, Tensor)
        return x

    def _dropped(self, x: object) -> Tensor:
        assert isinstance(x, Tensor)
        return dropout(x, self.dropout, self.training)


class UNodes(nn.Module):
    """Z = conv(dropout(U(dropout(x)))), a class of each node; the inner dropout is U's.

    Args:
        unet: U, which gives each node a vector.
        head: `head(x, adjacency)`, from that to the logits.
        dropout: probability, on the features.
    """

    def __init__(self, unet: GraphUNet, head: nn.Module, dropout: float = 0.5) -> None:
        super().__init__()
        self.unet, self.head, self.dropout = unet, head, dropout

    def forward(self, graph: Graph) -> Tensor:
        """Logits (nodes, classes)."""
        x = drop_features(features_of(graph), self.dropout, self.training)
        hidden = self.unet(graph.with_x(x))
        logits: Tensor = self.head(dropout(hidden, self.unet.dropout, self.training), graph.adjacency)
        return logits


class ClusterScores(nn.Module):
    """Scores of clusters: convolutions with a skip and SeLU, then a linear map and dropout.

    Args:
        widths: features a node comes with, and of each convolution.
        clusters: width of the output.
        dropout: probability, on the scores.

    Source:
        Tsitsulin et al. (2020), section 4.1 and their code.
    """

    def __init__(self, widths: Sequence[int], clusters: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(SkipConvolution(i, o) for i, o in itertools.pairwise(widths))
        self.map, self.dropout = nn.Linear(widths[-1], clusters), dropout
        nn.init.orthogonal_(self.map.weight)
        nn.init.zeros_(self.map.bias)

    def forward(self, graph: Graph) -> Tensor:
        """(nodes, clusters)."""
        x = features_of(graph)
        for convolution in self.convolutions:
            x = functional.selu(convolution(x, graph.adjacency))
        return dropout(self.map(x), self.dropout, self.training)


_MOST_PATHS = 5e7


def two_hops(adjacency: Adjacency) -> Adjacency:
    """Nodes that one or two hops join, without loops and without weights: the pattern of (A + I)².

    Raises:
        UsageError: there are too many pairs of hops, as around a node with thousands of neighbours.

    Source:
        Gao & Ji (2019), section 3.5.
    """
    paths = float((adjacency.in_degree().double() * adjacency.out_degree().double()).sum())
    if paths > _MOST_PATHS:
        raise UsageError(
            f"two hops join nodes in {paths:.3g} ways, which is too many to list: lower squares, or take a part of the graph"
        )
    # every node is joined to itself, once
    near = squared(adjacency.looped[0])
    nodes = torch.arange(near.num_rows + 1, dtype=near.rowptr.dtype, device=near.rowptr.device)
    others = Pattern(near.rowptr - nodes, near.column[near.column != near.row], near.num_columns)
    return Adjacency(others.symmetric_as(near))
