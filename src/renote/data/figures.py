"""A figure of one smooth skin in random poses: surfaces of which it is known which point of one is which of another.

    cage       the outside of a pile of cubes: trunk, head, arms, legs, tail, each of bones
    bones      point p of bone b is at  o_b + R_b S_b (p - o_b'),  with its joint o_b, the turn R_b of all bones before it, and its length and thickness S_b
    skin       the cage's corners follow the bones that they touch, in equal shares (linear blend skinning); Loop's subdivision makes it smooth

Left limbs are thinner and shorter than right ones: with sides that mirror each other, no intrinsic description could tell which is which.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np
import torch
from scipy.sparse import csr_array, eye_array

from renote.data.card import Card
from renote.data.mesh_data import MeshData
from renote.errors import DataError
from renote.graph.geometry.mesh import Integers, Mesh, Reals
from renote.graph.geometry.subdivide import loop_subdivision


@dataclasses.dataclass(frozen=True)
class Bone:
    """A part that moves as one.

    Args:
        parent: the bone that it hangs on; -1 for none.
        joint: about which it turns.
        axis: 0, 1, 2: along which it is long.
        cells: cubes by their lowest corners.
        bend: deviation of its turns, in radians.
        size: length and thickness, of those of its cubes.
    """

    parent: int
    joint: tuple[float, float, float]
    axis: int
    cells: tuple[tuple[int, int, int], ...]
    bend: float
    size: tuple[float, float] = (1.0, 1.0)


def _row(x: range, y: range, z: range) -> tuple[tuple[int, int, int], ...]:
    return tuple((a, b, c) for a in x for b in y for c in z)


_FRONT = range(1)
BONES = (
    Bone(-1, (1.5, 0.5, 3.5), 2, _row(range(3), _FRONT, range(3, 4)), 0.0, (1.0, 0.8)),
    Bone(0, (1.5, 0.5, 4.0), 2, _row(range(3), _FRONT, range(4, 6)), 0.2, (1.0, 0.9)),
    Bone(1, (1.5, 0.5, 6.0), 2, (*_row(range(1, 2), _FRONT, range(6, 8)), (1, -1, 7)), 0.3, (0.9, 0.9)),
    Bone(1, (0.0, 0.5, 5.5), 0, _row(range(-2, 0), _FRONT, range(5, 6)), 0.6, (0.85, 0.5)),
    Bone(3, (-2.0, 0.5, 5.5), 0, _row(range(-4, -2), _FRONT, range(5, 6)), 0.6, (0.8, 0.45)),
    Bone(1, (3.0, 0.5, 5.5), 0, _row(range(3, 5), _FRONT, range(5, 6)), 0.6, (1.0, 0.7)),
    Bone(5, (5.0, 0.5, 5.5), 0, _row(range(5, 7), _FRONT, range(5, 6)), 0.6, (1.1, 0.7)),
    Bone(0, (0.5, 0.5, 3.0), 2, _row(range(1), _FRONT, range(1, 3)), 0.5, (0.95, 0.6)),
    Bone(7, (0.5, 0.5, 1.0), 2, (*_row(range(1), _FRONT, range(-1, 1)), (0, -1, -1)), 0.5, (0.9, 0.55)),
    Bone(0, (2.5, 0.5, 3.0), 2, _row(range(2, 3), _FRONT, range(1, 3)), 0.5, (1.1, 0.8)),
    Bone(9, (2.5, 0.5, 1.0), 2, (*_row(range(2, 3), _FRONT, range(-1, 1)), (2, -1, -1)), 0.5, (1.1, 0.8)),
    Bone(0, (1.5, 1.0, 3.5), 1, _row(range(1, 2), range(1, 4), range(3, 4)), 0.5, (1.0, 0.45)),
)


def load(
    card: Card,
    *,
    train: int = 80,
    validation: int = 8,
    test: int = 12,
    shapes: int = 4,
    subdivisions: int = 1,
    noise: float = 0.1,
    seed: int = 0,
) -> MeshData:
    """Figures in random poses, each of one of a few shapes; the reference stands upright.

    Args:
        card: of `figures`.
        train: poses to train on.
        validation: poses to select weights on.
        test: poses to test on; each pose is there once.
        shapes: how many there are, of lengths and thicknesses that differ by a tenth.
        subdivisions: 1 for 506 vertices, each more for four times as many.
        noise: deviation of the vertices in each direction, in mean edges.
        seed: of everything.

    Raises:
        DataError: an option out of its range.
    """
    least = {"train": 0, "validation": 0, "test": 0, "shapes": 1, "subdivisions": 0, "noise": 0}
    given = (train, validation, test, shapes, subdivisions, noise)
    for (name, low), value in zip(least.items(), given):
        if not value >= low:
            raise DataError(f"{name} = {value}: at least {low}")
    if subdivisions > 5:
        raise DataError(f"subdivisions = {subdivisions}: at most 5, which are 128,000 vertices")
    smooth, faces = _skin(subdivisions)
    count = train + validation + test
    generator = np.random.default_rng(seed)
    sizes = np.array([bone.size for bone in BONES]) * generator.normal(1.0, 0.1, (shapes, len(BONES), 2)).clip(
        0.75, 1.25
    )
    if train + validation + test < 1:
        raise DataError("train, validation and test are 0: there would be no mesh")
    meshes = []
    for number in range(count):
        turns = generator.normal(size=(len(BONES), 3)) * [[bone.bend] for bone in BONES]
        turns[0] = generator.uniform(-np.pi, np.pi, 3)
        meshes.append(_noisy(Mesh(smooth @ posed(turns, sizes[number % shapes]), faces), noise, generator))
    reference = Mesh(smooth @ posed(np.zeros((len(BONES), 3)), np.array([bone.size for bone in BONES])), faces)
    labels = tuple(torch.arange(len(reference.vertices)) for _ in meshes)
    card = dataclasses.replace(
        card,
        size=count,
        shape=reference.vertices.shape,
        counts={"train": train, "validation": validation, "test": test, "faces": len(faces)},
    )
    numbers = torch.arange(count)
    parts = numbers[:train], numbers[train : train + validation], numbers[train + validation :]
    return MeshData(card.name, card, tuple(meshes), labels, reference, *parts)


def posed(turns: Reals, sizes: Reals) -> Reals:
    """The cage's corners in a pose.

    Args:
        turns: (bones, 3) axes, as long as the angle in radians.
        sizes: (bones, 2) lengths and thicknesses.

    Returns:
        (corners, 3).
    """
    corners, _, shares = _cage()
    rotations, origins, places = [], [], []
    for number, bone in enumerate(BONES):
        turn, joint = _rotation(turns[number]), np.array(bone.joint)
        if bone.parent < 0:
            rotations.append(turn)
            origins.append(joint)
        else:
            before = BONES[bone.parent]
            rotations.append(rotations[bone.parent] @ turn)
            away = _scaled(joint - before.joint, before, sizes[bone.parent])
            origins.append(origins[bone.parent] + rotations[bone.parent] @ away)
        places.append(origins[-1] + _scaled(corners - joint, bone, sizes[number]) @ rotations[-1].T)
    blended: Reals = np.einsum("vb,bvx->vx", shares, np.stack(places))
    return blended


def _scaled(away: Reals, bone: Bone, size: Reals) -> Reals:
    length, thickness = size
    scaled: Reals = away * np.where(np.arange(3) == bone.axis, length, thickness)
    return scaled


def _rotation(turn: Reals) -> Reals:
    """Rodrigues' formula."""
    angle = float(np.linalg.norm(turn))
    x, y, z = turn / angle if angle else turn
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation: Reals = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return rotation


@lru_cache
def _cage() -> tuple[Reals, Integers, Reals]:
    """Corners (n, 3), triangles (m, 3) and shares of the bones in each corner (n, bones) of the outside of all cubes."""
    bone_of = {cell: number for number, bone in enumerate(BONES) for cell in bone.cells}
    squares = []
    for cell in bone_of:
        for axis in range(3):
            for side in (0, 1):
                beside = tuple(c + (2 * side - 1) * (k == axis) for k, c in enumerate(cell))
                if beside in bone_of:
                    continue
                base = np.array(cell)
                base[axis] += side
                one, other = np.eye(3, dtype=np.int64)[[(axis + 1) % 3, (axis + 2) % 3]]
                square = [base, base + one, base + one + other, base + other]
                squares.append(square if side else square[::-1])
    corners, number = np.unique(np.array(squares).reshape(-1, 3), axis=0, return_inverse=True)
    quads = number.reshape(-1, 4)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    shares = np.zeros((len(corners), len(BONES)))
    place = {tuple(corner): k for k, corner in enumerate(corners.tolist())}
    for cell, bone in bone_of.items():
        for step in np.ndindex(2, 2, 2):
            corner = place.get(tuple(c + s for c, s in zip(cell, step)))
            if corner is not None:
                shares[corner, bone] += 1
    return corners.astype(np.float64), faces.astype(np.int64), shares / shares.sum(1, keepdims=True)


@lru_cache
def _skin(subdivisions: int) -> tuple[csr_array, Integers]:
    """From the cage's corners to the skin's vertices, and its triangles."""
    corners, faces, _ = _cage()
    smooth = csr_array(eye_array(len(corners), format="csr"))
    for _ in range(subdivisions):
        step, faces = loop_subdivision(faces, smooth.shape[0])
        smooth = csr_array(step @ smooth)
    return smooth, faces


def _noisy(mesh: Mesh, noise: float, generator: np.random.Generator) -> Mesh:
    away = noise * mesh.mean_edge * generator.normal(size=mesh.vertices.shape)
    return Mesh(mesh.vertices + away, mesh.faces)
