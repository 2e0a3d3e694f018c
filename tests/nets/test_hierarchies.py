"""Latents in levels: closed forms of their distributions, the formulas of their networks, singular values."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal as TorchNormal
from torch.distributions import kl_divergence
from torch.nn import functional

from renote.errors import UsageError
from renote.nets.cells import RESIDUAL_SCALE, DownCell, SqueezeExcitation, UpCell
from renote.nets.deep import DeepHierarchy
from renote.nets.ladder import Ladder
from renote.nets.latent import Normal, divergence, merge, residual
from renote.nets.spectral import SpectralNorms


def normals(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        Normal(*(torch.randn(5, 4, generator=generator, dtype=torch.float64) for _ in range(2))) for _ in range(count)
    ]


def theirs(normal):
    return TorchNormal(normal.mean, normal.log_std.exp())


def awake(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        for norm in module.modules():
            if isinstance(norm, nn.modules.batchnorm._BatchNorm):
                norm.running_mean.normal_(generator=generator)
                norm.running_var.uniform_(0.5, 2.0, generator=generator)
    return module


def test_densities_and_divergences_are_torchs():
    q, p = normals(2)
    z = torch.randn(5, 4, dtype=torch.float64)
    torch.testing.assert_close(q.log_density(z), theirs(q).log_prob(z))
    torch.testing.assert_close(divergence(q, p), kl_divergence(theirs(q), theirs(p)))
    assert float(divergence(q, q).abs().max()) == 0


def test_a_small_divergence_keeps_its_digits():
    p = Normal(torch.zeros(1), torch.zeros(1))
    q = Normal(torch.full((1,), 1e-4), torch.full((1,), 1e-4))
    # Δ²/2 + Δlogσ² to first order
    assert float(divergence(q, p)) == pytest.approx(1.5e-8, rel=1e-2)


def test_the_divergence_of_a_residual_is_the_papers_formula():
    prior, moves = normals(2)
    q = residual(prior, moves.mean, moves.log_std)
    direct = Normal(prior.mean + moves.mean, torch.log(prior.log_std.exp() * moves.log_std.exp()))
    torch.testing.assert_close(q, direct)
    shift, scale, std = moves.mean, moves.log_std.exp(), prior.log_std.exp()
    torch.testing.assert_close(
        divergence(q, prior), 0.5 * (shift**2 / std**2 + scale**2 - (scale**2).log() - 1)
    )  # equation 2
    noise = torch.randn(5, 4, dtype=torch.float64)
    torch.testing.assert_close(q.draw(noise), prior.draw(scale * noise) + shift)


def test_a_merge_is_the_product_of_both_densities():
    a, b = (
        Normal(torch.tensor([m], dtype=torch.float64), torch.tensor([s], dtype=torch.float64))
        for m, s in ((0.7, -0.3), (-1.1, 0.4))
    )
    merged = merge(a, b)
    z = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    weight = torch.exp(a.log_density(z) + b.log_density(z))
    weight = weight / weight.sum()
    mean = (weight * z).sum()
    assert float(merged.mean) == pytest.approx(float(mean), abs=1e-9)
    assert float(merged.log_std.exp() ** 2) == pytest.approx(float((weight * (z - mean) ** 2).sum()), abs=1e-9)
    q, p = normals(2)
    vq, vp = (torch.exp(2 * n.log_std) for n in (q, p))
    torch.testing.assert_close(merge(q, p).mean, (q.mean / vq + p.mean / vp) / (1 / vq + 1 / vp))
    torch.testing.assert_close(torch.exp(2 * merge(q, p).log_std), 1 / (1 / vq + 1 / vp))
    torch.testing.assert_close(merge(q, p), merge(p, q))
    unsure = Normal(q.mean, torch.full_like(q.mean, 30.0))
    torch.testing.assert_close(merge(unsure, p), p)


def ladder(**options):
    torch.manual_seed(0)
    return awake(Ladder(6, 5, latents=(4, 3, 2), hidden=(9, 8, 7), **options)).double()


def noise_for(network, n, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, *shape, generator=generator, dtype=torch.float64) for shape in network.shapes]


def test_a_ladder_goes_up_then_down_and_merges():
    network = ladder().eval()
    x, noise = torch.randn(3, 6, dtype=torch.float64), noise_for(network, 3)
    out, levels = network.infer(x, noise)
    assert network.top_down
    assert [level.z.shape[1] for level in levels] == [2, 3, 4]
    d = [x]
    for up in network.up:
        d.append(up(d[-1]))
    seen = [head(features) for head, features in zip(network.posterior, d[1:])]
    torch.testing.assert_close(levels[0].posterior, seen[2])
    for i, level, above in ((1, levels[1], levels[0]), (0, levels[2], levels[1])):
        torch.testing.assert_close(level.prior, network.prior[i](network.down[i](above.z)))
        torch.testing.assert_close(level.posterior, merge(seen[i], level.prior))
    for level, fresh in zip(levels, noise):
        torch.testing.assert_close(level.z, level.posterior.draw(fresh))
    torch.testing.assert_close(out, network.decoder(levels[-1].z))
    head = network.posterior[0]
    torch.testing.assert_close(torch.exp(2 * seen[0].log_std), functional.softplus(head.variance(d[1])) + 1e-4)


def test_without_the_ladder_each_level_sees_only_the_one_below():
    network = ladder(ladder=False).eval()
    x, noise = torch.randn(3, 6, dtype=torch.float64), noise_for(network, 3)
    out, levels = network.infer(x, noise)
    assert not network.top_down
    below = x
    for up, head, level, fresh in zip(network.up, network.posterior, reversed(levels), reversed(noise)):
        torch.testing.assert_close(level.posterior, head(up(below)))
        torch.testing.assert_close(level.z, level.posterior.draw(fresh))
        below = level.z
    torch.testing.assert_close(levels[1].prior, network.prior[1](network.down[1](levels[0].z)))
    torch.testing.assert_close(out, network.decoder(levels[-1].z))


def deep(shape=(2, 7, 10), **options):
    torch.manual_seed(0)
    sizes = {"levels": (1, 2), "latents": 3, "channels": 4, "multipliers": (1, 2, 2), "cells": 1, "expansion": 2}
    return awake(DeepHierarchy(shape, 5, **{**sizes, **options})).double()


@pytest.mark.parametrize("make", [ladder, lambda: ladder(ladder=False), deep])
def test_the_prior_draws_what_inference_would_take_its_place(make):
    """Given noises that put z where q had put it, generation ends at the same numbers."""
    network = make().eval()
    shape = (3, 6) if isinstance(network, Ladder) else (3, 2, 7, 10)
    out, levels = network.infer(torch.randn(shape, dtype=torch.float64), noise_for(network, 3))
    standard = [(level.z - level.prior.mean) * torch.exp(-level.prior.log_std) for level in levels]
    torch.testing.assert_close(network.generate(standard), out)
    means = [*standard[:1], *(torch.zeros_like(noise) for noise in standard[1:])]
    torch.testing.assert_close(network.generate(standard[:1]), network.generate(means))


@pytest.mark.parametrize("make", [ladder, lambda: ladder(ladder=False), deep])
def test_a_batch_is_a_loop_over_samples_and_every_weight_learns(make):
    network = make().eval()
    shape = (4, 6) if isinstance(network, Ladder) else (4, 2, 7, 10)
    x, noise = torch.randn(shape, dtype=torch.float64), noise_for(network, 4)
    out, levels = network.infer(x, noise)
    for i in range(4):
        single, alone = network.infer(x[i : i + 1], [fresh[i : i + 1] for fresh in noise])
        torch.testing.assert_close(single, out[i : i + 1])
        torch.testing.assert_close(alone[-1].z, levels[-1].z[i : i + 1])
    network.train()
    out, levels = network.infer(x, noise)
    (out.square().sum() + sum(divergence(level.posterior, level.prior).sum() for level in levels)).backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]


@pytest.mark.parametrize("shape", [(3, 5, 9), (1, 8, 8), (2, 13), (1, 3, 4, 5), (6,), (1, 1, 1)])
def test_a_deep_hierarchy_takes_any_size_and_one_to_three_dimensions(shape):
    network = deep(shape).eval()
    space = shape[1:] or (1,)
    halved = tuple((s + 1) // 2 for s in space)
    coarse = tuple((s + 1) // 2 for s in halved)
    assert network.shapes == ((3, *coarse), (3, *halved), (3, *halved))
    out, levels = network.infer(torch.randn(2, *shape, dtype=torch.float64), noise_for(network, 2))
    assert out.shape == (2, 5, *space)
    assert tuple(level.z.shape[1:] for level in levels) == network.shapes


def test_a_deep_hierarchys_posterior_is_its_prior_moved():
    network = deep().eval()
    x, noise = torch.randn(3, 2, 7, 10, dtype=torch.float64), noise_for(network, 3)
    _, levels = network.infer(x, noise)
    features, h = network._features(x), network.top.expand(3, *network.top.shape)
    for i, level in enumerate(levels):
        if i:
            if i == 1:
                h = network._grown(h, network.where[1])
            h = network.cells[i - 1](h)
            mean, log_std = (5 * torch.tanh(v / 5) for v in network.prior[i - 1](functional.elu(h)).chunk(2, 1))
            torch.testing.assert_close(level.prior, Normal(mean, log_std))
            raw = network.posterior[i](features[i] + network.context[i - 1](h))
        else:
            assert not level.prior.mean.any()
            raw = network.posterior[0](functional.elu(features[0]))
        shift, log_scale = (5 * torch.tanh(v / 5) for v in raw.chunk(2, 1))
        torch.testing.assert_close(level.posterior, residual(level.prior, shift, log_scale))
        h = network.take[i](torch.cat([h, level.z], 1))


def test_cells_are_their_formulas():
    x = torch.randn(2, 4, 6, 5, dtype=torch.float64)
    up, down = (awake(cell).double().eval() for cell in (UpCell(2, 4), DownCell(2, 4, 3)))
    norm1, _, conv1, norm2, _, conv2, excite = up.inner
    inner = excite(conv2(functional.silu(norm2(conv1(functional.silu(norm1(x)))))))
    torch.testing.assert_close(up(x), x + RESIDUAL_SCALE * inner)
    pooled = x.mean((2, 3))
    gate = torch.sigmoid(excite.excite(torch.relu(excite.squeeze(pooled))))
    torch.testing.assert_close(excite(x), x * gate[:, :, None, None])
    assert isinstance(down.inner[-1], SqueezeExcitation)
    depthwise = down.inner[4]
    assert depthwise.groups == 12
    wide = torch.randn(2, 12, 6, 5, dtype=torch.float64)
    each = [
        functional.conv2d(wide[:, c : c + 1], depthwise.weight[c : c + 1], depthwise.bias[c : c + 1], padding=2)
        for c in range(12)
    ]
    torch.testing.assert_close(depthwise(wide), torch.cat(each, 1))


def test_power_iteration_finds_the_largest_singular_values():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 5, 3), nn.Conv2d(3, 5, 3), nn.Linear(7, 4), nn.Conv1d(6, 6, 5, groups=6)]
    norms = SpectralNorms(layers, iterations=2).double()
    for layer in layers:
        layer.double()
    for _ in range(300):
        found = norms()
    exact = torch.stack([torch.linalg.svdvals(layer.weight.flatten(1))[0] for layer in layers])
    torch.testing.assert_close(found, exact, rtol=1e-8, atol=0)
    found.sum().backward()
    for layer in layers:
        left, _, right = torch.linalg.svd(layer.weight.detach().flatten(1))
        expected = torch.outer(left[:, 0], right[0]).reshape(layer.weight.shape)
        torch.testing.assert_close(layer.weight.grad, expected, rtol=1e-4, atol=1e-5)


def test_power_iteration_goes_on_once_a_step():
    torch.manual_seed(0)
    norms = SpectralNorms([nn.Linear(9, 8)], iterations=1)
    first, again = norms(0), norms(0)
    assert torch.equal(first, again)
    assert not torch.equal(norms(1), first)
    assert float(norms(2)) > float(first)  # towards the largest from below
    assert not [name for name, _ in norms.named_parameters()]  # the layers stay their owner's


def test_the_penalty_holds_all_convolutions_and_gains():
    network = deep()
    for _ in range(60):
        found = network.penalty()
    exact = sum(torch.linalg.svdvals(m.weight.flatten(1))[0] for m in network.modules() if isinstance(m, nn.Conv2d))
    exact = exact + sum(m.weight.abs().max() for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    torch.testing.assert_close(found, exact, rtol=1e-3, atol=0)


def test_bf16_is_close_to_fp32():
    network = deep((1, 8, 8)).float().eval()
    x, noise = torch.randn(2, 1, 8, 8), [fresh.float() for fresh in noise_for(network, 2)]
    exact, _ = network.infer(x, noise)
    with torch.autocast("cpu", torch.bfloat16):
        low, rough = network.infer(x, noise)
    assert rough[-1].posterior.mean.dtype == torch.float32
    assert float((low.float() - exact).square().mean().sqrt() / exact.square().mean().sqrt()) < 0.05


def test_wrong_sizes_are_named():
    for call, message in (
        (lambda: Ladder(4, 4, latents=(3, 2), hidden=(5,)), "its two sizes"),
        (lambda: Ladder(4, 4, latents=(), hidden=()), "its two sizes"),
        (lambda: ladder().infer(torch.zeros(2, 5), []), "6 numbers"),
        (lambda: ladder().infer(torch.zeros(1, 6), []), "raise batch_size"),
        (lambda: deep(levels=(1, 1, 1, 1)), "needs 4 resolutions"),
        (lambda: deep(levels=()), "levels = 0"),
        (lambda: deep(latents=0), "latents = 0"),
        (lambda: deep((1, 2, 3, 4, 5)), "1 to 3 dimensions"),
        (lambda: deep().infer(torch.zeros(2, 2, 7, 9), []), r"\(n, 2, 7, 10\)"),
    ):
        with pytest.raises(UsageError, match=message):
            call()


def test_the_log_density_integrates_to_one():
    z = torch.linspace(-20, 20, 100_001, dtype=torch.float64)
    normal = Normal(torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64))
    assert float(normal.log_density(z).exp().sum()) * 40 / 100_000 == pytest.approx(1, abs=1e-9)
    assert math.isfinite(float(normal.log_density(z[0])))
