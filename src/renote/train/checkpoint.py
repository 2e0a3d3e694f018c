"""Checkpoints: tensors in safetensors, the rest in JSON, written whole or not at all.

A checkpoint is a folder `step-00001000` with `weights`, `optimizer` and, where used, `ema` and `best` as `.safetensors`,
and `state.json`, which names each file's SHA-256. It is written under another name and renamed, so a folder of that name
is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from renote.errors import CheckpointError, UsageError


@dataclass
class Checkpoint:
    """Everything that training goes on from.

    Attributes:
        step: optimizer steps done.
        tensors: file stem -> name -> tensor, e.g. `tensors["weights"]`.
        state: plain values: early stopping, elapsed time.
    """

    step: int
    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any] = field(default_factory=dict)


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        UsageError: if it is a folder.
        CheckpointError: if the disk refuses; what was there before is untouched.
    """
    if path.is_dir():
        raise UsageError(f"cannot write {path}, which is a folder: give the name of a file, there or elsewhere")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CheckpointError(
            f"cannot save {path} ({len(content) / 1e6:.1f} MB): {error.strerror}. Free some space or choose another "
            "folder; what was saved before is untouched"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    write_atomic(path, (json.dumps(value, indent=2, sort_keys=False, default=str) + "\n").encode())


def verified(path: Path, sha256: str, what: str, mend: str) -> bytes:
    """The content of a file that was released with a checksum.

    Args:
        path: the file.
        sha256: its checksum.
        what: it is called in the message.
        mend: what to do, as a sentence without its stop.

    Raises:
        CheckpointError: if it is missing, cut short or changed.
    """
    content = path.read_bytes() if path.is_file() else b""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise CheckpointError(
            f"{what} is not the one that was released (SHA-256 expected {sha256}, found {found}): it was not used. {mend}"
        )
    return content


def save(folder: Path, checkpoint: Checkpoint, keep: int = 2) -> Path:
    """Write a checkpoint below `folder` and drop all but the newest `keep`.

    Raises:
        CheckpointError: if the disk refuses; earlier checkpoints are untouched.
    """
    final = folder / f"step-{checkpoint.step:08d}"
    temporary = folder / f".{final.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        digests = {}
        for stem, tensors in checkpoint.tensors.items():
            content = safetensors.torch.save({k: v.detach().contiguous() for k, v in tensors.items()})
            write_atomic(temporary / f"{stem}.safetensors", content)
            digests[f"{stem}.safetensors"] = hashlib.sha256(content).hexdigest()
        write_json(temporary / "state.json", {"step": checkpoint.step, "files": digests, **checkpoint.state})
        if final.exists():  # the same step again: a resumed run repeats it bit for bit
            shutil.rmtree(final)
        os.replace(temporary, final)
    except OSError as error:
        raise CheckpointError(f"cannot save {final}: {error.strerror}; earlier checkpoints are untouched") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in _steps(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def latest(folder: Path) -> Path | None:
    """The newest complete checkpoint below `folder`, or None."""
    steps = _steps(folder)
    return steps[-1] if steps else None


def load(path: Path, only: str | None = None) -> Checkpoint:
    """Read a checkpoint, checking every file that is read.

    Args:
        path: the checkpoint's folder.
        only: a file stem, if no other tensors are wanted.

    Raises:
        CheckpointError: if a file is missing, cut short or changed.
    """
    try:
        state: dict[str, Any] = json.loads((path / "state.json").read_text())
        files: Mapping[str, str] = state.pop("files")
        step = int(state.pop("step"))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"checkpoint {path} is damaged: state.json cannot be read ({error}). {_mend(path)}"
        ) from error
    tensors = {}
    for name, digest in files.items():
        stem = name.removesuffix(".safetensors")
        if only is not None and stem != only:
            continue
        content = (path / name).read_bytes() if (path / name).is_file() else b""
        if hashlib.sha256(content).hexdigest() != digest:
            raise CheckpointError(
                f"checkpoint {path} is damaged: {name} is cut short or changed ({len(content)} bytes). {_mend(path)}"
            )
        tensors[stem] = safetensors.torch.load(content)
    return Checkpoint(step, tensors, state)


def load_weights(folder: Path, module: nn.Module) -> int:
    """Load the weights to use (best on validation, else the moving average, else the last) of the newest checkpoint.

    Returns:
        The optimizer step of the checkpoint.

    Raises:
        CheckpointError: if there is no checkpoint, it is damaged, or its weights are another model's.
    """
    path = latest(folder)
    if path is None:
        raise CheckpointError(f"{folder.parent} holds no checkpoint: train it first, or wait for the first checkpoint")
    for stem in ("best", "ema", "weights"):
        if (path / f"{stem}.safetensors").exists() or stem == "weights":
            checkpoint = load(path, only=stem)
            if stem not in checkpoint.tensors:
                raise CheckpointError(f"checkpoint {path} is damaged: {stem}.safetensors is not listed. {_mend(path)}")
            restore(module, checkpoint.tensors[stem], path)
            return checkpoint.step
    raise AssertionError("unreachable")


def restore(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Load tensors into a module.

    Raises:
        CheckpointError: if names or shapes do not fit.
    """
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(
            f"checkpoint {path} does not fit this model (was its configuration changed?): {error}"
        ) from error


def optimizer_tensors(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as `parameter name / state name -> tensor`."""
    names = {id(p): n for n, p in module.named_parameters()}
    return {
        f"{names[id(parameter)]}/{key}": value if isinstance(value, Tensor) else torch.tensor(value)
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
        if value is not None
    }


def restore_optimizer(module: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put saved state back into a fresh optimizer of the same parameters."""
    parameters = dict(module.named_parameters())
    for name, value in tensors.items():
        parameter, key = name.rsplit("/", 1)
        target = parameters[parameter]
        # a step counter stays where the optimizer wants it; moments lie beside their parameter
        placed = value if value.ndim == 0 else torch.empty_like(target, dtype=value.dtype).copy_(value)
        optimizer.state[target][key] = placed


def _steps(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("step-*") if p.is_dir())


def _mend(path: Path) -> str:
    earlier = [p for p in _steps(path.parent) if p < path]
    if earlier:
        return f"Remove that folder to go on from {earlier[-1].name}"
    return "No earlier checkpoint is left in this run: train it anew in another folder"
