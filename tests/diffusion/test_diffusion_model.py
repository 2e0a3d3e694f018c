"""The model: batches, losses and samples."""

import pytest
import torch

from renote.diffusion import DDIM, CosineSchedule, Denoiser, DiffusionModel, GaussianProcess, LinearSchedule
from renote.errors import UsageError

SHAPES = [(5,), (2, 9), (3, 4, 7), (1, 3, 4, 5)]


class Small(torch.nn.Module):
    """Works on each number alone, so that its rounding cannot depend on the batch."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(0.7, dtype=dtype))
        self.drop = torch.nn.Dropout(0.5)
        self.labels, self.modes, self.rows = [], [], []

    def forward(self, x, time, label):
        self.labels.append(label)
        self.modes.append(self.training)
        self.rows.append(len(x))
        each = time / 1000 if label is None else time / 1000 + label
        return self.drop(torch.tanh(self.gain * x + each.reshape(-1, *(1,) * (x.ndim - 1))))


def model(shape=(5,), dtype=torch.float32, schedule=None, parameterization="noise", **options):
    schedule = schedule or CosineSchedule()
    options.setdefault("num_train_steps", 1000)
    return DiffusionModel(
        Denoiser(Small(dtype), schedule, parameterization), GaussianProcess(schedule), shape, **options
    )


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_parts_of_a_batch_weigh_as_the_whole(shape):
    whole = model(shape, torch.float64, num_classes=3, condition_dropout=0.3).eval()
    batch = whole.draw(torch.randn(7, *shape, dtype=torch.float64), torch.arange(7) % 3, generator())
    loss = whole(batch)
    assert loss.shape == ()
    (gradient,) = torch.autograd.grad(loss, list(whole.parameters()))
    total, sloped = 0.0, 0.0
    for start, stop in [(0, 3), (3, 4), (4, 7)]:
        part = whole({key: value[start:stop] for key, value in batch.items()})
        total = total + part * (stop - start) / 7
        sloped = sloped + torch.autograd.grad(part, list(whole.parameters()))[0] * (stop - start) / 7
    torch.testing.assert_close(total, loss, rtol=1e-12, atol=0)
    torch.testing.assert_close(sloped, gradient, rtol=1e-10, atol=0)


def test_a_drawn_batch_is_a_function_of_its_generator():
    whole = model((2, 3), num_classes=4, condition_dropout=0.5)
    clean, label = torch.randn(64, 2, 3), torch.arange(64) % 4
    first, again, other = (whole.draw(clean, label, generator(seed)) for seed in (1, 1, 2))
    assert set(first) == {"clean", "time", "noise", "label"}
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in ("time", "noise", "label"))
    assert torch.equal(first["clean"], clean)


def test_discrete_times_are_all_steps_alike():
    time = model(num_train_steps=4).draw(torch.zeros(8000, 5), None, generator())["time"]
    assert time.dtype == torch.float32
    values, counts = time.unique(return_counts=True)
    assert values.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert bool(((counts - 2000).abs() < 4 * (8000 * 0.25 * 0.75) ** 0.5).all())


def test_continuous_times_are_uniform_above_zero():
    time = model(num_train_steps=None).draw(torch.zeros(8000, 5), None, generator())["time"].double()
    assert float(time.min()) >= 1e-5 * (1 - 1e-6)
    assert float(time.max()) <= 1
    quantiles = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    assert bool(((time.quantile(quantiles) - quantiles).abs() < 4 * 0.5 / 8000**0.5).all())


@pytest.mark.parametrize(("dropout", "expected"), [(0.0, 0), (0.25, 1000), (1.0, 4000)])
def test_classes_are_dropped_as_often_as_asked(dropout, expected):
    label = torch.arange(4000, dtype=torch.uint8) % 10
    drawn = model(num_classes=10, condition_dropout=dropout).draw(torch.zeros(4000, 5), label, generator())["label"]
    assert drawn.dtype == torch.int64
    dropped = drawn == -1
    assert abs(int(dropped.sum()) - expected) <= 4 * (4000 * dropout * (1 - dropout)) ** 0.5
    assert torch.equal(drawn[~dropped], label.long()[~dropped])


def test_networks_without_classes_are_not_told_any():
    plain = model(num_classes=0)
    batch = plain.draw(torch.zeros(3, 5), torch.tensor([0, 1, 2]), generator())
    assert batch["label"].tolist() == [-1, -1, -1]
    plain(batch)
    plain.sample(2, steps=1)
    assert plain.denoiser.network.labels == [None, None]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    ("sampler", "options"),
    [("ancestral", {}), ("ddim", {}), ("ddim", {"eta": 0.5}), ("ancestral", {"variance": "large"})],
)
def test_a_sample_is_a_function_of_its_seed(shape, sampler, options):
    whole = model(shape, num_classes=3)
    label = torch.tensor([0, 1, 2, 0, -1])
    options = {"sampler": sampler, "steps": 6, **options}
    samples = whole.sample(5, seed=10, label=label, **options)
    assert samples.shape == (5, *shape)
    assert torch.equal(whole.sample(5, seed=10, label=label, batch_size=2, **options), samples)
    for i in range(5):
        assert torch.equal(whole.sample(1, seed=10 + i, label=label[i : i + 1], **options)[0], samples[i])
    assert not torch.equal(whole.sample(5, seed=11, label=label, **options), samples)


def test_batches_are_no_larger_than_asked():
    whole = model()
    whole.sample(5, steps=1, batch_size=2)
    assert whole.denoiser.network.rows == [2, 2, 1]


def test_sampling_is_in_evaluation_mode_and_leaves_no_trace():
    whole = model()
    whole.denoiser.network.drop.eval()
    for state in whole.states(2, steps=3):
        assert not state.noisy.requires_grad
        assert torch.is_grad_enabled()
        assert whole.denoiser.network.training
        assert not whole.denoiser.network.drop.training
    assert whole.denoiser.network.modes == [False] * 3
    assert state.step == 2
    assert state.s == 0


def test_clipping_is_for_images_not_for_points():
    image, points = model((1, 2, 2), parameterization="noise"), model((2,))
    for state in image.states(4, sampler="ddim", steps=4):
        assert float(state.estimate.abs().max()) <= 1
    assert max(float(s.estimate.abs().max()) for s in image.states(4, sampler="ddim", steps=4, clip=False)) > 1
    assert max(float(s.estimate.abs().max()) for s in points.states(4, sampler="ddim", steps=4)) > 1
    narrow = model((2,), data_range=(0.0, 0.5))
    assert all(0 <= float(s.estimate.min()) <= float(s.estimate.max()) <= 0.5 for s in narrow.states(4, steps=4))


def test_a_range_bounds_what_a_small_error_does_where_no_data_is_left():
    """At t = 1 the cosine schedule has alpha = 5e-5, and an error of the noise is divided by it."""
    schedule = CosineSchedule()

    class Nearly(torch.nn.Module):
        def forward(self, x, time, label):
            t = time.double() / 1000
            alpha, sigma = (f(t)[:, None] for f in (schedule.alpha, schedule.sigma))
            exact = sigma * x / (0.01 * alpha**2 + sigma**2)  # data N(0, 0.01)
            return (exact + 0.005).to(x.dtype)

    def mean(data_range):
        process = GaussianProcess(schedule)
        whole = DiffusionModel(Denoiser(Nearly(), schedule), process, (2,), 1000, data_range=data_range)
        return abs(float(whole.sample(100, sampler="ddim", steps=25).mean()))

    assert mean(None) > 5 * mean((-1.0, 1.0))
    assert mean((-1.0, 1.0)) < 0.05


def test_guided_samples():
    whole = model((3,), num_classes=3, condition_dropout=0.1)
    options = {"sampler": "ddim", "steps": 4}
    assert torch.equal(
        whole.sample(2, label=1, guidance_scale=1.0, **options), whole.sample(2, label=[1, 1], **options)
    )
    assert torch.equal(whole.sample(2, label=1, guidance_scale=0.0, **options), whole.sample(2, **options))
    assert not torch.equal(whole.sample(2, label=1, guidance_scale=3.0, **options), whole.sample(2, label=1, **options))
    with pytest.raises(UsageError, match="label"):
        whole.states(2, guidance_scale=2.0)


def test_steps_and_samplers_as_objects():
    discrete, continuous = model(num_train_steps=12, schedule=LinearSchedule(12)), model(num_train_steps=None)
    assert len(list(discrete.states(1))) == 12
    assert [s.t for s in continuous.states(1, steps=4)] == [1.0, 0.75, 0.5, 0.25]
    assert [round(12 * s.t) for s in discrete.states(1, steps=4, spacing="leading")] == [10, 7, 4, 1]
    assert torch.equal(
        discrete.sample(2, sampler=DDIM(0.5), steps=3), discrete.sample(2, sampler="ddim", eta=0.5, steps=3)
    )
    assert discrete.sample(2, steps=3).dtype == torch.float32
    assert model(dtype=torch.float64).sample(2, steps=3).dtype == torch.float64


def test_losses_and_samples_are_single_precision_under_bf16():
    schedule = CosineSchedule()

    class Linear(torch.nn.Linear):
        def forward(self, x, time, label):
            return super().forward(x)

    for name in ("noise", "clean", "velocity"):
        whole = DiffusionModel(
            Denoiser(Linear(4, 4), schedule, name), GaussianProcess(schedule), (4,), num_train_steps=1000
        )
        batch = whole.draw(torch.randn(8, 4), None, generator())
        exact = whole(batch)
        with torch.autocast("cpu", torch.bfloat16):
            loss = whole(batch)
            samples = whole.sample(2, steps=3)
        assert loss.dtype == samples.dtype == torch.float32
        loss.backward()
        torch.testing.assert_close(loss, exact, rtol=0.05, atol=0)
        assert whole.denoiser.network.weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    "arguments",
    [
        {"n": 0},
        {"n": 1, "sampler": "ddmi"},
        {"n": 1, "sampler": "ancestral", "eta": 0.5},
        {"n": 1, "sampler": DDIM(), "eta": 0.5},
        {"n": 1, "sampler": "ddim", "eta": 2.0},
        {"n": 1, "steps": 0},
        {"n": 1, "steps": 1001},
        {"n": 1, "spacing": "random"},
        {"n": 1, "label": 3},
        {"n": 1, "label": -2},
        {"n": 2, "label": [0]},
        {"n": 1, "label": torch.tensor([0.5])},
        {"n": 1, "seed": -1},
        {"n": 1, "label": 0, "guidance_scale": -1.0},
    ],
    ids=str,
)
def test_bad_sampling_arguments_are_refused_at_once(arguments):
    with pytest.raises(UsageError):
        model(num_classes=3).states(**arguments)
    with pytest.raises(UsageError):
        model(num_classes=3).sample(**arguments)


def test_other_bad_arguments():
    with pytest.raises(UsageError, match="batch_size"):
        model().sample(1, batch_size=0)
    with pytest.raises(UsageError, match="without classes"):
        model().sample(1, label=0)
    with pytest.raises(UsageError, match="spacing"):
        model(num_train_steps=None).states(1, spacing="quadratic")
    for options in [{"num_train_steps": 0}, {"condition_dropout": 1.5}, {"num_classes": -1}, {"weighting": "heavy"}]:
        with pytest.raises(UsageError):
            model(**options)
    for clean in (torch.zeros(2, 4), torch.zeros(2, 5, dtype=torch.uint8)):
        with pytest.raises(UsageError, match="shape"):
            model().draw(clean, None, generator())
    with pytest.raises(UsageError, match="label"):
        model(num_classes=2).draw(torch.zeros(2, 5), torch.tensor([0, 2]), generator())
