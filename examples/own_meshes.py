"""Write the files of a worked example (docs/pages/own-meshes.md): a folder of registered poses, and two scans in unseen poses whose vertices are in no order."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from renote import data
from renote.data import MeshData
from renote.graph.geometry.mesh import Mesh


def write(path: Path, mesh: Mesh) -> None:
    """A mesh as text, in Geomview's form."""
    path.parent.mkdir(exist_ok=True)
    lines = [f"OFF\n{len(mesh.vertices)} {len(mesh.faces)} 0"]
    lines += [" ".join(f"{x:.5f}" for x in vertex) for vertex in mesh.vertices]
    lines += [f"3 {a} {b} {c}" for a, b, c in mesh.faces.tolist()]
    path.write_text("\n".join(lines) + "\n")


figures = data.load("figures", train=40, validation=0, test=2, seed=7)
assert isinstance(figures, MeshData)
for number in figures.train.tolist():
    write(Path("poses", f"pose{number:02d}.off"), figures.meshes[number])
draw = np.random.default_rng(0)
truth = []
for name, number in zip(("one", "other"), figures.test.tolist()):
    mesh = figures.meshes[number]
    order = draw.permutation(len(mesh.vertices))
    place = np.argsort(order)
    write(Path(f"{name}.off"), Mesh(mesh.vertices[order], place[mesh.faces]))
    truth.append((order, place))
# which vertex of the other each vertex of the one is: known here, as it was drawn
Path("truth.txt").write_text("\n".join(map(str, truth[1][1][truth[0][0]])) + "\n")
print(f"{len(figures.train)} poses of {figures.num_classes} vertices in poses/, and one.off, other.off")
