"""An adaptive solver of ordinary differential equations, every sample with its own steps, so that none depends on its neighbours.

Dormand & Prince 1980, "A family of embedded Runge-Kutta formulae": order 5, with the error of order 4 told by the same seven slopes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from renote.diffusion.schedule import broadcast
from renote.errors import UsageError

NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
WEIGHTS = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


@dataclass(frozen=True, slots=True)
class Reached:
    """Where a solution is after one round of steps.

    Args:
        t: (n,) times reached.
        y: (n, …) values there.
        evaluations: calls of the slope so far.
    """

    t: Tensor
    y: Tensor
    evaluations: int


def integrate(
    slope: Callable[[Tensor, Tensor], Tensor],
    y: Tensor,
    start: float,
    end: float,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    most: int = 10_000,
) -> Iterator[Reached]:
    """y(start) → y(end) of dy/dt = slope(t, y), forwards or backwards in t.

    Args:
        slope: `slope(t (n,), y (n, …))` → (n, …); called on all samples until the last of them is done.
        y: (n, …) at `start`.
        start: first time.
        end: last time.
        rtol: relative tolerance of a step.
        atol: absolute tolerance of a step; the error is the root mean square over a sample's numbers.
        most: rounds at most.

    Yields:
        Where each round led; the last one is at `end`.

    Raises:
        UsageError: for tolerances that are not positive, or if the steps become too small or too many.

    Source: Dormand & Prince 1980, RK5(4)7M; step control: Hairer, Nørsett & Wanner, section II.4.
    """
    if not (rtol > 0 and atol > 0):
        raise UsageError(f"rtol = {rtol}, atol = {atol}: tolerances are positive")
    sign = 1.0 if end > start else -1.0
    length = abs(end - start)
    gone = torch.zeros(len(y), dtype=torch.float64, device=y.device)
    step = torch.full_like(gone, min(0.01, 1.0) * length)

    def at(where: Tensor) -> Tensor:
        return start + sign * where

    def ask(where: Tensor, value: Tensor) -> Tensor:
        return slope(at(where).to(torch.promote_types(value.dtype, torch.float32)), value)

    first = ask(gone, y)
    evaluations = 1
    for _ in range(most):
        step = torch.minimum(step, length - gone)
        signed = broadcast(sign * step, y)
        slopes = [first]
        for node, weights in zip(NODES[1:], WEIGHTS):
            moved = y + signed * sum(w * k for w, k in zip(weights, slopes) if w)
            slopes.append(ask(gone + node * step, moved))
        evaluations += 6
        error = signed * sum(w * k for w, k in zip(ERROR, slopes) if w)
        scale = atol + rtol * torch.maximum(y.abs(), moved.abs())
        size = (error / scale).double().square().flatten(1).mean(1).sqrt()
        if not bool(torch.isfinite(size).all()):
            raise UsageError("the differential equation's slope is not finite: the network gives inf or nan")
        accepted = size <= 1
        gone = torch.where(accepted, gone + step, gone)
        # the last step's end is the end, whatever was rounded on the way
        gone = torch.where(accepted & (length - gone < 1e-12 * length), length, gone)
        keep = broadcast(accepted.to(y.dtype), y).bool()
        y, first = torch.where(keep, moved, y), torch.where(keep, slopes[-1], first)
        step = step * (0.9 * size.clamp_min(1e-10) ** -0.2).clamp(0.2, 5.0)
        yield Reached(at(gone), y, evaluations)
        if bool((gone >= length).all()):
            return
        if bool(((step < 1e-10 * length) & (gone < length)).any()):
            raise UsageError(f"steps became too small at rtol = {rtol}, atol = {atol}: ask for less accuracy")
    raise UsageError(f"{most} rounds of steps did not reach t = {end}: ask for less accuracy")
