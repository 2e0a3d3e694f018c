"""Proteins in twenty-four human tissues, joined where they interact; each is of any of 121 gene sets (Zitnik & Leskovec 2017; Hamilton, Ying & Leskovec 2017).

Twenty graphs are trained on, two validated on, two tested on. For each of the parts `train`, `valid`, `test` there are

    PART_feats.npy      (nodes, 50)         PART_graph_id.npy   (nodes,) number of each node's graph
    PART_labels.npy     (nodes, 121) 0 or 1 PART_graph.json     {"nodes": [{"id": row}, …], "links": [{"source": row, "target": row}, …]}
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from renote.data import store
from renote.data.card import Card
from renote.data.edges import undirected
from renote.data.types import NodeData
from renote.errors import DataError
from renote.graph import Adjacency, Graph

PARTS = {"train": "train", "validation": "valid", "test": "test"}
"""Name of a part here → in the names of files."""

Read = Callable[[str], bytes]


def load(card: Card, *, folder: str = "") -> NodeData:
    """All graphs as one in parts, undirected, without loops and duplicates.

    Args:
        card: of `ppi`.
        folder: that holds files of this layout, of any graphs, in the place of the official archive.

    Raises:
        DataError: a file is missing, damaged, or does not fit the others.
    """
    read = _of_folder(Path(folder).expanduser()) if folder else _of_archive(card)
    parts = {name: _part(read, stem) for name, stem in PARTS.items()}
    widths = {name: (part["feats"].shape[1], part["labels"].shape[1]) for name, part in parts.items()}
    if len(set(widths.values())) > 1:
        raise DataError(f"features and classes a node differ among the parts: {widths}")
    split, graph_of_node, sources, targets = {}, [], [], []
    nodes = graphs = 0
    for name, part in parts.items():
        split[name] = torch.arange(nodes, nodes + len(part["graph_id"]))
        graph_of_node.append(part["graph_id"] + graphs)
        sources.append(part["source"] + nodes)
        targets.append(part["target"] + nodes)
        nodes += len(part["graph_id"])
        graphs += int(part["graph_id"][-1]) + 1
    source, target = undirected(np.concatenate(sources), np.concatenate(targets), nodes)
    graph = Graph(
        x=torch.from_numpy(np.concatenate([part["feats"] for part in parts.values()])),
        adjacency=Adjacency.from_edges(torch.from_numpy(source), torch.from_numpy(target), nodes),
        graph_of_node=torch.from_numpy(np.concatenate(graph_of_node)),
        num_graphs=graphs,
    )
    labels = torch.from_numpy(np.concatenate([part["labels"] for part in parts.values()]))
    classes = card.classes
    if len(classes) != labels.shape[1]:
        classes = tuple(f"class {number}" for number in range(labels.shape[1]))
    counts = {"edges": graph.num_edges // 2, "graphs": graphs, **{name: len(part) for name, part in split.items()}}
    card = dataclasses.replace(card, size=nodes, shape=(graph.num_features,), classes=classes, counts=counts)
    return NodeData(card.name, card, graph, labels, split["train"], split["validation"], split["test"], classes)


def _of_folder(folder: Path) -> Read:
    def read(name: str) -> bytes:
        path = folder / name
        try:
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from error

    return read


def _of_archive(card: Card) -> Read:
    (file,) = card.files
    try:
        archive = zipfile.ZipFile(io.BytesIO(store.read(card, file)))
    except zipfile.BadZipFile as error:
        raise DataError(f"{file.name} is no archive: {error}") from error
    members = {os.path.basename(name): name for name in archive.namelist()}

    def read(name: str) -> bytes:
        if name not in members:
            raise DataError(f"{file.name} has no {name}")
        return archive.read(members[name])

    return read


def _part(read: Read, stem: str) -> dict[str, NDArray[Any]]:
    """Its arrays, with nodes in the order of their graphs, which are numbered from 0."""
    feats = _array(read, f"{stem}_feats.npy", 2).astype(np.float32)
    labels, number = _array(read, f"{stem}_labels.npy", 2), _array(read, f"{stem}_graph_id.npy", 1)
    if not len(feats) == len(labels) == len(number) or not len(number):
        raise DataError(
            f"{stem}: {len(feats)} rows of features, {len(labels)} of labels and {len(number)} numbers of graphs: one each a node, and at least one node"
        )
    source, target = _edges(read, f"{stem}_graph.json", len(number))
    order = np.argsort(number, kind="stable")
    place = np.argsort(order)
    graph_id = np.unique(number[order], return_inverse=True)[1].astype(np.int64)
    return {
        "feats": feats[order],
        "labels": labels[order],
        "graph_id": graph_id,
        "source": place[source],
        "target": place[target],
    }


def _array(read: Read, name: str, dimensions: int) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(io.BytesIO(read(name)), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DataError(f"{name} is not an array of numbers: {error}") from error
    if array.ndim != dimensions or array.dtype.kind not in "biuf":
        raise DataError(f"{name} has shape {array.shape} and type {array.dtype}: {dimensions} dimensions of numbers")
    return array


def _edges(read: Read, name: str, nodes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    try:
        content: Mapping[str, Any] = json.loads(read(name))
        ids = sorted(int(node["id"]) for node in content["nodes"])
        ends = np.array([(link["source"], link["target"]) for link in content["links"]], dtype=np.int64).reshape(-1, 2)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise DataError(f"{name} is not a graph of nodes and links: {type(error).__name__} {error}") from error
    if ids != list(range(nodes)):
        raise DataError(f"{name} has {len(ids)} nodes for {nodes} rows: their ids must be the numbers of the rows")
    outside = (ends < 0) | (ends >= nodes)
    if outside.any():
        raise DataError(f"{name} has a link with the node {ends[outside][0]}: there are {nodes}, from 0 to {nodes - 1}")
    return ends[:, 0], ends[:, 1]
