"""Measures of feature sets against double loops, closed forms and sets made by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from renote import evaluate
from renote.errors import UsageError

SEEDS = st.integers(0, 2**31)


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def kernel_by_loops(x: Tensor, y: Tensor) -> float:
    def k(a: Tensor, b: Tensor) -> float:
        return (sum(float(i * j) for i, j in zip(a, b)) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    first = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    second = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return first + second - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def manifold_by_loops(x: Tensor, y: Tensor, k: int) -> dict[str, float]:
    def distance(a: Tensor, b: Tensor) -> float:
        return math.dist(a.tolist(), b.tolist())

    def radii(s: Tensor) -> list[float]:
        return [sorted(distance(s[i], s[j]) for j in range(len(s)) if j != i)[k - 1] for i in range(len(s))]

    real, fake = radii(x), radii(y)
    in_real = [[distance(a, b) <= real[i] for i, a in enumerate(x)] for b in y]
    in_fake = [[distance(a, b) <= fake[j] for j, b in enumerate(y)] for a in x]
    return {
        "precision": sum(any(row) for row in in_real) / len(y),
        "recall": sum(any(row) for row in in_fake) / len(x),
        "density": sum(map(sum, in_real)) / (k * len(y)),
        "coverage": sum(any(column) for column in zip(*in_real)) / len(x),
    }


@pytest.mark.parametrize(("n", "m", "d"), [(2, 2, 1), (7, 5, 3), (12, 20, 6)])
def test_kernel_distance_is_its_double_loop(n: int, m: int, d: int) -> None:
    x, y = normal(n, d), normal(m, d, 1) + 0.5
    assert evaluate.kernel_distance(x, y) == pytest.approx(kernel_by_loops(x, y))


def test_kernel_distance_is_unbiased() -> None:
    values = torch.tensor(
        [evaluate.kernel_distance(normal(20, 4, 2 * i), normal(30, 4, 2 * i + 1)) for i in range(2000)]
    )
    error = float(values.std()) / math.sqrt(len(values))
    assert abs(float(values.mean())) < 4 * error
    assert float((values < 0).double().mean()) > 0.2  # an estimator that cannot be negative is biased


def test_kernel_distance_of_shifted_points_is_its_closed_form() -> None:
    # x = a and y = b everywhere: k(a, a) + k(b, b) - 2 k(a, b)
    a, b = torch.full((6, 2), 1.0), torch.full((4, 2), 2.0)
    assert evaluate.kernel_distance(a, b) == pytest.approx(2**3 + 5**3 - 2 * 3**3)


def test_blocks_agree_with_the_whole() -> None:
    x, y = normal(400, 3), normal(500, 3, 1) + 0.3
    mean, spread = evaluate.kernel_distance_blocks(x, y, blocks=50, block_size=100)
    assert spread > 0
    assert mean == pytest.approx(evaluate.kernel_distance(x, y), abs=4 * spread / math.sqrt(10))
    assert evaluate.kernel_distance_blocks(x, y, blocks=50, block_size=100) == (mean, spread)
    assert evaluate.kernel_distance_blocks(x, y, blocks=1)[1] == 0
    assert evaluate.kernel_distance_blocks(x, y, blocks=2, block_size=10_000)[1] > 0


@pytest.mark.parametrize(("n", "m", "d", "k"), [(4, 6, 1, 1), (15, 12, 3, 3), (20, 20, 5, 5)])
def test_manifold_measures_are_their_double_loops(n: int, m: int, d: int, k: int) -> None:
    x, y = normal(n, d), normal(m, d, 1) + 0.2
    expected = manifold_by_loops(x, y, k)
    assert evaluate.precision_recall(x, y, k) == pytest.approx((expected["precision"], expected["recall"]))
    assert evaluate.density_coverage(x, y, k) == pytest.approx((expected["density"], expected["coverage"]))


def test_of_identical_sets_all_is_covered() -> None:
    x = normal(50, 64)
    assert evaluate.precision_recall(x, x) == (1, 1)
    # a ball holds its centre and its k nearest, the last of them on its edge
    assert evaluate.density_coverage(x, x, k=5) == (pytest.approx(6 / 5), 1)


def test_of_distant_sets_nothing_is_covered() -> None:
    x = normal(50, 8)
    assert evaluate.precision_recall(x, x + 100) == (0, 0)
    assert evaluate.density_coverage(x, x + 100) == (0, 0)


def test_a_missing_mode_costs_recall_and_coverage_alone() -> None:
    left, right = normal(40, 2), normal(40, 2, 1) + 50
    fake = normal(80, 2, 2) * 0.3
    precision, recall = evaluate.precision_recall(torch.cat([left, right]), fake)
    density, coverage = evaluate.density_coverage(torch.cat([left, right]), fake)
    assert precision == 1
    assert recall < 0.5
    assert density >= 1
    assert coverage <= 0.5


def test_an_outlier_inflates_precision_and_not_density() -> None:
    # the reason for density: one far sample of the data has a ball that swallows everything
    x = torch.cat([normal(99, 2) * 0.1, torch.full((1, 2), 10.0)])
    y = normal(100, 2, 1) * 0.1 + 1.5
    assert evaluate.precision_recall(x, y, 5)[0] > 0.9
    assert evaluate.density_coverage(x, y, 5)[0] < 0.25


def test_density_and_coverage_of_fresh_real_samples_are_as_derived() -> None:
    pairs = [evaluate.density_coverage(normal(300, 16, 2 * i), normal(300, 16, 2 * i + 1)) for i in range(20)]
    density, coverage = (sum(values) / len(pairs) for values in zip(*pairs))
    assert density == pytest.approx(1, abs=0.03)
    # a ball is empty if the k nearest, of n - 1 real and n fake ones in any order, are all real
    n, k = 300, 5
    assert coverage == pytest.approx(1 - math.comb(n - 1, k) / math.comb(2 * n - 1, k), abs=0.01)


def test_duplicates_have_balls_of_radius_zero() -> None:
    x = torch.zeros(6, 3)
    assert evaluate.nearest_radii(x, 3).tolist() == [0] * 6
    assert evaluate.precision_recall(x, x) == (1, 1)
    assert evaluate.precision_recall(x, x + 1e-6) == (0, 0)


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("splits", [1, 3])
def test_inception_score_has_closed_forms(classes: int, splits: int) -> None:
    uniform = torch.full((30, classes), 1 / classes)
    assert evaluate.inception_score(uniform, splits) == (pytest.approx(1, abs=1e-6), pytest.approx(0, abs=1e-6))
    balanced = torch.eye(classes).repeat(3 * splits, 1)
    assert evaluate.inception_score(balanced, splits) == (pytest.approx(classes), pytest.approx(0, abs=1e-9))
    collapsed = torch.eye(classes)[:1].repeat(30, 1)
    assert evaluate.inception_score(collapsed, splits)[0] == pytest.approx(1)


def test_inception_score_of_hedged_classes() -> None:
    # two classes, each sample sure with probability q: log score = log 2 - entropy of q
    q = 0.9
    p = torch.tensor([[q, 1 - q], [1 - q, q]], dtype=torch.float64).repeat(5, 1)
    entropy = -q * math.log(q) - (1 - q) * math.log(1 - q)
    assert evaluate.inception_score(p, 1)[0] == pytest.approx(2 * math.exp(-entropy))


def test_splits_are_scored_for_themselves() -> None:
    p = torch.eye(2)[[0, 0, 0, 1]]
    assert evaluate.inception_score(p, 2) == (pytest.approx(1.5), pytest.approx(0.5))


@pytest.mark.parametrize("chunk", [1, 7, 50, 1000])
def test_chunks_change_nothing(chunk: int) -> None:
    x, y = normal(60, 20), normal(45, 20, 1) + 0.1
    assert evaluate.kernel_distance(x, y, chunk=chunk) == pytest.approx(evaluate.kernel_distance(x, y), rel=1e-12)
    assert torch.equal(evaluate.nearest_radii(x, 3, chunk=chunk), evaluate.nearest_radii(x, 3))
    assert evaluate.precision_recall(x, y, chunk=chunk) == evaluate.precision_recall(x, y)
    assert evaluate.density_coverage(x, x, chunk=chunk) == evaluate.density_coverage(x, x)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(6, 20), st.integers(6, 20), st.integers(1, 5))
def test_order_does_not_matter(seed: int, n: int, m: int, d: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # whole numbers: ties and duplicates abound
    x, y = (torch.randint(-3, 4, (count, d), generator=generator).float() for count in (n, m))
    p = torch.rand(n, d + 1, generator=generator, dtype=torch.float64).softmax(1)
    i, j = torch.randperm(n, generator=generator), torch.randperm(m, generator=generator)
    assert evaluate.kernel_distance(x[i], y[j]) == pytest.approx(evaluate.kernel_distance(x, y), abs=1e-8)
    assert evaluate.precision_recall(x[i], y[j]) == pytest.approx(evaluate.precision_recall(x, y))
    assert evaluate.density_coverage(x[i], y[j]) == pytest.approx(evaluate.density_coverage(x, y))
    assert evaluate.inception_score(p[i], 1) == pytest.approx(evaluate.inception_score(p, 1))


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(6, 15), st.integers(6, 15))
def test_kernel_distance_is_symmetric_and_recall_is_precision_turned(seed: int, n: int, m: int) -> None:
    x, y = normal(n, 3, seed), normal(m, 3, seed + 1)
    assert evaluate.kernel_distance(x, y) == pytest.approx(evaluate.kernel_distance(y, x), abs=1e-10)
    assert evaluate.precision_recall(x, y) == evaluate.precision_recall(y, x)[::-1]
    assert 1 <= evaluate.inception_score(x.softmax(1), 1)[0] <= 3


def test_what_cannot_be_measured_is_refused() -> None:
    x = normal(10, 3)
    with pytest.raises(UsageError, match="at least 2 samples"):
        evaluate.kernel_distance(x[:1], x)
    with pytest.raises(UsageError, match="features must be"):
        evaluate.kernel_distance(x, x[:, :2])
    with pytest.raises(UsageError, match="not finite"):
        evaluate.precision_recall(x, x.clone().fill_(math.nan))
    with pytest.raises(UsageError, match="k = 10"):
        evaluate.density_coverage(x, x, k=10)
    with pytest.raises(UsageError, match="at least one block"):
        evaluate.kernel_distance_blocks(x, x, blocks=0)
    with pytest.raises(UsageError, match="sum 1"):
        evaluate.inception_score(x)
    with pytest.raises(UsageError, match="splits = 11"):
        evaluate.inception_score(x.softmax(1), 11)
