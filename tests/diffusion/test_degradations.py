"""Degradations and their process against what is known of them: ends, semigroups, linearity, and algorithm 2's exactness."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renote.diffusion import DegradationProcess, NoiseSource, RestorationModel
from renote.diffusion.process import OPERATORS, Animorph, Blur, Mask, Operator, Pixelate, Snow
from renote.diffusion.restoration import KeptNoise
from renote.errors import UsageError

NAMES = sorted(OPERATORS)
MEANS = ["blur", "pixelate"]
spaces = st.lists(st.integers(1, 9), min_size=1, max_size=3)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def made(name, shape, pictures=None):
    if name == "animorph":
        return Animorph(drawn(5, *shape, seed=1)).double()
    operator = OPERATORS[name](shape[0]).double()
    operator.fit(drawn(30, *shape, seed=2) if pictures is None else pictures)
    return operator


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(channels=st.integers(1, 3), space=spaces, t=st.floats(0, 1))
def test_any_size_begins_as_it_is_and_ends_as_the_prior(name, channels, space, t):
    shape = (channels, *space)
    operator, clean, noise = made(name, shape), drawn(3, *shape), drawn(3, *shape, seed=4)
    assert torch.equal(operator(clean, 0.0, noise), clean)
    between = operator(clean, t, noise)
    assert between.shape == clean.shape
    assert bool(between.isfinite().all())
    last = operator(clean, 1.0, noise)
    if name in MEANS:  # of the data, its mean colour is left
        mean = clean.flatten(2).mean(2).reshape(3, channels, *(1,) * len(space))
        torch.testing.assert_close(last, mean.expand_as(last), rtol=0, atol=1e-9)
    else:  # nothing is
        torch.testing.assert_close(last, operator.end(noise), rtol=0, atol=1e-9)
        torch.testing.assert_close(last, operator(drawn(3, *shape, seed=5), 1.0, noise), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_strengths_of_a_batch_are_those_of_its_samples_alone(name):
    shape = (2, 5, 7)
    operator, clean, noise = made(name, shape), drawn(4, *shape), drawn(4, *shape, seed=4)
    t = torch.tensor([0.0, 0.3, 0.7, 1.0], dtype=torch.float64)
    together = operator(clean, t, noise)
    for i in range(4):
        alone = operator(clean[i : i + 1], float(t[i]), noise[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_every_degradation_is_affine_and_takes_more_and_more(name):
    shape = (1, 8, 8)
    operator, noise = made(name, shape), drawn(2, *shape, seed=4)
    a, b, gone = drawn(2, *shape), drawn(2, *shape, seed=1), []
    for t in (0.1, 0.3, 0.5, 0.7, 0.9, 1.0):
        mixed = operator(0.3 * a + 0.7 * b, t, noise)
        torch.testing.assert_close(mixed, 0.3 * operator(a, t, noise) + 0.7 * operator(b, t, noise))
        left = operator(a, t, noise) - operator(torch.zeros_like(a), t, noise)
        gone.append(float(left.sub(left.mean()).square().sum()))
    assert all(later <= earlier + 1e-9 for earlier, later in itertools.pairwise(gone))
    assert gone[-1] < 0.2 * gone[0]


@settings(max_examples=20, deadline=None)
@given(height=st.integers(2, 12), width=st.integers(2, 12), t=st.floats(0.01, 0.99), s=st.floats(0.01, 0.99))
def test_blurs_compose_as_their_variances_add(height, width, t, s):
    from renote.diffusion.process.heat import dissipate

    operator, clean = Blur(1), drawn(1, 1, height, width)
    size, both = max(height, width), torch.tensor([[t], [s]], dtype=torch.float64)
    twice = operator(operator(clean, t, clean), s, clean)
    once = dissipate(clean, operator.deviation(both, size).square().sum(0).sqrt())
    torch.testing.assert_close(twice, once, rtol=0, atol=1e-10)


def test_a_blur_is_the_gaussian_kernel_over_the_mirrored_picture():
    operator, clean, t = Blur(1), drawn(1, 1, 12), 0.55
    deviation = float(operator.deviation(torch.tensor(t, dtype=torch.float64), 12))
    assert 1 < deviation < 4
    mirrored = torch.cat([clean, clean.flip(2)], 2).repeat(1, 1, 21)[0, 0]
    offset = torch.arange(-120, 121, dtype=torch.float64)
    kernel = torch.exp(-offset.square() / (2 * deviation**2))
    kernel = kernel / kernel.sum()
    expected = torch.stack([(mirrored[240 + i - 120 : 240 + i + 121] * kernel).sum() for i in range(12)])
    torch.testing.assert_close(operator(clean, t, clean)[0, 0], expected, rtol=0, atol=2e-3)


@settings(max_examples=30, deadline=None)
@given(size=st.integers(2, 20), i=st.integers(0, 5), j=st.integers(0, 5))
def test_whole_halvings_are_nested_projections(size, i, j):
    """P_i P_j = P_max(i, j): every block lies in one of each coarser partition, for any size."""
    operator, clean = Pixelate(1), drawn(2, 1, size, 3)
    halvings = (size - 1).bit_length() if size > 3 else 2
    i, j = min(i, halvings), min(j, halvings)
    twice = operator(operator(clean, i / halvings, clean), j / halvings, clean)
    torch.testing.assert_close(twice, operator(clean, max(i, j) / halvings, clean), rtol=0, atol=1e-9)


def test_snow_covers_the_part_that_its_strength_says():
    clean, noise = torch.full((4, 1, 20, 20), -1.0), drawn(4, 1, 20, 20).float()
    for t in (0.2, 0.5, 0.8):
        covered = (Snow(1, edge=1e-6)(clean, t, noise) > -0.99).double().mean((1, 2, 3))
        torch.testing.assert_close(covered, torch.full((4,), t, dtype=torch.float64), rtol=0, atol=0.005)
    # one cover for all channels
    colours = Snow(3)(torch.zeros(2, 3, 6, 6), 0.5, torch.randn(2, 3, 6, 6))
    assert torch.equal(colours[:, 0], colours[:, 2])


def test_a_mask_spreads_from_the_samples_own_point():
    operator, noise = Mask(1), torch.zeros(1, 1, 9, 9)  # Φ(0) = 1/2: the middle
    operator.fit(torch.zeros(2, 1, 9, 9))
    gone = [1 - operator(torch.ones(1, 1, 9, 9), t, noise)[0, 0] for t in (0.1, 0.3, 0.6)]
    for part in gone:
        assert float(part[4, 4]) == pytest.approx(1, abs=1e-6)
        assert bool((part[4, 4:].diff() <= 0).all())
        torch.testing.assert_close(part, part.flip(0).T)
    assert bool((gone[0] <= gone[1]).all())
    assert bool((gone[1] <= gone[2]).all())
    assert not torch.equal(operator(torch.ones(1, 1, 9, 9), 0.3, noise + 1), 1 - gone[1][None, None])


def test_colours_of_the_end_are_those_of_training_pictures():
    mix = torch.tensor([[0.3, 0.0, 0.1], [0.0, 0.2, 0.1], [0.1, 0.0, 0.0]], dtype=torch.float64)
    pictures = (drawn(4000, 3) @ mix.T + torch.tensor([0.1, -0.4, 0.2]))[:, :, None, None].expand(-1, -1, 4, 5)
    for name in ("blur", "pixelate", "mask"):
        colours = made(name, (3, 4, 5), pictures).end(drawn(20_000, 3, 4, 5, seed=7)).flatten(2).mean(2)
        expected = pictures[..., 0, 0]
        torch.testing.assert_close(colours.mean(0), expected.mean(0), rtol=0, atol=0.01)
        torch.testing.assert_close(colours.T.cov(), expected.T.cov(), rtol=0, atol=0.005)
    breaking = Blur(1, asymmetry=0.01)
    breaking.fit(torch.zeros(2, 1, 50, 50))
    assert float(breaking.end(drawn(1, 1, 50, 50)).std()) == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize("operator", [Blur, Pixelate, Mask])
def test_what_was_not_fitted_has_no_prior_until_weights_are_loaded(operator):
    process, source = DegradationProcess(operator(2)), NoiseSource(range(2))
    with pytest.raises(UsageError, match=rf"{operator.__name__} was not fitted.* fit\(clean\)"):
        process.prior((2, 4, 4), source)
    fitted = DegradationProcess(operator(2)).fit(drawn(9, 2, 4, 4))
    process.load_state_dict(fitted.state_dict())
    samples = process.prior((2, 4, 4), source)
    assert bool(samples.isfinite().all())
    assert set(process.state_dict()) == {"operator.mean", "operator.factor"}


def test_a_degradation_with_colours_of_the_data_needs_them():
    with pytest.raises(UsageError, match="Mask was not fitted"):
        Mask(1)(drawn(1, 1, 4, 4), 0.5, drawn(1, 1, 4, 4))
    assert bool(Blur(1)(drawn(1, 1, 4, 4), 0.5, drawn(1, 1, 4, 4)).isfinite().all())


class Line(Operator):
    """x + t e."""

    def degrade(self, clean, strength, noise):
        return clean + strength.reshape(-1, 1, 1) * 3.0 * torch.sin(torch.arange(clean.shape[2]))


@settings(max_examples=25, deadline=None)
@given(t=st.floats(0.05, 1), part=st.floats(0, 0.95), scale=st.floats(-50, 50))
def test_algorithm_2_is_exact_where_degradation_is_linear_in_time_for_any_estimate(t, part, scale):
    process, clean, s = DegradationProcess(Line(1)), drawn(2, 1, 6), t * part
    times = torch.full((2,), t, dtype=torch.float64)
    noisy, wrong = process.corrupt(clean, times, clean), scale * drawn(2, 1, 6, seed=9)
    expected = process.corrupt(clean, times * part, clean)
    torch.testing.assert_close(process.reverse(noisy, wrong, t, s, clean), expected, rtol=0, atol=1e-9)
    naive = process.reverse(noisy, wrong, t, s, clean, algorithm="naive")
    torch.testing.assert_close(naive, process.corrupt(wrong, times * part, clean), rtol=0, atol=1e-9)


def test_algorithm_2_errs_in_proportion_to_the_step_where_algorithm_1_errs_by_all_of_the_estimates_error():
    """For a linear degradation the errors are (D_s - D_t) (x̂ - x) and D_s (x̂ - x): the one falls with t - s, the other stays."""
    clean, wrong = drawn(1, 1, 8, 8), drawn(1, 1, 8, 8, seed=9)
    process = DegradationProcess(Blur(1))
    stays = float(process.operator(wrong - clean, 0.4, clean).norm())
    errors = {"improved": [], "naive": []}
    for step in (0.1, 0.05, 0.025, 0.0125):
        noisy, exact = (process.operator(clean, t, clean) for t in (0.4, 0.4 - step))
        for algorithm, row in errors.items():
            found = process.reverse(noisy, wrong, 0.4, 0.4 - step, clean, algorithm=algorithm)
            row.append(float((found - exact).norm()))
    ratios = [coarse / fine for coarse, fine in zip(errors["improved"], errors["improved"][1:])]
    assert ratios == pytest.approx([2, 2, 2], rel=0.15)
    assert all(error > stays for error in errors["naive"])
    assert errors["improved"][-1] < 0.1 * errors["naive"][-1]


@pytest.mark.parametrize("algorithm", ["improved", "naive"])
@pytest.mark.parametrize("name", NAMES)
def test_with_the_clean_data_known_every_step_is_the_forward_process(name, algorithm):
    shape = (2, 6, 5)
    process = DegradationProcess(made(name, shape), algorithm)
    clean, noise = drawn(3, *shape), drawn(3, *shape, seed=4)
    noisy = process.corrupt(clean, torch.ones(3), noise)
    for t, s in ((1.0, 0.6), (0.6, 0.25), (0.25, 0.0)):
        noisy = process.reverse(noisy, process.target(clean, torch.full((3,), t)), t, s, noise)
        torch.testing.assert_close(noisy, process.operator(clean, s, noise), rtol=0, atol=1e-9)


@pytest.mark.parametrize("strength", [-0.01, 1.01, float("nan"), torch.tensor([0.5, 2.0])])
@pytest.mark.parametrize("name", NAMES)
def test_a_strength_outside_is_refused(name, strength):
    operator, clean = made(name, (1, 4, 4)), drawn(2, 1, 4, 4)
    with pytest.raises(UsageError, match="strength = .*between 0"):
        operator(clean, strength, clean)


def test_what_does_not_fit_is_refused():
    process, clean = DegradationProcess(Blur(1)), drawn(2, 1, 4, 4)
    for call, message in [
        (lambda: process.reverse(clean, clean, 0.4, 0.4, clean), "0 <= s < t"),
        (lambda: process.reverse(clean, clean, 1.4, 0.4, clean), "0 <= s < t"),
        (lambda: process.reverse(clean, clean, 0.4, 0.2), "noise"),
        (lambda: process.reverse(clean, clean, 0.4, 0.2, clean, algorithm="best"), "improved"),
        (lambda: DegradationProcess(Blur(1), "best"), "improved"),
        (lambda: Blur(1)(drawn(2, 3, 4, 4), 0.5, clean), r"\(n, 1, \*space\)"),
        (lambda: Blur(1)(drawn(2, 1), 0.5, clean), "axis of space"),
        (lambda: Animorph(torch.empty(0, 1, 4, 4)), "to blend to"),
        (lambda: Animorph(drawn(3, 1, 5, 4))(clean, 0.5, clean), r"\(1, 5, 4\)"),
        (lambda: KeptNoise(clean).normal((1, 3, 4)), "kept for"),
    ]:
        with pytest.raises(UsageError, match=message):
            call()


class Scale(torch.nn.Module):
    """A network that gives what it sees, scaled."""

    def __init__(self, scale=0.8):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(scale, dtype=torch.float64))

    def forward(self, x, time):
        return self.scale * x


def model(name="mask", shape=(2, 5, 6), **options):
    return RestorationModel(Scale(), DegradationProcess(made(name, shape)), shape, 8, **options)


@pytest.mark.parametrize("name", NAMES)
def test_samples_depend_on_their_own_seed_only(name):
    network = model(name)
    few, many = network.sample(2, seed=5), network.sample(6, seed=3, batch_size=4)
    torch.testing.assert_close(few, many[2:4], rtol=0, atol=1e-9)
    assert network.training
    states = list(network.states(2, steps=4, algorithm="naive"))
    assert [(state.t, state.s) for state in states] == [(1.0, 0.75), (0.75, 0.5), (0.5, 0.25), (0.25, 0.0)]


def test_the_samples_own_noise_is_the_same_over_the_whole_way():
    network, source = model("snow"), NoiseSource(range(3, 5), dtype=torch.float64)
    noise = source.normal((2, 5, 6))
    states = list(network.states(2, seed=3, algorithm="naive"))
    for state in states:
        torch.testing.assert_close(state.noisy, network.process.operator(state.estimate, state.s, noise))


def test_a_perfect_network_restores_what_the_degradation_left():
    class Perfect(Scale):
        def forward(self, x, time):
            return self.clean * (1 + 0 * self.scale)

    for name in NAMES:
        network = RestorationModel(Perfect(), DegradationProcess(made(name, (1, 6, 6))), (1, 6, 6), 5)
        network.network.clean = clean = drawn(4, 1, 6, 6)
        torch.testing.assert_close(network.restored(clean, steps=3), clean, rtol=0, atol=1e-9)
        first = next(network.restorations(clean, seed=2))
        assert first.t == 1.0


def test_the_loss_is_the_mean_error_at_all_times():
    network, clean = model("blur"), drawn(500, 2, 5, 6)
    batch = network.draw(clean, None, torch.Generator().manual_seed(0))
    assert set((8 * batch["time"]).tolist()) == set(range(1, 9))
    noisy = network.process.corrupt(clean, batch["time"], batch["noise"])
    expected = (0.8 * noisy - clean).detach()
    assert float(network(batch).detach()) == pytest.approx(float(expected.abs().mean()), rel=1e-12)
    squared, residual = model("blur", loss="l2"), model("blur", residual=True)
    assert float(squared(batch).detach()) == pytest.approx(float(expected.square().mean()), rel=1e-12)
    assert float(residual(batch).detach()) == pytest.approx(float((noisy + expected).abs().mean()), rel=1e-12)
    network(batch).backward()
    assert float(network.network.scale.grad) != 0
    # the corruption stays in its own precision where the network has half
    single = model("blur").float()
    batch = {key: value.float() for key, value in batch.items()}
    with torch.autocast("cpu", torch.bfloat16):
        assert float(single(batch).detach()) == pytest.approx(float(network(batch).detach()), rel=1e-6)


def test_options_of_the_model_are_checked():
    network, clean = model(), drawn(2, 2, 5, 6)
    for call, message in [
        (lambda: network.states(2, eta=1), "algorithm"),
        (lambda: network.states(2, steps=9), "1 to 8"),
        (lambda: network.states(2, label=1), "without classes"),
        (lambda: network.states(0), "at least one"),
        (lambda: network.restorations(clean[:, :1]), "restores"),
        (lambda: network.bits(clean), "no likelihood"),
        (lambda: network.draw(clean[:, :1], None, torch.Generator()), "takes"),
        (lambda: model(loss="l3"), "l1"),
        (lambda: RestorationModel(Scale(), DegradationProcess(Blur(1)), (1, 4), 0), "at least one step"),
    ]:
        with pytest.raises(UsageError, match=message):
            call()
