"""Aggregations that are learned functions of a set: sums of what each member says, and averages over tuples of members in every order.

Zaheer et al. (2017), "Deep sets", arXiv 1703.06114. Murphy et al. (2019), "Janossy pooling", arXiv 1811.01900.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.aggregate import Aggregation, LSTMAggregation, check_width, expected_parts, linear, parts
from renote.graph.pattern import Pattern, repeated, starts
from renote.graph.segment import product
from renote.graph.sparse import SparseFeatures

_MOST = 5e7
"""Tuples of all sets, beyond which the time is the trouble."""
_CHUNK = 1 << 23
"""Numbers within f that are in memory at once: tuples times the width."""


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
    tuple. What is done for all tuples of n members is of the order n^k: draw some of them for larger sets. Tuples go through in parts, which are made again backward, so memory does not grow with them.

    Args:
        features: of x.
        out_features: of the output; as many by default.
        k: members of a tuple.
        tuples: how many to draw of each set at every call, with replacement, which gives an unbiased estimate; 0 takes them all. After training the same are drawn at each call.
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
        sums, rows = [], []
        count = torch.zeros(pattern.num_rows, dtype=torch.long, device=mapped.device)
        for arity in range(1, self.k + 1):
            found = self._tuples(pattern, arity)
            total, step = found.total, max(1, _CHUNK // len(self.bias))
            for first in range(0, total, step):
                given = (mapped, pattern, found, first, min(first + step, total))
                # one of several parts is made again backward, so that no more than one is ever kept
                several = total > step and torch.is_grad_enabled()
                here, number, said = (
                    checkpoint(self._said, *given, use_reentrant=False, preserve_rng_state=False)
                    if several
                    else self._said(*given)
                )
                sums.append(said)
                rows.append(here)
                count = count.index_add(0, here, number)
        row, order = torch.cat(rows or [count[:0]]).sort(stable=True)
        by_row = Pattern(starts(torch.bincount(row, minlength=pattern.num_rows)), order, len(order))
        # Q is linear: the mean first
        mean = product(by_row, None, torch.cat(sums or [mapped[:0, 0]])) / count.clamp(min=1)[:, None]
        out: Tensor = self.out(mean)
        return out * (count > 0)[:, None]

    def _said(
        self, mapped: Tensor, pattern: Pattern, tuples: _Tuples, first: int, last: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The rows of tuples first … last - 1, how many each has, and Σ ReLU(x₁ P₁ + … + p) over them, from what members are mapped to."""
        row, members = tuples.part(first, last)
        here, among = torch.unique_consecutive(row, return_inverse=True)
        columns = pattern.column.index_select(0, members.flatten()).view(members.shape)
        inner = self.bias.expand(len(row), -1)
        for place in range(tuples.arity):
            inner = inner + mapped[:, place].index_select(0, columns[:, place])
        over = Pattern.from_segments(among, len(here))
        return here, over.count.long(), product(over, None, inner.relu())

    def _tuples(self, pattern: Pattern, arity: int) -> _Tuples:
        """The tuples of so many, of the sets that have such."""
        count = pattern.count.long()
        of = (count >= arity) if arity == self.k else (count == arity)
        rows = of.nonzero().squeeze(1)
        size = count.index_select(0, rows)
        each = torch.full_like(size, self.tuples) if self.tuples else size**arity
        if float(size.double().pow(arity).sum()) > _MOST and not self.tuples:
            raise UsageError(
                f"all tuples of {arity} members of a set of {int(size.max())} are too many: give `tuples`, how many to draw of each set"
            )
        drawn = _drawn(repeated(size, each), arity, drawing(self, size.device)) if self.tuples else None
        return _Tuples(rows, size, pattern.rowptr.long().index_select(0, rows), starts(each), arity, drawn)


@dataclass(frozen=True)
class _Tuples:
    """Tuples of members of some sets, by number: those of a set one after the other.

    Args:
        rows: (sets,) their rows.
        size: (sets,) members.
        entry: (sets,) the first of a set's entries in the pattern.
        first: (sets + 1,) where the tuples of each set begin.
        arity: members of a tuple.
        drawn: (tuples, arity) places of the members within their sets; None for all tuples, place after place the digits of its number.
    """

    rows: Tensor
    size: Tensor
    entry: Tensor
    first: Tensor
    arity: int
    drawn: Tensor | None

    @property
    def total(self) -> int:
        """How many, with those that name a member twice."""
        return int(self.first[-1])

    def part(self, first: int, last: int) -> tuple[Tensor, Tensor]:
        """The row of each tuple, (t,), and its entries of the pattern, (t, arity), of those numbered first … last - 1 whose members differ."""
        number = torch.arange(first, last, device=self.first.device)
        each = (self.first[1:].clamp(max=last) - self.first[:-1].clamp(min=first)).clamp(min=0)
        owner = repeated(torch.arange(len(self.rows), device=number.device), each)
        if self.drawn is not None:
            place = self.drawn[first:last]
        else:
            size, within = self.size.index_select(0, owner), number - self.first.index_select(0, owner)
            place = torch.stack([within // size**digit % size for digit in range(self.arity)], 1)
            different = torch.ones_like(number, dtype=torch.bool)
            for one in range(self.arity):
                for other in range(one):
                    different &= place[:, one] != place[:, other]
            owner, place = owner[different], place[different]
        return self.rows.index_select(0, owner), self.entry.index_select(0, owner)[:, None] + place


class PermutationAggregation(LSTMAggregation):
    """y_i = mean over drawn orders of i's members of what an LSTM says that reads all of them in that order; in training and after.

    After training the draws are the same at each call, so that a prediction can be had again.

    Args:
        features: of x.
        out_features: of the state; as many by default.
        permutations: how many orders are drawn at each call in training.
        to_predict: how many after it; as many by default.

    Source:
        Murphy et al. (2019), section 2.3: π-SGD with one, more of them to predict.
    """

    def __init__(
        self, features: int, out_features: int | None = None, permutations: int = 1, to_predict: int | None = None
    ) -> None:
        super().__init__(features, out_features)
        for name, number in (("permutations", permutations), ("to_predict", to_predict)):
            if number is not None and number < 1:
                raise UsageError(f"{name} is {number}: at least one order must be read")
        self.permutations, self.to_predict = permutations, to_predict or permutations

    def forward(self, x: Tensor | SparseFeatures, over: Adjacency | Pattern) -> Tensor:
        """Arguments as `Aggregation`."""
        pattern, _ = parts(over)
        orders = self.permutations if self.training else self.to_predict
        draw = drawing(self, pattern.column.device)
        found = self.read(x, pattern, self.shuffled(pattern, draw))
        for _ in range(orders - 1):
            found = found + self.read(x, pattern, self.shuffled(pattern, draw))
        return found / orders


def drawing(module: nn.Module, device: torch.device) -> torch.Generator | None:
    """What a module draws with: in training as all else does, after it always the same."""
    return None if module.training else torch.Generator(device).manual_seed(0)


def _drawn(sizes: Tensor, arity: int, generator: torch.Generator | None = None) -> Tensor:
    """(t, arity) different numbers below each of the sizes, every order as likely."""
    chosen = sizes.new_zeros(len(sizes), arity)
    for place in range(arity):
        left = sizes - place
        share = torch.rand(len(sizes), dtype=torch.float64, device=sizes.device, generator=generator)
        number = (share * left).long().clamp(max=left - 1)
        # the number-th of those that are left: step over those that were taken, the lowest first
        for taken in chosen[:, :place].sort(1).values.unbind(1):
            number = number + (number >= taken)
        chosen[:, place] = number
    return chosen
