"""Line graphs: what is joined are a graph's edges, where they share an end.

Whitney, "Congruent Graphs and the Connectivity of Graphs", American Journal of Mathematics 54, 1932.

    A_L = Bᵀ B - 2 I,  B_ie = 1 where i is an end of e

Connected graphs with isomorphic line graphs are isomorphic, but for the triangle and the claw K_{1,3}: so almost nothing is lost on the way from nodes to
edges. A network for nodes convolves on the line graph, with means over the ends of an edge on the way there, and over the edges of a node on the way back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

from renote.errors import UsageError
from renote.experiment import Claim, NodeOptions, NodeSystem, Outcome, Paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from renote.data import NodeData
    from renote.experiment import Lab
    from renote.graph import NodeClassification


@dataclass(frozen=True, kw_only=True)
class Config(NodeOptions):
    """The paper trains nothing: Kipf & Welling (2017), section 5.2, with one convolution, on the line graph."""

    patience: int = 10
    layers: int = 1


def build(config: Config, data: NodeData) -> NodeClassification:
    """Convolutions on the line graph between maps of nodes to edges and back."""
    from renote import graph

    network = graph.LineGraphNetwork(
        data.graph.num_features, config.hidden, data.num_classes, config.layers, config.dropout
    )
    return graph.NodeClassification(network, data.graph, data.labels, data.splits)


def line_of(graph: Any, seed: int) -> Any:
    """The line graph, as networkx knows graphs, of one whose nodes are numbered at random."""
    import networkx
    import torch

    from renote.graph import Adjacency, line_graph

    place = torch.randperm(len(graph), generator=torch.Generator().manual_seed(seed))
    number = dict(zip(graph, place.tolist()))
    one = torch.tensor([(number[i], number[j]) for i, j in graph.edges], dtype=torch.int64).reshape(-1, 2).T
    both = torch.cat([one, one.flip(0)], 1)
    line = line_graph(Adjacency.from_edges(both[0], both[1], len(graph)))
    made = networkx.Graph()
    made.add_nodes_from(range(line.num_edges))
    made.add_edges_from(line.adjacency.edge_index().T.tolist())
    return made


def known(size: int) -> dict[str, list[tuple[Any, Any]]]:
    """Graphs of a family up to a size, each with the line graph that it is known to have."""
    import networkx as nx

    def rook(n: int, m: int) -> Any:
        return nx.cartesian_product(nx.complete_graph(n), nx.complete_graph(m))

    def triangular(n: int) -> Any:
        pairs = list(combinations(range(n), 2))
        graph = nx.Graph()
        graph.add_nodes_from(pairs)
        graph.add_edges_from((p, q) for p, q in combinations(pairs, 2) if set(p) & set(q))
        return graph

    small = max(4, size // 4)
    return {
        "paths P_n": [(nx.path_graph(n), nx.path_graph(n - 1)) for n in range(2, size + 1)],
        "cycles C_n": [(nx.cycle_graph(n), nx.cycle_graph(n)) for n in range(3, size + 1)],
        "stars K_1,n": [(nx.star_graph(n), nx.complete_graph(n)) for n in range(1, size + 1)],
        "complete K_n": [(nx.complete_graph(n), triangular(n)) for n in range(2, small + 1)],
        "bipartite K_n,m": [
            (nx.complete_bipartite_graph(n, m), rook(n, m)) for n in range(1, small + 1) for m in range(n, small + 1)
        ],
        "K_4, the octahedron": [(nx.complete_graph(4), nx.octahedral_graph())],
    }


def alike(size: int, seed: int) -> dict[str, float]:
    """By family, the percentage of graphs whose line graph is isomorphic to the known one."""
    import networkx as nx

    return {
        family: 100.0 * sum(nx.is_isomorphic(line_of(graph, seed), line) for graph, line in cases) / len(cases)
        for family, cases in known(size).items()
    }


def confused(nodes: int, seed: int) -> dict[str, Any]:
    """How many connected graphs with edges there are up to a number of nodes, and the degrees of each two with isomorphic line graphs."""
    import networkx as nx

    graphs = [g for g in nx.graph_atlas_g() if 2 <= len(g) <= nodes and nx.is_connected(g)]
    groups: dict[Any, list[tuple[Any, Any]]] = defaultdict(list)
    for graph in graphs:
        line = line_of(graph, seed)
        # graphs with other degrees, or other numbers of triangles at their nodes, are not isomorphic
        triangles = nx.triangles(line)
        groups[tuple(sorted((degree, triangles[node]) for node, degree in line.degree))].append((graph, line))
    pairs = [
        [sorted(d for _, d in graph.degree) for graph in (g, h)]
        for group in groups.values()
        for (g, first), (h, second) in combinations(group, 2)
        if nx.is_isomorphic(first, second)
    ]
    return {"graphs": len(graphs), "pairs": pairs}


def families(lab: Lab, size: int = 0) -> Outcome:
    """Line graphs of families against what is known of them, and whether small graphs can be told by theirs.

    Args:
        lab: keeps what is measured.
        size: the largest graphs of a family; 0 takes 24, or 48 in full.
    """
    try:
        import networkx  # noqa: F401
    except ImportError:
        raise UsageError(
            "networkx is missing, which decides whether graphs are isomorphic: pip install networkx"
        ) from None
    seeds = tuple(range(3))
    size = size or (24 if lab.laptop else 48)
    nodes = 6 if lab.laptop else 7
    found = [lab.measure(f"families to {size}, numbering {seed}", partial(alike, size, seed)) for seed in seeds]
    told = [lab.measure(f"graphs to {nodes}, numbering {seed}", partial(confused, nodes, seed)) for seed in seeds]
    measured: dict[str, Any] = {f"{family}, isomorphic (%)": min(f[family] for f in found) for family in found[0]}
    measured |= {
        f"connected graphs of 2 to {nodes} nodes": told[0]["graphs"],
        "pairs with isomorphic line graphs": max(len(one["pairs"]) for one in told),
    }
    claw, triangle = [1, 1, 1, 3], [2, 2, 2]
    holds = all(min(f.values()) == 100.0 for f in found)
    holds &= all([sorted(pair) for pair in one["pairs"]] == [[claw, triangle]] for one in told)
    note = (
        f"Nodes are numbered at random, three times; the worst counts. Families up to {size} nodes or leaves, complete ones up to {max(4, size // 4)} nodes or a side. "
        f"Holds if every line graph is isomorphic to the known one, and if of all pairs of connected graphs of 2 to {nodes} nodes only the claw and the triangle share theirs."
    )
    return Outcome(measured, holds, _draw(), seeds, note)


def _draw() -> Figure:
    import networkx as nx
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 4.6), layout="constrained")
    shown: dict[str, tuple[Any, Callable[..., Any]]] = {
        "triangle": (nx.cycle_graph(3), nx.circular_layout),
        "claw": (nx.star_graph(3), nx.kamada_kawai_layout),
        "K_4": (nx.complete_graph(4), nx.circular_layout),
        "path of 5": (nx.path_graph(5), nx.kamada_kawai_layout),
    }
    axes = figure.subplots(2, len(shown))
    for column, (name, (graph, layout)) in enumerate(shown.items()):
        for row, (one, place) in enumerate(((graph, layout), (line_of(graph, 0), nx.kamada_kawai_layout))):
            nx.draw(one, place(one), axes[row, column], node_size=60, node_color=f"C{row}", edge_color="0.5")
            axes[row, column].set_title(name if not row else "its line graph", fontsize=10)
    return figure


SYSTEM = NodeSystem(
    name="line-graph",
    title="Line graphs",
    paper=Paper(
        "Whitney",
        "Congruent Graphs and the Connectivity of Graphs",
        1932,
        "American Journal of Mathematics 54",
        "doi:10.2307/2371086",
    ),
    parts=("line graph by incidence products", "maps between nodes and edges", "convolutions on edges"),
    data="cora",
    config=Config,
    build=build,
    claims=(
        Claim(
            "families",
            "Line graphs of known families are what they are known to be, and only the triangle and the claw have the same one.",
            "Theorem 8",
            {"pairs with isomorphic line graphs": 1},
            families,
        ),
    ),
    notes="The network for nodes is not Whitney's, and no accuracy is claimed for it. The number of the theorem is from memory, unverified.",
)
