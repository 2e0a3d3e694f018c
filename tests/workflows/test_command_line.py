"""The command line as a user runs it: real processes, real data, real files."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import TINY, renote, start, within
from PIL import Image

from renote.train import checkpoint as checkpoints

DDPM = ["train", "ddpm", "--data", "digits", *TINY]
LVAE = [
    "train",
    "lvae",
    "--data",
    "digits",
    "--latents",
    "6",
    "3",
    "--hidden",
    "16",
    "8",
    "--batch-size",
    "16",
    "--device",
    "cpu",
]
NEIGHBORS = ["--batches", "neighbors", "--fan-outs", "5", "5", "--batch-size", "64", "--dropout", "0"]
SAGE = ["train", "graphsage", "--data", "power-law", "--data-option", "nodes=1000", *NEIGHBORS, "--device", "cpu"]
# no edges are read, so that three clusters are what two and one are
CLUSTERS = ["--batches", "clusters", "--clusters", "8", "--clusters-per-batch", "3", "--partition", "random"]
MLP = [
    "train",
    "mlp",
    "--data",
    "power-law",
    "--data-option",
    "nodes=200",
    *CLUSTERS,
    "--dropout",
    "0",
    "--device",
    "cpu",
]


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conditional model after a few steps: its pictures are noise, its files are real."""
    out = tmp_path_factory.mktemp("runs") / "cfg"
    arguments = ["train", "cfg", "--data", "digits", "--out", str(out), "--steps", "6", *TINY, "--preview-every", "3"]
    renote(*arguments, "--checkpoint-every", "2", "--log-every", "2")
    return out


def test_a_run_folder_has_all_that_is_promised(digits_run: Path) -> None:
    config = json.loads((digits_run / "config.json").read_text())
    assert config["system"] == "cfg"
    assert config["config"]["steps"] == 6
    assert "torch" in json.loads((digits_run / "environment.json").read_text())["versions"]
    assert [p.name for p in sorted((digits_run / "checkpoints").iterdir())] == ["step-00000004", "step-00000006"]
    assert Image.open(digits_run / "previews" / "step-00000003.png").size[0] > 64
    assert list((digits_run / "tensorboard").iterdir())
    unsafe = [p for p in digits_run.rglob("*") if p.suffix in {".pt", ".pth", ".pkl", ".ckpt", ".bin", ".tmp"}]
    assert not unsafe


def test_sample_writes_a_picture_and_a_film(digits_run: Path, tmp_path: Path) -> None:
    grid, film = tmp_path / "grid.png", tmp_path / "film.png"
    common = ["--sampler", "ddim", "--steps", "5", "--guidance-scale", "2", "--class", "3"]
    renote("sample", str(digits_run), "-n", "9", *common, "--out", str(grid), "--film", str(film))
    width, height = Image.open(grid).size
    assert width == height
    assert Image.open(film).size[0] > 0


def test_samples_do_not_depend_on_how_many_there_are(digits_run: Path, tmp_path: Path) -> None:
    for name, number in (("many", "5"), ("few", "2")):
        renote("sample", str(digits_run), "-n", number, "--steps", "4", "--out", str(tmp_path / f"{name}.npy"))
    many, few = np.load(tmp_path / "many.npy"), np.load(tmp_path / "few.npy")
    assert many.shape == (5, 1, 8, 8)
    assert many.dtype == np.uint8
    assert np.abs(many[:2].astype(int) - few.astype(int)).max() <= 1


def test_evaluate_names_its_features(digits_run: Path) -> None:
    out, _ = renote("evaluate", str(digits_run), "--samples", "40", "--json")
    measures = json.loads(out)["measures"]
    assert measures["features"] == "digits classifier features"
    assert measures["frechet_distance"] > 0
    assert 0 <= measures["class_accuracy"] <= 100


def test_a_killed_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    schedule = ["--steps", "40", "--checkpoint-every", "5", "--log-every", "5"]
    process = start(*DDPM, *schedule, "--out", str(tmp_path / "killed"))
    folder = tmp_path / "killed" / "checkpoints"
    while process.poll() is None and not list(folder.glob("step-*")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert list(folder.glob("step-*"))
    renote(*DDPM, *schedule, "--out", str(tmp_path / "killed"), "--resume")
    renote(*DDPM, *schedule, "--out", str(tmp_path / "whole"))
    killed, whole = (checkpoints.load(tmp_path / n / "checkpoints" / "step-00000040") for n in ("killed", "whole"))
    for stem in ("weights", "ema", "optimizer"):
        for name, tensor in whole.tensors[stem].items():
            assert torch.equal(tensor, killed.tensors[stem][name]), f"{stem}: {name}"
    logs = [
        [(row["step"], row["name"], row["value"]) for row in csv.DictReader((tmp_path / n / "log.csv").open())]
        for n in ("killed", "whole")
    ]
    assert logs[0] == logs[1]


@pytest.mark.parametrize(
    "command",
    [DDPM, [*LVAE, "--no-batch-norm", "--kl-warmup-steps", "50"], SAGE, MLP],
    ids=["ddpm", "lvae", "sage by neighbours", "mlp by clusters"],
)
def test_two_processes_train_as_one(tmp_path: Path, command: list[str]) -> None:
    schedule = ["--steps", "4", "--checkpoint-every", "4", "--log-every", "2"]
    renote(*command, *schedule, "--out", str(tmp_path / "one"))
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "renote.cli",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole = [*launch, *command, *schedule, "--out", str(tmp_path / "two")]
    done = subprocess.run(whole, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("saved in") == 1  # one of the processes speaks
    one, two = (
        checkpoints.load(tmp_path / n / "checkpoints" / "step-00000004").tensors["weights"] for n in ("one", "two")
    )
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=2e-5)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_no_thread_of_a_process_group_outlives_the_program(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import atexit, os, pathlib\n"
        "def threads():\n"
        "    names = [path.read_text().strip() for path in pathlib.Path('/proc/self/task').glob('*/comm')]\n"
        "    pathlib.Path(os.environ['RANK']).write_text(' '.join(names))\n"
        "atexit.register(threads)\n"  # the first to be registered is the last to be called
        "from renote.cli import main\n"
        "main()\n"
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    command = [*launch, *DDPM, "--steps", "1", "--out", str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=300, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert not [name for rank in "01" for name in (tmp_path / rank).read_text().split() if "gloo" in name]


def test_a_folder_with_another_run_is_refused_and_left_alone(digits_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(digits_run, copy)
    before = {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()}
    _, err = renote(*DDPM, "--out", str(copy), status=2)
    assert "already holds a run (cfg on digits)" in err
    _, err = renote(*DDPM, "--out", str(copy), "--resume", status=2)
    assert "holds another run" in err
    same = ["train", "cfg", "--data", "digits", "--out", str(copy), "--steps", "6", *TINY]
    _, err = renote(*same, "--learning-rate", "0.5", "--resume", status=2)
    assert "learning_rate = 0.5 (there 0.001)" in err
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    _, err = renote(*DDPM, "--out", str(tmp_path / "notes"), status=2)
    assert "is not empty and holds no run" in err
    assert {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()} == before


def test_a_checkpoint_cut_short_is_named_and_the_one_before_serves(digits_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(digits_run, copy)
    file = copy / "checkpoints" / "step-00000006" / "ema.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    out = ["--steps", "2", "--out", str(tmp_path / "x.png")]
    _, err = renote("sample", str(copy), *out, status=1)
    assert "ema.safetensors is cut short" in err
    assert "Remove that folder to go on from step-00000004" in err
    shutil.rmtree(copy / "checkpoints" / "step-00000006")
    renote("sample", str(copy), *out)


def test_no_space_while_saving_keeps_the_earlier_checkpoint(tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    schedule = ["--checkpoint-every", "100", "--log-every", "1"]
    renote(*DDPM, *schedule, "--steps", "2", "--out", out)
    file = tmp_path / "run" / "checkpoints" / "step-00000002" / "weights.safetensors"
    before = file.read_bytes()

    def small_files() -> None:
        # a file system that refuses large files behaves like a full one
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    _, err = renote(*DDPM, *schedule, "--steps", "3", "--out", out, "--resume", status=1, preexec_fn=small_files)
    assert "cannot save" in err
    assert "untouched" in err
    assert file.read_bytes() == before
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000002"]
    renote(*DDPM, *schedule, "--steps", "3", "--out", out, "--resume")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "residual-gnc"], "Did you mean residual-gcn"),
        (["train", "ddmp", "--out", "x"], "Did you mean"),
        (["train", "ddpm", "--data", "digitz", "--out", "x"], "Did you mean digits"),
        (["train", "ddpm", "--data", "digits-knn", "--out", "x"], "needs samples to generate"),
        (["train", "gcn", "--data", "digits", "--out", "x"], "needs a graph"),
        (["train", "ddpm", "--steps", "0", "--out", "x"], "steps = 0"),
        (["train", "ddpm", "--stepz", "3", "--out", "x"], "--steps"),
        (["train", "cfg", "--data", "toy-2d", "--out", "x"], "needs data with classes"),
        (["train", "ddpm", "--data-option", "size", "--out", "x"], "KEY=VALUE"),
        (["compare", "gcn", "ddpm"], "different tasks"),
        (["reproduce", "mlp"], "makes no claim of its own: compare it with others"),
        (["reproduce", "diffpool", "--claim", "fairy"], "measured by the claim fair of errica"),
        (["sampel", "x"], "Did you mean sample"),
        (["data", "describe", "corra"], "Did you mean cora"),
    ],
)
def test_wrong_usage_has_status_2_and_says_what_to_do(arguments: list[str], message: str, tmp_path: Path) -> None:
    _, err = renote(*arguments, status=2, cwd=tmp_path)
    assert message in err
    assert not list(tmp_path.iterdir())


def test_what_is_shown_is_a_system_or_a_run_folder(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    for name, message in (
        (
            "runs/nowhere",
            "the folder 'runs/nowhere' does not exist: name the run folder that a training wrote (its --out)",
        ),
        ("nowhere", "There is no run folder of that name either."),
        ("notes.txt", "notes.txt is a file: name a system"),
    ):
        assert message in within("show", name, "--out", "x.png", status=2, cwd=tmp_path)[1]


def test_wrong_samples_are_refused(digits_run: Path, tmp_path: Path) -> None:
    for options, message in (
        (["--class", "10"], "0 to 9"),
        (["--class", "x"], "no class of digits"),
        (["--sampler", "dimm"], "Did you mean ddim"),
        (["--steps", "2000"], "1000"),
        (["--sampler", "ddim", "--eta", "2"], "eta = 2"),
        (["-n", "0"], "n = 0"),
        (["--steps", "2", "--out", "x.gif"], "write a picture"),
    ):
        _, err = within("sample", str(digits_run), *options, status=2, cwd=tmp_path)
        assert message in err
    _, err = within("sample", str(tmp_path), status=1)
    assert "is not a run folder" in err


def test_a_graph_of_ones_own_from_tables_to_predictions(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    classes = np.repeat([0, 1], 30)
    edges = [
        (i, j) for i in range(60) for j in range(i) if generator.random() < (0.3 if classes[i] == classes[j] else 0.02)
    ]
    (tmp_path / "edges.csv").write_text("source,target\n" + "".join(f"{i},{j}\n" for i, j in edges))
    rows = [
        f"{i},{generator.normal():.3f},{generator.normal():.3f},{'red' if c else 'blue'}" for i, c in enumerate(classes)
    ]
    (tmp_path / "nodes.csv").write_text("id,a,b,label\n" + "\n".join(rows) + "\n")
    data = f"graph:{tmp_path}/edges.csv,{tmp_path}/nodes.csv"
    run = str(tmp_path / "run")
    within("train", "gcn", "--data", data, "--out", run, "--steps", "60")
    out, _ = within("evaluate", run, "--json")
    assert json.loads(out)["measures"]["test_accuracy"] > 60
    within("predict", run, "--out", str(tmp_path / "p.csv"))
    with (tmp_path / "p.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 60
    assert {row["class"] for row in table} <= {"red", "blue"}
    degrees = str(tmp_path / "degrees")
    within("train", "gcn", "--data", data, "--data-option", "features=degree", "--out", degrees, "--steps", "2")
    assert json.loads(within("evaluate", degrees, "--json")[0])["measures"].keys() >= {"test_accuracy"}


def test_a_repeated_option_keeps_all_its_values(digits_run: Path, tmp_path: Path) -> None:
    options = {"neighbors": 5, "seed": 3}
    forms = (
        ["--data-option", "neighbors=5", "--data-option", "seed=3"],
        ["--data-option=neighbors=5", "--steps", "3", "--data_option", "seed=3"],
        ["--data-option", "neighbors=5", "seed=3"],
    )
    train = ["train", "mlp", "--data", "digits-knn", "--steps", "2"]
    for number, form in enumerate(forms):
        within(*train, "--out", str(tmp_path / f"{number}"), *form)
        assert json.loads((tmp_path / f"{number}" / "config.json").read_text())["data"]["options"] == options
    # without the first option there are 100 training nodes still, but other neighbours
    tail = ["label-propagation", "--data", "digits-knn", "--seeds", "1", "--json"]
    lines = (["--data-option=neighbors=5", *tail, *forms[0][2:]], [*tail, *forms[2]], [*tail, *forms[0][2:]])
    found = [json.loads(within("compare", *line)[0])["rows"][0]["values"] for line in lines]
    assert found[0] == found[1] != found[2]
    draw = ["sample", str(digits_run), "-n", "2", "--sampler", "heun", "--steps", "3"]
    within(*draw, "--option", "spacing=rho", "--option", "churn=40", "--out", str(tmp_path / "a.npy"))
    within(*draw, "--option", "spacing=rho", "churn=40", "--out", str(tmp_path / "b.npy"))
    within(*draw, "--option", "churn=40", "--out", str(tmp_path / "c.npy"))
    one, same, other = (np.load(tmp_path / f"{name}.npy") for name in "abc")
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_pictures_of_ones_own_of_another_size(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    (tmp_path / "pictures").mkdir()
    for number in range(6):
        pixels = generator.integers(0, 255, (12, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{number}.png")
    run = str(tmp_path / "run")
    within("train", "ddpm", "--data", f"folder:{tmp_path}/pictures", "--out", run, "--steps", "2", *TINY)
    within("sample", run, "-n", "2", "--steps", "3", "--out", str(tmp_path / "s.npy"))
    assert np.load(tmp_path / "s.npy").shape == (2, 3, 12, 9)


@pytest.mark.parametrize(
    ("system", "option"), [("cold-diffusion", "algorithm=naive"), ("ihdm", "delta=0.5")], ids=["cold-diffusion", "ihdm"]
)
def test_degradations_serve_every_command(system: str, option: str, tmp_path: Path) -> None:
    run, few = str(tmp_path / "run"), ["--num-train-steps", "6", "--warmup-steps", "0", "--learning-rate", "0.02"]
    few += ["--sampling-steps", "6"] if system == "cold-diffusion" else []
    within("train", system, "--data", "digits", "--out", run, "--steps", "4", *TINY, *few, "--preview-every", "2")
    assert Image.open(tmp_path / "run" / "previews" / "step-00000002.png").size[0] > 64
    drawn = []
    for given in ([], ["--option", option]):
        within("sample", run, "-n", "3", "--out", str(tmp_path / "s.npy"), *given)
        drawn.append(np.load(tmp_path / "s.npy"))
    assert drawn[0].shape == (3, 1, 8, 8)
    assert not np.array_equal(*drawn)
    within("sample", run, "-n", "3", "--out", str(tmp_path / "s.png"), "--film", str(tmp_path / "way.png"))
    assert Image.open(tmp_path / "way.png").size[0] > 64
    measured = json.loads(within("evaluate", run, "--samples", "8", "--json")[0])
    assert measured["measures"]["frechet_distance"] > 0
    assert "leave bits out" in within("evaluate", run, "--samples", "8", "--bits", "bound", status=2)[1]
    assert "is no option" in within("sample", run, "--eta", "1", status=2)[1]


def test_points_train_and_sample(tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    within("train", "ddpm", "--data", "toy-2d", "--out", run, "--steps", "20", "--channels", "32")
    within("sample", run, "-n", "50", "--steps", "10", "--out", str(tmp_path / "points.png"))
    assert Image.open(tmp_path / "points.png").size[0] > 100


def test_json_documents_have_the_promised_fields() -> None:
    systems = json.loads(renote("list", "--json")[0])
    assert {s["name"] for s in systems} >= {"ddpm", "ddim", "cfg", "gcn", "mlp", "label-propagation"}
    for system in systems:
        assert system.keys() == {"name", "title", "family", "task", "paper", "claims"}
        assert system["paper"].keys() == {"authors", "title", "year", "id"}
        assert system["family"] in ("diffusion", "graph")
        assert all(claim.keys() == {"id", "statement", "published"} for claim in system["claims"])
    compared = json.loads(
        renote("compare", "gcn", "mlp", "--data", "digits-knn", "--seeds", "2", "--steps", "5", "--json")[0]
    )
    assert compared.keys() == {"data", "protocol", "seeds", "rows"}
    fields = {"name", "metric", "mean", "std", "seconds", "parameters", "peak_memory_mb"}
    assert all(row.keys() >= fields for row in compared["rows"])
    assert "about" in json.loads(renote("show", "ddim", "--json")[0])
    assert any(card["name"] == "digits" for card in json.loads(renote("data", "list", "--json")[0]))


def test_a_system_that_another_ones_claim_measures_says_so_and_runs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from matplotlib.figure import Figure

    from renote import systems
    from renote.cli import run_command
    from renote.experiment import Claim, Outcome

    asked = []

    def experiment(lab: Any) -> Outcome:
        asked.append(lab.system.name)
        return Outcome({"proteins diffpool": 73.0}, True, Figure(), (0,))

    errica = systems.get("errica")
    fair = dataclasses.replace(errica.claim("fair"), experiment=experiment)
    other = Claim("other", "Another.", "nowhere", {}, experiment)
    monkeypatch.setattr("renote.systems.errica.SYSTEM", dataclasses.replace(errica, claims=(other, fair)))
    monkeypatch.chdir(tmp_path)
    for arguments in (["diffpool"], ["gin", "--claim", "fair"]):
        run_command(["reproduce", *arguments])
        assert "the claim fair of errica measures it" in capsys.readouterr().err
    assert asked == ["errica", "errica"]
    assert Path("results", "errica", "fair-laptop.json").exists()
    run_command(["list"])
    assert "fair of errica" in " ".join(capsys.readouterr().out.split())
    run_command(["show", "diffpool", "--json"])
    assert json.loads(capsys.readouterr().out)["measured_by"] == {"system": "errica", "claim": "fair"}
    # every such pointer leads to a claim that measures the system by name
    measured = {name: systems.get(name).measured_by for name in systems.names() if systems.get(name).measured_by}
    assert {"diffpool", "gin", "graph-unet-graphs", "ngcf", "matrix-factorization"} <= measured.keys()
    for name, (where, claim) in measured.items():  # type: ignore[misc]
        assert not systems.get(name).claims
        assert systems.get(where).claim(claim).id == claim
    alone = {name for name in systems.names() if not systems.get(name).claims} - measured.keys()
    assert alone == {"dcnn-graphs", "mlp", "label-propagation"}


def test_a_comparison_is_drawn_against_time_and_memory(tmp_path: Path) -> None:
    compare = ["compare", "gcn", "mlp", "--data", "digits-knn", "--seeds", "2", "--steps", "5"]
    _, err = renote(*compare, "--out", "found/result.json", cwd=tmp_path)
    found = json.loads((tmp_path / "found" / "result.json").read_text())
    assert [row["name"] for row in found["rows"]] == ["gcn", "mlp"]
    assert "compare gcn mlp" in found["command"]
    assert "picture in found/result.png" in err
    width, height = Image.open(tmp_path / "found" / "result.png").size
    assert width > 2 * height
    renote("compare", "label-propagation", "--data", "digits-knn", "--seeds", "1", "--out", "costs.svg", cwd=tmp_path)
    assert (tmp_path / "costs.svg").read_text().count("<svg") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["costs.svg", "found"]
    _, err = renote(*compare, "--out", "result.txt", status=2, cwd=tmp_path)
    assert "write a picture (.png, .svg, .pdf) or a result (.json)" in err


def test_a_search_is_kept_with_its_command(tmp_path: Path) -> None:
    search = ["tune", "mlp", "--data", "digits-knn", "--seeds", "2", "--draws", "2", "--steps", "3"]
    out, err = renote(*search, "--out", "tuned/digits.json", cwd=tmp_path)
    found = json.loads((tmp_path / "tuned" / "digits.json").read_text())
    assert "tune mlp" in found["command"]
    assert found["rows"][0]["name"] == "mlp"
    assert "mlp" in out
    assert "2 candidates, the preset laptop and random draws" in err
    assert "write a result (.json)" in renote(*search, "--out", "tuned.png", status=2, cwd=tmp_path)[1]


def test_a_run_shows_where_it_attends(digits_run: Path, tmp_path: Path) -> None:
    run = str(tmp_path / "gat")
    within("train", "gat", "--data", "digits-knn", "--out", run, "--steps", "2")
    _, err = within("show", run, "--node", "5", "--out", "shares.png", cwd=tmp_path)
    assert "what gat finds on digits-knn: shares.png" in err
    assert Image.open(tmp_path / "shares.png").size[1] > 300
    for arguments, message in (
        ([run, "--node", "1797"], "go from 0 to 1796"),
        ([run, "--out", "shares.txt"], "write a picture"),
        ([str(digits_run)], "of which there is nothing to draw: use renote sample"),
    ):
        assert message in within("show", *arguments, status=2, cwd=tmp_path)[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gat", "shares.png"]


def test_every_commands_help_has_an_example() -> None:
    for command in (
        "list",
        "show",
        "sample",
        "predict",
        "evaluate",
        "compare",
        "compare-samplers",
        "tune",
        "checkpoints",
        "ship",
        "reproduce",
        "data list",
        "data describe",
    ):
        assert f"renote {command}" in renote(*command.split(), "--help")[0]
    assert "renote train ddpm" in renote("train", "--help")[0]
    out, _ = renote("train", "ddpm", "--help")
    for option in ("--learning-rate", "--ema-decay", "--multipliers", "--parameterization"):
        assert option in out


def test_the_demo_writes_one_page_that_stands_alone(tmp_path: Path) -> None:
    _, err = renote("demo", "--quick", "--out", "report.html", cwd=tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "Diffusion: digits from noise" in page
    assert "label-propagation" in page
    assert "report.html" in err
    assert (tmp_path / "runs" / "demo" / "digits" / "config.json").exists()


def test_listing_imports_no_tensor_library() -> None:
    code = "import sys, renote.cli; renote.cli.main(['list', '--json']); assert not {'torch', 'numpy', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
