"""Noise: a generator a sample, small draws made ahead, and every sample the same in any company."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from renote.diffusion import NoiseSource
from renote.diffusion.noise import MOST_NUMBERS
from renote.errors import UsageError

SMALL, LARGE = [(), (1,), (2,), (3, 5), (1, 8, 8), (0,)], [(1, 28, 28), (3, 32, 32), (513,)]


@given(
    seeds=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5),
    shape=st.sampled_from([(), (3,), (2, 20), (1, 5, 5)]),
)
def test_noise_of_a_sample_depends_on_its_seed_alone(seeds, shape):
    def draws(some, **options):
        source = NoiseSource(some, **options)
        return torch.stack([source.normal(shape) for _ in range(3)], 1)

    together = draws(seeds)
    assert together.shape == (len(seeds), 3, *shape)
    for i, seed in enumerate(seeds):
        assert torch.equal(draws([seed])[0], together[i])
    assert torch.equal(draws(seeds[::-1]), together.flip(0))


def test_noise_is_normal_and_fresh():
    source = NoiseSource(range(50), dtype=torch.float64)
    first = source.normal((400,))
    kept = first.clone()
    second = source.normal((400,))
    assert torch.equal(first, kept)
    both = torch.cat([first, second])
    assert both.dtype == torch.float64
    assert abs(float(both.mean())) < 4 / both.numel() ** 0.5
    assert abs(float(both.var()) - 1) < 4 * (2 / both.numel()) ** 0.5
    # no two samples and no two draws share numbers
    assert both.unique().numel() == both.numel()


def test_noise_into_given_memory_is_the_same_noise():
    plain, reuse = NoiseSource([3, 4]), NoiseSource([3, 4])
    out = torch.empty(2, 6)
    for _ in range(2):
        assert reuse.normal((6,), out=out) is out
        assert torch.equal(out, plain.normal((6,)))
    wide = torch.empty(2, 6, dtype=torch.float64)
    assert torch.equal(reuse.normal((6,), out=wide), plain.normal((6,)).double())


def test_bad_seeds():
    for seed in (-1, 2**63):
        with pytest.raises(UsageError, match="seed"):
            NoiseSource([seed])


@given(
    shapes=st.lists(st.sampled_from(SMALL + LARGE), min_size=1, max_size=150),
    cut=st.integers(1, 4),
    into=st.booleans(),
)
def test_chunks_and_mixed_shapes_change_no_sample(shapes, cut, into):
    def draws(seeds):
        source = NoiseSource(seeds)
        return [source.normal(s, torch.empty(len(seeds), *s) if into else None) for s in shapes]

    whole, parts = draws(range(5)), [draws(range(cut)), draws(range(cut, 5))]
    for i, shape in enumerate(shapes):
        assert whole[i].shape == (5, *shape)
        assert torch.equal(whole[i], torch.cat([part[i] for part in parts]))


def test_draws_made_ahead_are_fresh_independent_and_the_callers_own():
    """Over several refills and a change of shape: no number comes twice, and what a caller does to a draw stays with it."""
    source, kept = NoiseSource(range(40), dtype=torch.float64), []
    for step in range(300):
        kept.append(source.normal((2,) if step % 3 else (1, 4, 4)))
        untouched = kept[-1].clone()
        source.normal((2,)).zero_()
        assert torch.equal(kept[-1], untouched)
    numbers = torch.cat([draw.flatten(1) for draw in kept], 1)
    assert numbers.unique().numel() == numbers.numel()
    count = numbers.shape[1]
    assert float(numbers.mean(1).abs().max()) < 5 / count**0.5
    assert float((numbers.var(1) - 1).abs().max()) < 5 * (2 / count) ** 0.5
    between = torch.corrcoef(numbers) - torch.eye(40, dtype=torch.float64)
    assert float(between.abs().max()) < 5 / count**0.5
    # neighbours in time, and quantiles against the normal distribution's
    after = (numbers[:, 1:] * numbers[:, :-1]).mean()
    assert abs(float(after)) < 5 / numbers.numel() ** 0.5
    ranks = torch.special.ndtr(numbers.flatten()).sort().values
    even = (torch.arange(len(ranks), dtype=torch.float64) + 0.5) / len(ranks)
    assert float((ranks - even).abs().max()) < 2 / len(ranks) ** 0.5  # Kolmogorov-Smirnov, p < 1e-3


@pytest.mark.parametrize("shape", LARGE)
def test_large_draws_come_from_the_generator_as_they_are(shape):
    source, generator = NoiseSource([7]), torch.Generator().manual_seed(7)
    for _ in range(3):
        assert torch.equal(source.normal(shape)[0], torch.empty(shape).normal_(generator=generator))


@pytest.mark.parametrize("shape", SMALL)
def test_memory_ahead_is_bounded(shape):
    source = NoiseSource(range(3))
    for _ in range(200):
        source.normal(shape)
    assert source._ahead.shape[1] <= MOST_NUMBERS
    assert source._ahead.shape[1] <= 64 * torch.Size(shape).numel()


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8), (1, 28, 28)])
def test_out_of_any_layout_is_overwritten(shape):
    plain, reuse = NoiseSource([3, 4]), NoiseSource([3, 4])
    strided = torch.empty(2, *shape, 2)[..., 0]
    for _ in range(70):
        assert reuse.normal(shape, out=strided) is strided
        assert torch.equal(strided, plain.normal(shape))
