"""Memory that is freed stays, unless the user has set the allocator."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from renote.allocator import CHOSEN

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")

STEPS = """
import resource, sys
import torch
from renote.allocator import keep_freed_memory

def step():  # tensors of 16 MiB, which lie at the end of the heap, and of 40 MiB, which have places of their own
    kept = [torch.zeros(n * 2**18) for n in (16, 40, 16, 40)]

taken = keep_freed_memory() if sys.argv[1] == "keep" else False
for _ in range(6):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(taken, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(how: str, **variables: str) -> tuple[bool, int]:
    clean = {name: value for name, value in os.environ.items() if name not in (*CHOSEN, "GLIBC_TUNABLES")}
    done = subprocess.run(
        [sys.executable, "-c", STEPS, how], env={**clean, **variables}, check=True, capture_output=True, text=True
    )
    taken, count = done.stdout.split()
    return taken == "True", int(count)


def test_a_step_finds_the_pages_of_the_one_before() -> None:
    _, without = run("leave")
    taken, count = run("keep")
    assert taken
    # ten steps of 112 MiB touch so many pages at first; huge pages, where the system gives them, are 512 small ones
    assert without > 10 * 112 * 2**20 // os.sysconf("SC_PAGE_SIZE") // 600
    assert count < without / 5


@pytest.mark.parametrize(
    "variables", [{"MALLOC_MMAP_MAX_": "65536"}, {"GLIBC_TUNABLES": "glibc.malloc.mmap_max=65536"}]
)
def test_a_user_who_has_set_the_allocator_is_left_alone(variables: dict[str, str]) -> None:
    assert not run("keep", **variables)[0]
