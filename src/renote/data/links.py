"""A graph whose missing links are looked for, and the user's own: `links:EDGES.csv` (or .tsv, .parquet).

    EDGES.csv           columns `source`, `target`, and no others; a link has no direction, and is listed once or in both
    nodes=NODES.csv     optional: `id` of each node, and a column a number that is known of it
    pairs=PAIRS.csv     optional: `source`, `target` of pairs to score; with a column `label` (1 or 0, empty where unknown), those with one are tested on

Some links are taken out to be found again, as many pairs without a link are drawn, and both are told apart (Zhang & Chen 2018, section 5).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from renote.data.card import Card
from renote.data.checked import checked_columns, checked_labels, checked_parts
from renote.data.fingerprint import fingerprint
from renote.data.table import Table, attributes_of, numbered_ids
from renote.errors import DataError, counted
from renote.graph import Adjacency, Graph, common_neighbors, has_link, resource_allocation
from renote.graph.pattern import repeated

CLASSES = ("no link", "link")
_ENDS = ("source", "target")
_MOST_PATHS = 2e7


@dataclass(frozen=True)
class LinkData:
    """A graph without some of its links, and pairs of its nodes that have a link or none.

    Args:
        name: what it was loaded as.
        card: where it is from.
        graph: the links that are known, each in both directions, without loops; those that are validated or trained on are among them, those that are tested on are not.
        pairs: (n, 2) int64 two nodes each.
        labels: (n,) 1 for a link, 0 for none, -1 where unknown.
        train: (training pairs,) numbers of pairs; a mask (n,) is taken too, here and below, and becomes numbers.
        validation: (validation pairs,) int64.
        test: (test pairs,) int64.
        names: of the nodes by number.

    Raises:
        DataError: a pair of one node, out of range, there twice, or with a label that the graph belies; a tested link that is in the graph; links in one direction only.
    """

    name: str
    card: Card
    graph: Graph
    pairs: Tensor
    labels: Tensor
    train: Tensor
    validation: Tensor
    test: Tensor
    names: tuple[str, ...] = ()
    classes: tuple[str, ...] = CLASSES

    def __post_init__(self) -> None:
        nodes = self.graph.num_nodes
        if self.pairs.dim() != 2 or self.pairs.shape[1] != 2 or self.pairs.is_floating_point():
            raise DataError(f"pairs of shape {tuple(self.pairs.shape)} and {self.pairs.dtype}: two node numbers each")
        object.__setattr__(self, "pairs", self.pairs.long())
        if self.names and len(self.names) != nodes:
            raise DataError(f"{len(self.names)} names for {nodes} nodes: give each one")
        outside = ((self.pairs < 0) | (self.pairs >= nodes)).any(1)
        self._refuse(outside, f"names a node that is not there: there are {nodes}, from 0 to {nodes - 1}")
        self._refuse(self.pairs[:, 0] == self.pairs[:, 1], "is of one node: a link is between two")
        order = self.pairs.sort(1).values
        key = order[:, 0] * max(nodes, 1) + order[:, 1]
        first = torch.unique(key, return_inverse=True)[1]
        again = torch.ones(len(key), dtype=torch.bool)
        seen = torch.full((len(key),), len(key)).scatter_reduce(0, first, torch.arange(len(key)), "amin")
        again[seen[seen < len(key)]] = False
        self._refuse(again, "is listed twice: list each once, in either direction")
        edges = self.graph.adjacency
        turned = edges.transpose().edge_index()
        if edges.num_edges and (
            turned.shape != edges.edge_index().shape or not torch.equal(turned, edges.edge_index())
        ):
            raise DataError("the graph has links in one direction only: give each in both")
        labels = checked_labels(self.labels, len(self.pairs), 2, "pair")
        object.__setattr__(self, "labels", labels)
        for name, numbers in checked_parts(self.splits, labels, "pair").items():
            object.__setattr__(self, name, numbers)
        there = has_link(edges, self.pairs)
        self._refuse(there & (labels == 0), "is said to have no link, but the graph has it: label it 1, or drop it")
        tested = torch.zeros_like(there)
        tested[self.test] = True
        self._refuse(there & tested, "is tested on, but the graph has it: take it out of the graph's links")

    def _refuse(self, wrong: Tensor, why: str) -> None:
        if bool(wrong.any()):
            number = int(wrong.nonzero()[0])
            a, b = self.pairs[number].tolist()
            known = self.names and min(a, b) >= 0 and max(a, b) < len(self.names)
            told = f"{self.names[a]!r}, {self.names[b]!r}" if known else f"{a}, {b}"
            raise DataError(f"pair {number} ({told}) {why}")

    @property
    def num_classes(self) -> int:
        """Two: no link, and a link."""
        return len(self.classes)

    @property
    def splits(self) -> dict[str, Tensor]:
        """The parts by name, as `LinkPrediction` takes them."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def fingerprint(self) -> str:
        """Of names, pairs, their labels and parts: what was measured on these tells nothing of others."""
        return fingerprint((self.names,), {"pairs": self.pairs, "labels": self.labels} | self.splits)

    def named(self, node: int) -> str:
        """A node's name, or its number where it has none."""
        return self.names[node] if self.names else str(node)


def load(
    path: str,
    *,
    pairs: str | None = None,
    nodes: str | None = None,
    test_fraction: float = 0.1,
    validation_fraction: float = 0.1,
    negatives: float = 1.0,
    candidates: int = 1000,
    seed: int = 0,
) -> LinkData:
    """The user's own links.

    Args:
        path: the table of edges.
        pairs: the table of pairs to score, or to test on.
        nodes: a table with a row a node, its `id` and its attributes, each other column a number; it may have nodes without links.
        test_fraction: share of the links that are taken out to be found again; none are if the pairs have labels.
        validation_fraction: share of the pairs that would be trained on.
        negatives: pairs without a link for each with one.
        candidates: without pairs, how many of those that share neighbours, but no link, to score; the ones with most to share.
        seed: of what is drawn.

    Raises:
        DataError: a file, column or value is missing or wrong; the message names it.
    """
    file = Path(path).expanduser()
    table = Table.read(file, required=_ENDS)
    mend = "or take links of several types as facts, facts:FILE.tsv; weights are not looked at by what predicts links"
    checked_columns(file, table.columns, _ENDS, "links", mend)
    ends = [table.text(column) for column in _ENDS]
    described = None if nodes is None else _described(Path(nodes).expanduser(), table)
    names = tuple(sorted({*ends[0], *ends[1], *(described[0] if described else ())}))
    number = {name: k for k, name in enumerate(names)}
    source, target = (torch.tensor([number[name] for name in end], dtype=torch.long) for end in ends)
    links = torch.stack([source, target], 1)
    given = None if pairs is None else _given(Path(pairs).expanduser(), number, file, links)
    card = Card(
        f"links:{path}", f"Links of the table {file.name}", "links", len(names), (), CLASSES, path, "the owner's"
    )
    tested = given is not None and bool((given[1] >= 0).any())
    fractions = (0.0 if tested else test_fraction, validation_fraction)
    found = split_links(card, links, names, *fractions, negatives, candidates if given is None else 0, seed, given)
    if described is None:
        return found
    row_of, attributes = described
    x = attributes[[row_of[name] for name in names]]
    return dataclasses.replace(found, graph=found.graph.with_x(x))


def _described(path: Path, edges: Table) -> tuple[dict[str, int], Tensor]:
    """The row of each node by name, and the attributes of each row."""
    table = Table.read(path, required=("id",))
    row_of = numbered_ids(table)
    for column in _ENDS:
        for row, name in enumerate(edges.text(column)):
            if name not in row_of:
                raise DataError(
                    f"{edges.at(row)}: the {column} {name!r} is not an id in {path}: correct it or add the node"
                )
    return row_of, attributes_of(table)


def _given(path: Path, number: dict[str, int], edges: Path, links: Tensor) -> tuple[Tensor, Tensor]:
    table = Table.read(path, required=_ENDS)
    checked_columns(path, table.columns, (*_ENDS, "label"), "pairs", "or keep them in a table of their own")
    columns = []
    for column in _ENDS:
        names = table.text(column)
        for row, name in enumerate(names):
            if name not in number:
                raise DataError(
                    f"{table.at(row)}: the {column} {name!r} has no link in {edges}, so nothing is known of it"
                )
        columns.append([number[name] for name in names])
    labels = [-1] * len(columns[0])
    if "label" in table.columns:
        for row, cell in enumerate(table.text("label")):
            if cell not in ("", "0", "1"):
                raise DataError(f"{table.at(row)}: the label {cell!r} is neither 1, a link, nor 0, none, nor empty")
            labels[row] = int(cell) if cell else -1
    pairs = torch.tensor(columns, dtype=torch.long).T
    _, first = np.unique(encode(pairs).numpy(), return_index=True)
    again = np.setdiff1d(np.arange(len(pairs)), first)
    if len(again):
        ends = " and ".join(repr(table.text(column)[again[0]]) for column in _ENDS)
        raise DataError(
            f"{table.at(again[0])}: the pair of {ends} is listed before: list each once, in either direction"
        )
    for row in (pairs[:, 0] == pairs[:, 1]).nonzero()[:1, 0].tolist():
        raise DataError(f"{table.at(row)}: the pair is of one node: a link is between two")
    for row in torch.isin(encode(pairs), encode(links[links[:, 0] != links[:, 1]])).nonzero()[:1, 0].tolist():
        wrong = {0: f"is said to have no link, but {edges} has it: correct one of them"}
        there = f"is a link in {edges} already: take it out there, or leave it out here"
        raise DataError(f"{table.at(row)}: the pair {wrong.get(labels[row], there)}")
    return pairs, torch.tensor(labels, dtype=torch.long)


def split_links(
    card: Card,
    links: Tensor,
    names: Sequence[str],
    test_fraction: float = 0.1,
    validation_fraction: float = 0.1,
    negatives: float = 1.0,
    candidates: int = 0,
    seed: int = 0,
    given: tuple[Tensor, Tensor] | None = None,
) -> LinkData:
    """Some links taken out to test on, others to validate on, and pairs without a link for each part.

    Args:
        card: of the graph, of which `counts` are made.
        links: (n, 2) int64, in any direction, also several times.
        names: of the nodes.
        test_fraction: share of the links that are taken out, rounded down.
        validation_fraction: share of the others, and of their negatives, rounded down; those links stay in the graph.
        negatives: pairs without a link for each with one, drawn from all.
        candidates: how many pairs with unknown label to add, as `load`.
        seed: of what is drawn.
        given: pairs and labels to test on, or to score.

    Raises:
        DataError: a share is out of range, nothing is left to train on, or there are not enough pairs without a link.

    Source:
        Zhang & Chen (2018), section 5, and their code's `sample_neg`.
    """
    nodes = len(names)
    for what, value in (("test_fraction", test_fraction), ("validation_fraction", validation_fraction)):
        if not 0 <= value < 1:
            raise DataError(f"{what} is {value}: it must be at least 0 and below 1")
    if not negatives > 0:
        raise DataError(f"negatives is {negatives}: give the pairs without a link for each with one, above 0")
    if candidates < 0:
        raise DataError(f"candidates is {candidates}: it must be 0 or more")
    codes = torch.unique(encode(links[links[:, 0] != links[:, 1]]))
    generator = torch.Generator().manual_seed(seed)
    held = codes[torch.randperm(len(codes), generator=generator)]
    kept = math.ceil(round(len(held) * (1 - test_fraction), 6))
    taken, trained = held[kept:], held[:kept]
    forbidden = codes
    if given is not None:
        forbidden = torch.unique(torch.cat([codes, encode(given[0])]))
    counts = [math.ceil(negatives * kept), math.ceil(negatives * len(taken))]
    _check_enough(card.name, counts, len(held), nodes * (nodes - 1) // 2, len(codes), len(forbidden) - len(codes))
    none = _draw(nodes, forbidden, sum(counts), generator)
    trained_none, taken_none = none[: counts[0]], none[counts[0] :]
    valid, valid_none = (int(validation_fraction * len(part)) for part in (trained, trained_none))
    parts = [
        (trained[valid:], trained_none[valid_none:]),
        (trained[:valid], trained_none[:valid_none]),
        (taken, taken_none),
    ]
    rows, labels, numbers, start = [], [], [], 0
    for positive, negative in parts:
        rows += [positive, negative]
        labels += [torch.ones_like(positive), torch.zeros_like(negative)]
        numbers.append(torch.arange(start, start := start + len(positive) + len(negative)))
    pairs, label = decode(torch.cat(rows)), torch.cat(labels)
    if not len(numbers[0]):
        raise DataError(
            f"{card.name} has {counted(len(codes), 'link')}, of which none is left to train on: take out a smaller share"
        )
    observed = adjacency_of(decode(trained), nodes)
    if given is not None:
        known = (given[1] >= 0).nonzero().squeeze(1)
        numbers[2] = torch.cat([numbers[2], len(pairs) + known])
        pairs, label = torch.cat([pairs, given[0]]), torch.cat([label, given[1]])
    elif candidates:
        more = likely(adjacency_of(decode(codes), nodes), candidates)
        # one that was drawn as a pair without a link is told apart already
        more = more[~torch.isin(encode(more), torch.cat(rows))]
        pairs, label = torch.cat([pairs, more]), torch.cat([label, label.new_full((len(more),), -1)])
    found = {"links": len(codes), **dict(zip(("train", "validation", "test"), map(len, numbers)))}
    card = dataclasses.replace(card, size=nodes, counts=found)
    train, validation, test = numbers
    return LinkData(card.name, card, Graph(None, observed), pairs, label, train, validation, test, tuple(names))


def adjacency_of(links: Tensor, nodes: int) -> Adjacency:
    """Both directions of each link."""
    return Adjacency.from_edges(torch.cat([links[:, 0], links[:, 1]]), torch.cat([links[:, 1], links[:, 0]]), nodes)


def encode(pairs: Tensor) -> Tensor:
    """(n, 2) → (n,) b (b - 1) / 2 + a for a < b: pairs are numbered without gaps, whatever the number of nodes."""
    low, high = pairs.min(1).values, pairs.max(1).values
    return high * (high - 1) // 2 + low


def decode(codes: Tensor) -> Tensor:
    """The inverse of `encode`; a < b."""
    high = ((1 + (1 + 8 * codes.double()).sqrt()) / 2).floor().long()
    # the root of a large number may be off by one
    high = high - (high * (high - 1) // 2 > codes).long()
    high = high + (high * (high + 1) // 2 <= codes).long()
    return torch.stack([codes - high * (high - 1) // 2, high], 1)


def _check_enough(name: str, counts: Sequence[int], links: int, total: int, joined: int, asked: int) -> None:
    """There are as many pairs without a link to draw as are wanted.

    Args:
        name: of the data, for the message.
        counts: pairs to draw for each part.
        links: for each of which some are wanted.
        total: all pairs of nodes.
        joined: those with a link.
        asked: those without one that are to be scored or tested on, which are not drawn.
    """
    wanted, free = sum(counts), total - joined - asked
    if wanted <= free:
        return
    others = f" and {asked} more stand in the table of pairs" * bool(asked)
    # the share of each part is rounded up
    fits = math.floor(100 * (free - sum(map(bool, counts)) + 1) / max(1, links)) / 100
    mend = [f"lower negatives, to {fits:g}"] * (fits > 0) + ["take some out of that table"] * bool(asked)
    raise DataError(
        f"{name}: beside its links {counted(wanted, 'pair')} without one {'is' if wanted == 1 else 'are'} wanted, and {free} of {total} can be drawn, "
        f"as {joined} have a link{others}: {', or '.join(mend) or 'the graph is too dense to tell links from what is none'}"
    )


def _draw(nodes: int, forbidden: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Codes of different pairs, uniformly among those that are not forbidden (sorted)."""
    total = nodes * (nodes - 1) // 2
    if count > (total - len(forbidden)) // 4:
        rest = torch.ones(total, dtype=torch.bool)
        rest[forbidden] = False
        found = rest.nonzero().squeeze(1)
        return found[torch.randperm(len(found), generator=generator)[:count]]
    found = forbidden[:0]
    while len(found) < count:
        more = torch.cat([found, torch.randint(total, (2 * (count - len(found)) + 8,), generator=generator)])
        _, first = np.unique(more.numpy(), return_index=True)
        found = more[torch.from_numpy(np.sort(first))]
        place = torch.searchsorted(forbidden, found).clamp(max=max(len(forbidden) - 1, 0))
        found = found[forbidden[place] != found] if len(forbidden) else found
    return found[:count]


def likely(adjacency: Adjacency, count: int) -> Tensor:
    """(at most count, 2) pairs without a link that share neighbours, the most by resource allocation first; none where two hops join too many."""
    degree = adjacency.pattern.count.long()
    if float((degree.double() ** 2).sum()) > _MOST_PATHS:
        return torch.empty(0, 2, dtype=torch.long)
    pattern = adjacency.pattern
    entries = pattern.entries_of(pattern.column.long())
    far = pattern.column.long().index_select(0, entries)
    near = repeated(pattern.row.long(), degree.index_select(0, pattern.column.long()))
    codes = torch.unique(encode(torch.stack([near, far], 1)[near < far]))
    pairs = decode(codes)
    pairs = pairs[~has_link(adjacency, pairs)]
    score = resource_allocation(adjacency, pairs) + 1e-9 * common_neighbors(adjacency, pairs)
    return pairs[score.sort(descending=True, stable=True).indices[:count]]
