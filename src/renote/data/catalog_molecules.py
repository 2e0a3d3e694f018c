"""The sets of molecules that have a name, as `catalog` has all others."""

from __future__ import annotations

from renote.data.card import Card, File


def _molecules(
    name: str, title: str, size: int, source: str, licence: str, file: File, counts: dict[str, int] | None = None
) -> Card:
    return Card(name, title, "graphs", size, (31,), (), source, licence, (file,), name, counts or {})


_ALL = (
    _molecules(
        "esol",
        "Molecules; log10 of their solubility in water, mol/L",
        1_128,
        "Delaney (2004), ESOL; copy of MoleculeNet, Wu et al. (2018)",
        "paper's supplement; MIT (repository deepchem/deepchem)",
        File(
            "delaney-processed.csv",
            "8c06a76f0c6487d29ab0f903e6a7a7139f189ab3c1178f159c8be8964602f189",
            "https://raw.githubusercontent.com/deepchem/deepchem/master/datasets/delaney-processed.csv",
        ),
        {"train": 902, "validation": 113, "test": 113},
    ),
    _molecules(
        "freesolv",
        "Molecules; free energy of hydration, kcal/mol",
        642,
        "Mobley, Guthrie (2014), FreeSolv 0.52",
        "CC BY-NC-SA 4.0 commonly given",
        File(
            "database.txt",
            "2d13f095713bc39b85f85dd7b4e5483fbb12fc694bf253bb1d92a4c4d484f260",
            "https://raw.githubusercontent.com/MobleyLab/FreeSolv/master/database.txt",
        ),
        {"train": 514, "validation": 64, "test": 64},
    ),
    _molecules(
        "qm9",
        "Molecules of up to nine heavy atoms C, N, O, F; no values, to generate",
        132_737,
        "Ramakrishnan et al. (2014); SMILES of the repository valence-discovery/lapool",
        "CC0 (QM9); the repository states none",
        File(
            "qm9_smiles.csv.gz",
            "f7cc792c3e8c066fabf0645d11d8e3e98a41f4c6b7b6bed1e5b6425e5251c133",
            "https://raw.githubusercontent.com/valence-discovery/lapool/master/data/qm9.csv",
        ),
        {"skipped": 510},
    ),
    _molecules(
        "zinc250k",
        "Drug-like molecules; no values, to generate; those of ZINC250k whose lost last character is certain",
        197_440,
        "Irwin et al. (2012), ZINC; choice of Gómez-Bombarelli et al. (2018); copy of the repository wenhao-gao/mol_opt, whose lines lack their last character",
        "ZINC: free to use, not to sell; MIT (repository wenhao-gao/mol_opt)",
        File(
            "zinc.csv.gz",
            "b5aee28e83d84da5ef9fe66ef4902351352eb1b6981090bf7bf85b411f267e68",
            "https://raw.githubusercontent.com/wenhao-gao/mol_opt/main/data/zinc.csv.gz",
        ),
    ),
)

MOLECULES = {card.name: card for card in _ALL}
"""Every named set of molecules."""
