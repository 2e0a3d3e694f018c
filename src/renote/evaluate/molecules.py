"""Molecules that were made: whether they can be, how varied and how new they are, and whether their properties are those of real ones. Needs RDKit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from renote.data import GraphForm, SampleData, row_smiles
from renote.data.chemistry import rdkit
from renote.graph import matrices

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

PROPERTIES = ("atoms", "weight", "logP", "QED", "rings", "polar surface")


def molecule_measures(samples: Tensor, data: SampleData, most: int = 2000) -> dict[str, float]:
    """How good made molecules are.

    Args:
        samples: (n, sites) rows.
        data: what was learned from.
        most: molecules of each kind whose properties are compared.

    Returns:
        `validity`: share that RDKit accepts (valences, rings) and that is in one piece; `sanitized`: share that RDKit accepts; `uniqueness`: share of the valid
        that are different molecules; `novelty`: share of those that no training molecule is; and for each of `PROPERTIES` the Wasserstein distance
        between valid and real molecules, in standard deviations of the real; left out where the real are all alike.
    """
    form = data.graphs
    assert form is not None
    accepted = row_smiles(samples, form)
    valid = in_one_piece(accepted)
    different = set(valid)
    known = different & _known(data.train, samples, form)
    measures = {
        "validity": len(valid) / max(1, len(samples)),
        "sanitized": sum(text is not None for text in accepted) / max(1, len(samples)),
        "uniqueness": len(different) / max(1, len(valid)),
        "novelty": 1 - len(known) / max(1, len(different)),
    }
    if not valid:
        return measures
    real = properties(molecule_strings(data, most))
    for name, values in properties(valid[:most]).items():
        spread = float(real[name].std())
        # a weight is a sum whose last digit depends on the order of atoms
        if spread > 1e-9 * float(np.abs(real[name]).max()):
            measures[f"distance: {name}"] = _wasserstein(values, real[name]) / spread
    return measures


def in_one_piece(smiles: Sequence[str | None]) -> list[str]:
    """Those that are molecules, and one each.

    Args:
        smiles: as `row_smiles` gives them, None for what is no molecule.
    """
    return [text for text in smiles if text is not None and "." not in text]


def molecule_strings(data: SampleData, most: int) -> list[str]:
    """SMILES of held-out molecules, or of training molecules where none are held out."""
    assert data.graphs is not None
    rows = data.test if len(data.test) else data.train
    return [text for text in row_smiles(rows[:most], data.graphs) if text is not None]


def properties(smiles: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Properties of molecules by name, (n,) each: heavy atoms, weight in g/mol, logP (Crippen), QED, rings, polar surface in Å²."""
    chem, descriptors, crippen, qed, rings = (
        rdkit(module) for module in ("Chem", "Chem.Descriptors", "Chem.Crippen", "Chem.QED", "Chem.rdMolDescriptors")
    )
    functions = (
        lambda m: m.GetNumHeavyAtoms(),
        descriptors.MolWt,
        crippen.MolLogP,
        qed.qed,
        rings.CalcNumRings,
        rings.CalcTPSA,
    )
    with rdkit("rdBase").BlockLogs():
        made = [chem.MolFromSmiles(text) for text in smiles]
        rows = [[float(function(molecule)) for function in functions] for molecule in made if molecule is not None]
    table = np.array(rows, dtype=np.float64).reshape(-1, len(PROPERTIES))
    return dict(zip(PROPERTIES, table.T))


def draw_made(samples: Tensor, data: SampleData, most: int = 2000) -> Figure:
    """Histograms of the properties of made molecules, those that are valid, over those of real ones.

    Args:
        samples: (n, sites) rows.
        data: what was learned from.
        most: molecules of each kind.
    """
    assert data.graphs is not None
    valid = in_one_piece(row_smiles(samples, data.graphs))
    sets = {"held out" if len(data.test) else "training": molecule_strings(data, most), "made": valid[:most]}
    return draw_properties({label: properties(smiles) for label, smiles in sets.items() if smiles})


def draw_properties(columns: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> Figure:
    """A histogram for each property, the sets of molecules over one another.

    Args:
        columns: set → property → values.
    """
    from matplotlib.figure import Figure

    from renote.evaluate.picture import PALETTE

    figure = Figure(figsize=(11, 5.4), layout="constrained")
    for axes, name in zip(figure.subplots(2, 3).flat, PROPERTIES):
        every = np.concatenate([table[name] for table in columns.values()])
        whole = name in ("atoms", "rings")
        low, high = np.quantile(every, [0.001, 0.999])
        edges = np.arange(low - 0.5, high + 1) if whole else np.linspace(low, max(high, low + 1e-9), 40)
        for number, (label, table) in enumerate(columns.items()):
            axes.hist(table[name], edges, density=True, alpha=0.5, color=PALETTE[number], label=label)
        axes.set_title(name, fontsize=10)
        axes.set_yticks([])
        axes.spines[["top", "right", "left"]].set_visible(False)
    figure.axes[0].legend(frameon=False, fontsize=9)
    return figure


def _known(training: Tensor, samples: Tensor, form: GraphForm) -> set[str]:
    """SMILES of those training molecules that some sample may be: of the same atoms, joined alike."""
    alike = torch.isin(_colour(training, form), _colour(samples, form))
    return {text for text in row_smiles(training[alike], form) if text is not None}


def _colour(rows: Tensor, form: GraphForm, rounds: int = 4) -> Tensor:
    """(n,) int64, the same for graphs of the same atoms joined alike, by whatever bonds, as rings are written in two ways (Weisfeiler & Leman)."""
    found = []
    for part in torch.split(rows.long(), 10_000):
        nodes, edges = matrices(part)
        there, joined = nodes != form.absent, ((edges > 0) & (edges < form.absent)).long()
        colour = _mixed(nodes + 1) * there
        for _ in range(rounds):
            near = (joined * _mixed(colour)[:, None]).sum(-1)
            colour = _mixed(3 * colour + near) * there
        found.append(colour.sum(1))
    return torch.cat(found) if found else torch.empty(0, dtype=torch.long)


def _mixed(number: Tensor) -> Tensor:
    """Numbers whose sums tell sets apart (the finalizer of SplitMix64, which wraps around)."""
    number = (number ^ (number >> 30)) * -4658895280553007687
    number = (number ^ (number >> 27)) * -7723592293110705685
    return number ^ (number >> 31)


def _wasserstein(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(one, other))
