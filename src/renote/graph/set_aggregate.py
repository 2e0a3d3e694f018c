"""Aggregations that are learned functions of a set: sums of what each member says, and averages over tuples of members in every order.

Zaheer et al. (2017), "Deep sets", arXiv 1703.06114. Murphy et al. (2019), "Janossy pooling", arXiv 1811.01900.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.aggregate import Aggregation, LSTMAggregation, check_width, expected_parts, linear, parts
from renote.graph.pattern import Pattern, starts
from renote.graph.segment import product
from renote.graph.sparse import SparseFeatures

_MOST = 5e7


class DeepSetsAggregation(Aggregation):
    """y_i = ρ(Σ_j w_ij φ(x_j)), with φ(x) = ReLU(x P + p) and ρ(s) = ReLU(s Q + q) R + r.

    Args:
        features: of x.
        out_features: of the output; as many by default.
        hidden: width of φ and within ρ; that of the output by default.

    Source:
        Zaheer et al. (2017), theorem 2.
    """

    projects = True

    def __init__(self, features: int, out_features: int | None = None, hidden: int | None = None) -> None:
        super().__init__(features, out_features)
        out = out_features or features
        hidden = hidden or out
        self.weight, self.bias = linear(features, hidden)
        self.inner, self.out = nn.Linear(hidden, hidden), nn.Linear(hidden, out)

    def forward(self, x: Tensor | SparseFeatures, over: Adjacency | Pattern) -> Tensor:
        """Arguments as `Aggregation`."""
        check_width(x, self.weight.shape[0], "aggregation")
        pattern, weight = expected_parts(over)
        total = product(pattern, weight, (x @ self.weight + self.bias).relu())
        found: Tensor = self.out(self.inner(total).relu())
        return found * (pattern.count > 0)[:, None]


class JanossyAggregation(Aggregation):
    """y_i = mean over the ordered tuples of k different members of f(x_j₁, …, x_jₖ), whatever the weights.

        f(x₁, …, x_k) = ReLU(x₁ P₁ + … + x_k P_k + p) Q + q

    A set of fewer than k members is a tuple of all of them, in each order, with zeros in the places that are left. Each P_d is applied once a member, not once a
    tuple. What is done for all tuples of n members is of the order n^k: draw some of them for larger sets.

    Args:
        features: of x.
        out_features: of the output; as many by default.
        k: members of a tuple.
        tuples: how many to draw of each set at every call, with replacement, which gives an unbiased estimate; 0 takes them all.
        hidden: width within f; that of the output by default.

    Source:
        Murphy et al. (2019), definition 2.2 and, for those that are drawn, section 2.3.
    """

    projects = True

    def __init__(
        self, features: int, out_features: int | None = None, k: int = 2, tuples: int = 0, hidden: int | None = None
    ) -> None:
        super().__init__(features, out_features)
        if k < 1 or tuples < 0:
            raise UsageError(f"k is {k} and tuples {tuples}: a tuple has at least 1 member, and 0 takes all of them")
        out = out_features or features
        hidden = hidden or out
        self.k, self.tuples = k, tuples
        # P_1 … P_k side by side: one product with x
        self.weight = nn.Parameter(torch.empty(features, k * hidden))
        nn.init.uniform_(self.weight, -((k * features) ** -0.5), (k * features) ** -0.5)
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.out = nn.Linear(hidden, out)

    def forward(self, x: Tensor | SparseFeatures, over: Adjacency | Pattern) -> Tensor:
        """Arguments as `Aggregation`."""
        check_width(x, self.weight.shape[0], "aggregation")
        pattern, _ = parts(over)
        mapped = (x @ self.weight).view(x.shape[0], self.k, len(self.bias))
        inner, rows = [], []
        for arity in range(1, self.k + 1):
            row, members = self._tuples(pattern, arity)
            columns = pattern.column.index_select(0, members.flatten()).view(members.shape)
            summed = self.bias.expand(len(row), -1)
            for place in range(arity):
                summed = summed + mapped[:, place].index_select(0, columns[:, place])
            inner.append(summed.relu())
            rows.append(row)
        row, order = torch.cat(rows).sort(stable=True)
        count = torch.bincount(row, minlength=pattern.num_rows)
        by_row = Pattern(starts(count), order, len(order))
        # Q is linear: the mean first
        mean = product(by_row, None, torch.cat(inner)) / count.clamp(min=1)[:, None]
        found: Tensor = self.out(mean)
        return found * (count > 0)[:, None]

    def _tuples(self, pattern: Pattern, arity: int) -> tuple[Tensor, Tensor]:
        """The row of each tuple, (t,), and its entries of the pattern, (t, arity), for the sets that have tuples of so many."""
        count = pattern.count.long()
        of = (count >= arity) if arity == self.k else (count == arity)
        rows = of.nonzero().squeeze(1)
        size = count.index_select(0, rows)
        each = torch.full_like(size, self.tuples) if self.tuples else size**arity
        if float(size.double().pow(arity).sum()) > _MOST and not self.tuples:
            raise UsageError(
                f"all tuples of {arity} members of a set of {int(size.max())} are too many: give `tuples`, how many to draw of each set"
            )
        row = rows.repeat_interleave(each)
        sizes = size.repeat_interleave(each)
        if self.tuples:
            place = _drawn(sizes, arity)
        else:
            number = torch.arange(len(row), device=row.device) - starts(each)[:-1].repeat_interleave(each)
            place = torch.stack([number // sizes**digit % sizes for digit in range(arity)], 1)
            different = torch.ones_like(number, dtype=torch.bool)
            for one in range(arity):
                for other in range(one):
                    different &= place[:, one] != place[:, other]
            row, place = row[different], place[different]
        return row, pattern.rowptr.long().index_select(0, row)[:, None] + place


class PermutationAggregation(LSTMAggregation):
    """y_i = mean over drawn orders of i's members of what an LSTM says that reads all of them in that order; in training and after.

    Args:
        features: of x.
        out_features: of the state; as many by default.
        permutations: how many orders are drawn at each call.

    Source:
        Murphy et al. (2019), section 2.3: π-SGD with one, more of them to predict.
    """

    def __init__(self, features: int, out_features: int | None = None, permutations: int = 1) -> None:
        super().__init__(features, out_features)
        if permutations < 1:
            raise UsageError(f"permutations is {permutations}: at least one order must be read")
        self.permutations = permutations

    def forward(self, x: Tensor | SparseFeatures, over: Adjacency | Pattern) -> Tensor:
        """Arguments as `Aggregation`."""
        pattern, _ = parts(over)
        found = self.read(x, pattern, self.shuffled(pattern))
        for _ in range(self.permutations - 1):
            found = found + self.read(x, pattern, self.shuffled(pattern))
        return found / self.permutations


def _drawn(sizes: Tensor, arity: int) -> Tensor:
    """(t, arity) different numbers below each of the sizes, every order as likely."""
    chosen = sizes.new_zeros(len(sizes), arity)
    for place in range(arity):
        left = sizes - place
        number = (torch.rand(len(sizes), dtype=torch.float64, device=sizes.device) * left).long().clamp(max=left - 1)
        # the number-th of those that are left: step over those that were taken, the lowest first
        for taken in chosen[:, :place].sort(1).values.unbind(1):
            number = number + (number >= taken)
        chosen[:, place] = number
    return chosen
