"""Small graphs and molecules as pictures and lists: a grid of samples, a film-strip of how they came about, a file of SMILES."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from renote.data import GraphForm, row_smiles
from renote.data.chemistry import rdkit
from renote.errors import UsageError
from renote.evaluate.picture import PALETTE
from renote.graph import matrices, node_pairs
from renote.train.checkpoint import write_atomic

SIDE = 128
_ELEMENTS = {"C": "#555555", "N": "#4269d0", "O": "#d03030", "F": "#3ca951", "S": "#efb118", "Cl": "#3ca951"}


def write_graphs(samples: Tensor, form: GraphForm, path: Path) -> list[Path]:
    """Write graphs as a picture (.png), molecules as SMILES (.smi, .txt) with a picture beside them, or rows of types (.npy).

    A line of SMILES that is empty stands for a sample that is no molecule.

    Args:
        samples: (n, sites) rows.
        form: what they mean.
        path: of the file.

    Returns:
        The files that were written.

    Raises:
        UsageError: for another ending, or SMILES of what is no molecule.
    """
    suffix, buffer, written = path.suffix.lower(), io.BytesIO(), [path]
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == ".npy":
        np.save(buffer, samples.cpu().numpy(), allow_pickle=False)
    elif suffix == ".png":
        graph_grid(samples[:256], form).save(buffer, "PNG")
    elif suffix in (".smi", ".txt"):
        lines = [text or "" for text in row_smiles(samples, form)]
        buffer.write("".join(f"{line}\n" for line in lines).encode())
        written += write_graphs(samples[:64], form, path.with_suffix(".png"))
    else:
        kinds = "SMILES (.smi), a picture (.png)" if form.molecules else "a picture (.png)"
        raise UsageError(f"out = {path}: write {kinds} or rows of types (.npy)")
    write_atomic(path, buffer.getvalue())
    return written


def write_graph_film(frames: Sequence[Tensor], form: GraphForm, path: Path) -> None:
    """Write the way from noise to graphs: one row a sample, one column a frame, nodes where they are at the end.

    Args:
        frames: each (n, sites).
        form: what they mean.
        path: of a picture (.png), or of rows (n, frames, sites) (.npy).

    Raises:
        UsageError: for another ending.
    """
    buffer = io.BytesIO()
    if path.suffix.lower() == ".npy":
        np.save(buffer, torch.stack([frame.cpu() for frame in frames], 1).numpy(), allow_pickle=False)
    elif path.suffix.lower() == ".png":
        places = [_places(row, form) for row in frames[-1]]
        fields = [_drawn(frame[k], form, places[k]) for k in range(len(frames[0])) for frame in frames]
        _sheet(fields, len(frames)).save(buffer, "PNG")
    else:
        raise UsageError(f"film = {path}: write a picture (.png) or rows of types (.npy)")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, buffer.getvalue())


def graph_grid(samples: Tensor, form: GraphForm, columns: int | None = None) -> Image.Image:
    """Graphs side by side, molecules as chemists draw them; what is no molecule is drawn as a graph with a red frame.

    Args:
        samples: (n, sites) rows.
        form: what they mean.
        columns: graphs in a row; about a square by default.
    """
    columns = columns or max(1, int(np.ceil(np.sqrt(len(samples)))))
    if not form.molecules:
        return _sheet([_drawn(row, form, _places(row, form)) for row in samples], columns)
    fields = []
    for row, text in zip(samples, row_smiles(samples, form)):
        if text is None:
            fields.append(_drawn(row, form, _places(row, form), "#d00000"))
            continue
        draw = rdkit("Chem.Draw.rdMolDraw2D")
        canvas = draw.MolDraw2DCairo(SIDE, SIDE)
        draw.PrepareAndDrawMolecule(canvas, rdkit("Chem").MolFromSmiles(text))
        canvas.FinishDrawing()
        fields.append(Image.open(io.BytesIO(canvas.GetDrawingText())).convert("RGB"))
    return _sheet(fields, columns)


def _sheet(fields: Sequence[Image.Image], columns: int) -> Image.Image:
    columns = min(columns, max(1, len(fields)))
    sheet = Image.new("RGB", (columns * SIDE, -(-len(fields) // columns) * SIDE), "white")
    for number, field in enumerate(fields):
        sheet.paste(field, (number % columns * SIDE, number // columns * SIDE))
    return sheet


def _drawn(row: Tensor, form: GraphForm, places: NDArray[np.float64], frame: str | None = None) -> Image.Image:
    """One graph, drawn twice as large for smooth lines."""
    big = 2 * SIDE
    field = Image.new("RGB", (big, big), "white")
    pen = ImageDraw.Draw(field)
    at = places * (big - 48) + 24
    i, j = (end.tolist() for end in node_pairs(form.nodes))
    for site, kind in enumerate(row[form.nodes :].tolist()):
        if 0 < kind < len(form.edge_types):
            one, other = at[i[site]], at[j[site]]
            along = other - one
            aside = np.array([-along[1], along[0]]) / max(1e-9, float(np.hypot(*along)))
            lines = kind if form.molecules else 1
            for line in range(lines):
                shift = aside * 7 * (line - (lines - 1) / 2)
                color = "#888888" if form.molecules else PALETTE[(kind - 1 + 9) % 10]
                pen.line([*(one + shift), *(other + shift)], fill=color, width=3)
    for node, kind in enumerate(row[: form.nodes].tolist()):
        if kind == form.absent:
            continue
        # of a mask there is a type more
        name = form.node_types[kind] if kind < len(form.node_types) else "?"
        color = _ELEMENTS.get(name.rstrip("+-0123456789"), PALETTE[kind % 10]) if form.molecules else PALETTE[kind % 10]
        x, y = at[node]
        pen.ellipse([x - 11, y - 11, x + 11, y + 11], fill=color if name != "?" else "#dddddd")
        if form.molecules and name != "C":
            pen.text((x, y), name, fill="white", anchor="mm")
    if frame is not None:
        pen.rectangle([2, 2, big - 3, big - 3], outline=frame, width=3)
    return field.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _places(row: Tensor, form: GraphForm) -> NDArray[np.float64]:
    """(N, 2) in [0, 1]: springs of unit length along edges, and apart from all others (Fruchterman & Reingold 1991)."""
    edges = matrices(row[None].long())[1][0].numpy()
    joined = ((edges > 0) & (edges < max(form.absent, 2))).astype(np.float64)
    there = row[: form.nodes].numpy() != form.absent
    angle = np.arange(form.nodes) * 2.399963  # the golden angle: no two alike
    place = np.stack([np.cos(angle), np.sin(angle)], 1) * np.sqrt(np.arange(1, form.nodes + 1))[:, None] / 2
    for heat in np.linspace(0.3, 0.01, 150):
        apart = place[:, None] - place[None]
        distance = np.sqrt((apart**2).sum(-1)) + 1e-6
        force = (1 / distance**2 - joined * distance) * there * there[:, None]
        step = (apart / distance[..., None] * force[..., None]).sum(1)
        length = np.sqrt((step**2).sum(1, keepdims=True)) + 1e-9
        place = place + step / length * np.minimum(length, heat)
    some = place[there] if there.any() else place
    low, high = some.min(0), some.max(0)
    scaled: NDArray[np.float64] = (place - (low + high) / 2) / max(float((high - low).max()), 1e-9) + 0.5
    return scaled.clip(0, 1)
