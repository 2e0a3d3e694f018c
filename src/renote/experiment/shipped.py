"""Small checkpoints for others to use: the weights alone, in half precision, checked whenever they are read. Some come with the package.

Such a folder has `config.json`, as a run folder has, `weights.safetensors`, and `card.json`: SHA-256 of both, the training's command, data and versions, and
what was measured. Light: finding one imports no tensor library.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from renote.errors import CheckpointError, UsageError, unknown

if TYPE_CHECKING:
    from torch import Tensor, nn

    from renote.experiment.sample import SampleRun

CARD, WEIGHTS = "card.json", "weights.safetensors"
WORSE = 0.01
"""Most by which half precision may raise what `flaw` tells: of the Fréchet distance this share of it, of others this much."""


def library() -> Path:
    """The folder of the checkpoints that come with the package."""
    return Path(str(resources.files("renote"))) / "checkpoints"


def names() -> list[str]:
    """The checkpoints that come with the package."""
    return sorted(path.parent.name for path in library().glob(f"*/{CARD}"))


def locate(run: str | os.PathLike[str]) -> Path:
    """The folder of that path, else the checkpoint of that name.

    Raises:
        UsageError: if there is neither; the message has the nearest names.
    """
    path = Path(run)
    if path.exists():
        return path
    if str(run) in names():
        return library() / run
    raise UsageError(
        f"{unknown('run', str(run), names())} A run is the folder that a training wrote (its --out), or a checkpoint that comes with renote: renote checkpoints"
    )


def is_shipped(folder: Path) -> bool:
    """Whether a folder holds such a checkpoint."""
    return (folder / CARD).is_file()


def read_card(folder: Path) -> dict[str, Any]:
    """What a checkpoint says of itself.

    Raises:
        CheckpointError: if it cannot be read, or `config.json` is not the one that it lists.
    """
    path = folder / CARD
    try:
        card: dict[str, Any] = json.loads(path.read_text("utf-8"))
        listed = card["files"]["config.json"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}. {_mend(folder)}") from error
    _verified(folder, "config.json", listed)
    return card


def restore_shipped(folder: Path, module: nn.Module) -> None:
    """Load the weights of a checkpoint, after checking them.

    Raises:
        CheckpointError: if a file is not the one that `card.json` lists, or the weights are another model's.
    """
    import safetensors.torch

    from renote.train.checkpoint import restore

    content = _verified(folder, WEIGHTS, read_card(folder)["files"].get(WEIGHTS, ""))
    restore(module, safetensors.torch.load(content), folder)


def flaw(measures: Mapping[str, Any]) -> tuple[str, float]:
    """What is wrong with samples, in a word and a number that is 0 at best: the Fréchet distance of pictures and points, what no molecule is, how far words,
    labels and degrees are from those of the data."""
    if "validity" in measures:
        return "share that is no molecule", 1 - float(measures["validity"])
    names = {
        "frechet_distance": "Fréchet distance",
        "pair_divergence": "divergence of pairs of characters",
        "neighbours": "divergence of neighbouring labels",
        "degree": "MMD² of degrees",
    }
    found = next(name for name in names if name in measures)
    return names[found], float(measures[found])


def worse(measures: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether the flaw has grown by more than `WORSE`."""
    least = flaw(before)[1]
    return not flaw(measures)[1] <= least + WORSE * (least if "frechet_distance" in before else 1)


def told(card: Mapping[str, Any]) -> str:
    """What was measured of a checkpoint, in a line."""
    measures: dict[str, Any] = card["measures"]
    if "validity" in measures:
        shares = {"valid": "validity", "of these different": "uniqueness", "of these new": "novelty"}
        return ", ".join(f"{100 * measures[name]:.1f} % {word}" for word, name in shares.items())
    classes = f", {measures['class_accuracy']:.1f} % of their class" if "class_accuracy" in measures else ""
    name, value = flaw(measures)
    return f"{name} {value:.3g}{classes}"


def ship(
    run: SampleRun,
    out: str | os.PathLike[str],
    samples: int = 1000,
    precision: Literal["float16", "float32"] = "float16",
) -> dict[str, Any]:
    """Write the weights of a finished run as a small checkpoint, and measure it before and after.

    Args:
        run: loaded from its run folder.
        out: a new folder, or one of such a checkpoint, which is replaced. Its name is the checkpoint's.
        samples: drawn to measure it.
        precision: of the weights on disk.

    Returns:
        What is written to `card.json`: `{"name", "system", "data", "data_sha256", "classes", "parameters", "steps", "precision", "files", "measures",
        "measures_before", "command", "versions", "machine", "shipped_by"}`.

    Raises:
        UsageError: if the run is not kept in a folder or not finished, `out` is something else, or half precision cannot hold the weights or makes samples worse.
    """
    import safetensors.torch

    from renote.evaluate.classifier import data_digest
    from renote.experiment import environment
    from renote.train import checkpoint as checkpoints

    folder = Path(out)
    origin = _finished(run)
    if folder.exists() and not is_shipped(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"out = {folder} is something else than a checkpoint: choose a new folder")
    data = run.training_data()
    before = run.evaluate(samples, data=data)
    weights = {name: _stored(name, tensor, precision) for name, tensor in run.module.state_dict().items()}
    checkpoints.restore(run.module, weights, folder)
    measures = run.evaluate(samples, data=data)
    if worse(measures, before):
        (name, value), (_, least) = flaw(measures), flaw(before)
        raise UsageError(
            f"precision = {precision} makes samples worse ({name} {value:.4g}, before {least:.4g}): use float32"
        )
    content = {"config.json": (origin / "config.json").read_bytes(), WEIGHTS: safetensors.torch.save(weights)}
    trained = json.loads((origin / "environment.json").read_text("utf-8"))
    card = {
        "name": folder.resolve().name,
        "system": run.system.name,
        "data": data.name,
        "data_sha256": data_digest(data),
        "classes": list(data.classes) if run.module.num_classes else [],
        "parameters": run.parameters,
        "steps": run.config.steps,
        "precision": precision,
        "files": {name: hashlib.sha256(file).hexdigest() for name, file in content.items()},
        "measures": measures,
        "measures_before": before,
        **{key: trained[key] for key in ("command", "versions", "machine")},
        "shipped_by": environment.command(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in content.items():
        checkpoints.write_atomic(folder / name, file)
    checkpoints.write_json(folder / CARD, card)
    return card


def _finished(run: SampleRun) -> Path:
    from renote.train import checkpoint as checkpoints

    if run.folder is None or is_shipped(run.folder):
        raise UsageError("only a run in a folder that a training wrote can be shipped: train with out = FOLDER")
    newest = checkpoints.latest(run.folder / "checkpoints")
    step = checkpoints.load(newest, only="").step if newest is not None else 0
    if step < run.config.steps:
        raise UsageError(f"{run.folder} is at step {step} of {run.config.steps}: finish it with --resume")
    return run.folder


def _stored(name: str, tensor: Tensor, precision: str) -> Tensor:
    import torch

    kept = tensor.detach().cpu().contiguous()
    if not kept.is_floating_point():
        return kept
    stored = kept.to(getattr(torch, precision))
    if not bool(stored.isfinite().all()):
        raise UsageError(
            f"precision = {precision} cannot hold {name}, up to {float(kept.abs().max()):.3g}: use float32"
        )
    return stored


def _verified(folder: Path, name: str, sha256: str) -> bytes:
    from renote.train.checkpoint import verified

    return verified(folder / name, sha256, f"{name} of the checkpoint {folder.name}", _mend(folder))


def _mend(folder: Path) -> str:
    return "Install renote again" if folder.parent == library() else "Copy the whole folder again"
