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
    assert told == ["proteins gin: 73.3", "proteins gin: 72 ± 3", f"{where} (laptop, 1 seed)"]
    assert build["beside"]("gin", "errica", "fair", {}) == ["", "", f"{where}, not yet run"]
    page = build["system_page"]("diffpool", {})
    assert "## Measured by the claim fair of [errica](errica.md#claim-fair)" in page
    row = next(line for line in build["readme_table"]().splitlines() if "`ngcf`" in line)
    assert "recall@20 ngcf: 0." in row
    assert "measured by `movielens` of `lightgcn`" in row


def test_figures_are_told_with_where_they_are_from() -> None:
    """One seed has no deviation, a document is measured where its parts were, and a figure on other data has its own name."""
    build = runpy.run_path(str(ROOT / "docs" / "build.py"))
    assert build["number"]({"mean": 96.54, "std": 0.0}, 1) == build["number"]({"mean": 96.54}) == "96.54"
    assert build["number"]({"mean": 96.54, "std": 0.5}, 3) == "96.54 ± 0.5"
    assert (build["counted"](1), build["counted"](3)) == ("1 seed", "3 seeds")
    machine = {"processor": "A", "threads": 1, "accelerator": None}
    assert build["measured_where"]({"machine": machine}) == ("A, 1 threads", "")
    assert build["measured_where"]({"machine": machine, "measured_on": ["A; torch 2"]}) == ("A, 1 threads", "")
    found = build["measured_where"]({"machine": machine, "measured_on": ["B, H100; torch 2"]})
    assert found == ("B, H100", "Drawn on A, 1 threads.")
    found = build["measured_where"]({"machine": machine, "measured_on": ["A; torch 2", "not recorded"]})
    assert found[0] == "A and a machine that was not recorded, in parts"
    document = {"system": "gcn", "measured": {"cora gcn": 81.0, "blur, improved": 3.9}}
    assert build["matching"]("cora", document) == ("cora", 81.0)
    assert build["matching"]("CelebA, blur, improved", document) == ("blur, improved", 3.9)
    assert build["matching"]("CelebA, blur", document) is None


def test_published_figures_have_measured_ones_beside_them() -> None:
    build = runpy.run_path(str(ROOT / "docs" / "build.py"))
    for name in ("cold-diffusion", "ihdm"):
        for document in build["results"]()[name].values():
            assert all(build["matching"](key, document) for key in document["published"])
