"""Triangular meshes from files."""

from __future__ import annotations

import os
from pathlib import Path

from renote.errors import DataError, UsageError
from renote.graph.geometry.mesh import Mesh


def load_mesh(path: str | os.PathLike[str]) -> Mesh:
    """A mesh of an `.off`, `.obj` or `.ply` file, its vertices in the file's order.

    Args:
        path: of the file.

    Raises:
        DataError: there is no such file, it is of another form, or it is no surface; the message says which face or vertex.
        UsageError: trimesh is not installed.
    """
    file = Path(path).expanduser()
    if file.suffix.lower() not in (".off", ".obj", ".ply"):
        raise DataError(f"{file}: a mesh is an .off, .obj or .ply file")
    if not file.is_file():
        raise DataError(f"{file} does not exist")
    try:
        import trimesh
    except ImportError as error:
        raise UsageError("meshes are read by trimesh: pip install 'renote[mesh]'") from error
    try:
        # joining or reordering vertices would lose what corresponds to what
        read = trimesh.load_mesh(str(file), process=False, maintain_order=True)
        vertices, faces = read.vertices, read.faces
    except Exception as error:
        raise DataError(f"{file} cannot be read as a mesh: {error}") from error
    try:
        return Mesh(vertices, faces)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
