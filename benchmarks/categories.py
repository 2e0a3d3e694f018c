"""What diffusion of categories costs beside its network: the loop's share of sampling text, and a step's time over the number of categories."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.harness import interleave, median_ms
from renote import nets
from renote.allocator import keep_freed_memory
from renote.diffusion import CategoricalDenoiser, CategoricalModel
from renote.diffusion.grid import uniform
from renote.diffusion.process import Absorbing, CategoricalProcess, Marginal, Uniform, gaussian_jumps

SEQUENCES, LENGTH, STEPS, CHARACTERS = 64, 256, 100, 65
COUNTS = (1_000, 4_000, 16_000, 50_000)
JUMP_COUNTS = (16, 64, 256)
FAMILIES: dict[str, Callable[[int], Any]] = {
    "absorbing": Absorbing,
    "uniform": Uniform,
    "marginal": lambda k: Marginal(torch.ones(k)),
}


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Rows of the table.

    Args:
        quick: a few sequences and steps, to see that it runs.
    """
    return _loops(quick) + _steps(quick) + _jumps(quick)


def _loops(quick: bool) -> list[dict[str, Any]]:
    samples, length, steps, repeats = (2, 16, 3, 1) if quick else (SEQUENCES, LENGTH, STEPS, 3)
    rows = []
    for name in ("absorbing", "uniform"):
        process = CategoricalProcess(FAMILIES[name](CHARACTERS))
        network = nets.SequenceTransformer(length, process.transition.states, CHARACTERS, 128, 4, 4)
        model = CategoricalModel(CategoricalDenoiser(network, process), (length,), steps)
        within: list[float] = []
        began = [0.0]
        network.register_forward_pre_hook(lambda *_, began=began: began.__setitem__(0, time.perf_counter()))
        network.register_forward_hook(
            lambda *_, began=began, within=within: within.append(time.perf_counter() - began[0])
        )
        seconds, share = [], []
        for turn in range(repeats + 1):
            within.clear()
            start = time.perf_counter()
            model.sample(samples, seed=turn)
            whole = time.perf_counter() - start
            if turn or quick:  # the first was a warm-up
                seconds.append(whole)
                share.append(1 - sum(within) / whole)
        note = f"{statistics.median(share):.2%} of the time outside the network; goal: below 5 %"
        title = f"{samples} sequences of {length} characters in {steps} steps, {name}, transformer of 4 layers of 128"
        rows.append(_row(title, median_ms(seconds), note))
    return rows


def _steps(quick: bool) -> list[dict[str, Any]]:
    keep_freed_memory()  # as any sampling does
    counts, sites, repeats = ((50, 100), 4, 1) if quick else (COUNTS, 256, 5)
    rows = []
    for name, family in FAMILIES.items():
        calls = {}
        for count in counts:
            process = CategoricalProcess(family(count))
            random = torch.Generator().manual_seed(0)
            noisy = process.corrupt(
                torch.randint(0, count, (1, sites), generator=random),
                torch.tensor([0.7]),
                torch.randn(1, sites, generator=random),
            )
            estimate = torch.rand(1, sites, count, generator=random).softmax(-1)
            noise = torch.randn(1, sites, generator=random)
            calls[str(count)] = lambda p=process, x=noisy, e=estimate, z=noise: p.reverse(x, e, 0.7, 0.6, z)
        took = {int(key): median_ms(value) for key, value in interleave(calls, repeats, warmup=1).items()}
        per = {count: 1e6 * ms / (sites * count) for count, ms in took.items()}
        note = "nanoseconds a site and category: " + ", ".join(
            f"{value:.2f} of {count:,}" for count, value in per.items()
        )
        rows.append(
            _row(f"a reverse step of {sites} sites, {name}, {max(counts):,} categories", took[max(counts)], note)
        )
    return rows


def _jumps(quick: bool) -> list[dict[str, Any]]:
    """Steps of a walk by jumps between categories, O(K) a site by way of a clean category, and the matrices of each step's times, K³ for all sites."""
    keep_freed_memory()
    counts, samples, sites, repeats = ((8, 16), 2, 4, 1) if quick else (JUMP_COUNTS, 16, 256, 5)
    grid = uniform(100)
    calls = {}
    for count in counts:
        process = CategoricalProcess(gaussian_jumps(count), "cosine")
        random = torch.Generator().manual_seed(0)
        noisy = torch.randint(0, count, (samples, sites), generator=random)
        estimate = torch.rand(samples, sites, count, generator=random).softmax(-1)
        noise, pairs = torch.randn(samples, sites, generator=random), itertools.cycle(grid)
        calls[str(count)] = lambda p=process, x=noisy, e=estimate, z=noise, g=pairs: p.reverse(x, e, *next(g), z)
    took = {int(key): median_ms(value) for key, value in interleave(calls, repeats, warmup=1).items()}
    note = "with the matrices of its times, K³ for all; nanoseconds a site and category: " + ", ".join(
        f"{1e6 * ms / (samples * sites * count):.2f} of {count:,}" for count, ms in took.items()
    )
    most = max(counts)
    return [
        _row(f"a reverse step of {samples} samples of {sites} sites, gaussian, {most:,} categories", took[most], note)
    ]


def _row(name: str, took: float, note: str) -> dict[str, Any]:
    return {"name": name, "renote_ms": took, "peer_ms": None, "ratio": None, "note": note}


if __name__ == "__main__":
    import sys

    for row in run("--quick" in sys.argv):
        print(f"{row['name']}: {row['renote_ms']:.2f} ms; {row['note']}")
