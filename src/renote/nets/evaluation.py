"""Asking a network without leaving a trace in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def evaluation(module: nn.Module) -> Iterator[None]:
    """Without gradients and in evaluation mode, and afterwards as it was."""
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for part in training:
            part.training = True


@contextmanager
def listening(modules: Iterable[nn.Module], read: Callable[[Any, tuple[Any, ...]], None]) -> Iterator[None]:
    """Within, each call of one of the modules is told to `read(module, arguments)` first."""
    hooks = [module.register_forward_pre_hook(read) for module in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
