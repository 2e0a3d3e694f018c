"""Ranges of options: each class names its own, and a value outside is told before anything is made."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args, get_type_hints

import pytest

from renote import systems
from renote.errors import UsageError
from renote.train.options import TrainOptions

NAN = float("nan")


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("gcn", {"dropout": 1.5}, r"dropout = 1.5 must lie in \[0, 1\)"),
        ("gcn", {"dropout": -0.5}, "dropout = -0.5 must lie"),
        ("gcn", {"dropout": NAN}, "dropout = nan must lie"),
        ("gcn", {"dropout": 1.0}, "dropout = 1.0 must lie"),
        ("gcn", {"hidden": -4}, "hidden = -4: it must be at least 1"),
        ("gcn", {"hidden": 0}, "hidden = 0"),
        ("gcn", {"learning_rate": NAN}, "learning_rate = nan: it must be at least 0"),
        *((name, {"layers": 0}, "layers = 0: it must be at least 1") for name in ("gat", "monet", "gaan", "gresnet")),
        ("gat", {"attention_dropout": 2.0}, "attention_dropout = 2.0"),
        ("dual-primal", {"output_heads": 0}, "output_heads = 0"),
        ("graphsage", {"aggregated": 0}, "aggregated = 0"),
        ("gaan", {"key_features": 0}, "key_features = 0"),
        ("monet", {"projected": -1}, "projected = -1: it must be at least 0"),
        ("sign", {"input_dropout": 1.0}, "input_dropout = 1.0"),
        ("gin", {"dropout": NAN}, "dropout = nan"),
        ("chebnet-signals", {"dropout": 1.0}, "dropout = 1.0"),
        ("chebnet-signals", {"features": (4, 0)}, r"features = \(4, 0\): each must be at least 1"),
        ("ddpm", {"dropout": NAN}, "dropout = nan"),
        ("ddpm", {"channels": 0}, "channels = 0"),
        ("graph-diffusion", {"edge_width": 0}, "edge_width = 0"),
        ("dcnn", {"hidden": 0}, "hidden = 0"),
        ("dcnn", {"hidden": 32}, "hidden = 32, but this system does not look at hidden: leave it out"),
        ("dcnn", {"layers": 9}, "layers = 9, but this system"),
        ("graph-bert", {"context": -1}, "context = -1: it must be at least 0"),
        ("graph-bert", {"role_rounds": -1}, "role_rounds = -1: it must be at least 0"),
        ("graph-bert", {"pretrain_steps": -1}, "pretrain_steps = -1: it must be at least 0"),
        ("cluster-gcn", {"enhancement": NAN}, "enhancement = nan: it must be at least 0"),
        ("dcnn-graphs", {"hidden": 32}, "hidden = 32, but this system does not look at hidden: leave it out"),
        ("dcnn-graphs", {"layers": 2}, "layers = 2, but this system"),
        ("circular-fingerprint", {"layers": 2}, "layers = 2, but this system"),
        ("label-propagation", {"steps": 7}, "steps = 7, but this system"),
        ("link-baselines", {"learning_rate": 0.1}, "learning_rate = 0.1, but this system"),
    ],
)
def test_what_is_out_of_range_or_not_looked_at_is_named(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        systems.get(name).configure(**changes)


@pytest.mark.parametrize(
    ("name", "changes", "message", "mended"),
    [
        (
            "gcn",
            {"clusters": 7},
            "clusters = 7 is for batches = clusters, and batches is full",
            {"batches": "clusters"},
        ),
        ("gcn", {"partition": "random"}, "partition = random is for batches", {"batches": "clusters"}),
        ("gat", {"fan_outs": (3, 3)}, r"fan_outs = \(3, 3\) is for batches", {"batches": "neighbors"}),
        ("gcn", {"inference_megabytes": 9.0}, "batches = neighbors or clusters, and", {"batches": "clusters"}),
        ("gresnet", {"heads": 2}, "heads = 2 is for convolution = attention", {"convolution": "attention"}),
        ("lightgcn", {"walks": 3}, "walks = 3 is for neighbors = walks, and neighbors is all", {"neighbors": "walks"}),
        ("seal", {"embedding_size": 3}, "is for embeddings = spectral", {"embeddings": "spectral"}),
        ("src-pooling", {"clusters": 3}, "is for pool = diffpool or dmon, and pool is top-k", {"pool": "dmon"}),
        ("janossy", {"permutations": 3}, "is for form = recurrent, and form is tuples", {"form": "recurrent"}),
        ("janossy", {"form": "recurrent", "k": 3}, "k = 3 is for form = tuples", {"form": "tuples"}),
    ],
)
def test_options_of_what_is_switched_off_are_refused(
    name: str, changes: dict[str, Any], message: str, mended: dict[str, Any]
) -> None:
    system = systems.get(name)
    with pytest.raises(UsageError, match=message):
        system.train(**changes)
    system.configure(**(changes | mended)).refuse_idle(system.configure())
    # what was not changed is no harm
    system.configure().refuse_idle(system.configure())


def test_ranges_are_of_options_that_exist_and_all_presets_keep_them() -> None:
    for name in systems.names():
        system = systems.get(name)
        known = {field.name for field in dataclasses.fields(system.config)}
        for range_ in ("from_one", "from_zero", "rates"):
            assert set(system.config._named(range_)) <= known, (name, range_)
        assert set(system.config.unused) <= known
        for parent in system.config.__mro__:
            for option, (other, values) in vars(parent).get("only_with", {}).items():
                assert {option, other} <= known, name
                for value in values:
                    assert value in get_args(get_type_hints(system.config)[other])
        for preset in ("paper", *system.presets):
            config = system.configure(preset)
            assert isinstance(config, TrainOptions)
            # as a run is opened again
            assert system.configure("paper", **config.used(dataclasses.asdict(config))) == config
