"""Experiments on sets: what they ask, how sets are read, and that they measure what they say."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from renote import data, systems
from renote.experiment import Lab
from renote.experiment.sets import learn_sets
from renote.graph import JanossyAggregation, SetRegression, SumAggregation
from renote.systems import deepsets, janossy
from renote.train import TrainOptions


@given(numbers=st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=4), min_size=1, max_size=6))
def test_what_the_tasks_ask(numbers: list[list[int]]) -> None:
    given_numbers = torch.tensor(numbers)
    expected = {
        "sum": [sum(row) for row in numbers],
        "range": [max(row) - min(row) for row in numbers],
        "unique sum": [sum(set(row)) for row in numbers],
        "unique count": [len(set(row)) for row in numbers],
        "variance": [statistics.pvariance(row) for row in numbers],
    }
    for task in janossy.TASKS:
        torch.testing.assert_close(janossy.answer(task, given_numbers), torch.tensor(expected[task]).float())


def test_sets_are_read_in_any_order_by_sums_and_in_one_by_recurrent_networks() -> None:
    sets = torch.randn(3, 5, 7)
    turned = sets.flip(1)
    for name, same in (("deepsets", True), ("lstm", False), ("gru", False)):
        torch.manual_seed(0)
        module = deepsets.reader(name, 7).eval()
        assert torch.allclose(module.predict(sets), module.predict(turned), atol=1e-5) == same
    module = deepsets.reader("deepsets", 7)
    expected = [float(module.head(sum(module.member(x[None]) for x in one)).detach()) for one in sets]  # type: ignore[arg-type]
    torch.testing.assert_close(module.predict(sets, chunk=2), torch.tensor(expected))


def test_errors_are_absolute_or_squared_in_the_scale_of_the_targets() -> None:
    module = SetRegression(nn.Identity(), SumAggregation(1), nn.Identity(), scale=10.0)
    sets, target = torch.tensor([[[1.0], [2.0]], [[0.5], [0.0]]]), torch.tensor([20.0, 9.0])
    assert module.scores(sets).tolist() == [30.0, 5.0]
    assert float(module({"set": sets, "target": target})) == pytest.approx((1.0 + 0.4) / 2)
    module.squared = True
    assert float(module({"set": sets, "target": target})) == pytest.approx((1.0 + 0.16) / 2)


def test_pairs_learn_a_range_that_single_numbers_do_not() -> None:
    """Numbers 0 and 1: of two members the range is 1 if they differ, which no sum of f(x) is: it gives 0, c and 2 c less what 0 and 1 give alone."""

    def draw(n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        numbers = torch.randint(2, (n, 2), generator=generator)
        return numbers, janossy.answer("range", numbers)

    errors = []
    for k in (1, 2):

        def make(k: int = k) -> SetRegression:
            return SetRegression(nn.Embedding(2, 8), JanossyAggregation(8, 4, k), nn.Linear(4, 1), squared=True)

        options = TrainOptions(steps=200, batch_size=32, learning_rate=0.02, precision="fp32")
        module = learn_sets(make, draw, options)
        every = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
        errors.append(float((module.predict(every) - torch.tensor([0.0, 1.0, 1.0, 0.0])).square().mean()))
    # the best additive function is 1/2 everywhere
    assert errors[0] == pytest.approx(0.25, abs=0.02)
    assert errors[1] < 0.01


def test_the_order_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(janossy, "STEPS", 2)
    monkeypatch.setattr(janossy, "ORDERS", (1, 2, 3))
    monkeypatch.setattr(janossy, "TASKS", ("sum", "range", "variance"))
    made = Lab(systems.get("janossy"), "laptop", tmp_path, progress=False)
    outcome = systems.get("janossy").claim("order").experiment(made)
    assert not outcome.holds
    assert {"sum (% exact), k = 1", "variance (RMSE), k = 3"} <= outcome.measured.keys()
    assert [axes.get_title() for axes in outcome.figure.axes] == ["sum (% exact)", "range (% exact)", "variance (RMSE)"]


@pytest.mark.parametrize(("worst", "holds"), [("k = 1", True), ("k = 3", False)])
def test_the_order_holds_where_single_numbers_are_worst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worst: str, holds: bool
) -> None:
    def score(laptop: bool, task: str, k: int, seed: int) -> float:
        better = f"k = {k}" != worst
        return 2.0 - better if task == "variance" else 90.0 if task == "sum" else 50.0 + better

    monkeypatch.setattr(janossy, "_score", score)
    made = Lab(systems.get("janossy"), "laptop", tmp_path, progress=False)
    assert systems.get("janossy").claim().experiment(made).holds == holds


def test_sums_of_digits_are_measured_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepsets, "STEPS", 30)
    made = Lab(systems.get("deepsets"), "laptop", tmp_path, progress=False)
    made._data["mnist []"] = data.load("digits")
    outcome = systems.get("deepsets").claim("sums").experiment(made)
    assert len(outcome.measured) == 6
    # sets of 100 digits add up to about 450: what has hardly learned is far off
    assert outcome.measured["error on sets of 100, lstm"]["mean"] > 100
    errors = made.measure("sums, deepsets, seed 0", dict)
    assert list(errors) == [str(size) for size in deepsets.SIZES]
