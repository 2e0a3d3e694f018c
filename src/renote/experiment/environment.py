"""Under which conditions a number was measured: command, versions, machine."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "renote",
    "torch",
    "numpy",
    "scipy",
    "accelerate",
    "safetensors",
    "scikit-learn",
    "torch-geometric",
    "diffusers",
    "denoising-diffusion-pytorch",
)


def command() -> str:
    """The command line that started this process, without the folders of the machine."""
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    program = "renote" if program in ("__main__.py", "cli.py") else program
    return shlex.join([program, *sys.argv[1:]])


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Processor, cores, memory and accelerator."""
    import psutil
    import torch

    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.system(),
    }


def describe() -> dict[str, Any]:
    """All of it, as JSON takes it."""
    return {"command": command(), "versions": versions(), "machine": machine()}


@cache
def place() -> str:
    """Processor, accelerator if there is one, and PyTorch, in a line."""
    found = machine()
    devices = [found["processor"], found["accelerator"]]
    return f"{', '.join(filter(None, devices))}; torch {version('torch')}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
