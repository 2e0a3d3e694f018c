"""Geodesic convolutional networks: filters over patches of distances and directions.

Masci, Boscaini, Bronstein & Vandergheynst, "Geodesic convolutional neural networks on Riemannian manifolds", 3DRR 2015, arXiv:1501.06297.

    (D f)(x, ρ, θ) = ∫ v_ρθ(x, y) f(y) dy,  v Gaussian in the geodesic polar coordinates around x
    (f ∗ a)(x) = max_Δθ Σ_ρθ a(ρ, θ + Δθ) (D f)(x, ρ, θ)

Where angles begin at a vertex means nothing, so each filter is taken at its best turn (angular max).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from renote.experiment import (
    MESH_FULL,
    MESH_LAPTOP,
    Claim,
    MeshOptions,
    MeshSystem,
    Outcome,
    Paper,
    mesh_correspondence,
)

if TYPE_CHECKING:
    from renote.data import MeshData
    from renote.experiment import Lab
    from renote.graph import Correspondence


@dataclass(frozen=True, kw_only=True)
class Config(MeshOptions):
    """Masci et al. (2015): patches of 5 distances and 16 directions; widths are those of the later papers, which compare with it."""

    from_one = ("rings", "angles")

    rings: int = 5
    """Distances of a patch."""
    angles: int = 16
    """Directions of a patch."""


def build(config: Config, data: MeshData) -> Correspondence:
    """Geodesic convolutions over polar patches."""
    from renote import graph
    from renote.graph.geometry.patch import geodesic_patches

    convolution = partial(graph.GeodesicConvolution, rings=config.rings, angles=config.angles)
    patches = partial(geodesic_patches, rings=config.rings, angles=config.angles)
    return mesh_correspondence(config, data, convolution, patches)


def signatures(lab: Lab) -> Outcome:
    """Unseen poses, beside the signatures that the network starts from."""
    from renote.experiment.correspondence import BASELINES, side_by_side

    return side_by_side(lab, {"geodesic-cnn": None}, [(name, "geodesic-cnn") for name in BASELINES])


SYSTEM = MeshSystem(
    name="geodesic-cnn",
    title="Convolutions over geodesic polar patches",
    paper=Paper(
        "Masci, Boscaini, Bronstein & Vandergheynst",
        "Geodesic convolutional neural networks on Riemannian manifolds",
        2015,
        "3DRR 2015",
        "arXiv:1501.06297",
    ),
    parts=("geodesic polar patches", "angular max", "heat- and wave-kernel signatures", "correspondence"),
    data="figures",
    config=Config,
    build=build,
    claims=(
        Claim(
            "signatures",
            "What is learned over geodesic patches tells points of deformed surfaces better than signatures made by hand.",
            "figures 5 to 7, as curves on FAUST; exact vertices as later papers tabulate them, from memory, unverified",
            {"geodesic-cnn on FAUST": 42.3},
            signatures,
        ),
    ),
    presets={"laptop": {**MESH_LAPTOP, "rings": 3}, "full": {**MESH_FULL, "rings": 3}},
)
