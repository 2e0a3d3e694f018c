"""Amazon Photo, Amazon Computers and Coauthor CS, with random splits (Shchur, Mumme, Bojchevski, Günnemann 2018).

Products that are often bought together, with the words of their reviews; authors who wrote together, with the keywords of their papers. The
official graphs of products have directions, which mean nothing there: both are taken. A word counts as there or not.
"""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from renote.data import store
from renote.data.card import Card
from renote.data.edges import undirected
from renote.data.split import per_class
from renote.data.types import NodeData
from renote.errors import DataError
from renote.graph import Adjacency, Graph, SparseFeatures


def load(
    card: Card,
    *,
    normalize: bool = True,
    largest_component: bool = False,
    train_per_class: int = 20,
    validation_per_class: int = 30,
    seed: int = 0,
) -> NodeData:
    """A graph, undirected, without duplicates and loops, split at random by class.

    Args:
        card: with the one file.
        normalize: each row of the features divided by its sum.
        largest_component: only the nodes of the largest connected part, as in the paper.
        train_per_class: training nodes of each class.
        validation_per_class: validation nodes of each class; all others are tested on.
        seed: of the split.

    Raises:
        DataError: the file is not the official one, or a class is too small for the split.
    """
    (file,) = card.files
    with np.load(io.BytesIO(store.read(card, file)), allow_pickle=False) as arrays:
        parts = {name: np.asarray(arrays[name], dtype=np.int64) for name in file.arrays}
    labels = parts["labels"]
    num_nodes = len(labels)
    if not len(parts["adj_indptr"]) == len(parts["attr_indptr"]) == num_nodes + 1 == card.size + 1:
        raise DataError(
            f"{file.name} has {num_nodes} labels and other numbers of rows: {card.size} nodes were expected"
        )
    source, target = undirected(
        parts["adj_indices"], np.repeat(np.arange(num_nodes), np.diff(parts["adj_indptr"])), num_nodes
    )
    ones = np.ones(len(parts["attr_indices"]), np.float32)
    words = csr_array((ones, parts["attr_indices"], parts["attr_indptr"]), shape=(num_nodes, card.shape[0]))
    if largest_component:
        joined = csr_array((np.ones(len(source), np.int8), (target, source)), shape=(num_nodes, num_nodes))
        component = connected_components(joined, directed=False)[1]
        inside = component == np.bincount(component).argmax()
        number = np.cumsum(inside) - 1
        source, target = number[source[inside[source]]], number[target[inside[source]]]
        words, labels, num_nodes = words[np.flatnonzero(inside)], labels[inside], int(inside.sum())
    features = SparseFeatures.from_scipy(words)
    known = torch.from_numpy(labels)
    train, validation, test = per_class(known, train_per_class, validation_per_class, seed)
    counts = {"edges": len(source) // 2, "train": len(train), "validation": len(validation), "test": len(test)}
    return NodeData(
        name=card.name,
        card=dataclasses.replace(card, size=num_nodes, counts=counts),
        graph=Graph(
            x=features.normalize_rows() if normalize else features,
            adjacency=Adjacency.from_edges(torch.from_numpy(source), torch.from_numpy(target), num_nodes),
        ),
        labels=known,
        train=train,
        validation=validation,
        test=test,
        classes=card.classes,
    )
