"""Functions of an operator: its eigenbasis, heat kernels, personalized PageRank.

A function f of a symmetric L is U f(Λ) Uᵀ. Where f is smooth its series needs products with L only, and the eigenbasis is never made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.operator import Operator, chebyshev, laplacian

_TOLERANCE = 1e-9
# Lanczos cannot begin where all is mapped to zero, as without edges: it is given A + shift I
_SHIFT = np.pi
_ROUNDING = float(np.finfo(np.float64).eps)
_MOST_TERMS = 100_000


@dataclass(frozen=True, eq=False)
class Eigenbasis:
    """L = U Λ Uᵀ, or the part of it with the k smallest eigenvalues.

    Args:
        values: (k,) eigenvalues, increasing.
        vectors: (nodes, k) one eigenvector a column.
    """

    values: Tensor
    vectors: Tensor

    def transform(self, x: Tensor) -> Tensor:
        """The graph Fourier transform Uᵀ x, (k, …), of x (nodes, …)."""
        out: Tensor = torch.tensordot(self.vectors.to(x.dtype), x, ([0], [0]))
        return out

    def inverse(self, spectrum: Tensor) -> Tensor:
        """U x̂, (nodes, …), of x̂ (k, …)."""
        out: Tensor = torch.tensordot(self.vectors.to(spectrum.dtype), spectrum, 1)
        return out

    def filter(self, x: Tensor, response: Callable[[Tensor], Tensor]) -> Tensor:
        """U f(Λ) Uᵀ x, (nodes, …); `response` is f, of (k,) eigenvalues."""
        scale = response(self.values).to(x.dtype).view(-1, *[1] * (x.dim() - 1))
        return self.inverse(scale * self.transform(x))


def eigenbasis(operator: Operator, count: int | None = None) -> Eigenbasis:
    """Eigenvalues and eigenvectors of a symmetric operator, in double precision.

    Lanczos sees one vector of each eigenspace: what it found is then projected out and the search goes on, until nothing smaller is
    left, so eigenvalues that are there several times (one a component of the graph) come as often as they are there.

    Args:
        operator: symmetric, e.g. `laplacian(adjacency)` of an undirected graph.
        count: how many of the smallest, by Lanczos; None for all, by a dense decomposition.

    Raises:
        UsageError: the operator is not symmetric, or count is not in 1 … nodes.
    """
    size = operator.shape[0]
    _check_symmetric(operator)
    if count is not None and not 1 <= count <= size:
        raise UsageError(f"count is {count}: there are eigenvalues 1 to {size}")
    # Lanczos gains nothing where much of the spectrum is asked for, and needs room to iterate in.
    if count is None or 2 * count + 2 >= size:
        values, vectors = torch.linalg.eigh(operator.to_dense())
        return Eigenbasis(values[:count], vectors[:, :count])
    found_values, found_vectors = np.zeros(0), np.zeros((size, 0))
    above = 2.0 * abs(largest_eigenvalue(operator)) + 1.0
    while True:
        wanted = min(count, size - 1 - len(found_values))
        values, vectors = _lanczos(operator, wanted, "SA", found_vectors, above)
        below = np.sort(found_values)[count - 1] - _TOLERANCE if len(found_values) >= count else np.inf
        fresh = values < min(below, above / 2.0)
        if not fresh.any():
            break
        found_values = np.concatenate([found_values, values[fresh]])
        found_vectors = np.linalg.qr(np.concatenate([found_vectors, vectors[:, fresh]], 1))[0]
    # the found subspace is invariant: its own small eigenproblem gives clean pairs
    basis = torch.from_numpy(found_vectors).to(operator.device)
    values, mixing = torch.linalg.eigh(basis.T @ (operator @ basis))
    return Eigenbasis(values[:count], (basis @ mixing)[:, :count])


def spectral_embedding(adjacency: Adjacency, count: int) -> Tensor:
    """√n [u_1, …, u_k], (nodes, count): the eigenvectors of I - D^-½ A D^-½ with the smallest eigenvalues, each of mean square 1.

    Where an eigenvalue is there several times, any basis of its vectors may come out, and each has either sign: keep what was made with what was learned of it.

    Args:
        adjacency: the edges, in both directions.
        count: k.

    Raises:
        UsageError: there are fewer nodes.

    Source:
        Belkin & Niyogi (2003), "Laplacian eigenmaps"; Dwivedi et al. (2020), "Benchmarking graph neural networks", as features of nodes.
    """
    found = eigenbasis(laplacian(adjacency, "symmetric"), count).vectors * math.sqrt(adjacency.num_nodes)
    return found.to(torch.get_default_dtype())


def largest_eigenvalue(operator: Operator) -> float:
    """The largest eigenvalue of a symmetric operator, in double precision; of D - A or I - S the λ of `scaled_laplacian`.

    Raises:
        UsageError: the operator is not symmetric, or has no rows.
    """
    size = operator.shape[0]
    _check_symmetric(operator)
    if size == 0:
        raise UsageError("an operator without rows has no eigenvalues")
    if size < 4:
        return float(torch.linalg.eigvalsh(operator.to_dense())[-1])
    return float(_lanczos(operator, 1, "LA", np.zeros((size, 0)), 0.0)[0][-1])


class ChebyshevSeries(Operator):
    """Σ_k c_k T_k(A).

    Args:
        operator: with eigenvalues in [-1, 1].
        coefficients: c_0, c_1, …, at least one.
    """

    def __init__(self, operator: Operator, coefficients: Sequence[float]) -> None:
        if not coefficients:
            raise UsageError("coefficients is empty: a series has at least one")
        super().__init__(operator.shape, operator.device)
        self.operator, self.coefficients = operator, tuple(coefficients)

    def apply(self, x: Tensor) -> Tensor:
        """By the recursion, in x's dtype."""
        total = torch.zeros_like(x)
        for factor, term in zip(self.coefficients, chebyshev(self.operator, x, len(self.coefficients) - 1)):
            total = total + factor * term
        return total

    @property
    def T(self) -> Operator:
        """The same series of the transpose."""
        return ChebyshevSeries(self.operator.T, self.coefficients)


def heat_kernel(scaled: Operator, time: float, largest: float = 2.0, tolerance: float = 1e-6) -> ChebyshevSeries:
    """exp(-t L) = Σ_k (2 - δ_k0) (-1)^k e^-z I_k(z) T_k(L̃), with z = t λ / 2 and L̃ = 2 L / λ - I.

    The coefficients without their signs sum to 1, so what the first of them lack is a bound of the error in the 2-norm for a symmetric L. They are how
    likely the difference of two Poisson variables of mean z / 2 is ±k; so about √(2 z ln(2 / tolerance)) terms are needed for a long time, and a few for a short one. No term is larger
    than x, whatever the time.

    Args:
        scaled: L̃, e.g. `scaled_laplacian(adjacency)`.
        time: t, not negative, finite.
        largest: the λ of L̃.
        tolerance: the series ends where that bound is met; at least the rounding of double precision.

    Raises:
        UsageError: a number is out of its range, or the series would be too long.

    Source:
        Hammond, Vandergheynst & Gribonval (2011), section 6; the coefficients: Abramowitz & Stegun, eq. 9.6.34. How many there are at most: Bernstein's inequality.
    """
    from scipy.special import ive

    if not (time >= 0 and np.isfinite(time)):
        raise UsageError(f"time is {time}: heat spreads in finite times of 0 or more")
    if not (largest > 0 and _ROUNDING <= tolerance < 1):
        raise UsageError(
            f"largest is {largest} and tolerance {tolerance}: above 0, tolerance from {_ROUNDING:.2g} to below 1"
        )
    argument, decades = 0.5 * time * largest, np.log(2000.0 / tolerance)
    # P(|difference| ≥ k) ≤ 2 exp(-k² / 2 (z + k / 3)), solved for the k beyond which a thousandth of the tolerance lies
    most = decades / 3.0 + np.sqrt((decades / 3.0) ** 2 + 2.0 * decades * argument)
    if not most < _MOST_TERMS:
        raise UsageError(
            f"time is {time} and largest {largest}: the series would have about {most:.2g} terms, a product each, above "
            f"{_MOST_TERMS:,}; after so long heat has spread as far as it goes: take a shorter time"
        )
    sizes = 2.0 * ive(np.arange(np.ceil(most) + 1.0), argument)
    sizes[0] /= 2.0
    # what is left out when the series ends before each term, the smallest added first
    rest = np.append(sizes[::-1].cumsum()[::-1], 0.0)
    count = max(1, int((rest > 0.999 * tolerance).sum()))
    signs = (-1.0) ** np.arange(count)
    return ChebyshevSeries(scaled, (signs * sizes[:count]).tolist())


class PersonalizedPageRank(Operator):
    """α (I - (1 - α) P)^-1 x, by Z ← (1 - α) P Z + α x from Z = x.

    After k steps the error is at most (1 - α)^k of the first one, in any norm in which P does not stretch.

    Args:
        operator: P, e.g. `random_walk(adjacency)` or `kipf(adjacency)`.
        restart: α in (0, 1].
        iterations: steps at most; `pagerank_steps(restart)` are enough for single precision.
        tolerance: stops when no number moves by more than this; 0 takes all steps.

    Source:
        Page et al. (1999); Klicpera, Bojchevski & Günnemann (2019), eq. 5, where α is the teleport probability.
    """

    def __init__(self, operator: Operator, restart: float, iterations: int = 1000, tolerance: float = 0.0) -> None:
        if not 0.0 < restart <= 1.0:
            raise UsageError(f"restart is {restart}: it must be above 0 and at most 1")
        if iterations < 0 or tolerance < 0:
            raise UsageError(f"iterations is {iterations} and tolerance {tolerance}: neither may be negative")
        super().__init__(operator.shape, operator.device)
        self.operator, self.restart, self.iterations, self.tolerance = operator, restart, iterations, tolerance

    def apply(self, x: Tensor) -> Tensor:
        """One product a step."""
        z = x
        for _ in range(self.iterations):
            following = (1.0 - self.restart) * (self.operator @ z) + self.restart * x
            stands = self.tolerance and (not x.numel() or float((following - z).detach().abs().max()) <= self.tolerance)
            z = following
            if stands:
                break
        return z

    @property
    def T(self) -> Operator:
        """That of the transpose."""
        return PersonalizedPageRank(self.operator.T, self.restart, self.iterations, self.tolerance)


def pagerank_steps(restart: float, accuracy: float = 1e-7) -> int:
    """The smallest k with (1 - α)^k ≤ accuracy, after which so much of the first error of `PersonalizedPageRank` is left.

    Args:
        restart: α in (0, 1].
        accuracy: in (0, 1).

    Raises:
        UsageError: a number is out of its range, or there would be too many steps.
    """
    if not (0.0 < restart <= 1.0 and 0.0 < accuracy < 1.0):
        raise UsageError(
            f"restart is {restart} and accuracy {accuracy}: restart must be above 0 and at most 1, accuracy between 0 and 1"
        )
    if restart == 1.0:
        return 1
    steps = float(np.log(accuracy) / np.log1p(-restart))
    if steps > _MOST_TERMS:
        raise UsageError(
            f"restart is {restart}: it takes {steps:.2g} steps to an accuracy of {accuracy:g}, above {_MOST_TERMS:,}; give a larger "
            "restart, or take pagerank_series, which needs about the root of that, if each edge is there in both directions"
        )
    return int(np.ceil(steps))


def pagerank_series(operator: Operator, restart: float, tolerance: float = 1e-6) -> ChebyshevSeries:
    """α (I - c A)^-1 = α / √(1 - c²) Σ_k (2 - δ_k0) ρ^k T_k(A), with c = 1 - α and ρ = (1 - √(1 - c²)) / c.

    For an A whose eigenvalues are real and in [-1, 1], as of a symmetric normalization. With α = 0.15 a term shrinks the error to 0.56 of what
    it was, a step of `PersonalizedPageRank` to 0.85.

    Args:
        operator: A, e.g. `symmetric(adjacency)` of an undirected graph.
        restart: α in (0, 1].
        tolerance: the series ends where the rest is at most this in the 2-norm, for a symmetric A.

    Source:
        The generating function of the polynomials: Abramowitz & Stegun, eq. 22.9.9.
    """
    if not 0.0 < restart <= 1.0:
        raise UsageError(f"restart is {restart}: it must be above 0 and at most 1")
    if not 0.0 < tolerance < 1.0:
        raise UsageError(f"tolerance is {tolerance}: it must lie between 0 and 1")
    stay = 1.0 - restart
    root = (1.0 - stay**2) ** 0.5
    ratio = (1.0 - root) / stay if stay else 0.0
    scale = restart / root
    coefficients = [scale]
    # the rest after the term k: 2 scale (ρ^(k+1) + ρ^(k+2) + …)
    while 2.0 * scale * ratio ** len(coefficients) / (1.0 - ratio) > tolerance:
        coefficients.append(2.0 * scale * ratio ** len(coefficients))
    return ChebyshevSeries(operator, coefficients)


def exact_pagerank(operator: Operator, restart: float) -> Tensor:
    """(nodes, nodes) α (I - (1 - α) P)^-1 in double precision, by a dense solution. For small graphs and tests."""
    if not 0.0 < restart <= 1.0:
        raise UsageError(f"restart is {restart}: it must be above 0 and at most 1")
    dense = operator.to_dense()
    identity = torch.eye(len(dense), dtype=dense.dtype, device=dense.device)
    out: Tensor = restart * torch.linalg.inv(identity - (1.0 - restart) * dense)
    return out


def _lanczos(
    operator: Operator, count: int, which: Literal["SA", "LA"], away: np.ndarray, above: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs at one end of the spectrum of A + `above` V Vᵀ, V the columns of `away`."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    size = operator.shape[0]

    def product(vector: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            x = torch.from_numpy(np.ascontiguousarray(vector.reshape(size))).to(operator.device)
            image: np.ndarray = (operator @ x).cpu().numpy()
        out: np.ndarray = image + _SHIFT * vector.reshape(size) + above * (away @ (away.T @ vector.reshape(size)))
        return out

    matrix = LinearOperator((size, size), matvec=product, dtype=np.float64)
    # a start that is drawn once, so that the same pairs come out every time
    start = np.random.default_rng(0).standard_normal(size)
    values, vectors = eigsh(matrix, k=count, which=which, v0=start, maxiter=100 * size, tol=1e-12)
    return values - _SHIFT, vectors


def _check_symmetric(operator: Operator) -> None:
    """A x = Aᵀ x for a drawn x: a matrix that is not symmetric passes with probability 0."""
    rows, columns = operator.shape
    drawn = torch.from_numpy(np.random.default_rng(1).standard_normal(columns)).to(operator.device)
    if rows == columns:
        with torch.no_grad():
            there, back = operator @ drawn, operator.T @ drawn
        if not rows or float((there - back).abs().max()) <= _TOLERANCE * (1.0 + float(there.abs().max())):
            return
    raise UsageError(
        "the operator is not symmetric: its eigenbasis would be complex or skewed. Give both directions of every edge, "
        "and the combinatorial or symmetric Laplacian"
    )
