"""Linear maps of node signals: adjacency, random walk, Laplacians, and what is made of them.

A method that is linear in the graph needs products `operator @ x` only, so an operator is nothing more than that product, its transpose and its
shape. Sums, products, powers and polynomials of operators are operators, and none of them ever makes a matrix: with S = D^-1/2 A D^-1/2, the
Laplacian I - S costs one sparse product with S. Gradients flow through x, and through edge weights where they are given.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, overload

import torch
from torch import Tensor

from renote.errors import UsageError, unknown
from renote.graph.adjacency import Adjacency
from renote.graph.normalize import normalized
from renote.graph.segment import segment_sum, spmm

LaplacianKind = Literal["combinatorial", "symmetric", "random-walk"]


class Operator:
    """A matrix that is known by its products: `operator @ x`, with x (columns, …) → (rows, …).

    Operators compose: `a + b`, `a - b`, `2 * a`, `a @ b`, `a**3`, `a.T`.

    Args:
        shape: (rows, columns).
        device: where its tensors are.

    Example:
        >>> import torch
        >>> from renote.graph import Adjacency, laplacian
        >>> path = Adjacency.from_edges([0, 1, 1, 2], [1, 0, 2, 1], num_nodes=3)
        >>> (laplacian(path, "combinatorial") @ torch.ones(3)).tolist()
        [0.0, 0.0, 0.0]
    """

    def __init__(self, shape: tuple[int, int], device: torch.device) -> None:
        self.shape = shape
        self.device = device

    def apply(self, x: Tensor) -> Tensor:
        """The product with x (columns, …), of x's dtype."""
        raise NotImplementedError

    @property
    def T(self) -> Operator:
        """The transpose."""
        raise NotImplementedError

    def to_dense(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """(rows, columns). For small graphs and tests."""
        return self @ torch.eye(self.shape[1], dtype=dtype, device=self.device)

    @overload
    def __matmul__(self, other: Tensor) -> Tensor: ...
    @overload
    def __matmul__(self, other: Operator) -> Operator: ...
    def __matmul__(self, other: Tensor | Operator) -> Tensor | Operator:
        if isinstance(other, Operator):
            return _Product(self, other)
        if other.dim() == 0 or other.shape[0] != self.shape[1]:
            raise UsageError(
                f"x has shape {tuple(other.shape)} and the operator {self.shape[1]} columns: give x a row for each"
            )
        return self.apply(other)

    def __add__(self, other: Operator) -> Operator:
        return _Sum(self, other)

    def __sub__(self, other: Operator) -> Operator:
        return _Sum(self, -1.0 * other)

    def __mul__(self, factor: float | Tensor) -> Operator:
        return _Scaled(factor, self)

    __rmul__ = __mul__

    def __neg__(self) -> Operator:
        return -1.0 * self

    def __pow__(self, exponent: int) -> Operator:
        _check_order("exponent", exponent)
        if self.shape[0] != self.shape[1]:
            raise UsageError(f"an operator of shape {self.shape} has no powers: it must be square")
        return _Power(self, exponent)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape})"


class Identity(Operator):
    """y = x.

    Args:
        size: rows and columns.
        device: of what it is composed with.
    """

    def __init__(self, size: int, device: torch.device | str = "cpu") -> None:
        super().__init__((size, size), torch.device(device))

    def apply(self, x: Tensor) -> Tensor:
        """x itself."""
        return x

    @property
    def T(self) -> Operator:
        """Itself."""
        return self


class Diagonal(Operator):
    """y_i = d_i x_i.

    Args:
        values: (nodes,) d; gradients flow to it.
    """

    def __init__(self, values: Tensor) -> None:
        if values.dim() != 1:
            raise UsageError(f"a diagonal of shape {tuple(values.shape)}: it must be (nodes,)")
        super().__init__((values.shape[0], values.shape[0]), values.device)
        self.values = values

    def apply(self, x: Tensor) -> Tensor:
        """Each row scaled."""
        return x * self.values.to(x.dtype).view(-1, *[1] * (x.dim() - 1))

    @property
    def T(self) -> Operator:
        """Itself."""
        return self


class Edges(Operator):
    """y_i = Σ_{j → i} w_ji x_j, the adjacency as a matrix A[receiver, source].

    Args:
        adjacency: its weight is used (1 if it has none) unless `edge_weight` is given.
        edge_weight: (edges,) in the adjacency's order; gradients flow to it.
    """

    def __init__(self, adjacency: Adjacency, edge_weight: Tensor | None = None) -> None:
        super().__init__((adjacency.num_nodes, adjacency.num_nodes), adjacency.device)
        self.adjacency, self.edge_weight = adjacency, edge_weight

    def apply(self, x: Tensor) -> Tensor:
        """One sparse product."""
        return spmm(self.adjacency, x, self.edge_weight)

    @property
    def T(self) -> Operator:
        """Every edge turned round."""
        if self.edge_weight is None:
            return Edges(self.adjacency.transpose())
        weight = self.edge_weight.index_select(0, self.adjacency.pattern.to_transposed)
        return Edges(self.adjacency.transpose(), weight)


class _Sum(Operator):
    def __init__(self, left: Operator, right: Operator) -> None:
        if left.shape != right.shape:
            raise UsageError(f"operators of shapes {left.shape} and {right.shape} cannot be added")
        super().__init__(left.shape, left.device)
        self.left, self.right = left, right

    def apply(self, x: Tensor) -> Tensor:
        return self.left @ x + self.right @ x

    @property
    def T(self) -> Operator:
        return self.left.T + self.right.T


class _Product(Operator):
    def __init__(self, left: Operator, right: Operator) -> None:
        if left.shape[1] != right.shape[0]:
            raise UsageError(f"operators of shapes {left.shape} and {right.shape} cannot be multiplied")
        super().__init__((left.shape[0], right.shape[1]), left.device)
        self.left, self.right = left, right

    def apply(self, x: Tensor) -> Tensor:
        return self.left @ (self.right @ x)

    @property
    def T(self) -> Operator:
        return self.right.T @ self.left.T


class _Scaled(Operator):
    def __init__(self, factor: float | Tensor, operator: Operator) -> None:
        super().__init__(operator.shape, operator.device)
        self.factor, self.operator = factor, operator

    def apply(self, x: Tensor) -> Tensor:
        return self.factor * (self.operator @ x)

    @property
    def T(self) -> Operator:
        return _Scaled(self.factor, self.operator.T)


class _Power(Operator):
    def __init__(self, operator: Operator, exponent: int) -> None:
        super().__init__(operator.shape, operator.device)
        self.operator, self.exponent = operator, exponent

    def apply(self, x: Tensor) -> Tensor:
        for _ in range(self.exponent):
            x = self.operator @ x
        return x

    @property
    def T(self) -> Operator:
        return self.operator.T**self.exponent


def kipf(adjacency: Adjacency, edge_weight: Tensor | None = None) -> Operator:
    """D̃^-1/2 (A + I) D̃^-1/2, as `Adjacency.kipf`.

    Args:
        adjacency: the edges.
        edge_weight: (edges,) in the place of their weights; gradients flow to it, through D̃ too.

    Source:
        Kipf & Welling (2017), section 2.2.
    """
    if edge_weight is None:
        return Edges(adjacency.kipf())
    pattern, place = adjacency.looped
    looped = torch.cat([edge_weight, edge_weight.new_ones(1)]).index_select(0, place)
    return Edges(Adjacency(pattern), normalized(pattern, looped, -0.5, -0.5))


def symmetric(adjacency: Adjacency, edge_weight: Tensor | None = None) -> Operator:
    """S = D^-1/2 A D^-1/2, as `Adjacency.symmetric`; arguments as `kipf`."""
    if edge_weight is None:
        return Edges(adjacency.symmetric())
    return Edges(adjacency, normalized(adjacency.pattern, edge_weight, -0.5, -0.5))


def random_walk(adjacency: Adjacency, edge_weight: Tensor | None = None) -> Operator:
    """P = D^-1 A, as `Adjacency.random_walk`; arguments as `kipf`."""
    if edge_weight is None:
        return Edges(adjacency.random_walk())
    return Edges(adjacency, normalized(adjacency.pattern, edge_weight, -1.0, 0.0))


def laplacian(adjacency: Adjacency, kind: LaplacianKind = "symmetric", edge_weight: Tensor | None = None) -> Operator:
    """L = D - A (combinatorial), I - D^-1/2 A D^-1/2 (symmetric) or I - D^-1 A (random-walk), D_ii = Σ_j |A_ij|.

    A node where no edge arrives has a row of zeros in D - A, and one of the identity in the other two.

    Args:
        adjacency: the edges; of an undirected graph both directions.
        kind: which of the three.
        edge_weight: (edges,) in the place of their weights; gradients flow to it, through D too.
    """
    unit, pull = _parts(adjacency, kind, edge_weight)
    return unit - pull


def scaled_laplacian(
    adjacency: Adjacency,
    kind: LaplacianKind = "symmetric",
    largest: float | None = None,
    edge_weight: Tensor | None = None,
) -> Operator:
    """L̃ = 2 L / λ - I, whose eigenvalues lie in [-1, 1] where those of L lie in [0, λ].

    Args:
        adjacency: the edges; of an undirected graph both directions.
        kind: of Laplacian.
        largest: λ, e.g. `largest_eigenvalue(laplacian(…))`; None takes the bound of Gershgorin: 2 for the normalized kinds, twice the largest
            degree for D - A.
        edge_weight: as `laplacian`.

    Source:
        Defferrard et al. (2016), section 2.1.
    """
    if largest is not None and not largest > 0:
        raise UsageError(f"largest is {largest}: the largest eigenvalue of a graph with edges is positive")
    unit, pull = _parts(adjacency, kind, edge_weight)
    identity = Identity(adjacency.num_nodes, adjacency.device)
    if isinstance(unit, Diagonal):
        if largest is None:
            largest = 2.0 * float(unit.values.max()) if unit.values.numel() else 0.0
            largest = largest or 1.0  # without edges L = 0, whatever λ
        return (2.0 / largest) * (unit - pull) - identity
    largest = 2.0 if largest is None else largest
    # 2 (I - S) / λ - I by one product, and without taking the difference of what is nearly equal
    shift = 2.0 / largest - 1.0
    scaled = (-2.0 / largest) * pull
    return scaled if shift == 0.0 else shift * identity + scaled


def powers(operator: Operator, x: Tensor, order: int) -> Iterator[Tensor]:
    """x, A x, A² x, …, A^order x."""
    _check_order("order", order)
    yield x
    for _ in range(order):
        x = operator @ x
        yield x


def chebyshev(operator: Operator, x: Tensor, order: int) -> Iterator[Tensor]:
    """T_0(A) x, …, T_order(A) x, with T_k = 2 A T_{k-1} - T_{k-2}, T_0 = I, T_1 = A.

    Args:
        operator: with eigenvalues in [-1, 1], e.g. `scaled_laplacian(adjacency)`.
        x: (nodes, …).
        order: the highest.

    Source:
        Defferrard et al. (2016), eq. 4 and after.
    """
    _check_order("order", order)
    yield x
    if order == 0:
        return
    before, now = x, operator @ x
    yield now
    for _ in range(order - 1):
        before, now = now, 2.0 * (operator @ now) - before
        yield now


def clenshaw(operator: Operator, terms: Tensor) -> Tensor:
    """Σ_k T_k(A) c_k, by b_k = c_k + 2 A b_{k+1} - b_{k+2} and y = c_0 + A b_1 - b_2: products as wide as the sum, not as its operands.

    Args:
        operator: as `chebyshev`.
        terms: (order + 1, nodes, …) c.

    Source:
        Clenshaw (1955), "A note on the summation of Chebyshev series".
    """
    if terms.shape[0] == 1:
        return terms[0]
    after, now = None, terms[-1]
    for term in reversed(terms[1:-1].unbind()):
        following = term + 2.0 * (operator @ now)
        after, now = now, following if after is None else following - after
    total = terms[0] + operator @ now
    return total if after is None else total - after


def _parts(adjacency: Adjacency, kind: str, edge_weight: Tensor | None) -> tuple[Operator, Operator]:
    """L as a difference: D or I, and A normalized alike."""
    if kind == "combinatorial":
        weight = adjacency.weight if edge_weight is None else edge_weight
        if weight is None:
            return Diagonal(adjacency.in_degree()), Edges(adjacency)
        return Diagonal(segment_sum(weight.abs(), adjacency.target, adjacency.num_nodes)), Edges(adjacency, edge_weight)
    identity = Identity(adjacency.num_nodes, adjacency.device)
    if kind == "symmetric":
        return identity, symmetric(adjacency, edge_weight)
    if kind == "random-walk":
        return identity, random_walk(adjacency, edge_weight)
    raise unknown("kind of Laplacian", kind, ["combinatorial", "symmetric", "random-walk"])


def _check_order(name: str, order: int) -> None:
    if order < 0:
        raise UsageError(f"{name} is {order}: it must be 0 or more")
