"""What molecules are compared by: circular fingerprints and scaffolds. Needs RDKit (the extra `molecules`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from renote.data.chemistry import molecule_of, rdkit


def scaffolds(smiles: Sequence[str]) -> list[str]:
    """The Bemis-Murcko scaffold of each: its rings and what links them, as SMILES without stereo; empty without a ring.

    Source:
        Bemis & Murcko (1996), "The properties of known drugs. 1. Molecular frameworks".
    """
    murcko = rdkit("Chem.Scaffolds.MurckoScaffold")
    return [murcko.MurckoScaffoldSmiles(smiles=text, includeChirality=False) for text in smiles]


def morgan(smiles: Sequence[str], radius: int = 2, bits: int = 2048) -> Tensor:
    """Circular fingerprints: a bit for each neighbourhood up to a radius, hashed; (molecules, bits) uint8.

    Args:
        smiles: valid ones.
        radius: of the neighbourhoods, in bonds; 2 is ECFP4.
        bits: their number.

    Source:
        Rogers & Hahn (2010), "Extended-connectivity fingerprints".
    """
    generator = rdkit("Chem.rdFingerprintGenerator").GetMorganGenerator(radius=radius, fpSize=bits)
    found = np.zeros((len(smiles), bits), dtype=np.uint8)
    with rdkit("rdBase").BlockLogs():
        for k, text in enumerate(smiles):
            found[k] = generator.GetFingerprintAsNumPy(molecule_of(text))
    return torch.from_numpy(found)
