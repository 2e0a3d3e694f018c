"""What the documentation derives from code and results is up to date."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_generated_pages_are_current() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "build.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + "run: python docs/build.py"


def test_every_system_has_a_page_in_the_navigation() -> None:
    from renote import systems

    nav = runpy.run_path(str(ROOT / "docs" / "nav.py"))
    config = nav["on_config"](
        {"docs_dir": str(ROOT / "docs" / "pages"), "nav": [{"Start": "index.md"}, {"Systems": ""}]}
    )
    assert config["nav"][1]["Systems"] == ["systems/index.md", *(f"systems/{name}.md" for name in systems.names())]
