"""Molecules with their atoms coloured by what each adds."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from torch import Tensor

from renote.data.chemistry import molecule_of, rdkit
from renote.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PIXELS = (480, 360)


def draw_molecules(
    smiles: Sequence[str], contributions: Sequence[Tensor], titles: Sequence[str], label: str, columns: int = 4
) -> Figure:
    """A panel a molecule: red atoms add, blue ones take away, as strongly as the scale beside them says, which all share.

    Args:
        smiles: valid ones.
        contributions: (atoms,) of each molecule, in the order of its SMILES.
        titles: of the panels.
        label: of the scale.
        columns: panels in a row.

    Raises:
        UsageError: there is no molecule, numbers of molecules or atoms differ, or RDKit is not installed.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize
    from matplotlib.figure import Figure

    if not smiles or not len(smiles) == len(contributions) == len(titles):
        raise UsageError(
            f"{len(smiles)} molecules, {len(contributions)} contributions and {len(titles)} titles: give one of each a molecule"
        )
    most = max((float(values.abs().max()) for values in contributions if len(values)), default=0.0) or 1.0
    # without the darkest shades of the map, in which letters would drown
    shown = colormaps["RdBu_r"](np.linspace(0.14, 0.86, 256))
    scale, colors = Normalize(-most, most), ListedColormap(shown)
    columns = min(columns, len(smiles))
    rows = -(-len(smiles) // columns)
    figure = Figure(figsize=(3.0 * columns + 0.9, 2.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for number, axes in enumerate(panels.flat):
        axes.set_axis_off()
        if number < len(smiles):
            shades = colors(scale(contributions[number].detach().cpu().numpy()))[:, :3]
            axes.imshow(_picture(smiles[number], shades))
            axes.set_title(titles[number], fontsize=9)
    figure.colorbar(ScalarMappable(scale, colors), ax=list(panels.flat), label=label, shrink=0.8)
    return figure


def _picture(smiles: str, shades: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Image.Image:
    molecule = molecule_of(smiles)
    if molecule.GetNumAtoms() != len(shades):
        raise UsageError(f"{smiles} has {molecule.GetNumAtoms()} atoms and {len(shades)} contributions: give one each")
    drawing = rdkit("Chem.Draw.rdMolDraw2D")
    canvas = drawing.MolDraw2DCairo(*_PIXELS)
    options = canvas.drawOptions()
    options.useBWAtomPalette()
    options.padding = 0.12
    options.fillHighlights = True
    ready = drawing.PrepareMolForDrawing(molecule)
    atoms = list(range(len(shades)))
    canvas.DrawMolecule(
        ready,
        highlightAtoms=atoms,
        highlightAtomColors={k: tuple(map(float, shades[k])) for k in atoms},
        highlightBonds=[],
        highlightAtomRadii=dict.fromkeys(atoms, 0.42),
    )
    canvas.FinishDrawing()
    return Image.open(io.BytesIO(canvas.GetDrawingText())).convert("RGB")
