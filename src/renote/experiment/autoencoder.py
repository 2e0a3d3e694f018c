"""What hierarchical autoencoders share as systems: warm-up, and the decoder that a data set's values ask for. Light: building is what imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from renote.errors import UsageError
from renote.train.options import TrainOptions

if TYPE_CHECKING:
    from renote.data import SampleData
    from renote.diffusion.decoder import Decoder


@dataclass(frozen=True, kw_only=True)
class AutoencoderOptions(TrainOptions):
    """The training of a hierarchical autoencoder."""

    kl_warmup_steps: int = 0
    """Steps over which the weight of the latents' divergences rises from 0 to 1."""
    likelihood: Literal["auto", "bits", "values", "density"] = "auto"
    """What the decoder gives: auto is bits for integers 0 and 1, values for other integers, else densities; bits of grey pictures are drawn by grey value."""
    components: int = 1
    """Logistics in the mixture of each value."""
    temperature: float = 1.0
    """By which samples multiply the standard deviations of the latents."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        if self.kl_warmup_steps < 0 or self.components < 1 or not self.temperature >= 0:
            raise UsageError(
                f"kl_warmup_steps = {self.kl_warmup_steps}, components = {self.components}, temperature = {self.temperature}: "
                "needs at least 0, 1 and 0"
            )


def decoder(config: AutoencoderOptions, data: SampleData) -> Decoder:
    """Bits, values or densities.

    Args:
        config: which, or `auto`.
        data: its form decides, and how many values it has.

    Raises:
        UsageError: for a likelihood that the data cannot have.
    """
    from renote.diffusion.decoder import BitDecoder, DensityDecoder, ValueDecoder

    whole = not data.train.is_floating_point() and data.range is not None
    bits = whole and data.range == (0.0, 1.0)
    kind = config.likelihood
    if kind == "auto":
        kind = "bits" if bits else "values" if whole else "density"
    if kind == "bits":
        if data.range is None:
            raise UsageError(f"likelihood = bits: {data.name} has no range that chances could be read off; use density")
        return BitDecoder(data.shape, grey=not bits)
    if (kind == "values") != whole:
        other = "values, or bits" if whole else "density"
        raise UsageError(f"likelihood = {kind}: {data.name} has {'whole' if whole else 'no whole'} values; use {other}")
    levels = data.levels
    return DensityDecoder(data.shape) if levels is None else ValueDecoder(data.shape, config.components, levels)
