"""Molecules: SMILES ↔ graphs, features by hand, the named sets, the user's table, splits, and what is refused."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from renote import data
from renote.data import MoleculeData, fingerprints, molecules
from renote.data.molecule_sets import with_last
from renote.errors import DataError, UsageError
from renote.graph import pick, unbatch

chem = pytest.importorskip("rdkit.Chem", reason="RDKit is not installed: pip install 'renote[molecules]'")

SMILES = ["CCO", "c1ccccc1C(=O)[O-]", "C[N+](C)(C)C", "c1cc[nH]c1", "N#CC=C", "[Na+].[Cl-]", "O", "C1CC1.CO"]


def loaded(name: str, **options: object) -> MoleculeData:
    found = data.load(name, **options)
    assert isinstance(found, MoleculeData)
    return found


def flat(smiles: str) -> str:
    """Canonical, without stereo."""
    molecule = chem.MolFromSmiles(smiles)
    chem.RemoveStereochemistry(molecule)
    return str(chem.MolToSmiles(molecule))


def test_features_of_a_molecule_by_hand() -> None:
    graphs, _ = molecules.to_graphs(molecules.read_smiles(["C=CC(=O)[O-]"]), ("C", "O"))
    x, edges = graphs.x, graphs.edge_features
    assert isinstance(x, torch.Tensor)
    assert edges is not None
    assert x.shape == (5, 2 + 7 + 5 + 4 + 3)
    # the second carbon: type C, degree 2, one hydrogen, sp2, no charge, not aromatic, in no ring
    assert x[1].nonzero().squeeze(1).tolist() == [0, 2 + 2, 9 + 1, 14 + 1]
    # the charged oxygen: type O, degree 1, no hydrogen, sp2 as it is conjugated, charge -1
    assert x[4].tolist()[18] == -1
    ends = list(zip(graphs.adjacency.source.tolist(), graphs.adjacency.target.tolist()))
    assert sorted(ends) == [(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (2, 4), (3, 2), (4, 2)]
    assert graphs.relation is not None
    kinds = dict(zip(ends, graphs.relation.tolist()))
    assert kinds == {(0, 1): 1, (1, 0): 1, (1, 2): 0, (2, 1): 0, (2, 3): 1, (3, 2): 1, (2, 4): 0, (4, 2): 0}
    assert torch.equal(edges[:, :4].argmax(1), graphs.relation)
    assert edges[ends.index((0, 1))].tolist() == [0, 1, 0, 0, 1, 0, 0, 0]  # double, conjugated


def test_stereo_of_double_bonds_is_told() -> None:
    graphs, _ = molecules.to_graphs(molecules.read_smiles(["F/C=C/F", "F/C=C\\F"]))
    assert graphs.edge_features is not None
    first, second = (part.edge_features for part in unbatch(graphs))
    assert first is not None
    assert second is not None
    assert first[:, 6:].sum(0).tolist() == [2, 0]
    assert second[:, 6:].sum(0).tolist() == [0, 2]


@pytest.mark.parametrize("kekulize", [False, True])
def test_there_and_back(kekulize: bool) -> None:
    found = molecules.read_smiles(SMILES, kekulize)
    types = molecules.atom_types_of(found)
    graphs, kept = molecules.to_graphs(found, types)
    assert graphs.relation is not None
    assert len(kept) == len(SMILES)
    assert bool((graphs.relation == 3).any()) is not kekulize
    assert molecules.to_smiles(graphs, types) == [flat(text) for text in SMILES]
    # and of a few of them in another order
    assert molecules.to_smiles(pick(graphs, torch.tensor([4, 1])), types) == [flat(SMILES[4]), flat(SMILES[1])]


def test_the_largest_of_several_parts() -> None:
    types = ("C", "O")
    graphs, _ = molecules.to_graphs(molecules.read_smiles(["CO.CCCC"], kekulize=True), types)
    assert molecules.to_smiles(graphs, types) == ["CCCC.CO"]
    assert molecules.to_smiles(graphs, types, largest=True) == ["CCCC"]


def test_impossible_molecules_are_none() -> None:
    types = ("C", "O", "N+")
    assert molecules.smiles_of([0, 1], {(0, 1): 2}, types) is None  # C#O: three bonds of an oxygen
    assert molecules.smiles_of([0, 0], {(0, 1): 3}, types) is None  # aromatic without a ring
    assert molecules.smiles_of([0], {(0, 0): 0}, types) is None
    assert molecules.smiles_of([], {}, types) is None
    assert molecules.smiles_of([2, 0, 0, 0, 0], {(0, k): 0 for k in range(1, 5)}, types) == "C[N+](C)(C)C"
    assert molecules.smiles_of([0, 1], {(0, 1): 1}, types) == "C=O"


def test_invalid_rows_are_told_and_left_out() -> None:
    found = molecules.read_smiles(["CCO", "C(C", "", "C(C)(C)(C)(C)C", "x", "O"])
    assert found.rows.tolist() == [0, 5]
    assert [row.row for row in found.skipped] == [1, 2, 3, 4]
    assert "valence" in found.skipped[2].reason
    assert "empty" in found.skipped[1].reason


def test_atoms_outside_the_types_are_told_and_left_out() -> None:
    found = molecules.read_smiles(["CCO", "CBr", "C[O-]", "CN"])
    graphs, kept = molecules.to_graphs(found, ("C", "O", "N"))
    assert kept.smiles == ("CCO", "C[O-]", "CN")  # O stands for O- too, which is not listed
    assert graphs.num_graphs == 3
    assert "Br" in kept.skipped[0].reason
    assert graphs["atom_type"].tolist() == [0, 0, 1, 0, 1, 0, 2]
    charged, _ = molecules.to_graphs(found, ("C", "O", "N", "Br", "O-"))
    assert charged["atom_type"].tolist() == [0, 0, 1, 0, 3, 0, 4, 0, 2]
    default, kept = molecules.to_graphs(molecules.read_smiles(["[Na]Cl"]))
    assert len(kept) == 1
    assert default["atom_type"].tolist() == [11, 8]
    for wrong in (("C", "C"), ("Xx",), ("C++",), ()):
        with pytest.raises(DataError, match="atom"):
            molecules.to_graphs(found, wrong)


def test_morgan_bits_are_those_of_rdkit() -> None:
    from rdkit.Chem import AllChem

    found = fingerprints.morgan(["CCO", "c1ccccc1"], 2, 1024)
    for row, text in zip(found, ["CCO", "c1ccccc1"]):
        peer = AllChem.GetMorganFingerprintAsBitVect(chem.MolFromSmiles(text), 2, nBits=1024)
        assert row.nonzero().squeeze(1).tolist() == list(peer.GetOnBits())


@pytest.mark.parametrize(("name", "size", "mean"), [("esol", 1128, -3.050), ("freesolv", 642, -3.803)])
def test_the_sets_are_the_published_ones(name: str, size: int, mean: float, mirror: Path) -> None:
    found = loaded(name)
    assert found.num_graphs == size == data.cards()[name].size
    assert found.graphs.num_features == data.cards()[name].shape[0]
    assert found.values is not None
    assert float(found.values.mean()) == pytest.approx(mean, abs=1e-3)
    assert sum(map(len, found.splits.values())) == size
    assert {part: len(numbers) for part, numbers in found.splits.items()} == data.cards()[name].counts


def test_large_sets_are_kept_read(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RENOTE_CACHE", str(tmp_path))
    from renote.data import molecule_sets

    card = data.cards()["qm9"]
    named = molecule_sets._named(card)
    short = molecule_sets.replace(named.first(4300), key="few")
    first, again = (molecule_sets._cached(short, True) for _ in range(2))
    assert len(list(tmp_path.rglob("qm9-*.npz"))) == 1
    assert (again.smiles, again.skipped) == (first.smiles, first.skipped)
    assert len(again.skipped) == 7
    assert (again.bonds == first.bonds).all()
    next(tmp_path.rglob("qm9-*.npz")).write_bytes(b"damaged")
    assert molecule_sets._cached(short, True).smiles == first.smiles


def test_the_lost_last_character_of_zinc(mirror: Path) -> None:
    assert with_last("CC[NH3+") == "CC[NH3+]"
    assert with_last("CC(C)(C)c1ccc2occ(CC(=O)Nc3ccccc3F)c2c") == "CC(C)(C)c1ccc2occ(CC(=O)Nc3ccccc3F)c2c1"
    for unsure in ("CCC#", "CCC", "C1CC2", "C1CC(C", "C%10CC%1"):
        assert with_last(unsure) is None
    found = loaded("zinc250k", n=300)
    assert found.num_graphs == 300
    assert not found.skipped


TABLE = "name,SMILES,boils,other\nethanol,CCO,78.4,1\nwrong,C(C,1,1\nbenzene,c1ccccc1,80.1,2\nwater,O,,3\nmethane,C,-161.5,4\n"


def test_the_users_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "mine.csv").write_text(TABLE)
    name = f"molecules:{tmp_path}/mine.csv"
    with caplog.at_level(logging.WARNING):
        found = loaded(name, target="boils", unit="°C", validation_fraction=0, test_fraction=0.34)
    assert "1 of 5 rows are left out" in caplog.text
    assert "line 3: 'C(C'" in caplog.text
    assert found.smiles == ("CCO", "c1ccccc1", "O", "C")
    assert found.rows == (2, 4, 5, 6)
    assert found.values is not None
    assert found.values.squeeze(1).tolist()[:2] == [78.4, 80.1]
    assert bool(found.values[2].isnan())
    assert len(found.train) + len(found.test) == 3
    assert 2 not in [*found.train.tolist(), *found.test.tolist()]
    assert (found.targets, found.units, found.outputs) == (("boils",), ("°C",), 1)
    both = loaded(name, target="boils,other")
    assert both.values is not None
    assert both.values.shape == (4, 2)
    none = loaded(name, target="none", atom_types="C,O")
    assert none.values is None
    assert len(none.train) == 0
    assert none.graphs.num_features == 2 + 19


def test_classes_and_a_split_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("smiles;label;split\nC;no;train\nX;yes;train\nCO;yes;test\nCC;;\n")
    found = loaded(f"molecules:{tmp_path}/m.csv")
    assert found.classes == ("no", "yes")
    assert found.labels.tolist() == [0, 1, -1]
    assert (found.train.tolist(), found.test.tolist()) == ([0], [1])


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\nC,1\n", {}, "smiles=COLUMN"),
        ("a,smiles\n1,C\n", {"smiles": "b"}, "'b' is missing"),
        ("a,smiles\n1,C\n", {"target": "b"}, "target 'b' is missing"),
        ("a,b,smiles\n1,2,C\n", {}, "choose by target"),
        ("a,smiles\nhigh,C\n", {"target": "a"}, "line 2: 'high'"),
        ("a,smiles\ninf,C\n", {"target": "a"}, "not finite"),
        ("a,smiles\n1,C(\n", {}, "none of 1 rows"),
        ("a,smiles\n1,C\n", {"unit": "m,s"}, "give one each"),
        ("a,smiles\n1,C\n", {"n": -1}, "n is -1"),
        ("a,smiles\n1,C\n", {"split": "folds"}, "unknown split"),
        ("a,smiles\n1,C\n", {"test_fraction": 1.0}, "below 1"),
        ("a,smiles\n1,C\n", {"atom_types": "C,Q"}, "'Q'"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, options: dict[str, object], message: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        data.load(f"molecules:{tmp_path}/m.csv", **options)


def test_parts_share_no_scaffold(mirror: Path) -> None:
    found = loaded("freesolv", split="scaffold")
    of = fingerprints.scaffolds(found.smiles)
    parts = [{of[k] for k in part.tolist()} for part in found.splits.values()]
    assert not (parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2])
    sizes = [len(part) for part in found.splits.values()]
    assert sum(sizes) == 642
    assert sizes[0] <= 0.8 * 642 < sizes[0] + 20
    # benzene's derivatives and chains, the largest groups, are trained on
    assert {"c1ccccc1", ""} <= parts[0]


def test_scaffolds_of_known_molecules() -> None:
    assert fingerprints.scaffolds(["CCO", "Cc1ccccc1", "c1ccccc1CCC2CC2C"]) == ["", "c1ccccc1", "c1ccc(CCC2CC2)cc1"]
