"""Pools that look at the edges alone: pairs of neighbours, as Graclus makes them, and node decimation.

Dhillon, Guan & Kulis (2007), "Weighted graph cuts without eigenvectors: a multilevel approach".
Bianchi, Grattarola, Livi & Alippi (2020), "Hierarchical representation learning in graph neural networks with node decimation pooling", arXiv 1910.11436.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from renote.graph.adjacency import Adjacency
from renote.graph.batch import batch, pick, unbatch
from renote.graph.graph import Field, Graph
from renote.graph.pattern import Pattern, starts
from renote.graph.pool.matching import check_undirected, dominant_matching, merge
from renote.graph.sampling import uniform

_DENSE = 400
"""Nodes up to which all eigenvectors are computed, which is safer than iterating for one."""
_ALIKE = 1e-4
"""Share by which two measures of a cut's sides must differ to be told apart."""


@dataclass(frozen=True, eq=False)
class Coarse:
    """A coarser graph.

    Args:
        graph: of coarse nodes, without features.
        select: coarse nodes × nodes.
    """

    graph: Graph
    select: Pattern


def pairs(graph: Graph) -> Coarse:
    """Neighbours joined two by two, all graphs of a batch at once: X' adds them up, A' = Sᵀ A S without its diagonal.

    Which of equal edges joins its ends is drawn by the numbers of these within their graph: where it stands in a batch changes nothing, another order of its nodes may.

    Args:
        graph: undirected.

    Source:
        Dhillon et al. (2007); pairs as `dominant_matching` makes them.
    """
    owner = graph.members.row.long()
    number = torch.arange(graph.num_nodes, device=owner.device) - starts(graph.members.count.long())[owner]
    cluster = dominant_matching(graph.adjacency, number=number)
    count = int(cluster.max()) + 1 if len(cluster) else 0
    above = torch.zeros(count, dtype=torch.long, device=cluster.device).index_copy_(0, cluster, owner)
    coarse = Graph(None, merge(graph.adjacency, cluster, count), graph_of_node=above, num_graphs=graph.num_graphs)
    return Coarse(coarse, Pattern.from_segments(cluster, count))


def decimate(graph: Graph, threshold: float = 1e-2) -> Coarse:
    """One side of each graph's cut by the highest frequency is kept, and edges stand for the paths through the other.

        keep       i with v_i >= 0, v the eigenvector of I - D^-1/2 A D^-1/2 to its largest eigenvalue
        connect    L' = L_++ - L_+- L_--⁻¹ L_-+  (Kron reduction), A' = its negative off the diagonal, without entries up to the threshold

    A cut that has less than half of the edges gives way to a drawn one. The sign of v is that in which its largest entry is positive; where both sides have such an entry, the side with
    fewer nodes is kept, then that whose degrees have the larger sum of squares. The numbers of the nodes decide what is left: between sides that all this finds alike, the cut that is
    drawn, and v where several have the largest eigenvalue, as in a graph of several parts. A graph at a time: it is for looking at a data set once (`FixedPool.of`), not at each step.

    Args:
        graph: undirected.
        threshold: of the weights that are left out.

    Source:
        Bianchi et al. (2020), algorithms 1 and 2, and the authors' code.
    """
    check_undirected(graph.adjacency)
    parts, kept, first = [], [], 0
    for one in unbatch(graph.with_x(None)):
        node, weight = _decimated(one.adjacency, threshold)
        target, source = np.nonzero(weight)
        values = torch.from_numpy(weight[target, source]).to(torch.float32)
        edges = Adjacency.from_edges(torch.from_numpy(source), torch.from_numpy(target), len(node), values)
        parts.append(Graph(None, edges))
        kept.append(torch.from_numpy(node) + first)
        first += one.num_nodes
    nothing = [torch.zeros(0, dtype=torch.long)]
    column = torch.cat(nothing + kept).to(graph.adjacency.device)
    coarse = batch(parts) if parts else graph.with_x(None)
    rows = torch.arange(len(column) + 1, dtype=torch.int32, device=column.device)
    return Coarse(coarse.to(column.device), Pattern(rows, column.to(torch.int32), graph.num_nodes))


def _decimated(adjacency: Adjacency, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The nodes that are kept, and the weights among them."""
    nodes = adjacency.num_nodes
    dense = adjacency.to_dense().cpu().numpy()
    np.fill_diagonal(dense, 0.0)
    degree = dense.sum(1)
    laplacian = np.diag(degree) - dense
    positive = _side(laplacian, degree) if degree.any() else np.ones(nodes, dtype=bool)
    keep, drop = np.flatnonzero(positive), np.flatnonzero(~positive)
    inner = laplacian[np.ix_(drop, drop)]
    through = laplacian[np.ix_(drop, keep)]
    try:
        reached = np.linalg.solve(inner, through)
    except np.linalg.LinAlgError:  # a part of the graph lies on one side
        reached = np.linalg.solve(inner + 1e-6 * np.eye(len(drop)), through)
    reduced = laplacian[np.ix_(keep, keep)] - laplacian[np.ix_(keep, drop)] @ reached
    weight = -(reduced + reduced.T) / 2
    np.fill_diagonal(weight, 0.0)
    weight[weight <= threshold] = 0.0
    return keep, weight


def _side(laplacian: NDArray[np.float64], degree: NDArray[np.float64]) -> NDArray[np.bool_]:
    scale = np.where(degree > 0, degree, 1.0) ** -0.5
    normalized = scale[:, None] * laplacian * scale
    if len(degree) <= _DENSE:
        vector = np.linalg.eigh(normalized)[1][:, -1]
    else:
        from scipy.sparse import csr_array
        from scipy.sparse.linalg import eigsh

        vector = eigsh(csr_array(normalized), k=1, which="LM", v0=np.ones(len(degree)), tol=1e-6)[1][:, 0]
    vector[np.abs(vector) < 1e-9] = 0.0
    positive = _sign(vector, degree) * vector >= 0
    sign = np.where(positive, 1.0, -1.0)
    # the share of the edges' weight that is cut
    if sign @ laplacian @ sign / (2 * degree.sum()) < 0.5:
        number = torch.arange(len(degree))
        positive = uniform(0, number, torch.zeros_like(number)).numpy() >= 0.5
        positive[degree.argmax()] = True
    return positive


def _sign(vector: NDArray[np.float64], degree: NDArray[np.float64]) -> float:
    """That in which the side that is kept is positive."""
    above, below = vector > 0, vector < 0
    measures = (
        (vector.max(), -vector.min()),
        (below.sum(), above.sum()),
        (np.square(degree[above]).sum(), np.square(degree[below]).sum()),
    )
    for one, other in measures:
        # what rounding tells apart is alike
        if abs(one - other) > _ALIKE * max(one, other):
            return 1.0 if one > other else -1.0
    return float(np.sign(vector[np.flatnonzero(vector)[0]]))


class FixedPool:
    """A function of a graph's edges, which is called once for graphs that are known beforehand.

    Args:
        function: `pairs` or `decimate`.
    """

    def __init__(self, function: Callable[[Graph], Coarse]) -> None:
        self._function = function
        self._fine: Graph | None = None
        self._whole: Coarse | None = None

    def of(self, graphs: Graph) -> Graph:
        """The same graphs, each with a number by which batches of them are looked up from now on.

        Args:
            graphs: all of a data set.
        """
        number = torch.arange(graphs.num_graphs, device=graphs.adjacency.device)
        self._fine, self._whole = graphs, self._function(graphs)
        return Graph(
            graphs.x,
            graphs.adjacency,
            graphs.edge_features,
            graphs.relation,
            graphs.graph_of_node,
            graphs.num_graphs,
            {**graphs.fields, "number": Field("graph", number)},
        )

    def __call__(self, graph: Graph) -> Coarse:
        """The coarse graphs of a batch."""
        if self._whole is None or self._fine is None or "number" not in graph.fields:
            return self._function(graph)
        number = graph["number"]
        if self._fine.adjacency.device != number.device:
            self._fine = self._fine.to(number.device)
            self._whole = Coarse(
                self._whole.graph.to(number.device), self._whole.select.map(lambda part: part.to(number.device))
            )
        coarse = pick(self._whole.graph, number)
        select = self._whole.select.select(self._whole.graph.members.entries_of(number))[0]
        # numbers of nodes among all become those within the batch
        before = self._fine.members.rowptr.long().index_select(0, number)
        moved = starts(graph.members.count.long())[:-1] - before
        column = select.column.long() + moved.index_select(0, _owners(coarse, select))
        return Coarse(coarse, Pattern(select.rowptr, column.to(select.column.dtype), graph.num_nodes))


def _owners(coarse: Graph, select: Pattern) -> Tensor:
    """(entries,) the graph of each entry."""
    return coarse.members.row.long().index_select(0, select.row.long())
