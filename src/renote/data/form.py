"""What the numbers of samples that are graphs mean."""

from __future__ import annotations

from dataclasses import dataclass

from renote.errors import DataError


@dataclass(frozen=True)
class GraphForm:
    """Graphs as rows of the types of nodes and pairs (`renote.graph.row`).

    Args:
        nodes: N, most of a graph.
        node_types: their names; of molecules chemical elements, with a charge as in `N+` or `O-2`.
        edge_types: their names, the first for no edge; of molecules none, single, double, triple.
        molecules: whether the graphs are molecules.

    Raises:
        DataError: without nodes, types of nodes, or a type of edges beside none.
    """

    nodes: int
    node_types: tuple[str, ...]
    edge_types: tuple[str, ...]
    molecules: bool = False

    def __post_init__(self) -> None:
        if self.nodes < 1 or not self.node_types or len(self.edge_types) < 2:
            raise DataError(
                f"graphs of {self.nodes} nodes of {len(self.node_types)} types and edges of {len(self.edge_types)} types: "
                "at least one node of one type, and a type of edges beside none"
            )

    @property
    def absent(self) -> int:
        """The number of what is not there in a graph of fewer nodes."""
        return max(len(self.node_types), len(self.edge_types))
