"""MoNet on surfaces: patches of Gaussian windows that are learned.

Monti, Boscaini, Masci, Rodolà, Svoboda & Bronstein, "Geometric Deep Learning on Graphs and Manifolds using Mixture Model CNNs", CVPR 2017,
arXiv:1611.08402, section 5.3.

    D_k(x) f = Σ_{y in N(x)} w_k(u(x, y)) f(y)                                   (9)
    w_k(u) = exp(-½ (u - μ_k)ᵀ Σ_k⁻¹ (u - μ_k))                                  (11)
    u(x, y) = (ρ(x, y), θ(x, y)),  θ from the direction in which the surface bends most

Geodesic and anisotropic networks are windows that are fixed; these begin where the geodesic ones are.
"""

from __future__ import annotations

import itertools
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
    """Monti et al. (2017), section 5.3: three convolutions of 32, 64 and 128 features between maps of 16 and 256 (from memory)."""

    from_one = ("rings", "angles")

    rings: int = 5
    """Distances at which windows start."""
    angles: int = 16
    """Directions at which they do."""


def build(config: Config, data: MeshData) -> Correspondence:
    """Mixture convolutions over geodesic polar coordinates."""
    from renote import graph
    from renote.graph.geometry.patch import polar_patches

    convolution = partial(graph.WindowConvolution, rings=config.rings, angles=config.angles)
    return mesh_correspondence(config, data, convolution, polar_patches)


def order(lab: Lab) -> Outcome:
    """Unseen poses, beside geodesic patches, anisotropic ones and the signatures."""
    from renote import systems
    from renote.experiment.correspondence import BASELINES, ORDER, side_by_side

    candidates = {name: None if name == "monet-mesh" else systems.get(name) for name in ORDER}
    wanted = [*itertools.pairwise(ORDER), *((name, ORDER[0]) for name in BASELINES)]
    return side_by_side(lab, candidates, wanted)


SYSTEM = MeshSystem(
    name="monet-mesh",
    title="Mixture model networks on surfaces",
    paper=Paper(
        "Monti, Boscaini, Masci, Rodolà, Svoboda & Bronstein",
        "Geometric Deep Learning on Graphs and Manifolds using Mixture Model CNNs",
        2017,
        "CVPR 2017",
        "arXiv:1611.08402",
    ),
    parts=("Gaussian windows over geodesic polar coordinates", "principal directions", "correspondence"),
    data="figures",
    config=Config,
    build=build,
    claims=(
        Claim(
            "order",
            "Windows that are learned tell points of deformed surfaces better than geodesic and anisotropic patches.",
            "figure 5, as curves on FAUST; exact vertices as later papers tabulate them, from memory, unverified",
            {"geodesic-cnn on FAUST": 42.3, "anisotropic-cnn on FAUST": 60.6, "monet-mesh on FAUST": 73.8},
            order,
        ),
    ),
    notes="Measured: 83.3 ± 0.9 % of the vertices exactly, above geodesic patches (81.0 ± 1.5) and anisotropic ones (60.7 ± 7.8, whose card says why they are below geodesic ones, so that the order as a whole does not "
    "hold), and above both signatures (13.8 and 28.8). Of the two ends of a principal direction papers do not say which begins; by the growth of the mean curvature the same vertex had another one in every second pose, so that windows could not agree "
    "(mean resultant length 0.59 over ten poses). The end to whose left heat stays longer is nearly always the same (0.95).",
    presets={"laptop": {**MESH_LAPTOP, "rings": 3}, "full": {**MESH_FULL, "rings": 3}},
)
