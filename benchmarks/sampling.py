"""Samples and training images a second beside diffusers and denoising-diffusion-pytorch, and what their sampling loops cost outside the network.

Each library works in a process of its own, with the allocator as it finds or sets it; the processes take turns.
"""

from __future__ import annotations

import contextlib
import statistics
from typing import Any

from benchmarks import rivals
from benchmarks.harness import KEPT, Worker, interleave, median_ms
from benchmarks.peers import DiffusersNetwork
from benchmarks.unet import count

SHAPES = ((1, 28, 28), (3, 32, 32))
PEERS = {"diffusers": 1.5, "denoising-diffusion-pytorch": 3.0}
"""Peer → how many times as fast renote is to be."""

SAMPLES, BATCH, STEPS = 64, 128, 25


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Rows of the table.

    Args:
        quick: a few samples and rounds, to see that it runs.
    """
    rows = [row for shape in SHAPES[: 1 if quick else 2] for row in _speed(shape, quick)]
    return rows + _loops(SHAPES[0], quick)


def _speed(shape: tuple[int, ...], quick: bool) -> list[dict[str, Any]]:
    samples, batch, steps, repeats = (2, 2, 2, 1) if quick else (SAMPLES, BATCH, STEPS, 5)
    sizes = {library: _size(library, shape) for library in ("renote", *PEERS)}
    for library, (parameters, operations) in sizes.items():
        if abs(parameters / sizes["renote"][0] - 1) > 0.1 or abs(operations / sizes["renote"][1] - 1) > 0.1:
            raise AssertionError(f"{library}'s network has {parameters} parameters and {operations:.4g} operations")
    _, done, _ = count(rivals.network("renote", shape), 1, False, shape)
    image = "x".join(map(str, (*shape[1:], shape[0])))
    with contextlib.ExitStack() as stack:
        arguments = (shape, samples, batch, steps)
        workers = {
            library: stack.enter_context(Worker(rivals.work, library, *arguments)) for library in ("renote", *PEERS)
        }
        for library in PEERS:
            worker = Worker(rivals.work, library, *arguments, environment=KEPT)
            workers[f"{library}, kept"] = stack.enter_context(worker)
        rows = []
        for work, title, images in (
            ("sample", f"sampling, DDIM in {steps} steps, {image}, batch {samples}", samples),
            ("step", f"training step, {image}, batch {batch}", batch),
        ):
            calls = {name: (lambda worker=worker, work=work: worker(work)) for name, worker in workers.items()}
            took = {name: median_ms(seconds) for name, seconds in interleave(calls, repeats, warmup=1).items()}
            for library, goal in PEERS.items():
                own, peer = took["renote"], took[library]
                own_size, size = sizes["renote"], sizes[library]
                note = (
                    f"{1000 * images / own:.1f} and {1000 * images / peer:.1f} images/s; {own_size[0] / 1e6:.2f}M and {size[0] / 1e6:.2f}M parameters, "
                    f"{own_size[1] / 1e6:.0f} and {size[1] / 1e6:.0f} MFLOP an image, of which renote computes {done / 1e6:.0f}; {took[f'{library}, kept'] / own:.2f}x "
                    f"the peer whose allocator keeps freed memory too; goal {goal:g}x"
                )
                rows.append(
                    {
                        "name": f"{title} ({library})",
                        "renote_ms": own,
                        "peer_ms": peer,
                        "ratio": peer / own,
                        "note": note,
                    }
                )
    return rows


def _size(library: str, shape: tuple[int, ...]) -> tuple[int, float]:
    """Parameters, and operations of one image."""
    network = rivals.network(library, shape)
    network = DiffusersNetwork(network) if library == "diffusers" else network
    parameters, operations, _ = count(network, 1, True, shape)
    return parameters, operations


def _loops(shape: tuple[int, ...], quick: bool) -> list[dict[str, Any]]:
    samples, steps, repeats = (2, 2, 1) if quick else (SAMPLES, STEPS, 5)
    whole: dict[str, list[float]] = {}
    outside: dict[str, list[float]] = {}
    with Worker(rivals.loops, shape, samples, steps) as worker:
        names = [f"{network} {library}" for network in ("U-Net", "free") for library in ("renote", *PEERS)]

        def call(name: str) -> None:
            total, within = worker(name)
            whole.setdefault(name, []).append(total)
            outside.setdefault(name, []).append(total - within)

        interleave({name: (lambda name=name: call(name)) for name in names}, repeats, warmup=1)
    # the first round was a warm-up
    took = {name: median_ms(seconds[1:]) for name, seconds in whole.items()}
    spent = {name: median_ms(seconds[1:]) / steps for name, seconds in outside.items()}
    share = {
        name: statistics.median(o / w for o, w in zip(outside[name][1:], whole[name][1:], strict=True))
        for name in names
    }
    image = "x".join(map(str, (*shape[1:], shape[0])))
    rows = []
    for library in PEERS:
        mine, theirs = "U-Net renote", f"U-Net {library}"
        note = f"loop outside the network: {share[mine]:.2%} and {share[theirs]:.2%} of the time; goal: below 3 %"
        rows.append(
            _row(f"renote's U-Net under both loops, {image}, batch {samples} ({library})", took, mine, theirs, note)
        )
        mine, theirs = "free renote", f"free {library}"
        note = "what a step costs beside a network that costs nothing"
        rows.append(
            _row(f"loop outside the network, a step, {image}, batch {samples} ({library})", spent, mine, theirs, note)
        )
    return rows


def _row(name: str, took: dict[str, float], mine: str, theirs: str, note: str) -> dict[str, Any]:
    own, peer = took[mine], took[theirs]
    return {"name": name, "renote_ms": own, "peer_ms": peer, "ratio": peer / own, "note": note}


if __name__ == "__main__":
    import sys

    for row in run("--quick" in sys.argv):
        print(
            f"{row['name']}: {row['renote_ms']:.2f} ms, peer {row['peer_ms']:.2f} ms, {row['ratio']:.2f}x; {row['note']}"
        )
