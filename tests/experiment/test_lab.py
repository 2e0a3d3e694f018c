"""The lab of an experiment: trainings in stages, measurements that are kept, time that is counted once."""

import pytest
import torch

from renote import systems
from renote.experiment import Lab

TINY = {"batch_size": 4, "channels": 8, "multipliers": (1,), "attention": (), "checkpoint_every": 2}


def lab(folder):
    return Lab(systems.get("ddpm"), "laptop", folder, progress=False)


def stage(where, steps):
    options = {**TINY, "steps": steps, "learning_rate_schedule": "constant"}
    return where.train("digits", "run", preset="small", **options)


def test_a_training_in_stages_is_the_whole_one(tmp_path):
    parts = lab(tmp_path / "parts")
    for steps in (3, 5):
        staged = stage(parts, steps)
        assert staged.trained.step == steps
    whole = stage(lab(tmp_path / "whole"), 5)
    for name, value in whole.module.state_dict().items():
        assert torch.equal(staged.module.state_dict()[name], value)
    # an experiment that is run once more asks for the stages again
    assert stage(lab(tmp_path / "parts"), 3).trained.step == 5


def test_seconds_are_those_of_each_run_and_measurement(tmp_path):
    where = lab(tmp_path)
    run = stage(where, 5)
    assert len(list((run.folder / "checkpoints").glob("step-*"))) == 2
    assert where.seconds() == pytest.approx(run.trained.seconds)
    calls = []
    for _ in range(2):
        assert lab(tmp_path).measure("number", lambda: calls.append(0) or 7) == 7
    assert calls == [0]
    assert where.seconds() >= run.trained.seconds
