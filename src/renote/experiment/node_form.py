"""The form of graphs: what the number of a class, of a relation or of a column means, kept with a run, and what other graphs are brought to."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import nn

from renote.data import GraphData, NodeData, is_own
from renote.errors import DataError
from renote.graph import Graph, SparseFeatures
from renote.graph.pattern import Pattern

KEPT_SINCE = ("features", "num_features", "several", "relations", "fingerprint")
"""What the runs of before did not keep."""
_TOLD = 5
D = TypeVar("D", NodeData, GraphData)


def node_form(data: NodeData | GraphData) -> dict[str, Any]:
    """What a run folder says of a graph, or of many, beside name and classes.

    Args:
        data: what is trained on.
    """
    form: dict[str, Any] = {"features": list(data.features), "num_features": _graph_of(data).num_features}
    return form | ({"several": data.several, "relations": list(data.relations)} if isinstance(data, NodeData) else {})


def _graph_of(data: NodeData | GraphData) -> Graph:
    return data.graph if isinstance(data, NodeData) else data.graphs


def with_classes(saved: Mapping[str, Any], data: NodeData) -> NodeData:
    """The same graph, its labels numbered as in a run; they are unknown if it has none.

    Args:
        saved: what the run folder says.
        data: any graph.

    Raises:
        DataError: it has a class that the run does not know, or one class a node where the run had several.
    """
    form = saved["data"]
    classes, several = tuple(form["classes"]), form.get("several", data.several)
    if not data.num_classes:
        nodes = data.graph.num_nodes
        nothing = torch.zeros(nodes, len(classes), dtype=torch.bool) if several else torch.full((nodes,), -1)
        return dataclasses.replace(data, labels=nothing, classes=classes)
    if several != data.several:
        here, there = ("one class", "several") if several else ("several classes", "one")
        raise DataError(
            f"a node of {data.name} may be of {here}, but the run was trained on {form['name']}, where it may be of {there}: "
            f"write them in the column {'labels' if several else 'label'!r}, or leave the column out"
        )
    if data.classes == classes:
        return data
    number = torch.tensor([*numbers_of_classes(data.name, data.classes, saved), -1])
    if not several:
        return dataclasses.replace(data, labels=number[data.labels], classes=classes)
    labels = torch.zeros(data.graph.num_nodes, len(classes), dtype=torch.bool)
    labels[:, number[:-1]] = data.labels
    return dataclasses.replace(data, labels=labels, classes=classes)


def numbers_of_classes(name: str, classes: Sequence[str], saved: Mapping[str, Any]) -> list[int]:
    """The number that each class has in a run.

    Args:
        name: of the data, for the message.
        classes: their names.
        saved: what the run folder says.

    Raises:
        DataError: the run does not know one.
    """
    form = saved["data"]
    number = {known: k for k, known in enumerate(form["classes"])}
    others = [label for label in classes if label not in number]
    if others:
        raise DataError(
            f"{name} has {_listed('class', others)}, but the run was trained on {form['name']}, which has {_listed('class', form['classes'])}: "
            "leave a label empty where its class is another"
        )
    return [number[label] for label in classes]


def with_columns(saved: Mapping[str, Any], data: D) -> D:
    """The same data, their columns of features in the order of a run, if they have the same names.

    Args:
        saved: what the run folder says.
        data: any graph, or many.
    """
    names = tuple(saved["data"].get("features", ()))
    if data.features == names or set(data.features) != set(names):
        return data
    place = {name: k for k, name in enumerate(data.features)}
    graph = _graph_of(data)
    order, x = torch.tensor([place[name] for name in names]), graph.x
    if isinstance(x, SparseFeatures):
        column = order.argsort()[x.pattern.column.long()]
        pattern, entry = Pattern.from_pairs(x.pattern.row, column, *x.shape)
        x = SparseFeatures(pattern, x.values if entry is None else x.values[entry])
    elif x is not None:
        x = x[:, order]
    changed: dict[str, Any] = {"graph" if isinstance(data, NodeData) else "graphs": graph.with_x(x)}
    return dataclasses.replace(data, features=names, **changed)


def with_relations(saved: Mapping[str, Any], data: NodeData) -> NodeData:
    """The same graph, its relations numbered as in a run; those that this does not know come last, and `refuse_other_relations` tells of them.

    Args:
        saved: what the run folder says.
        data: any graph.
    """
    names, relation = tuple(saved["data"].get("relations", ())), data.graph.relation
    if not names or relation is None or not data.relations or data.relations == names:
        return data
    names = (*names, *(name for name in data.relations if name not in names))
    number = torch.tensor([names.index(name) for name in data.relations])
    return dataclasses.replace(data, graph=dataclasses.replace(data.graph, relation=number[relation]), relations=names)


def refuse_other_relations(saved: Mapping[str, Any], data: NodeData, module: nn.Module) -> None:
    """Weights are of relations: none may be there that the training had not; of a system that looks at them.

    Args:
        saved: what the run folder says.
        data: any graph.
        module: network and task.

    Raises:
        DataError: there are others, or edges have none where the training had several; the message names them.
    """
    form = saved["data"]
    if "relations" not in form or not any(getattr(part, "relations", 0) for part in module.modules()):
        return
    names, trained = form["relations"], f"the run was trained on {form['name']}, which has"
    others = [name for name in data.relations if name not in names]
    if others:
        mend = "take the edges of others out" if names else "leave the column 'relation' out"
        raise DataError(
            f"{data.name} has {_listed('relation', others)}, but {trained} {_listed('relation', names)}: {mend}, or train anew"
        )
    if len(names) > 1 and data.graph.relation is None:
        raise DataError(
            f"the edges of {data.name} have no relation, but {trained} {_listed('relation', names)}: name that of each in the column 'relation'"
        )


def refuse_other_columns(saved: Mapping[str, Any], data: NodeData | GraphData) -> None:
    """Weights are of columns: those of the training must be there, and no others.

    Args:
        saved: what the run folder says.
        data: any graph, or many, their columns in the run's order if they can be.

    Raises:
        DataError: there are other columns, or another number of them; the message names what is missing and what is not known.
    """
    form, here = saved["data"], _graph_of(data).num_features
    names, count = tuple(form.get("features", data.features)), form.get("num_features", here)
    # a table always says what its columns are, be it that they have no names
    both = (names and data.features) or (is_own(form["name"]) and is_own(data.name))
    if here == count and (names == data.features or not both):
        return
    missing, more = (
        [n for n in one if n not in set(other)] for one, other in ((names, data.features), (data.features, names))
    )
    found = [
        f"{verb} {_listed('column', there)}" for verb, there in (("lacks", missing), ("has besides", more)) if there
    ]
    raise DataError(
        f"the run was trained on {form['name']}, whose nodes have {count} features, those of {data.name} have {here}"
        f"{': it ' + ' and '.join(found) if both and found else ''}. Give each node the features of the training"
    )


def _listed(what: str, names: Collection[str]) -> str:
    """A few names for a message, and how many there are."""
    plural = {"class": "classes"}.get(what, f"{what}s")
    if not names:
        return f"no {plural}"
    shown = ", ".join(repr(name) for name in list(names)[:_TOLD])
    return f"the {what if len(names) == 1 else plural} {shown}{f' and {len(names) - _TOLD} more' if len(names) > _TOLD else ''}"
