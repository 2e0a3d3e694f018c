"""Train the classifier whose features the package ships: `python -m renote.evaluate.ship NAME --out FILE`.

Beside FILE, `index.json` gets an entry: checksum, training data, held-out accuracy, and the command itself.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from renote import data
from renote.errors import RenoteError, UsageError
from renote.evaluate.classifier import read_classifier, train_classifier
from renote.train.checkpoint import write_atomic, write_json


def ship(name: str, out: Path, steps: int | None = None) -> float | None:
    """Train a classifier of a data set, write it, and list it in `index.json` beside it.

    Args:
        name: of the data set.
        out: the safetensors file.
        steps: optimizer steps.

    Returns:
        Percent of the held-out samples that it classifies rightly.

    Raises:
        UsageError: if the data set has no images with labels, or `out` another ending.
        CheckpointError: if the disk refuses.
    """
    if out.suffix != ".safetensors":
        raise UsageError(f"out = {out}: the file must end in .safetensors")
    loaded = data.load(name)
    if not isinstance(loaded, data.SampleData):
        raise UsageError(f"{name} is a graph: a classifier needs images with labels")
    content = train_classifier(loaded, steps)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, content)
    index = out.with_name("index.json")
    entries = json.loads(index.read_text("utf-8")) if index.is_file() else {}
    trained = asdict(read_classifier(content, out.name)[1])
    command = f"python -m renote.evaluate.ship {name} --out {out.name} --steps {trained['steps']}"
    kept = {key: trained[key] for key in ("data", "data_sha256", "test_accuracy", "version")}
    entries[out.stem] = {"sha256": hashlib.sha256(content).hexdigest(), **kept, "command": command}
    write_json(index, dict(sorted(entries.items())))
    accuracy: float | None = trained["test_accuracy"]
    return accuracy


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Raises:
        SystemExit: with the exit status, if it is not 0.
    """
    parser = argparse.ArgumentParser("python -m renote.evaluate.ship", description="Train a classifier for features.")
    parser.add_argument("name", help="the data set, e.g. digits")
    parser.add_argument("--out", type=Path, required=True, help="the safetensors file; index.json is kept beside it")
    parser.add_argument("--steps", type=int, help="optimizer steps of 128 samples; about five epochs by default")
    given = parser.parse_args(arguments)
    try:
        accuracy = ship(given.name, given.out, given.steps)
    except RenoteError as error:
        print(f"renote: {error}", file=sys.stderr)
        raise SystemExit(error.status) from None
    said = "" if accuracy is None else f", {accuracy} % of the held-out samples right"
    print(f"{given.out}: {given.out.stat().st_size / 1000:.0f} kB{said}")


if __name__ == "__main__":
    main()
