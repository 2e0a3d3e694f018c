"""Every recommender: it learns groups of users, is kept and resumed, and serves the command line."""

from __future__ import annotations

import csv
import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from renote import systems
from renote.cli import run_command
from renote.data import Card, RatingData
from renote.data.ratings import split_pairs
from renote.errors import CheckpointError, UsageError
from renote.experiment import Lab, RecommendRun, System, compare, train

NAMES = [name for name in systems.names() if systems.get(name).kind == "ratings"]
each = pytest.mark.parametrize("name", NAMES)
SMALL = {"steps": 150, "hidden": 8, "batch_size": 200, "learning_rate": 0.02, "validate_every": 50, "patience": 0}


def groups(users: int = 40, items: int = 30) -> RatingData:
    """Users of one kind take half of the items of that kind, and none of the other."""
    generator = torch.Generator().manual_seed(0)
    same = torch.arange(users)[:, None] % 2 == torch.arange(items) % 2
    pairs = (same & (torch.rand(users, items, generator=generator) < 0.6)).nonzero()
    card = Card("groups", "", "ratings", len(pairs), (users, items), (), "", "")
    names = [tuple(f"{what}{k}" for k in range(n)) for what, n in (("u", users), ("i", items))]
    return RatingData("groups", card, names[0], names[1], *split_pairs(pairs, 0.1, 0.3, 0))


@each
def test_it_learns_what_a_kind_of_user_takes(name: str) -> None:
    system = systems.get(name)
    run = train(system, groups(), system.configure(**SMALL, k=5), progress=False)
    assert isinstance(run, RecommendRun)
    measures = run.evaluate()
    assert set(measures) == {f"{p}_{m}@5" for p in ("validation", "test") for m in ("recall", "ndcg")}
    # of 5 items out of about 10 that are left of the kind; out of all, half as many were hit by chance
    assert measures["test_recall@5"] > 0.4
    (mine,) = run.recommend(["u3"], 5)
    assert {int(item[1:]) % 2 for item, _ in mine} == {1}
    assert [score for _, score in mine] == sorted((score for _, score in mine), reverse=True)


@each
@pytest.mark.parametrize("draw", ["users", "pairs"])
def test_it_goes_on_as_if_it_had_never_stopped(name: str, draw: str, tmp_path: Path) -> None:
    system = systems.get(name)
    options = {**SMALL, "steps": 20, "validate_every": 10, "draw": draw}
    whole = train(system, groups(), system.configure(**options), progress=False)
    train(system, groups(), system.configure(**{**options, "steps": 10}), tmp_path / "run", progress=False)
    resumed = train(system, groups(), system.configure(**options), tmp_path / "run", resume=True, progress=False)
    for key, value in whole.module.state_dict().items():
        assert torch.equal(value, resumed.module.state_dict()[key]), key


def write(path: Path) -> Path:
    found = groups()
    with path.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["user", "item", "rating"])
        table.writerows([found.users[u], found.items[i], 4] for part in found.parts.values() for u, i in part.tolist())
    return path


def test_from_a_table_to_recommendations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ratings, run, out = write(tmp_path / "r.csv"), tmp_path / "run", tmp_path / "rec.csv"
    small = ["--steps", "60", "--hidden", "8", "--batch-size", "200", "--validate-every", "30"]
    run_command(["train", "lightgcn", "--data", str(ratings), "--out", str(run), *small])
    assert "renote recommend" in capsys.readouterr().err
    run_command(["recommend", str(run), "--user", "u3", "--user", "u4", "-k", "4", "--out", str(out)])
    rows = list(csv.DictReader(out.open()))
    assert [(row["user"], row["rank"]) for row in rows] == [(u, str(r)) for u in ("u3", "u4") for r in range(1, 5)]
    had = {(row["user"], row["item"]) for row in csv.DictReader(ratings.open())}
    assert not had & {(row["user"], row["item"]) for row in rows}
    run_command(["recommend", str(run), "--out", str(out)])
    assert {row["user"] for row in csv.DictReader(out.open())} == set(groups().users)
    run_command(["evaluate", str(run), "--json"])
    assert "test_recall@20" in capsys.readouterr().out
    with pytest.raises(UsageError, match=r"'u99' is not in .*did you mean"):
        run_command(["recommend", str(run), "--user", "u99"])
    with pytest.raises(UsageError, match="k = 31: there are 30 items"):
        run_command(["recommend", str(run), "-k", "31"])
    few, own = tmp_path / "few.csv", tmp_path / "few"
    few.write_text("user,item\n" + "".join(f"u{u},i{(u + k) % 6}\n" for u in range(6) for k in range(3)))
    run_command(["train", "lightgcn", "--data", str(few), "--out", str(own), *small, "--steps", "2"])
    run_command(["recommend", str(own), "--user", "u1", "--out", str(out)])  # fewer items than the k of the training
    assert 3 <= len(list(csv.DictReader(out.open()))) <= 4
    with pytest.raises(UsageError, match="'nobody' is not in"):
        run_command(["recommend", str(own), "--user", "nobody"])
    with pytest.raises(UsageError, match="use renote recommend"):
        run_command(["predict", str(run)])


@pytest.mark.parametrize("way", ["least", "split"])
def test_users_without_training_items_are_refused_by_name_and_not_measured(
    way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One whose ratings are all below `least`, one that only the test rows of a column `split` name."""
    found, path, run, out = groups(), tmp_path / "r.csv", str(tmp_path / "run"), tmp_path / "rec.csv"
    rows = [f"{found.users[u]},{found.items[i]},4,{part}" for part, of in found.parts.items() for u, i in of.tolist()]
    path.write_text("\n".join(["user,item,rating,split", *rows, "late,i3,2,test", "late,i5,2,test"]))
    options: list[str] = []
    if way == "least":
        path.write_text("\n".join(row.rsplit(",", 1)[0] for row in path.read_text().splitlines()))
        options = ["--data-option", "least=3"]
    small = ["--steps", "4", "--hidden", "8", "--batch-size", "200", "--validate-every", "2"]
    run_command(["train", "lightgcn", "--data", str(path), "--out", run, *options, *small])
    loaded = systems.load_run(run)
    assert loaded.data.card.counts["untrained"] == 1
    assert [loaded.data.users[user] for user in loaded.data.untrained.tolist()] == ["late"]
    capsys.readouterr()
    for command in (["evaluate", run], ["recommend", run, "--out", str(out)]):
        run_command(command)
        assert "1 of 41 users have no item in training" in capsys.readouterr().err
    assert {row["user"] for row in csv.DictReader(out.open())} == set(found.users)
    with pytest.raises(UsageError, match=r"user 'late': no item in training.*train anew"):
        run_command(["recommend", run, "--user", "u3", "--user", "late"])
    with pytest.raises(UsageError, match="user 'late'"):
        loaded.picture(loaded.data.users.index("late"))
    # the means are those over the others
    module = loaded.module
    _, scores = module.recommend(torch.arange(41), 20, ("train", "validation"))
    assert scores.shape == (41, 20)
    own: Any = loaded.data
    kept = own.test[own.test[:, 0] != own.users.index("late")]
    alone = type(module)(module.network, 41, own.num_items, {**own.parts, "test": kept}, module.decay)
    assert loaded.evaluate()["test_recall@20"] == pytest.approx(alone.ranking("test", 20)["recall"])


def test_a_run_is_of_its_ratings(tmp_path: Path) -> None:
    ratings, run = write(tmp_path / "r.csv"), tmp_path / "run"
    small = ["--steps", "2", "--hidden", "4", "--batch-size", "50"]
    run_command(["train", "lightgcn", "--data", str(ratings), "--out", str(run), *small])
    found = ratings.read_text()
    for changed in (found.replace("u1,", "a1,"), "\n".join(found.splitlines()[:-2])):
        ratings.write_text(changed)
        with pytest.raises(CheckpointError, match="the ratings of .* are not those that the run was trained on"):
            run_command(["recommend", str(run), "--out", str(tmp_path / "out.csv")])
    ratings.write_text(found)
    run_command(["recommend", str(run), "--out", str(tmp_path / "out.csv")])


def test_they_are_compared_by_recall() -> None:
    found = compare([systems.get(name) for name in NAMES], groups(), 2, **{**SMALL, "steps": 20})
    assert {row["metric"] for row in found["rows"]} == {"test recall@20 (%)"}
    assert "selected by recall on validation" in found["protocol"]


def test_other_data_and_nothing_to_learn_are_refused() -> None:
    with pytest.raises(UsageError, match="needs ratings"):
        train(systems.get("lightgcn"), "digits", systems.get("lightgcn").configure(), progress=False)
    card = Card("all", "", "ratings", 2, (1, 2), (), "", "")
    nothing = torch.empty(0, 2, dtype=torch.long)
    full = RatingData("all", card, ("a",), ("x", "y"), torch.tensor([[0, 0], [0, 1]]), nothing, nothing)
    with pytest.raises(UsageError, match="nothing to learn from"):
        train(systems.get("lightgcn"), full, systems.get("lightgcn").configure(), progress=False)
    with pytest.raises(UsageError, match="take lightgcn"):
        systems.get("matrix-factorization").configure(layers=2)


def small_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: str = "laptop") -> Lab:
    """A lab whose data are the groups, and whose trainings are short."""
    lab = Lab(systems.get("lightgcn"), size, tmp_path, progress=False)  # type: ignore[arg-type]
    monkeypatch.setattr("renote.data.load", lambda name, **options: groups())
    kinds = {name: systems.get(name).config for name in NAMES}
    real = System.configure

    def configure(self: Any, preset: str = "laptop", **changes: Any) -> Any:
        assert self.config is kinds[self.name]
        short = {"steps": min(changes["steps"], 30), "hidden": 8, "batch_size": 200, "validate_every": 10}
        return real(self, preset, **{**changes, **short})

    monkeypatch.setattr(System, "configure", configure)
    return lab


def test_the_claim_on_films_tunes_all_alike(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    outcome = systems.get("lightgcn").claim("movielens").experiment(small_lab(monkeypatch, tmp_path))
    assert set(outcome.measured) == {f"{m} {name}" for m in ("recall@20", "NDCG@20") for name in NAMES}
    kept = json.loads((tmp_path / "measurements.json").read_text())
    assert len(kept) == 3 * (6 + 5)
    means = {key: value["mean"] for key, value in outcome.measured.items()}
    best = all(
        means[f"{m} lightgcn"] > means[f"{m} {other}"]
        for m in ("recall@20", "NDCG@20")
        for other in ("ngcf", "matrix-factorization")
    )
    assert outcome.holds == best


def test_the_claim_on_gowalla_goes_on_from_mark_to_mark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from renote.experiment import lab as module

    monkeypatch.setattr(module, "train", partial(shortened, module.train))
    lab = Lab(systems.get("lightgcn"), "laptop", tmp_path, progress=False)
    monkeypatch.setattr(lab, "data", lambda name, **options: groups())
    outcome = systems.get("lightgcn").claim("gowalla").experiment(lab)
    assert outcome.measured["epochs"] == 5
    assert outcome.holds == (outcome.measured["recall@20"] >= 0.102)
    assert len(json.loads((tmp_path / "measurements.json").read_text())) == 10


def shortened(real: Any, system: Any, data: Any, config: Any, *given: Any, **options: Any) -> Any:
    small = {"steps": config.steps // 396 * 3, "hidden": 8, "batch_size": 50, "log_every": 3}
    return real(system, data, dataclasses.replace(config, **small), *given, **options)


def test_walks_in_the_place_of_all_neighbours_are_kept_and_learn(tmp_path: Path) -> None:
    system = systems.get("lightgcn")
    config = system.configure(**SMALL, k=5, neighbors="walks", top=8, walks=20)
    run = train(system, groups(), config, tmp_path / "run", progress=False)
    assert run.evaluate()["test_recall@5"] > 0.4
    with pytest.raises(UsageError, match="walks = 0"):
        system.configure(walks=0)


def test_a_picture_of_what_is_recommended(tmp_path: Path) -> None:
    ratings, run = write(tmp_path / "r.csv"), tmp_path / "run"
    run_command(["train", "lightgcn", "--data", str(ratings), "--out", str(run), "--steps", "20", "--hidden", "4"])
    run_command(["show", str(run), "--node", "3", "--out", str(tmp_path / "items.png")])
    assert (tmp_path / "items.png").stat().st_size > 10_000
    found = systems.load_run(run)
    axes = found.picture(3).axes[0]
    assert axes.get_title().endswith("items for u11")  # names are in alphabetical order
    # items, what the user has, what is recommended, and what of it was held out
    sizes = [len(points.get_offsets()) for points in axes.collections]
    assert sizes[0] == found.data.num_items
    assert sizes[1] == int((found.data.train[:, 0] == 3).sum())
    assert sizes[3] <= sizes[2] <= 20
    with pytest.raises(UsageError, match="node = 40"):
        found.picture(40)
