"""Group norm, modulation and silu in one against the plain formula: values, gradients, gradients of gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from renote.nets import GroupNorm, UNet
from renote.nets import norm as module


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of two samples, for tensors of any size."""
    monkeypatch.setattr(module, "FEWEST", 1)
    monkeypatch.setattr(module, "PART", 2 * 12 * 9)


def given(dtype: torch.dtype = torch.float64, mean: float = 0.0) -> tuple[GroupNorm, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    norm = GroupNorm(12).to(dtype)
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter)
    x = (torch.randn(5, 12, 3, 3, dtype=dtype) + mean).contiguous(memory_format=torch.channels_last)
    return norm, x.requires_grad_(), *(torch.randn(5, 12, dtype=dtype, requires_grad=True) for _ in range(2))


def plain(norm: GroupNorm, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    normed = functional.group_norm(x.contiguous(), norm.groups, norm.weight, norm.bias, norm.eps)
    return functional.silu(normed * (1 + scale[..., None, None]) + shift[..., None, None])


def test_values_and_gradients_are_those_of_the_formula() -> None:
    norm, x, scale, shift = given()
    inputs = [x, scale, shift, norm.weight, norm.bias]
    mine, formula = norm.silu(x, scale, shift), plain(norm, x, scale, shift)
    assert mine.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(mine, formula)
    cotangent = torch.randn_like(mine)
    found, expected = (torch.autograd.grad(out, inputs, cotangent) for out in (mine, formula))
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other)


def test_without_modulation_it_is_the_norm() -> None:
    norm, x, _, _ = given()
    torch.testing.assert_close(norm.silu(x), functional.silu(norm(x)))
    assert torch.autograd.gradcheck(norm.silu, (x,))


def test_gradients_have_gradients() -> None:
    norm, x, scale, shift = given()
    x = x[:2].detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    inputs = (x, scale[:2], shift[:2], norm.weight, norm.bias)
    assert torch.autograd.gradgradcheck(lambda x, scale, shift, *_: norm.silu(x, scale, shift), inputs)


def test_a_scale_that_depends_on_the_input_counts_once() -> None:
    norm, x, _, shift = given()

    def penalty(function: object) -> Tensor:
        y = function(norm, x, x.mean((2, 3)), shift)  # type: ignore[operator]
        (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), x)[0]

    torch.testing.assert_close(penalty(lambda norm, *given: norm.silu(*given)), penalty(plain))


def test_statistics_lose_no_more_digits_than_pytorchs_own() -> None:
    for mean in (0.0, 3.0, 30.0):
        norm, x, scale, shift = given(torch.float32, mean)
        x = x.detach().repeat(1, 1, 9, 9).contiguous(memory_format=torch.channels_last)
        exact = plain(norm.double(), x.double(), scale.double(), shift.double())
        norm.float()
        own = functional.silu(torch.addcmul(shift[..., None, None], norm(x), 1 + scale[..., None, None]))
        lost, allowed = (float((y - exact).detach().square().mean().sqrt()) for y in (norm.silu(x, scale, shift), own))
        assert lost <= 1.1 * allowed


def test_half_precision_is_rounded_once() -> None:
    norm, x, scale, shift = given(torch.float32)
    low = x.detach().bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        mine = norm.silu(low, scale.bfloat16(), shift.bfloat16())
    assert mine.dtype == torch.bfloat16
    wide = plain(norm, low.float(), scale.bfloat16().float(), shift.bfloat16().float())
    assert torch.equal(mine, wide.bfloat16()) or float((mine.float() - wide).detach().abs().max()) < 2**-7


def test_other_layouts_and_empty_batches_take_the_plain_way() -> None:
    norm, x, scale, shift = given()
    torch.testing.assert_close(norm.silu(x.contiguous(), scale, shift), norm.silu(x, scale, shift))
    assert norm.silu(x[:0], scale[:0], shift[:0]).shape == (0, 12, 3, 3)
    line = x.flatten(2)
    torch.testing.assert_close(norm.silu(line, scale, shift).view_as(x), norm.silu(x, scale, shift))


def test_a_network_is_the_same_in_parts_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    network = UNet(1, 1, channels=8, multipliers=(1, 2), blocks=1, attention=(2,)).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    x, time = torch.randn(3, 1, 6, 6, dtype=torch.float64), torch.tensor([1.0, 50.0, 900.0], dtype=torch.float64)
    parts = network(x, time)
    gradients = torch.autograd.grad(parts.square().sum(), list(network.parameters()))
    monkeypatch.setattr(module, "FEWEST", 10**9)
    whole = network(x, time)
    torch.testing.assert_close(parts, whole)
    for mine, other in zip(gradients, torch.autograd.grad(whole.square().sum(), list(network.parameters()))):
        torch.testing.assert_close(mine, other)
