"""What a graph is made from, checked: each message names the argument and what was given."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from renote.errors import DataError


def as_tensor(given: Any, name: str) -> Tensor:
    """Numbers as a tensor, of lists and arrays too.

    Raises:
        DataError: they are no numbers.
    """
    try:
        return torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{name} is no list, array or tensor of numbers ({error}): give one, e.g. torch.tensor([0, 1])"
        ) from error


def check_tensor(name: str, given: Any) -> None:
    """Refuse what is no tensor.

    Raises:
        DataError: it is none.
    """
    if not isinstance(given, Tensor):
        raise DataError(
            f"{name} is of the type {type(given).__name__}: it must be a tensor, e.g. torch.as_tensor({name})"
        )


def node_numbers(given: Any, name: str) -> Tensor:
    """(edges,) int64, one end of each edge.

    Raises:
        DataError: another shape or type.
    """
    tensor = as_tensor(given, name)
    if tensor.numel() == 0:
        tensor = tensor.reshape(-1).long()
    if tensor.dim() != 1:
        raise DataError(f"{name} has shape {tuple(tensor.shape)}: it must be a list of node numbers, one an edge")
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise DataError(f"{name} is of {tensor.dtype}: node numbers must be integers, e.g. {name}.long()")
    return tensor.long()


def edge_weights(given: Any, source: Tensor) -> Tensor:
    """(edges,) floating point, where `source` is.

    Raises:
        DataError: another shape or type, one that is not finite, or one that is learned.
    """
    weight = as_tensor(given, "weight").to(source.device)
    if weight.numel() == 0:
        weight = weight.to(torch.get_default_dtype())
    if weight.shape != source.shape:
        raise DataError(f"weights of shape {tuple(weight.shape)} for {source.shape[0]} edges: give one number an edge")
    if not weight.is_floating_point():
        raise DataError(f"weights are of {weight.dtype}: they must be floating point, e.g. weight.float()")
    if weight.requires_grad:
        raise DataError("weights of an adjacency are constants: give learned ones to spmm(adjacency, x, edge_weight)")
    wrong = ~torch.isfinite(weight)
    if bool(wrong.any()):
        edge = int(wrong.nonzero()[0])
        raise DataError(f"edge {edge} has the weight {float(weight[edge])}: weights must be finite numbers")
    return weight
