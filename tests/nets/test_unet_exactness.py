"""The U-Net's shortcuts against the plain formulas, its limits, and what it says to wrong input."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from renote.errors import UsageError
from renote.nets import LabelEmbedding, PointNetwork, SelfAttention, UNet, sinusoidal
from renote.nets.unet import CONVOLUTIONS
from renote.nets.upsample import grow


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_growing_is_doubling_then_convolution_with_its_gradients(dims: int, bias: bool) -> None:
    torch.manual_seed(dims)
    convolution = CONVOLUTIONS[dims](3, 5, 3, padding=1, bias=bias).double()
    x = torch.randn(2, 3, *range(1, dims + 1), dtype=torch.float64, requires_grad=True)
    plain, short = convolution(functional.interpolate(x, scale_factor=2.0)), grow(x, convolution)
    torch.testing.assert_close(short, plain)
    cotangent, inputs = torch.randn_like(plain), [x, *convolution.parameters()]
    for mine, theirs in zip(*(torch.autograd.grad(out, inputs, cotangent) for out in (short, plain))):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_an_empty_batch_has_an_empty_answer(dims: int) -> None:
    network = UNet(2, 3, dims, channels=8, multipliers=(1, 2), blocks=1, attention=(2,), num_classes=2)
    label = torch.zeros(0, dtype=torch.int64)
    assert network(torch.zeros(0, 2, *[4] * dims), torch.zeros(0), label).shape == (0, 3, *[4] * dims)


def test_an_odd_size_is_its_zero_padded_self_cropped() -> None:
    network = UNet(1, 1, channels=8, multipliers=(1, 1, 1), blocks=1, attention=(4,))
    nn.init.normal_(network.last.weight)  # type: ignore[arg-type]
    x, time = torch.randn(1, 1, 5, 7), torch.tensor([3.0])
    wide = functional.pad(x, (0, 1, 0, 3))
    torch.testing.assert_close(network(x, time), network(wide, time)[..., :5, :7])


def test_bf16_attention_stays_near_and_trains() -> None:
    torch.manual_seed(0)
    layer = SelfAttention(16, head_channels=8)
    nn.init.normal_(layer.out.weight, std=0.3)
    x = torch.randn(2, 16, 6, 6)
    exact = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        low = layer(x.bfloat16())
        low.sum().backward()
    assert low.dtype == torch.bfloat16
    assert float((low.float() - exact).detach().abs().max()) < 0.02 * float(exact.detach().abs().max())
    assert layer.qkv.weight.grad is not None
    assert layer.qkv.weight.grad.dtype == torch.float32


@pytest.mark.parametrize(("channels", "asked", "heads"), [(64, 64, 1), (128, 64, 2), (12, 5, 3), (8, 64, 1)])
def test_heads_divide_the_channels(channels: int, asked: int, heads: int) -> None:
    assert SelfAttention(channels, asked).heads == heads


def test_time_keeps_double_precision() -> None:
    value = torch.tensor([999.123456789], dtype=torch.float64)
    expected = torch.stack([value.cos(), (value / 100).cos(), value.sin(), (value / 100).sin()], 1)
    torch.testing.assert_close(sinusoidal(value, 4), expected, rtol=0, atol=1e-12)
    assert sinusoidal(torch.tensor([3]), 4).dtype == torch.float32


def test_a_label_s_row_is_its_class_and_absence_is_zero() -> None:
    embedding = LabelEmbedding(3, 4)
    out = embedding(torch.tensor([2, -1, 0]))
    assert torch.equal(out, torch.stack([embedding.table.weight[2], torch.zeros(4), embedding.table.weight[0]]))


X, TIME = torch.zeros(2, 1, 4, 4), torch.zeros(2)


@pytest.mark.parametrize(
    ("x", "time", "label", "message"),
    [
        (X[:, :, :0], TIME, None, r"\(2, 1, 0, 4\)"),
        (X, TIME[:1], None, r"shape \(2,\)"),
        (X, TIME[:, None], None, r"\(2, 1\)"),
        (X, TIME, torch.tensor([0, 3]), "label = 3"),
        (X, TIME, torch.tensor([-2, 0]), "label = -2"),
        (X, TIME, torch.tensor([0.0, 1.0]), "torch.float32"),
        (X, TIME, torch.tensor([[0], [1]]), r"\(2, 1\)"),
        (X, TIME, torch.tensor([0]), "label"),
    ],
)
def test_wrong_calls_are_named(x: torch.Tensor, time: torch.Tensor, label: torch.Tensor | None, message: str) -> None:
    network = UNet(1, 1, channels=4, multipliers=(1,), blocks=1, attention=(), num_classes=3)
    with pytest.raises(UsageError, match=message):
        network(x, time, label)


@pytest.mark.parametrize(
    "option", [{"channels": 0}, {"blocks": 0}, {"head_channels": 0}, {"multipliers": (1, 0)}, {"dropout": 1.0}]
)
def test_wrong_options_are_named(option: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(option))):
        UNet(1, 1, **option)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="layers = 0"):
        PointNetwork(2, layers=0)
