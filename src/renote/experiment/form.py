"""The form of a run's data: kept in its folder, and what other data are brought to, so that each number means what it meant in training."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from renote import data as data_sets
from renote.data import FORMS, Data, FactData, GraphData, LinkData, MeshData, NodeData, RatingData, SampleData
from renote.data.graph_folder import degree_names
from renote.errors import CheckpointError, DataError
from renote.experiment.node_form import node_form, numbers_of_classes, with_classes, with_columns, with_relations


def form_of(data: Data, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a run folder says of its data, as JSON takes it.

    Args:
        data: what is trained on.
        options: that its loader was given.
    """
    form: dict[str, Any] = {"name": data.name, "options": dict(options or {}), "classes": list(data.classes)}
    if isinstance(data, GraphData) and data.values is not None:
        form |= {"targets": list(data.targets), "units": list(data.units)}
    own = data_sets.is_own(data.name)
    if isinstance(data, FactData | RatingData) or (own and isinstance(data, NodeData | GraphData | LinkData)):
        form |= {"fingerprint": data.fingerprint}
    if isinstance(data, NodeData | GraphData):
        form |= node_form(data)
    if isinstance(data, SampleData):
        dtype = str(data.train.dtype).removeprefix("torch.")
        form |= {"shape": list(data.shape), "range": list(data.range) if data.range else None, "dtype": dtype}
        form |= {"alphabet": data.alphabet} if data.alphabet else {}
        form |= {"categories": list(data.categories)} if data.categories else {}
        form |= {"palette": [list(colour) for colour in data.palette]} if data.palette else {}
        form |= {"graphs": dataclasses.asdict(data.graphs)} if data.graphs else {}
    return form


def data_of(saved: Mapping[str, Any]) -> Data:
    """The data of a run; of samples their form alone, as sampling needs no more.

    Args:
        saved: what the run folder says.
    """
    form = saved["data"]
    if "shape" not in form:
        return data_sets.load(form["name"], **form["options"])
    empty = torch.empty(0, *form["shape"], dtype=getattr(torch, form["dtype"]))
    card = data_sets.Card(
        form["name"], form["name"], "samples", 0, tuple(form["shape"]), tuple(form["classes"]), "", ""
    )
    limits = tuple(form["range"]) if form["range"] else None
    alphabet = form.get("alphabet", "")
    alphabet = alphabet if isinstance(alphabet, str) else tuple(alphabet)
    graphs = data_sets.GraphForm(**tuples(form["graphs"])) if "graphs" in form else None
    classes = tuple(form["classes"])
    maps, palette = tuple(form.get("categories", ())), tuple(map(tuple, form.get("palette", ())))
    return SampleData(form["name"], card, empty, None, empty, None, classes, limits, alphabet, maps, graphs, palette)


def data_like(saved: Mapping[str, Any], data: str | os.PathLike[str] | Data) -> Data:
    """Data in the place of those of a run: text in its alphabet or tokens and crops of its length, graphs in its types.

    Args:
        saved: what the run folder says.
        data: a name, a path, or loaded data.

    Raises:
        DataError: samples of another form; the message names the character, atom, category or shape.
    """
    if "shape" in saved["data"]:
        form = data_of(saved)
        assert isinstance(form, SampleData)
        loaded = data if isinstance(data, Data) else data_sets.load(data, **_sample_options(saved, form, data))
        if isinstance(loaded, GraphData) and form.graphs is not None:
            own = data_sets.rows_of(loaded) if loaded.name == form.name else None
            # the run's own graphs are as they were, if their file is
            same = own is not None and own.graphs == form.graphs
            loaded = own if own is not None and same else data_sets.rows_of(loaded, form.graphs)
        if not isinstance(loaded, SampleData):
            raise DataError(
                f"{loaded.name} is {FORMS[loaded.card.kind][1]}: the run was trained on {form.name}, samples"
            )
        return _in_form(loaded, form)
    if isinstance(data, Data):
        return data
    loaded = data_sets.load(data, **_molecule_options(saved, data), **_node_options(saved, data))
    return _beside_reference(data_of(saved), loaded) if isinstance(loaded, MeshData) else loaded


def with_outputs(saved: Mapping[str, Any], data: Data, kind: str, other: bool = False) -> Data:
    """Graphs and nodes with the targets or the classes of a run, which are unknown if these do not have them, and their columns in its order; facts, ratings and the run's own data as they were, all others as they are.

    Args:
        saved: what the run folder says.
        data: as the system takes them.
        kind: of data that the system needs.
        other: whether they are in the place of the run's own.

    Raises:
        CheckpointError: facts, ratings, or what the run's own files hold, are not what the run was trained on.
        DataError: they have a class that the run does not know.
    """
    if isinstance(data, FactData | RatingData) or not other:
        refuse_others(saved, data)
    if isinstance(data, NodeData):
        # classes are nothing that clusters were learned from
        labelled = data if kind == "clusters" else with_classes(saved, data)
        return with_columns(saved, with_relations(saved, labelled))
    if not isinstance(data, GraphData):
        return data
    data = with_columns(saved, data)
    targets, classes = tuple(saved["data"].get("targets", ())), tuple(saved["data"]["classes"])
    if targets:
        units = tuple(saved["data"].get("units", ()))
        if data.targets == targets:
            return data if any(data.units) else dataclasses.replace(data, units=units)
        nothing = torch.empty(0, dtype=torch.long)
        values = torch.full((data.num_graphs, len(targets)), float("nan"), dtype=torch.float64)
        changes: dict[str, Any] = {"train": nothing, "validation": nothing, "test": nothing, "classes": (), "folds": ()}
        changes |= {"labels": torch.full_like(data.labels, -1), "values": values, "targets": targets}
        return dataclasses.replace(data, units=units, **changes)
    if data.classes != classes:
        number = torch.tensor([*numbers_of_classes(data.name, data.classes, saved), -1])
        return dataclasses.replace(data, labels=number[data.labels], classes=classes)
    return data


def tuples(config: Mapping[str, Any]) -> dict[str, Any]:
    """Lists of JSON as the tuples that they were."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}


# what chooses samples, not what they are like; tokens are given by the alphabet, and an atom that is not known is told
_OF_THE_RUNS_OWN = ("n", "seed", "atom_types", "target", "unit")


def _sample_options(saved: Mapping[str, Any], form: SampleData, name: str | os.PathLike[str]) -> dict[str, Any]:
    """The loader's options for samples of a form, those that the loader has."""
    options = {key: value for key, value in saved["data"]["options"].items() if key != "tokens"}
    if os.fspath(name) != form.name:
        options = {key: value for key, value in options.items() if key not in _OF_THE_RUNS_OWN}
        options |= {"target": "none", "without": True} if form.graphs is not None else {}
    if form.alphabet:
        options |= {"alphabet": form.alphabet, "length": form.shape[0]}
    known = data_sets.options_of(name)
    return {key: value for key, value in options.items() if key in known}


def _in_form(data: SampleData, form: SampleData) -> SampleData:
    """The same samples, if their numbers mean what those of the form mean.

    Raises:
        DataError: they do not.
    """
    trained = f"the run was trained on {form.name}"
    for what, kind in (("alphabet", "text"), ("categories", "label maps"), ("graphs", "graphs")):
        here, there = getattr(data, what), getattr(form, what)
        if bool(here) != bool(there):
            raise DataError(
                f"{data.name} has {kind if here else f'no {kind}'}, but {trained}, which has {kind if there else 'none'}"
            )
    if data.alphabet != form.alphabet:
        raise DataError(f"{data.name} has another alphabet: {_first_other(data.alphabet, form.alphabet)}; {trained}")
    if data.categories != form.categories:
        raise DataError(
            f"{data.name} has other categories: {_first_other(data.categories, form.categories)}; {trained}"
        )
    if data.graphs is not None and form.graphs is not None and data.graphs != form.graphs:
        one, other = data.graphs, form.graphs
        if one.molecules != other.molecules:
            raise DataError(f"{data.name} has {'' if one.molecules else 'no '}molecules, unlike {form.name}: {trained}")
        if one.nodes != other.nodes:
            raise DataError(
                f"{data.name} has graphs of up to {one.nodes} nodes, {form.name} of {other.nodes}: {trained}"
            )
        pair = (
            (one.node_types, other.node_types)
            if one.node_types != other.node_types
            else (one.edge_types, other.edge_types)
        )
        raise DataError(f"{data.name} has other types of nodes or edges: {_first_other(*pair)}; {trained}")
    if data.shape != form.shape:
        raise DataError(f"samples of {data.name} have the shape {data.shape}, but {trained} of the shape {form.shape}")
    if (data.range is None) != (form.range is None):
        raise DataError(
            f"{data.name} has {'no ' if data.range is None else 'a '}range of values, unlike {form.name}: {trained}"
        )
    if data.range != form.range and data.train.is_floating_point():
        return dataclasses.replace(data, range=form.range)  # so that a value stays that value
    return data


def _first_other(here: Sequence[str], there: Sequence[str]) -> str:
    """The first place at which two lists of names differ."""
    place = next((i for i, (a, b) in enumerate(zip(here, there)) if a != b), min(len(here), len(there)))
    one, other = (repr(names[place]) if place < len(names) else "nothing" for names in (here, there))
    return f"number {place} is {one}, there {other}"


# how tables are read, not which of their nodes are in which part
_OF_TABLES = ("directed", "features")


def _node_options(saved: Mapping[str, Any], name: str | os.PathLike[str]) -> dict[str, Any]:
    """Of a graph of the user's, or a folder of them, the options that a run's was read by, and of the run's own all; of other data nothing."""
    form, name = saved["data"], os.fspath(name)
    card = data_sets.cards().get(name)
    word = name.partition(":")[0] if name.startswith(("graph:", "graphs:")) else None
    if word is None and (card is None or card.kind != "nodes"):
        return {}
    if name == form["name"]:
        return dict(form["options"])
    if word is None or not form["name"].startswith(f"{word}:"):
        return {}
    options = {key: value for key, value in form["options"].items() if key in _OF_TABLES}
    names = form.get("features", ())
    if word == "graphs" and names == list(degree_names(len(names) - 1)):
        options["degrees"] = len(names) - 1  # a degree that the training did not meet is its highest
    elif word == "graph" and form.get("num_features") and not form.get("features", True):
        # columns without names are those of degrees, which several graphs have without being told
        options = {"features": "degree"} | options
    return options


def _molecule_options(saved: Mapping[str, Any], name: str | os.PathLike[str]) -> dict[str, Any]:
    """Of a table of molecules the targets and the kinds of atoms of a run; of other data nothing."""
    form = saved["data"]
    if not os.fspath(name).startswith("molecules:"):
        return {}
    options = {key: value for key, value in form["options"].items() if key in ("atom_types", "kekulize")}
    targets = form.get("targets", ["label"] if form["classes"] else [])
    return {**options, "target": targets or "none", "without": True}


def refuse_others(saved: Mapping[str, Any], data: Data) -> None:
    """Each entity, user, item or node has its number among the names, and each row, pair or graph its part: with others, numbers would go to the wrong names and what is tested on would have been trained on.

    Args:
        saved: what the run folder says.
        data: what stands there now.

    Raises:
        CheckpointError: they are not those of the run.
    """
    if (
        not isinstance(data, FactData | RatingData | NodeData | GraphData | LinkData)
        or "fingerprint" not in saved["data"]
    ):
        return
    if saved["data"]["fingerprint"] != data.fingerprint:
        learned = isinstance(data, FactData | RatingData)  # a vector for each
        instead = "" if learned else f"give them as other data (--data {data.name}), "
        raise CheckpointError(
            f"the {data.card.kind} of {data.name} are not those that the run was trained on ({saved['data']['name']} as it was then): "
            f"restore them, {instead}or train anew"
        )


def _beside_reference(trained: Any, data: MeshData) -> MeshData:
    """Other meshes beside the reference of a run; what they are labelled with stays, if that has as many vertices as their own."""
    if trained.num_classes == data.num_classes:
        return dataclasses.replace(data, reference=trained.reference)
    other: MeshData = trained.with_meshes(data.meshes, data.names)
    return other
