"""From a system and data to a run folder, and from a run folder back to a model that works."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from renote import data as data_sets
from renote.data import FORMS, Data, GraphData, NodeData
from renote.errors import CheckpointError, UsageError
from renote.experiment import environment
from renote.experiment.form import data_like, data_of, form_of, refuse_others, tuples, with_outputs
from renote.experiment.node_form import KEPT_SINCE, refuse_other_columns, refuse_other_relations
from renote.experiment.shipped import is_shipped, read_card, restore_shipped
from renote.experiment.system import System
from renote.train import Trained, Trainer, TrainOptions, choose_device, load_weights
from renote.train.checkpoint import write_json
from renote.train.order import mixed_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# what may differ when a run goes on: none of it changes what a finished step was
FREE_ON_RESUME = {"steps", "device", "log_every", "checkpoint_every", "preview_every", "patience"}


class Run:
    """Trained weights, and all that is needed to use them.

    Args:
        system: the system they are of.
        config: its configuration.
        data: what it was trained on; after loading only its form may be there.
        module: the module with the weights to use.
        folder: the run folder, if it was kept.

    Attributes:
        trained: how training ended; None for a loaded run.
    """

    instead: ClassVar[str] = "sample"
    """The command for those who asked it to predict."""

    def __init__(
        self, system: System[Any], config: TrainOptions, data: Any, module: nn.Module, folder: Path | None
    ) -> None:
        self.system, self.config, self.data, self.folder = system, config, data, folder
        self.module = module.eval()
        self.trained: Trained | None = None

    @property
    def parameters(self) -> int:
        """Number of trained weights."""
        return sum(p.numel() for p in self.module.parameters())

    def evaluate(self) -> dict[str, Any]:
        """The measures of the system's task."""
        raise NotImplementedError

    @property
    def remarks(self) -> tuple[str, ...]:
        """What one must know of its measures and answers that these do not say themselves."""
        return ()

    @property
    def next_command(self) -> str:
        """What one would do with it now, without `renote`."""
        return f"predict {self.folder} --out predictions.csv"

    def write_predictions(self, path: Path) -> int:
        """Write a table of what is predicted, and return its number of rows.

        Args:
            path: of the .csv file.

        Raises:
            UsageError: it predicts nothing.
        """
        raise UsageError(f"{self.folder} holds {self.system.name}, which predicts nothing: use renote {self.instead}")

    def node_number(self, node: str) -> int:
        """The number of what the command line names: of a node or graph by its name, where these have names; else the number itself.

        Args:
            node: name or number.

        Raises:
            UsageError: there is no such name, or it is no number.
        """
        names = self.data.names if isinstance(self.data, NodeData | GraphData) else ()
        if node in names:
            return names.index(node)
        if names:
            what, told = ("graph", "name") if isinstance(self.data, GraphData) else ("node", "id")
            raise UsageError(
                f"node = {node!r}: no {what} of {self.data.name} has this {told}; give one, such as {names[0]!r}"
            )
        try:
            return int(node)
        except ValueError:
            raise UsageError(f"node = {node!r}: give a number, here they have no names that are known") from None

    def picture(self, node: int | None = None) -> Figure:
        """A picture of what was learned or is predicted.

        Args:
            node: of a graph, which it is about; None leaves the choice.

        Raises:
            UsageError: there is nothing to draw.
        """
        raise UsageError(
            f"{self.folder} holds {self.system.name}, of which there is nothing to draw: use renote {self.next_command}"
        )


def completed(run: Run) -> Run:
    """The run, if its training was not stopped by the user.

    Raises:
        KeyboardInterrupt: it was.
    """
    if run.trained is not None and run.trained.interrupted:
        raise KeyboardInterrupt
    return run


def test_score(measures: Mapping[str, Any]) -> tuple[str, float]:
    """What predictors are compared by, in percent, with its name: test accuracy, micro-F1 where nodes are of several classes, area under the curve, recall, mean reciprocal rank, or modularity; the error of values in their unit."""
    if "test_rmse" in measures:
        unit = measures.get("unit", "")
        return f"test RMSE{f' ({unit})' if unit else ''}", float(measures["test_rmse"])
    if "modularity" in measures:
        return "modularity (%)", float(measures["modularity"])
    if "test_auc" in measures:
        return "test AUC (%)", float(measures["test_auc"])
    if "test_mrr" in measures:
        return "test mean reciprocal rank (%)", 100 * float(measures["test_mrr"])
    for name, value in measures.items():
        if name.startswith("test_recall@"):
            return f"test {name.removeprefix('test_')} (%)", 100 * float(value)
    if "test_micro_f1" in measures:
        return "test micro-F1 (%)", float(measures["test_micro_f1"])
    return "test accuracy (%)", float(measures["test_accuracy"])


def load_data(name: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> Data:
    """Load data by name or path with the loader's options."""
    return data_sets.load(name, **(options or {}))


@lru_cache(maxsize=4)
def loaded_once(name: str, options: tuple[tuple[str, Any], ...] = ()) -> Any:
    """`load_data`, kept: for many trainings on the same data in one process, none of which changes it; the options as pairs, of what can be hashed."""
    return load_data(name, dict(options))


def train(
    system: System[Any],
    data: str | os.PathLike[str] | Data,
    config: TrainOptions,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool = True,
    data_options: Mapping[str, Any] | None = None,
) -> Run:
    """Train a system on data.

    Args:
        system: what to train.
        data: a name, a path, or loaded data.
        config: how.
        out: the run folder: new, empty, or one of the same run with `resume`; None keeps nothing.
        resume: go on from the newest checkpoint in `out`; starts at the beginning if there is none.
        progress: show a progress bar on standard error.
        data_options: options of the data set's loader.

    Raises:
        UsageError: if the data do not suit the system, or the folder holds something else.
    """
    loaded = system.prepared(data if isinstance(data, Data) else load_data(data, data_options))
    _suited(system, loaded)
    if system.settle is not None:
        config = system.settle(config, loaded)
    with torch.random.fork_rng():
        torch.manual_seed(mixed_seed(config.seed, 0))  # initial weights
        learner = system.learner(config, loaded)
    system.check(config, loaded)
    folder = Path(out) if out is not None else None
    if folder is not None and int(os.environ.get("RANK", "0")) == 0:
        _claim_folder(folder, _describe(system, loaded, config, data_options), loaded, resume, type(config))
    title = f"{system.name} on {loaded.name}"
    if any(True for _ in learner.module.parameters()):
        trainer = Trainer(learner, config, folder, resume=resume, title=title, progress=progress)
        trained = trainer.run()
    else:
        trained = Trained(step=0, seconds=0.0)
    run: Run = system.run(config, loaded, learner, folder)
    run.trained = trained
    return run


def open_run(
    system: System[Any], folder: Path, saved: Mapping[str, Any], data: str | os.PathLike[str] | Data | None = None
) -> Run:
    """The run of a folder, with the weights to use; `renote.load_run` finds the system.

    Args:
        system: that of the run.
        folder: the run folder, or that of a small checkpoint.
        saved: what `read_config` read there.
        data: data in the place of what it was trained on.

    Raises:
        CheckpointError: if there is no checkpoint, or it is damaged.
        DataError: if samples or nodes have another form than those that it was trained on.
        UsageError: if the data do not suit the system.
    """
    # of an older run, what is not looked at may have been changed
    config = system.configure("paper", **system.config.used(tuples(saved["config"])))
    loaded = system.prepared(data_of(saved) if data is None else data_like(saved, data))
    _suited(system, loaded)
    loaded = with_outputs(saved, loaded, system.kind, other=data is not None)
    learner = system.learner(config, loaded)
    if is_shipped(folder):
        restore_shipped(folder, learner.module)
    elif any(True for _ in learner.module.parameters()):
        if isinstance(loaded, NodeData | GraphData) and not getattr(system, "reads_smiles", False):
            refuse_other_columns(saved, loaded)
        if isinstance(loaded, NodeData):
            refuse_other_relations(saved, loaded, learner.module)
        load_weights(folder / "checkpoints", learner.module)
    run: Run = system.run(config, loaded, learner, folder)
    run.module.to(choose_device("cpu" if config.device == "cpu" else "auto"))
    return run


def read_config(folder: Path) -> dict[str, Any]:
    """What a run folder says of itself.

    Raises:
        CheckpointError: if it is no run folder, or a small checkpoint whose `config.json` was changed.
    """
    if is_shipped(folder):
        read_card(folder)
    path = folder / "config.json"
    try:
        saved: dict[str, Any] = json.loads(path.read_text())
        saved["system"], saved["config"], saved["data"]["name"]
    except OSError as error:
        raise CheckpointError(
            f"{folder} is not a run folder: it has no config.json. Give the --out of a training"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}. Restore it or train anew") from error
    return saved


def reload_data(folder: Path) -> Data:
    """The data that a run was trained on, loaded again.

    Raises:
        DataError: if they are not there, or have another form by now.
    """
    saved = read_config(folder)
    return data_like(saved, saved["data"]["name"])


def _suited(system: System[Any], data: Data) -> None:
    if not isinstance(data, FORMS[system.kind][0]):
        raise UsageError(
            f"{system.name} needs {system.needs}, but {data.name} is {FORMS[data.card.kind][1]}: "
            f"choose other data (renote data list), e.g. {system.data}"
        )


def _describe(
    system: System[Any], data: Data, config: TrainOptions, options: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {"system": system.name, "data": form_of(data, options), "config": dataclasses.asdict(config)}


def _claim_folder(
    folder: Path, description: dict[str, Any], data: Data, resume: bool, options: type[TrainOptions]
) -> None:
    description = json.loads(json.dumps(description, default=str))
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"out = {folder} is a file: give a folder")
    if is_shipped(folder):
        raise UsageError(
            f"out = {folder} holds a checkpoint to sample from, which cannot be trained on: choose a new folder"
        )
    if (folder / "config.json").exists():
        saved = read_config(folder)
        if not resume:
            raise UsageError(
                f"out = {folder} already holds a run ({saved['system']} on {saved['data']['name']}): "
                "choose another folder, or go on with it by --resume"
            )
        # options that came after that run was begun were at their defaults then
        defaults = json.loads(json.dumps({f.name: f.default for f in dataclasses.fields(options)}, default=str))
        _same(folder, {**saved, "config": defaults | saved["config"]}, description, data)
    elif folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"out = {folder} is not empty and holds no run: choose a new folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder out = {folder}: {error.strerror}") from error
    write_json(folder / "config.json", description)
    write_json(folder / "environment.json", environment.describe())


def _same(folder: Path, saved: dict[str, Any], asked: dict[str, Any], data: Data) -> None:
    if all(saved["data"][key] == asked["data"][key] for key in ("name", "options")):
        refuse_others(saved, data)
    saved["data"] = {key: asked["data"][key] for key in KEPT_SINCE if key in asked["data"]} | saved["data"]
    different = [key for key in ("system", "data") if saved[key] != asked[key]]
    if different:
        there = f"{saved['system']} on {saved['data']['name']} {saved['data']['options'] or ''}".strip()
        raise UsageError(f"out = {folder} holds another run, {there}: choose another folder")
    changed = [
        f"{key} = {asked['config'].get(key)} (there {saved['config'].get(key)})"
        for key in {**saved["config"], **asked["config"]}
        if key not in FREE_ON_RESUME and saved["config"].get(key) != asked["config"].get(key)
    ]
    if changed:
        raise UsageError(f"cannot resume {folder} with another configuration: {', '.join(changed)}")
