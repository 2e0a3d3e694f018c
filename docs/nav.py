"""A mkdocs hook: every generated page of a system enters the navigation by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Put the systems' pages, in alphabetical order, where the navigation says `Systems`."""
    names = sorted(path.stem for path in Path(config["docs_dir"], "systems").glob("*.md") if path.stem != "index")
    for entry in config["nav"]:
        if "Systems" in entry:
            entry["Systems"] = ["systems/index.md", *(f"systems/{name}.md" for name in names)]
    return config
