"""Every system that predicts links: it finds those that were taken out, is kept, and serves the command line."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from renote import systems
from renote.cli import run_command
from renote.data import Card, LinkData, split_links
from renote.errors import RenoteError, UsageError
from renote.experiment import Lab, LinkRun, compare, train
from renote.graph import enclosing_subgraphs
from renote.systems.link_baselines import PUBLISHED

NAMES = [name for name in systems.names() if systems.get(name).kind == "links"]
each = pytest.mark.parametrize("name", NAMES)
SMALL: dict[str, dict[str, Any]] = {
    "link-baselines": {},
    "seal": {
        "epochs": 0,
        "steps": 150,
        "hidden": 16,
        "hops": 1,
        "learning_rate": 0.003,
        "validate_every": 20,
        "patience": 0,
    },
}
CARD = Card("own", "", "links", 0, (), ("no link", "link"), "", "")


def cliques(groups: int = 6, size: int = 7) -> torch.Tensor:
    """Groups of which all know each other, in a circle."""
    inside = torch.combinations(torch.arange(size))
    links = torch.cat([inside + g * size for g in range(groups)])
    bridges = torch.tensor([[g * size, ((g + 1) % groups) * size + 1] for g in range(groups)])
    return torch.cat([links, bridges])


def own(links: torch.Tensor | None = None, **changes: Any) -> LinkData:
    links = cliques() if links is None else links
    return split_links(CARD, links, [f"n{k}" for k in range(int(links.max()) + 1)], **changes)


def trained(name: str, given: LinkData, out: Path | None = None, **changes: Any) -> LinkRun:
    system = systems.get(name)
    run = train(system, given, system.configure(**{**SMALL[name], **changes}), out, progress=False)
    assert isinstance(run, LinkRun)
    scores = run.scores()
    assert scores.shape == (len(given.pairs),)
    assert bool(torch.isfinite(scores).all())
    return run


@each
def test_it_finds_links_that_were_taken_out(name: str) -> None:
    measures = trained(name, own()).evaluate()
    assert measures["test_auc"] > 90
    assert measures["test_average_precision"] > 80


@each
def test_a_graph_of_few_links(name: str) -> None:
    """Nodes without links once one was taken out, and no pair to validate or to test on."""
    run = trained(name, own(torch.tensor([[0, 1], [2, 3], [4, 5], [1, 2]]), test_fraction=0.3))
    assert run.evaluate().keys() >= {"test_auc", "test_average_precision"}
    assert "test_auc" not in trained(name, own(test_fraction=0.0, validation_fraction=0.0)).evaluate()


@each
def test_from_the_users_list_of_links(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edges, pairs, out = tmp_path / "edges.csv", tmp_path / "pairs.csv", str(tmp_path / "run")
    edges.write_text("source,target\n" + "".join(f"n{a},n{b}\n" for a, b in cliques().tolist()))
    line = ["train", name, "--data", f"links:{edges}"]
    for key, value in SMALL[name].items():
        line += [f"--{key.replace('_', '-')}", str(value)]
    run_command([*line, "--out", out, "--data-option", "candidates=20"])
    run_command(["predict", out, "--out", str(tmp_path / "likely.csv")])
    table = (tmp_path / "likely.csv").read_text().splitlines()
    assert table[0] == "source,target,score"
    assert 10 < len(table) <= 21
    known = {frozenset(row.split(",")) for row in edges.read_text().splitlines()[1:]}
    assert not any(frozenset(row.split(",")[:2]) in known for row in table[1:])
    scores = [float(row.split(",")[2]) for row in table[1:]]
    assert scores == sorted(scores, reverse=True)
    run_command(["show", out, "--out", str(tmp_path / "links.png")])
    run_command(["show", out, "--node", "0", "--out", str(tmp_path / "links.svg")])
    assert (tmp_path / "links.png").stat().st_size > 10_000
    capsys.readouterr()
    run_command(["evaluate", out, "--json"])
    assert '"test_auc"' in capsys.readouterr().out
    pairs.write_text("source,target\nn0,n9\nn3,n17\n")
    run_command([*line, "--out", out + "2", "--data-option", f"pairs={pairs}"])
    run_command(["predict", out + "2", "--out", str(tmp_path / "asked.csv")])
    table = (tmp_path / "asked.csv").read_text().splitlines()
    assert sorted(tuple(row.split(",")[:2]) for row in table[1:]) == [("n0", "n9"), ("n3", "n17")]


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    run = trained("link-baselines", own(test_fraction=0.0))
    with pytest.raises(UsageError, match="asks for no pairs"):
        run.picture()
    with pytest.raises(UsageError, match="node = 99: the nodes of own go from 0 to 41"):
        run.picture(99)
    with pytest.raises(UsageError, match="link-baselines needs a graph whose missing links are looked for, but digits"):
        train(systems.get("link-baselines"), "digits", systems.get("link-baselines").configure(), progress=False)
    with pytest.raises(UsageError, match="decay = 1"):
        systems.get("link-baselines").configure(decay=1.0)
    with pytest.raises(RenoteError, match="beta is 1"):
        trained("link-baselines", own(), heuristic="katz", beta=1.0)


def test_hits_are_counted_above_as_many_pairs_as_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edges, out = tmp_path / "edges.csv", str(tmp_path / "run")
    edges.write_text("source,target\n" + "".join(f"n{a},n{b}\n" for a, b in cliques().tolist()))

    def measured(*options: str) -> dict[str, float]:
        capsys.readouterr()
        run_command(["evaluate", out, "--json", *options])
        found: dict[str, float] = json.loads(capsys.readouterr().out)["measures"]
        return found

    for fraction, names in ((0.05, {"test_hits_at_1"}), (0.1, {"test_hits_at_10"})):
        out = str(tmp_path / f"run-{fraction}")
        option = f"test_fraction={fraction}"
        run_command(["train", "link-baselines", "--data", f"links:{edges}", "--data-option", option, "--out", out])
        assert {name for name in measured() if "hits" in name} == names
    found = measured("--hits", "2", "5")
    assert {name for name in found if "hits" in name} == {"test_hits_at_2", "test_hits_at_5"}
    assert found["test_hits_at_2"] <= found["test_hits_at_5"]
    with pytest.raises(UsageError, match=r"k is 99: hits are counted above the k-th of 13 pairs"):
        run_command(["evaluate", out, "--hits", "99"])


def test_seal_settles_what_is_left_open() -> None:
    """Steps by epochs, hops by heuristics, k and labels by the training subgraphs; and a pair's score does not depend on what was kept."""
    system, given = systems.get("seal"), own()
    assert system.settle is not None
    config = system.settle(system.configure(epochs=2, batch_size=20), given)
    assert config.steps == 2 * -(-len(given.train) // 20)
    given_steps = system.settle(system.configure(epochs=2, batch_size=20, steps=7), given)
    assert (given_steps.steps, system.settle(config, given).steps) == (7, config.steps)
    assert config.hops in (1, 2)
    assert config.k >= 10
    found = enclosing_subgraphs(given.graph.adjacency, given.pairs[given.train], config.hops)
    assert config.labels == int(found["label"].max())
    run = trained("seal", given, steps=2)
    numbers = torch.cat([given.train[:5], given.test[:5]])
    before = run.module.scores(numbers)
    run.module._kept = None  # type: ignore[attr-defined]
    torch.testing.assert_close(run.module.scores(numbers), before)
    few = trained("seal", given, steps=2, max_nodes_per_hop=2)
    assert int(few.module.subgraphs(given.train).members.count.max()) <= 4  # type: ignore[attr-defined]
    for wrong in ({"k": 5}, {"hops": -1}, {"dropout": 1.0}, {"exceed": 0.0}, {"hidden": 0}):
        with pytest.raises(UsageError, match=f"{next(iter(wrong))} = "):
            system.configure(**wrong)


def test_embeddings_stand_beside_the_labels_and_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Spectral, or attributes of the user's table; what was learned of rows is used with the same rows later."""
    edges, nodes = tmp_path / "edges.csv", tmp_path / "nodes.csv"
    edges.write_text("source,target\n" + "".join(f"n{a},n{b}\n" for a, b in cliques().tolist()))
    # the attribute is the group, and a node without links has it too
    nodes.write_text("id,group,size\nalone,9,1\n" + "".join(f"n{k},{k // 7},7\n" for k in range(42)))
    line = ["train", "seal", "--data", f"links:{edges}", "--data-option", f"nodes={nodes}"]
    for key, value in {**SMALL["seal"], "steps": 4, "validate_every": 0}.items():
        line += [f"--{key.replace('_', '-')}", str(value)]
    widths = {}
    for kind in ("none", "spectral", "attributes"):
        out = str(tmp_path / kind)
        size = ["--embedding-size", "5"] if kind == "spectral" else []
        run_command([*line, "--embeddings", kind, *size, "--out", out])
        capsys.readouterr()
        run_command(["evaluate", out, "--json"])
        assert '"test_auc"' in capsys.readouterr().out
        found: Any = systems.load_run(out)
        widths[kind] = len(next(found.module.parameters()))
        kept = found.module.rows
        if kind == "none":
            assert kept is None
            assert "rows" not in found.module.state_dict()
        else:
            assert kept.shape == (43, 5 if kind == "spectral" else 2)
            # the eigenvectors are of mean square 1; so are attributes, of whatever units
            torch.testing.assert_close(kept.square().mean(0), torch.ones(kept.shape[1]))
            before = found.scores()
            found.module.rows = -kept
            assert not torch.allclose(found.scores(), before)
            # eigenvectors may come out with another sign: those of the training are the ones that count
            found.module.load_state_dict(systems.load_run(out).module.state_dict())
            torch.testing.assert_close(found.scores(), before)
    assert widths["spectral"] == widths["none"] + 5
    assert widths["attributes"] == widths["none"] + 2
    with pytest.raises(UsageError, match=r"embeddings = attributes, and own has no attributes.*nodes=NODES.csv"):
        trained("seal", own(), embeddings="attributes")
    with pytest.raises(UsageError, match="embedding_size = 99 eigenvectors of 42 nodes"):
        trained("seal", own(), embeddings="spectral", embedding_size=99)


def test_an_embedding_does_not_tell_which_training_pairs_have_a_link() -> None:
    """Negative injection: the Laplacian is that of a graph that joins every pair that is seen in training."""
    given = own()
    system = systems.get("seal")
    config = system.configure(**{**SMALL["seal"], "embeddings": "spectral", "embedding_size": 6})
    rows = system.build(config, given).rows.double()
    seen = given.pairs[torch.cat([given.train, given.validation])]
    dense = torch.zeros(42, 42, dtype=torch.float64)
    dense[seen[:, 0], seen[:, 1]] = dense[seen[:, 1], seen[:, 0]] = 1.0
    scale = dense.sum(1).rsqrt()
    values = torch.linalg.eigvalsh(torch.eye(42) - scale[:, None] * dense * scale)
    image = rows - scale[:, None] * (dense @ (scale[:, None] * rows))
    torch.testing.assert_close(image, rows * values[:6], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(rows.T @ rows / 42, torch.eye(6, dtype=torch.float64), atol=1e-4, rtol=1e-4)


def test_the_claim_of_seal_on_small_graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole experiment, on rings of cliques in the place of the eight graphs."""
    from renote.systems import seal

    class Small(Lab):
        def data(self, name: str, **options: Any) -> Any:
            return own(seed=options["seed"])

        def train(self, data: str, key: str, *given: Any, **changes: Any) -> Any:
            options = changes.pop("data_options")
            config = {**SMALL["seal"], "steps": 3, "seed": changes["seed"]}
            return trained("seal", self.data(data, **options), **config)

    monkeypatch.setattr(seal, "GRAPHS", ("usair", "pb"))
    monkeypatch.setattr(seal, "runs", lambda data: 2)
    found = seal.auc(Small(systems.get("seal"), "laptop", tmp_path, progress=False))
    assert found.holds is False
    assert set(found.measured) >= {"usair", "pb", "best heuristic on pb"}
    assert 0 <= found.measured["pb"]["mean"] <= 100


def test_rounds_of_simrank() -> None:
    """On a line of five, links away to either side alike, the ends are 4 apart: two rounds reach them, one does not. Convergence is the default."""
    line = torch.stack([torch.arange(4), torch.arange(1, 5)], 1)
    given = own(line, test_fraction=0.0, validation_fraction=0.0)
    pair = torch.tensor([[0, 4]])

    def score(**changes: Any) -> float:
        system = systems.get("link-baselines")
        network = system.build(system.configure(heuristic="simrank", **changes), given).network
        return float(network(given.graph, pair))

    # S_04 = γ S_13, S_13 = γ/4 (S_00 + S_02 + … ): each round looks a step further
    assert score(rounds=1) == 0.0
    assert score(rounds=2) == pytest.approx(0.8 * 0.8 / 4)
    assert score(rounds=3) < score() == pytest.approx(score(rounds=100))
    with pytest.raises(UsageError, match="rounds = -1"):
        systems.get("link-baselines").configure(rounds=-1)


def test_the_claim_of_the_baselines_on_small_graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from renote.systems import link_baselines

    class Small(Lab):
        def data(self, name: str, **options: Any) -> Any:
            return own(seed=options["seed"])

    monkeypatch.setattr(link_baselines, "GRAPHS", ("usair", "pb"))
    monkeypatch.setattr(link_baselines, "runs", lambda data: 2)
    found = link_baselines.table(Small(systems.get("link-baselines"), "laptop", tmp_path, progress=False))
    assert found.holds is False  # these are not the papers' graphs
    assert len(found.measured) == 2 * 8 + 2


def told_areas(lab: Lab, data: str, seed: int) -> dict[str, float]:
    return dict.fromkeys(PUBLISHED, 50.0 + seed)


def told_area(lab: Lab, data: str, seed: int) -> float:
    return 60.0 + seed


@pytest.mark.parametrize("name", ["seal", "link-baselines"])
def test_cells_are_given_out_to_processes_under_the_keys_they_always_had(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from renote.systems import link_baselines, seal

    class Spy(Lab):
        def measure_all(self, tasks: Any) -> Any:
            given.update(
                {key: pickle.loads(pickle.dumps((f, (Lab(*parts), *rest)))) for key, (f, (_, *rest)) in tasks.items()}
            )
            return super().measure_all(tasks)

    given: dict[str, Any] = {}
    parts: Any = (systems.get(name), "laptop", tmp_path)
    for module in (link_baselines, seal):
        monkeypatch.setattr(module, "areas", told_areas)
        monkeypatch.setattr(module, "GRAPHS", ("usair", "pb"))
        monkeypatch.setattr(module, "runs", lambda data: 2)
    monkeypatch.setattr(seal, "_area", told_area)
    outcome = systems.get(name).claim().experiment(Spy(*parts, progress=False))
    cells = [f"{data}, split {seed}" for data in ("usair", "pb") for seed in (0, 1)]
    expected = cells if name == "link-baselines" else [f"{c}, {what}" for c in cells for what in ("heuristics", "seal")]
    assert list(given) == list(json.loads((tmp_path / "measurements.json").read_text())) == expected
    for _, (lab, *_) in given.values():
        assert (lab.system, lab.folder, lab.progress, lab.processes) == (parts[0], tmp_path, False, 1)
    one = "pb" if name == "seal" else "katz on pb"
    assert outcome.measured[one]["mean"] == (60.5 if name == "seal" else 50.5)


def test_they_are_compared() -> None:
    found = compare([systems.get("link-baselines")], own(), 2)
    assert found["rows"][0]["metric"] == "test AUC (%)"
    assert "test pairs" in found["protocol"]
