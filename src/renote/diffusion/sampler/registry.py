"""The samplers by the name that a user gives them."""

from __future__ import annotations

from typing import Any

from renote.diffusion.sampler.adaptive import AdaptiveODE
from renote.diffusion.sampler.ancestral import Ancestral
from renote.diffusion.sampler.ddim import DDIM
from renote.diffusion.sampler.multistep import DPMSolver, UniPC
from renote.diffusion.sampler.ode import Euler, Heun
from renote.diffusion.sampler.sde import AnnealedLangevin, EulerMaruyama, PredictorCorrector

SAMPLERS: dict[str, type[Any]] = {
    "ancestral": Ancestral,
    "ddim": DDIM,
    "euler": Euler,
    "heun": Heun,
    "dpm-solver": DPMSolver,
    "unipc": UniPC,
    "euler-maruyama": EulerMaruyama,
    "predictor-corrector": PredictorCorrector,
    "langevin": AnnealedLangevin,
    "ode": AdaptiveODE,
}
"""Name → class; its fields are the sampler's options."""
