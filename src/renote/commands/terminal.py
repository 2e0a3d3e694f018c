"""What commands share: options as KEY=VALUE, and how results and messages are written."""

from __future__ import annotations

import itertools
import json as json_format
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from renote.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

Json = Annotated[bool, arg(help="Print one JSON document on standard output.")]


TEXTS: dict[str, tuple[type, ...]] = {"given": (), "alphabet": (list,)}
"""Options that are text whatever their value looks like, but for values of these types: an alphabet may be a list of tokens."""


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE pairs; a value is read as JSON where it is JSON, else as text, as are those of TEXTS."""
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"option {pair!r}: write KEY=VALUE, e.g. size=14")
        name = key.replace("-", "_")
        try:
            value = json_format.loads(text)
        except ValueError:
            value = text
        options[name] = value if isinstance(value, TEXTS.get(name, (object,))) else text
    return options


def parse_grid(pairs: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """KEY=VALUE,VALUE pairs, of which every combination is a point; values as in `parse_options`."""
    options: dict[str, list[Any]] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key or not all(text.split(",")):
            raise UsageError(f"grid {pair!r}: write KEY=VALUE,VALUE, e.g. hidden=32,64")
        options[key.replace("-", "_")] = [parse_options([f"{key}={value}"]).popitem()[1] for value in text.split(",")]
    return tuple(dict(zip(options, values)) for values in itertools.product(*options.values()))


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    print(json_format.dumps(document, indent=2, ensure_ascii=False))


def keep(path: Path, found: Mapping[str, Any]) -> None:
    """Write a result with the command, the versions and the machine that it is from."""
    from renote.experiment import environment
    from renote.train.checkpoint import write_json

    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**found, **environment.describe()})


def result_path(out: str | None) -> Path | None:
    """A result's file, if one is wanted."""
    if out is not None and Path(out).suffix != ".json":
        raise UsageError(f"out = {out}: write a result (.json)")
    return None if out is None else Path(out)


def picture_path(out: str, or_result: bool = False) -> Path:
    """A figure's file, or that of a result, which has its figure beside it."""
    target = Path(out)
    if target.suffix not in (".png", ".svg", ".pdf", *((".json",) if or_result else ())):
        raise UsageError(
            f"out = {out}: write a picture (.png, .svg, .pdf){' or a result (.json)' if or_result else ''}"
        )
    return target


def number(value: Any) -> str:
    """A value of a table as text."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {number(item)}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def console() -> Console:
    """Standard output."""
    from rich.console import Console

    # through a pipe, lines are not folded
    return Console(width=None if sys.stdout.isatty() else 200)


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table on standard output."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(*header, box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(str(cell).replace("[", "\\[") for cell in row))
    console().print(table)


def say(text: str) -> None:
    """A line on standard error; of processes that a launcher started, the first speaks."""
    if os.environ.get("RANK", "0") == "0":
        print(text, file=sys.stderr)
