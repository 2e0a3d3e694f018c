"""Aggregations: a set of any size becomes one vector. Neighbours → node and nodes → graph are the same modules.

    over = graph.adjacency       what arrives at each node; weights count where the aggregation is a sum
    over = graph.members         the nodes of each graph: a readout
    over = any Pattern           its entries are the members of each row

An empty set gives zeros in all of them. None but the LSTM depends on an order. Those that only ever look at x through a matrix (pool, gated, lstm) take
sparse features as they are.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.attend import attend, by_head, entry_softmax, on_columns
from renote.graph.pattern import Pattern
from renote.graph.segment import product, segment_max, segment_mean
from renote.graph.sparse import SparseFeatures

_MOST_READ = 20_000


class Aggregation(nn.Module):
    """Base of the aggregations: `aggregation(x, over)` is (rows, out_features).

    Args:
        features: of x; those without weights need not know.
        out_features: of the output; those without weights give as many as there are.

    Shapes:
        x: (columns, features). over: an `Adjacency`, or a `Pattern` rows × columns. Output: (rows, out_features).
    """

    linear = False
    """Whether it commutes with a matrix on the features."""
    projects = False
    """Whether it looks at x through a matrix only."""

    def __init__(self, features: int | None = None, out_features: int | None = None) -> None:
        super().__init__()
        self.features = features
        self.out_features = out_features if self.projects and out_features is not None else features

    def forward(self, x: Any, over: Adjacency | Pattern) -> Tensor:
        """The sets' vectors; arguments as the class says."""
        raise NotImplementedError


class SumAggregation(Aggregation):
    """y_i = Σ_j w_ij x_j."""

    linear = True

    def forward(self, x: Tensor, over: Adjacency | Pattern) -> Tensor:
        """Arguments as `Aggregation`."""
        pattern, weight = expected_parts(over)
        return product(pattern, weight, x)


class MeanAggregation(Aggregation):
    """y_i = Σ_j w_ij x_j / Σ_j |w_ij|."""

    linear = True

    def forward(self, x: Tensor, over: Adjacency | Pattern) -> Tensor:
        """Arguments as `Aggregation`."""
        if isinstance(over, Adjacency) and over.weight is not None:
            walk = over.random_walk()
            return product(walk.pattern, walk.values(x.dtype), x)
        return segment_mean(x, parts(over)[0])


class MaxAggregation(Aggregation):
    """y_i = max_j x_j per feature, whatever the weights."""

    def forward(self, x: Tensor, over: Adjacency | Pattern) -> Tensor:
        """Arguments as `Aggregation`."""
        return segment_max(x, parts(over)[0])


class MinAggregation(Aggregation):
    """y_i = min_j x_j per feature, whatever the weights."""

    def forward(self, x: Tensor, over: Adjacency | Pattern) -> Tensor:
        """Arguments as `Aggregation`."""
        return -segment_max(-x, parts(over)[0])


class StdAggregation(Aggregation):
    """y_i = √(1/|i| Σ_j (x_j - mean_j x_j)²) per feature, whatever the weights.

    Both moments are sums in double precision about the mean of all x, so that no message is made and nothing of single precision is lost.
    Where all members are equal the root has no slope: its gradient is taken as 0.
    """

    def forward(self, x: Tensor, over: Adjacency | Pattern) -> Tensor:
        """Arguments as `Aggregation`."""
        pattern, _ = parts(over)
        # Apple's devices have no double precision
        precise = x.to(torch.float32 if x.device.type == "mps" else torch.float64)
        if len(x):
            precise = precise - precise.detach().mean(0)
        variance = segment_mean(precise.square(), pattern) - segment_mean(precise, pattern).square()
        # what rounding leaves of nothing
        least = torch.finfo(precise.dtype).eps * precise.detach().square().amax() * 8 if len(x) else 0.0
        positive = variance > least
        return torch.where(positive, torch.where(positive, variance, 1.0).sqrt(), 0.0).to(x.dtype)


class AttentionAggregation(Aggregation):
    """y_i = ‖_h Σ_j a_jh x_jh, a_jh = softmax over i's members of x_j · q_h.

    The score looks at the member alone, so that it serves readouts; attention that looks at both ends is a convolution.

    Args:
        features: of x.
        out_features: not looked at: there are as many.
        heads: each takes its own share of the features.

    Source:
        One learned query: Yang et al. (2016), "Hierarchical attention networks for document classification", eq. 6; Lee et al. (2019), "Set
        Transformer", section 3.2.
    """

    def __init__(self, features: int, out_features: int | None = None, heads: int = 1) -> None:
        super().__init__(features, out_features)
        if heads < 1 or features % heads:
            raise UsageError(f"heads is {heads}: it must divide the {features} features")
        self.heads = heads
        self.query = nn.Parameter(torch.empty(features, heads))
        nn.init.xavier_uniform_(self.query)

    def forward(self, x: Tensor, over: Adjacency | Pattern) -> Tensor:
        """Arguments as `Aggregation`."""
        check_width(x, self.query.shape[0], "aggregation")
        pattern, weight = parts(over)
        shares = entry_softmax(pattern, on_columns(pattern, x @ self.query), weight)
        return attend(pattern, shares, by_head(x, self.heads)).flatten(1)


class PoolAggregation(Aggregation):
    """y_i = max_j ReLU(x_j P + p) per feature, whatever the weights.

    Args:
        features: of x.
        out_features: of the output; as many by default.

    Source:
        Qi et al. (2017), "PointNet", eq. 1; as an aggregation Hamilton et al. (2017), eq. 3.
    """

    projects = True

    def __init__(self, features: int, out_features: int | None = None) -> None:
        super().__init__(features, out_features)
        self.weight, self.bias = linear(features, out_features or features)

    def forward(self, x: Tensor | SparseFeatures, over: Adjacency | Pattern) -> Tensor:
        """Arguments as `Aggregation`."""
        check_width(x, self.weight.shape[0], "aggregation")
        return segment_max((x @ self.weight + self.bias).relu(), parts(over)[0])


class GatedAggregation(Aggregation):
    """y_i = Σ_j w_ij σ(x_j G + g) ⊙ tanh(x_j V + v).

    Args:
        features: of x.
        out_features: of the output; as many by default.

    Source:
        Li, Tarlow, Brockschmidt & Zemel (2016), "Gated graph sequence neural networks", eq. 7.
    """

    projects = True

    def __init__(self, features: int, out_features: int | None = None) -> None:
        super().__init__(features, out_features)
        # G and V side by side: one product with x
        self.weight, self.bias = linear(features, 2 * (out_features or features))

    def forward(self, x: Tensor | SparseFeatures, over: Adjacency | Pattern) -> Tensor:
        """Arguments as `Aggregation`."""
        check_width(x, self.weight.shape[0], "aggregation")
        pattern, weight = expected_parts(over)
        gate, value = (x @ self.weight + self.bias).chunk(2, 1)
        return product(pattern, weight, gate.sigmoid() * value.tanh())


class LSTMAggregation(Aggregation):
    """y_i = h_n, the last state of an LSTM that reads i's n members from h_0 = c_0 = 0; weights are not looked at.

        (i, f, g, o) = x_j W + h U + b        c ← σ(f) c + σ(i) tanh(g)        h ← σ(o) tanh(c)

    It reads in the order of the pattern, by rising number of the member, and in training, if asked, in an order drawn anew at each call, which
    is how the paper makes it forget the order. Sets are read side by side, the longest first, each only as far as it goes: there is
    no padding that could leak. x W is taken once a member, not once an edge. A step is taken for each member of the longest set, which training bounds: its gradient keeps
    them all.

    Args:
        features: of x.
        out_features: of the state; as many by default.
        shuffle: whether training draws the order.

    Source:
        Hochreiter & Schmidhuber (1997); as an aggregation Hamilton et al. (2017), section 3.3.
    """

    projects = True

    def __init__(self, features: int, out_features: int | None = None, shuffle: bool = True) -> None:
        super().__init__(features, out_features)
        self.shuffle = shuffle
        width = out_features or features
        self.input = nn.Parameter(torch.empty(features, 4 * width))
        self.state = nn.Parameter(torch.empty(width, 4 * width))
        self.bias = nn.Parameter(torch.empty(4 * width))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(width**-0.5), width**-0.5)

    def forward(self, x: Tensor | SparseFeatures, over: Adjacency | Pattern) -> Tensor:
        """Arguments as `Aggregation`."""
        pattern, _ = parts(over)
        return self.read(x, pattern, self.shuffled(pattern) if self.training and self.shuffle else pattern.column)

    def read(self, x: Tensor | SparseFeatures, pattern: Pattern, column: Tensor) -> Tensor:
        """The last states, (rows, out_features), after reading `column`, that of each entry of the pattern."""
        check_width(x, self.input.shape[0], "aggregation")
        read = x @ self.input + self.bias
        # the longest first: at each step those that go on are the first ones
        count, order = pattern.count.long().sort(descending=True, stable=True)
        first = pattern.rowptr.index_select(0, order)
        if len(count) and int(count[0]) > _MOST_READ and read.requires_grad:
            raise UsageError(
                f"a set of {int(count[0]):,} members is read by the LSTM one after the other, in training at most {_MOST_READ:,}: draw some of "
                "each node's neighbours (batches = neighbors with fan_outs), or take another aggregation, e.g. mean or pool"
            )
        going = (pattern.num_rows - torch.bincount(count).cumsum(0))[:-1]
        hidden = cell = read.new_zeros(pattern.num_rows, self.state.shape[0])
        ended = []
        for step, number in enumerate(going.tolist()):
            if number < len(hidden):
                ended.append(hidden[number:])
                hidden, cell = hidden[:number], cell[:number]
            gates = read.index_select(0, column.index_select(0, first[:number] + step))
            taken, kept, new, out = torch.addmm(gates, hidden, self.state).chunk(4, 1)
            cell = kept.sigmoid() * cell + taken.sigmoid() * new.tanh()
            hidden = out.sigmoid() * cell.tanh()
        return torch.cat([hidden, *reversed(ended)]).index_select(0, order.argsort())

    def shuffled(self, pattern: Pattern, generator: torch.Generator | None = None) -> Tensor:
        """(entries,) the members of each row in an order that is drawn."""
        order = torch.randperm(pattern.num_entries, generator=generator, device=pattern.column.device)
        return pattern.column[order[pattern.row.index_select(0, order).argsort(stable=True)]]


def parts(over: Adjacency | Pattern) -> tuple[Pattern, Tensor | None]:
    """The members of each row, and the weight of each if there are any."""
    return (over.pattern, over.weight) if isinstance(over, Adjacency) else (over, None)


def expected_parts(over: Adjacency | Pattern) -> tuple[Pattern, Tensor | None]:
    """As `parts`, for a sum that no degree divides: where neighbours were drawn, it then is in expectation that over all."""
    return parts(over.expected if isinstance(over, Adjacency) else over)


def check_width(x: Tensor | SparseFeatures, features: int, what: str) -> None:
    """Refuse features of another width than `what` was made for."""
    if x.shape[-1] != features:
        raise UsageError(f"x has {x.shape[-1]} features a node and the {what} takes {features}")


def linear(features: int, out_features: int) -> tuple[nn.Parameter, nn.Parameter]:
    """A matrix, Glorot uniform, and a bias of zeros."""
    weight = nn.Parameter(torch.empty(features, out_features))
    nn.init.xavier_uniform_(weight)
    return weight, nn.Parameter(torch.zeros(out_features))
