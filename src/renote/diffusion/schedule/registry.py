"""The schedules by the name that a user gives them."""

from __future__ import annotations

from collections.abc import Callable

from renote.diffusion.schedule.base import Schedule
from renote.diffusion.schedule.continuous import EDMSchedule, SubVPSchedule, VESchedule, VPSchedule
from renote.diffusion.schedule.discrete import CosineSchedule, LinearSchedule

SCHEDULES: dict[str, Callable[[int], Schedule]] = {
    "linear": LinearSchedule,
    "cosine": CosineSchedule,
    "vp": lambda num_steps: VPSchedule(),
    "sub-vp": lambda num_steps: SubVPSchedule(),
    "ve": lambda num_steps: VESchedule(),
    "edm": lambda num_steps: EDMSchedule(),
}
"""Name → how it is made from the number of steps T, which those of continuous time do not depend on."""
