"""The samplers by the name that a user gives them."""

from __future__ import annotations

from typing import Any

from renote.diffusion.sampler.ancestral import Ancestral
from renote.diffusion.sampler.ddim import DDIM

SAMPLERS: dict[str, type[Any]] = {"ancestral": Ancestral, "ddim": DDIM}
"""Name → class; its fields are the sampler's options."""
