"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

settings.register_profile("renote", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("renote")


def pytest_runtest_setup() -> None:
    """A test draws the same weights whatever ran before it: alone, in another order, in a worker."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither read nor fill the user's cache."""
    before = os.environ.get("RENOTE_CACHE")
    os.environ["RENOTE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["RENOTE_CACHE"]
    else:
        os.environ["RENOTE_CACHE"] = before


@pytest.fixture
def mirror() -> Path:
    """The folder of real data sets; a test that needs one skips without it."""
    folder = os.environ.get("RENOTE_MIRROR")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs real data sets: set RENOTE_MIRROR to the folder that holds them")
    return Path(folder)
