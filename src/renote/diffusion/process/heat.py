"""The heat process: pictures are blurred as heat spreads in an insulated plate, with a little noise that hides how much of them is left.

    ∂u/∂τ = Δu, no flow across the edges:  u(τ) = V exp(-Λ τ) Vᵀ u(0)                        Rissanen et al. 2022, section 3
    V the cosine basis (DCT-II), Λ = π² (k²/H² + l²/W²), τ = sigma_B² / 2: a Gaussian blur of deviation sigma_B pixels with mirrored edges
    q(u_t | u_0) = N(V exp(-Λ τ_t) Vᵀ u_0, σ² I)
    p(u_s | u_t) = N(û_s, δ² I), û_s the estimate of the picture one level less blurred

Level k of K lies at t = k/K; sigma_B grows evenly in its logarithm from the first level to the last, and level 0 is the data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from renote.diffusion.noise import NormalSource
from renote.diffusion.process.check import check_fitted, check_step, check_strength
from renote.diffusion.schedule import broadcast
from renote.errors import UsageError

NEGLIGIBLE = 1e-5
"""Share of a frequency that is not kept of blurred pictures."""


def cosine_basis(size: int, like: Tensor | None = None) -> Tensor:
    """V of one axis, V_ik = c_k cos(π k (2 i + 1) / (2 N)), c_0 = √(1/N), else √(2/N): orthonormal columns.

    Args:
        size: N, pixels along the axis.
        like: tensor whose dtype and device the basis takes; float64 on the CPU by default.

    Returns:
        (N, N), place by frequency.
    """
    place, frequency = torch.arange(size, dtype=torch.float64)[:, None], torch.arange(size, dtype=torch.float64)
    basis = torch.cos(math.pi * frequency * (2 * place + 1) / (2 * size)) * math.sqrt(2 / size)
    basis[:, 0] = math.sqrt(1 / size)
    return basis if like is None else basis.to(like)


def eigenvalues(size: int, like: Tensor | None = None) -> Tensor:
    """(N,) eigenvalues of -∂²/∂x² on an axis of N pixels of length 1, (π k / N)²; other arguments as for `cosine_basis`."""
    values = (math.pi * torch.arange(size, dtype=torch.float64) / size) ** 2
    return values if like is None else values.to(like)


def along(x: Tensor, axis: int, matrix: Tensor) -> Tensor:
    """A matrix applied to one axis of a batch.

    Args:
        x: (n, …, N, …).
        axis: that of N.
        matrix: (M, N) for all samples, or (n, M, N).

    Returns:
        (n, …, M, …).
    """
    moved = x.movedim(axis, -1)
    out = moved.reshape(len(x), -1, moved.shape[-1]) @ matrix.mT
    return out.reshape(*moved.shape[:-1], matrix.shape[-2]).movedim(-1, axis)


def dissipate(clean: Tensor, blur: Tensor) -> Tensor:
    """V exp(-Λ sigma_B² / 2) Vᵀ u along every axis of space.

    Args:
        clean: (n, channels, *space) u.
        blur: (n,) sigma_B in pixels, not negative.

    Returns:
        (n, channels, *space).
    """
    time = blur.to(clean).square()[:, None] / 2
    out = clean
    for axis in range(2, clean.ndim):
        basis, kept = _kept(clean.shape[axis], time, clean)
        out = along(out, axis, (basis * kept[:, None]) @ basis.mT)
    return out


class HeatProcess(nn.Module):
    """Blur as heat spreads, and its undoing level by level, where the mean one level before is known: `reverse` takes that, which `target` gives, and not the clean data.

    Args:
        shape: of one sample, (channels, *space).
        levels: K.
        blur_min: sigma_B of the first level, in pixels.
        blur_max: sigma_B of the last; None for half the longest side.
        noise: σ, the deviation of the noise that training adds.
        delta: the deviation δ of the noise that sampling adds, as a multiple of σ.
        pictures: how many blurred training pictures the prior keeps.

    Raises:
        UsageError: for values out of range, or samples without space.

    Example:
        >>> import torch
        >>> from renote.diffusion.process import HeatProcess
        >>> process = HeatProcess((1, 6, 10), levels=20)
        >>> picture = torch.rand(2, 1, 6, 10)
        >>> blurred = process.mean(picture, torch.tensor([1.0, 1.0]))
        >>> bool(blurred.std() < picture.std() / 3)
        True
    """

    keeps_noise = False
    """Noise is fresh at every step."""
    adjacent_only = True
    """A network that estimates the next level cannot leave one out."""
    coefficients: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        levels: int = 200,
        blur_min: float = 0.5,
        blur_max: float | None = None,
        noise: float = 0.01,
        delta: float = 1.25,
        pictures: int = 1000,
    ) -> None:
        super().__init__()
        if len(shape) < 2:
            raise UsageError(
                f"samples of shape {tuple(shape)}: heat spreads in space, so give signals, images or volumes"
            )
        blur_max = max(shape[1:]) / 2 if blur_max is None else blur_max
        if not 0 < blur_min < blur_max:
            raise UsageError(f"blur_min = {blur_min}, blur_max = {blur_max}: needs 0 < blur_min < blur_max")
        if levels < 2 or pictures < 1:
            raise UsageError(f"levels = {levels}, pictures = {pictures}: needs at least 2 levels, and a picture")
        if not noise >= 0:
            raise UsageError(f"noise = {noise}: a standard deviation is not negative")
        _check_delta(delta)
        self.shape, self.levels, self.noise, self.delta = tuple(shape), levels, noise, delta
        self.blur_min, self.blur_max, self.pictures = blur_min, blur_max, pictures
        # what is left of a frequency falls with it, so few describe a blurred picture
        last = torch.tensor([[blur_max**2 / 2]], dtype=torch.float64)
        sizes = [int((_kept(size, last, last)[1] >= NEGLIGIBLE).sum()) for size in self.shape[1:]]
        # what is not fitted is not a number, so that weights say themselves whether they are
        self.register_buffer("coefficients", torch.full((pictures, self.shape[0], *sizes), torch.nan))

    def extra_repr(self) -> str:
        """Levels and noise."""
        return f"levels={self.levels}, blur={self.blur_min:g}…{self.blur_max:g}, noise={self.noise:g}, delta={self.delta:g}"

    def fit(self, clean: Tensor) -> HeatProcess:
        """Keep what is left of training pictures at t = 1, for the prior: of so many, spread over the data, or some twice where there are fewer.

        Args:
            clean: (samples, *shape) training data.

        Returns:
            Itself.
        """
        chosen = clean[torch.arange(self.pictures) * max(1, len(clean) // self.pictures) % len(clean)]
        time = chosen.new_full((1, 1), self.blur_max**2 / 2)
        for axis, count in enumerate(self.coefficients.shape[2:], 2):
            basis, kept = _kept(self.shape[axis - 1], time, chosen)
            chosen = along(chosen, axis, (basis * kept)[:, :count].mT)
        self.coefficients.copy_(chosen)
        return self

    def blur(self, t: Tensor) -> Tensor:
        """sigma_B at times t: sigma_min (sigma_max / sigma_min)^((k - 1) / (K - 1)), k = t K; below k = 1 it falls linearly to 0."""
        k = t.double() * self.levels
        ratio = (k - 1).clamp_min(0) / (self.levels - 1)
        return self.blur_min * (self.blur_max / self.blur_min) ** ratio * k.clamp(max=1)

    def mean(self, clean: Tensor, t: Tensor) -> Tensor:
        """V exp(-Λ τ_t) Vᵀ u_0 of (n, *shape) at times t (n,); the data itself where t = 0."""
        check_strength(t)
        blurred = dissipate(clean, self.blur(t))
        return torch.where(broadcast(t, clean) == 0, clean, blurred)

    def corrupt(self, clean: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """u_t = V exp(-Λ τ_t) Vᵀ u_0 + σ ε, without noise where t = 0.

        Args:
            clean: (n, *shape) u_0.
            t: (n,) times in [0, 1].
            noise: (n, *shape) standard normal ε.

        Raises:
            UsageError: for a time outside [0, 1].
        """
        return self.mean(clean, t) + self.noise * noise * (broadcast(t, clean) > 0)

    def prior(self, shape: Sequence[int], noise: NormalSource) -> Tensor:
        """A draw of q(u_1): a training picture, blurred, with noise σ ε.

        Args:
            shape: of one sample.
            noise: gives two draws a sample, of the picture's number and of ε.

        Returns:
            (n, *shape).

        Raises:
            UsageError: if neither `fit` nor weights that are loaded have given any pictures.
        """
        check_fitted(self.coefficients[0], "HeatProcess")
        chosen = (torch.special.ndtr(noise.normal((1,))[:, 0].double()) * self.pictures).long()
        blurred = self.coefficients[chosen.clamp(max=self.pictures - 1)]
        fresh = noise.normal(shape)
        blurred = blurred.to(fresh)
        for axis, count in enumerate(self.coefficients.shape[2:], 2):
            blurred = along(blurred, axis, cosine_basis(shape[axis - 1], fresh)[:, :count])
        return blurred + self.noise * fresh

    def target(self, clean: Tensor, t: Tensor) -> Tensor:
        """What an estimate at times t (n,) is to be: the mean one level before."""
        return self.mean(clean, (t.double() - 1 / self.levels).clamp_min(0))

    def reverse(
        self,
        noisy: Tensor,
        estimate: Tensor,
        t: float,
        s: float,
        noise: Tensor | None = None,
        *,
        delta: float | None = None,
    ) -> Tensor:
        """u_s = û_s + δ ε, without noise where s = 0.

        Args:
            noisy: (n, *shape) u_t; the mean of q(u_s | u_t, u_0) does not depend on it.
            estimate: (n, *shape) û_s, as `target` says.
            t: time of `noisy`.
            s: time to go to, s < t.
            noise: (n, *shape) standard normal ε; may be left out where none is added.
            delta: δ as a multiple of σ; None for the process's own.

        Returns:
            (n, *shape).

        Raises:
            UsageError: for times that are not 0 <= s < t <= 1, a negative delta, or a step that adds noise without any.
        """
        check_step(t, s)
        delta = self.delta if delta is None else delta
        _check_delta(delta)
        if s == 0 or delta * self.noise == 0:
            return estimate
        if noise is None:
            raise UsageError("this reverse step adds noise, but none was given")
        return estimate + delta * self.noise * noise


def _kept(size: int, time: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """The basis, and what is left of each of its frequencies (…, N) after times τ (…, 1)."""
    return cosine_basis(size, like), torch.exp(-time * eigenvalues(size, like))


def _check_delta(delta: float) -> None:
    if not isinstance(delta, int | float) or not delta >= 0:
        raise UsageError(
            f"delta = {delta}: a number is asked for; the noise of sampling, as a multiple of training's, is not negative"
        )
