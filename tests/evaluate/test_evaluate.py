"""Distances against closed forms, pictures pixel by pixel, reports that stand alone."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from renote import data, evaluate
from renote.errors import UsageError
from renote.evaluate.frechet import moments
from renote.graph import Adjacency


def test_distance_of_gaussians_is_its_closed_form() -> None:
    mean_1, mean_2 = np.array([1.0, 2.0]), np.array([0.0, -1.0])
    variance_1, variance_2 = np.array([4.0, 1.0]), np.array([1.0, 9.0])
    expected = ((mean_1 - mean_2) ** 2).sum() + ((np.sqrt(variance_1) - np.sqrt(variance_2)) ** 2).sum()
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(2, 2)))[0]
    first = (rotation @ mean_1, rotation @ np.diag(variance_1) @ rotation.T)
    second = (rotation @ mean_2, rotation @ np.diag(variance_2) @ rotation.T)
    assert evaluate.frechet_distance(first, second) == pytest.approx(expected)
    assert evaluate.frechet_distance(first, first) == pytest.approx(0, abs=1e-9)


def test_distance_of_samples_agrees_with_a_general_matrix_root() -> None:
    from scipy.linalg import sqrtm

    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(300, 6, generator=generator), torch.randn(200, 6, generator=generator) * 2 + 1
    (m1, c1), (m2, c2) = moments(first), moments(second)
    expected = ((m1 - m2) ** 2).sum() + np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real)
    assert evaluate.frechet_distance(first, second) == pytest.approx(float(expected))


def test_singular_covariances_are_no_trouble() -> None:
    flat = torch.zeros(10, 3)
    assert evaluate.frechet_distance(flat, flat + 2) == pytest.approx(12)
    with pytest.raises(UsageError, match="at least two"):
        evaluate.frechet_distance(flat[:1], flat)


def test_features_of_digits_tell_digits_from_noise() -> None:
    digits = data.load("digits")
    assert isinstance(digits, data.SampleData)
    features = evaluate.features(digits)
    assert features.name == "digits classifier features"
    assert features.classify is not None
    assert digits.test_labels is not None
    right = (features.classify(digits.test) == digits.test_labels).double().mean()
    assert float(right) > 0.95
    noise = torch.randint(0, 256, digits.test.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert features.distance(digits.test) < 0.1 * features.distance(noise)


def test_points_are_compared_as_they_are() -> None:
    points = data.load("toy-2d", n=2000)
    assert isinstance(points, data.SampleData)
    features = evaluate.features(points)
    assert features.classify is None
    assert features.distance(points.train) == pytest.approx(0, abs=1e-6)


def test_a_grid_holds_each_image_where_it_belongs() -> None:
    images = torch.arange(3, dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 1, 2, 2) * 100
    picture = np.asarray(evaluate.image_grid(images, columns=2, scale=1, gap=1))
    assert picture.shape == (5, 5)
    assert (picture[:2, :2], picture[:2, 3:], picture[3:, :2]) == (
        pytest.approx(np.zeros((2, 2))),
        pytest.approx(np.full((2, 2), 100)),
        pytest.approx(np.full((2, 2), 200)),
    )
    assert (picture[3:, 3:] == 255).all()
    with pytest.raises(UsageError, match="npy"):
        evaluate.image_grid(torch.zeros(2, 3))


def test_a_report_stands_alone(tmp_path: Path) -> None:
    report = evaluate.Report("A <title>")
    report.heading("One & two")
    report.text("run `renote list`")
    report.table(("a",), [("<b>",)])
    report.picture(Image.new("L", (2, 2)), "black")
    report.save(tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "A &lt;title&gt;" in page
    assert "&lt;b&gt;" in page
    assert "<code>renote list</code>" in page
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_costs_are_where_they_were_measured() -> None:
    rows = [
        {"name": "a", "metric": "accuracy", "mean": 80.0, "std": 2.0, "seconds": 0.0, "peak_memory_mb": 10.0},
        {"name": "b", "metric": "accuracy", "mean": 90.0, "std": 1.0, "seconds": 4.0, "peak_memory_mb": 1000.0},
    ]
    time, memory = evaluate.draw_costs(rows).axes
    assert [panel.get_xscale() for panel in (time, memory)] == ["linear", "log"]
    assert time.get_ylabel() == "accuracy"
    for panel, cost in ((time, "seconds"), (memory, "peak_memory_mb")):
        for row, (line, _, (bar,)) in zip(rows, panel.containers, strict=True):
            assert (line.get_xdata()[0], line.get_ydata()[0]) == (row[cost], row["mean"])
            low, high = bar.get_segments()[0][:, 1]
            assert (low, high) == (row["mean"] - row["std"], row["mean"] + row["std"])
    assert [text.get_text() for text in memory.get_legend().get_texts()] == ["a", "b"]


def test_attention_is_drawn_as_it_is() -> None:
    # 0 attends to 1, 2 and itself, 1 to itself alone
    edges = Adjacency.from_edges([0, 1, 2, 1], [0, 0, 0, 1], 3)
    shares = torch.tensor([[0.5, 0.2], [0.3, 0.2], [0.2, 0.6], [1.0, 1.0]])
    figure = evaluate.draw_attention([(edges, shares)], 0, torch.tensor([0, 1, -1]), ("a", "b"))
    above, below = figure.axes
    # α d is 1.5, 0.9, 0.6, 1 for the first head: each bar is a quarter
    heights = above.patches[0].get_xy()[:, 1]
    assert float(heights.max()) == pytest.approx(0.25)
    assert below.get_title() == "node 0, 2 neighbours, itself 0.35"
    assert [text.get_text() for text in below.texts] == ["0.25", "0.40"]
    assert [line.get_linewidth() for line in below.lines] == pytest.approx([0.3 + 8 * 0.25, 0.3 + 8 * 0.4])
    assert [text.get_text() for text in below.get_legend().get_texts()] == ["unknown", "a", "b"]
    hub = Adjacency.from_edges(range(1, 101), [0] * 100, 101)
    share = torch.arange(1.0, 101.0)[:, None]
    below = evaluate.draw_attention([(hub, share / share.sum())], 0, torch.zeros(101, dtype=torch.long), ("a",)).axes[1]
    assert below.get_title() == "node 0, 100 neighbours, the 60 it attends to most"
    assert len(below.lines) == 60
    assert below.lines[0].get_linewidth() == pytest.approx(0.3 + 8 * 41 / 5050)


def test_one_head_one_neighbour_and_no_edge_are_told() -> None:
    one, none = Adjacency.from_edges([1], [0], 2), Adjacency.from_edges([], [], 2)
    layers = [(one, torch.ones(1, 1)), (none, torch.ones(0, 2))]
    above, empty, below, alone = evaluate.draw_attention(layers, 0, torch.zeros(2, dtype=torch.long), ("a",)).axes
    assert (above.get_title(), empty.get_title()) == ("layer 1, 1 head", "layer 2, 2 heads")
    assert (below.get_title(), alone.get_title()) == ("node 0, 1 neighbour", "node 0, 0 neighbours")
    assert [text.get_text() for text in empty.texts] == ["no edges, so nothing to attend to"]
