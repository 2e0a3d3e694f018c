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


def test_a_system_that_another_ones_claim_measures_is_told_by_its_own_figures() -> None:
    build = runpy.run_path(str(ROOT / "docs" / "build.py"))
    document = {
        "claim": "fair",
        "published": {"proteins gin": 73.3, "proteins errica": 75.8},
        "measured": {"proteins gin": {"mean": 72.0, "std": 3.0}, "proteins errica": {"mean": 74.0, "std": 3.0}},
        "size": "laptop",
        "seeds": 1,
    }
    where = "measured by `fair` of `errica`"
    told = build["beside"]("gin", "errica", "fair", {"errica": {"fair-laptop": document}})
    assert told == ["proteins gin: 73.3", "proteins gin: 72 ± 3", f"{where} (laptop, 1 seeds)"]
    assert build["beside"]("gin", "errica", "fair", {}) == ["", "", f"{where}, not yet run"]
    page = build["system_page"]("diffpool", {})
    assert "## Measured by the claim fair of [errica](errica.md#claim-fair)" in page
    row = next(line for line in build["readme_table"]().splitlines() if "`ngcf`" in line)
    assert "recall@20 ngcf: 0." in row
    assert "measured by `movielens` of `lightgcn`" in row
