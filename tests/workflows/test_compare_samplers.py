"""All samplers on one model: what is counted, what is chosen, what is kept."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import TINY, renote, start
from PIL import Image

from renote import evaluate, experiment, systems
from renote.diffusion import SAMPLERS
from renote.errors import UsageError
from renote.experiment import SampleRun, samplers

SMALL = {"steps": 2, "batch_size": 4, "channels": 8, "multipliers": (1, 2), "attention": (2,), "head_channels": 8}
ONE_CALL = ("ancestral", "ddim", "euler", "dpm-solver", "unipc", "euler-maruyama")


class Counting(torch.nn.Module):
    """A network that counts the samples that it sees, by itself."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network, self.seen = network, 0

    def forward(self, noisy: torch.Tensor, *rest: Any) -> torch.Tensor:
        self.seen += len(noisy)
        out: torch.Tensor = self.network(noisy, *rest)
        return out


def tiny(name: str, **changes: Any) -> SampleRun:
    run = systems.get(name).train("digits", None, preset="small", progress=False, **{**SMALL, **changes})
    assert isinstance(run, SampleRun)
    run.module.denoiser.network = Counting(run.module.denoiser.network)
    return run


@pytest.fixture(scope="module")
def runs() -> dict[str, SampleRun]:
    return {name: tiny(name) for name in ("edm", "ddpm", "cfg", "ncsn", "score-sde")}


def seen(run: SampleRun, settings: dict[str, Any], n: int = 2) -> float:
    run.module.denoiser.network.seen = 0
    label = [0] * n if run.module.num_classes else None
    run.sample(n, label=label, **settings)
    return float(run.module.denoiser.network.seen) / n


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "ode"])
@pytest.mark.parametrize("system", ["edm", "ddpm", "cfg", "ncsn", "score-sde"])
def test_evaluations_are_those_that_a_counting_network_sees(
    runs: dict[str, SampleRun], system: str, sampler: str
) -> None:
    run, found = runs[system], []
    for settings in samplers.arrangements(run, sampler, (1, 6, 11, 70)):
        told = samplers.evaluations_of(run.module, settings)
        assert told == seen(run, settings)
        found.append((settings["steps"], told, settings.get("repeats")))
    guided = 2 if system == "cfg" else 1
    for steps, told, repeats in found:
        if sampler in ONE_CALL:
            assert told == guided * steps
        elif sampler == "langevin":
            assert told == guided * (repeats * steps + 1)
        else:
            assert told == guided * (2 * steps - 1)
    for most, (_, told, repeats) in zip((70, 11, 6), found[::-1]):
        per_step = guided * (1 if sampler in ONE_CALL else repeats if sampler == "langevin" else 2)
        # not one step more fits
        assert told <= most < told + per_step
    # a sampler that cannot do with one evaluation has no row for it
    cost_of_one = guided * (2 if sampler == "langevin" else 1)
    assert len(found) == (4 if cost_of_one == 1 else 3)


def test_a_guided_run_without_guidance_counts_once(runs: dict[str, SampleRun]) -> None:
    (settings,) = samplers.arrangements(runs["cfg"], "ddim", (7,), {"guidance_scale": 1.0})
    assert (
        settings["steps"] == samplers.evaluations_of(runs["cfg"].module, settings) == seen(runs["cfg"], settings) == 7
    )


def test_spacings_are_those_of_the_schedule(runs: dict[str, SampleRun]) -> None:
    found = {
        (system, sampler): samplers.spacing_for(sampler, runs[system].module)
        for system in ("edm", "ddpm", "cfg")
        for sampler in SAMPLERS
    }
    assert {found["edm", name] for name in ("ddim", "heun", "ancestral", "euler-maruyama")} == {"rho"}
    assert {found["edm", name] for name in ("unipc", "dpm-solver", "langevin")} == {"log-snr"}
    assert {found["ddpm", name] for name in SAMPLERS if name != "langevin"} == {"trailing"}
    # ddpm's schedule is linear, cfg's cosine
    assert (found["ddpm", "heun"], found["cfg", "heun"], found["cfg", "ddim"]) == ("trailing", "log-snr", "trailing")
    # a model of ten steps has no eleventh to be sampled at
    few = tiny("ddpm", num_train_steps=10)
    assert [s["steps"] for s in samplers.arrangements(few, "ddim", (5, 50))] == [5, 10]


def test_rows_are_what_sampling_and_measuring_give(runs: dict[str, SampleRun], tmp_path: Path) -> None:
    run = runs["edm"]
    found = experiment.compare_samplers(run, (5, 10), 20, 2, only=["heun", "ode"], work=tmp_path)
    heun = [row for row in found["rows"] if row["name"] == "heun"]
    assert [(row["steps"], row["evaluations"], row["spacing"]) for row in heun] == [(3, 5, "rho"), (5, 9, "rho")]
    features = evaluate.features(run.data)
    by_hand = [
        features.distance(run.sample(20, seed=20 * seed, sampler="heun", steps=5, spacing="rho")) for seed in range(2)
    ]
    assert heun[1]["values"] == pytest.approx(by_hand, rel=1e-6)
    assert heun[1]["mean"] == pytest.approx(sum(by_hand) / 2)
    assert heun[1]["std"] == pytest.approx(abs(by_hand[0] - by_hand[1]) / 2**0.5)
    # the adaptive solver takes what it needs: the loosest tolerance is there although it is beyond what was asked for
    (adaptive,) = (row for row in found["rows"] if row["name"] == "ode")
    run.module.denoiser.network.seen = 0
    for seed in range(2):
        run.sample(20, seed=20 * seed, sampler="ode", steps=2, spacing="log-snr", rtol=0.1, atol=0.1)
    assert adaptive["evaluations"] == run.module.denoiser.network.seen / 40 > 10
    assert found["best"].keys() == {"10"}
    assert found["best"]["10"]["name"] == "heun"


def rows(**lines: list[tuple[float, float, float]]) -> list[dict[str, Any]]:
    return [
        {"name": name, "evaluations": n, "mean": mean, "std": std, "metric": "distance"}
        for name, line in lines.items()
        for n, mean, std in line
    ]


def test_the_best_is_the_least_within_the_evaluations_and_names_its_equals() -> None:
    found = rows(
        heun=[(9, 5.0, 0.1), (19, 2.0, 0.3), (49, 1.0, 0.1)],
        unipc=[(10, 3.0, 0.2), (20, 2.3, 0.2), (50, 2.4, 0.1)],
        ddim=[(10, 6.0, 0.1), (20, 4.0, 0.1), (50, 1.05, 0.1)],
    )
    assert samplers.best(found, 10) == {"name": "unipc", "evaluations": 10, "mean": 3.0, "std": 0.2, "as_good": []}
    assert samplers.best(found, 20) == {
        "name": "heun",
        "evaluations": 19,
        "mean": 2.0,
        "std": 0.3,
        "as_good": ["unipc"],
    }
    # fewer evaluations than allowed are allowed too
    fifty = samplers.best(found, 50)
    assert fifty is not None
    assert (fifty["name"], fifty["as_good"]) == ("heun", ["ddim"])
    assert samplers.best(found, 8) is None
    document = {
        "evaluations": [10, 20],
        "rows": found,
        "best": {str(n): samplers.best(found, n) for n in (10, 20)},
        "run": "mine", "system": "edm", "data": "digits",
    }  # fmt: skip
    assert samplers.advice(document) == (
        "best within evaluations 10: unipc (3 ± 0.2) · 20: heun (2 ± 0.3; no worse: unipc)"
    )
    header, body = samplers.matrix(document)
    assert header == ["sampler", "10", "20", "more"]
    assert body[0] == ["heun", "5 ± 0.1 (9)", "2 ± 0.3 (19)", "1 ± 0.1 (49)"]
    axes = samplers.draw_samplers(document).axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["unipc", "ddim", "heun"]
    assert sorted(axes.containers[0].lines[0].get_xdata()) == [10, 20, 50]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "mine"
    renote("train", "edm", "--data", "digits", "--class-conditional", "--out", str(out), "--steps", "4", *TINY)
    return out


def test_the_command_writes_result_and_picture_and_goes_on_after_a_kill(folder: Path, tmp_path: Path) -> None:
    command = ["compare-samplers", str(folder), "--samples", "30", "--seeds", "2"]
    command += [
        "--evaluations",
        "3",
        "10",
        "20",
        "--work",
        str(tmp_path / "work"),
        "--out",
        str(tmp_path / "r/mine.json"),
    ]
    process = start(*command)
    while process.poll() is None and not list(tmp_path.glob("work/*/measurements.json")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (kept,) = tmp_path.glob("work/*/measurements.json")
    before = json.loads(kept.read_text())
    out, err = renote(*command)
    after = json.loads(kept.read_text())
    assert 0 < len(before) < len(after)
    # what was measured was not measured again: its seconds would differ
    assert {key: after[key] for key in before} == before
    found = json.loads((tmp_path / "r/mine.json").read_text())
    assert found.keys() == {
        "run", "system", "data", "protocol", "seeds", "samples", "parameters", "evaluations", "rows", "best",
        "command", "versions", "machine",
    }  # fmt: skip
    assert {row["name"] for row in found["rows"]} == set(SAMPLERS)
    fields = {"name", "evaluations", "steps", "spacing", "options", "metric", "mean", "std", "seconds", "values"}
    assert all(row.keys() == fields and len(row["values"]) == 2 for row in found["rows"])
    assert all(row["metric"] == "Fréchet distance (digits classifier features)" for row in found["rows"])
    assert "compare-samplers" in found["command"]
    assert Image.open(tmp_path / "r/mine.png").size[0] > 600
    assert re.search(r"best within evaluations 10: [a-z-]+ \(.* · 20: [a-z-]+ \(", out)
    assert all(name in out for name in SAMPLERS)
    assert "counted at it" in err
    # all is there: nothing is measured anew, and the numbers are the same
    again = json.loads(renote(*command, "--json")[0])
    assert again == {key: found[key] for key in again}
    assert json.loads(kept.read_text()) == after
    # and all is forgotten if that is asked for
    renote(*command[:2], "--samples", "30", "--seeds", "1", "--evaluations", "3", "--only", "ddim", "--fresh",
           "--work", str(tmp_path / "work"), "--out", str(tmp_path / "one.svg"))  # fmt: skip
    assert len(json.loads(kept.read_text())) == 1
    assert (tmp_path / "one.svg").read_text().startswith("<?xml")


def test_wrong_usage(folder: Path, tmp_path: Path) -> None:
    for options, message in (
        (["--only", "heum"], "Did you mean heun"),
        (["--out", "x.gif"], "write a picture"),
    ):
        _, err = renote("compare-samplers", str(folder), *options, status=2, cwd=tmp_path)
        assert message in err
    assert not list(tmp_path.iterdir())
    run = systems.load_run(folder)
    for options, message in (
        ({"evaluations": (0, 5)}, "evaluations >= 1"),
        ({"seeds": 0}, "seeds >= 1"),
        ({"samples": 1}, "samples >= 2"),
        ({"evaluations": (1,), "only": ["langevin"]}, "too few for langevin"),
        ({"evaluations": (2,), "only": ["ddim"], "churn": 3}, "churn is no option"),
    ):
        with pytest.raises(UsageError, match=message):
            experiment.compare_samplers(run, work=tmp_path, **options)
    lost = systems.get("edm").train("toy-swiss-roll", None, progress=False, steps=1, batch_size=4, channels=8)
    with torch.no_grad():
        next(lost.module.parameters()).fill_(torch.nan)
    with pytest.raises(UsageError, match="is it trained"):
        experiment.compare_samplers(lost, (2,), 10, 1, only=["ddim"], work=tmp_path)
    walker = systems.get("diffflow").train("toy-swiss-roll", None, progress=False, steps=1, batch_size=4)
    with pytest.raises(UsageError, match="its own way of sampling"):
        experiment.compare_samplers(walker, work=tmp_path)
