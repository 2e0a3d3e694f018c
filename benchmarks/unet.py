"""The U-Net beside diffusers' of equal parameters and operations: forward and training step, float32 and bfloat16.

Both networks get the same optimizer, the same inputs and the same autocast; they are timed in turn. The counted
operations over the time, relative to a large matrix product, say how much of the machine is used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.harness import interleave, matmul_rate, median_ms
from benchmarks.peers import DiffusersNetwork, diffusers_unet
from renote.nets import UNet

SIZE, BATCH, HEAD = 32, 32, 64
SHAPE = (3, SIZE, SIZE)
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def peer(head_channels: int = HEAD) -> nn.Module:
    """diffusers' U-Net with the layout of renote's default: same channels, blocks, attention and head width."""
    return DiffusersNetwork(diffusers_unet(SHAPE, 64, (1, 2, 2), 2, (4,), head_channels))


def ours() -> UNet:
    """renote's default U-Net, its zero-initialized layers disturbed so that no product is with zeros."""
    torch.manual_seed(0)
    net = UNet(3, 3, channels=64, multipliers=(1, 2, 2), blocks=2, attention=(4,), head_channels=HEAD)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
    return net


def inputs(batch: int, shape: Sequence[int] = SHAPE) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, *shape, generator=generator), torch.rand(batch, generator=generator) * 1000


def _written_out(x: Tensor, convolution: nn.Module) -> Tensor:
    out: Tensor = convolution(functional.interpolate(x, scale_factor=2.0))
    return out


def count(network: nn.Module, batch: int, layout: bool, shape: Sequence[int] = SHAPE) -> tuple[int, float, float]:
    """Parameters, and operations of a forward pass and of forward with backward.

    Args:
        network: to count.
        batch: samples to count for.
        layout: count upsampling and its convolution as two layers, as the architecture is written, not as renote
            computes them.
        shape: of a sample.
    """
    x, time = inputs(2, shape)
    plain = mock.patch("renote.nets.unet.grow", _written_out) if layout else contextlib.nullcontext()
    # the counter knows products of matrices, not the processor's fused attention
    with sdpa_kernel(SDPBackend.MATH), plain:
        with FlopCounterMode(display=False) as forward, torch.no_grad():
            network(x, time)
        with FlopCounterMode(display=False) as both:
            network(x, time).sum().backward()
    network.zero_grad(set_to_none=True)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return parameters, forward.get_total_flops() * batch / 2, both.get_total_flops() * batch / 2


def _autocast(dtype: torch.dtype) -> contextlib.AbstractContextManager[Any]:
    return torch.autocast("cpu", torch.bfloat16) if dtype == torch.bfloat16 else contextlib.nullcontext()


def forward(network: nn.Module, batch: int, dtype: torch.dtype) -> Callable[[], None]:
    x, time = inputs(batch)

    def call() -> None:
        with torch.inference_mode(), _autocast(dtype):
            network(x, time)

    return call


def step(network: nn.Module, batch: int, dtype: torch.dtype) -> Callable[[], None]:
    x, time = inputs(batch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, fused=True)

    def call() -> None:
        optimizer.zero_grad(set_to_none=True)
        with _autocast(dtype):
            out = network(x, time)
        functional.mse_loss(out.float(), x).backward()
        optimizer.step()

    return call


def run(quick: bool) -> list[dict[str, Any]]:
    """Rows {"name", "renote_ms", "peer_ms", "ratio", "note"}; the ratio is peer / renote.

    Args:
        quick: a small batch and few rounds, to see that it runs.
    """
    batch, repeats = (4, 2) if quick else (BATCH, 7)
    rates = {name: matmul_rate(dtype) for name, dtype in PRECISIONS.items()}
    networks: dict[str, nn.Module] = {"renote": ours(), "peer": peer(), "peer, 8-wide heads": peer(8)}
    mine, theirs = count(networks["renote"], batch, True), count(networks["peer"], batch, True)
    done = count(networks["renote"], batch, False)
    for what, a, b in zip(("parameters", "forward operations", "training operations"), mine, theirs):
        if abs(a / b - 1) > 0.03:
            raise AssertionError(f"not the same network: {what} {a:.4g} and {b:.4g}")
    rows = []
    for kind, make in {"forward": forward, "training step": step}.items():
        rivals = {
            (name, precision): make(network, batch, dtype)
            for precision, dtype in PRECISIONS.items()
            for name, network in networks.items()
            if name != "peer, 8-wide heads" or kind == "training step"
        }
        keyed = interleave({"/".join(key): call for key, call in rivals.items()}, repeats)
        took = {key: median_ms(keyed["/".join(key)]) for key in rivals}
        work = 1 if kind == "forward" else 2
        for precision in PRECISIONS:
            own, other = took["renote", precision], took["peer", precision]
            share = done[work] / (own / 1000) / rates[precision]
            note = (
                f"{mine[0] / 1e6:.3f}M and {theirs[0] / 1e6:.3f}M parameters, {mine[work] / 1e9:.1f} and "
                f"{theirs[work] / 1e9:.1f} GFLOP, of which renote computes {done[work] / 1e9:.1f}; {share:.0%} of the matrix-product rate "
                f"({rates[precision] / 1e9:.0f} GFLOP/s, {torch.get_num_threads()} threads)"
            )
            if precision == "bf16":
                note += f"; {took['peer', 'fp32'] / own:.2f}x the peer's fp32"
            if kind == "training step":
                note += f"; {took['peer, 8-wide heads', precision] / own:.2f}x the peer with its default 8-wide heads"
            name = f"U-Net {kind}, {SIZE}x{SIZE}, batch {batch}, {precision} (diffusers)"
            rows.append({"name": name, "renote_ms": own, "peer_ms": other, "ratio": other / own, "note": note})
    return rows


if __name__ == "__main__":
    import sys

    for row in run("--quick" in sys.argv):
        print(
            f"{row['name']}: {row['renote_ms']:.1f} ms, peer {row['peer_ms']:.1f} ms, {row['ratio']:.2f}x; {row['note']}"
        )
