"""Doubling of resolution and the convolution after it, in one: fewer products, the same function."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


def grow(x: Tensor, convolution: nn.Module) -> Tensor:
    """y = w * repeat₂(x): every place doubled along each axis, then the convolution w of size 3.

    Of the 3 values under w along an axis at least two are copies of one another. So their weights are summed first, and
    y is the transposed convolution with k = flip(w) * (1, 1), of size 4 and stride 2: 2 products a place and axis, not 3.

    Args:
        x: (n, inputs, *space).
        convolution: of size 3, padding 1 and stride 1, whose weight and bias are used.

    Returns:
        (n, outputs, *(2 space)).
    """
    weight, bias = convolution.weight, convolution.bias
    assert isinstance(weight, Tensor)
    assert bias is None or isinstance(bias, Tensor)
    axes = range(2, weight.ndim)
    kernel = weight.transpose(0, 1).flip(*axes)
    for axis in axes:
        before = [0, 0] * (weight.ndim - 1 - axis)
        kernel = functional.pad(kernel, [*before, 0, 1]) + functional.pad(kernel, [*before, 1, 0])
    return TRANSPOSED[len(axes)](x, kernel, bias, stride=2, padding=1)
