"""Every system that predicts links: it finds those that were taken out, is kept, and serves the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from renote import systems
from renote.cli import run_command
from renote.data import Card, LinkData, split_links
from renote.errors import RenoteError, UsageError
from renote.experiment import LinkRun, compare, train
from renote.graph import enclosing_subgraphs

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


def test_seal_settles_what_is_left_open() -> None:
    """Steps by epochs, hops by heuristics, k and labels by the training subgraphs; and a pair's score does not depend on what was kept."""
    system, given = systems.get("seal"), own()
    assert system.settle is not None
    config = system.settle(system.configure(epochs=2, batch_size=20), given)
    assert config.steps == 2 * -(-len(given.train) // 20)
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


def test_the_claim_of_seal_on_small_graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole experiment, on rings of cliques in the place of the eight graphs."""
    from renote.experiment import Lab
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


def test_the_claim_of_the_baselines_on_small_graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from renote.experiment import Lab
    from renote.systems import link_baselines

    class Small(Lab):
        def data(self, name: str, **options: Any) -> Any:
            return own(seed=options["seed"])

    monkeypatch.setattr(link_baselines, "GRAPHS", ("usair", "pb"))
    monkeypatch.setattr(link_baselines, "runs", lambda data: 2)
    found = link_baselines.table(Small(systems.get("link-baselines"), "laptop", tmp_path, progress=False))
    assert found.holds is False  # these are not the papers' graphs
    assert len(found.measured) == 2 * 8 + 2


def test_they_are_compared() -> None:
    found = compare([systems.get("link-baselines")], own(), 2)
    assert found["rows"][0]["metric"] == "test AUC (%)"
    assert "test pairs" in found["protocol"]
