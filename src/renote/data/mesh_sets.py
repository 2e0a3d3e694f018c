"""Surfaces from files: the cats of TOSCA, and the user's own, `meshes:PATH`.

    PATH/NAME.off       a mesh (.obj and .ply too); vertex i of each is the same point, as in registrations
    PATH/NAME.txt       optional: a line a vertex of NAME, the number of the reference's vertex that it is, from 0; -1 where that is unknown

FAUST (Bogo et al. 2014), for those who have it, is `meshes:MPI-FAUST/training/registrations`: its hundred files `tr_reg_000.ply` … are split as usual, 80 of the first eight people
to train (the last ten of them select weights) and 20 of two others to test.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from renote.data.card import Card
from renote.data.mesh import load_mesh
from renote.data.mesh_data import MeshData
from renote.data.store import locate
from renote.errors import DataError, unknown

_ENDINGS = (".off", ".obj", ".ply")


def load_cats(card: Card) -> MeshData:
    """The two cats: one is the reference and all that is trained on, the other is tested on."""
    first, reference, pairs = (locate(card, file) for file in card.files)
    meshes = load_mesh(reference), load_mesh(first)
    labels = torch.arange(len(meshes[0].vertices)), _labels(pairs, len(meshes[1].vertices), len(meshes[0].vertices))
    parts = torch.tensor([0]), torch.tensor([], dtype=torch.long), torch.tensor([1])
    return MeshData(card.name, card, meshes, labels, meshes[0], *parts, names=("cat6", "cat0"))


def load(
    path: str,
    *,
    reference: str = "",
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> MeshData:
    """Meshes of a folder.

    Args:
        path: the folder.
        reference: name of the mesh, without ending, that all are compared with; the first in the order of names by default.
        validation_fraction: share of the meshes to select weights on.
        test_fraction: share to test on; the reference is trained on always.
        seed: of the split; FAUST has its own.

    Raises:
        DataError: there are no meshes, one is no surface, has another number of vertices than the reference and no .txt, or a .txt that is wrong; the message names it.
        UsageError: no mesh has the reference's name.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise DataError(f"the folder {str(folder)!r} {'is a file' if folder.is_file() else 'does not exist'}")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _ENDINGS)
    names = tuple(file.stem for file in files)
    if not files:
        raise DataError(f"{folder} has no meshes: put .off, .obj or .ply files there")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{folder} has several meshes named {twice}: name each once")
    if reference and reference not in names:
        raise unknown("mesh", reference, names)
    if not (0 <= validation_fraction < 1 and 0 <= test_fraction < 1 and validation_fraction + test_fraction < 1):
        raise DataError(
            f"validation_fraction = {validation_fraction} and test_fraction = {test_fraction}: each at least 0, both together below 1"
        )
    meshes = tuple(load_mesh(file) for file in files)
    base = names.index(reference) if reference else 0
    count, labels = len(meshes[base].vertices), []
    for file, mesh in zip(files, meshes):
        beside = file.with_suffix(".txt")
        if beside.is_file():
            labels.append(_labels(beside, len(mesh.vertices), count))
        elif len(mesh.vertices) == count:
            labels.append(torch.arange(count))
        else:
            raise DataError(
                f"{file} has {len(mesh.vertices)} vertices and the reference {files[base].name} has {count}: where vertices do not correspond by number, "
                f"{beside.name} must say which of the reference each is"
            )
    parts = _split(names, base, validation_fraction, test_fraction, seed)
    counts = {name: len(part) for name, part in zip(("train", "validation", "test"), parts)}
    card = Card(
        f"meshes:{path}",
        f"Meshes of the folder {folder.name}",
        "meshes",
        len(meshes),
        (count, 3),
        (),
        "the user's own",
        "the user's own",
        counts={**counts, "faces": len(meshes[base].faces)},
    )
    return MeshData(card.name, card, meshes, tuple(labels), meshes[base], *parts, names=names)


def _labels(path: Path, vertices: int, reference: int) -> Tensor:
    """(vertices,) numbers of the reference's vertices."""
    try:
        found = np.array([int(line) for line in path.read_text().split()], np.int64)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a number a line: {error}") from error
    if len(found) != vertices:
        raise DataError(f"{path} has {len(found)} numbers, and its mesh {vertices} vertices: one each")
    outside = (found < -1) | (found >= reference)
    if outside.any():
        line = int(outside.argmax())
        raise DataError(f"{path}, line {line + 1}: {found[line]} is no vertex of the reference, which has {reference}")
    return torch.from_numpy(found)


def _split(
    names: tuple[str, ...], base: int, validation: float, test: float, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    if len(names) == 100 and all(re.fullmatch(r"tr_reg_\d{3}", name) for name in names):
        return torch.arange(70), torch.arange(70, 80), torch.arange(80, 100)
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))
    others = order[order != base]
    held, selected = (min(round(share * len(names)), len(others)) for share in (test, validation))
    selected = min(selected, len(others) - held)
    rest = torch.cat([torch.tensor([base]), others[held + selected :]])
    return rest.sort().values, others[held : held + selected].sort().values, others[:held].sort().values
