"""The heat process against finite differences, scipy's cosine transform and the moments of its draws."""

import math

import pytest
import scipy.fft
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renote.diffusion import HeatProcess, NoiseSource, RestorationModel
from renote.diffusion.process.heat import along, cosine_basis, dissipate, eigenvalues
from renote.errors import UsageError


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=20, deadline=None)
@given(space=st.lists(st.integers(1, 11), min_size=1, max_size=3))
def test_the_basis_is_scipys_orthonormal_transform_and_its_own_inverse(space):
    x = drawn(2, 3, *space)
    coefficients = x
    for axis, size in enumerate(space, 2):
        coefficients = along(coefficients, axis, cosine_basis(size).T)
    axes = range(2, x.ndim)
    torch.testing.assert_close(coefficients, torch.from_numpy(scipy.fft.dctn(x.numpy(), axes=axes, norm="ortho")))
    back = coefficients
    for axis, size in enumerate(space, 2):
        back = along(back, axis, cosine_basis(size))
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(back, torch.from_numpy(scipy.fft.idctn(coefficients.numpy(), axes=axes, norm="ortho")))


@pytest.mark.parametrize("size", [1, 2, 7, 16, 64])
def test_the_basis_diagonalizes_the_insulated_laplacian(size):
    """Finite differences with Neumann edges have the same vectors, and (2 - 2 cos √λ) for λ, which is λ (1 - λ/12 + …)."""
    dense = 2 * torch.eye(size, dtype=torch.float64)
    dense = dense - torch.diag(torch.ones(size - 1), 1) - torch.diag(torch.ones(size - 1), -1)
    dense[0, 0] -= 1
    dense[-1, -1] -= 1
    basis, values = cosine_basis(size), eigenvalues(size)
    torch.testing.assert_close(dense @ basis, basis * (2 - 2 * values.sqrt().cos()), rtol=0, atol=1e-12)
    exact = torch.linalg.eigvalsh(dense)
    low = values < 0.1
    torch.testing.assert_close(exact[low], values[low], rtol=0.01, atol=1e-9)
    assert int(low.sum()) > size // 11


def test_diffusion_in_small_steps_is_the_closed_form():
    """A smooth picture, explicit Euler steps of the finite-difference heat equation in two dimensions."""
    height, width, time, steps = 24, 18, 6.0, 400
    y, x = torch.meshgrid(torch.arange(height).double() + 0.5, torch.arange(width).double() + 0.5, indexing="ij")
    u = torch.cos(2 * math.pi * y / height) + 0.5 * torch.cos(math.pi * x / width) * torch.cos(math.pi * y / height)
    stepped = u.clone()
    for _ in range(steps):
        padded = torch.nn.functional.pad(stepped[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
        around = padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2]
        stepped = stepped + time / steps * (around - 4 * stepped)
    closed = dissipate(u[None, None], torch.tensor([math.sqrt(2 * time)]))[0, 0]
    torch.testing.assert_close(closed, stepped, rtol=0, atol=3e-3)
    assert float((closed - u).abs().max()) > 0.3


@settings(max_examples=25, deadline=None)
@given(space=st.lists(st.integers(1, 9), min_size=1, max_size=3), a=st.floats(0, 5), b=st.floats(0, 5))
def test_times_of_heat_add(space, a, b):
    u, one, two = drawn(2, 1, *space), torch.full((2,), a), torch.full((2,), b)
    twice = dissipate(dissipate(u, one), two)
    torch.testing.assert_close(twice, dissipate(u, (one**2 + two**2).sqrt()), rtol=0, atol=1e-6)
    # heat is kept, and flows from more to less
    torch.testing.assert_close(twice.flatten(1).mean(1), u.flatten(1).mean(1), rtol=0, atol=1e-9)
    assert float(twice.max()) <= float(u.max()) + 1e-9


def test_the_blur_grows_evenly_in_its_logarithm_from_nothing():
    process = HeatProcess((1, 28, 20), levels=50)
    k = torch.arange(51, dtype=torch.float64)
    blur = process.blur(k / 50)
    assert float(blur[0]) == 0
    assert float(blur[1]) == pytest.approx(0.5)
    assert float(blur[-1]) == pytest.approx(14.0)
    torch.testing.assert_close(blur[1:].log().diff().diff(), torch.zeros(48, dtype=torch.float64), rtol=0, atol=1e-9)
    assert bool((process.blur(torch.linspace(0, 1, 999)).diff() > 0).all())


def test_draws_have_the_moments_of_the_process():
    process, clean = HeatProcess((1, 4, 5), levels=10, noise=0.3), drawn(1, 1, 4, 5)
    many = clean.expand(40_000, -1, -1, -1)
    noise = drawn(40_000, 1, 4, 5, seed=3)
    noisy = process.corrupt(many, torch.full((40_000,), 0.6), noise)
    torch.testing.assert_close(noisy.mean(0), process.mean(clean, torch.tensor([0.6]))[0], rtol=0, atol=0.01)
    assert float(noisy.std(0).mean()) == pytest.approx(0.3, rel=0.01)
    assert torch.equal(process.corrupt(clean, torch.zeros(1), clean), clean)
    # one level back: the estimate's mean, δ = 1.25 σ, or as asked
    estimate = process.target(many, torch.full((40_000,), 0.6))
    torch.testing.assert_close(estimate[:1], process.mean(clean, torch.tensor([0.5])))
    for delta, expected in ((None, 0.375), (0.5, 0.15), (0.0, 0.0)):
        back = process.reverse(noisy, estimate, 0.6, 0.5, noise, delta=delta)
        torch.testing.assert_close(back.mean(0), estimate[0], rtol=0, atol=0.01)
        assert float(back.std(0).mean()) == pytest.approx(expected, rel=0.01)
    assert torch.equal(process.reverse(noisy, estimate, 0.1, 0.0), estimate)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 6, 11), (2, 30), (1, 3, 4, 5)])
def test_the_prior_draws_blurred_training_pictures(shape):
    clean = drawn(7, *shape)
    process = HeatProcess(shape, noise=0.01, pictures=7).double().fit(clean)
    blurred = process.mean(clean, torch.ones(7))
    draws = process.prior(shape, NoiseSource(range(200), dtype=torch.float64))
    distance = (draws[:, None] - blurred).flatten(2).square().mean(2).sqrt()
    nearest = distance.min(1)
    assert float(nearest.values.max()) < 0.03  # the noise and no more
    assert float(nearest.values.mean()) == pytest.approx(0.01, rel=0.1)
    assert len(nearest.indices.unique()) == 7
    # a low-pass picture takes few numbers
    assert process.coefficients[0].numel() <= clean[0].numel()
    assert process.coefficients.shape[0] == 7


def test_what_was_not_fitted_has_no_prior_until_weights_are_loaded():
    process, source = HeatProcess((1, 4, 4), pictures=3), NoiseSource(range(2))
    with pytest.raises(UsageError, match=r"HeatProcess was not fitted.* fit\(clean\)"):
        process.prior((1, 4, 4), source)
    process.load_state_dict(HeatProcess((1, 4, 4), pictures=3).fit(drawn(3, 1, 4, 4)).state_dict())
    assert bool(process.prior((1, 4, 4), source).isfinite().all())
    assert set(process.state_dict()) == {"coefficients"}


def test_what_is_out_of_range_is_refused():
    process, clean = HeatProcess((1, 4, 4)), drawn(2, 1, 4, 4)
    for call, message in [
        (lambda: HeatProcess((4,)), "space"),
        (lambda: HeatProcess((1, 4, 4), blur_min=3.0), "blur_min"),
        (lambda: HeatProcess((1, 4, 4), levels=1), "levels"),
        (lambda: HeatProcess((1, 4, 4), pictures=0), "pictures"),
        (lambda: HeatProcess((1, 4, 4), noise=-1.0), "noise"),
        (lambda: HeatProcess((1, 4, 4), delta=-1.0), "delta"),
        (lambda: process.corrupt(clean, torch.tensor([0.5, 1.5]), clean), "between 0"),
        (lambda: process.reverse(clean, clean, 0.5, 0.5, clean), "0 <= s < t"),
        (lambda: process.reverse(clean, clean, 0.5, 0.25), "noise"),
        (lambda: process.reverse(clean, clean, 0.5, 0.25, clean, delta=-0.1), "delta"),
    ]:
        with pytest.raises(UsageError, match=message):
            call()


class Sharpen(torch.nn.Module):
    """The exact reversal of one level without noise, of which the residual is asked."""

    def __init__(self, process):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.process = [process]

    def forward(self, x, time):
        process, t = self.process[0], time.double() / 1000
        now, before = process.blur(t), process.blur((t - 1 / process.levels).clamp_min(0))
        out = x
        for axis in range(2, x.ndim):
            basis, values = cosine_basis(x.shape[axis]), eigenvalues(x.shape[axis])
            gain = torch.exp((now**2 - before**2)[:, None] / 2 * values)
            out = along(out, axis, (basis * gain[:, None]) @ basis.T)
        return out - x


def test_the_exact_inverse_brings_the_picture_back_level_by_level():
    process = HeatProcess((1, 5, 4), levels=6, noise=0.0, blur_max=1.5)
    model = RestorationModel(Sharpen(process), process, (1, 5, 4), 6, loss="l2", residual=True)
    clean = drawn(3, 1, 5, 4)
    states = list(model.restorations(clean))
    for state in states:
        torch.testing.assert_close(state.noisy, process.mean(clean, torch.full((3,), state.s)), rtol=0, atol=1e-6)
    batch = model.draw(clean, None, torch.Generator().manual_seed(0))
    assert float(model(batch).detach()) < 1e-12
    process.double().fit(clean)
    with pytest.raises(UsageError, match="leave steps out"):
        model.states(2, steps=3)


class Still(torch.nn.Module):
    """A network that leaves pictures as they are."""

    def __init__(self):
        super().__init__()
        self.change = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x, time):
        return self.change.expand_as(x)


def test_samples_depend_on_their_own_seed_and_on_delta():
    process = HeatProcess((1, 5, 4), levels=5, noise=0.1, pictures=4).double().fit(drawn(4, 1, 5, 4))
    model = RestorationModel(Still(), process, (1, 5, 4), 5, residual=True)
    few, many = model.sample(2, seed=5), model.sample(6, seed=3)
    torch.testing.assert_close(few, many[2:4], rtol=0, atol=1e-9)
    torch.testing.assert_close(model.sample(2, seed=5, delta=1.25), few)
    # four of five steps add δ, and all add up where nothing else is done
    start = model.sample(500, delta=0.0)
    for delta in (0.5, 2.0):
        added = float((model.sample(500, delta=delta) - start).std())
        assert added == pytest.approx(math.sqrt(4) * delta * 0.1, rel=0.05)
