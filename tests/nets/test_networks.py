"""Networks: shapes, symmetries of batches, formulas of their parts, precision."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from renote import nets
from renote.errors import UsageError
from renote.nets import (
    FourierInput,
    GroupNorm,
    LabelEmbedding,
    PointNetwork,
    ResidualBlock,
    SelfAttention,
    UNet,
    fourier_features,
    sinusoidal,
)


def awake(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with weights that are nowhere zero: fresh ones hide what is behind a zero layer."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module


def unet(dims: int = 2, channels: int = 3, classes: int = 0, resample_blocks: bool = False) -> UNet:
    network = UNet(
        channels,
        channels,
        dims,
        channels=8,
        multipliers=(1, 2),
        blocks=1,
        attention=(2,),
        num_classes=classes,
        resample_blocks=resample_blocks,
    )
    awake(network)
    return network.eval()


@settings(max_examples=25)
@given(dims=st.integers(1, 3), data=st.data(), resample_blocks=st.booleans())
def test_any_size_comes_back_as_it_was(dims: int, data: st.DataObject, resample_blocks: bool) -> None:
    size = data.draw(st.lists(st.integers(1, 9), min_size=dims, max_size=dims))
    x = torch.randn(2, 3, *size)
    assert unet(dims, resample_blocks=resample_blocks)(x, torch.tensor([1.0, 500.0])).shape == x.shape


def test_a_batch_is_a_loop_over_samples() -> None:
    network, x = unet(classes=4), torch.randn(5, 3, 7, 10)
    time, label = torch.linspace(0, 999, 5), torch.tensor([0, 3, -1, 2, 1])
    looped = torch.cat([network(x[i : i + 1], time[i : i + 1], label[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(network(x, time, label), looped, rtol=1e-4, atol=1e-5)


def test_time_and_class_matter_and_no_class_is_no_class() -> None:
    network, x = unet(classes=4), torch.randn(1, 3, 8, 8)
    zero, late = torch.tensor([0.0]), torch.tensor([900.0])
    none = network(x, zero, torch.tensor([-1]))
    torch.testing.assert_close(none, network(x, zero, None))
    assert not torch.allclose(none, network(x, late, None), atol=1e-3)
    assert not torch.allclose(none, network(x, zero, torch.tensor([2])), atol=1e-3)


def test_fresh_networks_give_zero_and_every_weight_gets_a_gradient() -> None:
    network = UNet(1, 1, channels=8, multipliers=(1, 2), blocks=1, attention=(2,), num_classes=3)
    x, time, label = torch.randn(2, 1, 8, 8), torch.tensor([3.0, 700.0]), torch.tensor([0, 2])
    assert torch.equal(network(x, time, label), torch.zeros_like(x))
    awake(network)
    network(x, time, label).square().sum().backward()
    without = [
        name for name, parameter in network.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert not without


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_group_norm_is_torchs(dims: int) -> None:
    norm = GroupNorm(12).double()
    awake(norm)
    x = torch.randn(3, 12, *[4] * dims, dtype=torch.float64, requires_grad=True)
    expected = nn.functional.group_norm(x, norm.groups, norm.weight, norm.bias, norm.eps)
    torch.testing.assert_close(norm(x), expected)
    assert norm.groups == 3
    assert torch.autograd.gradcheck(norm, (x[:1, :, ...].detach().requires_grad_(),))


def test_group_norm_keeps_its_statistics_in_single_precision() -> None:
    norm, x = GroupNorm(8), torch.randn(2, 8, 16, 16) * 0.01 + 100.0
    low = norm(x.bfloat16())
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), norm(x.bfloat16().float()), rtol=2e-2, atol=2e-2)


def test_attention_is_its_formula() -> None:
    layer = awake(SelfAttention(8, head_channels=4)).double()
    assert isinstance(layer, SelfAttention)
    assert layer.heads == 2
    x = torch.randn(2, 8, 3, 2, dtype=torch.float64)
    places = layer.norm(x).flatten(2).transpose(1, 2)
    query, key, value = layer.qkv(places).chunk(3, -1)
    mixed = []
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        scores = query[..., part] @ key[..., part].transpose(1, 2) / math.sqrt(4)
        mixed.append(scores.softmax(-1) @ value[..., part])
    expected = x + layer.out(torch.cat(mixed, -1)).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(layer(x), expected)


def test_attention_sees_places_as_a_set() -> None:
    layer = awake(SelfAttention(8)).double()
    x = torch.randn(1, 8, 5, dtype=torch.float64)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(layer(x[..., order]), layer(x)[..., order])


@pytest.mark.parametrize("resolution", ["same", "down", "up"])
def test_residual_block_is_diffusers(resolution: str) -> None:  # the same block on copied weights
    resnet = pytest.importorskip("diffusers.models.resnet")
    ours = awake(ResidualBlock(2, 8, 16, condition=12, resolution=resolution)).eval()  # type: ignore[arg-type]
    assert isinstance(ours, ResidualBlock)
    groups = ours.norm1.groups
    theirs = resnet.ResnetBlock2D(
        in_channels=8, out_channels=16, temb_channels=12, groups=groups, groups_out=ours.norm2.groups,
        eps=1e-5, time_embedding_norm="scale_shift", up=resolution == "up", down=resolution == "down",
    )  # fmt: skip
    pairs = {
        "norm1": ours.norm1,
        "conv1": ours.conv1,
        "time_emb_proj": ours.modulation,
        "norm2": ours.norm2,
        "conv2": ours.conv2,
    }
    pairs["conv_shortcut"] = ours.skip  # type: ignore[assignment]
    for name, mine in pairs.items():
        getattr(theirs, name).load_state_dict(mine.state_dict())
    x, condition = torch.randn(2, 8, 6, 6), torch.randn(2, 12)
    # theirs applies silu to the embedding itself, ours is given it applied once for all blocks
    torch.testing.assert_close(ours(x, nn.functional.silu(condition)), theirs(x, condition), rtol=1e-4, atol=1e-5)


def test_embedding_of_time_is_its_formula() -> None:
    value = torch.tensor([0.0, 1.0, 250.0])
    out = sinusoidal(value, 6)
    for n, v in enumerate(value.tolist()):
        for i in range(3):
            frequency = 10_000 ** (-2 * i / 6)
            assert float(out[n, i]) == pytest.approx(math.cos(v * frequency), abs=2e-4)
            assert float(out[n, 3 + i]) == pytest.approx(math.sin(v * frequency), abs=2e-4)


def test_bf16_is_close_to_fp32() -> None:
    network, x, time = unet(), torch.randn(2, 3, 16, 16), torch.tensor([10.0, 600.0])
    exact = network(x, time)
    with torch.autocast("cpu", torch.bfloat16):
        low = network(x, time)
    error = (low.float() - exact).detach().square().mean().sqrt() / exact.square().mean().sqrt()
    assert float(error.detach()) < 0.03


def test_dropout_is_for_training_alone() -> None:
    network = UNet(1, 1, channels=8, multipliers=(1,), blocks=1, attention=(), dropout=0.5)
    awake(network)
    x, time = torch.randn(1, 1, 4, 4), torch.tensor([5.0])
    assert not torch.equal(network(x, time), network(x, time))
    network.eval()
    assert torch.equal(network(x, time), network(x, time))


def test_a_network_for_points() -> None:
    network = awake(PointNetwork(2, hidden=16, layers=2, num_classes=3))
    x, time, label = torch.randn(4, 2), torch.rand(4) * 1000, torch.tensor([0, 1, 2, -1])
    out = network(x, time, label)
    torch.testing.assert_close(
        torch.cat([network(x[i : i + 1], time[i : i + 1], label[i : i + 1]) for i in range(4)]), out
    )
    torch.testing.assert_close(network(x, time, torch.full((4,), -1)), network(x, time))


@pytest.mark.parametrize("shape", [(3, 2), (3, 2, 5), (3, 2, 4, 4)])
def test_fourier_features_are_their_formula(shape: tuple[int, ...]) -> None:
    x = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = fourier_features(x, (3, 7)).unflatten(1, (5, 2))
    expected = [x, *(f(2**n * math.pi * x) for n in (3, 7) for f in (torch.sin, torch.cos))]
    torch.testing.assert_close(found, torch.stack(expected, 1), rtol=0, atol=1e-12)
    low = fourier_features(x.bfloat16(), (7,))
    assert low.dtype == torch.bfloat16
    # the angle is that of the rounded value, not a rounded angle
    exact = torch.cos(2**7 * math.pi * x.bfloat16().double())
    torch.testing.assert_close(low.unflatten(1, (3, 2))[:, 2].double(), exact, rtol=0, atol=0.01)


@pytest.mark.parametrize(("exponents", "gap"), [((7, 8), 2 / 256), ((3, 4), 2 / 16)])
def test_fourier_features_show_the_last_digit(exponents: tuple[int, int], gap: float) -> None:
    """Neighbours differ by half a turn in the first exponent, and by none in the second."""
    values = (torch.arange(-8, 9).double() * gap)[:, None]
    _, sine, cosine, last_sine, last_cosine = fourier_features(values, exponents).T
    parity = torch.where(torch.arange(-8, 9) % 2 == 0, 1.0, -1.0).double()
    torch.testing.assert_close(cosine, parity)
    torch.testing.assert_close(last_cosine, torch.ones(17).double())
    torch.testing.assert_close(torch.stack([sine, last_sine]), torch.zeros(2, 17).double(), rtol=0, atol=1e-9)


def test_a_network_of_fourier_features_is_given_them() -> None:
    inner = awake(UNet(5, 1, channels=8, multipliers=(1,), blocks=1, attention=()))
    x, time = torch.rand(2, 1, 4, 4), torch.tensor([5.0, 7.0])
    expected = inner(fourier_features(x, (3, 4)), time)
    torch.testing.assert_close(FourierInput(inner, (3, 4))(x, time), expected)
    points = awake(PointNetwork(2, 8, inputs=3))
    assert FourierInput(points, (1,))(torch.rand(4, 2), torch.rand(4)).shape == (4, 2)


def test_wrong_inputs_are_named() -> None:
    time = torch.tensor([1.0])
    for call, message in (
        (lambda: UNet(1, 1, dims=4), "dims = 4"),
        (lambda: UNet(1, 1, multipliers=()), "multipliers"),
        (lambda: unet()(torch.zeros(1, 3, 8), time), "height, width"),
        (lambda: unet()(torch.zeros(1, 1, 8, 8), time), r"\(n, 3"),
        (lambda: LabelEmbedding(3, 4)(torch.tensor([3])), "label = 3"),
        (lambda: PointNetwork(2)(torch.zeros(1, 3), time), r"\(n, 2\)"),
        (lambda: PointNetwork(2, inputs=3)(torch.zeros(1, 2), time), r"\(n, 6\)"),
        (lambda: PointNetwork(2, inputs=0), "inputs = 0"),
        (lambda: FourierInput(PointNetwork(2), ()), "exponents"),
    ):
        with pytest.raises(UsageError, match=message):
            call()


def test_a_memory_format_changes_nothing() -> None:
    network, x, time = unet(), torch.randn(2, 3, 8, 8), torch.tensor([1.0, 2.0])
    last: Tensor = network(x.to(memory_format=torch.channels_last), time)
    torch.testing.assert_close(last, network(x, time))


def test_a_layer_that_normalizes_before_is_pytorchs() -> None:
    torch.manual_seed(0)
    ours = nets.TransformerLayer(12, 3, 20, 0.0, 0.0, before=True)
    theirs = torch.nn.TransformerEncoderLayer(12, 3, 20, 0.0, "gelu", batch_first=True, norm_first=True)
    copied = {
        "self_attn.in_proj_weight": ours.qkv.weight,
        "self_attn.in_proj_bias": ours.qkv.bias,
        "self_attn.out_proj.weight": ours.out.weight,
        "self_attn.out_proj.bias": ours.out.bias,
        "linear1.weight": ours.first.weight,
        "linear1.bias": ours.first.bias,
        "linear2.weight": ours.second.weight,
        "linear2.bias": ours.second.bias,
    }
    for mine, other in ((ours.attended, "norm1"), (ours.fed, "norm2")):
        torch.nn.init.normal_(mine.weight)
        torch.nn.init.normal_(mine.bias)
        copied |= {f"{other}.weight": mine.weight, f"{other}.bias": mine.bias}
    theirs.load_state_dict(copied)
    x, there = torch.randn(2, 5, 12), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 1, 0]]).bool()
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)
    masked = theirs(x, src_key_padding_mask=~there)
    torch.testing.assert_close(ours(x, there), masked, rtol=1e-5, atol=1e-5)


def test_a_sequence_transformer_sees_order_neighbours_and_time() -> None:
    torch.manual_seed(0)
    network = nets.SequenceTransformer(6, 5, 4, width=8, layers=1, heads=2, reach=2)
    torch.nn.init.normal_(network.last.weight)
    x, time = torch.tensor([[0, 1, 2, 3, 4, 0]]), torch.tensor([10.0])
    out = network(x, time)
    assert out.shape == (1, 6, 4)
    for other, when in ((x.flip(1), time), (x, time + 500)):
        assert not torch.allclose(network(other, when), out, atol=1e-3)
    for arguments in ((6, 5, 4, 0), (6, 5, 4, 8, 0), (0, 5, 4), (6, 5, 4, 8, 1, 3), (6, 5, 4, 8, 1, 2, 0.0, -1)):
        with pytest.raises(UsageError):
            nets.SequenceTransformer(*arguments)
